"""Thirty volunteers at a real coordinator, three of whom make up every fifth result: what `simulations/cheaters` has on a small scale, with tables and all."""

from __future__ import annotations

import asyncio
import random

from tests.grid.counter import counter, done

RIGHT = b"42"


def test_what_three_of_thirty_make_up_is_put_right_and_nobody_is_paid_for_it() -> None:
    async def main() -> None:
        dice = random.Random(3)
        units = 2400
        async with counter() as here:
            for first in range(0, units, 1200):
                await here.units(1200, first=first)
            crowd = [await here.volunteer(number) for number in range(1, 31)]
            cheats = {bytes(one.who.peer) for one in crowd[:3]}
            idle = copies = 0

            def moves() -> bool:
                states = here.coordinator.view(here.key).by_state
                return bool(states["waiting"] + states["running"] + states["checking"])

            while idle < 3 or moves():
                got = 0
                for one in dice.sample(crowd, len(crowd)):
                    tasks = await one.lease(dice.randrange(1, 9))
                    got += len(tasks)
                    lies = bytes(one.who.peer) in cheats
                    results = [
                        done(task, bytes(one.who.peer) if lies and dice.random() < 0.2 else RIGHT)
                        for task in tasks
                    ]
                    if results:
                        await one.give(*results)
                here.now += 300.0
                copies += got
                idle = 0 if got else idle + 1
                if not got:
                    await asyncio.sleep(0.02)
            newest = {one.unit: one for one in here.finals}
            assert len(newest) == units
            wrong = [one for one in newest.values() if one.output != RIGHT]
            assert len(wrong) <= units * 0.002, len(wrong)
            assert copies / units < 1.5, "eighty units a host: the first ten of each are computed twice"
            looks = {look.identity: look for look in here.coordinator.hosts(here.key)}
            assert all(looks[one].invalid for one in cheats)
            assert sum(look.invalid for who, look in looks.items() if who not in cheats) == 0
            await here.nobody_is_paid_twice()
            paid: dict[bytes, int] = {}
            for key, _, mflop in await here.due():
                paid[key] = paid.get(key, 0) + mflop
            assert sum(paid.values()) == sum(look.credit for look in looks.values())
            assert all(one.cost >= 0 for one in newest.values())

    asyncio.run(main())
