"""A volunteer that is killed goes on where it was, and so does another machine from its checkpoint; the result has the same bits. Real nodes, real sandbox."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from servent.node import Node
from servent.testing.nodes import nodes
from tests.grid.sandbox.rig import Rig, counts
from tests.net.party import until

pytestmark = [pytest.mark.real, pytest.mark.slow]

SLICES, ROUNDS = 150, 6_000_000  # of some 15 ms each
ROOT = Path(__file__).parent.parent.parent


class Machine:
    """A volunteer in a process of its own."""

    def __init__(self, folder: Path, ticket: str, link: str) -> None:
        self.arguments = [str(folder), ticket, link]
        self.lines: list[tuple[str, int]] = []

    async def start(self, hold: float = 9.0) -> None:
        """It holds still at that share of the unit."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.grid.volunteer_process", *self.arguments, str(int(SLICES * hold)),
            stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        self.lines = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            word, _, number = line.decode().partition(" ")
            self.lines.append((word, int(number)))

    def slices(self) -> int:
        return max((number for _, number in self.lines), default=0)

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[tuple[Node, int, bytes, Machine, Machine]]:
    """An owner with one long unit of a slice app, and two machines that are not started yet."""
    module = folder / "counts.wasm"
    module.write_bytes(counts(ROUNDS))
    async with nodes(1, folder) as (owner,):
        grid = owner.grid
        made = await grid.projects.create("long", about="a long unit", audience="everyone")
        key = grid.projects.key_of("long")
        await grid.projects.add_app(
            key, "counts", module, abi="slice", operations=1e10, seconds=60.0, quorum=1,
            memory_bytes=4 * 1024**2, checkpoint_bytes=4 * 1024**2,
        )  # fmt: skip
        batch = await grid.batches.submit(key, "counts", items=[bytes([SLICES])], deadline=600.0)
        machines = [Machine(folder / name, await owner.ticket(), made.link) for name in ("ann", "bob")]
        try:
            yield owner, batch.id, key, machines[0], machines[1]
        finally:
            for machine in machines:
                if hasattr(machine, "process"):
                    await machine.kill()


async def digest_of(owner: Node, batch: int) -> bytes:
    await until(lambda: owner.grid.batches.view(batch).state == "done", 60.0)
    (final,) = await owner.grid.coordinator.finals(batch=batch)
    assert final.state == "done"
    return final.digest


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What comes of it without any break."""
    with Rig(tmp_path_factory.mktemp("rig")) as rig:
        seed = bytes(32)
        ended = rig.run(counts(ROUNDS), "slice", stdin=bytes([SLICES]), budget=60.0, seed=seed)
        assert ended.outcome == "done", ended
        return hashlib.sha256(ended.output).digest()


def test_after_kill_nine_it_goes_on_from_the_last_snapshot_with_the_same_bits(
    tmp_path: Path, expected: bytes
) -> None:
    async def story() -> None:
        async with stage(tmp_path) as (owner, batch, _, ann, _):
            for share in (0.25, 0.6):
                await ann.start(hold=share + 0.1)
                await until(lambda share=share: ann.slices() >= SLICES * share, 60.0)
                reached = ann.slices()
                await ann.kill()
                begun = [number for word, number in ann.lines if word == "began"]
                assert begun == [0] if share == 0.25 else begun[0] > 0
            await ann.start()
            found = await digest_of(owner, batch)
            (begun,) = [number for word, number in ann.lines if word == "began"]
            # Snapshots are taken every fifth of a second: what was done since the last is done again, and nothing else.
            assert reached * 0.5 < begun
            assert found == expected

    asyncio.run(story())


def test_another_machine_goes_on_from_the_checkpoint_of_one_that_died(
    tmp_path: Path, expected: bytes
) -> None:
    async def story() -> None:
        async with stage(tmp_path) as (owner, batch, key, ann, bob):
            await ann.start(hold=0.6)
            await until(lambda: ann.lines, 60.0)
            await bob.start()  # there is one unit, and ann has it

            def checkpoint_is_here() -> bool:
                shown = owner.grid.coordinator.view(key)
                return ann.slices() >= SLICES * 0.5 and shown is not None

            await until(checkpoint_is_here, 60.0)
            assert not bob.lines
            await ann.kill()
            owner.grid.coordinator._state.tick(time.time() + 700.0)  # her lease runs out
            found = await digest_of(owner, batch)
            (begun,) = [number for word, number in bob.lines if word == "began"]
            assert begun > SLICES * 0.1, "it went on from what ann had sent"
            assert found == expected

    asyncio.run(story())
