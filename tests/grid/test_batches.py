"""Batches: what is submitted, and what comes of it, exactly once, over restarts, into folders and as lines."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from servent.blobs import tree
from servent.blobs.canonical import canon
from servent.errors import NotFound, UsageError
from servent.grid import submitting, wire
from servent.grid.batches_service import Batches
from servent.grid.coordinator_service import Coordinator
from servent.grid.manifests import App, Content, open_app
from servent.store import Store
from tests.grid.coordinating import KEY, ME, Clock, Volunteer, app, done, project, story, who
from tests.net.party import until


class Shelf:
    """Contents as files in a folder, without a network."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self.dropped: list[Content] = []
        self.released: list[str] = []

    async def publish_many(
        self, what: Sequence[tuple[bytes | Path, str]], *, project: bytes = b"", move: bool = False
    ) -> list[Content]:
        found = []
        for one, _ in what:
            data = one if isinstance(one, bytes) else one.read_bytes()
            root = tree.root_of_data(data)
            content = Content(canon(root, len(data)), 0, root, len(data))
            self._place(content).write_bytes(data)
            found.append(content)
        return found

    async def drop(self, contents: Iterable[Content], *, project: bytes = b"") -> None:
        self.dropped += contents

    def release(self, keep: str) -> None:
        self.released.append(keep)

    def path(self, content: Content) -> Path | None:
        place = self._place(content)
        return place if place.exists() else None

    def _place(self, content: Content) -> Path:
        return self._folder / content.infohash.hex()


class Apps:
    def __init__(self, id: bytes) -> None:
        self._id, self._manifest = id, open_app(app())

    def app_manifest(self, key: bytes, app: str) -> tuple[bytes, App]:
        if app != "app":
            raise NotFound("no such app")
        return self._id, self._manifest

    def name_of(self, key: bytes) -> str:
        return "test"


class Desk:
    def __init__(self, batches: Batches, coordinator: Coordinator, shelf: Shelf) -> None:
        self.batches, self.coordinator, self.shelf = batches, coordinator, shelf
        self.key = bytes(KEY.peer)

    async def volunteer(self, number: int) -> Volunteer:
        found = Volunteer(self.coordinator.visit(self.key, who(number)), who(number))
        await found.join()
        return found

    async def compute(self, answer: Callable[[wire.Task], bytes] | None = None) -> int:
        """Two volunteers do all there is. How many units."""
        ann, bob = await self.volunteer(1), await self.volunteer(2)
        count = 0
        while tasks := await ann.lease():
            count += len(tasks)
            await ann.give(*(done(one.lease, (answer or _upper)(one)) for one in tasks))
        while tasks := await bob.lease():
            await bob.give(*(done(one.lease, (answer or _upper)(one)) for one in tasks))
        return count


def _upper(task: wire.Task) -> bytes:
    said = task.stdin or (b"content" if task.content is not None else b"nothing")
    return said.upper() + (b" " + " ".join(task.args).encode() if task.args else b"")


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Desk]:
    store = Store(folder / "grid.db", durable=True)
    clock = Clock()
    shelf = Shelf(folder / "contents")
    coordinator = Coordinator(store, ME.peer, wall=clock, dice=random.Random(1))
    apps = Apps(b"")
    batches = Batches(store, coordinator, shelf, apps, told=lambda: None, wall=clock, dice=random.Random(2))
    async with store:
        await coordinator.open()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coordinator.run())]
            await coordinator.add_project(project())
            apps._id = await coordinator.add_app(app())
            await batches.open()
            tasks.append(group.create_task(batches.run()))
            try:
                yield Desk(batches, coordinator, shelf)
            finally:
                await coordinator.close()
                for task in tasks:
                    task.cancel()


