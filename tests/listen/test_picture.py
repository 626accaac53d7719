"""What people see of a search while it goes on: the power over frequency and time that the kernel looks at."""

from __future__ import annotations

import asyncio
import random

from servent.grid.pictures import read_picture
from servent.grid.sandbox.jobs import Ended
from servent.listen import units
from servent.listen.making import Injected, make
from tests.listen.desk import LIMITS, SMALL, Desk


def test_a_tone_stands_in_the_picture_where_it_was_put(desk: Desk) -> None:
    tone = Injected("spike", 100.0, SMALL.first * SMALL.step, 0.4)
    path = desk.rig.folder / "shown"
    path.write_bytes(units.pack(SMALL, make(SMALL, [tone], random.Random(5))))
    job = desk.rig.job(desk.code, "slice", stdin_path=str(path), limits=LIMITS, budget=300.0)
    said: list[bytes] = []

    async def watched() -> Ended:
        asyncio.get_running_loop().call_soon(desk.rig.slots.watch, job.number, said.append)
        return await desk.rig.slots.run(job)

    assert desk.rig.do(watched(), 120.0).outcome == "done"
    shown = read_picture(said[0])
    assert (shown.kind, shown.width, shown.height) == ("heat", 256, 64)
    assert (shown.x.low, shown.x.high) == (-SMALL.rate / 2, SMALL.rate / 2)
    assert (shown.y.low, round(shown.y.high, 3)) == (0.0, round(SMALL.seconds, 3))
    assert shown.words.startswith(f"drift {tone.drift:.4f} Hz/s, spectra of ")
    wanted = round((tone.frequency / SMALL.rate + 0.5) * shown.width - 0.5)
    columns = [sum(shown.data[at :: shown.width]) for at in range(shown.width)]
    assert abs(max(range(shown.width), key=columns.__getitem__) - wanted) <= 1
    assert max(columns) > 2 * sorted(columns)[shown.width // 2]


def test_a_snapshot_is_small_with_the_picture_in_it(desk: Desk) -> None:
    desk.rig.saved.clear()
    unit = units.pack(SMALL, make(SMALL, [], random.Random(6)))
    assert desk.ended(unit, checkpoint_every=1e-9).outcome == "done"
    assert desk.rig.saved and max(one.size for one in desk.rig.saved) < SMALL.samples // 4 + 64 * 1024
