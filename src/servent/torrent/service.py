"""The BitTorrent door: downloads that also, or only, come from BitTorrent peers; and what is seeded to them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from servent.blobs.service import Blobs
from servent.errors import NotFound
from servent.torrent.door_views import DoorStatus, Fetched, TorrentView
from servent.torrent.session import Session, installed

log = logging.getLogger("servent.torrent")


class Torrents:
    """Owns every torrent of the session.

    `open` it after `blobs`, `run` it in a task beside the session's, `close` it before both.

    Args:
        data_dir: where what torrents of version 1 need to go on is kept.
        on: whether the door is open: a person may have closed it, then only the DHT uses the session.

    Attributes:
        keep_seeding: called with each download that came through the door, when it is complete.
        others: more torrents to show: those that are seeded.
    """

    def __init__(self, session: Session, blobs: Blobs, data_dir: Path, *, on: bool = True) -> None:
        self.session, self._blobs, self._data_dir, self._on = session, blobs, data_dir, on
        self.keep_seeding: Callable[[Fetched], Awaitable[None]] | None = None
        self.others: Callable[[], list[TorrentView]] = list

    async def open(self) -> None:
        """Let downloads come through the door."""

    async def run(self) -> None:
        """Share the limits with the rest of the node, until cancelled."""

    async def close(self) -> None:
        """Let no more come."""

    def status(self) -> DoorStatus:
        """The door as a whole."""
        view = self.session.view()
        return DoorStatus(
            installed=installed(),
            door=self._on,
            dht=view.dht,
            why=view.why,
            dht_nodes=view.dht_nodes,
            port=view.port,
            peers=view.peers,
        )

    def torrents(self) -> list[TorrentView]:
        """All at the door: what comes, then what is seeded."""
        return self.others()

    def torrent(self, id: str) -> TorrentView:
        """One of them. Raises NotFound."""
        for one in self.torrents():
            if id in (one.id, one.infohash_v1):
                return one
        raise NotFound(f"no torrent here is called {id[:70]!r}")