@story
async def test_items_come_back_each_once_in_the_order_of_their_end(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(
            here.key, "app", items=[b"one", b"two", b"three"], args=["-n{number}"]
        )
        assert (batch.units, batch.done, batch.state, batch.title) == (3, 0, "running", "3 units")
        waiting = asyncio.create_task(here.batches.results(batch.id, wait=10.0))
        assert await here.compute() == 3
        assert (await waiting).results
        await until(lambda: here.batches.view(batch.id).state == "done")
        page = await here.batches.results(batch.id)
        assert page.ended and {(one.number, one.input, one.output) for one in page.results} == {
            (0, "one", "ONE -n0"),
            (1, "two", "TWO -n1"),
            (2, "three", "THREE -n2"),
        }
        assert all(one.verified and one.size_bytes == len(one.output or "") for one in page.results)
        last = page.results[-1].order
        assert (await here.batches.results(batch.id, last)).results == ()
        assert await here.batches.output(batch.id, 1) == b"TWO -n1"
        names = await here.batches.names([one.unit for one in page.results])
        assert set(names.values()) == {(batch.id, 0, "one"), (batch.id, 1, "two"), (batch.id, 2, "three")}


@story
async def test_what_comes_while_results_are_read_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"one"])
        read, asked = here.batches._store.read, 0

        async def slowly(job: Any) -> Any:
            nonlocal asked
            found, asked = await read(job), asked + 1
            if asked == 1:  # the lines have been read: the batch is over before anybody sees them
                with monkeypatch.context() as now:
                    now.setattr(here.batches._store, "read", read)
                    await here.compute()
                    await until(lambda: here.batches.view(batch.id).state == "done")
            return found

        monkeypatch.setattr(here.batches._store, "read", slowly)
        page = await here.batches.results(batch.id, wait=30.0)
        assert page.ended and [one.output for one in page.results] == ["ONE"]


@story
async def test_what_is_known_is_there_at_once_and_again_computes_it_anew(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        first = await here.batches.submit(here.key, "app", items=[b"a", b"b"])
        await here.compute()
        await until(lambda: here.batches.view(first.id).state == "done")
        second = await here.batches.submit(here.key, "app", items=[b"b", b"c"])
        assert (second.units, second.done) == (2, 1)
        assert [one.output for one in (await here.batches.results(second.id)).results] == ["B"]
        third = await here.batches.submit(here.key, "app", items=[b"b"], again=True)
        assert third.done == 0
        assert await here.compute() == 2
        await until(lambda: here.batches.view(second.id).state == here.batches.view(third.id).state == "done")


@story
async def test_the_same_item_twice_in_a_batch_is_computed_once_and_answered_twice(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"a", b"b", b"a"])
        assert await here.compute() == 2
        await until(lambda: here.batches.view(batch.id).state == "done")
        found = {one.number: one.output for one in (await here.batches.results(batch.id)).results}
        assert found == {0: "A", 1: "B", 2: "A"}
        again = await here.batches.submit(here.key, "app", items=[b"a", b"b", b"a"])
        assert (again.state, again.done) == ("done", 3), "also where it is known already"


@story
async def test_repetitions_differ_in_their_seed_alone(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        await here.batches.submit(here.key, "app", repeat=5)
        tasks = await (await here.volunteer(1)).lease()
        assert len({task.seed for task in tasks}) == len(tasks) == 5
        assert {task.stdin for task in tasks} == {b""}


@story
async def test_files_go_in_and_come_out_as_files_once_whatever_happens_between(tmp_path: Path) -> None:
    inputs, to = tmp_path / "in", tmp_path / "out"
    (inputs / "deep").mkdir(parents=True)
    to.mkdir()
    (inputs / "small.txt").write_bytes(b"small")
    (inputs / "deep" / "large.bin").write_bytes(b"L" * 100_000)
    (to / "results.jsonl").write_text('{"of": "an earlier batch"}\n')
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", paths=[inputs], to=to)
        assert (batch.units, batch.title) == (2, "2 files")
        ann = await here.volunteer(1)
        (first, second) = await ann.lease()
        assert (first.content is None) != (second.content is None)
        await here.compute()
        ann, bob = await here.volunteer(1), await here.volunteer(2)
        await ann.give(*(done(one.lease, _upper(one)) for one in (first, second)))
        await bob.give(*(done(one.lease, _upper(one)) for one in await bob.lease()))
        await until(lambda: len((to / "results.jsonl").read_text().splitlines()) == 3)
    with open(to / "results.jsonl", "a") as file:  # as if the node had been ended in the middle of a line
        file.write('{"order": 99, "unit"')
    async with desk(tmp_path) as here:
        again = await here.batches.submit(here.key, "app", paths=[inputs], to=to)
        assert again.done == 2
        await here.batches.submit(here.key, "app", items=[b"later"], to=to)
        assert here.batches.view(batch.id).done == 2
        shown = {one.name for one in to.iterdir()}
        assert shown == {"results.jsonl", "0000000-large.bin", "0000001-small.txt"}
        assert (to / "0000001-small.txt").read_bytes() == b"SMALL"


@story
async def test_a_torn_line_is_cut_off_before_the_next_is_written(tmp_path: Path) -> None:
    to = tmp_path / "out"
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"a"], to=to)
        await here.compute()
        await until(lambda: here.batches.view(batch.id).state == "done" and (to / "results.jsonl").exists())
        await until(lambda: here.batches._batches[batch.id][1].written > 0)
        more = await here.batches.submit(here.key, "app", items=[b"b"], to=tmp_path / "elsewhere")
    with open(to / "results.jsonl", "a") as file:
        file.write('{"order": 99, "un')
    row = None
    async with desk(tmp_path) as here:
        row = here.batches._batches[batch.id][1]
        assert row.line_bytes == len((to / "results.jsonl").read_text().partition("\n")[0]) + 1
        here.batches._outcomes.write([], {}, to, row.line_bytes, 0)
        assert [json.loads(line)["output"] for line in (to / "results.jsonl").read_text().splitlines()] == [
            "A"
        ]
        assert here.batches.view(more.id).state == "running"
        await here.compute()
        await until(lambda: (tmp_path / "elsewhere" / "results.jsonl").exists())


