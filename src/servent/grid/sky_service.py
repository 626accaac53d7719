"""Batches whose results are signals (see `formats`): all that was found in them, ranked, for people's eyes."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from servent.errors import BadMessage, ServentError, UsageError
from servent.grid import batches_rows as rows
from servent.grid.batches_rows import Batch, Counts, Line
from servent.grid.coordinator_views import Final
from servent.grid.outcomes import Outcomes
from servent.listen import signals
from servent.listen.sky import Candidate, Sky
from servent.store import Store

log = logging.getLogger("servent.grid")

AT_ONCE = 100  # results
KEPT = 4  # batches whose sky stays in memory


class SkyView(Struct, frozen=True):
    """`parts` of `units` are read; `signals` above a threshold; `candidates`: what they are of, strongest first. `seconds`: of listening, `recordings`: how many; `full`: parts that heard more than a result has room for; `unread`: results that are none."""

    parts: int
    units: int
    signals: int
    recordings: int
    seconds: float
    operations: float
    full: int
    unread: int
    candidates: tuple[Candidate, ...]


class Coordinating(Protocol):
    """What is asked of `coordinator_service.Coordinator`."""

    async def results(self, units: Sequence[int]) -> dict[int, Final]: ...


class _Read:
    def __init__(self) -> None:
        self.sky = Sky()
        self.after = 0
        self.unread: set[int] = set()
        self.lock = asyncio.Lock()


class Skies:
    """Args: `batch`: project, batch and counts of a number, raises NotFound."""

    def __init__(
        self,
        store: Store,
        coordinator: Coordinating,
        batch: Callable[[int], tuple[bytes, Batch, Counts]],
        outcomes: Outcomes,
    ) -> None:
        self._store, self._coordinator, self._batch, self._outcomes = store, coordinator, batch, outcomes
        self._known: OrderedDict[int, _Read] = OrderedDict()

    async def sky(self, id: int, most: int = 100) -> SkyView:
        """Of what came until now; what was read before is not read again. Raises NotFound; UsageError: its results are no signals."""
        _, batch, counts = self._batch(id)
        no_signals = UsageError(
            f"the results of batch {id} are no signals", advice="`servent grid results` has them."
        )
        if batch.shows not in (None, "signals"):
            raise no_signals
        read = self._known.setdefault(id, _Read())
        self._known.move_to_end(id)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        async with read.lock:
            while lines := await self._store.read(rows.after(id, read.after, AT_ONCE)):
                finals = await self._coordinator.results([line.unit for line in lines])
                await asyncio.to_thread(self._take, read, lines, finals)
                read.after = lines[-1].order
            sky = read.sky
            if read.unread and not sky.parts:  # nobody has looked yet at what kind of results they are
                raise no_signals
            found = await asyncio.to_thread(sky.ranked, most)
            return SkyView(
                parts=sky.parts,
                units=counts.units,
                signals=sky.signals,
                recordings=len(sky.seconds),
                seconds=sum(sky.seconds.values()),
                operations=float(sky.operations),
                full=sky.full,
                unread=len(read.unread),
                candidates=tuple(found),
            )

    def _take(self, read: _Read, lines: Sequence[Line], finals: dict[int, Final]) -> None:
        for line in lines:
            final = finals.get(line.unit)
            if final is None or final.state != "done" or line.state != "done":
                read.sky.forget(line.number)
                continue
            try:
                read.sky.take(line.number, signals.read_result(self._outcomes.output(final)))
                read.unread.discard(line.number)
            except (BadMessage, ServentError) as wrong:
                read.sky.forget(line.number)
                read.unread.add(line.number)
                log.info("result %d of batch %d shows no signals: %s", line.number, line.batch, wrong)
