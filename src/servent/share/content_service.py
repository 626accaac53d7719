"""Files of the library as bytes: served by content, as folders, as parts of collections; and found for ourselves."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from servent.blobs import info
from servent.blobs.canonical import canonical, is_canonical
from servent.blobs.places import Copy, Place, Placed
from servent.blobs.resolving_service import QUANTUM
from servent.blobs.service import Blobs
from servent.blobs.uploads_service import Holding
from servent.codec import write_frame
from servent.errors import BadMessage, NotFound, Refused, ServentError
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.share import assembly, content_rows
from servent.share.assembly import Known
from servent.share.content_wire import (
    MOST_PARTS,
    SERVICE,
    Assemble,
    Assembled,
    read_assemble,
    read_assembled,
)
from servent.store import Store

log = logging.getLogger(__name__)

FoldersFor = Callable[[PeerId], frozenset[int]]  # ids of the folders a peer may see

MOST_ASSEMBLED = 4  # collections put together for one peer at a time
PARTS_RATE, PARTS_BURST = 500.0, 50_000.0  # files a peer may have looked up per second, and at once; a guess
MOST_ASKERS = 1024  # peers whose rate is remembered
MOST_REMEMBERED = 4096  # folders we made collections of, so that they can be made again
ANSWER_LIMIT = 15.0  # s
LOOK_EVERY = 5.0  # s at least between two looks at what is served while the library changes
NOTHING: Mapping[int, bytes] = {}


class FolderAsCollection(NamedTuple):
    """What a folder became. `left_out`: files not hashed yet, or with names no other system could read."""

    infohash: bytes
    name: str
    files: int
    size_bytes: int
    left_out: int


class _LibraryFiles(Placed):
    """Pieces out of files of the library. `rows`: those that let somebody see them, with their contents."""

    rows: Mapping[int, bytes] = {}


class ContentService:
    """Answers for the bytes of the library's files.

    Args:
        store: `library.db`.
        folders_for: which shared folders a peer may see.
        blocked: whether a content is never to be served or fetched.

    Attributes:
        stale: told of a file that is not what the library thinks, on the loop.
        copied_from: the folders whose files may be copied into what is fetched; None: all.
    """

    def __init__(
        self,
        peers: Peers,
        blobs: Blobs,
        store: Store,
        folders_for: FoldersFor,
        blocked: Callable[[bytes], bool] = lambda root: False,
    ) -> None:
        self._peers, self._blobs, self._store = peers, blobs, store
        self._folders_for, self.blocked = folders_for, blocked
        self.stale: Callable[[Path], None] = lambda path: None
        self.copied_from: Callable[[], frozenset[int] | None] = lambda: None
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._made: OrderedDict[bytes, tuple[int, int, str]] = (
            OrderedDict()
        )  # infohash -> folder, directory, name
        self._making = asyncio.Semaphore(1)  # one big collection at a time
        self._askers: OrderedDict[PeerId, TokenBucket] = OrderedDict()

    def open(self) -> None:
        """Begin to serve. Both stores and `blobs` are open already."""
        self._blobs.resolve_with(self.resolve)
        self._blobs.find_copies_with(self.copies)
        self._blobs.assist_with(self.assist)
        self._peers.serve(SERVICE, self._handle, audience="network", streams=4)

    def close(self) -> None:
        """Serve nothing more."""
        self._peers.withdraw(SERVICE)

    def changed(self) -> None:
        """The library is another: somebody may have less than before."""
        self._blobs.check_rights()
        self._news.set()

    async def run(self) -> None:
        """Serve no longer what left the library, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            for holding in self._blobs.on_demand():
                source = holding.source
                if isinstance(source, _LibraryFiles) and not await self._store.read(
                    content_rows.still(source.rows)
                ):
                    self._blobs.withdraw_holding(holding)
            await asyncio.sleep(LOOK_EVERY)

    # -- for others

    async def resolve(self, peer: PeerId, infohash: bytes) -> Holding | None:
        """Uploads' resolver: a content by its canonical infohash, or a folder that was made into a collection."""
        known, folders = await self._store.read(content_rows.by_canon(infohash))
        if known:
            if not folders.keys() & self._folders_for(peer):
                return None
            first = known[0]
            assert first.root is not None
            if self.blocked(first.root):
                return None
            collection = canonical(first.root, first.size, first.layer)
            return self._holding(
                collection,
                {0: known},
                lambda asker: bool(folders.keys() & self._folders_for(asker)),
                dict.fromkeys(folders.values(), first.root),
            )
        made = self._made.get(infohash)
        if made is None or made[0] not in self._folders_for(peer):
            return None
        bucket, now = self._bucket(peer), self._loop.time()
        if bucket.take(0, now) > 0:
            return None
        bucket.take(await self._store.read(content_rows.count_below(made[1])), now)
        try:
            collection, files = await self._make(*made)
        except ServentError as wrong:
            log.info("a folder is not served any more: %s", wrong)
            return None
        if collection.infohash != infohash:  # the folder changed
            return None
        return self._of_folder(collection, files, made[0])

    def _holding(
        self,
        collection: info.Collection,
        places: dict[int, Sequence[Known]],
        allowed: Callable[[PeerId], bool],
        besides: Mapping[int, bytes] = NOTHING,
    ) -> Holding:
        """`besides`: further rows, without which somebody may have it no longer."""
        found = {index: [_place(one) for one in known] for index, known in places.items()}
        source = _LibraryFiles(collection, found, self._lost)
        used = {one.id: one.root for known in places.values() for one in known if one.root is not None}
        source.rows = {**used, **besides}
        name = "" if not is_canonical(collection) else next(iter(found.values()))[0].path.name
        return Holding(collection, source, allowed=allowed, called=name)

    def _lost(self, place: Place) -> None:
        """Any thread."""
        log.info("%s is not what the library thinks; it is not served", place.path)
        try:
            self._loop.call_soon_threadsafe(self.stale, place.path)
        except RuntimeError:
            return  # the loop is closed

    # -- folders

    async def offer_folder(self, peer: PeerId, folder: int, directory: int, name: str) -> FolderAsCollection:
        """Make the directory a collection that `peer` can fetch now.

        Args:
            name: what the collection is called: the directory's name as the peer sees it.

        Raises:
            NotFound: it is not there, or not for them.
            UsageError: nothing in it is hashed, or it has too many files.
        """
        if folder not in self._folders_for(peer):
            raise NotFound("there is no such folder")
        collection, files = await self._make(folder, directory, name)
        total = await self._store.read(content_rows.count_below(directory))
        self._made[collection.infohash] = folder, directory, name
        self._made.move_to_end(collection.infohash)
        if len(self._made) > MOST_REMEMBERED:
            self._made.popitem(last=False)
        self._blobs.offer_on_demand(self._of_folder(collection, files, folder))
        return FolderAsCollection(
            collection.infohash, collection.name, len(files), collection.size, max(0, total - len(files))
        )

    def _of_folder(self, collection: info.Collection, files: list[Known], folder: int) -> Holding:
        places: dict[int, Sequence[Known]] = {index: [one] for index, one in enumerate(files) if one.size}
        return self._holding(collection, places, lambda asker: folder in self._folders_for(asker))

    async def _make(self, folder: int, directory: int, name: str) -> tuple[info.Collection, list[Known]]:
        async with self._making:
            files = await self._store.read(content_rows.below(folder, directory))
            kept = [one for one in files if one.root is None or not self.blocked(one.root)]
            return await asyncio.to_thread(assembly.folder, name, kept)

    # -- parts of collections

    async def _handle(self, session: Session, stream: Stream) -> None:
        """One stream of `servent.content/1`."""
        began = self._loop.time()
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                wanted = await read_assemble.read(stream)
        except TimeoutError:
            raise BadMessage("a stream that says nothing") from None
        if not self._bucket(session.peer).allow(len(wanted.parts), began):
            raise Refused("asks about too many files at once")
        pieces = await self._assemble(session.peer, wanted)
        if not pieces:
            await asyncio.sleep(max(0.0, began + QUANTUM - self._loop.time()))
        await write_frame(stream, Assembled(pieces))

    def _bucket(self, peer: PeerId) -> TokenBucket:
        bucket = self._askers.get(peer)
        if bucket is None:
            if len(self._askers) >= MOST_ASKERS:
                self._askers.popitem(last=False)
            bucket = self._askers[peer] = TokenBucket(PARTS_RATE, PARTS_BURST)
        self._askers.move_to_end(peer)
        return bucket

    async def _assemble(self, peer: PeerId, wanted: Assemble) -> int:
        """Offer `peer` what we have of it; how many pieces that is."""
        folders = self._folders_for(peer)
        if not folders:
            return 0
        async with self._making:
            collection = await asyncio.to_thread(
                assembly.nameless, wanted.infohash, wanted.piece_length, wanted.parts
            )
            found, used = await self._store.read(
                content_rows.by_roots((root for root, _ in wanted.parts), folders)
            )
            holding = await asyncio.to_thread(self._put_together, peer, collection, found, used)
        if holding is None:
            return 0
        for old in self._blobs.offered_to(peer)[: 1 - MOST_ASSEMBLED]:
            self._blobs.withdraw_on_demand(old, peer)
        self._blobs.offer_on_demand(holding, peer)
        return len(holding.have)

    def _put_together(
        self, peer: PeerId, collection: info.Collection, found: dict[bytes, list[Known]], used: frozenset[int]
    ) -> Holding | None:
        """In a thread."""
        places: dict[int, Sequence[Known]] = {}
        for index, file in enumerate(collection.files):
            assert file.root is not None
            known = [one for one in found.get(file.root, ()) if one.size == file.size]
            if not known or self.blocked(file.root) or not assembly.fits(file.size, collection.piece_length):
                continue
            try:
                assembly.teach(collection, known[:1])
            except BadMessage as wrong:
                log.warning("what the library knows of %s is wrong: %s", known[0].where, wrong)
                continue
            places[index] = known
        if not places:
            return None
        return self._holding(
            collection, places, lambda asker: asker == peer and used <= self._folders_for(asker)
        )

    # -- for ourselves

    async def assist(self, session: Session, collection: info.Collection) -> bool:
        """Ask a peer to serve what it has of `collection`; whether it has any. Raises nothing but cancellation."""
        parts = assembly.parts_of(collection)
        if SERVICE not in session.profile.services or not 0 < len(parts) <= MOST_PARTS:
            return False
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                stream = await session.open(SERVICE)
                try:
                    await write_frame(stream, Assemble(collection.infohash, collection.piece_length, parts))
                    return (await read_assembled.read(stream)).pieces > 0
                finally:
                    await stream.reset()
        except (ServentError, TimeoutError) as wrong:
            log.debug("%s does not help with a collection: %s", session.peer.short, wrong)
            return False

    async def copies(self, roots: Sequence[bytes]) -> dict[bytes, list[Copy]]:
        """Where our own library has these contents, to copy them into what is fetched.

        What is fetched is served on to all who know it, and to whoever chose what is in it. So nothing is copied
        that not everybody may see: who has no more than a file's hash would get the file, or learn that it is here.
        """
        found, _ = await self._store.read(content_rows.by_roots(roots, self.copied_from()))
        return {root: [Copy(_place(one), one.layer) for one in known] for root, known in found.items()}

    async def places(self, root: bytes) -> list[Place]:
        """Where our own library has this content."""
        found, _ = await self._store.read(content_rows.by_roots([root]))
        return [_place(one) for one in found.get(root, [])]


def _place(one: Known) -> Place:
    return Place(Path(one.where), one.size, one.stamp, Path(one.below))
