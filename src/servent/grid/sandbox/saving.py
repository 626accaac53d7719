"""When a snapshot is worth its cost. Pure.

One is taken as often as a job says at the latest, and after every slice where that costs next to nothing: then a killed process
loses one slice at most. What it costs is known from the last one: time, and bytes that a disk wears by.
"""

from __future__ import annotations

OFTEN = 2.0  # s; no sooner: each is synced, and so is what the node notes of it
COST = 0.02  # of the time since the last one
WEAR = 100_000.0  # bytes/s on the average: 8.6 GB in a day that is all computing
SMALL_BYTES = (
    4 * 1024 * 1024
)  # of memory: so little may be saved early though nobody knows yet how small it packs


class Saving:
    """Of one job. `every`: seconds between two snapshots at the latest, 0 for none at all."""

    def __init__(self, every: float, memory_bytes: int, now: float) -> None:
        self._every, self._last = every, now
        self._took, self._size = (0.0, 0) if memory_bytes <= SMALL_BYTES else (every, 0)

    def due(self, now: float) -> bool:
        """Whether the slice that is over now is one to save after. `now`: seconds of a clock that only goes forward."""
        since = now - self._last
        if not self._every or since >= self._every:
            return bool(self._every)
        return since >= OFTEN and self._took <= COST * since and self._size <= WEAR * since

    def saved(self, began: float, now: float, size: int) -> None:
        """It took from `began` to `now`, and `size` bytes; 0 where it was too large to be kept, so the next is no sooner than it must."""
        self._last, self._size = now, size
        self._took = now - began if size else self._every
