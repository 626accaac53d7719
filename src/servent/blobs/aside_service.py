"""Fetching for other rooms: beside the person's list of transfers, into a folder that is not theirs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from servent.blobs import rows
from servent.blobs.download_service import Download
from servent.blobs.info import Collection
from servent.blobs.kit_service import Finder, Kit
from servent.blobs.magnet import Magnet
from servent.blobs.rows import How
from servent.errors import DiskTrouble, ServentError, UsageError, WorldError
from servent.identity import PeerId
from servent.net.session import first


class Aside:
    """Fetches what no person asked for. Rates and limits hold for it as for everything."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def fetch(
        self,
        infohash: bytes,
        to: Path,
        peers: Sequence[PeerId],
        *,
        info: bytes | None = None,
        called: str = "",
        timeout: float = 600.0,
        most_bytes: int = 2**53,
        copies: Finder | None = None,
    ) -> tuple[Path, Collection]:
        """Bring a collection into the folder `to`, of these peers alone; pieces that an earlier try left there are not fetched again.

        Args:
            info: its info dictionary, where that is known.
            called: the name it gets instead of its own.
            most_bytes: more than that is not fetched.
            copies: where this machine has contents, besides the library.

        Returns:
            where it lies, and what it is, with its layers.

        Raises:
            WorldError: nobody gave all of it in `timeout` seconds; it says why.
            DiskTrouble, UsageError: it cannot be written.
        """
        how = How(only=tuple(peers), called=called, info=info)
        link = Magnet(infohash, called or None, tuple(str(peer) for peer in peers))
        row = rows.begun(secrets.token_hex(6), link, "", str(to), how, 0.0, 0.0)
        row.touched = True
        kit = self._kit if copies is None else replace(self._kit, aids=replace(self._kit.aids, copies=copies))
        large = False

        def changed() -> None:
            nonlocal large
            if row.size_bytes > most_bytes and not large:
                large = True
                limit.reschedule(0.0)

        download = Download(row, kit, _Guide(kit, changed))
        try:
            async with asyncio.timeout(timeout) as limit:
                await download.run()
        except TimeoutError:
            if large:
                raise UsageError(f"it has {row.size_bytes} bytes, more than may be fetched") from None
            raise WorldError(
                f"nobody gave {row.name[:24]} in {timeout:.0f} s: {row.reason}", advice="It is tried again."
            ) from None
        except ExceptionGroup as group:
            cause = first(group)
            if isinstance(cause, ServentError) and group.split(ServentError)[1] is None:
                raise cause from group
            raise
        if not download.done or row.path is None or download.collection is None:
            raise DiskTrouble(row.error or row.reason, advice=row.advice)
        return Path(row.path), download.collection


class _Guide:
    """What a download asks of whoever keeps its row."""

    def __init__(self, kit: Kit, changed: Callable[[], None]) -> None:
        self._kit, self._changed = kit, changed

    def changed(self, download: Download) -> None:
        self._changed()

    async def introduce(self, contact: str) -> PeerId:
        peer = PeerId.parse(contact)
        if self._kit.peers.session(peer) is None:
            await self._kit.peers.connect(self._kit.peers.addresses(peer))
        return peer
