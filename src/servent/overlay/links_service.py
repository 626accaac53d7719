"""The service `servent.overlay/1`: messages to and from connected peers, on two lanes each way.

A lane is a stream that is opened when there is something to say and finished when nothing was said for a while, so
that an idle connection stays idle. An open lane does not make a session busy, a question on it does for a moment.
Whoever reads too slowly loses gossip first, then the lane.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from msgspec import Raw

from servent.codec import encode, frame
from servent.errors import BadMessage, ConnectionLost, Refused, ServentError
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.session import Session, first
from servent.overlay import wire

log = logging.getLogger(__name__)

LARGE = 8 * 1024  # bytes of what is bulk on whatever lane it comes
CROWDED_WAIT = 0.1  # s between two bulk messages of a peer while what is to be kept waits already
END_WAIT = 5.0  # s for the other side to end a lane that we have finished

LaneName = Literal["now", "bulk"]
GOSSIP: tuple[type, ...] = (
    wire.Gossip,
    wire.Have,
    wire.Graft,
    wire.Prune,
    wire.Walk,
    wire.Shuffle,
    wire.Shuffled,
    wire.Ranges,
    wire.Fresh,
)
AWAITED: tuple[type, ...] = (wire.Question, wire.AskProof, wire.AskPeer, wire.Publish)
# Somebody waits for what answers these; all else has time, and its own limits (`answer`, `probe_wait`, `attach_wait`).


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Limits of one peer; seconds, messages, bytes.

    Attributes:
        gossip: messages waiting on a lane from which on gossip is dropped.
        waiting, waiting_bulk: messages waiting, beyond which the lane is given up.
        bytes: waiting on a lane, beyond which it is given up.
        connect: for a connection and the stream.
        idle: a lane is finished after so long without a message.
        rate, burst: messages a second that are read from one peer; more wait in its own buffers.
        bytes_rate, bytes_burst: the same in bytes.
        grace: a peer that talks of a network it has not proved yet is given this long to prove it.
    """

    gossip: int = 64
    waiting: int = 512
    waiting_bulk: int = 8192
    bytes: int = 16 << 20
    connect: float = 6.0
    idle: float = 5.0
    rate: float = 200.0
    burst: float = 1000.0
    bytes_rate: float = 4e6
    bytes_burst: float = 16e6
    grace: float = 1.5


class House(Protocol):
    """What links ask of those around them."""

    def take(self, session: Session, network: bytes, message: wire.Message) -> None:
        """A message of a peer that proved to be in `network`."""
        ...

    def undelivered(self, peer: PeerId, networks: frozenset[bytes]) -> None:
        """What was to be sent to `peer` in these networks did not get there."""
        ...

    def crowded(self) -> bool:
        """Whether what is to be kept waits already: bulk is read no faster than it is written."""
        ...

    def ours(self, network: bytes) -> bool:
        """Whether we are in `network` ourselves."""
        ...

    def introduce(self, peer: PeerId, network: bytes) -> None:
        """`peer` is about to be dialed: put into the address book what is known of it."""
        ...


@dataclass(slots=True)
class _Waiting:
    network: bytes
    body: bytes
    gossip: bool
    awaited: bool


@dataclass(slots=True, eq=False)
class _Lane:
    """One direction of one lane to one peer. Lives while its task does."""

    waiting: deque[_Waiting] = field(default_factory=deque)
    size: int = 0
    gossip: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    said: set[bytes] = field(default_factory=set)  # networks that were written of on this stream


@dataclass(slots=True)
class _Reading:
    """What one peer may say; shared by its streams."""

    messages: TokenBucket
    bytes: TokenBucket


