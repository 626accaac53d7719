"""Where a member begins: at what it wrote down of the network, at those it knows, and at those who are connected."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from servent.codec import encode
from servent.errors import BadMessage
from servent.net.peers import Peers
from servent.overlay.records import PeerRecord, check, peer_records
from servent.overlay.records_service import NodeSeal
from servent.store import Store

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

MOST_PASSIVE = 32  # records written beside the anchors
SEEK_EVERY = 5.0  # s between two times that the address book is gone through
SEEK = 8  # of those in it at once


class Bootstrapper:
    """Keeps anchors and others on disk, and goes through the providers when a member asks."""

    def __init__(self, store: Store, peers: Peers, seal: NodeSeal, dice: random.Random) -> None:
        self._store, self._peers, self._seal, self._dice = store, peers, seal, dice
        self._clock = asyncio.get_running_loop().time
        self._sought = float("-inf")

    async def load(self, network: bytes) -> list[PeerRecord]:
        """What the last run wrote down of `network`: anchors first. Whatever is no good record is left out."""

        def job(connection: sqlite3.Connection) -> list[tuple[bytes]]:
            return connection.execute(
                "SELECT record FROM overlay_contacts WHERE network = ? ORDER BY rank", (network,)
            ).fetchall()

        found = []
        for (body,) in await self._store.read(job):
            try:
                record = peer_records.decode(body)
                check(network, record, self._seal)
            except BadMessage as wrong:
                log.debug("a contact on disk is no good: %s", wrong)
                continue
            found.append(record)
        return found

    async def save(self, network: bytes, anchors: Sequence[PeerRecord], known: Sequence[PeerRecord]) -> None:
        """Write down where to begin the next time; nothing at all leaves what was written before."""
        others = list(known)
        self._dice.shuffle(others)
        chosen = {bytes(record.key): record for record in (*anchors, *others[:MOST_PASSIVE])}
        if not chosen:
            return
        rows = [(network, key, rank, encode(record)) for rank, (key, record) in enumerate(chosen.items())]

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM overlay_contacts WHERE network = ?", (network,))
            connection.executemany("INSERT INTO overlay_contacts VALUES (?, ?, ?, ?)", rows)

        await self._store.write(job)

    async def forget(self, network: bytes) -> None:
        """We left it: nothing of it stays."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM overlay_contacts WHERE network = ?", (network,))

        await self._store.write(job)

    def seek(self) -> None:
        """Nobody is connected and nobody known: dial those in the address book, inviter and acquaintances alike.

        Whoever answers shows in its hello which networks it shares; the local network looks by itself all the time.
        """
        now = self._clock()
        if now - self._sought >= SEEK_EVERY:
            self._sought = now
            self._peers.seek(SEEK)
