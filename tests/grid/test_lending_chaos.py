"""A volunteer among coordinators that answer anything at any time, restarts and pauses; afterwards it computes as if nothing had been. Virtual time, by seeds."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import msgspec
import pytest

from servent.errors import ConnectionLost
from servent.grid import wire
from servent.grid.sandbox.jobs import Ended
from tests.grid.lender import Office, Volunteer, content_of, virtually

CHAOS = 4 * 3600.0  # s


def lies(dice: random.Random):
    """Answers as they should be, for most; the others are none, of another kind, too short, too long, or refusals."""

    def twist(question, answer):
        luck = dice.random()
        if luck < 0.7:
            return answer
        if luck < 0.76:
            raise ConnectionLost("gone")
        if luck < 0.82:
            return wire.Sorry("not now", dice.choice([None, 0.0, 1.0, 60.0]))
        if luck < 0.88:
            return dice.choice(
                [wire.Aborted(), wire.Welcome(), wire.Leased(), wire.Returned(["taken"]), wire.Renewed([0.0])]
            )
        match answer:
            case wire.Leased(tasks) if tasks:
                first = tasks[0]
                strange = dice.choice(
                    [
                        {"lease": first.lease + 1},
                        {"app": dice.randbytes(32)},
                        {"until": 0.0},
                        {"operations": 2**53},
                        {"content": content_of(dice.randbytes(8))},
                        {"resume": wire.Checkpoint(content_of(dice.randbytes(8)), 5, bytes(32), 0.5)},
                    ]
                )
                return wire.Leased([*tasks, msgspec.structs.replace(first, **strange)])
            case wire.Returned(taken):
                return wire.Returned([dice.choice(["taken", "late", "unknown", "bad"]) for _ in taken])
            case wire.Renewed(until):
                return wire.Renewed([dice.choice([one, 0.0]) for one in until])
        return answer

    return twist


@pytest.mark.parametrize("seed", range(6))
def test_after_any_chaos_it_computes_again_and_leaves_nothing_behind(tmp_path, seed) -> None:
    dice = random.Random(seed)

    async def story() -> None:
        office = Office()
        apps = [office.app(), office.slices(name="long")]
        outcomes = ["done", "trap", "time", "lost", "checkpoint", "module"]

        def program(job):
            outcome = dice.choice(outcomes) if dice.random() < 0.2 else "done"
            return None if outcome == "done" else Ended(job.number, outcome, seconds=1.0, words="so it is")

        volunteer = Volunteer(tmp_path, office, store=tmp_path / "grid.db")
        loop = asyncio.get_running_loop()
        while loop.time() < CHAOS:
            office.twist, volunteer.bench.program = lies(dice), program
            async with volunteer as ann:
                for _ in range(dice.randrange(2, 8)):
                    office.add(dice.choice(apps), dice.randrange(0, 20))
                    ann.bench.takes = dice.choice([0.5, 5.0, 100.0])
                    ann.bench.slice = ann.bench.takes / 5
                    ann.engaged = dice.choice(["", "", "a call is on"])
                    ann.machine = replace(ann.machine, memory_free=dice.choice([0, 2**40, 2**40]))
                    ann.lending.settings_changed()
                    await asyncio.sleep(dice.choice([1.0, 30.0, 600.0]))
                    view = ann.lending.view()
                    assert len(view.slots) >= len(ann.bench.running)
                    assert ann.bench.most_running <= 2
                if dice.random() < 0.5:
                    office.twist = lambda question, answer: answer
                    await ann.kill()
            volunteer = Volunteer(tmp_path, office, store=tmp_path / "grid.db")
        office.twist = lambda question, answer: answer
        office.waiting.clear()
        async with volunteer as ann:
            ann.bench.takes, ann.bench.slice = 10.0, 1.0
            units = office.add(apps[0], 5)
            await ann.until(lambda: set(units) <= set(office.returned), limit=2 * 86400.0)
            await ann.until(lambda: not ann.project.leased, limit=2 * 86400.0)
            assert all(office.returned[unit].outcome == "done" for unit in units)
            await asyncio.sleep(10.0)
            assert not ann.bench.running and ann.lending.view().to_return == 0
            assert sum(ann.contents.pins.values()) <= len(apps)
            left = [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
            assert not left

    virtually(story())
