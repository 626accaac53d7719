"""How much one source may owe us, from what it delivered. A core: no I/O, no clock.

In the manner of BBR (Cardwell et al., ACM Queue 14, 2016): the window doubles while that makes the source
faster, then follows bandwidth x delay, and is tried larger again every 10 s since paths change.
"""

from __future__ import annotations

from collections import deque

MiB = 1024 * 1024
START_WINDOW = 2 * MiB  # bytes a new source may owe; about what 100 Mbit/s and 160 ms hold
SMALLEST_WINDOW = 256 * 1024
LARGEST_WINDOW = 64 * MiB
SLACK = 0.2  # s of data beyond bandwidth x delay, for the pauses of busy machines
LARGEST_SLACK = 4 * MiB
GROWTH = 1.25  # a round that is this much faster lets the window double; as in BBR's start-up
PROBE_EVERY = 10.0  # s; BBR probes as often
ROUNDS_WITHOUT_GROWTH = 3  # then the pipe is full; BBR


class Window:
    """One source's window, rate and delay.

    Attributes:
        size: bytes it may owe.
        delay: shortest time from asking for a piece to having it, None before the first.
    """

    __slots__ = (
        "_began",
        "_best",
        "_bytes",
        "_flat",
        "_growing",
        "_limited",
        "_probe_at",
        "_rates",
        "_useful",
        "delay",
        "size",
    )

    def __init__(self, size: float = START_WINDOW) -> None:
        self.size = size
        self.delay: float | None = None
        self._rates: deque[float] = deque(maxlen=8)
        self._useful = 0.0  # the largest window that made it faster
        self._probe_at = 0.0
        self._growing, self._flat, self._best = True, 0, 0.0
        self._bytes, self._began, self._limited = 0, 0.0, False

    @property
    def rate(self) -> float:
        """Bytes per second, the best of the last rounds; 0 before the first."""
        return max(self._rates, default=0.0)

    def time_for(self, size: int) -> float:
        """Seconds for `size` bytes at that rate; 0 while it is not known."""
        return size / self.rate if self._rates else 0.0

    def began(self, now: float) -> None:
        """It owed nothing and was asked for something."""
        self._begin(now)

    def limited(self) -> None:
        """There was nothing more to ask it for: this round says nothing about the window."""
        self._limited = True

    def stalled(self) -> None:
        """It fell silent: begin again, small."""
        self.size = SMALLEST_WINDOW
        self._rates.clear()
        self._useful = 0.0
        self._grow()

    def arrived(self, size: int, waited: float, more: bool, now: float) -> None:
        """A piece of `size` bytes came `waited` s after it was asked for; `more` is still owed."""
        if self.delay is None or waited < self.delay:
            self.delay = waited
        self._bytes += size
        passed = now - self._began
        if passed <= 0 or (more and self._bytes < self.size / 2) or passed < self.delay / 2:
            return
        rate = self._bytes / passed
        self._rates.append(rate)
        if self._growing and not self._limited:
            if rate >= self._best * GROWTH:
                self._flat = 0
                if self._best:
                    self._useful = self.size
                self.size = min(LARGEST_WINDOW, self.size * 2)
            else:
                self._flat += 1
                self._growing = self._flat < ROUNDS_WITHOUT_GROWTH
                self._probe_at = now + PROBE_EVERY
        self._best = max(self._best, rate)
        if not self._growing:
            best = self.rate
            wanted = 2 * best * self.delay + min(LARGEST_SLACK, SLACK * best)
            self.size = min(LARGEST_WINDOW, max(SMALLEST_WINDOW, wanted, self._useful))
            if now >= self._probe_at:
                self._grow()
        self._begin(now)

    def _grow(self) -> None:
        self._growing, self._flat, self._best = True, 0, 0.0

    def _begin(self, now: float) -> None:
        self._bytes, self._began, self._limited = 0, now, False
