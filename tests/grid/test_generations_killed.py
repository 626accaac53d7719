"""A node that is killed again and again while chains go on: every generation is submitted once, computed on what came before, and told once."""

from __future__ import annotations

import asyncio
import contextlib
import math
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
ANSWERS = 40  # of one life, on average
DEADLINE = 1e6  # s; what died on the way is given back by whoever never heard of it, not by the clock


class Gate:
    """Opens a little with each kill, so that the batch cannot end before the last of them, however fast the machine is.

    `seen`: what was ever leased to anybody; more than that cannot be done."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self.most = 0.0

    def killed(self, kills: int) -> None:
        self.most = 0.9 * CHAINS * GENERATIONS * (kills + 1) / KILLS if kills < KILLS else math.inf


class Volunteer:
    """Keeps what it leased until somebody says that its result was taken."""

    def __init__(self, number: int, gate: Gate) -> None:
        self._number, self._held, self._dice = number, dict[int, wire.Task](), random.Random(number)
        self._gate = gate

    async def live(self, life: Life) -> None:
        """As long as the node lives."""
        with contextlib.suppress(Gone):
            line = await Line.to(life, self._number)
            try:
                welcome = await line.ask(wire.Join(bytes(KEY.peer), held=list(self._held)))
                assert isinstance(welcome, wire.Welcome), welcome
                while True:
                    for task in list(self._held.values()):
                        await line.ask(wire.Return([done(task.lease, task.stdin + b".")]))
                        del self._held[task.lease]
                    if not await self._lease(line):
                        await asyncio.sleep(0.003)
            finally:
                line.close()

    async def _lease(self, line: Line) -> bool:
        if len(self._gate.seen) >= self._gate.most:
            await line.ask(wire.Look())
            return False
        leased = await line.ask(wire.Lease(self._dice.randint(1, 4), seconds=1e6))
        self._held.update({task.lease: task for task in leased.tasks})
        self._gate.seen |= {task.stdin for task in leased.tasks}
        return bool(leased.tasks)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@story
async def test_a_node_that_is_killed_again_and_again_submits_each_generation_once(tmp_path: Path) -> None:
    dice, gate = random.Random(3), Gate()
    life = Life(tmp_path, "batches")
    people = [Volunteer(number, gate) for number in range(4)]
    batch, view, lives = 0, ["running", 0, 0, 0], 0
    try:
        while view[0] == "running":
            gate.killed(lives)
            pid = await life.begin()
            async with asyncio.TaskGroup() as group:
                living = [group.create_task(person.live(life)) for person in people]
                line = await Line.to(life, OWNER)
                if not batch:
                    items = [b"%d" % chain for chain in range(CHAINS)]
                    batch = await line.owner("submit", items, GENERATIONS, DEADLINE)
                if lives < KILLS:
                    await life.lasts(dice, ANSWERS)
                    view = await line.owner("view", batch)
                    assert view[0] == "running", view
                else:  # the last life lasts
                    while (view := await line.owner("view", batch))[0] == "running":
                        await asyncio.sleep(0.05)
                line.close()
                await life.kill(pid)
                lives += 1
                for one in living:
                    one.cancel()
    finally:
        life.close()
    assert len(gate.seen) == CHAINS * GENERATIONS
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
