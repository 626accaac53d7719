"""Which of two kinds of lane a source's next request takes: the one that was measured to be faster. A core.

TCP begins, since where it reaches a peer it costs half the processor time; but a path may treat TCP worse
than QUIC, so the other lane is tried for a moment now and then, and the choice follows what came of it.
"""

from __future__ import annotations

from typing import Literal

Kind = Literal["tcp", "quic"]

SAMPLE = 0.5  # s of unbroken work that make one measurement
SETTLE = 4.0  # s on the first lane before the other is tried at all
TRIAL = 1.0  # s that the other one is tried
AGAIN = 30.0  # s until it is tried again; doubles up to LATEST while nothing changes
LATEST = 480.0
BETTER = 1.15  # so much faster the other one must be, or we would flutter
OLD = 0.7  # weight of what was measured before
TRIED_UP_TO = 100e6  # bytes/s; a trial where TCP does this well would only cost


class LaneChoice:
    """Decides for one source. Tell it what arrives; ask it before each request."""

    def __init__(self) -> None:
        self.kind: Kind = "quic"
        self._open: set[Kind] = set()
        self._rates: dict[Kind, float] = {}
        self._trial: tuple[Kind, float] | None = None  # the kind being tried, until when
        self._next_trial = 0.0
        self._pause = AGAIN
        self._began: dict[Kind, float] = {}  # since when a kind has worked without a break
        self._bytes: dict[Kind, int] = {}

    def opened(self, kind: Kind, now: float) -> None:
        """A lane of this kind is there."""
        if kind in self._open:
            return
        self._open.add(kind)
        if kind == "tcp" or len(self._open) == 1:
            self.kind = kind
        self._trial = None
        self._next_trial = now + SETTLE

    def closed(self, kind: Kind) -> None:
        """No lane of this kind is left."""
        self._open.discard(kind)
        self._rates.pop(kind, None)
        self._began.pop(kind, None)
        self._trial = None
        if self.kind == kind and self._open:
            self.kind = next(iter(self._open))

    def arrived(self, kind: Kind, size: int, now: float) -> None:
        """`size` bytes came over a lane that had work all the time since the last call (see `rested`)."""
        began = self._began.get(kind)
        if began is None:
            self._began[kind], self._bytes[kind] = now, 0
            return
        self._bytes[kind] += size
        passed = now - began
        if passed >= SAMPLE:
            rate = self._bytes[kind] / passed
            before = self._rates.get(kind)
            self._rates[kind] = rate if before is None else OLD * before + (1 - OLD) * rate
            self._began[kind], self._bytes[kind] = now, 0

    def rested(self, kind: Kind) -> None:
        """The lane ran out of work: what passes until the next bytes is no measurement."""
        self._began.pop(kind, None)

    def pick(self, now: float) -> Kind:
        """The kind for the next request."""
        if len(self._open) < 2:
            return self.kind
        if self._trial is not None:
            tried, until = self._trial
            if now < until:
                return tried
            self._trial = None
            self._judge(tried)
            self._next_trial = now + self._pause
        elif now >= self._next_trial and 0 < self._rates.get(self.kind, 0.0) < TRIED_UP_TO:
            other: Kind = "quic" if self.kind == "tcp" else "tcp"
            self._rates.pop(other, None)
            self._began.pop(other, None)
            self._trial = other, now + TRIAL
            return other
        return self.kind

    def _judge(self, tried: Kind) -> None:
        rate = self._rates.get(tried)
        if rate is not None and rate > BETTER * self._rates.get(self.kind, 0.0):
            self.kind = tried
            self._pause = AGAIN
        else:
            self._pause = min(LATEST, 2 * self._pause)

    def rate(self, kind: Kind) -> float | None:
        """Bytes per second as last measured."""
        return self._rates.get(kind)
