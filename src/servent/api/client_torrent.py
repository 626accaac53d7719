"""The client's half that is about BitTorrent: one method for each of `face_torrent`, under the same names."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from servent.api import schema
from servent.api.client_http import Http, Later, part

if TYPE_CHECKING:
    from servent.api import schema_torrent as bt
else:
    bt = Later("servent.api.schema_torrent")

HASHING = 6 * 3600.0  # s for reading what becomes a hybrid


class TorrentClient(Http):
    """Raises as `Client` does."""

    def torrent_status(self) -> bt.TorrentStatus:
        return self._get("/torrents/status", bt.TorrentStatus)

    def torrents(self) -> list[bt.Torrent]:
        return self._get("/torrents", list[bt.Torrent])

    def torrent(self, id: str) -> bt.Torrent:
        return self._get(f"/torrents/{part(id)}", bt.Torrent)

    def torrent_peers(self, id: str) -> list[bt.TorrentPeer]:
        return self._get(f"/torrents/{part(id)}/peers", list[bt.TorrentPeer])

    def fetch_torrent(self, data: bytes, to: str | None = None) -> schema.Transfer:
        """By the bytes of a .torrent file."""
        wish = bt.TorrentFetch(data=b64encode(data).decode(), to=to)
        return self._send("POST", "/torrents", schema.Transfer, wish)

    def seed_torrent(self, wish: bt.TorrentSeed) -> bt.Torrent:
        """ApiError of kind "confirm" says why it asks; give `confirm` to seed it all the same."""
        timeout = HASHING if wish.hybrid else max(60.0, self.timeout)
        return self._send("POST", "/torrents/seed", bt.Torrent, wish, timeout=timeout)

    def unseed_torrent(self, id: str) -> bt.Torrent:
        return self._send("POST", "/torrents/seed", bt.Torrent, bt.TorrentSeed(what=id, seed=False))

    def torrent_file(self, name: str) -> bt.TorrentFile:
        return self._get(f"/torrents/{part(name)}/file", bt.TorrentFile)