@story
async def test_cancelled_batches_end_and_are_forgotten_with_their_inputs(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        large = tmp_path / "large"
        large.write_bytes(b"L" * 50_000)
        batch = await here.batches.submit(here.key, "app", paths=[large], items=[b"x"])
        with pytest.raises(UsageError, match="not over"):
            await here.batches.forget(batch.id)
        seen = asyncio.create_task(_all(here, batch.id))
        assert (await here.batches.cancel(batch.id)).state == "cancelled"
        await seen
        await here.batches.forget(batch.id)
        assert [one.size for one in here.shelf.dropped] == [50_000]
        with pytest.raises(NotFound):
            here.batches.view(batch.id)


async def _all(here: Desk, batch: int) -> list[object]:
    return [one async for one in here.batches.watch(batch)]


@story
async def test_spot_checks_travel_among_the_units_and_show_in_no_result(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        checks = [(b"check %d" % n, b"CHECK %d" % n) for n in range(5)]
        batch = await here.batches.submit(
            here.key, "app", items=[b"item %d" % n for n in range(20)], checks=checks
        )
        units = [one.id for one in await here.coordinator.units(here.key)]
        named = await here.batches.names(units)
        places = [place for place, unit in enumerate(units) if unit not in named]
        assert len(units) == 25 and len(places) == 5 and places != list(range(20, 25))
        await here.compute()
        await until(lambda: here.batches.view(batch.id).state == "done")
        found = await _all(here, batch.id)
        assert len(found) == 20


@story
async def test_collected_results_are_files_of_everything(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(
            here.key, "app", items=[b"one", b"\xff\xfe"], to=tmp_path / "by itself"
        )
        await here.compute()
        await until(lambda: here.batches.view(batch.id).state == "done")
        files = await here.batches.collect(batch.id, tmp_path / "collected")
        assert sorted(one.name for one in files) == ["0000000-one.out", "0000001.out", "results.jsonl"]
        assert (tmp_path / "collected" / "0000001.out").read_bytes() == b"\xff\xfe"
        lines = [json.loads(one) for one in (tmp_path / "collected/results.jsonl").read_text().splitlines()]
        assert [(one["number"], one["base64"]) for one in lines] == [(0, False), (1, True)]
        with pytest.raises(UsageError, match="by themselves"):
            await here.batches.collect(batch.id, tmp_path / "by itself")


@story
async def test_a_batch_that_was_not_submitted_whole_is_cancelled_at_the_next_start(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"one"])
        here.batches._batches[batch.id][1].whole = False  # as it stands while inputs are hashed
        await here.batches._save(batch.id)
    async with desk(tmp_path) as here:
        found = here.batches.view(batch.id)
        assert (found.state, found.why) == ("cancelled", "the node ended while it was submitted")
        await until(lambda: here.coordinator.batch(batch.id).cancelled == 1)
        (other,) = [await here.batches.submit(here.key, "app", items=[b"two"])]
        assert other.id != batch.id


def test_what_cannot_be_submitted_is_said_before_anything_is_stored(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        submitting.files_of([tmp_path / "nowhere"])
    with pytest.raises(UsageError):
        submitting.check(1, 0, 20_000_000, [])
    with pytest.raises(UsageError):
        submitting.check(1, 0, 1, ["x" * 300])
    assert submitting.check(0, 0, 3, []) == 3
    lines = tmp_path / "lines"
    lines.write_bytes(b"a\n\nb\r\nc")
    assert submitting.lines_of(lines) == [b"a", b"b", b"c"]


def test_names_of_files_are_safe_everywhere() -> None:
    for name in ("../../etc/passwd", "a/b:c*?.txt", "..", "", "x" * 300, "con\0trol", ".hidden"):
        made = submitting.safe_name(name)
        assert "/" not in made and "\0" not in made and not made.startswith(".") and len(made) <= 80
