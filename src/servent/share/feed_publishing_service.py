"""Publishing: a feed of ours is hashed, signed, served, and looked at again when its files change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Literal

from servent.blobs.service import Blobs
from servent.errors import NotFound, ServentError, UsageError
from servent.identity import Identity
from servent.share import feed_places, feed_record
from servent.share.feed_news_service import Key
from servent.share.feed_rows import Row
from servent.share.watching import Watcher
from servent.tasks import begin

log = logging.getLogger(__name__)

State = Literal["publishing", "published", "paused", "failed"]

QUIET = 3.0  # s without a change until a new version is published
LOOK_EVERY = 600.0  # s between two looks at what is published, should the system not tell of a change


class Publishing:
    """A task for each feed of ours.

    Args:
        rows: all feeds, by id.
        save: remembers a row.
        published: told that a feed has a newer version.

    Attributes:
        tasks: where it works; None while the node does not run.
    """

    def __init__(
        self,
        blobs: Blobs,
        identity: Identity,
        rows: Mapping[str, Row],
        save: Callable[[Row], Awaitable[None]],
        told: Callable[[], None],
        published: Callable[[Key], None],
        wall: Callable[[], float],
    ) -> None:
        self._blobs, self._identity, self._rows, self._save = blobs, identity, rows, save
        self._told, self._published, self._wall = told, published, wall
        self._progress: dict[str, float] = {}  # of those that are being hashed, or are about to be
        self._wake: dict[str, asyncio.Event] = {}
        self._looked: dict[str, asyncio.Event] = {}
        self._watchers: dict[str, Watcher] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self.tasks: asyncio.TaskGroup | None = None

    def begin(self, row: Row) -> None:
        """Publish it from now on."""
        if self.tasks is not None and row.id not in self._running:
            self._wake[row.id], self._looked[row.id] = asyncio.Event(), asyncio.Event()
            task = begin(self.tasks, self._keep_published(row), f"feed {row.name}")
            if task is not None:
                self._running[row.id] = task

    async def again(self, row: Row) -> None:
        """Look at the files now. Returns when that is done. Raises UsageError: they cannot be published."""
        before, row.error = row.have, ""
        self._progress.setdefault(row.id, 0.0)
        self._looked[row.id].clear()
        self._wake[row.id].set()
        await self._looked[row.id].wait()
        if row.error and row.have == before:
            raise UsageError(row.error, advice=row.advice)

    def changed(self, row: Row) -> None:
        """A person changed how it is published."""
        if not row.watch or row.paused:
            self._unwatch(row.id)
        self._wake[row.id].set()

    async def end(self, row: Row) -> None:
        """Publish it no longer; the files stay."""
        self._unwatch(row.id)
        if (task := self._running.pop(row.id, None)) is not None:
            task.cancel()
        self._progress.pop(row.id, None)
        self._looked[row.id].set()
        if row.have_infohash:
            await self._drop_share(row.have_infohash, row)

    async def close(self) -> None:
        """Let go of what watches folders."""
        watchers, self._watchers = list(self._watchers.values()), {}
        for watcher in watchers:
            watcher.stop()
        for watcher in watchers:
            await asyncio.to_thread(watcher.join)

    def state(self, row: Row) -> tuple[State, str]:
        """What it does, and why, in a sentence."""
        if row.id in self._progress:
            return "publishing", f"reading the files, {self._progress[row.id]:.0%}"
        if row.error:
            return "failed", row.error
        return ("paused", "you paused it") if row.paused else ("published", "")

    async def _keep_published(self, row: Row) -> None:
        """A task for each feed of ours: publish, wait for a change, publish again."""
        wake = self._wake[row.id]
        while True:
            wake.clear()
            if not row.paused or row.id in self._progress:
                await self._publish_now(row)
            self._watch(row)
            try:
                async with asyncio.timeout(LOOK_EVERY if row.watch else None):
                    await wake.wait()
                if row.id not in self._progress:  # a person who asks does not wait
                    await self._until_quiet(wake)
            except TimeoutError:
                continue

    async def _until_quiet(self, wake: asyncio.Event) -> None:
        while True:
            wake.clear()
            try:
                async with asyncio.timeout(QUIET):
                    await wake.wait()
            except TimeoutError:
                return

    def _watch(self, row: Row) -> None:
        if not row.watch or row.id in self._watchers or row.path is None:
            return
        loop, wake = asyncio.get_running_loop(), self._wake[row.id]

        def changed(_: list[str] | None) -> None:
            loop.call_soon_threadsafe(wake.set)

        def lost(why: str) -> None:
            log.warning("%s is looked at every %.0f min only: %s", row.path, LOOK_EVERY / 60, why)

        watcher = self._watchers[row.id] = Watcher(row.path, changed, lost)
        watcher.start()

    def _unwatch(self, id: str) -> None:
        watcher = self._watchers.pop(id, None)
        if watcher is not None:
            watcher.stop()

    async def _publish_now(self, row: Row) -> None:
        assert row.path is not None
        self._progress[row.id] = 0.0
        self._told()

        def progress(done: int, total: int) -> None:
            self._progress[row.id] = done / max(1, total)

        try:
            if row.have_infohash and await self._unchanged(row):
                return
            view = await self._blobs.add(Path(row.path), progress)
            assert view.infohash is not None
            row.error = row.advice = ""
            newest = row.newest()
            if newest is None or newest.infohash != view.infohash:
                record = feed_record.sign(
                    self._identity,
                    row.name,
                    newest.sequence + 1 if newest is not None else 1,
                    view.infohash,
                    size=view.size_bytes,
                    files=view.files,
                    published=int(self._wall()),
                )
                row.take(record, feed_record.encode(record), self._wall())
                row.have = record.sequence
                old, row.have_infohash = row.have_infohash, view.infohash
                if old:
                    await self._drop_share(old, row)
                self._published(row.key)
                log.info("version %d of %s is published", record.sequence, row.name)
            row.stamps = await asyncio.to_thread(feed_places.stamps, Path(row.path))
        except ServentError as wrong:
            row.error, row.advice = str(wrong), wrong.advice
            log.warning("%s is not published anew: %s", row.name, wrong)
        finally:
            row.checked = self._wall()
            self._progress.pop(row.id, None)
            self._looked[row.id].set()
        await self._save(row)

    async def _unchanged(self, row: Row) -> bool:
        """Whether what we published is served, and looks as it did."""
        shares = {share.infohash for share in self._blobs.shares() if share.state == "ready"}
        if row.have_infohash not in shares:
            return False
        assert row.path is not None
        return bool(row.stamps) and await asyncio.to_thread(feed_places.stamps, Path(row.path)) == row.stamps

    async def _drop_share(self, infohash: bytes, row: Row) -> None:
        """An old version is not on this machine any more; another feed may have the same, then it stays."""
        if any(other.have_infohash == infohash for other in self._rows.values() if other is not row):
            return
        try:
            await self._blobs.remove_share(infohash.hex())
        except NotFound:
            log.debug("%s was not shared any more", infohash.hex())
