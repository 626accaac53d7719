"""From what was found to a transfer: contents, folders, and previews, which leave by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from servent.blobs.canonical import canon, canonical_info
from servent.blobs.journal import Journal
from servent.blobs.magnet import Magnet
from servent.blobs.pieces import Bits
from servent.blobs.places import Place
from servent.blobs.reading_service import Reading, Readings
from servent.blobs.rows import How, Priority, Row
from servent.blobs.scan import PARTIAL_PREFIX
from servent.blobs.selection import choice
from servent.blobs.service import Blobs
from servent.blobs.views import TransferView
from servent.errors import NotFound, ServentError, UsageError
from servent.identity import PeerId
from servent.net import ticket as tickets
from servent.net.peers import Peers
from servent.share.browse_service import Browsing
from servent.share.content_service import ContentService

log = logging.getLogger(__name__)

FOLDER = "previews"  # in the data directory
IDLE = 1800.0  # s that a preview stays after somebody read it last; a guess
SWEEP_EVERY = 30.0  # s
MOST_PEERS = 100


class FileView:
    """A file of a transfer: how far it is, and whether it is wanted."""

    __slots__ = ("done_bytes", "index", "path", "size_bytes", "wanted")

    def __init__(self, index: int, path: str, size_bytes: int, done_bytes: int, wanted: bool) -> None:
        self.index, self.path, self.size_bytes = index, path, size_bytes
        self.done_bytes, self.wanted = done_bytes, wanted


class Getting:
    """Begins transfers and reads their files; owns the previews.

    Args:
        cache_bytes: of all previews together, as far as they are on the disk.
    """

    def __init__(
        self,
        peers: Peers,
        blobs: Blobs,
        content: ContentService,
        browse: Browsing,
        data_dir: Path,
        cache_bytes: int,
    ) -> None:
        self._peers, self._blobs, self._content, self._browse = peers, blobs, content, browse
        self._cache, self._cache_bytes = data_dir / FOLDER, cache_bytes
        self._readings = Readings(blobs.download_of)
        self._clock = asyncio.get_running_loop().time
        self._used: dict[str, float] = {}  # previews, by transfer: when one was read last
        self._open: dict[str, int] = {}  # readers of each

    # -- getting

    async def content(
        self,
        root: bytes,
        size: int,
        name: str,
        peers: Iterable[PeerId] = (),
        to: Path | None = None,
        *,
        priority: Priority = "normal",
        paused: bool = False,
        preview: bool = False,
    ) -> TransferView:
        """Fetch a content from anybody who has it.

        Args:
            peers: who said so; those who are away are dialed.

        Raises:
            UsageError: it is blocked, or no content has this size.
        """
        if self._content.blocked(root):
            raise UsageError("this content is blocked here", advice="`servent unblock` takes that back.")
        try:
            infohash, info = canon(root, size), canonical_info(root, size)
        except ValueError as wrong:
            raise UsageError("an empty file has no content to fetch") from wrong
        called = name or root.hex()[:16]
        how = How(priority=priority, paused=paused, called=called, info=info)
        if preview:
            to = self._cache / infohash.hex()[:32]
            await self._make_room(size)
            with contextlib.suppress(OSError):  # then the transfer says what is wrong
                await asyncio.to_thread(self._cache.mkdir, 0o700, parents=True, exist_ok=True)
            how = How(called=called, info=info, in_order=True, preview=True, foreground=True)
        view = await self._blobs.fetch(Magnet(infohash, called, self._contacts(peers)), to, how)
        if preview:
            self._used[view.id] = self._clock()
        return view

    async def folder(
        self,
        peer: PeerId,
        path: str,
        to: Path | None = None,
        *,
        priority: Priority = "normal",
        paused: bool = False,
        files: Sequence[str] = (),
    ) -> TransferView:
        """Fetch a folder of a peer, with its structure; others who have files of it help.

        Args:
            files: patterns; only files inside that match one. Empty: all.

        Raises:
            NotFound, PeerError, WorldError: the peer does not have it for us, or is not there.
        """
        if peer == self._peers.peer:
            raise UsageError("this folder is here already")
        made = await self._browse.folder(peer, path)
        how = How(priority=priority, paused=paused, by_content=True, called=made.name, patterns=files)
        return await self._blobs.fetch(Magnet(made.infohash, made.name, self._contacts([peer])), to, how)

    def _contacts(self, peers: Iterable[PeerId]) -> tuple[str, ...]:
        """Where those are who are not connected now."""
        away = [peer for peer in list(peers)[:MOST_PEERS] if self._peers.session(peer) is None]
        return tuple(tickets.encode(tickets.Ticket(self._peers.addresses(peer))) for peer in away)

    # -- files of a transfer

    async def files(self, transfer: str, offset: int, limit: int) -> list[FileView]:
        """Files `offset` to `offset + limit` of a transfer; none while it is paused and nobody said what is in it.

        Raises:
            NotFound: no such transfer. WorldError: nobody says what is in it.
        """
        row, _ = self._blobs.download_of(transfer)
        if row.info is None and row.state == "paused":
            return []
        known = await self._readings.describe(transfer)
        row, download = self._blobs.download_of(transfer)
        collection, paths = known
        have: Bits | None = None
        if download is not None and download.partial is not None:
            have = download.partial.have
        elif download is None and row.state != "complete":
            have = await asyncio.to_thread(_on_disk, row, collection.pieces)
        chosen = None if row.wanted is None else frozenset(row.wanted)
        placed = download.goal.placed if download is not None else frozenset()
        found = []
        for index in range(offset, min(len(paths), offset + limit)):
            wanted = chosen is None or index in chosen
            size = collection.files[index].size
            done = size if wanted and (row.state == "complete" or index in placed) else 0
            if download is not None and index < len(download.goal.counted):
                done = download.goal.counted[index]
            if have is not None and not done:
                done = sum(
                    collection.span(piece).size for piece in collection.file_pieces(index) if piece in have
                )
            name = row.name if collection.single else "/".join(paths[index][1:])
            found.append(FileView(index, name, size, done, wanted))
        return found

    async def choose(
        self, transfer: str, wanted: Sequence[int] | None = None, patterns: Sequence[str] = ()
    ) -> None:
        """Fetch only these files (None: all), and of those only what matches one of `patterns`.

        Raises:
            NotFound, UsageError, WorldError: no such transfer or files; they are blocked; nobody said what there is.
        """
        row, _ = self._blobs.download_of(transfer)
        if row.info is None and row.state == "paused" and wanted is None:
            await self._blobs.choose_later(transfer, patterns)
            return
        collection, _ = await self._readings.describe(transfer)
        if wanted is None or all(index < len(collection.files) for index in wanted):
            wanted = choice(collection, wanted, patterns, self._content.blocked)
        await self._blobs.choose(transfer, wanted)

    # -- reading

    async def read_transfer(self, transfer: str, index: int) -> _Counted:
        """A reader of a file, complete or not. Raises as `Readings.open`."""
        reading = await self._readings.open(transfer, index)
        return _Counted(reading, self, transfer)

    async def read_content(self, root: bytes) -> _OnDisk:
        """A file of the own library, or one that was fetched. Raises NotFound."""
        fetched = await asyncio.to_thread(self._blobs.places, {root})
        for place in [*await self._content.places(root), *fetched.get(root, ())]:
            if await asyncio.to_thread(_is_file, place):
                return _OnDisk(place, root)
        raise NotFound("nothing here has this content")

    def begun(self, transfer: str) -> None:
        """Somebody reads a transfer."""
        self._open[transfer] = self._open.get(transfer, 0) + 1

    def ended(self, transfer: str) -> None:
        """And does no more."""
        left = self._open.get(transfer, 1) - 1
        self._open[transfer] = left
        if left <= 0:
            del self._open[transfer]
        if transfer in self._used:
            self._used[transfer] = self._clock()

    # -- previews

    async def run(self) -> None:
        """Let previews go that nobody has looked at for a while, until cancelled."""
        await self._sweep(0.0)  # of an earlier run
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            await self._sweep(IDLE)

    async def _sweep(self, idle: float) -> None:
        now = self._clock()
        for row in self._blobs.previews():
            used = self._used.setdefault(row.id, now if idle else -IDLE)
            if row.id not in self._open and now - used >= idle:
                await self._remove(row)
        await self._shrink()
        kept = {row.id for row in self._blobs.previews()}
        self._used = {id: used for id, used in self._used.items() if id in kept}

    async def _make_room(self, size: int) -> None:
        """Before a preview of `size` bytes begins: those read longest ago go first."""
        rows = sorted(self._blobs.previews(), key=lambda row: self._used.get(row.id, 0.0))
        total = sum(row.done_bytes for row in rows) + min(size, self._cache_bytes)
        for row in rows:
            if total <= self._cache_bytes:
                return
            if row.id not in self._open:
                total -= row.done_bytes
                await self._remove(row)

    async def _shrink(self) -> None:
        """They grow after room was made for them. The one looked at last stays, however large."""
        rows = sorted(self._blobs.previews(), key=lambda row: self._used.get(row.id, 0.0))
        total = sum(row.done_bytes for row in rows)
        for row in rows[:-1]:
            if total > self._cache_bytes and row.id not in self._open:
                total -= row.done_bytes
                await self._remove(row)

    async def _remove(self, row: Row) -> None:
        with contextlib.suppress(ServentError):
            await self._blobs.remove(row.id)
        folder = Path(row.to)
        if folder.parent == self._cache:  # never anything else
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        self._used.pop(row.id, None)


class _Counted:
    """A reading that its preview is kept for."""

    def __init__(self, reading: Reading, getting: Getting, transfer: str) -> None:
        self._reading, self._getting, self._transfer = reading, getting, transfer
        self._counts = True
        getting.begun(transfer)

    @property
    def name(self) -> str:
        return self._reading.name

    @property
    def size_bytes(self) -> int:
        return self._reading.size_bytes

    @property
    def content(self) -> str:
        return self._reading.content

    async def read(self, offset: int, size: int) -> bytes:
        """As `Reading.read`."""
        return await self._reading.read(offset, size)

    async def close(self) -> None:
        """Safe twice."""
        if self._counts:
            self._counts = False
            self._getting.ended(self._transfer)
        await self._reading.close()


class _OnDisk:
    """A file that is whole on this machine."""

    def __init__(self, place: Place, root: bytes) -> None:
        self._place, self._root = place, root

    @property
    def name(self) -> str:
        return self._place.path.name

    @property
    def size_bytes(self) -> int:
        return self._place.size

    @property
    def content(self) -> str:
        return self._root.hex()

    async def read(self, offset: int, size: int) -> bytes:
        """Raises DiskTrouble, Changed: it is not what it was."""
        return await asyncio.to_thread(self._place.read, offset, size)

    async def close(self) -> None:
        """Nothing is held open between two reads."""


def _is_file(place: Place) -> bool:
    try:
        place.read(0, 1)
    except ServentError:
        return False
    return True


def _on_disk(row: Row, pieces: int) -> Bits | None:
    """Which pieces of a transfer that does not run are there."""
    path = Path(row.to) / f"{PARTIAL_PREFIX}{row.infohash.hex()[:16]}" / "journal"
    if not path.exists():
        return None
    try:
        journal = Journal(path, row.infohash, pieces)
    except OSError:
        return None
    journal.close()
    return journal.have
