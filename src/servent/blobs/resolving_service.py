"""What is offered on demand: holdings that somebody else (the library) makes when a peer asks, kept while in use."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from servent.identity import PeerId

if TYPE_CHECKING:
    from servent.blobs.uploads_service import Holding

Resolver = Callable[[PeerId, bytes], "Awaitable[Holding | None]"]

MOST = 256  # holdings
MOST_BYTES = 64 * 1024 * 1024  # about what their descriptions take in memory
FILE_BYTES = 400  # of a file in a description; measured: 350
IDLE = 60.0  # s without anybody who fetches it
QUANTUM = 0.05  # s; a refusal after looking takes this long at least, whatever was found


@dataclass(slots=True)
class _Kept:
    holding: Holding
    cost: int
    used: float
    pinned: bool = False


class Resolved:
    """Owns the holdings made on demand. Those of one peer alone are kept under (peer, infohash).

    Args:
        close: called with a holding that is offered no more.
        busy: whether anybody fetches it now.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        close: Callable[[Holding], None],
        busy: Callable[[Holding], bool],
    ) -> None:
        self._clock, self._close, self._busy = clock, close, busy
        self.resolvers: list[tuple[Resolver, bool]] = []  # asked in this order; whether also for guests
        self._kept: OrderedDict[tuple[PeerId | None, bytes], _Kept] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, holding: Holding, peer: PeerId | None = None, *, pinned: bool = False) -> None:
        """Offer it until it is idle for a while (`pinned`: until it is dropped): to `peer` alone, or to all it allows."""
        key = peer, holding.collection.infohash
        self._drop(key)
        collection = holding.collection
        cost = len(collection.info) + FILE_BYTES * len(collection.files)
        cost += sum(map(len, collection.layers.values()))
        self._kept[key] = _Kept(holding, cost, self._clock(), pinned)
        self._bytes += cost
        for old in list(self._kept):
            if len(self._kept) <= MOST and self._bytes <= MOST_BYTES:
                break
            if old != key and not self._kept[old].pinned and not self._busy(self._kept[old].holding):
                self._drop(old)

    def get(self, peer: PeerId, infohash: bytes, *, guest: bool = False) -> Holding | None:
        """What is offered to `peer` under this hash already. `guest`: to it alone, or to guests."""
        for key in ((peer, infohash), (None, infohash)):
            kept = self._kept.get(key)
            if kept is None or (guest and key[0] is None and not kept.holding.guests):
                continue
            if kept.holding.allowed(peer):
                kept.used = self._clock()
                self._kept.move_to_end(key)
                return kept.holding
        return None

    def alone(self, peer: PeerId, infohash: bytes) -> Holding | None:
        """What is offered to this peer and nobody else under this hash."""
        kept = self._kept.get((peer, infohash))
        return kept.holding if kept is not None else None

    def of(self, peer: PeerId) -> list[bytes]:
        """Infohashes of what is offered to this peer alone and not pinned, least used first."""
        return [key[1] for key, kept in self._kept.items() if key[0] == peer and not kept.pinned]

    async def find(self, peer: PeerId, infohash: bytes, *, guest: bool = False) -> Holding | None:
        """What is offered, or can be. None takes at least `QUANTUM`, whether it is not there or not for them."""
        began = self._clock()
        found = self.get(peer, infohash, guest=guest)
        if found is None and self.resolvers:
            for resolver, for_guests in self.resolvers:
                made = await resolver(peer, infohash) if for_guests or not guest else None
                if made is not None:
                    if (other := self.get(peer, infohash, guest=guest)) is not None:  # somebody was faster
                        self._close(made)
                        return other
                    self.put(made)
                    return made if made.allowed(peer) and (made.guests or not guest) else None
            await asyncio.sleep(max(0.0, began + QUANTUM - self._clock()))
        return found

    def all(self) -> list[Holding]:
        """All of them."""
        return [kept.holding for kept in self._kept.values()]

    def withdraw(self, holding: Holding) -> None:
        """Offer this one no more."""
        for key in [key for key, kept in self._kept.items() if kept.holding is holding]:
            self._drop(key)

    def drop(self, infohash: bytes, peer: PeerId | None = None) -> None:
        """The same by its hash."""
        self._drop((peer, infohash))

    def _drop(self, key: tuple[PeerId | None, bytes]) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= kept.cost
            self._close(kept.holding)

    def tidy(self, now: float) -> None:
        """Let go of what nobody has fetched for a while."""
        for key, kept in list(self._kept.items()):
            if kept.pinned or self._busy(kept.holding):
                kept.used = now
            elif now - kept.used > IDLE:
                self._drop(key)

    def clear(self) -> None:
        """Offer none of them any more."""
        for key in list(self._kept):
            self._drop(key)
