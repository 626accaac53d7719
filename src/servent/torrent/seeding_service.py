"""Seeding to BitTorrent: shares of ours, from the files where they lie, without hashing or copying anything again.

Nothing goes there that nobody asked for: a share is seeded when the person says so, and what was fetched from there goes
on until it has been given back. libtorrent is never let write: it serves, and asks peers for nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from servent.blobs import infov1
from servent.blobs.hashing import Shared
from servent.blobs.shares_service import ABSENT
from servent.errors import NotFound, ServentError, UsageError, WorldError
from servent.store import Store
from servent.torrent import metafile, seeding_rows
from servent.torrent.door_views import Fetched, TorrentView
from servent.torrent.handle import Handle
from servent.torrent.hybrid_service import hybrid
from servent.torrent.metafile import Metafile
from servent.torrent.seeding_files import changed, checked, lying, magnet, torrent_of
from servent.torrent.seeding_rows import Enough, Lying, Row
from servent.torrent.views import Adding, Status, Watcher

log = logging.getLogger("servent.torrent")

CREATOR = "servent"
LOOK_EVERY = 15.0  # s between two looks at whether the files are what they were; one is 2 us a file
SAVE_EVERY = 300.0  # s; bytes sent that a crash may forget
CHANGED = "its files changed since they were shared; share them again"
GONE = "it is not shared here any more"


class Swarm(Protocol):
    """What is used of `torrent.session.Session`."""

    async def add(self, adding: Adding, watcher: Watcher | None = None) -> Handle: ...
    async def remove(self, handle: Handle, *, files: bool = False) -> None: ...


class ShareBook(Protocol):
    """What is used of `blobs.service.Blobs`."""

    async def shared(self, infohash: bytes) -> tuple[Shared, Path] | None: ...
    async def keep_share(self, shared: Shared, path: Path) -> None: ...
    def has_share(self, infohash: bytes) -> bool: ...


@dataclass(eq=False, slots=True)
class _Entry(Watcher):
    """A torrent while the node runs. `known`: what it is; None when it is not here any more."""

    row: Row
    owner: Seeding
    known: Metafile | None = None
    files: list[Lying] = field(default_factory=list)
    handle: Handle | None = None
    status: Status | None = None
    saved: int = 0

    @property
    def uploaded(self) -> int:
        return self.row.uploaded + (self.status.uploaded_bytes if self.status is not None else 0)

    def on_state(self, status: Status) -> None:
        self.status = status
        if status.has_metadata and status.state in ("downloading", "checking") and self.handle is not None:
            self.owner.stop_soon(self, CHANGED)  # it found a piece that does not fit

    def on_hash_failed(self, index: int) -> None:
        self.owner.stop_soon(self, CHANGED)

    def on_error(self, text: str) -> None:
        self.owner.stop_soon(self, text)


class Seeding:
    """Owns what is seeded. `open` it before it runs, `run` it in a task, `close` it before the session.

    Args:
        session: called when there is something to seed; may raise WorldError (libtorrent is not installed, the door is off).
        store: the node's database, not open yet.
        idle: a folder that libtorrent is given as the place of files; nothing is ever written there.
        told: something changed that a person sees.
    """

    def __init__(
        self,
        session: Callable[[], Swarm],
        shares: ShareBook,
        store: Store,
        idle: Path,
        *,
        enough: Enough = Enough(),  # noqa: B008 -- frozen
        told: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._session, self._shares, self._store, self._idle = session, shares, store, idle
        self.enough = enough
        self._told, self._wall = told, wall
        self._entries: dict[str, _Entry] = {}
        self._news: dict[str, str] = {}  # torrents that are to stop, and why
        self._wake = asyncio.Event()
        self._changing = asyncio.Lock()
        self._limit = 0
        self._held = ""
        self._closed = False
        store.migrate(seeding_rows.ROOM, seeding_rows.STEPS)

    # -- life

    async def open(self) -> None:
        """What was seeded before. The store is open already."""
        for row in await self._store.read(seeding_rows.load):
            self._entries[row.id] = _Entry(row, self)

    async def run(self) -> None:
        """Seed until cancelled."""
        for entry in list(self._entries.values()):
            await self._begin_again(entry)
        saved = self._wall()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._wake.wait()
            self._wake.clear()
            await self._look()
            if abs(self._wall() - saved) > SAVE_EVERY:
                saved = self._wall()
                await self._save()

    async def close(self) -> None:
        """Write down what was sent. The session ends the torrents."""
        self._closed = True
        await self._save()

    async def _begin_again(self, entry: _Entry) -> None:
        async with self._changing:
            if entry.handle is not None or entry.row.id not in self._entries:
                return
            try:
                await self._find(entry)
                if entry.known is not None and not entry.row.reason:
                    await self._start(entry)
            except ServentError as wrong:
                entry.row.reason = str(wrong)
                log.warning("%s is not seeded: %s", entry.row.name, wrong)
        self._told()

    # -- what people ask for

    async def seed(
        self,
        infohash: bytes,
        *,
        trackers: Sequence[Sequence[str]] = (),
        web_seeds: Sequence[str] = (),
        asked: bool = True,
    ) -> TorrentView:
        """Seed a share of ours under its own infohash.

        Raises:
            NotFound: nothing is shared under it.
            UsageError: not all of it is here, it changed, or a URL cannot be used.
            WorldError: libtorrent is not there, or does not take it.
        """
        tiers = [list(checked(tier, metafile.TRACKER_SCHEMES)) for tier in trackers if tier]
        seeds = list(checked(web_seeds, metafile.WEB_SEED_SCHEMES))
        shared = await self._shared(infohash)
        id = infohash.hex()
        row = Row(id, shared.collection.name, asked, self._wall(), tiers, seeds)
        return await self._put(row)

    async def seed_files(
        self, torrent: bytes, files: Sequence[Path], *, asked: bool = False, uploaded: int = 0
    ) -> TorrentView:
        """Seed a torrent that no share of ours holds: of version 1, fetched from BitTorrent, whole.

        Args:
            torrent: its .torrent.
            files: where each file lies that is no pad file, in the torrent's order.

        Raises:
            BadMessage, UsageError: it is none, or these are not its files.
            WorldError: as `seed`.
        """
        known = await asyncio.to_thread(metafile.decode, torrent)
        places = await asyncio.to_thread(lying, known, files)
        row = Row(
            known.id,
            known.name,
            asked,
            self._wall(),
            [list(tier) for tier in known.trackers],
            list(known.web_seeds),
            uploaded,
            torrent=torrent,
            files=places,
        )
        return await self._put(row)

    async def take(self, fetched: Fetched) -> None:
        """Go on seeding what came from BitTorrent, until it is given back. Raises nothing but cancellation."""
        if any(path is None for path in fetched.paths):
            log.info("%s is not seeded: not all of it was fetched", fetched.name)
            return
        tiers = [[url] for url in fetched.trackers]
        try:
            if fetched.infohash_v2 is not None and fetched.share == fetched.infohash_v2:
                await self.seed(fetched.share, trackers=tiers, web_seeds=fetched.web_seeds, asked=False)
                self._entries[fetched.share.hex()].row.uploaded += fetched.uploaded_bytes
            else:
                paths = [path for path in fetched.paths if path is not None]
                await self.seed_files(fetched.torrent, paths, uploaded=fetched.uploaded_bytes)
        except ServentError as wrong:
            log.info("%s is not seeded: %s", fetched.name, wrong)

    async def _put(self, row: Row) -> TorrentView:
        async with self._changing:
            old = self._entries.get(row.id)
            if old is not None:
                row.uploaded, row.asked = old.uploaded + row.uploaded, row.asked or old.row.asked
                row.trackers = row.trackers or old.row.trackers
                row.web_seeds = row.web_seeds or old.row.web_seeds
                await self._end(old)
            entry = _Entry(row, self)
            self._news.pop(row.id, None)
            try:
                await self._find(entry)
                if entry.known is None:
                    raise NotFound(GONE)
                await self._start(entry)
            except BaseException:
                if old is not None:
                    self._entries.pop(row.id, None)
                    await self._store.write(seeding_rows.forget(row.id))
                raise
            self._entries[row.id] = entry
            await self._store.write(seeding_rows.save(row))
        self._told()
        return self.view(row.id)

    async def unseed(self, id: str) -> None:
        """Seed it no more; the files and the share stay. Raises NotFound."""
        async with self._changing:
            entry = self._entries.pop(id, None)
            if entry is None:
                raise NotFound(
                    "this is not seeded to BitTorrent", advice="`servent torrent ls` shows what is."
                )
            await self._end(entry)
            await self._store.write(seeding_rows.forget(id))
        self._told()

    async def hybrid(self, infohash: bytes) -> bytes:
        """Share the same files as a hybrid too, which clients that know version 1 alone can fetch; its v2 infohash.

        Reads every file once.

        Raises:
            NotFound, UsageError, DiskTrouble: as `seed`.
        """
        found = await self._shares.shared(infohash)
        if found is None:
            raise NotFound(GONE)
        await self._shared(infohash)
        if (await asyncio.to_thread(metafile.of, found[0].collection)).v1 is not None:
            return infohash
        made = await hybrid(found[0])
        await self._shares.keep_share(made, found[1])
        return made.collection.infohash

    async def export(self, infohash: bytes, *, comment: str = "") -> bytes:
        """A .torrent of a share of ours, or of a torrent that is seeded. Raises NotFound."""
        entry = self._entries.get(infohash.hex())
        tiers = entry.row.trackers if entry is not None else []
        seeds = entry.row.web_seeds if entry is not None else []
        found = await self._shares.shared(infohash)
        if found is None:
            if entry is not None and entry.row.torrent:
                return entry.row.torrent
            raise NotFound(GONE)
        return await asyncio.to_thread(
            metafile.encode,
            found[0].collection.info,
            found[0].collection.layers,
            trackers=tiers,
            web_seeds=seeds,
            comment=comment,
            created_by=CREATOR,
        )

    def limit(self, up_bytes_per_s: int) -> None:
        """What each torrent may send; 0 for no limit. The session's own limit does not hold for the local network."""
        if up_bytes_per_s == self._limit:
            return
        self._limit = up_bytes_per_s
        for entry in self._entries.values():
            if entry.handle is not None:
                entry.handle.limit(up_bytes_per_s, 0)

    def active(self) -> int:
        """How many torrents have peers."""
        return sum(entry.status is not None and entry.status.peers > 0 for entry in self._entries.values())

    def hold(self, why: str) -> None:
        """Send nothing while `why` says so (the schedule's words); "" lets it go on."""
        if why == self._held:
            return
        self._held = why
        for entry in self._entries.values():
            if entry.handle is not None:
                entry.handle.pause() if why else entry.handle.start()
        self._told()

    # -- views

    def views(self) -> list[TorrentView]:
        return [self._view(entry) for entry in self._entries.values()]

    def view(self, id: str) -> TorrentView:
        """Raises NotFound."""
        entry = self._entries.get(id)
        if entry is None:
            raise NotFound("this is not seeded to BitTorrent", advice="`servent torrent ls` shows what is.")
        return self._view(entry)

    def handle(self, id: str) -> Handle | None:
        """Its torrent in the session, None while it is not seeded."""
        entry = self._entries.get(id)
        return entry.handle if entry is not None else None

    def _view(self, entry: _Entry) -> TorrentView:
        row, known, status = entry.row, entry.known, entry.status
        reason = row.reason or (self._held if entry.handle is not None else "")
        v1 = known.v1.hex() if known is not None and known.v1 is not None else ""
        v2 = known.v2.hex() if known is not None and known.v2 is not None else ""
        return TorrentView(
            id=row.id,
            name=row.name,
            version=known.version if known is not None else "v2" if len(row.id) == 64 else "v1",
            infohash_v1=v1,
            infohash_v2=v2,
            size_bytes=known.size if known is not None else 0,
            done_bytes=known.size if known is not None else 0,
            state="failed" if row.reason else "paused" if self._held else "seeding",
            share=None if row.torrent else row.id,
            peers=status.peers if status is not None else 0,
            seeds=status.seeds if status is not None else 0,
            up_bytes_per_s=status.up_bytes_per_s if status is not None else 0.0,
            sent_bytes=entry.uploaded,
            trackers=tuple(url for tier in row.trackers for url in tier),
            web_seeds=tuple(row.web_seeds),
            reason=reason,
            magnet=magnet(row, v1, v2),
        )

    # -- inside

    async def _shared(self, infohash: bytes) -> Shared:
        found = await self._shares.shared(infohash)
        if found is None:
            raise NotFound(
                "nothing is shared under this infohash",
                advice="`servent shares` lists what is; `servent send` adds.",
            )
        if ABSENT in found[0].stamps:
            raise UsageError("not all files of it are here", advice="Fetch the others first.")
        return found[0]

    async def _find(self, entry: _Entry) -> None:
        """What it is and where its files lie; `known` stays None when that is gone."""
        row = entry.row
        if row.torrent:
            entry.known = await asyncio.to_thread(metafile.decode, row.torrent)
            entry.files = row.files
            return
        found = await self._shares.shared(bytes.fromhex(row.id))
        if found is None or ABSENT in found[0].stamps:
            row.reason = GONE
            return
        shared = found[0]
        if row.reason == GONE:
            row.reason = ""
        entry.known = await asyncio.to_thread(metafile.of, shared.collection)
        entry.files = [
            Lying(number, str(shared.root.joinpath(*path)), file.size, stamp)
            for number, path, file, stamp in zip(
                infov1.places_of(shared.collection),
                shared.paths,
                shared.collection.files,
                shared.stamps,
                strict=True,
            )
        ]

    async def _start(self, entry: _Entry) -> None:
        known, row = entry.known, entry.row
        assert known is not None
        if other := await asyncio.to_thread(changed, entry.files):
            raise UsageError(f"{other} changed since it was shared", advice="Share it again.")
        torrent = row.torrent or await asyncio.to_thread(torrent_of, known, row)
        adding = Adding(
            self._idle,
            torrent=torrent,
            seed=True,
            upload=True,  # a piece that does not fit is never fetched over the person's own file
            paused=bool(self._held),
            public=not known.private,
            renamed=tuple((one.number, one.path) for one in entry.files),
            up_bytes_per_s=self._limit,
        )
        entry.status = None
        entry.handle = await self._session().add(adding, entry)
        row.reason = ""

    async def _end(self, entry: _Entry) -> None:
        handle, entry.handle = entry.handle, None
        if handle is None:
            return
        with contextlib.suppress(ServentError):  # it has left already: what it said last counts
            entry.status = await handle.fresh()
        entry.row.uploaded, entry.status = entry.uploaded, None
        try:
            await self._session().remove(handle)
        except (WorldError, TimeoutError) as wrong:
            log.debug("a torrent did not leave: %s", wrong)

    def stop_soon(self, entry: _Entry, why: str) -> None:
        """For what the session tells; on the loop."""
        if entry.handle is not None and entry.row.id not in self._news:
            self._news[entry.row.id] = why
            self._wake.set()

    def shares_changed(self) -> None:
        """Shares came, went, or were found changed."""
        self._wake.set()

    async def _look(self) -> None:
        """End what changed, is gone, or was given back; begin what is here again."""
        for entry in list(self._entries.values()):
            if entry.handle is None:
                continue
            why = self._news.pop(entry.row.id, "") or await self._trouble(entry)
            if why:
                await self._stop(entry, why)

    async def _trouble(self, entry: _Entry) -> str:
        assert entry.known is not None
        if enough := self.enough.reached(entry.row, entry.known.size, entry.uploaded, self._wall()):
            return enough
        if not entry.row.torrent and not self._shares.has_share(bytes.fromhex(entry.row.id)):
            return GONE
        return CHANGED if await asyncio.to_thread(changed, entry.files) else ""

    async def _stop(self, entry: _Entry, why: str) -> None:
        async with self._changing:
            if entry.handle is None:
                return
            await self._end(entry)
            entry.row.reason = why
            await self._store.write(seeding_rows.save(entry.row))
        log.info("%s is not seeded to BitTorrent any more: %s", entry.row.name, why)
        self._told()

    async def _save(self) -> None:
        for entry in self._entries.values():
            if entry.uploaded != entry.saved:
                entry.saved = entry.uploaded
                body = Row(**{name: getattr(entry.row, name) for name in entry.row.__struct_fields__})
                body.uploaded = entry.uploaded
                await self._store.write(seeding_rows.save(body))
