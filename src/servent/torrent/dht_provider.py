"""The Mainline DHT as a way to find and be found by key (BEP 44). What comes from there is believed only for its signature."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from servent.errors import ServentError
from servent.identity import Identity, PeerId
from servent.limits import TokenBucket
from servent.net.pkarr import signing_text
from servent.net.rendezvous import Found
from servent.torrent.session import Session

log = logging.getLogger("servent.torrent")

HEAD_START = (
    2.0  # s that the others get: each look-up costs strangers some fifty packets, and tells them whom we miss
)
LOOK_TIME = (
    15.0  # s; nodes that are gone cost as much before libtorrent calls an answer authoritative (measured)
)
LOOKUPS_PER_MINUTE, LOOKUPS_BURST = 60, 30
PUTS_PER_MINUTE, PUTS_BURST = 12, 12


class DhtProvider:
    """A `servent.net.rendezvous.Provider` over the node's one session.

    Args:
        clock: for the limits; monotonic seconds.
    """

    name = "dht"

    def __init__(
        self, session: Session, *, head_start: float = HEAD_START, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.head_start = head_start
        self._session = session
        self._clock = clock
        self._lookups = TokenBucket(LOOKUPS_PER_MINUTE / 60, LOOKUPS_BURST)
        self._puts = TokenBucket(PUTS_PER_MINUTE / 60, PUTS_BURST)
        self.forged = 0  # values whose signature was wrong

    async def publish(self, identity: Identity, value: bytes, salt: bytes = b"") -> int:
        """On how many nodes `value` is now; 0 where none is reached, or we have told too much lately."""
        if not self._puts.allow(1, self._clock()):
            return 0
        try:
            places = await self._session.dht_put(identity, value, salt)
            log.debug("the DHT keeps what %s says in %d places", identity.peer.short, places)
            return places
        except ServentError as trouble:
            log.info("nothing is published in the DHT: %s", trouble)
            return 0

    async def resolve(self, key: PeerId, salt: bytes = b"") -> AsyncIterator[Found]:
        """The first valid value at once, newer ones as they come; ends when all nodes near the key were asked, or after 15 s."""
        if not self._lookups.allow(1, self._clock()):
            return
        newest = 0
        try:
            async with aclosing(self._session.dht_get(key, salt, LOOK_TIME)) as items:
                async for item in items:
                    if item.seq <= newest:
                        continue
                    if not key.verify(item.signature, signing_text(item.seq, item.value, salt)):
                        self.forged += 1
                        continue
                    newest = item.seq
                    log.debug("the DHT has number %d of %s", item.seq, key.short)
                    yield Found(key, item.seq, item.value)
        except ServentError as trouble:
            log.info("the DHT is not asked: %s", trouble)
