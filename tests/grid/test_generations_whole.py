"""Generations of molecular dynamics on whole nodes over real iroh: states that travel as contents, and what comes out is one long run."""

from __future__ import annotations

from pathlib import Path

import pytest

from servent.grid.sandbox.cc import compile_c, zig
from tests.grid.coordinating import story
from tests.grid.sandbox.rig import Rig
from tests.grid.sandbox.test_molecules import LIMITS, SOURCE, Result
from tests.grid.test_whole import lend, party
from tests.net.party import until

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(zig() is None, reason="needs ziglang"),
]
GENERATIONS, STEPS = 4, 60


@story
async def test_two_volunteers_carry_a_liquid_through_its_generations(tmp_path: Path) -> None:
    made = compile_c([SOURCE], tmp_path / "molecules.wasm", abi="slice")
    start, to = tmp_path / "start.txt", tmp_path / "states"
    start.write_text(f"atoms 256 steps {STEPS} every 3 seed 4")
    async with party(3, tmp_path) as (owner, *volunteers):
        grid = owner.grid
        project = await grid.projects.create("liquids", bonus=0.75)
        key = grid.projects.key_of("liquids")
        await grid.projects.add_app(
            key,
            "molecules",
            made,
            abi="slice",
            operations=1e9,
            seconds=30.0,
            memory_bytes=16 << 20,
            output_bytes=8 << 20,
        )
        for node in volunteers:
            await lend(node, project.link)
        batch = await grid.batches.submit(key, "molecules", paths=[start], generations=GENERATIONS, to=to)
        await until(lambda: grid.batches.view(batch.id).state == "done", 100.0)
        view = grid.batches.view(batch.id)
        assert (view.done, view.errors, view.cancelled) == (GENERATIONS, 0, 0)
        files = [to / f"{number:07d}-start.txt" for number in range(GENERATIONS)]
        await until(lambda: all(file.exists() for file in files))
        results = [one async for one in grid.batches.watch(batch.id)]
        assert all(one.verified and one.output is None and one.size_bytes > 16384 for one in results)
        hosts = {one.identity: one.credit for one in grid.coordinator.hosts(key)}
        assert len(hosts) == 2 and all(mflop > 1000 * GENERATIONS for mflop in hosts.values()), "with a bonus"
        parts = [Result.of(file.read_bytes()) for file in files]
        assert [part.step for part in parts] == [STEPS * (at + 1) for at in range(GENERATIONS)]
        await grid.batches.forget(batch.id)
        assert grid.batches.all() == []
    with Rig(tmp_path / "rig") as rig:
        text = start.read_bytes().replace(b"steps 60", b"steps %d" % (STEPS * GENERATIONS))
        ended = rig.run(made.read_bytes(), "slice", stdin=text, limits=LIMITS, budget=60.0)
        whole = Result.of(ended.output or Path(ended.output_path).read_bytes())
    assert parts[-1].state == whole.state and b"".join(part.frames for part in parts) == whole.frames
