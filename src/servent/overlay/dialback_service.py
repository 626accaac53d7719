"""Dialing somebody back: from a fresh socket, under a key of the moment, without a relay, at the addresses it named.

It ends with the handshake: TLS has proven then that the named key answers there. To the one that is dialed it is somebody who
left during the hello, which costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Sequence

from servent.errors import ServentError
from servent.identity import Identity, PeerId
from servent.limits import TokenBucket
from servent.net.links import Endpoint, PeerAddress

log = logging.getLogger(__name__)

OpenEndpoint = Callable[..., Awaitable[Endpoint]]

MOST_ADDRESSES = 4
AT_ONCE = 2  # dial-backs at a time: each is a socket of its own
DIAL = 4.0  # s
RATE, BURST = 0.1, 4.0  # a second for each peer
MOST_PEERS = 1024


class DialBacks:
    """Does it for others, a few at a time."""

    def __init__(self, open_endpoint: OpenEndpoint | None) -> None:
        self._open = open_endpoint
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._buckets: dict[PeerId, TokenBucket] = {}
        self._clock = asyncio.get_running_loop().time
        self.on = True  # the observer role of this node

    async def dial(self, peer: PeerId, addresses: Sequence[str]) -> str | None:
        """At which of `addresses` it was reached; "" at none; None when this node does not try, which says nothing."""
        if self._open is None or not self.on or not addresses or not self._allowed(peer):
            return None
        async with self._slots:
            try:
                endpoint = await self._open(Identity(os.urandom(32)), bind=[], relays=[])
            except ServentError as error:
                log.info("no socket to dial back from: %s", error)
                return None
            try:
                return await self._reach(endpoint, peer, tuple(addresses[:MOST_ADDRESSES]))
            finally:
                await endpoint.close()

    async def _reach(self, endpoint: Endpoint, peer: PeerId, addresses: tuple[str, ...]) -> str:
        """The first that answers with the right key."""
        with contextlib.suppress(ServentError):
            connection = await endpoint.connect(PeerAddress(peer, None, addresses), DIAL)
            paths = connection.paths()
            path = next((one for one in paths if one.selected), paths[0] if paths else None)
            await connection.close(0, "")
            if path is not None and path.kind == "direct":
                return path.address if path.address in addresses else addresses[0]
        return ""

    def _allowed(self, peer: PeerId) -> bool:
        bucket = self._buckets.get(peer)
        if bucket is None:
            if len(self._buckets) >= MOST_PEERS:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[peer] = TokenBucket(RATE, BURST)
        return bucket.allow(1.0, self._clock())
