"""Outputs that do not fit into a message, comparers, and checkpoints that outlive whoever took them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from servent.errors import WorldError
from servent.grid import wire
from servent.grid.coordinator_views import ComparerFailed
from servent.grid.manifests import App, Content, Limits
from tests.grid.coordinating import ME, MODULE, Volunteer, app, hall, pieces, right, story
from tests.net.party import until


class Shelf:
    """Contents of volunteers, as `Contents` would fetch them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.there: dict[bytes, bytes] = {}
        self.kept: dict[str, bytes] = {}
        self.fetched: list[bytes] = []
        self.asked: list[tuple[bytes, ...]] = []

    def publish(self, data: bytes) -> Content:
        name = hashlib.sha256(b"infohash" + data).digest()
        self.there[name] = data
        return Content(name, 0, hashlib.sha256(b"root" + data).digest(), len(data))

    async def fetch(
        self,
        content: Content,
        contacts: Sequence[bytes] = (),
        *,
        project: bytes = b"",
        keep: str = "",
        most_bytes: int = 2**53,
        timeout: float = 600.0,
    ) -> Path:
        await asyncio.sleep(0)
        self.asked.append(tuple(contacts))
        data = self.there.get(content.infohash)
        if data is None or content.size > most_bytes:
            raise WorldError("nobody has it")
        self.fetched.append(content.infohash)
        if keep:
            self.kept[keep] = content.infohash
        place = self.folder / content.infohash.hex()
        place.write_bytes(data)
        return place

    def release(self, keep: str) -> None:
        self.kept.pop(keep, None)


def big(lease: int, content: Content, data: bytes) -> wire.Result:
    return wire.Result(lease=lease, outcome="done", digest=hashlib.sha256(data).digest(), content=content)


@story
async def test_a_large_output_is_fetched_before_it_counts_and_the_same_is_fetched_once(
    tmp_path: Path,
) -> None:
    shelf, data = Shelf(tmp_path), b"z" * 100_000
    async with hall(tmp_path / "grid.db", outputs=shelf) as here:
        (added,) = await here.add(pieces(1))
        content = shelf.publish(data)
        for number in (1, 2):
            one = await here.volunteer(number)
            (task,) = await one.lease()
            assert await one.give(big(task.lease, content, data)) == ["taken"]
            live = here.coordinator._state.live.get(added.unit)
            await until(lambda live=live: live is None or bool(live.outputs))  # type: ignore[misc]
            assert bool(here.finals) == (number == 2)
        assert shelf.fetched == [content.infohash]
        assert here.finals[0].content == content and here.finals[0].output is None
        assert here.finals[0].digest == hashlib.sha256(data).digest()
        assert list(shelf.kept) == [f"output {added.unit} {here.finals[0].digest.hex()}"]


