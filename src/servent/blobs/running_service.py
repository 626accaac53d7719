"""Runs downloads when their turn comes, and stops them when it is over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from servent.blobs import rows
from servent.blobs.download_service import Download
from servent.blobs.kit_service import Kit, Watcher
from servent.blobs.listing import is_v1
from servent.blobs.rows import Row
from servent.blobs.seed import Seed
from servent.blobs.shares_service import Shares
from servent.blobs.turns import Start, Turns
from servent.errors import ServentError
from servent.net.session import first

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # s between two looks at who moves, while others wait
WAITS = "waits for its turn"


class Owner(Watcher, Protocol):
    """Who keeps the rows."""

    def over(self, row: Row, download: Download) -> None:
        """A run ended: `row.state` says how."""
        ...

    def failed(self, row: Row) -> None:
        """It could not even begin."""
        ...


class Runs:
    """Owns the tasks of the downloads that run, and whose turn it is."""

    def __init__(self, kit: Kit, shares: Shares, owner: Owner) -> None:
        self._kit, self._shares, self._owner = kit, shares, owner
        self._uploads, self._clock = kit.uploads, kit.clock
        self.turns = Turns()
        self._wanted: dict[str, Row] = {}
        self._downloads: dict[str, Download] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._verify: set[str] = set()  # to be read again when they run
        self._wake = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    def want(self, row: Row, *, verify: bool = False) -> None:
        """It runs when its turn comes. Again after its priority or order changed."""
        if verify:
            self._verify.add(row.id)
        if row.id not in self._running:
            row.set("queued", WAITS)
        self._wanted[row.id] = row
        self.turns.want(row.id, rows.LEVELS[row.priority], row.order, at_once=row.at_once)
        self.again()

    def again(self) -> None:
        """Look at once whose turn it is."""
        self._wake.set()

    async def halt(self, chosen: Iterable[Row]) -> None:
        """They do not run when this returns, and do not wait for their turn."""
        stopped = list(chosen)
        for row in stopped:
            self.turns.drop(row.id)
            self._wanted.pop(row.id, None)
            self._verify.discard(row.id)
            if (task := self._running.get(row.id)) is not None:
                task.cancel()
        self.again()
        await self.end_of(stopped)

    async def end_of(self, chosen: Iterable[Row]) -> None:
        """Wait until those of them that run have ended."""
        ending = [task for row in chosen if (task := self._running.get(row.id)) is not None]
        if ending:
            await asyncio.wait(ending)

    @property
    def busy(self) -> bool:
        return bool(self._running)

    def get(self, id: str) -> Download | None:
        """The download, while it runs."""
        return self._downloads.get(id)

    def etas(self, now: float) -> list[float]:
        """Seconds until those that run are complete, soonest first, as far as it can be told."""
        etas = []
        for download in self._downloads.values():
            row, rate = download.row, download.meter.rate(now)
            if rate > 1 and row.size_bytes > row.done_bytes:
                etas.append((row.size_bytes - row.done_bytes) / rate)
        return sorted(etas)

    # -- turns

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Take turns until cancelled. `tasks`: where downloads run."""
        self._tasks = tasks
        try:
            while True:
                self._take_turns(self._clock())
                waits = self.turns.count_waiting and self._running
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY if waits else None):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            self._tasks = None

    async def close(self) -> None:
        """Stop all; none is begun any more."""
        self._tasks = None
        await self.end_all()

    async def end_all(self) -> None:
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    def _take_turns(self, now: float) -> None:
        for id, download in self._downloads.items():
            total = int(download.meter.total) + download.row.done_bytes
            self.turns.moved(id, total, now, busy=download.row.state in ("checking", "metadata"))
        for effect in self.turns.tick(now):
            if isinstance(effect, Start):
                self._begin(self._wanted[effect.id])
            elif (task := self._running.get(effect.id)) is not None:
                task.cancel()

    def _begin(self, row: Row) -> None:
        if row.id in self._running or self._tasks is None:  # it is just stopping: `_run_one` begins it again
            return
        row.touched = True
        row.set("connecting", "starting")
        try:
            make = self._kit.aids.door.download if is_v1(row.infohash) else Download
            download = self._downloads[row.id] = make(row, self._kit, self._owner)
        except ServentError as wrong:
            row.set("failed", str(wrong), error=str(wrong), advice=wrong.advice)
            self.turns.drop(row.id)
            self._wanted.pop(row.id, None)
            self._owner.failed(row)
            return
        verify = row.id in self._verify
        self._verify.discard(row.id)
        task = self._tasks.create_task(self._run_one(download, verify), name=f"transfer {row.id}")
        self._running[row.id] = task
        self._owner.changed(download)

    async def _run_one(self, download: Download, verify: bool) -> None:
        row = download.row
        try:
            holding = self._uploads.holdings.get(row.infohash)
            here = holding is not None and isinstance(holding.source, Seed) and row.path is None
            if not here or holding is None or not await download.copy(holding):
                await download.run(verify=verify)
            if download.done:
                if not row.preview:
                    await self._keep(download)
                row.done_bytes = row.size_bytes
                row.set("complete", "")
                await self._kit.aids.door.complete(download)
        except* ServentError as wrong:
            cause = first(wrong)
            row.set("failed", str(cause), error=str(cause), advice=getattr(cause, "advice", None))
            log.warning("transfer of %s failed: %s", row.name, cause)
        finally:
            del self._running[row.id], self._downloads[row.id]
            if row.state in rows.ENDED or row.state == "paused":
                self.turns.drop(row.id)
                self._wanted.pop(row.id, None)
            elif row.id in self._wanted:
                again = self.turns.running(row.id) and self._tasks is not None
                if again:  # it was told to stop, and to start again while it did
                    self.turns.drop(row.id)
                    self.want(row)
                elif self._tasks is not None:
                    row.set("queued", WAITS)
            self.again()
            self._owner.over(row, download)
            self._owner.changed(download)

    async def _keep(self, download: Download) -> None:
        """What was fetched is served on, from where it lies now."""
        row = download.row
        holding = self._uploads.holdings.get(row.infohash)
        if row.only or row.path is None or (holding is not None and isinstance(holding.source, Seed)):
            return
        try:
            shared = await asyncio.to_thread(download.to_share)
        except OSError as wrong:
            log.warning("%s is not served on: %s", row.path, wrong.strerror)
            return
        if shared is not None:
            await self._shares.keep(shared, Path(row.path))
