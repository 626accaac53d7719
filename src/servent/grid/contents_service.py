"""Modules, inputs, outputs and checkpoints as contents: published once, fetched from whoever has them, kept under a cap.

Each is the canonical collection of its bytes (see `blobs.canonical`), so that the same bytes have the same name everywhere, and whoever has them can serve
them. They never show in the person's list of transfers or in the folder for downloads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from servent.blobs import tree
from servent.blobs.canonical import canon, canonical, canonical_info
from servent.blobs.hashing import hash_file
from servent.blobs.info import piece_length_for
from servent.blobs.places import Place, Placed
from servent.blobs.service import Blobs
from servent.blobs.uploads_service import Holding
from servent.errors import DiskTrouble, NotFound, UsageError, WorldError
from servent.grid import contents_rows as rows
from servent.grid.contents_files import check, content_of, link_or_copy, prepare, unlink
from servent.grid.contents_folders_service import Folders
from servent.grid.contents_rows import Row, Use
from servent.grid.manifests import Content
from servent.identity import PeerId
from servent.net.peers import Peers
from servent.store import Store
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

FETCHES_MOST = 8  # at once; the others wait
HOLDERS_MOST = 8  # peers remembered for each content, of those who fetched it from us
SWEEP_EVERY = 2.0  # s between two looks at what was released
LEAVE_AFTER = 3600.0  # s that contents of a project stay which was left: its coordinator may fetch results and checkpoints


@dataclass(eq=False, slots=True)
class _Kept:
    row: Row
    uses: set[Use] = field(default_factory=set)
    used: float = 0.0
    holders: list[PeerId] = field(default_factory=list)


class Contents:
    """Owns the folder `grid/contents` and what is remembered of it.

    Who may have a content: those that `allows(project, peer)` lets have what belongs to one of the projects it was published or fetched for.

    Args:
        store: `grid.db`, not open yet; its tables are declared here.
        folder: made when missing.
        most_bytes: of fetched contents; beyond, what was used longest ago goes. Published ones stay until they are dropped.
        allows: whether a peer may have what belongs to a project of ours, or that we lend to.
    """

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        peers: Peers,
        trust: TrustService,
        folder: Path,
        *,
        most_bytes: Callable[[], int],
        allows: Callable[[bytes, PeerId], bool],
        wall: Callable[[], float],
    ) -> None:
        self._store, self._blobs, self._peers, self._trust = store, blobs, peers, trust
        self._folder, self._most_bytes, self._allows, self._wall = folder, most_bytes, allows, wall
        self._kept: dict[bytes, _Kept] = {}
        self._by_keep: dict[str, set[bytes]] = {}
        self._pins: dict[bytes, int] = {}
        self._coming: dict[bytes, asyncio.Event] = {}  # what is being fetched now
        self._passes: dict[PeerId, int] = {}
        self._room = asyncio.Semaphore(FETCHES_MOST)
        self._released: list[tuple[bytes, Use]] = []
        self._leaving: dict[bytes, float] = {}  # projects that were left, and when they are forgotten
        self._bytes = 0
        self.transferred = 0  # bytes fetched since the start
        self.folders = Folders(store, blobs, folder / "folders", self._may_have, self._let_in)
        store.migrate(rows.ROOM, rows.STEPS)

    # -- life

    async def open(self) -> None:
        """The store and `blobs` are open already. Raises DiskTrouble."""
        found, uses, folders = await self._store.read(rows.load)
        for row in found:
            self._kept[row.infohash] = _Kept(row, used=row.used)
            self._bytes += row.size
        for infohash, use in uses:
            if (kept := self._kept.get(infohash)) is not None:
                self._use(kept, use)
        await asyncio.to_thread(prepare, self._folder)
        self._blobs.resolve_with(self._resolve, guests=True)
        await self.folders.open(folders)

    async def run(self) -> None:
        """Delete what was released, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            await self._sweep()
            now = asyncio.get_running_loop().time()
            for project in [one for one, due in self._leaving.items() if due <= now]:
                await self.forget_project(project, at_once=True)

    async def close(self) -> None:
        """Serve nothing more; the store is still open."""
        with contextlib.suppress(WorldError):
            await self._sweep()
            for project in list(self._leaving):
                await self.forget_project(project, at_once=True)
            used = [
                (kept.used, infohash) for infohash, kept in self._kept.items() if kept.used > kept.row.used
            ]
            await self._store.write(rows.touch(used))
        self._allows = lambda project, peer: False
        self._blobs.check_rights()

    async def _sweep(self) -> None:
        """Uses that ended go, and what nobody needs any more."""
        ended, self._released = self._released, []
        if ended:
            await self._end_uses(ended)

    # -- what is ours

    async def publish(
        self, what: bytes | Path, name: str = "", *, project: bytes = b"", move: bool = False
    ) -> Content:
        """Keep and serve it until `drop`. Empty contents cannot be published.

        Args:
            what: the bytes, or a file: linked to, where the disk allows it, else copied (`move`: taken, so that it is gone from its place). Whoever writes
                into the file later takes it from us; it may be replaced or deleted.
            name: for people.
            project: whose people may have it.

        Raises:
            UsageError: it is empty. NotFound, DiskTrouble.
        """
        return (await self.publish_many([(what, name)], project=project, move=move))[0]

    async def publish_many(
        self, what: Sequence[tuple[bytes | Path, str]], *, project: bytes = b"", move: bool = False
    ) -> list[Content]:
        """The same for many, in one transaction."""
        taken = await asyncio.to_thread(lambda: [self._take(one, name, move) for one, name in what])
        use = Use(project, "published")
        await self._store.write(rows.add([(row, use) for row in taken]))
        for row in taken:
            self._remember(row, use)
        return [content_of(row) for row in taken]

    def _take(self, what: bytes | Path, name: str, move: bool) -> Row:
        """Into our folder. Blocks."""
        staged = self._folder / "coming" / secrets.token_hex(8)
        try:
            if isinstance(what, bytes):
                staged.write_bytes(what)
            elif move:
                shutil.move(what, staged)
            else:
                link_or_copy(what, staged)
            return self._put(staged, name)
        except FileNotFoundError as wrong:
            raise NotFound(f"there is no file {what if isinstance(what, Path) else staged}") from wrong
        except OSError as wrong:
            raise DiskTrouble(f"cannot keep {name or 'a content'}: {wrong.strerror or wrong}") from wrong
        finally:
            staged.unlink(missing_ok=True)

    def _put(self, staged: Path, name: str) -> Row:
        """Hash what lies at `staged` and put it where it belongs. Blocks. Raises OSError, UsageError."""
        size = staged.stat().st_size
        if size == 0:
            raise UsageError(f"{name or 'a content'} is empty")
        if size <= piece_length_for(size):
            root, layer = tree.root_of_data(staged.read_bytes()), b""
        else:
            hashed = hash_file(staged, piece_length_for(size))
            assert hashed.root is not None
            root, layer = hashed.root, hashed.layer
        infohash = canon(root, size)
        place = self._place(infohash)
        place.parent.mkdir(exist_ok=True)
        os.replace(staged, place)
        return Row(infohash, root, size, layer, place.stat().st_mtime_ns, name, self._wall())

    # -- what others have

    async def fetch(
        self,
        content: Content,
        contacts: Sequence[bytes] = (),
        *,
        project: bytes = b"",
        keep: str = "",
        most_bytes: int = 2**53,
        timeout: float = 600.0,
    ) -> Path:
        """A file with its bytes, verified; where it is here already, at once. Use it soon, or `pin` it: it may go when room is needed.

        Args:
            contacts: peers who are asked.
            project: whose people may then have it from us.
            keep: a name under which it stays until `release(keep)`.

        Raises:
            UsageError: larger than `most_bytes`, or than there is room for. BadMessage: no content has this name.
            WorldError: nobody gave it in `timeout` seconds. DiskTrouble.
        """
        check(content)
        if content.size > most_bytes or (not keep and content.size > self._most_bytes()):
            raise UsageError(f"{content.size} bytes are more than may be fetched")
        use = Use(project, "kept" if keep else "fetched", keep)
        while True:
            kept = self._kept.get(content.infohash)
            if kept is not None and self._there(kept):
                kept.used = self._wall()
                if use not in kept.uses:
                    await self._store.write(rows.add([(kept.row, use)]))
                    self._use(kept, use)
                return self._place(content.infohash)
            other = self._coming.get(content.infohash)
            if other is None:
                break
            await other.wait()
        done = self._coming[content.infohash] = asyncio.Event()
        try:
            async with self._room:
                await self._bring(content, contacts, use, timeout)
        finally:
            done.set()
            del self._coming[content.infohash]
        await self._make_room(content.infohash)
        return self._place(content.infohash)

    async def _bring(self, content: Content, contacts: Sequence[bytes], use: Use, timeout: float) -> None:
        peers = [PeerId(one) for one in dict.fromkeys(contacts) if one != self._peers.peer]
        if not peers:
            raise WorldError("nobody is known who has it", advice="It is tried again.")
        to, info = (
            self._folder / "coming" / content.infohash.hex(),
            canonical_info(content.root, content.size),
        )
        with self._let_in(peers):
            path, _ = await self._blobs.aside.fetch(
                content.infohash, to, peers, info=info, called="content", timeout=timeout
            )
        self.transferred += content.size

        def take() -> Row:
            row = self._put(path, "")
            shutil.rmtree(to, ignore_errors=True)
            return row

        try:
            row = await asyncio.to_thread(take)
        except OSError as wrong:
            raise DiskTrouble(f"cannot keep what was fetched: {wrong.strerror or wrong}") from wrong
        await self._store.write(rows.add([(row, use)]))
        self._remember(row, use)

    @contextlib.contextmanager
    def _let_in(self, peers: Iterable[PeerId]) -> Iterator[None]:
        """They may be strangers: while we fetch from them, a connection with them is welcome, and nothing else."""
        named = list(peers)
        for peer in named:
            self._passes[peer] = self._passes.get(peer, 0) + 1
            if self._passes[peer] == 1:
                with contextlib.suppress(
                    UsageError
                ):  # too many guests: those we know are reached all the same
                    self._trust.admit(f"grid fetch {peer}", peer, ())
        try:
            yield
        finally:
            for peer in named:
                self._passes[peer] -= 1
                if not self._passes[peer]:
                    del self._passes[peer]
                    self._trust.dismiss(f"grid fetch {peer}")

    async def publish_folder(self, folder: Path, *, project: bytes = b"") -> bytes:
        """Serve a folder as one collection with its files where they lie, in place of what was published of it before. Its infohash.

        Raises:
            UsageError: there is nothing in it. DiskTrouble, Changed: it cannot be read, or changed meanwhile.
        """
        return await self.folders.publish(folder, project)

    async def fetch_folder(
        self,
        infohash: bytes,
        contacts: Sequence[bytes] = (),
        *,
        project: bytes = b"",
        timeout: float = 600.0,
        most_bytes: int = 2**40,
    ) -> Path:
        """What `publish_folder` published, in a folder here; files that an earlier version had are not fetched again.

        Raises:
            UsageError: more than `most_bytes`. WorldError: nobody gave it in time. DiskTrouble.
        """
        return await self.folders.fetch(infohash, contacts, project, timeout, most_bytes)

    def path(self, content: Content) -> Path | None:
        """Where it lies, None when it is not here."""
        kept = self._kept.get(content.infohash)
        if kept is None or not self._there(kept):
            return None
        kept.used = self._wall()
        return self._place(content.infohash)

    def pin(self, content: Content) -> None:
        """Keep it although room is needed, until as many `unpin`, also where it is yet to be fetched; in memory only."""
        self._pins[content.infohash] = self._pins.get(content.infohash, 0) + 1

    def unpin(self, content: Content) -> None:
        left = self._pins.pop(content.infohash, 0) - 1
        if left > 0:
            self._pins[content.infohash] = left
        elif (kept := self._kept.get(content.infohash)) is not None and not kept.uses:
            self._released.append((content.infohash, Use(b"", "fetched")))  # only the pin kept it

    def have(self, project: bytes, most: int = 64) -> list[bytes]:
        """Infohashes of what is here for a project, the newest used first."""
        found = [one for one in self._kept.values() if any(use.project == project for use in one.uses)]
        found.sort(key=lambda kept: -kept.used)
        return [kept.row.infohash for kept in found[:most]]

    def holders(self, content: Content) -> list[PeerId]:
        """Peers who fetched it from us, the newest last, at most 8."""
        kept = self._kept.get(content.infohash)
        return list(kept.holders) if kept is not None else []

    def used_bytes(self) -> int:
        """On the disk."""
        return self._bytes

    # -- letting go

    async def drop(self, contents: Iterable[Content], *, project: bytes = b"") -> None:
        """Publish them no more for this project; what nobody else needs is deleted."""
        use = Use(project, "published")
        await self._end_uses([(one.infohash, use) for one in contents])

    def release(self, keep: str) -> None:
        """What was fetched to be kept under this name may go. Never raises."""
        for infohash in self._by_keep.pop(keep, ()):
            kept = self._kept.get(infohash)
            if kept is not None:
                self._released += [(infohash, use) for use in kept.uses if use.keep == keep]

    async def forget_project(self, project: bytes, *, at_once: bool = False) -> None:
        """All that was kept for it alone; its ledger stays. Not `at_once`: in an hour, unless it is used again; what goes back with checkpoints can be fetched till then."""
        if not at_once:
            self._leaving[project] = asyncio.get_running_loop().time() + LEAVE_AFTER
            return
        self._leaving.pop(project, None)
        ended = [
            (infohash, use)
            for infohash, kept in self._kept.items()
            for use in kept.uses
            if use.project == project
        ]
        await self._end_uses(ended)

    async def _end_uses(self, ended: Sequence[tuple[bytes, Use]]) -> None:
        gone = []
        for infohash, use in ended:
            if (kept := self._kept.get(infohash)) is None:
                continue
            kept.uses.discard(use)
            if use.keep and (named := self._by_keep.get(use.keep)) is not None:
                named.discard(infohash)
                if not named:
                    del self._by_keep[use.keep]
            if not kept.uses and infohash not in self._pins:
                gone.append(infohash)
        await self._store.write(rows.remove(ended, gone))
        await self._delete(gone)

    async def _make_room(self, spare: bytes) -> None:
        """What was fetched and used longest ago goes, as long as there is more than may be."""
        fetched = [
            one for one in self._kept.values() if one.uses and all(use.kind == "fetched" for use in one.uses)
        ]
        size, most = sum(one.row.size for one in fetched), self._most_bytes()
        gone = []
        for kept in sorted(fetched, key=lambda one: one.used):
            if size <= most:
                break
            if kept.row.infohash not in self._pins and kept.row.infohash != spare:
                size -= kept.row.size
                gone.append(kept.row.infohash)
        if gone:
            await self._store.write(rows.remove((), gone))
            await self._delete(gone)

    async def _delete(self, gone: Sequence[bytes]) -> None:
        for infohash in gone:
            if (kept := self._kept.pop(infohash, None)) is not None:
                self._bytes -= kept.row.size
                self._blobs.withdraw_on_demand(infohash)
        places = [self._place(infohash) for infohash in gone]
        if places:
            await asyncio.to_thread(unlink, places)

    # -- serving

    def _may_have(self, projects: Iterable[bytes], peer: PeerId) -> bool:
        return any(self._allows(project, peer) for project in projects if project)

    async def _resolve(self, peer: PeerId, infohash: bytes) -> Holding | None:
        kept = self._kept.get(infohash)
        if kept is None or not self._may_have({use.project for use in kept.uses}, peer):
            return None
        row = kept.row
        place = Place(self._place(infohash), row.size, row.stamp, self._folder)

        def allowed(asker: PeerId) -> bool:
            now = self._kept.get(infohash)
            return now is not None and self._may_have({use.project for use in now.uses}, asker)

        def wanted(asker: PeerId) -> None:
            now = self._kept.get(infohash)
            if now is not None and asker not in now.holders:
                now.holders = [*now.holders[1 - HOLDERS_MOST :], asker]

        collection = canonical(row.root, row.size, row.layer)
        source = Placed(collection, {0: [place]})
        return Holding(
            collection, source, wanted_by=wanted, allowed=allowed, called=row.name, guests=True, aside=True
        )

    # -- small things

    def _place(self, infohash: bytes) -> Path:
        name = infohash.hex()
        return self._folder / "contents" / name[:2] / name

    def _there(self, kept: _Kept) -> bool:
        try:
            seen = os.stat(self._place(kept.row.infohash))
        except OSError:
            return False
        return seen.st_size == kept.row.size and seen.st_mtime_ns == kept.row.stamp

    def _remember(self, row: Row, use: Use) -> None:
        kept = self._kept.get(row.infohash)
        if kept is None:
            kept = self._kept[row.infohash] = _Kept(row, used=row.used)
            self._bytes += row.size
        else:
            kept.row, kept.used = row, row.used
            self._blobs.withdraw_on_demand(row.infohash)  # its file is another one
        self._use(kept, use)

    def _use(self, kept: _Kept, use: Use) -> None:
        self._leaving.pop(use.project, None)
        kept.uses.add(use)
        if use.keep:
            self._by_keep.setdefault(use.keep, set()).add(kept.row.infohash)
