"""A node that is killed again and again while chains go on: every generation is submitted once, computed on what came before, and told once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from pathlib import Path

import pytest

from servent.grid import wire
from servent.grid.coordinator_rows import read_doc, read_spec
from servent.store import Store
from tests.grid.coordinating import KEY, done, story
from tests.grid.mortal import OWNER
from tests.grid.test_coordinator_killed import Gone, Life, Line

KILLS = 30
CHAINS, GENERATIONS = 6, 60
DEADLINE = 0.4  # s; leases that died on the way run out


class Volunteer:
    """Keeps what it leased until somebody says that its result was taken."""

    def __init__(self, number: int) -> None:
        self._number, self._held, self._dice = number, dict[int, wire.Task](), random.Random(number)

    async def live(self, folder: Path) -> None:
        """As long as the node lives."""
        with contextlib.suppress(Gone):
            line = await Line.to(folder, self._number)
            try:
                assert isinstance(await line.ask(wire.Join(bytes(KEY.peer))), wire.Welcome)
                while True:
                    for task in list(self._held.values()):
                        await line.ask(wire.Return([done(task.lease, task.stdin + b".")]))
                        del self._held[task.lease]
                    leased = await line.ask(wire.Lease(self._dice.randint(1, 4), seconds=1e6))
                    self._held.update({task.lease: task for task in leased.tasks})
                    if not leased.tasks:
                        await asyncio.sleep(0.003)
            finally:
                line.close()


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@story
async def test_a_node_that_is_killed_again_and_again_submits_each_generation_once(tmp_path: Path) -> None:
    dice = random.Random(3)
    life = Life(tmp_path, "batches")
    batch, kills, people = 0, 0, [Volunteer(number) for number in range(4)]
    view = ["running", 0, 0, 0]
    try:
        while view[0] == "running":
            pid = await life.begin()
            async with asyncio.TaskGroup() as group:
                living = [group.create_task(person.live(tmp_path)) for person in people]
                line = await Line.to(tmp_path, OWNER)
                if not batch:
                    items = [b"%d" % chain for chain in range(CHAINS)]
                    batch = await line.owner("submit", items, GENERATIONS, DEADLINE)
                elif kills < KILLS or view[1] < CHAINS * 2:
                    await asyncio.sleep(dice.expovariate(1 / 0.1))
                    view = await line.owner("view", batch)
                    kills += view[0] == "running"
                else:  # the last life lasts
                    async with asyncio.timeout(60):
                        while (view := await line.owner("view", batch))[0] == "running":
                            await asyncio.sleep(0.05)
                line.close()
                await life.kill(pid)
                for one in living:
                    one.cancel()
    finally:
        life.close()
    assert kills > KILLS / 2, "it went on while it was killed"
    assert view == ["done", CHAINS * GENERATIONS, 0, 0]
    await check(tmp_path / "grid.db")


async def check(path: Path) -> None:
    store = Store(path)
    async with store:
        units = await store.read(
            lambda db: db.execute("SELECT number, unit FROM grid_batch_units").fetchall()
        )
        told = await store.read(
            lambda db: db.execute("SELECT number, unit, state, revised FROM grid_batch_results").fetchall()
        )
        rest = await store.read(
            lambda db: db.execute(
                "SELECT (SELECT count(*) FROM grid_batch_next), (SELECT count(*) FROM grid_batch_former)"
            ).fetchone()
        )
        ended = dict(await store.read(lambda db: db.execute("SELECT unit, body FROM grid_ended").fetchall()))
        specs = dict(await store.read(lambda db: db.execute("SELECT unit, spec FROM grid_units").fetchall()))
    count = CHAINS * GENERATIONS
    assert rest == (0, 0)
    assert sorted(number for number, _ in units) == list(range(count))
    assert len(specs) == count == len({unit for _, unit in units}), "each was submitted once"
    assert sorted(told) == sorted((number, unit, "done", 0) for number, unit in units), "and told once"
    for number, unit in units:
        assert read_spec.decode(specs[unit]).stdin == b"%d" % (number % CHAINS) + b"." * (number // CHAINS)
        assert read_doc.decode(ended[unit]).unit.state == "done"
