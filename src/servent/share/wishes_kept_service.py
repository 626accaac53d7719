"""Wishes of others: queries that peers leave with us, asked of our index whenever it grows."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from servent.codec import frame, write_frame
from servent.errors import BadMessage, ConnectionLost, UsageError
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.query import language
from servent.query.language import Query
from servent.share import local, wire
from servent.share import wishes_wire as wishes
from servent.share.answering_service import Shown
from servent.share.folding import Found
from servent.store import Store

log = logging.getLogger(__name__)

MOST_ALL = 2000  # queries of all peers together
MOST_TOLD = 2000  # contents one query remembers to have told
ASK_RATE, ASK_BURST = 1.0, 120.0  # messages per second of one peer
SHARE = 0.1  # of the time, at most, that we look for others
BATCH_BYTES = 32 * 1024  # of paths and tags in one frame
WRITE_LIMIT = 30.0  # s for a peer to take what we tell


@dataclass(eq=False, slots=True)
class _Kept:
    peer: PeerId
    id: int
    wanted: Query
    stream: Stream
    writing: asyncio.Lock
    told: dict[bytes, None] = field(default_factory=dict)


class KeptWishes:
    """Serves `servent.wishes/1`. `run` it in a task; `grew` tells it that there is something new."""

    def __init__(self, peers: Peers, store: Store, shown: Shown, blocks: Callable[[bytes], bool]) -> None:
        self._peers, self._store, self._shown, self._blocks = peers, store, shown, blocks
        self._kept: dict[tuple[PeerId, int], _Kept] = {}
        self._due: dict[tuple[PeerId, int], None] = {}
        self._nudge = asyncio.Event()
        self._telling: set[PeerId] = set()  # who is being told; their other wishes wait, and nobody else's
        self._later: dict[PeerId, dict[tuple[PeerId, int], None]] = {}

    def open(self) -> None:
        """Take wishes from friends and members of our networks."""
        self._peers.serve(wishes.SERVICE, self._handle, audience="network", streams=2, standing=True)

    def close(self) -> None:
        """Take no more."""
        self._peers.withdraw(wishes.SERVICE)

    def grew(self) -> None:
        """The index has something new: every wish is asked again."""
        self._due.update(dict.fromkeys(self._kept))
        self._nudge.set()

    async def run(self) -> None:
        """Ask the index one wish after the other, never more than a tenth of the time. Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                if not self._due:
                    self._nudge.clear()
                    await self._nudge.wait()
                    continue
                key = next(iter(self._due))
                del self._due[key]
                kept = self._kept.get(key)
                if kept is None:
                    continue
                if kept.peer in self._telling:
                    self._later.setdefault(kept.peer, {})[key] = None
                    continue
                began = time.perf_counter()
                found = await self._look(kept)
                await asyncio.sleep((time.perf_counter() - began) * (1 / SHARE - 1))
                if found:
                    self._telling.add(kept.peer)
                    tasks.create_task(self._tell(kept, found), name=f"wishes of {kept.peer.short}")

    async def _look(self, kept: _Kept) -> list[Found]:
        shelves = self._shown(kept.peer)
        if not shelves:
            return []
        finds = await self._store.read(local.search(kept.wanted, shelves, wire.MOST_HITS))
        new = [one for one in finds.found if one.content not in kept.told and not self._blocks(one.content)]
        for one in new:
            kept.told[one.content] = None
            if len(kept.told) > MOST_TOLD:
                del kept.told[next(iter(kept.told))]
        return new

    async def _tell(self, kept: _Kept, found: list[Found]) -> None:
        batch: list[wire.Hit] = []
        size = 0
        try:
            async with asyncio.timeout(WRITE_LIMIT), kept.writing:
                for one in found:
                    hit = wire.Hit(one.content, one.size, one.path, one.kind, one.modified, dict(one.tags))
                    size += len(frame(hit))
                    if batch and (size > BATCH_BYTES or len(batch) == wire.MOST_BATCH):
                        await write_frame(kept.stream, wishes.Matches(kept.id, batch))
                        batch, size = [], len(frame(hit))
                    batch.append(hit)
                await write_frame(kept.stream, wishes.Matches(kept.id, batch))
        except (ConnectionLost, TimeoutError) as gone:
            log.debug("%s does not take what it wished for: %s", kept.peer.short, gone)
            await kept.stream.reset(0)
        finally:
            self._telling.discard(kept.peer)
            self._due.update(self._later.pop(kept.peer, {}))
            self._nudge.set()

    async def _handle(self, session: Session, stream: Stream) -> None:
        bucket, writing = TokenBucket(ASK_RATE, ASK_BURST), asyncio.Lock()
        mine: set[int] = set()
        clock = asyncio.get_running_loop().time
        try:
            while True:
                message = await wishes.read_ask.read(stream)
                if not bucket.allow(1, clock()):
                    raise BadMessage("too many wishes at once")
                key = session.peer, message.id
                if isinstance(message, wishes.Unwatch):
                    self._kept.pop(key, None)
                    mine.discard(message.id)
                    continue
                kept = self._keep(session.peer, message, stream, writing)
                if kept:
                    mine.add(message.id)
                async with writing:
                    await write_frame(stream, wishes.Watching(message.id, kept))
                if kept:
                    self._due[key] = None
                    self._nudge.set()
        finally:
            for id in mine:
                kept_one = self._kept.get((session.peer, id))
                if kept_one is not None and kept_one.stream is stream:
                    del self._kept[session.peer, id]

    def _keep(self, peer: PeerId, message: wishes.Watch, stream: Stream, writing: asyncio.Lock) -> bool:
        key = peer, message.id
        has = sum(1 for whom, _ in self._kept if whom == peer)
        if key not in self._kept and (has >= wishes.MOST_KEPT or len(self._kept) >= MOST_ALL):
            return False
        try:
            wanted = language.parse(message.text)
        except UsageError:
            return False
        self._kept[key] = _Kept(peer, message.id, wanted, stream, writing)
        return True
