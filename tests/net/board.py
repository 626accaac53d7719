"""A place that keeps signed records, on the simulated network: the store of our relay, with delays before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from servent.identity import Identity, PeerId
from servent.net import pkarr
from servent.net.relay.pkarr_store import PkarrStore
from servent.net.rendezvous import Found


class Board:
    """What several nodes' providers lead to. `down`: nobody reaches it."""

    def __init__(self, delay: float = 0.05) -> None:
        self.delay, self.down = delay, False
        self.puts = self.gets = 0
        self.store = PkarrStore()
        self.seq = 0

    def provider(self, name: str = "board", head_start: float = 0.0) -> Pinned:
        return Pinned(self, name, head_start)


class Pinned:
    """A `Provider` over a board. Numbers are 1, 2, 3 …, as those of the DHT."""

    def __init__(self, board: Board, name: str, head_start: float) -> None:
        self.board, self.name, self.head_start = board, name, head_start

    async def publish(self, identity: Identity, value: bytes, salt: bytes = b"") -> int:
        assert len(value) <= 996
        await asyncio.sleep(self.board.delay)
        self.board.puts += 1
        if self.board.down:
            return 0
        self.board.seq += 1
        body = pkarr.close_item(identity, self.board.seq, value)
        now = asyncio.get_running_loop().time()
        return int(self.board.store.put(identity.peer, body, "192.0.2.1", now) == "stored")

    async def resolve(self, key: PeerId, salt: bytes = b"") -> AsyncIterator[Found]:
        self.board.gets += 1
        await asyncio.sleep(self.board.delay)
        body = self.board.store.get(key, "192.0.2.1", asyncio.get_running_loop().time())
        if isinstance(body, bytes) and not self.board.down:
            yield pkarr.open_item(key, body)
