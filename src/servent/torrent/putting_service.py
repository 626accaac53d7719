"""Carries a search and its puts over UDP: one socket for each record that is stored, closed when it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import Any

from servent.errors import BadMessage
from servent.identity import Identity
from servent.net.pkarr import signing_text
from servent.torrent.krpc import (
    ANSWER_TIME,
    PACKET_MOST,
    Place,
    Reply,
    Search,
    order,
    question,
    read,
    target_of,
)

WAITING_MOST = 512  # packets that nobody has looked at yet


class _Packets(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.came: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue(WAITING_MOST)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if len(data) <= PACKET_MOST and not self.came.full():
            self.came.put_nowait((data, addr))

    def error_received(self, exc: Exception) -> None:
        """A node that is not there; its time runs out."""


class Putting:
    """One record on its way to the nodes that keep it.

    Args:
        host: where our packets come from.
        start: nodes to begin with.
        seq: the number that the record had when we stored it last, 0 for never.
    """

    def __init__(
        self,
        identity: Identity,
        value: bytes,
        salt: bytes,
        start: Iterable[Place],
        *,
        private: bool,
        seq: int,
        host: str,
    ) -> None:
        self._identity, self._value, self._salt = identity, value, salt
        self._start, self._private, self._host = start, private, host
        self.seq = seq
        self._me = os.urandom(20)
        self._asked: dict[bytes, Place] = {}

    async def run(self) -> int:
        """On how many nodes it is now; `seq` is its number then.

        Raises:
            OSError: there is no network.
        """
        loop = asyncio.get_running_loop()
        transport, packets = await loop.create_datagram_endpoint(_Packets, local_addr=(self._host, 0))
        try:
            search = await self._search(transport, packets)
            return await self._store(transport, packets, search)
        finally:
            transport.close()

    async def _search(self, transport: asyncio.DatagramTransport, packets: _Packets) -> Search:
        loop = asyncio.get_running_loop()
        target = target_of(self._identity.peer, self._salt)
        search = Search(target, self._start, loop.time(), self._private)
        while not search.done(now := loop.time()):
            for place in search.ask(now):
                transport.sendto(question(self._number(place), self._me, target), place)
            heard = await self._hear(packets, search.next_tick())
            if heard is not None:
                search.answered(*heard)
        return search

    async def _store(self, transport: asyncio.DatagramTransport, packets: _Packets, search: Search) -> int:
        if search.seq < self.seq or search.value != self._value:
            self.seq = max(self.seq, search.seq) + 1
        else:
            self.seq = search.seq  # the same word again: its number stays, as libtorrent has it
        signature = self._identity.sign(signing_text(self.seq, self._value, self._salt))
        self._asked.clear()
        waiting = set()
        for place, node, token in search.nearest():
            waiting.add(place)
            said = order(
                self._number(place), node, token, self._identity.peer, self._salt, self.seq, signature, self._value
            )  # fmt: skip
            transport.sendto(said, place)
        places, until = 0, asyncio.get_running_loop().time() + ANSWER_TIME
        while waiting and (heard := await self._hear(packets, until)) is not None:
            place, reply = heard
            if place in waiting:
                waiting.discard(place)
                places += reply is not None
        return places

    def _number(self, place: Place) -> bytes:
        tid = os.urandom(4)  # whoever does not see the question cannot answer it
        self._asked[tid] = place
        return tid

    async def _hear(self, packets: _Packets, until: float) -> tuple[Place, Reply | None] | None:
        """The next answer to a question of ours; None when the time is over."""
        try:
            async with asyncio.timeout_at(until):
                while True:
                    data, sender = await packets.came.get()
                    try:
                        tid, reply = read(data, self._identity.peer, self._salt)
                    except BadMessage:
                        continue
                    place: Place | None = self._asked.get(tid)
                    if place is not None and place == Place(sender[0], sender[1]):
                        del self._asked[tid]
                        break
        except TimeoutError:
            return None
        return place, reply
