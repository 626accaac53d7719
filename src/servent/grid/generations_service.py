"""Chains of units: when one has its result, the next is submitted, whose input it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from servent.errors import NotFound, UsageError
from servent.grid import generations_rows as rows
from servent.grid import submitting
from servent.grid.batches_rows import Batch, Counts
from servent.grid.batches_seams import Coordinating
from servent.grid.coordinator_views import Added, Final, Piece
from servent.grid.credit import from_cobblestones
from servent.grid.generations_rows import Due
from servent.store import Store

if TYPE_CHECKING:
    import sqlite3

AT_ONCE = 500  # results that are read and submitted at a time; inline ones have 16 KiB


class Generations:
    """Submits what is due, in the task of its owner.

    Attributes:
        still: held while something is submitted; who cancels or forgets a batch holds it, too.
        some: whether any batch has generations; else nothing is read.

    Args:
        batch: project, batch and counts of a number, None where it is forgotten.
        give_up: cancels a batch, for a reason in words.
        came: results came, or work: wake whoever waits.
    """

    def __init__(
        self,
        store: Store,
        coordinator: Coordinating,
        batch: Callable[[int], tuple[bytes, Batch, Counts] | None],
        *,
        give_up: Callable[[int, str], Awaitable[None]],
        came: Callable[[], None],
    ) -> None:
        self._store, self._coordinator, self._batch = store, coordinator, batch
        self._give_up, self._came = give_up, came
        self.still = asyncio.Lock()
        self.some = False

    async def go_on(self) -> bool:
        """All that is due. Whether some has to wait: a result that is doubted just now is nobody's input, but may stand in the end, of which nobody would tell."""
        waiting: list[Due] = []
        if not self.some:
            return False
        while due := await self._store.read(rows.due(AT_ONCE, waiting)):
            finals = await self._coordinator.results([one.unit for one in due])
            for id in dict.fromkeys(one.batch for one in due):
                mine = [one for one in due if one.batch == id]
                ready = [one for one in mine if (final := finals.get(one.unit)) and final.state == "done"]
                waiting += [one for one in mine if one not in ready]
                try:
                    async with self.still:
                        await self._submit(id, ready, finals)
                except (NotFound, UsageError) as wrong:  # the project is closed
                    await self._store.write(rows.give_up(id))
                    await self._give_up(id, str(wrong))
        await self._stop()
        return bool(waiting)

    async def _submit(self, id: int, due: Sequence[Due], finals: dict[int, Final]) -> None:
        """All of one batch."""
        found = self._batch(id)
        if found is None or found[1].cancelled:
            await self._store.write(rows.give_up(id))
            return
        if not due:
            return
        project, batch, counts = found
        known: list[int] = []

        def along(db: sqlite3.Connection, added: Sequence[Added]) -> None:
            ends = [one.known is not None and one.known.state == "done" for one in added]
            units = [one.unit for one in added]
            whole = (batch.chains, batch.generations)
            known[:] = rows.put(db, id, whole, list(zip(due, units, ends, strict=True)))

        await self._coordinator.add_units(
            project,
            batch.app,
            id,
            [_piece(batch, one, finals[one.unit]) for one in due],
            priority=batch.priority,
            deadline=batch.deadline,
            expires=batch.expires,
            budget=None if batch.budget is None else from_cobblestones(batch.budget),
            along=along,
        )
        for number in known:
            counts.tell(batch, number, "done", 1)
        self._came()

    async def _stop(self) -> None:
        """What followed from results that do not hold. After what is due: some of it may be wanted again, as it is."""
        if units := await self._store.read(rows.former):
            await self._coordinator.cancel(units=[unit for unit, wanted in units if not wanted])
            await self._store.write(rows.stopped([unit for unit, _ in units]))


def _piece(batch: Batch, due: Due, before: Final) -> Piece:
    chain, generation = due.number % batch.chains, due.number // batch.chains + 1
    return Piece(
        seed=submitting.seed_of(chain % batch.repeat, generation),
        args=[submitting.filled(one, due.name, chain, generation) for one in batch.args],
        stdin=before.output or b"",
        content=before.content,
        operations=batch.operations,
        generation=batch.again,
    )
