"""The library: the folders this node shares, looked through, watched, hashed and indexed; who may see which.

What a person decided lies in the node's database, what was found on the disk in `library.db`. Each folder has a task
that looks at it; one queue hashes for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from servent.blobs.service import Blobs
from servent.errors import DiskTrouble, Doubtful, NotFound, ServentError, UsageError, WorldError
from servent.identity import PeerId
from servent.query.kinds import KINDS
from servent.share import catalog, rows, sensitive, walking
from servent.share.catalog import ScanState, Sums
from servent.share.folders import FolderSettings, Rules, check, may_see
from servent.share.hash_queue import HashQueue
from servent.share.hash_round import Done, Place
from servent.share.library_folder import Folder, clash, resolved
from servent.share.library_views import FolderView, LibraryView, together
from servent.share.tending import Tending
from servent.store import Store
from servent.tasks import begin
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

TOLD_EVERY = 0.5  # s between two words about progress
KINDS_EVERY = 20.0  # s between two counts of all files
MAX_FOLDERS = 500
MOVING = 1_000_000  # bytes/s of all transfers together; a guess: below it, hashing is not felt


class Library:
    """Owns the shared folders. `open` it, `run` it in a task, `close` it.

    Args:
        store: the node's, not open yet; the folders' settings.
        library: library.db; its tables are declared by who opens it.
        data_dir: never shared, whatever folder it lies in.
        busy: whether transfers move bytes; hashing then steps back.
        homes: home directories of this machine's user.
        quiet: s a file must be left alone before it is hashed.
        watch: ask the system to tell of changes; else they are noticed by looking.
        gentle: hash at the lowest priority.
    """

    def __init__(
        self,
        store: Store,
        library: Store,
        trust: TrustService,
        data_dir: Path,
        *,
        wall: Callable[[], float],
        busy: Callable[[], bool] = lambda: False,
        homes: Sequence[Path] | None = None,
        quiet: float = 2.0,
        watch: bool = True,
        gentle: bool = True,
    ) -> None:
        self._store, self._db, self._trust, self._wall = store, library, trust, wall
        self._data_dir = data_dir
        self._homes = homes
        self._folders: dict[int, Folder] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._main: asyncio.Task[None] | None = None
        self._kinds: Counter[int] = Counter()
        self._kinds_stale = True
        self._telling = False
        self._orphans: list[int] = []
        self.queue = HashQueue(
            library,
            self._places,
            self._hashed,
            hashing=self._hashing,
            busy=busy,
            wall=wall,
            quiet=quiet,
            gentle=gentle,
        )
        self._tending = Tending(library, data_dir, wall, self._looked, watch=watch)
        store.migrate(rows.FOLDERS_ROOM, rows.FOLDERS_STEPS)

    # -- life

    async def open(self) -> None:
        """Load what is remembered. Both stores are open already."""
        states = await self._db.read(catalog.scan_states)
        for id, body in await self._store.read(_load):
            try:
                settings = msgspec.msgpack.decode(body, type=FolderSettings)
                folder = Folder(id, check(settings))
            except (msgspec.MsgspecError, ServentError) as wrong:
                log.error("a shared folder's settings cannot be read: %s", wrong)
                continue
            path, state = states.pop(id, ("", None))
            if state is not None and path == settings.path:
                folder.scan = state
                folder.sums = await self._db.read(partial(catalog.folder_sums, folder=id))
            else:
                if state is not None:  # another folder's rows under this number: an old backup came back
                    await self._take_out(id)
                await self._db.write(partial(_begin, folder=id, path=settings.path))
            self._folders[id] = folder
        self._orphans = list(states)
        await self._db.write(lambda db: catalog.forget_ghosts(db, self._wall()))

    async def run(self) -> None:
        """Until cancelled or closed."""
        async with asyncio.TaskGroup() as tasks:
            self._main = tasks.create_task(self._run(), name="library")

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self.queue.run(), name="hash the library")
                tasks.create_task(self._count(), name="count kinds")
                for orphan in self._orphans:
                    tasks.create_task(self._take_out(orphan), name="forget a folder")
                for folder in self._folders.values():
                    tasks.create_task(self._tending.tend(folder), name=f"folder {folder.settings.name}")
        finally:
            self._tasks = None

    async def close(self) -> None:
        """End everything; call it before the databases close. What was not done yet is done after the next start."""
        if self._main is not None:
            self._main.cancel()
            self.queue.stop()
            await asyncio.wait([self._main])
        for folder in self._folders.values():
            self._tending.unwatch(folder)
        await self.queue.close()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop when a folder's view changed; about twice a second while it is busy."""
        self._callbacks.append(callback)

    def _tell(self) -> None:
        if self._telling:
            return
        self._telling = True
        asyncio.get_running_loop().call_later(TOLD_EVERY, self._tell_now)

    def _tell_now(self) -> None:
        """Who may see what is in force at once, so whoever serves hears it at once."""
        self._telling = False
        for callback in self._callbacks:
            callback()

    # -- views

    def folders(self) -> list[FolderView]:
        """All of them, in the order in which they were added."""
        return [self._view(folder) for folder in self._folders.values()]

    def folder(self, id: int) -> FolderView:
        """Raises NotFound."""
        return self._view(self._folder(id))

    def view(self) -> LibraryView:
        """All folders together."""
        kinds: dict[str, int] = {
            KINDS[kind]: number for kind, number in sorted(self._kinds.items()) if number > 0
        }
        return together(self.folders(), kinds)

    def folders_for(self, peer: PeerId) -> frozenset[int]:
        """The folders `peer` may see now. A folder whose disk is away is for nobody."""
        here = [folder for folder in self._folders.values() if not folder.failed]
        if peer == self._trust.me:
            return frozenset(folder.id for folder in here)
        contact, verdict = self._trust.contact(peer), self._trust.verdict(peer)
        blocked = contact is not None and contact.blocked
        friend = verdict.friend or (contact is not None and contact.friend)
        shares = bool(verdict.networks)
        return frozenset(
            folder.id
            for folder in here
            if may_see(folder.settings, peer, friend=friend, shares_network=shares, blocked=blocked)
        )

    def _view(self, folder: Folder) -> FolderView:
        now = asyncio.get_running_loop().time()
        trouble = self.queue.trouble.get(folder.id, [])
        return folder.view(now, trouble, self.queue.restless(), self.queue.slowed)

    def _folder(self, id: int) -> Folder:
        folder = self._folders.get(id)
        if folder is None:
            raise NotFound("there is no such shared folder", advice="`servent library list` lists them.")
        return folder

    def _places(self) -> list[Place]:
        return [
            Place(one.id, one.root, one.settings.name, one.settings.confirmed)
            for one in self._folders.values()
            if one.may_hash()
        ]

    # -- what a person does

    async def add(
        self,
        path: Path,
        *,
        name: str = "",
        audience: str = "network",
        peers: Iterable[PeerId] = (),
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        hidden: bool = False,
        confirm: bool = False,
    ) -> FolderView:
        """Share a folder from now on. It is looked through and hashed in the background.

        Raises:
            NotFound, UsageError: there is none, it overlaps with another, or a setting is wrong.
            Doubtful: it holds what people rarely mean to share, and `confirm` is missing.
            DiskTrouble: it cannot be read.
        """
        if len(self._folders) >= MAX_FOLDERS:
            raise UsageError(f"at most {MAX_FOLDERS} folders are shared", advice="Share a folder above them.")
        root = await asyncio.to_thread(resolved, path)
        settings = check(
            FolderSettings(
                path=str(root),
                name=self._name(name or root.name or "files"),
                audience=audience,  # type: ignore[arg-type]  # `check` says what is wrong with it
                peers=tuple(dict.fromkeys(str(peer) for peer in peers)),
                include=tuple(include),
                exclude=tuple(exclude),
                hidden=hidden,
            )
        )
        found = await asyncio.to_thread(clash, root, list(self._folders.values()))
        if found is not None:
            raise UsageError(found[0], advice=found[1])
        settings = await self._asked(settings, confirm)
        body = msgspec.msgpack.encode(settings)
        id = await self._store.write(lambda db: _insert(db, body))
        await self._db.write(partial(_begin, folder=id, path=settings.path))
        folder = self._folders[id] = Folder(id, settings)
        begin(self._tasks, self._tending.tend(folder), f"folder {settings.name}")
        self._tell_now()
        return self._view(folder)

    async def change(
        self,
        id: int,
        *,
        name: str | None = None,
        audience: str | None = None,
        peers: Iterable[PeerId] | None = None,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        hidden: bool | None = None,
        confirm: bool = False,
    ) -> FolderView:
        """Change what is given. Who may see it is in force at once; patterns once it is looked through again.

        Raises: as `add`.
        """
        folder = self._folder(id)
        old = folder.settings
        values: dict[str, Any] = {}
        if name is not None:
            values["name"] = self._name(name or Path(folder.root).name, folder)
        if audience is not None:
            values["audience"] = audience
        if peers is not None:
            values["peers"] = tuple(dict.fromkeys(str(peer) for peer in peers))
        if include is not None:
            values["include"] = tuple(include)
        if exclude is not None:
            values["exclude"] = tuple(exclude)
        if hidden is not None:
            values["hidden"] = hidden
        settings = check(msgspec.structs.replace(old, **values))
        if confirm and not old.confirmed:
            settings = msgspec.structs.replace(settings, confirmed=True)
        elif settings.hidden and not old.hidden:
            settings = await self._asked(settings, confirm)
        await self._save(folder, settings)
        self._tell_now()  # who may see less now loses it before anything else is done
        if settings.confirmed and not old.confirmed:
            await self._db.write(lambda db: catalog.release(db, id))
            folder.held = 0
        if settings.name != old.name:
            await self._rename(folder)
        looks = ("include", "exclude", "hidden", "confirmed")
        if any(getattr(settings, one) != getattr(old, one) for one in looks):
            folder.rules = Rules(settings)
            self._tending.again(folder)
        self._tell_now()
        return self._view(folder)

    async def remove(self, id: int) -> None:
        """Share it no longer; its files stay where they are. Raises NotFound."""
        folder = self._folder(id)
        await self._store.write(lambda db: db.execute("DELETE FROM share_folders WHERE id = ?", (id,)))
        folder.removed = True
        self._folders.pop(id, None)
        self._tell_now()
        folder.wake.set()
        self._tending.unwatch(folder)
        self.queue.trouble.pop(id, None)
        await self._db.write(lambda db: catalog.hide(db, id))
        begin(self._tasks, self._take_out(id), "forget a folder")
        self._tell_now()

    async def pause(self, id: int, paused: bool) -> FolderView:
        """Hash nothing of it for now, or go on; what is hashed stays shared. Raises NotFound."""
        folder = self._folder(id)
        await self._save(folder, msgspec.structs.replace(folder.settings, paused=paused))
        if not paused:
            self.queue.wake()
        self._tell_now()
        return self._view(folder)

    async def rescan(self, id: int) -> FolderView:
        """Look through all of it now. Raises NotFound."""
        folder = self._folder(id)
        self._tending.again(folder)
        return self._view(folder)

    def look_at(self, path: Path) -> None:
        """Somebody saw that a file is not what we think."""
        for folder in self._folders.values():
            folder.note(str(path))
            folder.wake.set()

    async def settled(self) -> None:
        """Wait until every folder is looked through and hashed, as far as can be."""
        while True:
            if not any(self._unsettled(folder) for folder in self._folders.values()):
                return
            await asyncio.sleep(0.02)

    def _unsettled(self, folder: Folder) -> bool:
        if folder.failed:
            return False
        if folder.scanning or folder.looking or folder.rescan or folder.dirty:
            return True
        trouble = len(self.queue.trouble.get(folder.id, ()))
        return not folder.settings.paused and folder.sums.waiting > trouble

    # -- the steps of it

    def _name(self, name: str, but: Folder | None = None) -> str:
        """A public name that no other folder has, and that is one part of a path."""
        name = walking.printable(name).replace("/", "_").strip(" .")[:200] or "files"
        taken = {one.settings.name.casefold() for one in self._folders.values() if one is not but}
        number, free = 2, name
        while free.casefold() in taken:
            free, number = f"{name} ({number})", number + 1
        return free

    async def _asked(self, settings: FolderSettings, confirm: bool) -> FolderSettings:
        """Look for what people rarely mean to share. Raises UsageError where it never is, Doubtful without `confirm`."""
        look, doubts = await asyncio.to_thread(self._look, settings)
        if not doubts:
            return settings
        if not confirm:
            raise Doubtful(
                " ".join(doubts),
                advice="Share a folder inside it, exclude these, or confirm that you mean it.",
            )
        return msgspec.structs.replace(settings, confirmed=bool(look.secrets))

    def _look(self, settings: FolderSettings) -> tuple[sensitive.Look, list[str]]:
        root = Path(settings.path)
        no = sensitive.refusal(root, self._data_dir.resolve())
        if no:
            raise UsageError(no, advice="Put what you want to share into a folder of its own.")
        try:
            look = walking.look_into(root, Rules(settings))
        except OSError as wrong:
            raise DiskTrouble(
                f"{root} cannot be read: {wrong.strerror}", advice="Check its permissions."
            ) from wrong
        homes = self._homes if self._homes is not None else [Path.home()]
        resolved = [home.resolve() for home in homes]
        return look, sensitive.doubts(root, resolved, look, hidden=settings.hidden)

    async def _save(self, folder: Folder, settings: FolderSettings) -> None:
        body = msgspec.msgpack.encode(settings)
        await self._store.write(
            lambda db: db.execute("UPDATE share_folders SET body = ? WHERE id = ?", (body, folder.id))
        )
        folder.settings = settings

    async def _rename(self, folder: Folder) -> None:
        after: int | None = 0
        while after is not None:
            after = await self._db.write(
                partial(catalog.reindex, folder=folder.id, name=folder.settings.name, after=after)
            )

    async def _take_out(self, id: int) -> None:
        with contextlib.suppress(WorldError):
            more = True
            while more:
                more = await self._db.write(lambda db: catalog.remove_some(db, id, self._wall()))
                await asyncio.sleep(0)
            self._kinds_stale = True

    # -- what comes from the disk

    def _looked(self, folder: Folder) -> None:
        """A folder's task saw something."""
        if folder.may_hash():
            self.queue.wake()
        if folder.rescan:
            self.queue.forgive(folder.id)
        self._kinds_stale = True
        self._tell()

    def _hashing(self, id: int, size: int) -> None:
        folder = self._folders.get(id)
        if folder is not None:
            folder.underway += size
            folder.rate.add(size, asyncio.get_running_loop().time())
            self._tell()

    def _hashed(self, done: Done) -> None:
        for id, files in done.files.items():
            if (folder := self._folders.get(id)) is not None:
                size = done.size[id]
                sums = folder.sums
                folder.underway = max(0, folder.underway - size)
                folder.sums = Sums(
                    sums.files, sums.size, max(0, sums.waiting - files), max(0, sums.waiting_bytes - size)
                )
                if not folder.sums.waiting:
                    folder.wake.set()
        self._kinds.update(done.kinds)
        for id, paths in done.again.items():
            if (folder := self._folders.get(id)) is not None:
                folder.dirty.update(paths)
                folder.wake.set()
        for id, held in done.held.items():
            if (folder := self._folders.get(id)) is not None:
                folder.held += len(held)
                why = tuple(f"{path}: it is a private key; confirm the folder to share it" for path in held)
                folder.scan = msgspec.structs.replace(
                    folder.scan, skipped_why=(*folder.scan.skipped_why, *why)[: walking.SHOWN]
                )
                folder.stale_sums = True
                folder.wake.set()
        self._tell()

    async def _count(self) -> None:
        """Kinds of all files, now and then."""
        while True:
            if self._kinds_stale:
                self._kinds_stale = False
                self._kinds = await self._db.read(catalog.kinds)
                self._tell()
            await asyncio.sleep(KINDS_EVERY)


def moving(blobs: Blobs) -> bool:
    """Whether transfers move so many bytes that hashing should step back."""
    return sum(view.rate_bytes_per_s for view in blobs.transfers()) >= MOVING


def _load(db: Any) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = db.execute("SELECT id, body FROM share_folders ORDER BY id").fetchall()
    return found


def _begin(db: Any, folder: int, path: str) -> None:
    catalog.remember_folder(db, folder, path, ScanState())


def _insert(db: Any, body: bytes) -> int:
    number: int = db.execute("INSERT INTO share_folders (body) VALUES (?)", (body,)).lastrowid
    return number
