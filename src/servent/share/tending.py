"""A shared folder's task: look through it, listen to the system about changes, notice when its disk is away."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from servent.errors import WorldError
from servent.share import catalog
from servent.share.catalog import ScanState
from servent.share.catalog_scan import Listing, Tally, Tree, apply
from servent.share.library_folder import Folder, Root, look_at_root
from servent.share.walking import SHOWN, Walk
from servent.share.watching import Watcher
from servent.store import Store

log = logging.getLogger(__name__)

WATCHED_SLOW = (
    1800.0  # s between two whole looks at a folder that is watched; a guess, since events can get lost
)
UNWATCHED_SLOW = 60.0  # s for one that is not
SHARE_OF_TIME = 50  # a whole look is never more than a fiftieth of the time
ROOT_CHECK = 15.0  # s; how soon a disk that came or went is noticed
RETRY_WATCH = 600.0  # s
WATCH_AFTER, MANY_OPENED = (
    120.0,
    1000,
)  # s, files: a folder with more to hash is watched later, at most so late


class Tending:
    """Looks after folders; each in a task of its own.

    Args:
        looked: called on the loop when something was seen, or a folder's state changed.
    """

    def __init__(
        self,
        library: Store,
        data_dir: Path,
        wall: Callable[[], float],
        looked: Callable[[Folder], None],
        *,
        watch: bool,
    ) -> None:
        self._db, self._data_dir, self._wall, self._told, self._watch = library, data_dir, wall, looked, watch

    async def tend(self, folder: Folder) -> None:
        """Until the folder is removed or the task cancelled."""
        folder.opened = asyncio.get_running_loop().time()
        try:
            while not folder.removed:
                folder.wake.clear()
                try:
                    await self._visit(folder)
                except WorldError as wrong:
                    log.warning("the shared folder %s: %s", folder.root, wrong)
                    self._fail(folder, f"{wrong}. {wrong.advice}".strip())
                await self._sleep(folder)
        finally:
            self.unwatch(folder)

    def again(self, folder: Folder) -> None:
        """Look through all of it."""
        folder.rescan = True
        folder.wake.set()

    async def _sleep(self, folder: Folder) -> None:
        clock = asyncio.get_running_loop().time
        limit = min(ROOT_CHECK, max(0.0, folder.due - clock()))
        try:
            async with asyncio.timeout(limit):
                await folder.wake.wait()
        except TimeoutError:
            return

    async def _visit(self, folder: Folder) -> None:
        try:
            root = await asyncio.to_thread(look_at_root, folder.root)
        except OSError as wrong:
            why = (
                "it is not there"
                if isinstance(wrong, FileNotFoundError)
                else (wrong.strerror or "no reason given")
            )
            self._fail(
                folder,
                f"{folder.root} cannot be read: {why}. Is its disk connected? It is looked for again by itself.",
            )
            return
        if root.empty and folder.scan.inode and root.inode != folder.scan.inode and folder.sums.files:
            self._fail(
                folder,
                f"{folder.root} is empty, and not the folder it was. Is its disk mounted? It is looked for again by itself.",
            )
            return
        if folder.failed:
            folder.failed = ""
            folder.rescan = True
            self._told(folder)
        if self._watch and folder.watcher is None and not folder.unwatched and self._time_to_watch(folder):
            self._start_watching(folder)
            folder.rescan = True  # for what changed before
        if folder.stale_sums:
            folder.stale_sums = False
            await self._count(folder)
        if folder.rescan or asyncio.get_running_loop().time() >= folder.due:
            await self._scan(folder, root)
        elif folder.dirty:
            await self._look(folder)

    def _fail(self, folder: Folder, why: str) -> None:
        self.unwatch(folder)
        folder.unwatched = ""
        folder.due = asyncio.get_running_loop().time() + ROOT_CHECK
        if folder.failed != why:
            folder.failed = why
            self._told(folder)

    # -- looking

    async def _scan(self, folder: Folder, root: Root) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        folder.scanning, folder.found = True, 0
        self._told(folder)
        folder.rescan = False
        folder.dirty.clear()
        try:
            walk = self._walk(folder)
            await self._carry_out(folder, walk, walk.batches())
            if walk.stopped and (folder.removed or folder.rescan):
                return
            skipped = walk.skipped
            folder.scan = ScanState(
                scanned=self._wall(),
                inode=root.inode,
                device=root.device,
                skipped=skipped.count,
                skipped_why=tuple(skipped.examples[:SHOWN]),
            )
            await self._db.write(lambda db: catalog.remember_folder(db, folder.id, folder.root, folder.scan))
            folder.held = 0
            await self._count(folder)
        finally:
            folder.scanning = False
        took = loop.time() - began
        folder.slow = max(SHARE_OF_TIME * took, UNWATCHED_SLOW if folder.watcher is None else WATCHED_SLOW)
        folder.due = loop.time() + folder.slow
        self._told(folder)

    async def _look(self, folder: Folder) -> None:
        paths, folder.dirty, folder.looking = folder.dirty, set(), True
        walk = self._walk(folder)
        try:
            await self._carry_out(folder, walk, walk.look(paths))
            await self._count(folder)
        finally:
            folder.looking = False
        if walk.skipped.count:
            scan = folder.scan
            why = tuple(dict.fromkeys((*scan.skipped_why, *walk.skipped.examples)))[:SHOWN]
            folder.scan = msgspec.structs.replace(
                scan, skipped=scan.skipped + walk.skipped.count, skipped_why=why
            )
        self._told(folder)

    def _walk(self, folder: Folder) -> Walk:
        never = []
        try:
            own = os.stat(self._data_dir)
            never.append((own.st_dev, own.st_ino))
        except OSError:
            log.debug("the data directory cannot be looked at")
        return Walk(
            folder.root,
            folder.rules,
            secrets=folder.settings.confirmed,
            never=never,
            stop=lambda: folder.removed or (folder.rescan and folder.scanning),
        )

    async def _carry_out(self, folder: Folder, walk: Walk, batches: Iterator[list[Listing]]) -> Tally:
        """Walk in a thread, write in the store's, a batch each."""
        tally, tree = Tally(), Tree(folder.id)
        while True:
            batch = await asyncio.to_thread(next, batches, None)
            if batch is None:
                return tally
            job = functools.partial(_apply, tree=tree, batch=batch, now=self._wall())
            done = await self._db.write(job)
            tally.add(done)
            for path in done.held:
                walk.skipped.add((path,), "it is a private key; confirm the folder to share it")
            folder.found = walk.files
            if done.new:
                sums = folder.sums
                folder.sums = catalog.Sums(
                    sums.files + done.new,
                    sums.size + done.new_bytes,
                    sums.waiting + done.new - done.new_empty,
                    sums.waiting_bytes + done.new_bytes,
                )
                self._told(folder)

    async def _count(self, folder: Folder) -> None:
        folder.sums = await self._db.read(lambda db: catalog.folder_sums(db, folder.id))
        folder.underway = 0

    # -- watching

    def _time_to_watch(self, folder: Folder) -> bool:
        """Not while thousands of files are opened to be hashed: the system tells of each opening, too, and all for nothing."""
        hashing = folder.scan.scanned is None or (
            folder.sums.waiting > MANY_OPENED and not folder.settings.paused
        )
        return not hashing or asyncio.get_running_loop().time() >= folder.opened + WATCH_AFTER

    def _start_watching(self, folder: Folder) -> None:
        loop = asyncio.get_running_loop()

        def changed(paths: list[str] | None) -> None:
            if watcher is not folder.watcher:
                return
            if paths is None:
                folder.rescan = True
            else:
                for path in paths:
                    folder.note(path)
            folder.wake.set()

        def lost(why: str) -> None:
            if watcher is not folder.watcher:
                return
            folder.watcher, folder.unwatched = None, why
            folder.slow = min(folder.slow or UNWATCHED_SLOW, UNWATCHED_SLOW)
            folder.due = min(folder.due, loop.time() + folder.slow)
            loop.call_later(RETRY_WATCH, self._retry_watching, folder)
            folder.wake.set()
            self._told(folder)

        def soon(work: Callable[..., None]) -> Callable[..., None]:
            def call(*args: object) -> None:
                try:
                    loop.call_soon_threadsafe(work, *args)
                except RuntimeError:  # the loop is closed; the thread ends by itself
                    return

            return call

        watcher = folder.watcher = Watcher(folder.root, soon(changed), soon(lost))
        watcher.start()

    def _retry_watching(self, folder: Folder) -> None:
        if not folder.removed and folder.watcher is None:
            folder.unwatched = ""
            folder.wake.set()

    def unwatch(self, folder: Folder) -> None:
        """Listen no longer."""
        watcher, folder.watcher = folder.watcher, None
        if watcher is not None:
            watcher.stop()


def _apply(db: object, *, tree: Tree, batch: list[Listing], now: float) -> Tally:
    return apply(db, tree, batch, now)  # type: ignore[arg-type]  # sqlite3 is the store's
