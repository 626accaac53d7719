"""Answering peers: their searches, pages of our tree, folders they want, samples. Only from what each may see."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec

from servent.codec import write_frame
from servent.errors import BadMessage, ConnectionLost, NotFound, UsageError
from servent.identity import PeerId
from servent.limits import Budget, TokenBucket
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.query import language
from servent.share import local, wire
from servent.share.folding import Found
from servent.share.shelves import Ask, Shelf, Shelves
from servent.store import Store

log = logging.getLogger(__name__)
T = TypeVar("T")

OPEN_LIMIT = 5.0  # s for a question to arrive
STREAMS = 16  # questions of one peer at once
MOST_OPEN = 64  # questions of all peers at once
FOR_ALL = 32  # of these, for peers with no other question open: a few peers cannot keep everybody out
ANSWER_LIMIT = 60.0  # s until an answer must have been taken
FILE_TIME = 20e-6  # s of a processor for each file of a folder that becomes a collection; measured
RATE, BURST = 50.0, 200.0  # questions per second of one peer
TIME_RATE, TIME_BURST = 0.2, 1.0  # s of the library's reader per second, for one peer
MOST_DELAY = 5.0  # s a question waits for its turn; who is further in debt is refused
ANSWER_BYTES = 2 * 1024 * 1024  # of one answer
MOST_GUESTS = 1024  # peers whose use is remembered
REFUSAL = wire.Refuse("not available here")
BUSY = wire.Refuse("busy; ask again later", 1.0)

Shown = Callable[[PeerId | None], Sequence[Shelf]]
"""The shared folders a peer may see, by public names that differ; None: the person here, who sees all."""


class FolderMade(Protocol):
    """A folder as a collection."""

    @property
    def infohash(self) -> bytes: ...
    @property
    def name(self) -> str: ...
    @property
    def files(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def left_out(self) -> int: ...


OfferFolder = Callable[[PeerId, int, int, str], Awaitable[FolderMade]]
"""(peer, folder, directory, name): make it a collection the peer can fetch. Raises NotFound, UsageError."""


@dataclass(slots=True)
class _Guest:
    open: int = 0  # questions
    making: asyncio.Lock = field(default_factory=asyncio.Lock)  # one folder at a time becomes a collection
    rate: TokenBucket = field(default_factory=lambda: TokenBucket(RATE, BURST))
    time: TokenBucket = field(default_factory=lambda: TokenBucket(TIME_RATE, TIME_BURST))


class Answers:
    """Serves `servent.share/1`.

    Args:
        shown: who sees which folders.
        blocks: whether a content is never to be named to anybody.
        slots: whether an upload slot is free, and how many peers wait for one.
        offer_folder: makes a folder a collection.
        samples: whether the person here lets peers compare libraries.
    """

    def __init__(
        self,
        peers: Peers,
        store: Store,
        shown: Shown,
        *,
        blocks: Callable[[bytes], bool] = lambda content: False,
        slots: Callable[[], tuple[bool, int]] = lambda: (True, 0),
        offer_folder: OfferFolder | None = None,
        samples: Callable[[], bool] = lambda: True,
    ) -> None:
        self._peers, self._store, self._shown = peers, store, shown
        self._blocks, self._slots, self._samples = blocks, slots, samples
        self._offer_folder = offer_folder
        self._shelves = Shelves()
        self._guests: OrderedDict[PeerId, _Guest] = OrderedDict()
        self._open = Budget(MOST_OPEN)
        self._clock = asyncio.get_running_loop().time
        peers.serve(wire.SERVICE, self.handle, audience="everyone", streams=STREAMS)

    def close(self) -> None:
        """Answer no more."""
        self._peers.withdraw(wire.SERVICE)

    async def handle(self, session: Session, stream: Stream) -> None:
        """One question. Raises PeerError, ConnectionLost: the router ends the stream then."""
        try:
            async with asyncio.timeout(OPEN_LIMIT):
                question = await wire.read_question.read(stream)
        except TimeoutError:
            raise BadMessage("a stream that asks nothing") from None
        guest = self._guest(session.peer)
        wait = guest.time.take(0.0, self._clock())
        if not guest.rate.allow(1, self._clock()) or wait > MOST_DELAY or not self._let_in(guest):
            await write_frame(stream, BUSY)
            return
        try:
            if wait:
                await asyncio.sleep(wait)
            no: wire.Refuse | None = None
            try:
                async with asyncio.timeout(ANSWER_LIMIT), asyncio.TaskGroup() as tasks:
                    leaving = tasks.create_task(_left(stream), name=f"{session.peer.short} still listens")
                    await self._answer(session.peer, stream, question, guest)
                    leaving.cancel()
            except* NotFound:
                no = REFUSAL
            except* UsageError as wrong:
                no = wire.Refuse(str(wrong.exceptions[0])[:300])
            except* ConnectionLost:
                log.debug("%s wants no answer any more", session.peer.short)
            except* TimeoutError:
                raise BadMessage("a peer that does not take its answer") from None
            if no is not None:
                await write_frame(stream, no)
        finally:
            guest.open -= 1
            self._open.give()

    def _let_in(self, guest: _Guest) -> bool:
        if guest.open and self._open.used >= MOST_OPEN - FOR_ALL:
            return False
        if not self._open.take():
            return False
        guest.open += 1
        return True

    async def _answer(self, peer: PeerId, stream: Stream, question: wire.Question, guest: _Guest) -> None:
        shelves = self._shown(peer)
        match question:
            case wire.Search(text, limit):
                wanted = language.parse(text)
                found = await self._read(local.search(wanted, shelves, limit), guest)
                await self._tell(stream, found)
            case wire.Sample(start, limit):
                if not self._samples():
                    raise NotFound("samples are not given")
                await self._tell(stream, await self._read(local.sample(start, shelves, limit), guest))
            case wire.Browse(path, offset, limit, sort, down, filter):
                ask = Ask(offset, limit, sort, down, filter)
                page = await self._read(lambda db: self._shelves.page(db, shelves, path, ask), guest)
                for rows, last in _batches(page.rows):
                    await write_frame(
                        stream,
                        wire.Listing(rows, last, page.total, page.files, page.size, page.partial),
                    )
            case wire.Resolve(path):
                place = await self._read(lambda db: self._shelves.find(db, shelves, path), guest)
                if self._offer_folder is None or place.dir is None:
                    raise NotFound("there is nothing in it")
                async with guest.making:
                    made = await self._offer_folder(peer, place.folder, place.dir, place.name)
                guest.time.take(FILE_TIME * made.files, self._clock())
                await write_frame(
                    stream, wire.Folder(made.infohash, made.name, made.size_bytes, made.files, made.left_out)
                )

    async def _read(self, job: Callable[[Any], T], guest: _Guest) -> T:
        """Run a job of the library's reader on the guest's account."""

        def timed(db: Any) -> tuple[T, float]:
            begun = time.thread_time()
            return job(db), time.thread_time() - begun

        result, took = await self._store.read(timed)
        guest.time.take(took, self._clock())
        return result

    async def _tell(self, stream: Stream, finds: local.Finds) -> None:
        free, queue = self._slots()
        more, told = finds.more, 0
        hits = (_hit(one) for one in finds.found if not self._blocks(one.content))
        for batch, last in _batches(one for one in hits if one is not None):
            if batch:
                await write_frame(stream, wire.Hits(batch, free, min(queue, 1 << 20)))
            told += sum(len(one.path) for one in batch) + 100 * len(batch)
            if told > ANSWER_BYTES and not last:
                more = True
                break
        await write_frame(stream, wire.Done(more))

    def _guest(self, peer: PeerId) -> _Guest:
        guest = self._guests.get(peer)
        if guest is None:
            guest = self._guests[peer] = _Guest()
            if len(self._guests) > MOST_GUESTS:
                self._guests.popitem(last=False)
        self._guests.move_to_end(peer)
        return guest


async def _left(stream: Stream) -> None:
    """Ends the answer when the asker gives up; an asker that has merely finished asking is still there."""
    if await stream.read(1):
        raise BadMessage("more than one question on a stream")


def _hit(one: Found) -> wire.Hit | None:
    """None for what no message can carry: a name that is no Unicode, an endless path."""
    if len(one.path) > wire.MOST_PATH or not _encodes(one.path):
        return None
    tags = {
        name[:32]: value[:300] if isinstance(value, str) else value
        for name, value in one.tags.items()
        if name and (not isinstance(value, int) or abs(value) <= 2**53)
    }
    return wire.Hit(one.content, one.size, one.path, one.kind, one.modified, tags)


def _encodes(text: str) -> bool:
    return (
        text.isascii() or max(text) < "\ud800" or not any("\ud800" <= letter <= "\udfff" for letter in text)
    )


def _batches(rows: Iterable[T]) -> Iterator[tuple[list[T], bool]]:
    """Frames' worth of rows, the last one marked. At least one, which may be empty."""
    batch: list[T] = []
    size = 0
    for row in rows:
        length = len(msgspec.msgpack.encode(row))
        if batch and (len(batch) >= wire.MOST_BATCH or size + length > wire.BATCH_BYTES):
            yield batch, False
            batch, size = [], 0
        batch.append(row)
        size += length
    yield batch, True
