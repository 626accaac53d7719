"""Every download of the node: begun, run, paused, remembered; and how it looks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from servent.blobs import names, rows
from servent.blobs.disk import Partial
from servent.blobs.download_service import Download
from servent.blobs.hashing import Shared
from servent.blobs.info import parse
from servent.blobs.kit_service import Kit
from servent.blobs.magnet import Magnet, parse_magnet
from servent.blobs.rows import How, Row
from servent.blobs.seed import Seed
from servent.blobs.shares_service import ABSENT, Shares
from servent.blobs.views import TransferView, download_view, upload_view
from servent.errors import DiskTrouble, NotFound, Refused, ServentError, UsageError, WorldError
from servent.identity import PeerId
from servent.net import ticket as tickets
from servent.net.session import first
from servent.store import Store
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

HISTORY = 200  # transfers that have ended and stay on the list
SAVE_EVERY = 1.0  # s
INTRODUCE_LIMIT = 15.0  # s to reach who a link names
PLAIN = How()


class Transfers:
    """Owns the downloads: their rows, and the tasks of those that run.

    Attributes:
        tasks: where downloads run; None while the node does not run.

    Args:
        wall: the wall clock, for what a person is shown.
        told: called when something changed in more than its numbers.
    """

    def __init__(
        self,
        kit: Kit,
        shares: Shares,
        trust: TrustService,
        store: Store,
        download_dir: Path,
        wall: Callable[[], float],
        told: Callable[[], None],
    ) -> None:
        self._kit, self._shares, self._trust, self._store = kit, shares, trust, store
        self._peers, self._uploads, self._clock = kit.peers, kit.uploads, kit.clock
        self._download_dir, self._wall, self._told = download_dir, wall, told
        self._rows: dict[str, Row] = {}
        self._downloads: dict[str, Download] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._dirty: set[str] = set()
        self._dirty_event = asyncio.Event()
        self.tasks: asyncio.TaskGroup | None = None

    async def load(self) -> None:
        """What is remembered. Raises DiskTrouble, StoreTrouble."""
        for row in await self._store.read(rows.load):
            self._rows[row.id] = row

    async def run(self) -> None:
        """Go on with what was under way, and run downloads until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self.tasks = tasks
                tasks.create_task(self._save_loop(), name="save transfers")
                for row in list(self._rows.values()):
                    if row.state not in rows.ENDED and row.state != "paused":
                        self._start(row)
        finally:
            self.tasks = None

    async def close(self) -> None:
        """Stop all; unfinished ones go on at the next start."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        with contextlib.suppress(WorldError):
            await self._save(list(self._rows))

    @property
    def busy(self) -> bool:
        """Whether any download runs."""
        return bool(self._running)

    # -- fetching

    async def fetch(self, link: str | Magnet, to: Path | None = None, how: How = PLAIN) -> TransferView:
        """Begin to fetch; returns at once. Asking for the same into the same folder finds the same transfer.

        Raises:
            UsageError: no link that we understand.
        """
        found = parse_magnet(link) if isinstance(link, str) else link
        text = link if isinstance(link, str) else ""
        folder = str((to or self._download_dir).expanduser().absolute())
        for row in self._rows.values():
            if row.infohash == found.infohash and row.to == folder and row.state not in rows.ENDED:
                row.contacts += [one for one in found.contacts if one not in row.contacts]
                if row.state == "paused":
                    await self.resume(row.id)
                return self.view(row.id)
        row = Row(
            secrets.token_hex(6),
            found.infohash,
            text,
            how.called or found.name or found.infohash.hex()[:16],
            folder,
            self._wall(),
            list(found.contacts),
            reason="starting",
            priority=how.priority,
            foreground=how.foreground,
            in_order=how.in_order,
            preview=how.preview,
            wanted=None if how.wanted is None else list(how.wanted),
            called=how.called,
            by_content=how.by_content,
            info=how.info,
            only=[bytes(peer) for peer in how.only],
        )
        if row.info is not None:
            row.describe(parse(row.info, row.infohash))
        if how.paused:
            row.set("paused", "you have not started it yet")
        self._rows[row.id] = row
        await self._save([row.id])
        if not how.paused:
            self._start(row)
        return self.view(row.id)

    def _start(self, row: Row, *, verify: bool = False) -> None:
        if self.tasks is None:
            raise WorldError("the node is not running")
        if row.id in self._running:
            return
        download = self._downloads[row.id] = Download(row, self._kit, self)
        task = self.tasks.create_task(self._run_one(download, verify), name=f"transfer {row.id}")
        self._running[row.id] = task

    async def _run_one(self, download: Download, verify: bool) -> None:
        row = download.row
        try:
            holding = self._uploads.holdings.get(row.infohash)
            here = holding is not None and isinstance(holding.source, Seed) and await download.copy(holding)
            if not here:
                await download.run(verify=verify)
            if download.done:
                if not row.preview:
                    await self._keep(download)
                row.finished = self._wall()
                row.done_bytes = row.size_bytes
                row.set("complete", "")
        except* ServentError as wrong:
            cause = first(wrong)
            row.set("failed", str(cause), error=str(cause), advice=getattr(cause, "advice", None))
            log.warning("transfer of %s failed: %s", row.name, cause)
        finally:
            self._running.pop(row.id, None)
            self.changed(download)

    async def _keep(self, download: Download) -> None:
        """What was fetched is served on, from where it lies now."""
        collection, path = download.collection, download.row.path
        holding = self._uploads.holdings.get(download.infohash)
        if (
            download.row.only
            or collection is None
            or path is None
            or (holding is not None and isinstance(holding.source, Seed))
        ):
            return
        final = Path(path)
        paths = [(final.name, *parts[1:]) for parts in names.safe_paths(collection)]
        wanted = None if download.row.wanted is None else frozenset(download.row.wanted)

        def look() -> Shared:
            stamps = [
                os.stat(final.parent.joinpath(*parts)).st_mtime_ns
                if wanted is None or index in wanted
                else ABSENT
                for index, parts in enumerate(paths)
            ]
            return Shared(collection, final.parent, paths, stamps, [])

        try:
            shared = await asyncio.to_thread(look)
        except OSError as wrong:
            log.warning("%s is not served on: %s", path, wrong.strerror)
            return
        await self._shares.keep(shared, final)

    async def choose(self, id: str, wanted: Sequence[int] | None) -> None:
        """Fetch these files of the collection and leave out the others; None: all of them.

        What is complete already stays where it is. Raises NotFound, UsageError: no such files.
        """
        row = self._row(id)
        if id in self._running and self._downloads[id].over:
            await asyncio.wait([self._running[id]])
        count = row.files or (len(parse(row.info, row.infohash).files) if row.info is not None else 0)
        if not count:
            raise UsageError("the list of files is not here yet", advice="Try again when it is.")
        chosen = sorted(set(range(count) if wanted is None else wanted))
        if not chosen or chosen[-1] >= count:
            raise UsageError(
                f"choose at least one of files 0 to {count - 1}", advice="Or cancel the transfer."
            )
        before = set(range(count) if row.wanted is None else row.wanted)
        if row.state == "cancelled":
            raise UsageError("this transfer was cancelled", advice="Resume it first.")
        row.wanted = None if len(chosen) == count and row.state != "complete" else chosen
        if id in self._running:
            self._downloads[id].choose()
        elif row.info is not None:
            row.describe(parse(row.info, row.infohash))
            if row.state == "complete" and set(chosen) - before:
                row.set("connecting", "more files were chosen")
                row.finished = None
                self._start(row)
        await self._save([id])
        self._told()

    def download_of(self, id: str) -> tuple[Row, Download | None]:
        """A download's row, and its run while it runs. Raises NotFound."""
        row = self._row(id)
        return row, self._downloads.get(id) if id in self._running else None

    def previews(self) -> list[Row]:
        """Those that are to leave by themselves."""
        return [row for row in self._rows.values() if row.preview]

    def views(self) -> list[TransferView]:
        """Everything that moves, waits, or has ended lately: downloads, then uploads."""
        now = self._clock()
        views = [self._view(row, now) for row in self._rows.values()]
        shown = [one for one in self._uploads.uploads.values() if one.interested or one.lane]
        return views + [upload_view(one, now, self._name, self._path) for one in shown]

    def view(self, id: str) -> TransferView:
        """One of them. Raises NotFound."""
        if id in self._rows:
            return self._view(self._rows[id], self._clock())
        for one in self._uploads.uploads.values() if id.startswith("up-") else ():
            view = upload_view(one, self._clock(), self._name, self._path)
            if view.id == id:
                return view
        raise NotFound(f"no transfer is called {id[:40]!r}", advice="`servent transfers` lists them.")

    def _row(self, id: str) -> Row:
        if id not in self._rows:
            if id.startswith("up-"):
                raise UsageError(
                    "an upload belongs to whoever fetches it", advice="`servent limits` slows it."
                )
            raise NotFound(f"no transfer is called {id[:40]!r}", advice="`servent transfers` lists them.")
        return self._rows[id]

    async def pause(self, id: str) -> None:
        """Stop moving bytes for now; what is there stays. Raises NotFound."""
        row = self._row(id)
        if row.state in rows.ENDED or row.state == "paused":
            return
        await self._halt(row)
        if row.state not in rows.ENDED:
            row.set("paused", "you paused it")
        await self._save([id])

    async def resume(self, id: str) -> None:
        """Go on where it stopped. Raises NotFound."""
        row = self._row(id)
        if row.state in ("paused", "failed", "cancelled"):
            if (
                ending := self._running.get(id)
            ) is not None:  # it paused itself and is still closing its files
                await asyncio.wait([ending])
            row.set("connecting", "starting")
            row.finished = None
            self._start(row)
            await self._save([id])

    async def verify(self, id: str) -> None:
        """Read everything that is there again and fetch afresh what is wrong. Raises NotFound."""
        row = self._row(id)
        if row.state == "complete":
            await self._shares.verify(row.infohash)
            return
        await self._halt(row)
        row.set("checking", "starting")
        self._start(row, verify=True)

    async def cancel(self, id: str) -> None:
        """End it and delete what was fetched; a complete one stays as it is. Raises NotFound."""
        row = self._row(id)
        if row.state in ("complete", "cancelled"):
            return
        await self._halt(row)
        if row.state == "complete":
            return
        said = "you cancelled it"
        if row.info is not None:
            try:
                await asyncio.to_thread(_discard, row)
            except DiskTrouble as trouble:
                said = f"you cancelled it; what was fetched is still there: {trouble}"
        row.set("cancelled", said)
        row.done_bytes = 0
        row.finished = self._wall()
        await self._save([id])

    async def remove(self, id: str) -> None:
        """Take it off the list, cancelled first when it is not complete; complete files stay. Raises NotFound."""
        await self.cancel(id)
        self._rows.pop(id, None)
        self._downloads.pop(id, None)
        await self._store.write(rows.writer([], [id]))
        self._told()

    async def _halt(self, row: Row) -> None:
        task = self._running.get(row.id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    # download_service.Watcher

    def changed(self, download: Download) -> None:
        self._dirty.add(download.row.id)
        self._dirty_event.set()
        self._told()

    async def introduce(self, contact: str) -> PeerId:
        """Reach whom a link names. A link makes nobody a contact: whoever wrote it may be anybody.

        Raises:
            Refused: they do not belong to our contacts and networks, or do not let us in.
            Unreachable, UsageError: see `Peers.connect` and `ticket.decode`.
        """
        ticket = tickets.decode(contact)
        peer = ticket.address.peer
        if peer == self._peers.peer:
            raise UsageError("the link names this node itself")
        self._peers.remember(ticket.address)
        try:
            await self._peers.connect(ticket.address, secret=ticket.secret, timeout=INTRODUCE_LIMIT)
        except Refused as refused:
            raise Refused(
                f"{refused}: you and whom the link names have to join first (a ticket)"
            ) from refused
        return peer

    # -- keeping

    async def _save_loop(self) -> None:
        while True:
            await self._dirty_event.wait()
            await asyncio.sleep(SAVE_EVERY)
            self._dirty_event.clear()
            dirty, self._dirty = list(self._dirty), set()
            try:
                await self._save(dirty)
            except WorldError as wrong:
                log.warning("transfers are not remembered: %s", wrong)

    async def _save(self, ids: list[str]) -> None:
        ended = [row.id for row in self._rows.values() if row.state in rows.ENDED]
        for old in ended[:-HISTORY]:
            del self._rows[old]
            self._downloads.pop(old, None)
        kept = [self._rows[id] for id in ids if id in self._rows]
        await self._store.write(rows.writer(kept, ended[:-HISTORY]))

    # -- words

    def _name(self, peer: PeerId) -> str:
        contact = self._trust.contact(peer)
        session = self._peers.session(peer)
        named = contact.petname if contact is not None else None
        return named or (session.profile.name if session is not None else "") or peer.short

    def _path(self, peer: PeerId) -> str | None:
        session = self._peers.session(peer)
        paths = session.paths() if session is not None else ()
        return next((path.kind for path in paths if path.selected), None)

    def _view(self, row: Row, now: float) -> TransferView:
        download = self._downloads.get(row.id) if row.id in self._running else None
        return download_view(row, download, now, self._name, self._path)


def _discard(row: Row) -> None:
    """Delete what an unfinished download left on disk. Blocks."""
    assert row.info is not None
    with contextlib.suppress(UsageError):
        Partial.open(Path(row.to), parse(row.info, row.infohash), check_space=False).discard()
