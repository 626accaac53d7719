"""From a .torrent to a transfer; and the .torrents that were fetched by, kept for their piece layers."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from servent.blobs.magnet import MAX_TRACKERS, MAX_URL_CHARACTERS, MAX_WEB_SEEDS, Magnet, encode
from servent.blobs.rows import How
from servent.blobs.service import Blobs
from servent.blobs.views import TransferView
from servent.torrent.metafile import MAX_TORRENT_BYTES, Metafile

FOLDER = "torrents"  # in the data directory
MOST_KEPT = 1000  # of those that nothing needs any more, the oldest leave


class TorrentFiles:
    """Owns `data_dir`/torrents."""

    def __init__(self, data_dir: Path, blobs: Blobs) -> None:
        self._folder, self._blobs = data_dir / FOLDER, blobs

    async def fetch(self, known: Metafile, data: bytes, to: Path | None = None) -> TransferView:
        """Begin to fetch what a .torrent names; `known` is what it says.

        Raises:
            UsageError: as `Blobs.fetch`.
        """
        infohash = known.v2 or known.v1
        assert infohash is not None
        await asyncio.to_thread(self._keep, known.id, data)
        urls = [url for tier in known.trackers for url in tier if len(url) <= MAX_URL_CHARACTERS]
        seeds = [url for url in known.web_seeds if len(url) <= MAX_URL_CHARACTERS]
        link = Magnet(
            infohash,
            known.name[:255],
            v1=known.v1 if known.v2 is not None else None,
            trackers=tuple(urls[:MAX_TRACKERS]),
            web_seeds=tuple(seeds[:MAX_WEB_SEEDS]),
        )
        return await self._blobs.fetch(encode(link), to, How(info=known.info))

    def kept(self, id: str) -> bytes | None:
        """The .torrent under this infohash in hex, None: there is none. Blocks."""
        if not id.isalnum():
            return None
        try:
            with (self._folder / f"{id}.torrent").open("rb") as file:
                data = file.read(MAX_TORRENT_BYTES + 1)
        except OSError:
            return None
        return data if len(data) <= MAX_TORRENT_BYTES else None

    def _keep(self, id: str, data: bytes) -> None:
        """What cannot be kept is fetched from peers again."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(0o700, parents=True, exist_ok=True)
            draft = self._folder / f".{id}.new"
            draft.write_bytes(data)
            os.replace(draft, self._folder / f"{id}.torrent")
            found = sorted(self._folder.glob("*.torrent"), key=lambda one: one.stat().st_mtime)
            for old in found[:-MOST_KEPT]:
                old.unlink()
