"""BitTorrent as one more source of a download: what it lends is fetched by libtorrent, into the download's own files.

The download stays the owner of what is wanted, of the record on disk, and of the end. libtorrent is told to want exactly
the pieces it was lent. It says that a piece is there when it fits its hash, which may be before it is in its file (measured), so
pieces are recorded after a flush.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from servent.blobs import bencode, info, infov1, names
from servent.blobs.download_service import Download
from servent.blobs.info import Collection
from servent.blobs.magnet import Magnet, encode, with_more
from servent.blobs.pieces import Bits
from servent.blobs.scan import PARTIAL_PREFIX
from servent.errors import BadMessage, DiskTrouble, ServentError, WorldError
from servent.torrent import metafile, words
from servent.torrent.handle import Handle
from servent.torrent.session import Session
from servent.torrent.views import Adding, Status, Watcher

log = logging.getLogger("servent.torrent")

BEAT = 0.25  # s between two looks at what came and what to lend
LAYERS_EVERY = 0.25  # s between two looks at whether all hashes are there
SILENT = 20.0  # s without a byte after which what is lent is asked of others
LOOK_AROUND = 2.0  # s between two looks at which pieces its peers have
LARGEST_FILE = 9_000_000  # bytes of a .torrent that libtorrent reads
URGENT = 16  # pieces of each reader that get a deadline
DEADLINE_STEP = 100  # ms
LENT, LEFT = 4, 0  # libtorrent's priorities


class Joining(Watcher):
    """Helps one download while it runs.

    Args:
        link: what the download's link says.
        dht: whether the DHT is asked for peers.
        count: told how many bytes came.
        limits: bytes per second up and down that a torrent may have from its start, 0 for no limit.
    """

    def __init__(
        self,
        session: Session,
        download: Download,
        link: Magnet,
        clock: Callable[[], float],
        *,
        dht: bool = False,
        count: Callable[[int], None] = lambda size: None,
        limits: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ) -> None:
        self._session, self.download, self.link, self._clock, self._dht = session, download, link, clock, dht
        self._count, self._limits = count, limits
        self.handle: Handle | None = None
        self.status: Status | None = None
        self.sent_bytes = 0  # of torrents of this download that are gone
        self._lending = download.lending
        self._wake = asyncio.Event()
        self._finished: set[int] = set()  # not recorded yet
        self._there: set[int] = set()  # all that libtorrent has fetched
        self._error = ""
        self._moved_at = self._looked_at = 0.0
        self._seen_bytes = 0
        self._able: Bits | None = None
        self._in_order = False

    @property
    def received_bytes(self) -> int:
        """Of this run of the download."""
        return self._lending.received_bytes

    def hear(self, more: Magnet) -> None:
        """Another link to the same says more."""
        self.link = with_more(self.link, more)
        if self.handle is not None:
            self.handle.learn(more)

    # -- life

    async def run(self) -> None:
        """Until cancelled. Raises DiskTrouble, BadMessage, WorldError."""
        while True:
            try:
                await self._once()
            finally:
                await asyncio.shield(self._leave())

    async def _once(self) -> None:
        """Returns when it is to begin anew."""
        self._finished.clear()
        self._there.clear()
        self._error, self._seen_bytes, self._in_order = "", 0, False
        up, down = self._limits()
        link, adding = self.link, replace(self._adding(), up_bytes_per_s=up, down_bytes_per_s=down)
        handle = self.handle = await self._session.add(adding, self)
        if self.link is not link:  # meanwhile
            handle.learn(self.link)
        self._moved_at = self._clock()
        if self.download.swarm is None:
            if not await self._metadata(handle):
                return
            await self._layers(handle)
            handle.change_priorities(self._lending.pending, LEFT)
            self._lending.pending.clear()
        elif not adding.torrent and self._adding().torrent:
            return  # somebody told all of it while the link was taken up
        while await self._beat(handle):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._wake.wait()
            self._wake.clear()

    async def _leave(self) -> None:
        """Nothing is written after this, and what is there is recorded."""
        handle, self.handle = self.handle, None
        if handle is None:
            return
        with contextlib.suppress(ServentError):
            await self._record(handle)
            status = await handle.fresh()
            self._moved(status)
            if (more := self._lending.brought_bytes - self._lending.received_bytes) > 0:
                self._came(more)  # libtorrent counts once a second
            self.sent_bytes += status.uploaded_bytes
        self.status = None
        await self._session.remove(handle)
        self._lending.take_back(list(self._lending.lent))
        self._lending.pending.clear()
        await asyncio.to_thread(self._not_executable)

    def _adding(self) -> Adding:
        download, link = self.download, self.link
        folder = self._folder()
        collection, partial = download.collection, download.partial
        if collection is not None and partial is not None and download.swarm is not None:
            content = metafile.encode(collection.info, collection.layers)
            if len(content) <= LARGEST_FILE:
                paths = names.safe_paths(collection)
                numbers = numbers_of(collection)
                # Never nothing at all: peers who have everything would leave.
                lent = set(self._lending.more(0.0)) | self._lending.lent
                return Adding(
                    folder=folder,
                    torrent=content,
                    have=partial.bitfield(),
                    piece_priorities=tuple(
                        LENT if piece in lent else LEFT for piece in range(collection.pieces)
                    ),
                    renamed=tuple(
                        (number, os.path.join(*path)) for number, path in zip(numbers, paths, strict=True)
                    ),
                    trackers=link.trackers,
                    url_seeds=link.web_seeds,
                    peers=link.peers,
                )
        text = encode(link._replace(infohash=download.infohash, contacts=(), content=None))
        return Adding(folder=folder, magnet=text)

    def _folder(self) -> Path:
        row = self.download.row
        return Path(row.to, f"{PARTIAL_PREFIX}{row.infohash.hex()[:16]}", "data")

    def _known(self) -> bool:
        """The download has its list of files and all hashes."""
        return self.download.swarm is not None

    # -- what it is

    async def _metadata(self, handle: Handle) -> bool:
        """Until the list of files is there; False: somebody else gave it, with all hashes."""
        while True:
            if self._known():
                return False
            status = self.status = await handle.fresh()
            self._check_error()
            if status.has_metadata:
                break
            self._say(status)
            await self._pause()
        content = await handle.info()
        if content is None:
            raise WorldError("libtorrent has lost the list of files")
        collection = await asyncio.to_thread(info.parse, content, self.download.infohash)
        await self._rename(handle, collection)
        if self._known():
            return False
        self._lending.pending = set(range(collection.pieces))  # all are wanted until it hears otherwise
        await self.download.told(content, {})
        return True

    async def _rename(self, handle: Handle, collection: Collection) -> None:
        """Every file is called as ours, before any is written."""
        there = await handle.paths()
        numbers = await asyncio.to_thread(numbers_of, collection)
        ours = [os.path.join(*path) for path in names.safe_paths(collection)]
        if numbers and numbers[-1] >= len(there):
            raise BadMessage("libtorrent counts other files in this torrent")
        other = [(number, path) for number, path in zip(numbers, ours, strict=True) if there[number] != path]
        await handle.rename_all(other)

    async def _layers(self, handle: Handle) -> None:
        """Until all hashes are there. They come by themselves while pieces are fetched, so all are begun with."""
        collection = self.download.collection
        if collection is not None and (wanted := self.download.goal.pieces(collection)) is not None:
            left = [piece for piece in self._lending.pending if piece not in wanted]
            self._lending.pending.difference_update(left)
            handle.change_priorities(left, LEFT)
        while self.download.swarm is None and not self.download.over and collection is not None:
            status = self.status = await handle.fresh()
            self._check_error()
            self._moved(status)
            self._say(status)
            content = await handle.torrent()
            if content is not None and self.download.swarm is None:
                layers = await asyncio.to_thread(layers_in, content)
                with contextlib.suppress(
                    BadMessage
                ):  # some of the hashes are not there yet, and stand for zero
                    await self.download.told(collection.info, layers)
            if self.download.swarm is None:
                await self._pause(LAYERS_EVERY)

    async def _pause(self, most: float = BEAT) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most):
                await self._wake.wait()
        self._wake.clear()

    # -- what comes

    async def _beat(self, handle: Handle) -> bool:
        """False: begin anew."""
        lending, now = self._lending, self._clock()
        status = self.status = await handle.fresh()
        self._check_error()
        self._moved(status)
        await self._record(handle)
        swarm = self.download.swarm
        if swarm is None or self.download.over:
            return True
        if lending.lent and swarm.rivals and now - self._moved_at > SILENT:
            return False
        rate = float(status.down_bytes_per_s)
        handle.change_priorities(lending.not_wanted(), LEFT)
        if back := lending.too_many(rate):
            handle.change_priorities(back, LEFT)
            begun = await handle.begun() | self._there
            again = [piece for piece in back if piece in begun]
            handle.change_priorities(again, LENT)
            lending.take_back(piece for piece in back if piece not in begun)
        if status.seeds == 0 and swarm.rivals and now - self._looked_at > LOOK_AROUND:
            self._looked_at = now
            self._able = _able(await handle.availability())
        if status.peers:
            new = lending.more(rate, self._able if status.seeds == 0 and swarm.rivals else None)
            handle.change_priorities(new, LENT)
            self._finished.update(self._there.intersection(new))
            if new:
                self._moved_at = max(self._moved_at, now - SILENT / 2)
        self._urge(handle)
        self._say(status)
        return True

    async def _record(self, handle: Handle) -> None:
        """What has been fetched is in its files, and then in the record."""
        if self._finished and self.download.partial is not None:
            ready, self._finished = self._finished, set()
            await handle.flush()
            await self._lending.came(ready)

    def _moved(self, status: Status) -> None:
        new = status.downloaded_bytes - self._seen_bytes
        if new > 0:
            self._seen_bytes = status.downloaded_bytes
            self._came(new)

    def _came(self, size: int) -> None:
        self._moved_at = self._clock()
        self._lending.moved(size, self._moved_at)
        self._count(size)

    def _urge(self, handle: Handle) -> None:
        if self.download.row.in_order != self._in_order:
            self._in_order = self.download.row.in_order
            handle.sequential(self._in_order)
        for pieces in self.download.readers.ranges():
            for number, piece in enumerate(pieces[:URGENT]):
                if piece in self._lending.lent:
                    handle.deadline(piece, number * DEADLINE_STEP)

    def _say(self, status: Status) -> None:
        known = self.download.collection is not None
        state, text = words.happens(status, known=known, dht=self._dht, trackers=bool(self.link.trackers))
        self._lending.say(state, text, status.peers)

    def _check_error(self) -> None:
        if self._error:
            raise DiskTrouble(
                f"libtorrent stopped: {self._error}", advice="`servent resume` goes on when it is mended."
            )

    # views.Watcher

    def on_metadata(self) -> None:
        self._wake.set()

    def on_piece(self, index: int) -> None:
        self._finished.add(index)
        self._there.add(index)
        if not self._lending.lent - self._finished:
            self._wake.set()  # the last of what was lent

    def on_error(self, text: str) -> None:
        self._error = text
        self._wake.set()

    def _not_executable(self) -> None:
        """libtorrent makes files executable where the torrent says so; nobody's word is enough for that here. Blocks."""
        collection = self.download.collection
        if collection is None:
            return
        for file, path in zip(collection.files, names.safe_paths(collection), strict=True):
            if file.executable:
                tame(self._folder().joinpath(*path))


def tame(path: Path) -> None:
    """Not executable any more. Links are left alone."""
    with contextlib.suppress(OSError):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o666)


def numbers_of(collection: Collection) -> list[int]:
    """Under which number libtorrent has each file. Raises BadMessage: the halves of a hybrid contradict each other."""
    made = bencode.decode(collection.info, info.MAX_INFO_BYTES)
    if isinstance(made, dict) and b"pieces" in made:
        plain = infov1.read(made)
        infov1.agree(plain, collection)
        return [number for number, file in enumerate(plain.files) if not file.pad]
    return infov1.places_of(collection)


def layers_in(content: bytes) -> dict[bytes, bytes]:
    """The piece layers of a .torrent, as they stand there."""
    made = bencode.decode(content, len(content))
    found = made.get(b"piece layers") if isinstance(made, dict) else None
    if not isinstance(found, dict):
        return {}
    return {root: layer for root, layer in found.items() if isinstance(layer, bytes)}


def _able(counts: list[int]) -> Bits | None:
    if not counts:
        return None
    bits = Bits(len(counts))
    for piece, count in enumerate(counts):
        if count:
            bits.set_run(piece)
    return bits
