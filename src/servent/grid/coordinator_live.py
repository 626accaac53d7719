"""A unit in the coordinator's memory, and when to look at it again. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from servent.grid.coordinator_rows import Batch, Doc, Output, Side, Spec
from servent.grid.model import Copy, Unit
from servent.grid.wire import Checkpoint

COPY_BITS = 20  # of a lease's number; the rest is the unit's
REMEMBERED = 48  # copies of a unit; beyond, the oldest of those that were given back are forgotten
STEP = 0.5  # s; how exactly a unit is looked at again

QUEUED, ACTIVE, ENDED = 0, 1, 2  # the table a unit's row stands in


def unit_of(lease: int) -> int:
    return lease >> COPY_BITS


class Live:
    """A unit that is waiting, worked on, or has just ended. Changed by `State` alone.

    `spec`: None where it has to be read before another copy is leased. `row`: the table it stands in on the disk. `place`: the shelf of `Ready` that it stands on.
    `promised`: copies for which something is set aside, `aside` of the project's purse. `dirty`: it is among what is to be written. `busy`: what else must be over before it may be forgotten (files being fetched, comparers that run).
    """

    __slots__ = (
        "app", "aside", "batch", "busy", "copies", "cost", "dirty", "ended", "hold", "key", "operations", "order", "outputs",
        "place", "promised", "resume", "revised", "row", "shown", "sides", "spec", "unit", "wake",
    )  # fmt: skip

    def __init__(self, unit: Unit, app: int, batch: Batch, key: bytes, operations: int, row: int) -> None:
        self.unit = unit
        self.app, self.batch, self.key, self.operations, self.row = app, batch, key, operations, row
        self.copies: list[Copy] = []
        self.sides: dict[int, Side] = {}
        self.outputs: dict[bytes, Output] = {}
        self.spec: Spec | None = None
        self.order = 0
        self.ended = 0.0
        self.cost = 0
        self.resume: tuple[Checkpoint, tuple[bytes, ...]] | None = None
        self.revised = False
        self.place: dict[int, Live] | None = None
        self.dirty = False
        self.busy = 0
        self.hold = 0.0  # no new copy is handed out until then: a checkpoint is on its way
        self.wake: int | None = None
        self.shown = "waiting"
        self.aside = self.promised = 0

    @classmethod
    def of(cls, doc: Doc, batch: Batch, row: int) -> Live:
        """As it was written."""
        live = cls(doc.unit, doc.app, batch, doc.key, doc.operations, row)
        live.copies, live.sides, live.outputs = doc.copies, doc.sides, doc.outputs
        live.order, live.ended, live.cost, live.resume = doc.order, doc.ended, doc.cost, doc.resume
        live.revised = doc.revised
        live.shown = live.look()
        return live

    def doc(self) -> Doc:
        return Doc(
            self.unit, self.copies, self.sides, self.outputs, self.batch.batch, self.app, self.key, self.operations,
            self.order, self.ended, self.cost, self.resume, self.revised,
        )  # fmt: skip

    def copy(self, lease: int) -> Copy | None:
        for copy in self.copies:
            if copy.id == lease:
                return copy
        return None

    def side(self, lease: int) -> Side:
        side = self.sides.get(lease)
        if side is None:
            side = self.sides[lease] = Side()
        return side

    def next_lease(self) -> int:
        """The number of a new copy. Those before it may have been dropped."""
        last = self.copies[-1].id if self.copies else self.unit.id << COPY_BITS
        return max(last, self.unit.id << COPY_BITS) + 1

    @property
    def end(self) -> int:
        """No lease of this unit has this number: a million are enough."""
        return (self.unit.id + 1) << COPY_BITS

    def pending(self) -> list[Copy]:
        """Results that are not compared yet."""
        return [copy for copy in self.copies if copy.state == "returned" and copy.group is None]

    def target(self) -> int:
        """The table its row belongs into now."""
        if self.unit.state == "open" or any(
            copy.state == "returned" and copy.group is None for copy in self.copies
        ):
            return ACTIVE
        return ENDED

    def shorten(self) -> None:
        """Forget copies that were given back: they say nothing any more."""
        old = self.copies[:-8]
        gone = {copy.id for copy in old if copy.state == "aborted"}
        self.copies = [copy for copy in self.copies if copy.id not in gone]
        for lease in gone:
            self.sides.pop(lease, None)

    def look(self) -> str:
        """ "waiting", "running", "checking", or how it ended."""
        if self.unit.state != "open":
            return self.unit.state
        shown = "waiting"
        for copy in self.copies:
            if copy.state == "leased":
                return "running"
            if copy.state == "returned":
                shown = "checking"
        return shown


class Wakes:
    """When units are to be looked at though nothing came. As large as there are units in it, however often they change."""

    def __init__(self) -> None:
        self._steps: dict[int, set[int]] = {}
        self._heap: list[int] = []

    def set(self, live: Live, at: float | None) -> None:
        """Look at `live` at wall time `at` (a moment later rather than earlier), None: not at all."""
        step = None if at is None else int(at / STEP) + 1
        if step == live.wake:
            return
        unit = live.unit.id
        if live.wake is not None and (units := self._steps.get(live.wake)) is not None:
            units.discard(unit)
        live.wake = step
        if step is None:
            return
        units = self._steps.get(step)
        if units is None:
            units = self._steps[step] = set()
            heapq.heappush(self._heap, step)
        units.add(unit)

    def due(self, now: float, most: int = 1000) -> Iterable[int]:
        """Units whose time has come, each once; at most about `most`."""
        found: list[int] = []
        while self._heap and self._heap[0] * STEP <= now and len(found) < most:
            found += self._steps.pop(heapq.heappop(self._heap))
        return found

    def next(self) -> float | None:
        """Wall time of the first."""
        while self._heap and not self._steps[self._heap[0]]:
            del self._steps[heapq.heappop(self._heap)]
        return self._heap[0] * STEP if self._heap else None
