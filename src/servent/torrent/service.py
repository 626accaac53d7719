"""The BitTorrent door: downloads that also, or only, come from BitTorrent peers; and what is seeded to them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from servent.blobs import names
from servent.blobs.download_service import Download
from servent.blobs.hashing import collect
from servent.blobs.kit_service import Kit, Watcher
from servent.blobs.listing import describe, is_v1
from servent.blobs.magnet import Magnet, encode, parse_magnet
from servent.blobs.rows import Row
from servent.blobs.service import Blobs
from servent.errors import BadMessage, DiskTrouble, NotFound, ServentError, UsageError, WorldError
from servent.torrent import metafile
from servent.torrent.allotting import allotted
from servent.torrent.door_views import DoorStatus, Fetched, TorrentState, TorrentView
from servent.torrent.handle import Handle
from servent.torrent.joining_service import Joining, layers_in
from servent.torrent.plain_service import PlainDownload
from servent.torrent.session import HOW_TO_INSTALL, NOT_INSTALLED, Session, installed

log = logging.getLogger("servent.torrent")

BEAT = 0.5  # s between two looks at what moved and who may have how much

AGAIN = 10.0  # s until libtorrent is asked again to take a torrent that it did not take

CLOSED = UsageError("the door to BitTorrent is closed", advice="Set torrent.enabled to open it.")


class Torrents:
    """Owns every torrent that is fetched. It is the door that downloads know.

    `open` it after `blobs`, `run` it in a task beside the session's, `close` it before both.

    Args:
        on: whether the door is open: a person may have closed it, then only the DHT uses the session.

    Attributes:
        keep_seeding: called with each download that came through the door, when it is complete.
        others: more torrents to show: those that are seeded.
        active_seeds: how many of these have peers. limit_seeds: told what each of them may send, bytes per second, 0: any.
        kept: the .torrent of this infohash in hex that a download began with, None: there is none. Blocks.
    """

    def __init__(self, session: Session, blobs: Blobs, data_dir: Path, *, on: bool = True) -> None:
        self.session, self._blobs, self._data_dir, self._on = session, blobs, data_dir, on
        self.keep_seeding: Callable[[Fetched], Awaitable[None]] | None = None
        self.others: Callable[[], list[TorrentView]] = list
        self.active_seeds: Callable[[], int] = lambda: 0
        self.limit_seeds: Callable[[int], None] = lambda up: None
        self.kept: Callable[[str], bytes | None] = lambda id: None
        self._clock = asyncio.get_running_loop().time
        self._running: dict[str, Joining | PlainDownload] = {}  # by transfer
        self._seen: dict[Handle, int] = {}  # bytes sent that were counted
        self._again: dict[str, bytes] = {}  # transfers that wait for another of the same
        self._waiting: dict[str, asyncio.Event] = {}  # transfers of our own links alone
        self._closed = False
        self._speeds = (0.0, 0.0)
        self._moved = [0, 0]  # down, up, since the start

    # -- life

    async def open(self) -> None:
        """Let downloads come through the door."""
        self._blobs.open_door(self)

    async def run(self) -> None:
        """Share the limits with the rest of the node, until cancelled."""
        for row in self._blobs.fetched_unshared():
            await self._serve(row)
        while True:
            await asyncio.sleep(BEAT)
            await self._copy_those_that_wait()
            self._share_limits()  # also while there is no torrent: the first one begins with them
            if self.session.handles():
                self._count()
            elif self._seen:
                self._seen.clear()
                self._speeds = (0.0, 0.0)

    async def close(self) -> None:
        """Let no more come; those that run end with their downloads."""
        self._closed = True

    async def _copy_those_that_wait(self) -> None:
        """What came into one folder need not come again for another: begun anew, a transfer copies it."""
        for id, infohash in list(self._again.items()):
            if self._blobs.has_share(infohash):
                self._again.pop(id, None)
                with contextlib.suppress(NotFound):
                    await self._blobs.pause(id)
                    await self._blobs.resume(id)

    def _count(self) -> None:
        """What is sent over BitTorrent counts against the limits."""
        seen: dict[Handle, int] = {}
        down = up = 0.0
        for handle in self.session.handles():
            status = handle.status
            if status is None:
                continue
            now = status.uploaded_bytes
            before = self._seen.get(handle, now)
            seen[handle] = now
            new = max(0, now - before)
            self._moved[1] += new
            self._blobs.moved_elsewhere("up", new)
            down += status.down_bytes_per_s
            up += status.up_bytes_per_s
        self._seen, self._speeds = seen, (down, up)

    def _came(self, size: int) -> None:
        """What comes does, too."""
        self._moved[0] += size
        self._blobs.moved_elsewhere("down", size)

    def _share_limits(self) -> None:
        mine = [one.handle for one in self._running.values() if one.handle is not None]
        up, down = self._limits(max(1, len(mine) + self.active_seeds()))
        for handle in mine:
            handle.limit(up, down)
        self.limit_seeds(up)

    def _limits(self, count: int = 0) -> tuple[int, int]:
        """Bytes per second up and down for each of `count` torrents; 0: for one more."""
        rates, _ = self._blobs.in_force()
        up, down = self._blobs.speeds()
        theirs_down, theirs_up = self._speeds
        count = count or 1 + self.active_seeds() + sum(
            one.handle is not None for one in self._running.values()
        )
        most_down = allotted(rates.down, max(0.0, down - theirs_down))
        most_up = allotted(rates.up, max(0.0, up - theirs_up))
        return _each(most_up, count), _each(most_down, count)

    # -- blobs.door.Door

    def shut(self) -> ServentError | None:
        """Why nothing comes through."""
        if not self._on:
            return CLOSED
        if not installed():
            return UsageError(f"this link is of BitTorrent version 1: {NOT_INSTALLED}", advice=HOW_TO_INSTALL)
        return WorldError("the node is stopping") if self._closed else None

    def download(self, row: Row, kit: Kit, watcher: Watcher) -> Download:
        """One of version 1. Raises UsageError."""
        if (shut := self.shut()) is not None:
            raise shut
        link = _link(row)
        made = PlainDownload(
            row,
            kit,
            watcher,
            self.session,
            link,
            self._clock,
            dht=self.session.settings.uses_dht,
            count=self._came,
            limits=self._limits,
        )
        self._enter(row.id, made)
        return made

    async def help(self, download: Download) -> None:
        """Fetch what the download lends."""
        row = download.row
        link = _link(row)
        if self.shut() is not None:
            return
        if not link.foreign or not row.link:
            await self._another_link(row)
            link = _link(row)
        joining = Joining(
            self.session,
            download,
            link,
            self._clock,
            dht=self.session.settings.uses_dht,
            count=self._came,
            limits=self._limits,
        )
        self._enter(row.id, joining)
        await self._tell_kept(download)
        while True:
            try:
                await joining.run()
            except DiskTrouble:
                raise
            except BadMessage as wrong:
                if download.swarm is None:
                    raise  # nobody of ours described it either
                log.info("BitTorrent does not help with %s: %s", row.name, wrong)
                download.lending.say(None, f"BitTorrent does not help: {wrong}")
                return
            except (UsageError, WorldError) as wrong:  # it is fetched into another folder, say
                download.lending.say(None, f"BitTorrent does not help: {wrong}")
                self._again[row.id] = row.infohash
                await asyncio.sleep(AGAIN)
            finally:
                self._again.pop(row.id, None)

    async def _another_link(self, row: Row) -> None:
        """Until there is one that names BitTorrent's world."""
        news = self._waiting[row.id] = asyncio.Event()
        try:
            await news.wait()
        finally:
            del self._waiting[row.id]

    def told(self, row: Row, more: Magnet) -> None:
        """As `Door.told`."""
        if (one := self._running.get(row.id)) is not None:
            one.hear(more)
        if (news := self._waiting.get(row.id)) is not None:
            news.set()

    async def _tell_kept(self, download: Download) -> None:
        """Where it began with a .torrent, nobody has to be asked for its hashes."""
        content = (
            await asyncio.to_thread(self.kept, download.infohash.hex()) if download.swarm is None else None
        )
        if content is None or download.row.info is None:
            return
        with contextlib.suppress(BadMessage):  # then peers have them
            layers = await asyncio.to_thread(layers_in, content)
            await download.told(download.row.info, layers)

    def _enter(self, id: str, one: Joining | PlainDownload) -> None:
        self._running[id] = one
        self.session.keep_seeds(True)

    async def complete(self, download: Download) -> None:
        """It is in its place: whoever seeds is told."""
        one = self._running.pop(download.row.id, None)
        self._forget_ended()
        if isinstance(one, PlainDownload):
            await self._serve(download.row)
        if one is None or self.keep_seeding is None:
            return
        if not one.received_bytes and not isinstance(
            one, PlainDownload
        ):  # which came from there, however soon it was over
            return
        try:
            fetched = await asyncio.to_thread(_fetched, one)
            if fetched is not None:
                await self.keep_seeding(fetched)
        except ServentError as wrong:
            log.info("%s is not seeded: %s", download.row.name, wrong)

    async def _serve(self, row: Row) -> None:
        """What came as version 1 is hashed once, and served here. Raises nothing but cancellation."""
        if row.path is None:
            return
        self._blobs.remark(row.id, "hashing what came, to serve it here")
        stop = threading.Event()
        try:
            shared = await asyncio.to_thread(collect, Path(row.path), None, None, stop.is_set)
            if any(self._blobs.is_blocked(file.root or b"") for file in shared.collection.files):
                self._blobs.remark(row.id, "not served here: content that came is blocked")
                return
            await self._blobs.share_fetched(row.id, shared)
        except ServentError as wrong:
            log.info("%s is not served: %s", row.name, wrong)
            with contextlib.suppress(NotFound):
                self._blobs.remark(row.id, f"not served here: {wrong}")
        finally:
            stop.set()

    def _forget_ended(self) -> None:
        """Of downloads that were paused or cancelled."""
        self._running = {id: one for id, one in self._running.items() if one.handle is not None}
        if not self._running:
            self.session.keep_seeds(False)

    # -- views

    def status(self) -> DoorStatus:
        """The door as a whole."""
        view = self.session.view()
        down, up = self._speeds
        shut = self.shut()
        return DoorStatus(
            installed=installed(),
            door=self._on,
            dht=view.dht,
            why=view.why or (str(shut) if shut is not None and installed() else ""),
            dht_nodes=view.dht_nodes,
            port=view.port,
            proxy=self.session.settings.proxy.kind if self.session.settings.proxy is not None else "none",
            peers=view.peers,
            down_bytes_per_s=down,
            up_bytes_per_s=up,
            received_bytes=self._moved[0],
            sent_bytes=self._moved[1],
        )

    def torrents(self) -> list[TorrentView]:
        """All at the door: what comes, then what is seeded."""
        return [*(_view(one) for one in self._running.values() if one.handle is not None), *self.others()]

    def torrent(self, id: str) -> TorrentView:
        """One of them. Raises NotFound."""
        for one in self.torrents():
            if id in (one.id, one.infohash_v1):
                return one
        raise NotFound(f"no torrent here is called {id[:70]!r}")


