"""What all lanes share, whichever thread they run in: rate limits, and the memory for bytes on their way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from servent.limits import RateMeter, TokenBucket

CHUNK = 256 * 1024  # bytes moved between two looks at the limits, when there are none
SMALLEST_CHUNK = 16 * 1024
BACKGROUND_LOOKS = 200  # the same for background transfers: 5 ms of line, which a game does not notice
BACKGROUND_CHUNK = 8 * 1024  # bytes at least
BACKGROUND_BURST = 0.01  # s
LOOKS = 20  # chunks per second under a limit: smooth enough for a game on the same line
BURST = 0.25  # s of a rate that may be saved up
WAIT = 0.005  # s between two tries of a coroutine to get a buffer, when all are in use
PEERS_MOST = 4096  # buckets kept; beyond, those of peers that are idle go


@dataclass(frozen=True, slots=True)
class Rates:
    """Bytes per second, None for no limit: for everything together, and for each peer."""

    up: float | None = None
    down: float | None = None
    peer_up: float | None = None
    peer_down: float | None = None


class _Way:
    """One direction."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self.peer_rate: float | None = None
        self.all = TokenBucket(None)
        self.peers: dict[Hashable, TokenBucket] = {}
        self.own: dict[Hashable, float] = {}  # peers with a limit of their own
        self.meter = RateMeter()
        self.background_rate: float | None = None
        self.background = TokenBucket(None)
        self.background_bytes: dict[Hashable, int] = {}

    def of(self, peer: Hashable) -> float | None:
        """The limit of this peer alone."""
        return self.own.get(peer, self.peer_rate)


class Pace:
    """Token buckets for up and down, all peers and each peer. Safe from any thread.

    Args:
        clock: monotonic seconds, the loop's.
    """

    def __init__(self, clock: Callable[[], float], rates: Rates | None = None) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ways = {"up": _Way(), "down": _Way()}
        self._exempt: frozenset[Hashable] = frozenset()
        self.rates = Rates()
        self.set(rates or Rates())

    def set(
        self, rates: Rates, peers: Mapping[Hashable, tuple[float | None, float | None]] | None = None
    ) -> None:
        """Replace all limits, at once.

        Args:
            peers: (up, down) of peers with limits of their own, in place of that for each peer.
        """
        with self._lock:
            self.rates = rates
            for way, rate, peer_rate in (
                (self._ways["up"], rates.up, rates.peer_up),
                (self._ways["down"], rates.down, rates.peer_down),
            ):
                way.rate, way.peer_rate = rate, peer_rate
                way.all = _bucket(rate)
                way.peers.clear()
            for number, way in enumerate((self._ways["up"], self._ways["down"])):
                way.own = {
                    peer: rate for peer, both in (peers or {}).items() if (rate := both[number]) is not None
                }

    def set_background(self, up: float | None, down: float | None, exempt: frozenset[Hashable]) -> None:
        """What all background transfers together may do in each direction; None for no limit of their own.

        Args:
            exempt: peers for whom it does not hold.
        """
        with self._lock:
            self._exempt = exempt
            for way, rate in ((self._ways["up"], up), (self._ways["down"], down)):
                way.background_rate = rate
                burst = None if rate is None else max(rate * BACKGROUND_BURST, BACKGROUND_CHUNK)
                way.background.set_rate(rate, burst)

    def background_bytes(self, way: str) -> dict[Hashable, int]:
        """Bytes that background transfers have moved since the start, by peer."""
        with self._lock:
            return dict(self._ways[way].background_bytes)

    def unlimited(self, way: str, peer: Hashable = None, *, foreground: bool = True) -> bool:
        """Whether nothing limits this direction now."""
        one = self._ways[way]
        return one.rate is None and one.of(peer) is None and not self._held(one, peer, foreground)

    def _held(self, one: _Way, peer: Hashable, foreground: bool) -> bool:
        return one.background_rate is not None and not foreground and peer not in self._exempt

    def chunk(self, way: str, peer: Hashable = None, *, foreground: bool = True) -> int:
        """How many bytes to move at a time."""
        one = self._ways[way]
        limits = [rate for rate in (one.rate, one.of(peer)) if rate is not None]
        size = max(SMALLEST_CHUNK, min(CHUNK, int(min(limits) / LOOKS))) if limits else CHUNK
        rate = one.background_rate
        if rate is not None and self._held(one, peer, foreground):
            size = min(size, max(BACKGROUND_CHUNK, int(rate / BACKGROUND_LOOKS)))
        return size

    def take(self, way: str, peer: Hashable, size: int, *, foreground: bool = True) -> float:
        """Note that `size` bytes move now. Returns the seconds to wait after them, for this lane.

        Args:
            foreground: a person waits for it: what holds for background transfers does not for this.
        """
        now = self._clock()
        with self._lock:
            one = self._ways[way]
            one.meter.add(size, now)
            wait = one.all.take(size, now) if one.rate is not None else 0.0
            if (peer_rate := one.of(peer)) is not None:
                if len(one.peers) >= PEERS_MOST:
                    one.peers.clear()
                bucket = one.peers.get(peer)
                if bucket is None:
                    bucket = one.peers[peer] = _bucket(peer_rate)
                wait = max(wait, bucket.take(size, now))
            if not foreground:
                if peer not in one.background_bytes and len(one.background_bytes) >= PEERS_MOST:
                    one.background_bytes.clear()
                one.background_bytes[peer] = one.background_bytes.get(peer, 0) + size
                if self._held(one, peer, foreground):
                    wait = max(wait, one.background.take(size, now))
        return wait

    def speed(self, way: str) -> float:
        """Bytes per second of all lanes now."""
        with self._lock:
            return self._ways[way].meter.rate(self._clock())

    def total(self, way: str) -> int:
        """Bytes of all lanes since the start."""
        with self._lock:
            return int(self._ways[way].meter.total)


