"""A download of BitTorrent version 1: it has no tree of hashes that we could check, so libtorrent owns its pieces.

For everything else it is a download like any other: its turn, its row, its limits, its place at the end. What came is hashed
once then, and served here as a collection of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from servent.blobs import bencode, info, infov1, names
from servent.blobs.download_service import Download
from servent.blobs.ending import Ending
from servent.blobs.files import Folder, human, own_folder, put, trouble
from servent.blobs.hashing import Shared
from servent.blobs.info import Collection
from servent.blobs.journal import boot_id
from servent.blobs.kit_service import Kit, Watcher
from servent.blobs.listing import describe
from servent.blobs.magnet import Magnet, encode, with_more
from servent.blobs.rows import Row
from servent.blobs.scan import PARTIAL_PREFIX
from servent.errors import DiskTrouble, ServentError, UsageError, WorldError
from servent.torrent import metafile, views, words
from servent.torrent.handle import Handle
from servent.torrent.joining_service import LARGEST_FILE, tame
from servent.torrent.session import Session
from servent.torrent.views import Adding, Status

BEAT = 0.25  # s between two looks at how far it is
SAVE_EVERY = 5.0  # s between two notes of what is there
LARGEST_RESUME = 64 * 1024 * 1024  # bytes
WANTED, LEFT = 4, 0  # libtorrent's priorities


class PlainDownload(Download, views.Watcher):
    """Runs one transfer of version 1.

    Args:
        link: what the row's link says.
        dht: whether the DHT is asked for peers.
        count: told how many bytes came.
        limits: bytes per second up and down that a torrent may have from its start, 0 for no limit.
    """

    def __init__(
        self,
        row: Row,
        kit: Kit,
        watcher: Watcher,
        session: Session,
        link: Magnet,
        clock: Callable[[], float],
        *,
        dht: bool = False,
        count: Callable[[int], None] = lambda size: None,
        limits: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ) -> None:
        super().__init__(row, kit, watcher)
        self._count, self._limits = count, limits
        self._bittorrent, self._link, self._now, self._dht = session, link, clock, dht
        self.handle: Handle | None = None
        self.status: Status | None = None
        self.sent_bytes = self.received_bytes = 0
        self._listing: Collection | None = None
        self._error = ""
        self._wake = asyncio.Event()
        self._seen_bytes: int | None = None
        self._at_first = 0
        self._counted_at = 0.0
        self._numbered: list[tuple[int, names.Path]] = []
        self._in_order = False
        self._ending = False
        self.folder = Path(row.to, f"{PARTIAL_PREFIX}{row.infohash.hex()[:16]}")

    # -- Download

    async def run(self, *, verify: bool = False) -> None:
        """As `Download.run`."""
        self.row.set("connecting", "looking for BitTorrent peers")
        try:
            await asyncio.to_thread(self._make_folder)
            try:
                await self._fetch(verify)
            finally:
                await asyncio.shield(self._leave())
            self.row.path = str(await asyncio.to_thread(self._move))
            self.done = True
        except DiskTrouble as wrong:
            self.row.set("paused", str(wrong), error=str(wrong), advice=wrong.advice)
            self._watcher.changed(self)
        finally:
            self.readers.end()

    @property
    def over(self) -> bool:
        return self._ending

    def choose(self) -> None:
        """The row's choice of files, or its order, is another now."""
        if self._listing is not None and not self._ending:
            self.goal.describe(self._listing)
            self._prioritize()
            self._watcher.changed(self)

    def to_share(self) -> Shared | None:
        """Nothing yet: it is hashed when it is complete (`Torrents.complete`)."""
        return None

    def hear(self, more: Magnet) -> None:
        """Another link to the same says more."""
        self._link = with_more(self._link, more)
        if self.handle is not None:
            self.handle.learn(more)

    # -- what it is

    def _make_folder(self) -> None:
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            for path in (self.folder, self.folder / "data"):
                own_folder(path)
        except OSError as wrong:
            raise trouble(wrong, f"the download folder {self.row.to}") from wrong

    async def _add(self, verify: bool) -> Handle:
        """With what an earlier run left, as far as that is sound."""
        data, link, content = self.folder / "data", self._link, self.row.info
        if content is None:
            content = await asyncio.to_thread(self._left_info)
        if content is None:
            text = encode(link._replace(infohash=self.row.infohash, contacts=(), content=None))
            return await self._take(Adding(folder=data, magnet=text))
        await self._describe(content)
        renamed = tuple((number, os.path.join(*path)) for number, path in self._places())
        resume = None if verify else await asyncio.to_thread(self._left_resume)
        if resume is not None:
            with contextlib.suppress(UsageError):
                handle = await self._take(
                    Adding(folder=data, resume=resume, renamed=renamed, peers=link.peers)
                )
                if handle.infohash_v1 == self.row.infohash and await handle.info() == content:
                    return handle
                await self._bittorrent.remove(handle)
        file = metafile.encode(content, {})
        if len(file) > LARGEST_FILE:
            text = encode(link._replace(infohash=self.row.infohash, contacts=(), content=None))
            return await self._take(Adding(folder=data, magnet=text))
        fresh = Adding(
            folder=data,
            torrent=file,
            renamed=renamed,
            file_priorities=tuple(self._priorities()),
            trackers=link.trackers,
            url_seeds=link.web_seeds,
            peers=link.peers,
        )
        return await self._take(fresh)

    async def _take(self, adding: Adding) -> Handle:
        up, down = self._limits()
        return await self._bittorrent.add(replace(adding, up_bytes_per_s=up, down_bytes_per_s=down), self)

    async def _describe(self, content: bytes) -> None:
        row = self.row
        listing = await asyncio.to_thread(describe, content, row.infohash)
        first = row.info is None
        row.info, self._listing = content, listing
        await asyncio.to_thread(self._places)
        self.goal.describe(listing)
        if first:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(put, self.folder / "info", content)
            self._watcher.changed(self)

    def _left_info(self) -> bytes | None:
        """What an earlier run that was killed left beside the download; whoever reads it checks it."""
        try:
            content = (self.folder / "info").read_bytes()
            describe(content, self.row.infohash)
        except (OSError, ServentError):
            return None
        return content

    def _places(self) -> list[tuple[int, names.Path]]:
        """libtorrent's number of each file, and where it goes."""
        assert self._listing is not None
        if self._numbered:
            return self._numbered
        made = bencode.decode(self._listing.info, info.MAX_INFO_BYTES)
        assert isinstance(made, dict)
        files = infov1.read(made).files
        numbers = [number for number, file in enumerate(files) if not file.pad]
        self._numbered = list(zip(numbers, names.safe_paths(self._listing), strict=True))
        return self._numbered

    def _prioritize(self) -> None:
        if self.handle is not None and self._listing is not None:
            self.handle.file_priorities(self._priorities())

    def _priorities(self) -> list[int]:
        wanted = None if self.row.wanted is None else frozenset(self.row.wanted)
        places = self._places()
        priorities = [LEFT] * (places[-1][0] + 1)
        for index, (number, _) in enumerate(places):
            if wanted is None or index in wanted:
                priorities[number] = WANTED
        return priorities

    # -- fetching

    async def _fetch(self, verify: bool) -> None:
        handle = self.handle = await self._add(verify)
        handle.learn(self._link)  # it may say more than when the torrent was first taken up
        if self._listing is not None and not verify:
            self._at_first = (await handle.fresh()).done_bytes
        if self._listing is None:
            await self._metadata(handle)
        if verify:
            handle.recheck()
        self._prioritize()
        await self._space()
        saved = self._now()
        while True:
            status = self.status = await handle.fresh()
            self._look(handle, status)
            await self._count_files(handle)
            if status.state in ("finished", "seeding") and status.done_bytes >= self.row.size_bytes:
                self._ending = True
                await handle.flush()
                if (more := status.done_bytes - self._at_first - self.received_bytes) > 0:
                    self._came(more)  # libtorrent counts once a second
                return
            if self._now() - saved > SAVE_EVERY:
                saved = self._now()
                await self._save(handle)
            await self._pause()

    async def _count_files(self, handle: Handle) -> None:
        """Of each file, once a second."""
        if self._now() - self._counted_at > 1.0:
            self._counted_at = self._now()
            there = await handle.file_progress()
            if len(there) > self._places()[-1][0]:
                self.goal.counted = [there[number] for number, _ in self._places()]

    async def _metadata(self, handle: Handle) -> None:
        while True:
            status = self.status = await handle.fresh()
            self._look(handle, status)
            if status.has_metadata:
                break
            await self._pause()
        content = await handle.info()
        if content is None:
            raise WorldError("libtorrent has lost the list of files")
        await self._describe(content)
        there = await handle.paths()
        places = [(number, os.path.join(*path)) for number, path in self._places()]
        if places[-1][0] >= len(there):
            raise WorldError("libtorrent counts other files in this torrent")
        await handle.rename_all([(number, path) for number, path in places if there[number] != path])

    async def _space(self) -> None:
        free = (await asyncio.to_thread(shutil.disk_usage, self.row.to)).free
        missing = self.row.size_bytes - self.row.done_bytes
        if missing > free:
            raise DiskTrouble(
                f"{self.row.to} has {human(free)} free, {human(missing)} are still to come",
                advice="Free some space, or choose a folder on another disk.",
            )

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEAT):
                await self._wake.wait()
        self._wake.clear()

    def _look(self, handle: Handle, status: Status) -> None:
        """What a person sees of it."""
        row = self.row
        if self._error:
            raise DiskTrouble(
                f"libtorrent stopped: {self._error}", advice="`servent resume` goes on when it is mended."
            )
        self._moved(status)
        if self._listing is not None:
            row.done_bytes = min(status.done_bytes, row.size_bytes)
        if row.in_order != self._in_order:
            self._in_order = row.in_order
            handle.sequential(row.in_order)
        known = self._listing is not None
        state, text = words.happens(status, known=known, dht=self._dht, trackers=bool(self._link.trackers))
        if status.state == "checking":
            state, text = "checking", "reading what is there from the disk again"
        if (row.state, row.reason) != (state or "connecting", text):
            row.set(state or "connecting", text)
            self._watcher.changed(self)

    def _moved(self, status: Status) -> None:
        if self._seen_bytes is None:  # what resume data says of earlier runs
            self._seen_bytes = 0 if self.row.info is None else status.downloaded_bytes
        if (new := status.downloaded_bytes - self._seen_bytes) > 0:
            self._seen_bytes = status.downloaded_bytes
            self._came(new)

    def _came(self, size: int) -> None:
        self.received_bytes += size
        self.meter.add(size, self._now())
        self._count(size)

    # -- what an earlier run left

    async def _save(self, handle: Handle) -> None:
        with contextlib.suppress(WorldError, OSError):
            resume = await handle.resume_data()
            await asyncio.to_thread(put, self.folder / "resume", boot_id() + resume)

    def _left_resume(self) -> bytes | None:
        """None: nothing, or the machine started again since: what it says may not have reached the disk."""
        path = self.folder / "resume"
        try:
            if not 16 < path.stat().st_size <= LARGEST_RESUME:
                return None
            content = path.read_bytes()
        except OSError:
            return None
        return content[16:] if content[:16] == boot_id() else None

    async def _leave(self) -> None:
        """Nothing is written after this, and what is there is remembered."""
        handle, self.handle = self.handle, None
        if handle is None:
            return
        if not self._ending and self._listing is not None:
            await self._save(handle)
        with contextlib.suppress(ServentError):
            self.sent_bytes += (await handle.fresh()).uploaded_bytes
        self.status = None
        await self._bittorrent.remove(handle)

    # -- the end

    def _move(self) -> Path:
        """To its place. Blocks. Raises DiskTrouble."""
        row, listing = self.row, self._listing
        assert listing is not None
        paths = names.safe_paths(listing)
        wanted = list(range(len(paths)) if row.wanted is None else row.wanted)
        try:
            data = Folder(self.folder / "data")
            try:
                for index in wanted:
                    if listing.files[index].size == 0:
                        os.close(data.open(paths[index], os.O_RDWR | os.O_CREAT, 0o666))
            finally:
                data.close()
            for index in wanted:
                if listing.files[index].executable:
                    tame(self.folder.joinpath("data", *paths[index]))
            top = names.safe_part(row.called) if row.called else paths[0][0]
            final = _Ending(listing, self.folder, paths, wanted).move(Path(row.to), top)
        except OSError as wrong:
            raise trouble(wrong, str(Path(row.to, paths[0][0]))) from wrong
        shutil.rmtree(self.folder, ignore_errors=True)
        return final

    # views.Watcher

    def on_metadata(self) -> None:
        self._wake.set()

    def on_finished(self) -> None:
        self._wake.set()

    def on_error(self, text: str) -> None:
        self._error = text
        self._wake.set()


class _Ending(Ending):
    """Where something else is called the same, nobody can tell whether it is the same: there are no hashes of files."""

    def _same(self, target: Path) -> bool:
        return False
