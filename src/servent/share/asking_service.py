"""Questions to one peer over a stream, and what may be believed of the answers. Whatever they send is held to limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from servent.codec import write_frame
from servent.errors import BadMessage, NotFound, Refused
from servent.identity import PeerId
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.query.language import Query
from servent.share import wire
from servent.share.folding import Found
from servent.share.shelves import Ask, Page

OPEN_LIMIT = 10.0  # s to connect and be let in
FRAME_LIMIT = 20.0  # s between two frames of an answer
LONGEST_RETRY = 5.0  # s until we ask again, whatever they say
PATIENCE = 15.0  # s that one page may be asked for again and again
PAGE_LIMIT = 60.0  # s for a whole listing, however it trickles
MOST_FRAMES = 2048  # of one answer; honest ones hold many rows
MOST_TOTAL = 10**9  # rows that a listing may claim to have, as many as can be asked for


@asynccontextmanager
async def asked(peers: Peers, peer: PeerId, question: wire.Question) -> AsyncIterator[Stream]:
    """A stream on which `question` was asked. Leaving it early ends the peer's work on it.

    Raises:
        Refused, Unreachable, ConnectionLost: nobody there, or they do not offer it.
    """
    stream = await peers.open(peer, wire.SERVICE, OPEN_LIMIT)
    try:
        await write_frame(stream, question)
        yield stream
    finally:
        await stream.reset()


class Busy(Refused):
    """They answer later: we asked for much lately, or they have much to do. `wait`: seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__("they are busy with what we asked before", advice="Ask again in a moment.")
        self.wait = wait


async def answer(stream: Stream) -> wire.Answer:
    """The next frame. Raises Refused, BadMessage, ConnectionLost, TimeoutError."""
    async with asyncio.timeout(FRAME_LIMIT):
        frame = await wire.read_answer.read(stream)
    if isinstance(frame, wire.Refuse):
        if frame.retry_after is not None:
            raise Busy(min(frame.retry_after, LONGEST_RETRY))
        raise Refused(frame.reason or "refused", advice="They may not share it with you, or not any more.")
    return frame


async def finds(
    peers: Peers,
    peer: PeerId,
    question: wire.Search | wire.Sample,
    query: Query | None,
    take: Callable[[list[Found], bool, int], None],
) -> bool:
    """Ask for finds; `take(found, free, queue)` gets those that keep what they promise, as they come.

    Finds that `query` does not ask for are passed over; more of them than asked for end the answer.

    Returns:
        Whether they have more.
    """
    left = question.limit
    async with asked(peers, peer, question) as stream:
        for _ in range(MOST_FRAMES):
            frame = await answer(stream)
            if isinstance(frame, wire.Done):
                return frame.more
            if not isinstance(frame, wire.Hits) or not frame.hits:
                raise BadMessage("an answer that is none")
            left -= len(frame.hits)
            good = [one for hit in frame.hits if (one := _found(hit, query)) is not None]
            take(good, frame.free, frame.queue)
            if left < 0:
                raise BadMessage("more hits than were asked for")
    raise BadMessage("an answer without end")


async def page(peers: Peers, peer: PeerId, path: str, ask: Ask) -> Page:
    """Rows of a folder of theirs. Who scrolls faster than they answer waits.

    Raises:
        NotFound: it is not there for us. Busy: they have not answered within `PATIENCE`. And what `answer` raises.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    while True:
        try:
            return await _page(peers, peer, path, ask)
        except Busy as busy:
            if clock() - began + busy.wait > PATIENCE:
                raise
            await asyncio.sleep(busy.wait)


async def _page(peers: Peers, peer: PeerId, path: str, ask: Ask) -> Page:
    question = wire.Browse(path, ask.offset, ask.limit, ask.sort, ask.down, ask.filter)
    rows: list[wire.Row] = []
    async with asyncio.timeout(OPEN_LIMIT + PAGE_LIMIT), asked(peers, peer, question) as stream:
        for _ in range(MOST_FRAMES):
            try:
                frame = await answer(stream)
            except Busy:
                raise
            except Refused as no:
                raise NotFound(f"there is no such folder for us there ({no})", advice=no.advice) from no
            if not isinstance(frame, wire.Listing) or not (frame.rows or frame.last):
                raise BadMessage("a listing that is none")
            rows += [row for row in frame.rows if _is_name(row.name) and len(row.content) in (0, 32)]
            if len(rows) > ask.limit:
                raise BadMessage("more rows than were asked for")
            if frame.last:
                return Page(rows, min(frame.total, MOST_TOTAL), frame.files, frame.size, frame.partial)
    raise BadMessage("a listing without end")


async def folder(peers: Peers, peer: PeerId, path: str) -> wire.Folder:
    """Have a folder of theirs made a collection. Raises NotFound, and what `answer` raises."""
    async with asked(peers, peer, wire.Resolve(path)) as stream:
        try:
            frame = await answer(stream)
        except Busy:
            raise
        except Refused as no:
            raise NotFound(f"there is no such folder for us there ({no})", advice=no.advice) from no
    if not isinstance(frame, wire.Folder):
        raise BadMessage("an answer that is no folder")
    return frame


def _found(hit: wire.Hit, query: Query | None) -> Found | None:
    """None for what was not asked for, or is no file of a shared folder."""
    above, slash, name = hit.path.rpartition("/")
    if not slash or not above or not _is_name(name):
        return None
    score = 0.0 if query is None else query.relevance(name, hit.kind, hit.size, above, hit.tags)
    if score is None:
        return None
    return Found(hit.content, hit.size, hit.path, hit.kind, hit.modified, hit.tags, score)


def _is_name(name: str) -> bool:
    return bool(name) and len(name) <= wire.MOST_NAME and "/" not in name and "\0" not in name
