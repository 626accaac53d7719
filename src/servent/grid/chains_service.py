"""Chains of generations for people's eyes: how far each is, and, where its results are trajectories, the film they make together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from servent.errors import BadMessage, DiskTrouble, NotFound, UsageError
from servent.grid import chain_views as views
from servent.grid import generations_rows as rows
from servent.grid import looks, trajectories
from servent.grid.batches_rows import Batch, Counts
from servent.grid.coordinator_views import Final, UnitLook
from servent.grid.generations_rows import Reached
from servent.grid.manifests import Content
from servent.grid.project_views import UnitState
from servent.grid.trajectories import Head
from servent.store import Store

PARTS_MOST = 1_000  # generations of a film; of longer ones evenly so many
ENERGIES_MOST = 2_000  # points of the plot
FRAMES_BYTES = 8 << 20  # of one answer
RESULTS_AT_ONCE = 100  # inline ones have 16 KiB


class Coordinating(Protocol):
    """What is asked of `coordinator_service.Coordinator`."""

    async def some_units(self, project: bytes, units: Sequence[int]) -> dict[int, UnitLook]: ...
    async def results(self, units: Sequence[int]) -> dict[int, Final]: ...


class Chains:
    """Args: `batch`: project, batch and counts of a number, raises NotFound; `path`: where a content lies on this disk."""

    def __init__(
        self,
        store: Store,
        coordinator: Coordinating,
        batch: Callable[[int], tuple[bytes, Batch, Counts]],
        path: Callable[[Content], Path | None],
    ) -> None:
        self._store, self._coordinator, self._batch, self._path = store, coordinator, batch, path

    async def chains(self, id: int, after: int = 0, limit: int = 100) -> views.ChainPage:
        """Those numbered `after` and on. Raises NotFound; UsageError: this batch has no generations."""
        project, batch, _ = self._whole(id)
        some = range(after, min(batch.chains, after + limit))
        found = await self._store.read(rows.reached(id, batch.chains, batch.generations, some))
        unknown = [one.unit for one in found if one.unit and one.state != "cancelled"]
        at = await self._coordinator.some_units(project, unknown) if unknown else {}
        return views.ChainPage(
            chains=tuple(_chain(batch, one, at.get(one.unit)) for one in found),
            more=some.stop < batch.chains,
        )

    async def trajectory(self, id: int, chain: int) -> views.Trajectory:
        """Of one chain, as far as it is; of very long ones not every generation, and not every energy. Raises NotFound: nothing of it is there, or no trajectory."""
        _, batch, _ = self._whole(id)
        if not 0 <= chain < batch.chains:
            raise NotFound(f"batch {id} has no chain {chain}")
        (found,) = await self._store.read(rows.reached(id, batch.chains, batch.generations, [chain]))
        numbers = [
            chain + batch.chains * generation for generation in trajectories.thinned(found.done, PARTS_MOST)
        ]
        there: list[tuple[int, Head, bytes | Path]] = []
        for begin in range(0, len(numbers), RESULTS_AT_ONCE):
            some = numbers[begin : begin + RESULTS_AT_ONCE]
            units = await self._store.read(rows.units_of(id, some))
            finals = await self._coordinator.results(list(units.values()))
            sources = [(number, self._source(finals.get(units.get(number, 0)))) for number in some]
            there += await asyncio.to_thread(
                _heads, [(number, one) for number, one in sources if one is not None]
            )
        if not there:
            raise NotFound(f"chain {chain} of batch {id} has no trajectory yet")
        # A stranger's that is of other atoms than most are is left out, as one that is no trajectory.
        shape = Counter((head.atoms, head.every) for _, head, _ in there).most_common(1)[0][0]
        there = [one for one in there if (one[1].atoms, one[1].every) == shape]
        first = there[0][1]
        return views.Trajectory(
            chain=chain,
            input=found.name,
            atoms=first.atoms,
            box=first.box,
            dt=first.dt,
            every=first.every,
            began=first.began,
            generations=batch.generations,
            done=found.done,
            parts=tuple(
                views.TrajectoryPart(
                    number=number,
                    generation=number // batch.chains,
                    frames=head.frames,
                    first=head.first,
                    step=head.step,
                )
                for number, head, _ in there
            ),
            energies=tuple(
                await asyncio.to_thread(_energies, [(head, source) for _, head, source in there])
            ),
        )  # fmt: skip

    async def frames(self, id: int, number: int, first: int, count: int, every: int) -> bytes:
        """Frames of the generation that is unit `number`: `count` of them from `first` on, each `every`th; fewer at its end. Each: potential and kinetic energy
        (f64), then x, y, z of each atom in 65536ths of the side of the box (u16), little-endian.

        Raises:
            NotFound: it has no result, or no trajectory. UsageError: more than 8 MiB at once.
        """
        self._whole(id)
        units = await self._store.read(rows.units_of(id, [number]))
        finals = await self._coordinator.results(list(units.values()))
        source = self._source(finals.get(units.get(number, 0)))
        if source is None:
            raise NotFound(f"unit {number} of batch {id} has no result yet")
        return await asyncio.to_thread(_frames, number, source, first, count, every)

    def _whole(self, id: int) -> tuple[bytes, Batch, Counts]:
        found = self._batch(id)
        if found[1].generations < 2:
            raise UsageError(
                f"batch {id} has no generations", advice="`servent grid results` has its results."
            )
        return found

    def _source(self, final: Final | None) -> bytes | Path | None:
        if final is None or final.state != "done":
            return None
        if final.output is not None:
            return final.output
        return None if final.content is None else self._path(final.content)


def _chain(batch: Batch, one: Reached, look: UnitLook | None) -> views.Chain:
    state: UnitState = "waiting"
    why, fraction, copies = "", None, ()
    if one.done == batch.generations:
        state = "done"
    elif one.state in ("error", "cancelled"):
        state, why = one.state, "" if look is None else look.why  # type: ignore[assignment]
    elif batch.cancelled:
        state = "cancelled"
    elif look is not None:
        shown = looks.unit_view(look, None)
        state, fraction, copies, why = shown.state, shown.fraction, shown.copies, shown.why  # type: ignore[assignment]
        if state == "done":  # it is, and its successor is about to be submitted
            state, fraction, copies = "waiting", None, ()
    return views.Chain(
        number=one.chain,
        input=one.name,
        done=one.done,
        state=state,
        unit=one.unit,
        fraction=fraction,
        copies=copies,
        why=why,
    )


# -- on the disk


def _read(source: bytes | Path, at: int, size: int) -> bytes:
    """Raises DiskTrouble."""
    if isinstance(source, bytes):
        return source[at : at + size]
    try:
        with open(source, "rb") as file:
            file.seek(at)
            return file.read(size)
    except OSError as wrong:
        raise DiskTrouble(f"cannot read a result: {wrong.strerror}") from wrong


def _size(source: bytes | Path) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _head(source: bytes | Path) -> Head:
    try:
        return trajectories.read_head(_read(source, 0, trajectories.HEAD_BYTES), _size(source))
    except OSError as wrong:
        raise DiskTrouble(f"cannot read a result: {wrong.strerror}") from wrong


def _heads(sources: Sequence[tuple[int, bytes | Path]]) -> list[tuple[int, Head, bytes | Path]]:
    """Those that are trajectories."""
    found = []
    for number, source in sources:
        try:
            found.append((number, _head(source), source))
        except BadMessage:
            continue
    return found


def _energies(heads: Sequence[tuple[Head, bytes | Path]]) -> list[tuple[int, float, float]]:
    """(step, potential, kinetic) of each frame, or of evenly many."""
    found: list[tuple[int, float, float]] = []
    wanted = trajectories.thinned(sum(head.frames for head, _ in heads), ENERGIES_MOST)
    at, begin = next(wanted, None), 0
    for head, source in heads:
        while at is not None and at < begin + head.frames:
            frame = at - begin
            try:
                said = trajectories.read_energies(_read(source, head.at(frame), trajectories.FRAME_HEAD.size))
                found.append((head.first + frame * head.every, *said))
            except BadMessage:
                pass  # a stranger wrote it: one point less
            at = next(wanted, None)
        begin += head.frames
    return found


def _frames(number: int, source: bytes | Path, first: int, count: int, every: int) -> bytes:
    try:
        head = _head(source)
    except BadMessage as wrong:
        raise NotFound(f"unit {number} has no trajectory: {wrong}") from wrong
    places = range(first, min(head.frames, first + count * every), every)
    if len(places) * head.frame_bytes > FRAMES_BYTES:
        raise UsageError("more than 8 MiB of frames at once", advice="Ask for fewer.")
    if isinstance(source, bytes) or every > 1:
        return b"".join(_read(source, head.at(frame), head.frame_bytes) for frame in places)
    return _read(source, head.at(first), len(places) * head.frame_bytes) if places else b""
