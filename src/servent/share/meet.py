"""Who waits at which place, for two who both are connected to us and want to meet. A core: no I/O, no clock.

A place is a key that both derive from the number of a code; we learn nothing else of them, and only pass bytes on.
"""

from __future__ import annotations

from dataclasses import dataclass

from servent.identity import PeerId
from servent.limits import TokenBucket

MOST_PLACES = 512  # all peers together
PLACES_PER_PEER = 8
LONGEST = 3600.0  # s one may wait before it has to ask again
MOST_PIPES = 64
PIPES_PER_PEER = 8
SEEK_RATE, SEEK_BURST = 1.0, 30.0  # questions per second of one peer: nobody tries all numbers
SEEKERS = 2048  # whose rate is remembered


@dataclass(frozen=True, slots=True)
class _Waiting:
    ticket: int
    peer: PeerId
    until: float


class Meetings:
    """Places, first come first served. Tickets name those who wait; pipes are counted."""

    def __init__(self) -> None:
        self._places: dict[PeerId, _Waiting] = {}
        self._pipes: dict[PeerId, int] = {}
        self._buckets: dict[PeerId, TokenBucket] = {}
        self._tickets = 0

    def wait(self, peer: PeerId, place: PeerId, lifetime: float, now: float) -> tuple[int, float] | None:
        """`peer` waits there: its ticket, and how long. None: the place is taken, or it or all have too many."""
        self.tick(now)
        mine = sum(1 for one in self._places.values() if one.peer == peer)
        if place in self._places or mine >= PLACES_PER_PEER or len(self._places) >= MOST_PLACES:
            return None
        if not self._allow(peer, now):
            return None
        self._tickets += 1
        lifetime = min(lifetime, LONGEST)
        self._places[place] = _Waiting(self._tickets, peer, now + lifetime)
        return self._tickets, lifetime

    def seek(self, peer: PeerId, place: PeerId, now: float) -> int | None:
        """The ticket of who waits there, who is taken from the place; None: nobody, or `peer` asks too often.

        A pipe between the two is counted until `parted`.
        """
        self.tick(now)
        found = self._places.get(place)
        if not self._allow(peer, now) or found is None or found.peer == peer:
            return None
        full = sum(self._pipes.values()) >= 2 * MOST_PIPES
        if full or any(self._pipes.get(one, 0) >= PIPES_PER_PEER for one in (peer, found.peer)):
            return None
        del self._places[place]
        for one in (peer, found.peer):
            self._pipes[one] = self._pipes.get(one, 0) + 1
        return found.ticket

    def parted(self, one: PeerId, other: PeerId) -> None:
        """The pipe between them is gone."""
        for peer in (one, other):
            self._pipes[peer] -= 1
            if not self._pipes[peer]:
                del self._pipes[peer]

    def leave(self, ticket: int) -> None:
        """Whoever has this ticket waits no more."""
        self._places = {place: one for place, one in self._places.items() if one.ticket != ticket}

    def tick(self, now: float) -> None:
        """Forget whose time is up."""
        if any(one.until <= now for one in self._places.values()):
            self._places = {place: one for place, one in self._places.items() if one.until > now}

    def _allow(self, peer: PeerId, now: float) -> bool:
        bucket = self._buckets.get(peer)
        if bucket is None:
            if len(self._buckets) >= SEEKERS:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[peer] = TokenBucket(SEEK_RATE, SEEK_BURST)
        return bucket.allow(1, now)
