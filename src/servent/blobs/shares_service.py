"""What this node shares: hashing, remembering, and noticing that files changed."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from servent.blobs import info
from servent.blobs.canonical import is_canonical
from servent.blobs.hashing import Cancelled, Shared, collect
from servent.blobs.info import Collection
from servent.blobs.places import Place, Placed
from servent.blobs.rows import Files
from servent.blobs.scan import scan
from servent.blobs.seed import Seed
from servent.blobs.uploads_service import Holding, Uploads
from servent.blobs.views import ShareState, ShareView
from servent.errors import BadMessage, NotFound, ServentError, UsageError, WorldError
from servent.store import Store
from servent.tasks import begin

log = logging.getLogger(__name__)

LINGER = 5.0  # s
ABSENT = -1  # in place of a modification time: this file of the collection was never here
Progress = Callable[[int, int], None]


@dataclass(eq=False, slots=True)
class _Entry:
    """A share, from the first byte hashed on."""

    id: str
    path: Path
    name: str
    state: ShareState = "hashing"
    reason: str = ""
    size_bytes: int = 0
    done_bytes: int = 0
    files: int = 0
    holding: Holding | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)
    stopped: bool = False


class Shares:
    """Owns the shares; `uploads` serves them.

    Attributes:
        tasks: where hashing in the background runs; None while the node does not run.
    """

    def __init__(
        self, store: Store, uploads: Uploads, wall: Callable[[], float], told: Callable[[], None]
    ) -> None:
        self._store, self._uploads, self._wall, self._told = store, uploads, wall, told
        self._entries: dict[str, _Entry] = {}
        self._numbers = 0
        self.tasks: asyncio.TaskGroup | None = None

    async def load(self) -> None:
        """What was shared before."""
        for values in await self._store.read(_load):
            try:
                shared, path = await asyncio.to_thread(_unpack, values)
            except (BadMessage, msgspec.MsgspecError) as wrong:
                log.error("a remembered share cannot be read: %s", wrong)
                continue
            self._offer(shared, path)

    def _offer(self, shared: Shared, path: Path) -> _Entry:
        collection = shared.collection
        id = collection.infohash.hex()
        entry = self._entries.get(id) or _Entry(id, path, collection.name)
        entry.path, entry.name, entry.state, entry.reason = path, path.name or collection.name, "ready", ""
        entry.size_bytes = entry.done_bytes = collection.size
        entry.files, entry.skipped = len(collection.files), shared.skipped
        source: Seed | Placed
        if ABSENT in shared.stamps:
            source = Placed(collection, places(shared))
            entry.files = len(places(shared))
            entry.size_bytes = entry.done_bytes = sum(place[0].size for place in places(shared).values())
        else:
            source = Seed(collection, shared.root, shared.paths, shared.stamps)

        def upset(why: str) -> None:
            if entry.state == "ready":
                entry.state, entry.reason = "failed", why
                log.warning("%s is not shared any more: %s", entry.path, why)
                self._uploads.withdraw(collection.infohash)
                self._told()

        old = self._uploads.holdings.get(collection.infohash)
        if old is not None:
            before, old.source = old.source, source  # whoever fetches it from us goes on
            old.upset = upset
            if isinstance(before, Seed | Placed):  # not at once: a lane may just be about to read from it
                asyncio.get_running_loop().call_later(LINGER, before.close)
            entry.holding = old
        else:
            entry.holding = Holding(collection, source, upset)
            self._uploads.offer(entry.holding)
        entry.holding.called = entry.name if is_canonical(collection) else ""
        self._entries[id] = entry
        return entry

    # -- adding

    async def add(self, path: Path, progress: Progress | None = None) -> ShareView:
        """Hash and share. Raises as `hashing.collect`."""
        entry = self._entry(path)
        try:
            return await self._hash(entry, progress)
        except BaseException:
            self._entries.pop(entry.id, None)
            raise

    def begin(self, path: Path) -> ShareView:
        """The same in the background. Raises NotFound, UsageError when it is plain at once."""
        if self.tasks is None:
            raise WorldError("the node is not running")
        entry = self._entry(path)
        if begin(self.tasks, self._hash_behind(entry), f"hash {path.name}") is None:
            raise WorldError("the node is stopping")
        return _view(entry, self._uploads.totals)

    def _entry(self, path: Path) -> _Entry:
        path = path.expanduser().absolute()
        if not path.exists():
            raise NotFound(f"{path} does not exist", advice="Check the path.")
        for entry in self._entries.values():
            if entry.path == path and entry.state == "hashing":
                raise UsageError(f"{path} is being hashed already")
        self._numbers += 1
        entry = _Entry(f"new-{self._numbers}", path, path.name)
        self._entries[entry.id] = entry
        return entry

    async def _hash_behind(self, entry: _Entry) -> None:
        try:
            await self._hash(entry, None)
        except Cancelled:
            self._entries.pop(entry.id, None)
        except ServentError as wrong:
            entry.state, entry.reason = "failed", f"{wrong}. {wrong.advice}".rstrip(". ") + "."
        self._told()

    async def _hash(self, entry: _Entry, progress: Progress | None) -> ShareView:
        loop = asyncio.get_running_loop()
        found = await asyncio.to_thread(scan, entry.path)
        entry.size_bytes, entry.files = found.size, len(found.files)
        stop = threading.Event()

        def note(done: int) -> None:
            entry.done_bytes = done
            if progress is not None:
                loop.call_soon_threadsafe(progress, done, found.size)

        try:
            shared = await asyncio.to_thread(
                collect, entry.path, None, note, lambda: stop.is_set() or entry.stopped
            )
        except asyncio.CancelledError:
            stop.set()
            raise
        await self._remember(shared, entry.path)
        self._entries.pop(entry.id, None)
        ready = self._offer(shared, entry.path)
        self._told()
        return _view(ready, self._uploads.totals)

    async def keep(self, shared: Shared, path: Path) -> None:
        """Share what a download has just finished, without hashing it again."""
        await self._remember(shared, path)
        self._offer(shared, path)
        self._told()

    async def _remember(self, shared: Shared, path: Path) -> None:
        collection = shared.collection
        layers = b"".join(
            [root + len(layer).to_bytes(4, "big") + layer for root, layer in collection.layers.items()]
        )
        files = msgspec.msgpack.encode(Files(list(shared.paths), list(shared.stamps)))
        values = (
            collection.infohash,
            str(shared.root),
            str(path),
            collection.info,
            files,
            layers,
            self._wall(),
        )

        def write(db: Any) -> None:
            db.execute("INSERT OR REPLACE INTO shares VALUES (?, ?, ?, ?, ?, ?, ?)", values)

        await self._store.write(write)

    # -- the rest of their lives

    async def remove(self, share: str) -> None:
        """Serve it no longer. Raises NotFound."""
        entry = self._entries.get(share)
        if entry is None:
            raise NotFound(f"nothing shared is called {share[:70]!r}")
        entry.stopped = True
        del self._entries[share]
        if entry.holding is not None:
            infohash = entry.holding.collection.infohash
            self._uploads.withdraw(infohash)
            _close(entry.holding)

            def forget(db: Any) -> None:
                db.execute("DELETE FROM shares WHERE infohash = ?", (infohash,))

            await self._store.write(forget)
        self._told()

    async def verify(self, infohash: bytes) -> None:
        """Hash what is shared again; a share that changed is not served any more. Raises NotFound."""
        entry = self._entries.get(infohash.hex())
        if entry is None or entry.holding is None:
            raise NotFound("it is not on this machine any more")
        collection = entry.holding.collection
        marked = any(file.executable for file in collection.files)  # which fetched files never are
        renamed = entry.path.name != collection.name
        if not isinstance(entry.holding.source, Seed) or renamed or marked:
            await self._verify_files(entry, entry.holding)
            return
        try:
            shared = await asyncio.to_thread(collect, entry.path, entry.holding.collection.piece_length)
        except ServentError as wrong:
            entry.holding.upset(str(wrong))
            raise
        if (
            shared.collection.infohash != infohash
        ):  # or more lies beside its files, or names had to be changed
            await self._verify_files(entry, entry.holding)
            return
        await self._remember(shared, entry.path)
        self._offer(shared, entry.path)

    async def _verify_files(self, entry: _Entry, holding: Holding) -> None:
        """The same where hashing the path anew would give another collection: other names, or not all of the files."""
        collection, have = holding.collection, holding.have

        def check() -> bool:
            return all(collection.verify(piece, holding.source.read_piece(piece)) for piece in have)

        try:
            sound = await asyncio.to_thread(check)
        except (WorldError, LookupError):
            sound = False
        if not sound:
            holding.upset("its files changed since it was fetched")
            raise UsageError(f"{entry.path} changed since it was fetched", advice="Fetch it again.")

    def collection(self, infohash: bytes) -> Collection | None:
        """What is shared under this hash, None: nothing is, or its files changed."""
        entry = self._entries.get(infohash.hex())
        if entry is None or entry.state != "ready" or entry.holding is None:
            return None
        return entry.holding.collection

    async def shared(self, infohash: bytes) -> tuple[Shared, Path] | None:
        """All that is remembered of what is shared under this hash, and where it lies; None: nothing is, or its files changed."""
        if self.collection(infohash) is None:
            return None
        values = await self._store.read(
            lambda db: db.execute(f"{_SHARES} WHERE infohash = ?", (infohash,)).fetchone()
        )
        return None if values is None else await asyncio.to_thread(_unpack, values)

    def path(self, infohash: bytes) -> Path | None:
        """Where what is shared under this hash lies, None: nothing is, or its files changed."""
        entry = self._entries.get(infohash.hex())
        return entry.path if entry is not None and entry.state == "ready" else None

    def views(self) -> list[ShareView]:
        return [_view(entry, self._uploads.totals) for entry in self._entries.values()]

    def places(self, roots: set[bytes]) -> dict[bytes, list[Place]]:
        """Where these contents lie, as far as they are shared or were fetched. Blocks."""
        found: dict[bytes, list[Place]] = {}
        for entry in list(self._entries.values()):
            if entry.state != "ready" or entry.holding is None:
                continue
            source, files = entry.holding.source, entry.holding.collection.files
            for index, file in enumerate(files):
                if (
                    file.root in roots
                    and isinstance(source, Seed | Placed)
                    and (place := source.place(index))
                ):
                    found.setdefault(file.root, []).append(place)
        return found

    def stop(self) -> None:
        """End hashing that is under way."""
        for entry in self._entries.values():
            entry.stopped = True

    def close(self) -> None:
        """Let go of all files."""
        for entry in self._entries.values():
            if entry.holding is not None:
                _close(entry.holding)


def _close(holding: Holding) -> None:
    if isinstance(holding.source, Seed | Placed):
        holding.source.close()


def places(shared: Shared) -> dict[int, list[Place]]:
    """Where those files of a collection lie that are here."""
    files = shared.collection.files
    return {
        index: [Place(shared.root.joinpath(*shared.paths[index]), files[index].size, stamp)]
        for index, stamp in enumerate(shared.stamps)
        if stamp != ABSENT
    }


def _view(entry: _Entry, totals: Mapping[bytes, int]) -> ShareView:
    holding = entry.holding
    return ShareView(
        entry.id,
        holding.collection.infohash if holding is not None else None,
        entry.name,
        str(entry.path),
        entry.state,
        entry.size_bytes,
        entry.files,
        entry.done_bytes / entry.size_bytes if entry.size_bytes else float(entry.state == "ready"),
        entry.reason,
        totals.get(holding.collection.infohash, 0) if holding is not None else 0,
        tuple(entry.skipped),
    )


_SHARES = "SELECT infohash, root, path, info, files, layers FROM shares"


def _load(db: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = db.execute(f"{_SHARES} ORDER BY added").fetchall()
    return rows


def _unpack(values: tuple[Any, ...]) -> tuple[Shared, Path]:
    infohash, root, path, content, packed, layers = values
    collection = info.parse(content, infohash)
    files = msgspec.msgpack.decode(packed, type=Files)
    at = 0
    while at + 36 <= len(layers):
        size = int.from_bytes(layers[at + 32 : at + 36], "big")
        collection.learn(layers[at : at + 32], layers[at + 36 : at + 36 + size])
        at += 36 + size
    return Shared(collection, Path(root), files.paths, files.stamps, []), Path(path)
