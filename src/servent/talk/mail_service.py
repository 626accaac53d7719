"""Bodies from person to person: stored here before anything else, delivered when both are there, once and in order.

For each peer to whom there is something to say, one lane: a task with one stream of `wire.SERVICE`. It ends when nothing is left.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec

from servent.codec import write_frame
from servent.errors import BadMessage, ConnectionLost, PeerError, Refused, UsageError, WorldError
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.store import Store
from servent.talk import outbox, wire
from servent.talk.outbox import Waiting
from servent.tasks import begin

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

MOST_BODIES = 1000  # waiting for one peer
MOST_BYTES = 4 * 1024 * 1024
BATCH = 32  # bodies under way at once
ANSWER = 30.0  # s that a peer may take to write a body to its disk
LISTEN = 120.0  # s that a peer may keep a stream of ours open and say nothing
STAY = 5.0  # s that a lane stays open after a message, for the next one
RETRY, LONGEST_RETRY = 1.0, 60.0  # s after a lane broke while the peer is there
RATE, BURST = 20.0, 200.0  # bodies per second of a friend; more wait on the wire
STRANGER_RATE, STRANGER_BURST = 0.5, 10.0
STANDS_RATE, STANDS_BURST = 0.5, 30.0  # words on friendship per second; every lane begins with one
PRESS = (
    4.0  # s between two tries to reach somebody for whom something was written lately; a dial takes as long
)
PRESSED = 8  # of them at most, those written to last
LATELY = 3600.0  # s
PRESS_LATER = 60.0  # s, when it was written longer ago
MOST_BUCKETS = 4096
HOLD = "talk"


class Words(Protocol):
    """What is said beside bodies: who is a friend, and how we are."""

    def stand(self, peer: PeerId) -> bool:
        """Whether it is to hear our word on friendship now."""
        ...

    def word(self, peer: PeerId) -> wire.Stand:
        """Our word."""
        ...

    async def stood(self, session: Session, stand: wire.Stand) -> None:
        """It has our word."""
        ...

    def here(self, peer: PeerId) -> wire.Here | None:
        """How we are, for friends on both sides."""
        ...

    async def heard_stand(self, session: Session, stand: wire.Stand) -> None: ...
    def heard_here(self, session: Session, here: wire.Here) -> None: ...
    def trusted(self, peer: PeerId) -> bool:
        """Whether it is a friend on our side."""
        ...


class Bodies(Protocol):
    """What bodies are for."""

    async def store(self, session: Session, say: wire.Say) -> str | None:
        """Take a body in, in the transaction that takes its number (`outbox.came`, `outbox.decline`).

        Why not, in words for its author; None when it was taken.
        """
        ...

    async def settled(self, peer: PeerId, say: wire.Say, why: str | None) -> None:
        """A body of ours is stored there, or declined with `why`: it leaves the outbox (`outbox.done`)."""
        ...


@dataclass(slots=True)
class _Lane:
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    stand: bool = True  # to be said again
    here: wire.Here | None = None  # what it was told


class Mail:
    """Owns outboxes and inboxes. `open` it when its store is open, `run` it in a task."""

    def __init__(
        self, peers: Peers, store: Store, words: Words, bodies: Bodies, wall: Callable[[], float]
    ) -> None:
        self._peers, self._store, self._words, self._bodies, self._wall = peers, store, words, bodies, wall
        self._clock = asyncio.get_running_loop().time
        self._waiting: dict[PeerId, Waiting] = {}
        self._posted: dict[PeerId, float] = {}  # when something was written to them last, or we began
        self._lanes: dict[PeerId, _Lane] = {}
        self._told: dict[
            PeerId, tuple[Session, wire.Here]
        ] = {}  # how we are, as friends know it by this session
        self._more = asyncio.Event()  # something waits
        self._buckets: dict[tuple[PeerId, str], TokenBucket] = {}
        self._tasks: asyncio.TaskGroup | None = None
        store.migrate(outbox.ROOM, outbox.STEPS)

    async def open(self) -> None:
        found = await self._store.read(outbox.waiting)
        self._waiting = {PeerId(peer): waiting for peer, waiting in found.items()}
        self._peers.serve(wire.SERVICE, self._serve, audience="network", streams=3)
        self._peers.on_session(self._session)
        self._peers.on_judged(lambda session: self.wake(session.peer))

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for peer in self._waiting:
                    self._posted[peer] = self._clock()
                    self._peers.hold(peer, True, by=HOLD)
                for session in self._peers.sessions():
                    self._session(session, True)
                await self._press()
        finally:
            self._tasks = None

    def close(self) -> None:
        """Take nothing more."""
        self._peers.withdraw(wire.SERVICE)

    # -- what is to be said

    def waiting(self, peer: PeerId) -> Waiting:
        return self._waiting.get(peer) or Waiting(0, 0)

    async def post(
        self,
        peer: PeerId,
        body: wire.Body,
        write: Callable[[sqlite3.Connection, bytes, float], bool] = lambda db, id, sent: True,
    ) -> bytes:
        """Store `body` for `peer`, and deliver it as soon as it can be. Its message id.

        Args:
            write: what else belongs into the same transaction; False: all this was there before, post nothing.

        Raises:
            UsageError: too much waits for this peer.
            WorldError: the disk takes nothing.
        """
        now = self._wall()
        me, fresh, whom = bytes(self._peers.peer), secrets.token_bytes(16), bytes(peer)

        def job(db: sqlite3.Connection) -> tuple[bytes, Waiting]:
            before = outbox.waiting_for(db, whom)
            chain, seq = outbox.number(db, whom, fresh)
            id = wire.message_id(me, chain, seq)
            if not write(db, id, now):
                outbox.unnumber(db, whom)
                return id, before
            if before.bodies >= MOST_BODIES or before.size_bytes >= MOST_BYTES:
                raise UsageError(
                    f"{before.bodies} messages wait for {peer.short} already",
                    advice="They are delivered when both nodes are online at the same time.",
                )
            outbox.put(db, whom, seq, now, body)
            return id, outbox.waiting_for(db, whom)

        id, self._waiting[peer] = await self._store.write(job)
        self._posted.pop(peer, None)
        self._posted[peer] = self._clock()
        self._more.set()
        self._hold(peer)
        self.wake(peer)
        return id

    def awaited(self) -> list[PeerId]:
        """For whom something waits."""
        return list(self._waiting)

    def dropped(self, peer: PeerId) -> None:
        """Nothing waits for `peer` any more: somebody took it out of the outbox."""
        self._waiting.pop(peer, None)
        self._hold(peer)

    def stand_again(self, peer: PeerId) -> None:
        """Our word on friendship changed."""
        if (lane := self._lanes.get(peer)) is not None:
            lane.stand = True
        self.wake(peer)

    def wake(self, peer: PeerId) -> None:
        """There may be something to say to `peer`."""
        if (lane := self._lanes.get(peer)) is not None:
            lane.wake.set()
            return
        session = self._peers.session(peer)
        if session is None or self._tasks is None or not self._something(peer):
            return
        lane = self._lanes[peer] = _Lane()
        work = self._run_lane(peer, lane)
        if begin(self._tasks, work, f"talk to {peer.short}") is None:
            self._lanes.pop(peer, None)

    def _something(self, peer: PeerId) -> bool:
        if self._waiting.get(peer, Waiting(0, 0)).bodies or self._words.stand(peer):
            return True
        return self._news(peer) is not None

    def _news(self, peer: PeerId) -> wire.Here | None:
        """How we are, unless it knows."""
        here, session = self._words.here(peer), self._peers.session(peer)
        told = self._told.get(peer)
        known = told[1] if told is not None and told[0] is session else wire.Here("offline")
        return None if here is None or here == known else here

    def _hold(self, peer: PeerId) -> None:
        waits = self._waiting.get(peer)
        if waits is not None and not waits.bodies:
            del self._waiting[peer]
        if peer not in self._waiting:
            self._posted.pop(peer, None)
        self._peers.hold(peer, peer in self._waiting, by=HOLD)

    async def _press(self) -> None:
        """Who is not there is tried more often while something waits for it: it may be back, and unable to reach us."""
        while True:
            if not self._posted:
                self._more.clear()
                await self._more.wait()
            now = self._clock()
            for number, (peer, at) in enumerate(reversed(self._posted.items())):
                often = number < PRESSED and now < at + LATELY
                if self._peers.session(peer) is None:
                    self._peers.hold(peer, True, by=HOLD, within=PRESS if often else PRESS_LATER)
            await asyncio.sleep(PRESS)

    def _session(self, session: Session, up: bool) -> None:
        peer = session.peer
        if up:
            self._told.pop(peer, None)
            self.stand_again(peer)
        elif self._peers.session(peer) is None:
            self._told.pop(peer, None)
            if (lane := self._lanes.get(peer)) is not None:
                lane.wake.set()

    # -- saying it

    async def _run_lane(self, peer: PeerId, lane: _Lane) -> None:
        wait = RETRY
        try:
            while (session := self._peers.session(peer)) is not None and self._something(peer):
                try:
                    await self._talk(session, lane)
                    wait = RETRY
                    continue
                except Refused as no:
                    log.debug("%s takes no messages from here: %s", peer.short, no)
                    wait = LONGEST_RETRY
                except (PeerError, WorldError, TimeoutError) as broken:
                    log.debug("a lane to %s broke: %s", peer.short, broken)
                lane.wake.clear()
                lane.stand = True
                try:
                    async with asyncio.timeout(wait):
                        while self._peers.session(peer) is session:
                            await lane.wake.wait()
                            lane.wake.clear()
                            if wait < LONGEST_RETRY:
                                break
                except TimeoutError:
                    pass
                wait = min(2 * wait, LONGEST_RETRY)
        finally:
            if self._lanes.get(peer) is lane:
                del self._lanes[peer]
            if self._peers.session(peer) is not None and self._something(peer):
                self.wake(peer)  # it came while we left

    async def _talk(self, session: Session, lane: _Lane) -> None:
        peer = session.peer
        stream = await session.open(wire.SERVICE)
        try:
            lane.stand = True
            last, stay = 0, 0.0
            while True:
                lane.wake.clear()
                if lane.stand:
                    lane.stand = False
                    await self._say_stand(stream, session)
                if (here := self._news(peer)) is not None:
                    self._told[peer] = session, here
                    await write_frame(stream, here)
                elif self._words.here(peer) is None:
                    self._told.pop(peer, None)
                if self._waiting.get(peer) is not None:
                    last = await self._say_some(stream, peer, last)
                    if last:
                        stay = STAY
                        continue
                try:
                    async with asyncio.timeout(stay):
                        await lane.wake.wait()
                except TimeoutError:
                    break
                if self._peers.session(peer) is not session:
                    raise ConnectionLost("there is another session")
            await stream.finish()
        except BaseException:
            await stream.reset(0)
            raise

    async def _say_stand(self, stream: Stream, session: Session) -> None:
        stand = self._words.word(session.peer)
        await write_frame(stream, stand)
        answer = await self._answer(stream)
        if not isinstance(answer, wire.Stood):
            raise BadMessage("an answer that belongs to something else")
        await self._words.stood(session, stand)

    async def _say_some(self, stream: Stream, peer: PeerId, last: int) -> int:
        """The next bodies, and what becomes of them. The number of the last, 0 when none is left."""
        some = await self._store.read(lambda db: outbox.load(db, bytes(peer), last, BATCH))
        if not some:
            self._waiting[peer] = await self._store.read(lambda db: outbox.waiting_for(db, bytes(peer)))
            self._hold(peer)
            return 0
        for say in some:
            await write_frame(stream, say)
        for say in some:
            answer = await self._answer(stream)
            if isinstance(answer, wire.Stood) or (answer.chain, answer.seq) != (say.chain, say.seq):
                raise BadMessage("an answer that belongs to something else")
            why = answer.reason or "not taken" if isinstance(answer, wire.Declined) else None
            await self._bodies.settled(peer, say, why)
        return some[-1].seq

    async def _answer(self, stream: Stream) -> wire.Stood | wire.Stored | wire.Declined:
        async with asyncio.timeout(ANSWER):
            return await wire.read_answer.read(stream)

    # -- listening

    async def _serve(self, session: Session, stream: Stream) -> None:
        peer = session.peer
        first = True
        while True:
            try:
                async with asyncio.timeout(LISTEN):
                    told = await wire.read_told.read(stream)
            except TimeoutError:
                raise BadMessage("a lane on which nothing is said") from None
            except ConnectionLost:
                return
            if first and not isinstance(told, wire.Stand):
                raise BadMessage("a lane begins with where its opener stands")
            first = False
            match told:
                case wire.Stand():
                    await self._patience(peer, "stand", STANDS_RATE, STANDS_BURST)
                    await self._words.heard_stand(session, told)
                    await write_frame(stream, wire.Stood())
                case wire.Here():
                    await self._patience(peer, "here", STANDS_RATE, STANDS_BURST)
                    self._words.heard_here(session, told)
                case wire.Say():
                    await self._take(session, stream, told)

    async def _take(self, session: Session, stream: Stream, say: wire.Say) -> None:
        peer = session.peer
        if self._words.trusted(peer):
            await self._patience(peer, "say", RATE, BURST)
        else:
            await self._patience(peer, "strange", STRANGER_RATE, STRANGER_BURST)
        known, why = await self._store.read(lambda db: outbox.known(db, bytes(peer), say.chain, say.seq))
        if not known:
            why = await self._bodies.store(session, say)
        answer: msgspec.Struct = wire.Stored(say.chain, say.seq)
        if why is not None:
            answer = wire.Declined(say.chain, say.seq, why[:200])
        await write_frame(stream, answer)

    async def _patience(self, peer: PeerId, what: str, rate: float, burst: float) -> None:
        """Whoever says more than its share waits; nothing of it is kept meanwhile but one frame."""
        bucket = self._buckets.get((peer, what))
        if bucket is None:
            while len(self._buckets) >= MOST_BUCKETS:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[peer, what] = TokenBucket(rate, burst)
        wait = bucket.take(1, self._clock())
        if wait > 0:
            await asyncio.sleep(wait)