class Links:
    """Carries messages. Register it before `Peers.run`; it runs on the tasks that `spawn` starts."""

    def __init__(
        self,
        peers: Peers,
        house: House,
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        settings: LinkSettings | None = None,
    ) -> None:
        self._peers, self._house, self._spawn = peers, house, spawn
        self._settings = settings or LinkSettings()
        self._lanes: dict[tuple[PeerId, LaneName], _Lane] = {}
        self._reading: dict[PeerId, _Reading] = {}
        self._proven: dict[tuple[PeerId, bytes], None] = {}  # who has spoken in which network
        self.sent = self.received = self.dropped = 0
        peers.serve(wire.SERVICE, self._serve, audience="network", streams=8, standing=True)

    def close(self) -> None:
        self._peers.withdraw(wire.SERVICE)

    async def drained(self, limit: float) -> None:
        """Returns when everything has left, or after `limit` seconds."""
        try:
            async with asyncio.timeout(limit):
                for lane in list(self._lanes.values()):
                    if lane.waiting:
                        lane.empty.clear()
                        await lane.empty.wait()
        except TimeoutError:
            log.debug("not everything was said in %.1f s", limit)

    def waiting(self, peer: PeerId) -> int:
        """Messages that have not left yet."""
        return sum(len(lane.waiting) for (who, _), lane in self._lanes.items() if who == peer)

    # -- out

    def send(self, network: bytes, to: PeerId, message: wire.Message, name: LaneName) -> None:
        """Queue `message`. Never waits; what fails is told by `House.undelivered`."""
        settings = self._settings
        lane = self._lanes.get((to, name))
        if lane is None:
            lane = self._lanes[to, name] = _Lane()
            if self._peers.session(to) is None:
                self._house.introduce(to, network)
            self._spawn(self._run(to, name, lane), f"{name} lane to {to.short}")
        body = encode(wire.Envelope(network, Raw(encode(message))))
        one = _Waiting(network, body, isinstance(message, GOSSIP), isinstance(message, AWAITED))
        if one.gossip and lane.gossip >= settings.gossip:
            self._drop_gossip(lane)
        most = settings.waiting if name == "now" else settings.waiting_bulk
        if len(lane.waiting) >= most or lane.size + len(body) > settings.bytes:
            self.dropped += 1
            asyncio.get_running_loop().call_soon(self._house.undelivered, to, frozenset((network,)))
            return
        lane.waiting.append(one)
        lane.size += len(body)
        lane.gossip += one.gossip
        self.sent += 1
        lane.news.set()

    def _drop_gossip(self, lane: _Lane) -> None:
        """The oldest goes: what is newest is of most use."""
        for place, one in enumerate(lane.waiting):
            if one.gossip:
                del lane.waiting[place]
                lane.size -= len(one.body)
                lane.gossip -= 1
                self.dropped += 1
                return

    async def _run(self, to: PeerId, name: LaneName, lane: _Lane) -> None:
        """Open the lane, write what comes, finish it when nothing does; again if more came meanwhile."""
        trouble: ServentError | None = None
        try:
            while lane.waiting and trouble is None:
                lane.said.clear()
                trouble = await self._talk(to, name, lane)
        finally:
            lane.empty.set()
            if self._lanes.get((to, name)) is lane:
                del self._lanes[to, name]
            if trouble is not None:
                log.debug("%s lane to %s: %s", name, to.short, trouble)
                lost = frozenset(one.network for one in lane.waiting)
                if isinstance(trouble, Refused):
                    lost |= lane.said
                if lost:
                    self._house.undelivered(to, lost)

    async def _talk(self, to: PeerId, name: LaneName, lane: _Lane) -> ServentError | None:
        """One stream from its opening to its end. Returns what broke it."""
        try:
            stream = await self._peers.open(
                to, wire.SERVICE, self._settings.connect, look=False, standing=True
            )
        except ServentError as error:
            return error
        session = self._peers.session(to)
        trouble: ServentError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(_read_to_end(stream), name=f"end of a lane to {to.short}")
                await stream.write(frame(wire.Lane(name)))
                await self._write(stream, lane, session)
                await stream.finish()
                async with asyncio.timeout(END_WAIT):
                    await asyncio.wait([reading])
        except* ServentError as group:
            wrong = first(group)
            trouble = wrong if isinstance(wrong, ServentError) else None
        except* TimeoutError:
            log.debug("%s does not end a lane", to.short)
        if trouble is not None:
            await stream.reset()
        return trouble

    async def _write(self, stream: Stream, lane: _Lane, session: Session | None) -> None:
        """Until nothing was said for a while, or a newer connection took over."""
        while True:
            while lane.waiting:
                if session is None or session.replaced:
                    return
                batch, size = [], 0
                for one in lane.waiting:
                    batch.append(one)
                    size += len(one.body)
                    if size >= 32 * 1024:
                        break
                if any(one.awaited for one in batch):
                    session.expects()
                await stream.write(b"".join(len(one.body).to_bytes(4, "big") + one.body for one in batch))
                for one in batch:  # only now: what is not written is told as undelivered
                    lane.said.add(one.network)
                    if lane.waiting and lane.waiting[0] is one:
                        lane.waiting.popleft()
                        lane.size -= len(one.body)
                        lane.gossip -= one.gossip
            lane.empty.set()
            lane.news.clear()
            try:
                async with asyncio.timeout(self._settings.idle):
                    await lane.news.wait()
            except TimeoutError:
                return

    # -- in

    async def _serve(self, session: Session, stream: Stream) -> None:
        opener = await wire.read_lane.read(stream)
        log.debug("%s lane of %s", opener.lane, session.peer.short)
        bucket = self._bucket(session.peer)
        loop = asyncio.get_running_loop()
        while True:
            try:
                header = await stream.read_exactly(4)
            except ConnectionLost:
                return
            size = int.from_bytes(header, "big")
            if size > wire.FRAME_BYTES:
                raise self._wrong(session, f"sends a message of {size} bytes", 2.0)
            body = await stream.read_exactly(size)
            if (opener.lane == "bulk" or size > LARGE) and self._house.crowded():
                await asyncio.sleep(CROWDED_WAIT)
            now = loop.time()
            wait = max(bucket.messages.take(1.0, now), bucket.bytes.take(float(size), now))
            if wait > 0:
                await asyncio.sleep(wait)
            await self._take(session, body)

    async def _take(self, session: Session, body: bytes) -> None:
        try:
            envelope = wire.read_envelope.decode(body)
            message = wire.messages.decode(bytes(envelope.body))
        except BadMessage as wrong:
            raise self._wrong(session, f"sends nonsense: {wrong}", 2.0) from wrong
        network = envelope.network
        if not self._house.ours(network):  # we may have left it just now
            self._peers.fault(session.peer, "talks of a network we are not in", 0.05)
            return
        if network in session.verdict.networks:
            self._note_proven(session.peer, network)
        elif (session.peer, network) in self._proven:  # it left the network, and this was said before
            return
        elif not await self._proves(session, network):
            self._peers.fault(session.peer, "talks of a network it is not in", 1.0)
            return
        self.received += 1
        self._house.take(session, network, message)

    def _note_proven(self, peer: PeerId, network: bytes) -> None:
        if (peer, network) not in self._proven:
            if len(self._proven) >= 4096:
                del self._proven[next(iter(self._proven))]
            self._proven[peer, network] = None

    async def _proves(self, session: Session, network: bytes) -> bool:
        """The proof may be on its way on another stream."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settings.grace
        while loop.time() < until and session.connected:
            await asyncio.sleep(0.1)
            if network in session.verdict.networks:
                return True
        return False

    def _wrong(self, session: Session, what: str, weight: float) -> BadMessage:
        self._peers.fault(session.peer, what, weight)
        return BadMessage(what)

    def _bucket(self, peer: PeerId) -> _Reading:
        known = self._reading.get(peer)
        if known is None:
            if len(self._reading) >= 2048:
                del self._reading[next(iter(self._reading))]
            settings = self._settings
            known = self._reading[peer] = _Reading(
                TokenBucket(settings.rate, settings.burst),
                TokenBucket(settings.bytes_rate, settings.bytes_burst),
            )
        return known


async def _read_to_end(stream: Stream) -> None:
    """Nothing comes on a lane but its end, or the word that it is not granted."""
    while await stream.read(1024):
        pass
