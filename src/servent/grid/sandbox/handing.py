"""How many jobs a process is given at once. Pure.

A process that gets its next job only after the last one ended waits for us in between, which is long where jobs take a tenth of a millisecond. So short jobs
are given ahead, of modules whose jobs were short before; a long one always gets a process that is free.
"""

from __future__ import annotations

from collections import OrderedDict

AHEAD = 64  # jobs
SECONDS = 0.03  # of work ahead of a process; more than a busy node takes to give it more
WEIGHT = 0.25  # of the newest job in the average
KNOWN = 1000  # modules
LEAST = 0.0001  # s that any job takes


class Handing:
    """Knows how long the jobs of a module took lately."""

    def __init__(self) -> None:
        self._took: OrderedDict[bytes, float] = OrderedDict()

    def took(self, digest: bytes, seconds: float) -> None:
        """A job of this module is over, after so many seconds."""
        before = self._took.pop(digest, seconds)
        # A long one counts at once, short ones bit by bit: waiting behind a long job is worse than a pause between short ones.
        self._took[digest] = seconds if seconds > before else before + WEIGHT * (seconds - before)
        if len(self._took) > KNOWN:
            self._took.popitem(last=False)

    def room(self, given: int, seconds: float, digest: bytes) -> bool:
        """Whether a process that was given so many jobs, of so many seconds together, takes one more."""
        return given < AHEAD and seconds + self.expected(digest) <= SECONDS

    def expected(self, digest: bytes) -> float:
        """How many seconds the next job of this module may take; infinite where nothing is known of it."""
        return max(LEAST, self._took.get(digest, float("inf")))
