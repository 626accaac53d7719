"""Following: fetch the newest version beside the one that is here, then let it take its place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

from servent.blobs.magnet import Magnet
from servent.blobs.names import safe_part
from servent.blobs.rows import How
from servent.blobs.service import Blobs
from servent.blobs.views import TransferView
from servent.errors import NotFound, ServentError
from servent.share import feed_places
from servent.share.feed_record import Record
from servent.share.feed_rows import Row
from servent.tasks import begin

log = logging.getLogger(__name__)

State = Literal["waiting", "fetching", "current", "paused", "failed"]


class Fetching:
    """Does what is to be done next for feeds that we follow, one thing at a time for each.

    Args:
        save: remembers a row.
        told: called when the state of a feed changed.

    Attributes:
        tasks: where it works; None while the node does not run.
    """

    def __init__(
        self,
        blobs: Blobs,
        save: Callable[[Row], Awaitable[None]],
        told: Callable[[], None],
        wall: Callable[[], float],
    ) -> None:
        self._blobs, self._save, self._told, self._wall = blobs, save, told, wall
        self._busy: dict[str, asyncio.Lock] = {}
        self._waiting: set[str] = set()
        self.tasks: asyncio.TaskGroup | None = None

    stamps = staticmethod(feed_places.stamps)

    def look(self, row: Row) -> None:
        """Something about it may have changed: do the next thing."""
        if self.tasks is not None and row.id not in self._waiting:
            self._waiting.add(row.id)
            if begin(self.tasks, self._step(row), f"feed {row.name}") is None:
                self._waiting.discard(row.id)

    async def _step(self, row: Row) -> None:
        async with self._busy.setdefault(row.id, asyncio.Lock()):
            self._waiting.discard(row.id)
            before = (row.transfer, row.have, row.error, row.paused)
            try:
                await self._next(row)
            except ServentError as wrong:
                row.error, row.advice = str(wrong), wrong.advice
                log.warning("the feed %s: %s", row.name, wrong)
            if (row.transfer, row.have, row.error, row.paused) != before:
                await self._save(row)

    async def _next(self, row: Row) -> None:
        newest = row.newest()
        if newest is None:
            return
        view = self._transfer(row)
        if view is not None and view.infohash != newest.infohash:
            await self._drop(row)  # what it holds of the old one is found again through `alike`
            view = None
        if newest.sequence == row.have:
            return
        if view is None:
            if row.auto and not row.paused and not row.error:
                await self._fetch(row, newest)
        elif view.state == "complete" and view.path is not None:
            await self._place(row, newest, Path(view.path))
        elif view.state == "failed":
            row.error, row.advice = view.error or view.reason, view.advice or ""
        elif view.state == "cancelled":
            await self._drop(row)
            row.paused = True

    def _transfer(self, row: Row) -> TransferView | None:
        if not row.transfer:
            return None
        try:
            return self._blobs.transfer(row.transfer)
        except NotFound:
            row.transfer = ""
            return None

    async def _fetch(self, row: Row, newest: Record) -> None:
        assert row.to is not None
        to = feed_places.staging(Path(row.to), row.id, newest.sequence)
        link = Magnet(newest.infohash, safe_part(row.name), tuple(row.contacts))
        view = await self._blobs.fetch(link, to, How(called=safe_part(row.name)))
        row.transfer = view.id
        self._told()

    async def _place(self, row: Row, newest: Record, staged: Path) -> None:
        """The new version is here, whole: it takes the old one's place, and is served from there."""
        assert row.to is not None
        final = Path(row.to) / safe_part(row.name)
        if row.have_infohash and row.path is not None:
            await self._forget_share(row.have_infohash, row.path)
        if staged != final:
            changed = await asyncio.to_thread(
                feed_places.clear_away,
                final, row.stamps, feed=row.id, sequence=row.have, keep=row.keep, now=self._wall(),
            )  # fmt: skip
            if changed is not None:
                log.warning("somebody changed %s here; it lies in %s now", final, changed)
            await self._blobs.move(row.transfer, Path(row.to), final.name)
        row.path = str(final)
        row.have, row.have_infohash = newest.sequence, newest.infohash
        row.stamps = await asyncio.to_thread(feed_places.stamps, final)
        row.error = row.advice = ""
        await asyncio.to_thread(feed_places.sweep, Path(row.to), row.id)

    async def _forget_share(self, infohash: bytes, path: str) -> None:
        """The old version, where we put it. The same may be shared from elsewhere, by the person here."""
        for share in self._blobs.shares():
            if share.infohash == infohash and share.path == path:
                await self._blobs.remove_share(share.id)

    async def _drop(self, row: Row) -> None:
        """End the transfer of a version that nobody needs any more."""
        id, row.transfer = row.transfer, ""
        try:
            await self._blobs.cancel(id)
            await self._blobs.remove(id)
        except NotFound:
            log.debug("transfer %s was gone already", id)

    async def changed(self, row: Row) -> None:
        """A person changed how it is followed."""
        view = self._transfer(row)
        if view is not None and row.paused:
            await self._blobs.pause(view.id)
        elif view is not None and view.state == "paused":
            await self._blobs.resume(view.id)
        row.error = row.advice = ""
        self.look(row)

    async def end(self, row: Row) -> None:
        """It is followed no longer; what is complete stays."""
        view = self._transfer(row)
        if view is not None and view.state != "complete":
            await self._drop(row)

    def state(self, row: Row) -> tuple[State, str]:
        """What it does, and why, in a sentence."""
        newest = row.newest()
        view = self._transfer(row)
        if row.error:
            return "failed", row.error
        if row.paused:
            return "paused", "you paused it"
        if newest is None:
            return "waiting", "nobody who is connected has told of a version yet"
        if row.have == newest.sequence:
            return "current", ""
        if view is not None:
            done = view.done_bytes / view.size_bytes if view.size_bytes else 0.0
            said = view.reason or f"{done:.0%} of version {newest.sequence} is here"
            return ("fetching" if view.state != "queued" else "waiting"), said
        if not row.auto:
            return "waiting", f"version {newest.sequence} is there; it is not fetched by itself"
        return "waiting", f"version {newest.sequence} is about to be fetched"
