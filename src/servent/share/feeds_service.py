"""Feeds: names of ours for the newest version of a file or folder, and those of others that we follow."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from servent.blobs.info import Collection
from servent.blobs.names import safe_paths
from servent.blobs.places import Copy, Place
from servent.blobs.service import Blobs
from servent.errors import NotFound, ServentError, UsageError
from servent.identity import Identity, PeerId
from servent.net import ticket as tickets
from servent.net.peers import Peers
from servent.share import feed_fetching_service, feed_publishing_service, feed_record, feed_rows
from servent.share.feed_news_service import Key, News
from servent.share.feed_record import Record
from servent.share.feed_rows import Row, Version
from servent.store import Store
from servent.tasks import begin

log = logging.getLogger(__name__)

State = feed_publishing_service.State | feed_fetching_service.State

MOST_FEEDS = 200  # ours and followed
REACH_LIMIT = 15.0  # s to reach who a link names


@dataclass(frozen=True, slots=True)
class FeedView:
    """One feed. `newest`: the newest version known, None before the first; `have`: its number here, 0 for none.

    `reason` is a sentence unless all is well.
    """

    id: str
    name: str
    mine: bool
    publisher: PeerId
    state: State
    reason: str
    advice: str
    link: str
    path: str | None
    auto: bool
    watch: bool
    keep: int
    newest: Record | None
    have: int
    transfer: str
    followers: int
    versions: Sequence[Version]
    updated: float | None
    checked: float | None


class Feeds:
    """Owns our feeds and those that we follow. `open` it, `run` it in a task, `close` it.

    Args:
        identity: signs our own.
        contact: our own address as a ticket without a secret, for links.
    """

    def __init__(
        self,
        peers: Peers,
        blobs: Blobs,
        store: Store,
        identity: Identity,
        contact: Callable[[], str],
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._peers, self._blobs, self._store, self._identity = peers, blobs, store, identity
        self._contact, self._wall = contact, wall
        self._rows: dict[str, Row] = {}
        self._news = News(peers, self._followed, self._newest, self._heard)
        self._fetching = feed_fetching_service.Fetching(blobs, self._save, self._told, wall)
        self._publishing = feed_publishing_service.Publishing(
            blobs, identity, self._rows, self._save, self._told, self._news.published, wall
        )
        self._tasks: asyncio.TaskGroup | None = None
        self._callbacks: list[Callable[[], None]] = []
        store.migrate(feed_rows.ROOM, feed_rows.STEPS)

    # -- life

    async def open(self) -> None:
        """Load what is remembered."""
        for row in await self._store.read(feed_rows.load):
            self._rows[row.id] = row
        self._blobs.alike_with(self.alike)
        self._blobs.on_change(self._transfers_changed)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = self._fetching.tasks = self._publishing.tasks = tasks
                tasks.create_task(self._news.run(), name="news of feeds")
                for row in list(self._rows.values()):
                    self._begin(row)
        finally:
            self._tasks = self._fetching.tasks = self._publishing.tasks = None

    async def close(self) -> None:
        """Let go of what watches folders."""
        await self._publishing.close()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop when a feed has changed."""
        self._callbacks.append(callback)

    def _told(self) -> None:
        for callback in self._callbacks:
            callback()

    def _begin(self, row: Row) -> None:
        if self._tasks is None:
            return
        if row.mine:
            self._publishing.begin(row)
            return
        for contact in row.contacts:
            begin(self._tasks, self._reach(contact), f"contact for the feed {row.name}")
        self._fetching.look(row)

    async def _save(self, row: Row) -> None:
        if row.id in self._rows:
            await self._store.write(feed_rows.save(row))
        self._told()

    # -- publishing

    async def publish(self, name: str, path: Path, *, watch: bool = True) -> FeedView:
        """A name of ours for `path` from now on. Returns before it is hashed.

        Raises:
            UsageError: the name cannot be, or is taken. NotFound: no such path.
        """
        feed_record.salt_of(name)
        path = await asyncio.to_thread(lambda: path.expanduser().absolute())
        if not await asyncio.to_thread(path.exists):
            raise NotFound(f"{path} does not exist", advice="Check the path.")
        row = Row(bytes(self._identity.peer), name, True, path=str(path), watch=watch)
        known = self._rows.get(row.id)
        if known is not None:
            raise UsageError(
                f"you publish {known.path} as {name!r} already",
                advice="Remove that feed first, or choose another name.",
            )
        await self._add(row)
        return self.feed(row.id)

    async def publish_again(self, id: str) -> FeedView:
        """Look at the files now, and publish a version if they changed. Raises NotFound, UsageError."""
        row = self._row(id)
        if not row.mine:
            raise UsageError(f"{row.name} is not yours", advice="`servent feeds` shows which are.")
        await self._publishing.again(row)
        return self.feed(id)

    # -- following

    async def follow(
        self, link: str, to: Path | None = None, *, auto: bool = True, keep: int = 0
    ) -> FeedView:
        """Follow somebody's feed from now on; following it again changes how.

        Raises:
            UsageError: no link of a feed, or one of our own.
        """
        found = feed_record.parse_link(link)
        if found.publisher == self._identity.peer:
            raise UsageError("this feed is your own", advice="Pass its link on to others.")
        folder = (to or self._blobs.download_dir).expanduser().absolute()
        row = Row(bytes(found.publisher), found.name, False, to=str(folder), auto=auto, keep=keep)
        known = self._rows.get(row.id)
        if known is not None:
            known.auto, known.keep, known.paused = auto, keep, False
            known.contacts = list(dict.fromkeys([*found.contacts, *known.contacts]))[
                : feed_record.MOST_CONTACTS
            ]
            if to is not None and known.path is None:
                known.to = str(folder)
            await self._save(known)
            self._begin(known)
        else:
            row.contacts = list(found.contacts)
            await self._add(row)
        self._news.list_changed()
        return self.feed(row.id)

    async def _add(self, row: Row) -> None:
        if len(self._rows) >= MOST_FEEDS:
            raise UsageError(f"{MOST_FEEDS} feeds are the most", advice="Remove one that you no longer need.")
        self._rows[row.id] = row
        await self._save(row)
        self._begin(row)

    async def _reach(self, contact: str) -> None:
        """Connect to somebody a link names, so that they can tell us."""
        try:
            ticket = tickets.decode(contact)
            if (
                ticket.address.peer != self._identity.peer
                and self._peers.session(ticket.address.peer) is None
            ):
                self._peers.remember(ticket.address)
                await self._peers.connect(ticket.address, timeout=REACH_LIMIT)
        except ServentError as wrong:
            log.debug("a contact of a feed is not reached: %s", wrong)

    def _followed(self) -> dict[Key, int]:
        found: dict[Key, int] = {}
        for row in self._rows.values():
            if not row.mine:
                newest = row.newest()
                found[row.key] = newest.sequence if newest is not None else 0
        return found

    def _newest(self, key: Key) -> tuple[int, bytes] | None:
        for row in self._rows.values():
            if row.key == key and row.record:
                newest = row.newest()
                assert newest is not None
                return newest.sequence, row.record
        return None

    def _heard(self, record: Record, encoded: bytes, teller: PeerId) -> None:
        row = next((row for row in self._rows.values() if row.key == record.key), None)
        if row is None or row.mine:
            return
        row.checked = self._wall()
        if row.take(record, encoded, self._wall()):
            log.info("%s tells of version %d of %s", teller.short, record.sequence, row.name)
            self._news.published(row.key)
            self._fetching.look(row)
        begin(self._tasks, self._save(row), f"remember the feed {row.name}")

    async def check(self, id: str) -> FeedView:
        """Ask all who are connected, and fetch what is missing. Raises NotFound."""
        row = self._row(id)
        if row.mine:
            return await self.publish_again(id)
        row.error = row.advice = ""
        self._begin(row)
        self._news.list_changed()
        return self.feed(id)

    async def change(
        self, id: str, *, auto: bool | None = None, watch: bool | None = None,
        paused: bool | None = None, keep: int | None = None,
    ) -> FeedView:  # fmt: skip
        """Only what is given changes. Raises NotFound."""
        row = self._row(id)
        row.auto = row.auto if auto is None else auto
        row.watch = row.watch if watch is None else watch
        row.keep = row.keep if keep is None else keep
        row.paused = row.paused if paused is None else paused
        if row.mine:
            self._publishing.changed(row)
        else:
            await self._fetching.changed(row)
        await self._save(row)
        return self.feed(id)

    async def remove(self, id: str) -> None:
        """Publish it, or follow it, no longer. What is on disk stays. Raises NotFound."""
        row = self._rows.pop(self._row(id).id)
        await (self._publishing.end(row) if row.mine else self._fetching.end(row))
        await self._store.write(feed_rows.forget(row.id))
        self._news.list_changed()
        self._told()

    def _transfers_changed(self) -> None:
        for row in self._rows.values():
            if row.transfer:
                self._fetching.look(row)

    async def alike(self, collection: Collection) -> dict[int, list[Copy]]:
        """Files of the version that we have, for the same files of a newer one: most of their pieces are the same."""
        row = next(
            (
                row
                for row in self._rows.values()
                if not row.mine
                and (newest := row.newest()) is not None
                and newest.infohash == collection.infohash
            ),
            None,
        )
        if row is None or row.path is None:
            return {}
        return await asyncio.to_thread(_old_files, collection, Path(row.path), self._blobs.places)

    # -- views

    def feeds(self) -> list[FeedView]:
        """Ours, then those that we follow, by name."""
        rows = sorted(self._rows.values(), key=lambda row: (not row.mine, row.name.casefold(), row.id))
        return [self._view(row) for row in rows]

    def feed(self, id: str) -> FeedView:
        """One of them. Raises NotFound."""
        return self._view(self._row(id))

    def _row(self, id: str) -> Row:
        row = self._rows.get(id) or next((row for row in self._rows.values() if row.name == id), None)
        if row is None:
            raise NotFound(f"no feed is called {id[:40]!r}", advice="`servent feeds` lists them.")
        return row

    def _view(self, row: Row) -> FeedView:
        state, reason = self._state(row)
        return FeedView(
            row.id, row.name, row.mine, PeerId(row.publisher), state, reason, row.advice,
            feed_record.link(PeerId(row.publisher), row.name, [self._contact(), *row.contacts]),
            row.path, row.auto, row.watch, row.keep, row.newest(), row.have, row.transfer,
            self._news.followers(row.key), tuple(row.versions), row.updated, row.checked,
        )  # fmt: skip

    def _state(self, row: Row) -> tuple[State, str]:
        if row.mine:
            return self._publishing.state(row)
        return self._fetching.state(row)


def _old_files(
    collection: Collection, old: Path, places: Callable[[set[bytes]], dict[bytes, list[Place]]]
) -> dict[int, list[Copy]]:
    """The files of the same names in the old version; for names that are new, the same contents. Blocks."""
    found: dict[int, list[Copy]] = {}
    single = len(collection.files) == 1 and old.is_file()
    renamed: dict[int, bytes] = {}
    for index, parts in enumerate(safe_paths(collection)):
        path = old if single else old.joinpath(*parts[1:])
        try:
            seen = path.lstat()
            found[index] = [Copy(Place(path, seen.st_size, seen.st_mtime_ns), b"", alike=True)]
        except OSError:
            root = collection.files[index].root
            if root is not None:
                renamed[index] = root
    known = places(set(renamed.values())) if renamed else {}
    for index, root in renamed.items():
        theirs = [place for place in known.get(root, ()) if place.path.is_relative_to(old)]
        if theirs:  # of the old version alone: what else is here is not for who made the new one
            found[index] = [Copy(place, b"") for place in theirs]
    return found