def _bucket(rate: float | None) -> TokenBucket:
    return TokenBucket(rate, None if rate is None else max(rate * BURST, SMALLEST_CHUNK))


class Closed(Exception):
    """The lane was told to stop while it waited."""


class Buffers:
    """Memory for pieces that have come and are not written yet, bounded for the whole node.

    Buffers are used again, since fresh memory costs as much as decrypting into it. Safe from any thread.

    Args:
        most_bytes: of all buffers together; a single larger one is allowed when there is no other.
        arena: memory to cut them from as far as it goes; the rest is private.
    """

    def __init__(self, most_bytes: int, arena: memoryview | None = None) -> None:
        self._most = most_bytes
        self._arena = arena
        self._lock = threading.Condition()
        self._free: dict[int, list[memoryview]] = {}
        self._offsets: dict[int, int] = {}  # id of a buffer cut from the arena -> where it begins
        self._cut = 0  # how much of the arena is cut up
        self.used_bytes = 0

    def take_nowait(self, size: int) -> memoryview | None:
        """A buffer of at least `size` bytes, or None when there is no room now."""
        with self._lock:
            return self._take(_capacity(size))

    def take(self, size: int, stopped: Callable[[], bool]) -> memoryview:
        """Wait for a buffer; for threads. Raises Closed once `stopped`, which is asked ten times a second."""
        capacity = _capacity(size)
        with self._lock:
            while (buffer := self._take(capacity)) is None:
                if stopped():
                    raise Closed
                self._lock.wait(0.1)
            return buffer

    async def take_async(self, size: int) -> memoryview:
        """Wait for a buffer; for coroutines."""
        while True:
            buffer = self.take_nowait(size)
            if buffer is not None:
                return buffer
            await asyncio.sleep(WAIT)

    def offset(self, buffer: memoryview) -> int | None:
        """Where in the arena a buffer that is taken begins; None: it is private memory."""
        return self._offsets.get(id(buffer))

    def give(self, buffer: memoryview) -> None:
        """Back to the pool: nobody reads it any more."""
        with self._lock:
            self.used_bytes -= len(buffer)
            if id(buffer) in self._offsets:
                self._free.setdefault(len(buffer), []).append(buffer)
            self._lock.notify_all()

    def trim(self) -> bool:
        """Forget how the arena was cut up. False: some of it is in use."""
        with self._lock:
            if self.used_bytes:
                return False
            self._reset()
            return True

    def _reset(self) -> None:
        self._free.clear()
        self._offsets.clear()
        self._cut = 0

    def _take(self, capacity: int) -> memoryview | None:
        if self.used_bytes and self.used_bytes + capacity > self._most:
            return None
        buffer = self._from_arena(capacity)
        if buffer is None:
            buffer = memoryview(bytearray(capacity))
        self.used_bytes += capacity
        return buffer

    def _from_arena(self, capacity: int) -> memoryview | None:
        if self._arena is None or capacity > len(self._arena):
            return None
        free = self._free.get(capacity)
        if free:
            return free.pop()
        if self._cut + capacity > len(self._arena):
            if self.used_bytes:
                return None
            self._reset()
        buffer = self._arena[self._cut : self._cut + capacity]
        self._offsets[id(buffer)] = self._cut
        self._cut += capacity
        return buffer


def _capacity(size: int) -> int:
    """The next power of two from 64 KiB on, so that few sizes serve all."""
    return 1 << max(16, (size - 1).bit_length())
