"""What the routes ask of a node about BitTorrent. `adapter_torrent.py` answers from the real rooms."""

from __future__ import annotations

from typing import Protocol

from servent.api import schema
from servent.api import schema_torrent as torrent


class TorrentFace(Protocol):
    """Every method may raise a ServentError. `name`: a torrent, share or transfer, by its id, infohash or a beginning of it."""

    def torrent_status(self) -> torrent.TorrentStatus: ...
    def torrents(self) -> list[torrent.Torrent]:
        """What comes, then what is seeded."""
        ...

    async def torrent_peers(self, id: str) -> list[torrent.TorrentPeer]: ...
    async def fetch_torrent(self, data: bytes, to: str | None) -> schema.Transfer:
        """By the bytes of a .torrent. Raises UsageError: it is none, or is damaged."""
        ...

    async def seed_torrent(self, wish: torrent.TorrentSeed) -> torrent.Torrent:
        """Raises Doubtful (409) when not everybody was meant to see it and `confirm` is missing."""
        ...

    async def unseed_torrent(self, id: str) -> None: ...
    async def torrent_file(self, name: str) -> torrent.TorrentFile: ...
