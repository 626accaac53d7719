"""How fast background transfers may go so that nobody else on the line notices. A core: no I/O, no clock.

One controller for one direction, shared by all background transfers. It is told one-way delays and holds the
delay that we add ourselves, the queue in a router, to a target, as LEDBAT does (RFC 6817; uTP, BEP 29), but by
a rate rather than a window, since we pace what we hand to QUIC and TCP alike.

Where it departs from the RFC, and why:

- The RFC integrates the error of the delay; behind an integrating queue that swings. Here the queue itself tells
  how fast the line is: between two probes it grows by what we sent divided by the line's rate, less the time
  passed. So the rate is the line's, as estimated, times a term proportional to the error.
- A standing queue hides the true base delay. As LEDBAT++ does (draft-irtf-iccrg-ledbat-plus-plus, section 4.4) we
  go quiet for a moment now and then and measure it anew.
- The start is exponential and ends well below the target, not at the first loss (same draft, section 4.3).

Delays need no common clock: only what is above the smallest lately counts. The base is the smallest of two
minutes, as in BEP 29; within that time two clocks drift apart by a millisecond or two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

TARGET = 0.02  # s of queue that we may add; RFC 6817 allows up to 0.1, which a player notices
REALTIME_TARGET = 0.005  # s, while something real-time runs
FLOOR = 24 * 1024.0  # bytes per second, whatever the line looks like: nobody starves
START = 128 * 1024.0  # bytes per second at the beginning
CEILING = 4e9  # bytes per second
TICK = 0.1  # s between two decisions
GROW = 1.4  # at the start, each time that a probe sent after the last growth found no queue
REGROW = 1.06  # the same later, while the queue is empty: the line is faster than we think
EMPTY = 0.003  # s of queue that count as none: timers and schedulers are no better
PATIENCE = 0.5  # s within which an error of the queue is to be gone
LEAST, MOST = 0.25, 1.1  # of the estimate, the proportional term
LEARN = 0.3  # weight of a new estimate of the line
SPAN = 0.08  # s between two probes that are compared, at least
BASE_WINDOW = 120.0  # s
BASE_BUCKET = 10.0  # s
SLOWDOWN_EVERY = 25.0  # s
SLOWDOWN = 0.25  # s, and twice the queue
SLOWDOWN_RATE = 0.05
GUARD = 2.5  # times the target, for what comes to us: the sender is polite too, and is to act first
FORGET = 1.0  # s without a probe after which a peer says nothing any more
IDLE = 5.0  # s without traffic after which the start is exponential again
HISTORY = 64  # ticks of what was sent


@dataclass(slots=True)
class _Path:
    """What is known of the way to one peer."""

    probes: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=16))  # (departed, delay)
    bases: deque[tuple[float, float]] = field(default_factory=deque)  # (a bucket's begin, its smallest delay)
    heard: float = 0.0

    def add(self, delay: float, departed: float, now: float) -> None:
        self.probes.append((departed, delay))
        self.heard = now
        if self.bases and now - self.bases[-1][0] < BASE_BUCKET:
            begin, smallest = self.bases[-1]
            self.bases[-1] = begin, min(smallest, delay)
        else:
            self.bases.append((now, delay))
        while self.bases[0][0] < now - BASE_WINDOW:
            self.bases.popleft()

    @property
    def base(self) -> float:
        return min(smallest for _, smallest in self.bases)

    def queue(self, now: float) -> float | None:
        """Seconds of queue: the smaller of the last two probes, since one late one is none. None: unheard."""
        if not self.probes or now - self.heard > FORGET:
            return None
        last = [delay for _, delay in self.probes][-2:]
        return min(last) - self.base


@dataclass(frozen=True, slots=True)
class LedbatView:
    """`rate`: bytes per second now. `queue`: s that we add, None before the first probe. `why`: a sentence."""

    rate: float
    queue: float | None
    why: str


class Ledbat:
    """The rate of all background transfers in one direction.

    Args:
        target: s of queue it may add.
        receiving: the direction towards us. Probes and bytes are then known by when they arrive. Whoever sends
            sees the same delay and holds it down; this is the guard for many senders, or one that does not.
    """

    def __init__(self, now: float, *, target: float = TARGET, receiving: bool = False) -> None:
        self.target, self._receiving = target, receiving
        self.realtime = False
        self._paths: dict[Hashable, _Path] = {}
        self._line = self._rate = CEILING if receiving else START  # bytes per second, as estimated
        self._starting = not receiving
        self._queue: float | None = None
        self._sent: deque[tuple[float, float]] = deque([(now, 0.0)], maxlen=HISTORY)  # (when, bytes in all)
        self._speed = 0.0  # bytes per second, lately
        self._busy_at = now
        self._slow_until = 0.0
        self._next_slow = now + SLOWDOWN_EVERY
        self._unheard_since: float | None = None
        self._grown = now  # a probe that departed after this knows the rate we have now

    def probe(self, peer: Hashable, delay: float, departed: float, now: float) -> None:
        """One one-way delay towards (or from) `peer`, in s, against any fixed clock of its own.

        Args:
            departed: when the probe was sent, by the clock of `now`; when `receiving`, that is not known: `now`.
        """
        path = self._paths.get(peer)
        if path is None:
            path = self._paths[peer] = _Path()
        before = next(((at, late) for at, late in reversed(path.probes) if at <= departed - SPAN), None)
        path.add(delay, departed, now)
        if before is not None:
            self._learn(before[0], before[1] - path.base, departed, delay - path.base)

    def forget(self, peer: Hashable) -> None:
        """Its path has changed, or it is gone: old delays say nothing of the new one."""
        self._paths.pop(peer, None)

    def yields(self, realtime: bool) -> None:
        """Something real-time begins (or ends): give way at once, and find the rate again from below."""
        if realtime and not self.realtime:
            self._starting = False
            self._line = max(FLOOR, 0.25 * min(self._line, self._speed or self._line))
            self._rate = self._line
        self.realtime = realtime

    def tick(self, now: float, moved: float, peers: frozenset[Hashable]) -> float:
        """Decide anew, every `TICK` s.

        Args:
            moved: bytes that background transfers moved since the last tick.
            peers: those they moved to or from lately.

        Returns:
            bytes per second from now on.
        """
        last, total = self._sent[-1]
        self._sent.append((now, total + moved))
        self._speed = 0.7 * self._speed + 0.3 * moved / max(now - last, 1e-3)
        if moved > 0:
            if now - self._busy_at > IDLE and not self._receiving:
                self._starting, self._line = True, max(START, self._line / 2)
                self._next_slow = now + SLOWDOWN_EVERY
            self._busy_at = now
        # The smallest: a queue at one peer's own line is that peer's to hold short; ours delays them all.
        heard = [path.queue(now) for peer, path in self._paths.items() if peer in peers]
        self._queue = min((queue for queue in heard if queue is not None), default=None)
        if self._queue is None:
            self._deaf(now, moved)
        elif not self._measures_base(now):
            departed = max(path.probes[-1][0] for peer, path in self._paths.items() if peer in peers)
            self._decide(self._queue, departed, now)
        self._line = min(CEILING, max(FLOOR, self._line))
        self._rate = min(CEILING, max(FLOOR, self._rate))
        return self._rate

    def view(self) -> LedbatView:
        """A picture of now."""
        if self._queue is None:
            why = "nothing was heard of the line yet"
        elif self.realtime:
            why = "background transfers give way to something real-time"
        else:
            why = f"the line is {1000 * self._queue:.0f} ms fuller than idle, {1000 * self.target:.0f} are allowed"
        return LedbatView(self._rate, self._queue, why)

    # -- inside

    def _learn(self, before: float, queue_before: float, after: float, queue_after: float) -> None:
        """The line's rate, from how the queue changed while we sent: only a queue that was never empty tells."""
        if self._receiving or min(queue_before, queue_after) <= EMPTY:
            return
        drained = after - before + queue_after - queue_before  # s of line that what we sent took
        sent = self._sent_at(after) - self._sent_at(before)
        if drained <= SPAN / 2 or sent <= 0:
            return
        seen = sent / drained
        seen = min(2 * self._line, max(0.5 * self._line, seen))  # one probe does not turn the world over
        self._line += LEARN * (seen - self._line)

    def _sent_at(self, when: float) -> float:
        """Bytes in all at that time, between two ticks in proportion."""
        later = self._sent[-1]
        for earlier in reversed(self._sent):
            if earlier[0] <= when:
                if later[0] <= earlier[0]:
                    return earlier[1] + self._rate * (when - earlier[0])
                share = (when - earlier[0]) / (later[0] - earlier[0])
                return earlier[1] + min(1.0, share) * (later[1] - earlier[1])
            later = earlier
        return later[1]

    def _deaf(self, now: float, moved: float) -> None:
        """No probe comes back: as it is before the first, or in a very long queue."""
        self._rate = self._line
        if moved <= 0:
            self._unheard_since = None
        elif self._unheard_since is None:
            self._unheard_since = now
        elif now - self._unheard_since > FORGET:
            self._unheard_since = now
            self._line *= 0.5

    def _measures_base(self, now: float) -> bool:
        if self._receiving:
            return False
        if now < self._slow_until:
            return True
        if now >= self._next_slow:
            self._next_slow = now + SLOWDOWN_EVERY
            if not self._starting and self._speed > 2 * FLOOR:
                self._slow_until = now + SLOWDOWN + 2 * (self._queue or 0.0)
                self._rate = SLOWDOWN_RATE * self._line
                return True
        return False

    def _decide(self, queue: float, departed: float, now: float) -> None:
        self._unheard_since = None
        target = REALTIME_TARGET if self.realtime else self.target
        if self._receiving:
            target *= GUARD
            if queue > target:
                self._line = min(self._line, 1.2 * max(self._speed, FLOOR))
        used = self._speed >= 0.6 * self._rate  # else nobody asks for more
        if self._starting and queue > 2 * EMPTY:
            self._starting = False
            self._line = min(self._line, self._speed or self._line) / GROW  # it was seen one growth late
        free = target / 2 if self._receiving else EMPTY
        if queue <= free and used and departed >= self._grown:
            self._line *= GROW if self._starting else REGROW
            self._grown = now
        self._rate = self._line * min(MOST, max(LEAST, 1 + (target - queue) / PATIENCE))