def _each(limit: float | None, count: int) -> int:
    return 0 if limit is None else max(1, int(limit / count))


def _link(row: Row) -> Magnet:
    try:
        link = parse_magnet(row.link) if row.link else Magnet(row.infohash)
    except UsageError:
        link = Magnet(row.infohash)
    return link if link.infohash == row.infohash else Magnet(row.infohash)


def _view(one: Joining | PlainDownload) -> TorrentView:
    row = one.row if isinstance(one, PlainDownload) else one.download.row
    handle, status = one.handle, one.status
    link = _link(row)
    v1 = handle.infohash_v1 if handle is not None else None
    v2 = handle.infohash_v2 if handle is not None else None
    state: TorrentState = (
        "metadata" if row.info is None else "paused" if row.state == "paused" else "downloading"
    )
    return TorrentView(
        id=row.infohash.hex(),
        name=row.name,
        version="hybrid" if v1 and v2 else "v2" if v2 else "v1",
        infohash_v1=v1.hex() if v1 else "",
        infohash_v2=v2.hex() if v2 else "",
        size_bytes=row.size_bytes,
        done_bytes=row.done_bytes,
        state=state,
        transfer=row.id,
        peers=status.peers if status is not None else 0,
        seeds=status.seeds if status is not None else 0,
        up_bytes_per_s=float(status.up_bytes_per_s) if status is not None else 0.0,
        down_bytes_per_s=float(status.down_bytes_per_s) if status is not None else 0.0,
        sent_bytes=one.sent_bytes + (status.uploaded_bytes if status is not None else 0),
        received_bytes=one.received_bytes,
        trackers=link.trackers,
        web_seeds=link.web_seeds,
        reason=row.reason,
        magnet=encode(link._replace(contacts=(), content=None, peers=())),
    )