@story
async def test_an_output_that_is_another_than_its_digest_says_is_an_error_of_its_host(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    async with hall(tmp_path / "grid.db", app_=app(quorum=1), outputs=shelf) as here:
        await here.add(pieces(1))
        eve, ann = await here.volunteer(1), await here.volunteer(2)
        (task,) = await eve.lease()
        lie = big(task.lease, shelf.publish(b"x" * 50_000), b"y" * 50_000)
        assert await eve.give(lie) == ["taken"]
        await until(lambda: here.coordinator.view(here.key).errors == 1)
        assert not here.finals and not await here.due()
        await ann.give_right(await ann.lease())
        await until(lambda: len(here.finals) == 1)
        assert here.finals[0].output == b"result of 0" and not shelf.kept


@story
async def test_an_output_that_cannot_be_had_is_given_up_after_a_while(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("servent.grid.coordinator_files_service.AGAIN", 0.01)
    monkeypatch.setattr("servent.grid.coordinator_files_service.TRIES", 3)
    shelf = Shelf(tmp_path)
    async with hall(tmp_path / "grid.db", app_=app(quorum=1), outputs=shelf) as here:
        await here.add(pieces(1))
        eve = await here.volunteer(1)
        (task,) = await eve.lease()
        await eve.give(big(task.lease, Content(b"n" * 32, 0, b"n" * 32, 50_000), b"never there"))
        await until(lambda: here.coordinator.view(here.key).errors == 1)
        assert len(shelf.asked) == 3
        ann = await here.volunteer(2)
        assert len(await ann.lease()) == 1


@story
async def test_a_result_to_be_fetched_is_fetched_after_a_restart(tmp_path: Path) -> None:
    shelf, data = Shelf(tmp_path), b"q" * 30_000
    content = shelf.publish(data)
    async with hall(tmp_path / "grid.db", app_=app(quorum=1), outputs=shelf) as here:
        await here.add(pieces(1))
        ann = await here.volunteer(1)
        (task,) = await ann.lease()
        there, shelf.there = shelf.there, {}
        await ann.give(big(task.lease, content, data))
        clock = here.clock
    shelf.there = there
    async with hall(tmp_path / "grid.db", app_=app(quorum=1), outputs=shelf, clock=clock) as here:
        await until(lambda: len(here.finals) == 1)
        assert here.finals[0].content == content


@story
async def test_a_comparer_finds_what_is_alike(tmp_path: Path) -> None:
    asked: list[tuple[bytes | Path, bytes | Path]] = []

    async def compare(manifest: App, a: bytes | Path, b: bytes | Path) -> bool:
        asked.append((a, b))
        assert isinstance(a, bytes) and isinstance(b, bytes)
        return abs(float(a) - float(b)) < 0.01

    signed = app(compare="comparer", comparer=MODULE)
    async with hall(tmp_path / "grid.db", app_=signed, compare=compare) as here:
        await here.add(pieces(1))
        words = [b"1.000", b"2.000", b"1.001"]
        people: list[Volunteer] = []
        for number, output in enumerate(words):
            one = await here.volunteer(number)
            people.append(one)
            while not (tasks := await one.lease()):
                await asyncio.sleep(0.02)
            result = wire.Result(
                lease=tasks[0].lease, outcome="done", digest=hashlib.sha256(output).digest(), output=output
            )
            assert await one.give(result) == ["taken"]
        await until(lambda: len(here.finals) == 1)
        assert here.finals[0].output == b"1.000" and here.finals[0].verified
        paid = {identity for identity, _, _ in await here.due()}
        assert paid == {bytes(people[0].identity), bytes(people[2].identity)}
        assert (b"1.000", b"2.000") in asked


@pytest.mark.parametrize("words", [(b"boom", b"1.000", b"1.001"), (b"1.000", b"boom", b"1.001")])
@story
async def test_a_result_that_breaks_the_comparer_harms_nobody_but_who_sent_it(
    tmp_path: Path, words: tuple[bytes, ...]
) -> None:
    """Whoever comes first stands unopposed, and whoever is compared with it would else be to blame."""

    async def compare(manifest: App, a: bytes | Path, b: bytes | Path) -> bool:
        if b"boom" in (a, b):
            raise ComparerFailed("it gave up")
        assert isinstance(a, bytes) and isinstance(b, bytes)
        return abs(float(a) - float(b)) < 0.01

    signed = app(compare="comparer", comparer=MODULE)
    async with hall(tmp_path / "grid.db", app_=signed, compare=compare) as here:
        await here.add(pieces(1))
        liar, honest = set[bytes](), set[bytes]()
        for number, output in enumerate(words):
            one = await here.volunteer(number)
            (liar if output == b"boom" else honest).add(bytes(one.identity))
            while not (tasks := await one.lease()):
                await asyncio.sleep(0.02)
            result = wire.Result(
                lease=tasks[0].lease, outcome="done", digest=hashlib.sha256(output).digest(), output=output
            )
            assert await one.give(result) == ["taken"]
        await until(lambda: len(here.finals) == 1)
        assert here.finals[0].output in (b"1.000", b"1.001") and here.finals[0].verified
        assert {identity for identity, _, _ in await here.due()} == honest
        hosts = {bytes(host.identity): host for host in here.coordinator.hosts(here.key)}
        assert all(hosts[one].errors == 0 and hosts[one].invalid == 0 for one in honest)
        assert all(hosts[one].errors + hosts[one].invalid == 1 for one in liar)


def slices() -> dict[str, object]:
    return {"abi": "slice", "limits": Limits(checkpoint_bytes=1_000_000)}


@story
async def test_a_checkpoint_outlives_its_host_and_somebody_else_goes_on(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    async with hall(tmp_path / "grid.db", app_=app(quorum=2, **slices()), outputs=shelf) as here:
        (added,) = await here.add(pieces(1), deadline=100.0)
        ann, bob, joe = [await here.volunteer(number) for number in (1, 2, 3)]
        (task,) = await ann.lease()
        await bob.lease()
        for count in (1, 2):
            snapshot = shelf.publish(b"state %d" % count * 1000)
            mark = wire.Checkpoint(snapshot, count, bytes(32), 0.1 * count)
            await ann.visit.answer(wire.Renew([wire.Progress(task.lease, 0.1 * count, mark)]))
            name = f"checkpoint {added.unit} {snapshot.infohash.hex()}"
            await until(lambda name=name: list(shelf.kept) == [name])  # type: ignore[misc]
        older = wire.Checkpoint(shelf.publish(b"old" * 1000), 1, bytes(32))
        await ann.visit.answer(wire.Renew([wire.Progress(task.lease, 0.2, older)]))
        assert list(shelf.kept) == [name]
        here.clock.ahead += 50.0
        assert isinstance(await bob.visit.answer(wire.Look()), wire.Looked)
        here.clock.ahead += 51.0  # ann is gone, and bob, too
        while not (tasks := await joe.lease()):
            await asyncio.sleep(0.02)
        assert tasks[0].resume is not None and tasks[0].resume.slices == 2
        assert tasks[0].contacts
        # ann's part is in it: it is one word, and she cannot be the second
        assert await ann.lease() == []
        await joe.give_right(tasks)
        while not (tasks := await bob.lease()):
            await asyncio.sleep(0.02)
        assert tasks[0].resume is None
        await bob.give_right(tasks)
        await until(lambda: len(here.finals) == 1)
        await until(lambda: not shelf.kept)


@story
async def test_who_gives_back_hands_its_checkpoint_over(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    async with hall(tmp_path / "grid.db", app_=app(quorum=1, **slices()), outputs=shelf) as here:
        await here.add(pieces(1))
        ann, bob = await here.volunteer(1), await here.volunteer(2)
        (task,) = await ann.lease()
        mark = wire.Checkpoint(shelf.publish(b"half" * 1000), 5, bytes(32), 0.5)
        await ann.visit.answer(wire.Abort([task.lease], [wire.Progress(task.lease, 0.5, mark)]))
        while not (tasks := await bob.lease()):
            await asyncio.sleep(0.02)
        assert tasks[0].resume == mark
        assert await ann.give(right(task)) == ["late"]
        await bob.give_right(tasks)
        await until(lambda: len(here.finals) == 1)


@story
async def test_checkpoints_that_are_none_are_not_fetched(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    async with hall(tmp_path / "grid.db", app_=app(quorum=1, **slices()), outputs=shelf) as here:
        await here.add(pieces(1))
        eve, ann = await here.volunteer(1), await here.volunteer(2)
        (task,) = await eve.lease()
        huge = wire.Checkpoint(Content(b"h" * 32, 0, b"h" * 32, 10**9), 1, bytes(32))
        fine = wire.Checkpoint(shelf.publish(b"fine" * 100), 1, bytes(32))
        await eve.visit.answer(wire.Renew([wire.Progress(task.lease, 0.1, huge)]))
        await ann.visit.answer(wire.Renew([wire.Progress(task.lease, 0.1, fine)]))  # not hers
        await eve.visit.answer(wire.Renew([wire.Progress(task.lease + 1, 0.1, fine)]))  # nobody's
        await asyncio.sleep(0.05)
        assert not shelf.asked


@story
async def test_an_output_that_goes_away_before_it_is_read_ends_nothing_but_its_result(
    tmp_path: Path, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("servent.grid.coordinator_files_service.AGAIN", 0.01)
    monkeypatch.setattr("servent.grid.coordinator_files_service.TRIES", 2)

    class Leaky(Shelf):
        async def fetch(self, content: Content, contacts: Sequence[bytes] = (), **how: object) -> Path:
            place = await super().fetch(content, contacts, **how)  # type: ignore[arg-type]
            place.unlink()
            return place

    shelf, data = Leaky(tmp_path), b"q" * 30_000
    async with hall(tmp_path / "grid.db", app_=app(quorum=1), outputs=shelf) as here:
        await here.add(pieces(1))
        eve, ann = await here.volunteer(1), await here.volunteer(2)
        (task,) = await eve.lease()
        await eve.give(big(task.lease, shelf.publish(data), data))
        await until(lambda: here.coordinator.view(here.key).errors == 1)
        await ann.give_right(await ann.lease())
        await until(lambda: len(here.finals) == 1)


@story
async def test_who_takes_and_gives_back_for_ever_makes_a_unit_no_larger(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        (added,) = await here.add(pieces(1))
        local = Volunteer(here.coordinator.visit(here.key, ME.peer, local=True), ME.peer)
        await local.join()
        leases = set()
        for _ in range(150):
            (task,) = await local.lease()
            leases.add(task.lease)
            await local.visit.answer(wire.Abort([task.lease]))
        assert len(leases) == 150
        assert len(here.coordinator._state.live[added.unit].copies) <= 60
        (task,) = await local.lease()
        assert await local.give_right([task]) == ["taken"]
        await until(lambda: len(here.finals) == 1)
