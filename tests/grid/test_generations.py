"""Chains of units: the result of one is the input of the next, each submitted once, whatever happens between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from servent.errors import UsageError
from servent.grid import project_views as views
from servent.grid import submitting, wire
from tests.grid.coordinating import done, project, story
from tests.grid.test_batches import Desk, desk
from tests.net.party import until


def _and(task: wire.Task) -> bytes:
    """What came in, and the arguments."""
    return task.stdin + b"|" + " ".join(task.args).encode()


async def through(here: Desk, batch: int) -> int:
    """Compute until the batch is over. How many units."""
    count = 0
    while here.batches.view(batch).state == "running":
        count += await here.compute(_and)
        await asyncio.sleep(0.01)
    return count


async def all_of(here: Desk, batch: int) -> list[views.UnitResult]:
    return [one async for one in here.batches.watch(batch)]


@story
async def test_each_result_is_the_input_of_the_next(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(
            here.key, "app", items=[b"a", b"b"], args=["{name}{number}.{generation}"], generations=4
        )
        assert (batch.units, batch.generations, batch.state) == (8, 4, "running")
        assert await through(here, batch.id) == 8
        found = {one.number: one for one in await all_of(here, batch.id)}
        assert sorted(found) == list(range(8)) and here.batches.view(batch.id).done == 8
        for number, one in found.items():
            chain, generation = number % 2, number // 2
            name = "ab"[chain]
            said = [f"{name}{chain}.{turn}" for turn in range(generation + 1)]
            assert (one.output, one.generation, one.input) == ("|".join([name, *said]), generation, name)
            assert one.verified and not one.revised
        units = await here.coordinator.units(here.key)
        assert len(units) == 8, "each was submitted once"


@story
async def test_no_generation_begins_before_the_one_before_it_is_final(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"a"], generations=3)
        ann, bob = await here.volunteer(1), await here.volunteer(2)
        (task,) = await ann.lease()
        await ann.give(done(task.lease, b"first"))
        assert len(await here.coordinator.units(here.key)) == 1, "one word is not enough"
        (again,) = await bob.lease()
        await bob.give(done(again.lease, b"first"))
        await until(lambda: here.batches.view(batch.id).done == 1)
        tasks: list[wire.Task] = []
        while not tasks:
            tasks = await ann.lease()
            await asyncio.sleep(0.01)
        assert [one.stdin for one in tasks] == [b"first"]
        assert tasks[0].seed != task.seed, "chance is new in each generation"


@story
async def test_repetitions_are_chains_of_their_own(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"a"], repeat=3, generations=2)
        seeds = set()

        def answer(task: wire.Task) -> bytes:
            seeds.add(task.seed)
            return task.stdin + task.seed[:4].hex().encode()

        while here.batches.view(batch.id).state == "running":
            await here.compute(answer)
            await asyncio.sleep(0.01)
        assert len(seeds) == 6
        assert len({one.output for one in await all_of(here, batch.id)}) == 6


@story
async def test_after_a_restart_it_goes_on_where_it_was(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(
            here.key, "app", items=[b"a", b"b", b"c"], generations=5, to=tmp_path / "out"
        )
    for _ in range(6):
        async with desk(tmp_path) as here:
            if here.batches.view(batch.id).state == "running":
                await here.compute(_and)
    async with desk(tmp_path) as here:
        await through(here, batch.id)
        view = here.batches.view(batch.id)
        assert (view.units, view.done, view.errors, view.cancelled) == (15, 15, 0, 0)
        assert len(await here.coordinator.units(here.key)) == 15
        found = await all_of(here, batch.id)
        assert sorted(one.number for one in found) == list(range(15))
        assert {one.output for one in found if one.generation == 4} == {"a|||||", "b|||||", "c|||||"}
        await until(lambda: here.batches._batches[batch.id][1].written == found[-1].order)
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 15


@story
async def test_what_is_known_is_gone_through_at_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        first = await here.batches.submit(here.key, "app", items=[b"a"], generations=3)
        await through(here, first.id)
        longer = await here.batches.submit(here.key, "app", items=[b"a"], generations=5)
        await until(lambda: here.batches.view(longer.id).done == 3)
        assert await through(here, longer.id) == 2
        anew = await here.batches.submit(here.key, "app", items=[b"a"], generations=3, again=True)
        assert await through(here, anew.id) == 3
        assert len(await here.coordinator.units(here.key)) == 8
        assert sorted(one.number for one in await all_of(here, longer.id)) == list(range(5))
        await here.batches.forget(first.id)
        assert next(iter(await all_of(here, longer.id))).output == "a|", "another batch has it, too"


@story
async def test_the_same_twice_in_a_batch_are_two_chains_of_the_same_units(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        for again in range(2):
            batch = await here.batches.submit(here.key, "app", items=[b"a", b"a"], generations=3)
            assert await through(here, batch.id) == (0 if again else 3)
            assert here.batches.view(batch.id).done == 6


@story
async def test_where_one_fails_those_after_it_come_to_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"good", b"bad"], generations=6)
        number = 1
        while here.batches.view(batch.id).state == "running":
            number += 1
            volunteer = await here.volunteer(number % 20)
            for task in await volunteer.lease():
                if task.stdin == b"bad||":  # in its third generation
                    await volunteer.give(wire.Result(lease=task.lease, outcome="trap", words="no more"))
                else:
                    await volunteer.give(done(task.lease, _and(task)))
            await asyncio.sleep(0.01)
        view = here.batches.view(batch.id)
        assert (view.done, view.errors, view.cancelled, view.state) == (6 + 2, 1, 3, "done")
        assert len(await all_of(here, batch.id)) == 9
    async with desk(tmp_path) as here:
        assert here.batches.view(batch.id) == view, "counted anew from the disk"
        await here.batches.forget(batch.id)
        await until(lambda: not here.batches.all())


@story
async def test_cancelled_chains_have_no_more_generations(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"a", b"b"], generations=4)
        await here.compute(_and)
        await until(lambda: here.batches.view(batch.id).done == 2)
        view = await here.batches.cancel(batch.id)
        assert (view.state, view.done, view.cancelled) == ("cancelled", 2, 6)
        await asyncio.sleep(0.1)
        assert await here.compute(_and) == 0
        assert {one.shown for one in await here.coordinator.units(here.key)} <= {"done", "cancelled"}
        await here.batches.forget(batch.id)
    async with desk(tmp_path) as here:
        assert here.batches.all() == []
        rows = await here.batches._store.read(
            lambda db: db.execute("SELECT * FROM grid_batch_next").fetchall()
        )
        assert rows == []


@story
async def test_a_closed_project_ends_its_chains_with_the_reason(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"a"], generations=3)
        ann, bob = await here.volunteer(1), await here.volunteer(2)
        (task,), (same,) = await ann.lease(), await bob.lease()
        await here.coordinator.add_project(project(2, closed=True))
        await ann.give(done(task.lease, b"x"))
        await bob.give(done(same.lease, b"x"))
        await until(lambda: here.batches.view(batch.id).state == "cancelled")
        view = here.batches.view(batch.id)
        assert (view.done, view.cancelled) == (1, 2) and "closed" in view.why


def test_too_many_are_refused_and_arguments_know_their_generation() -> None:
    with pytest.raises(UsageError):
        submitting.check(1000, 0, 10, [], 2000)
    with pytest.raises(UsageError):
        submitting.check(1, 0, 1, [], 0)
    assert submitting.check(10, 0, 10, [], 20) == 100
    assert submitting.filled("{generation} of {name}", "x", 5, 7) == "7 of x"
    assert submitting.seed_of(3) == submitting.seed_of(3, 0) != submitting.seed_of(3, 1)