def _fetched(one: Joining | PlainDownload) -> Fetched | None:
    """For who seeds it. Blocks. Raises BadMessage, UsageError."""
    download = one if isinstance(one, PlainDownload) else one.download
    row = download.row
    if row.info is None or row.path is None:
        return None
    collection = describe(row.info, row.infohash) if is_v1(row.infohash) else download.collection
    if collection is None:
        return None
    final, wanted = Path(row.path), None if row.wanted is None else frozenset(row.wanted)
    paths = tuple(
        final.parent.joinpath(final.name, *parts[1:]) if wanted is None or index in wanted else None
        for index, parts in enumerate(names.safe_paths(collection))
    )
    link = _link(row)
    return Fetched(
        transfer=row.id,
        name=row.name,
        torrent=metafile.encode(
            row.info,
            collection.layers,
            trackers=[(url,) for url in link.trackers],
            web_seeds=link.web_seeds,
        ),
        infohash_v1=row.infohash if is_v1(row.infohash) else link.v1,
        infohash_v2=None if is_v1(row.infohash) else row.infohash,
        share=row.share,
        paths=paths,
        trackers=link.trackers,
        web_seeds=link.web_seeds,
        uploaded_bytes=one.sent_bytes,
        downloaded_bytes=one.received_bytes,
    )
