"""Chains whose results are doubted, found to be others, or fail, while the node is ended and begun again: in the end everything rests on what holds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from servent.grid import batches_rows as rows
from servent.grid import batches_service
from servent.grid.batches_service import Batches
from servent.grid.coordinator_views import Added, BatchLook, Final, Piece
from servent.store import Store
from tests.grid.coordinating import KEY
from tests.grid.test_batches import Apps, Shelf
from tests.net.party import until

PROJECT = bytes(KEY.peer)


@dataclass
class Unit:
    id: int
    key: tuple[bytes, bytes, tuple[str, ...]]
    state: str = "open"
    output: bytes = b""
    revised: bool = False
    doubted: bool = False  # open again, with its old result
    order: int = 0


class Fickle:
    """A coordinator that says whatever a test makes it say. It outlives the node."""

    def __init__(self) -> None:
        self.store: Store
        self.units: dict[int, Unit] = {}
        self._keys: dict[tuple[bytes, bytes, tuple[str, ...]], int] = {}
        self._order = 0
        self._tell: list[Callable[[Sequence[Final]], None]] = []

    # -- what the test does

    def end(self, unit: Unit, state: str, output: bytes = b"", *, revised: bool = False) -> None:
        self._order += 1
        unit.state, unit.output, unit.revised, unit.doubted = state, output, revised, False
        unit.order = self._order
        for tell in self._tell:
            tell([self._final(unit)])

    def open(self) -> list[Unit]:
        return [one for one in self.units.values() if one.state == "open"]

    def begin(self, store: Store) -> None:
        self.store, self._tell = store, []

    # -- what it is asked

    async def add_units(
        self,
        project: bytes,
        app: bytes,
        batch: int,
        pieces: Sequence[Piece],
        *,
        along: Callable[..., None] | None = None,
        **_: Any,
    ) -> list[Added]:
        added: list[Added] = []
        for piece in pieces:
            key = (piece.seed, piece.stdin, tuple(piece.args))
            unit = self.units.get(self._keys.get(key, 0))
            if unit is None or unit.state in ("error", "cancelled"):
                unit = Unit(len(self.units) + 1, key)
                self.units[unit.id], self._keys[key] = unit, unit.id
                added.append(Added(unit.id, True))
            else:
                known = self._final(unit) if unit.state == "done" and not unit.doubted else None
                added.append(Added(unit.id, False, known))
        if along is not None:
            await self.store.write(lambda db: along(db, added))
        return added

    async def cancel(self, *, batch: int | None = None, units: Sequence[int] = ()) -> int:
        for id in units:
            if self.units[id].state == "open":
                self.end(self.units[id], "cancelled")
        return 0

    async def change(self, *_: Any, **__: Any) -> BatchLook:
        raise NotImplementedError

    def on_final(self, callback: Callable[[Sequence[Final]], None]) -> None:
        self._tell.append(callback)

    async def finals(self, after: int = 0, limit: int = 1000, *, batch: int | None = None) -> list[Final]:
        found = sorted((one for one in self.units.values() if one.order > after), key=lambda one: one.order)
        return [self._final(one) for one in found[:limit]]

    async def forget(self, units: Sequence[int]) -> int:
        return 0

    async def results(self, units: Sequence[int]) -> dict[int, Final]:
        known = [self.units[id] for id in units]
        return {one.id: self._final(one) for one in known if one.state != "open" and not one.doubted}

    def batch(self, batch: int) -> BatchLook:
        return BatchLook(batch=batch, project=PROJECT)

    def _final(self, unit: Unit) -> Final:
        return Final(
            order=unit.order, unit=unit.id, project=PROJECT, batch=1, state=unit.state,  # type: ignore[arg-type]
            output=unit.output if unit.state == "done" else None, revised=unit.revised,
        )  # fmt: skip


@asynccontextmanager
async def node(folder: Path, fickle: Fickle) -> AsyncIterator[Batches]:
    store = Store(folder / "grid.db", durable=True)
    batches = Batches(
        store, fickle, Shelf(folder / "c"), Apps(b"a" * 32), told=lambda: None, wall=lambda: 1e9
    )
    async with store:
        fickle.begin(store)
        await batches.open()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(batches.run())
            try:
                yield batches
            finally:
                task.cancel()


CHAINS, GENERATIONS = 3, 5


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_service, "DOUBTED", 0.02)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_revised_and_whenever_it_is_ended_all_rests_on_what_holds(
    tmp_path: Path, seed: int
) -> None:
    asyncio.run(_fickle(tmp_path, random.Random(seed)))


async def _fickle(folder: Path, dice: random.Random) -> None:
    fickle = Fickle()
    id = 0

    def answer(unit: Unit) -> bytes:
        return unit.key[1] + b">%d" % dice.randint(0, 99)

    for life in range(6):
        async with node(folder, fickle) as batches:
            if not life:
                items = [b"%d" % number for number in range(CHAINS)]
                made = await batches.submit(
                    PROJECT, "app", items=items, args=["{generation}"], generations=GENERATIONS
                )
                id = made.id
            for _ in range(dice.randint(0, 25)):
                some = list(fickle.units.values())
                unit = dice.choice(some)
                match dice.random():
                    case roll if unit.state == "open" and roll < 0.8:
                        fickle.end(unit, "done", answer(unit))
                    case roll if unit.state == "open" and roll < 0.83:
                        fickle.end(unit, "error")
                    case roll if unit.state == "done" and roll < 0.15:
                        unit.doubted = True
                    case roll if unit.state == "done" and roll < 0.2:
                        fickle.end(unit, "done", answer(unit), revised=True)
                    case roll if unit.state == "done" and roll < 0.23:
                        fickle.end(unit, "error", revised=True)
                for _ in range(dice.randint(0, 6)):
                    await asyncio.sleep(0)
                if dice.random() < 0.3:
                    await asyncio.sleep(0.01)
    async with node(folder, fickle) as batches:
        for _ in range(10_000):
            for unit in fickle.units.values():
                if unit.state == "open":
                    fickle.end(unit, "done", answer(unit))
                if unit.doubted:
                    unit.doubted = False  # it was right all the same: nobody is told
            if batches.view(id).state == "done" and not fickle.open():
                await asyncio.sleep(0.05)
                if batches.view(id).state == "done" and not fickle.open():
                    break
            await asyncio.sleep(0.005)
        view = batches.view(id)
        assert view.state == "done" and view.units == CHAINS * GENERATIONS, view
        lines = [one async for one in batches.watch(id)]
        store = fickle.store
        current = dict(
            await store.read(lambda db: db.execute("SELECT number, unit FROM grid_batch_units").fetchall())
        )
        loaded = (await store.read(rows.load))[0][id][2]
        due = await store.read(lambda db: db.execute("SELECT * FROM grid_batch_next").fetchall())
        stopped = await store.read(
            lambda db: db.execute("SELECT unit FROM grid_batch_former WHERE stopped = 0").fetchall()
        )
    assert (due, stopped) == ([], [])
    newest = {one.number: one for one in lines}
    for chain in range(CHAINS):
        before, holds = b"%d" % chain, True
        for generation in range(GENERATIONS):
            number = generation * CHAINS + chain
            if not holds:
                assert number not in newest or newest[number].state == "waiting"
                assert not current.get(number), "nothing follows from what has no result"
                continue
            unit = fickle.units[current[number]]
            assert unit.key[1:] == (before, (str(generation),)), "its input is what holds of the one before"
            assert newest[number].state == unit.state and newest[number].unit == unit.id
            if unit.state == "done":
                assert newest[number].output == unit.output.decode()
            before, holds = unit.output, unit.state == "done"
    told: dict[int, tuple[str, str | None, int]] = {}
    for one in lines:  # nobody is told the same twice
        assert one.revised == (one.number in told)
        told[one.number] = (one.state, one.output, one.unit)
    errors = sum(one.state == "error" for one in newest.values())
    finished = sum(one.state == "done" for one in newest.values())
    assert (view.done, view.errors) == (finished, errors)
    assert view.cancelled == CHAINS * GENERATIONS - finished - errors
    assert (loaded.done, loaded.errors, loaded.cancelled) == (view.done, view.errors, view.cancelled)


def test_a_revised_result_voids_what_followed_and_the_chain_goes_on_from_the_right_one(
    tmp_path: Path,
) -> None:
    async def tell() -> None:
        fickle = Fickle()
        async with node(tmp_path, fickle) as batches:
            made = await batches.submit(
                PROJECT, "app", items=[b"x"], generations=4, to=tmp_path / "out", title="one"
            )
            for unit in (1, 2, 3):
                await until(lambda unit=unit: unit in fickle.units)  # type: ignore[misc]
                fickle.end(fickle.units[unit], "done", b"wrong %d" % unit)
            await until(lambda: 4 in fickle.units)
            await until(lambda: batches.view(made.id).done == 3)
            fickle.end(fickle.units[1], "done", b"right", revised=True)
            await until(lambda: 5 in fickle.units)
            assert fickle.units[5].key[1] == b"right"
            await until(lambda: fickle.units[4].state == "cancelled")  # nobody computes on what is wrong
            view = batches.view(made.id)
            assert (view.state, view.done, view.units) == ("running", 1, 4)
            with pytest.raises(Exception, match="no result yet"):
                await batches.output(made.id, 1)
            page = await batches.results(made.id)
            assert [(one.number, one.state, one.revised) for one in page.results] == [
                (0, "done", False), (1, "done", False), (2, "done", False), (0, "done", True), (1, "waiting", True), (2, "waiting", True),
            ]  # fmt: skip
            assert "another result" in page.results[-1].why and page.results[-1].output is None
            fickle.end(fickle.units[3], "done", b"nobody asks any more", revised=True)
            for unit in (5, 6, 7):
                await until(lambda unit=unit: unit in fickle.units)  # type: ignore[misc]
                fickle.end(fickle.units[unit], "done", b"right %d" % unit)
            await until(lambda: batches.view(made.id).state == "done")
            await until(lambda: len((tmp_path / "out/results.jsonl").read_text().splitlines()) == 9)
            assert await batches.output(made.id, 3) == b"right 7"
            assert len(fickle.units) == 7
            await batches.forget(made.id)

    asyncio.run(tell())
