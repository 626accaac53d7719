"""Collections of several files that grow by files (ledgers): published from where they lie, fetched whole, what did not change only once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from servent.blobs.hashing import Shared, collect
from servent.blobs.info import Collection, parse
from servent.blobs.places import Copy, Place, Placed
from servent.blobs.scan import Changed
from servent.blobs.service import Blobs
from servent.blobs.uploads_service import Holding
from servent.errors import ServentError, WorldError
from servent.grid import contents_rows as rows
from servent.grid.contents_rows import Folder
from servent.identity import PeerId
from servent.store import Store

log = logging.getLogger(__name__)

MayHave = Callable[[Iterable[bytes], PeerId], bool]
LetIn = Callable[[Iterable[PeerId]], contextlib.AbstractContextManager[None]]


class Folders:
    """Owns the folders that were published, and those that were fetched, which lie below `folder`.

    Args:
        may_have: whether a peer may have what belongs to one of these projects.
        let_in: while it lasts, connections with these peers are welcome.
    """

    def __init__(self, store: Store, blobs: Blobs, folder: Path, may_have: MayHave, let_in: LetIn) -> None:
        self._store, self._blobs, self._folder = store, blobs, folder
        self._may_have, self._let_in = may_have, let_in
        self._shared: dict[bytes, _Served] = {}
        self._one_at_a_time: defaultdict[bytes, asyncio.Lock] = defaultdict(
            asyncio.Lock
        )  # by project: one that gives nothing holds up no other

    async def open(self, known: Sequence[Folder]) -> None:
        """Look at what there was, and serve it. What is gone or is not what it was is forgotten."""
        await asyncio.to_thread(_make, self._folder)
        self._blobs.resolve_with(self._resolve, guests=True)
        gone = []
        for one in known:
            try:
                collection = await asyncio.to_thread(parse, one.info, one.infohash)
                shared = await asyncio.to_thread(collect, Path(one.path), collection.piece_length)
                self._shared[one.infohash] = _served(collection, shared, Path(one.path), one.project)
            except ServentError as wrong:
                log.info("%s is not served any more: %s", one.path, wrong)
                gone.append(one.path)
        if gone:
            await self._store.write(rows.forget_folders(gone))

    async def publish(self, folder: Path, project: bytes) -> bytes:
        """Serve `folder` as it is now, in place of what was published of it before. Its infohash.

        Raises:
            UsageError: there is nothing in it. DiskTrouble, Changed: it cannot be read, or changed meanwhile.
        """
        shared = await asyncio.to_thread(collect, folder)
        await self._keep(_served(shared.collection, shared, folder, project))
        return shared.collection.infohash

    async def fetch(
        self, infohash: bytes, contacts: Sequence[bytes], project: bytes, timeout: float, most_bytes: int
    ) -> Path:
        """A folder here with all its files; the project's earlier one goes, but for the files that are the same.

        Raises:
            UsageError: more than `most_bytes`. WorldError: nobody gave it in time. DiskTrouble.
        """
        async with self._one_at_a_time[project or infohash]:
            known = self._shared.get(infohash)
            if known is not None and known.path.is_dir():
                return known.path
            peers = [PeerId(one) for one in dict.fromkeys(contacts)]
            if not peers:
                raise WorldError("nobody is known who has it", advice="It is tried again.")
            with self._let_in(peers):
                path, collection = await self._blobs.aside.fetch(
                    infohash,
                    self._folder,
                    peers,
                    called=infohash.hex(),
                    timeout=timeout,
                    most_bytes=most_bytes,
                    copies=self._copies,
                )
            older = [one.path for one in self._shared.values() if one.project == project and self._mine(one)]
            shared = await asyncio.to_thread(collect, path, collection.piece_length)
            await self._keep(_served(collection, shared, path, project))
            for where in older:
                await self._leave(where)
            return path

    def _mine(self, one: _Served) -> bool:
        return one.path.parent == self._folder

    async def _copies(self, roots: Sequence[bytes]) -> dict[bytes, list[Copy]]:
        """Files of other versions that are here: `Aids.copies`."""
        wanted, found = set(roots), dict[bytes, list[Copy]]()
        for one in self._shared.values():
            for index, place in one.places.items():
                root = one.collection.files[index].root
                if root is not None and root in wanted:
                    found.setdefault(root, []).append(Copy(place, b""))
        return found

    async def _keep(self, served: _Served) -> None:
        infohash = served.collection.infohash
        before = [old for old, one in self._shared.items() if one.path == served.path]
        for old in before:
            del self._shared[old]
            self._blobs.withdraw_on_demand(old)
        self._shared[infohash] = served
        row = Folder(str(served.path), infohash, served.project, served.collection.info)
        await self._store.write(rows.keep_folder(row))

    async def _leave(self, where: Path) -> None:
        for infohash in [old for old, one in self._shared.items() if one.path == where]:
            del self._shared[infohash]
            self._blobs.withdraw_on_demand(infohash)
        await self._store.write(rows.forget_folders([str(where)]))
        if where.parent == self._folder:
            await asyncio.to_thread(shutil.rmtree, where, True)

    async def forget(self, project: bytes) -> None:
        """What was fetched or published for it; own folders stay where they lie."""
        for where in {one.path for one in self._shared.values() if one.project == project}:
            await self._leave(where)

    async def _resolve(self, peer: PeerId, infohash: bytes) -> Holding | None:
        found = self._shared.get(infohash)
        if found is None or not self._may_have((found.project,), peer):
            return None
        places = {index: [place] for index, place in found.places.items()}

        def allowed(asker: PeerId) -> bool:
            return infohash in self._shared and self._may_have((found.project,), asker)

        source = Placed(found.collection, places)
        return Holding(found.collection, source, allowed=allowed, guests=True, aside=True)


@dataclass(frozen=True, slots=True)
class _Served:
    collection: Collection
    places: dict[int, Place]
    path: Path
    project: bytes


def _served(collection: Collection, shared: Shared, path: Path, project: bytes) -> _Served:
    """`shared`: what lies there now, hashed. Raises Changed: it is not that collection."""
    here = {
        found.path: (found, place, stamp)
        for found, place, stamp in zip(shared.collection.files, shared.paths, shared.stamps, strict=True)
    }
    places = {}
    for index, file in enumerate(collection.files):
        found, place, stamp = here.get(file.path, (None, (), 0))
        if found is None or found.root != file.root:
            raise Changed(f"{path} is not what it was")
        if file.size:
            places[index] = Place(shared.root.joinpath(*place), file.size, stamp)
    for root in collection.missing_layers():
        collection.learn(root, shared.collection.layers[root])
    return _Served(collection, places, path, project)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as wrong:
        raise WorldError(f"cannot make {folder}: {wrong.strerror}") from wrong
