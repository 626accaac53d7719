"""One peer a download fetches from: its control stream and its lanes, from first offer to last byte."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from itertools import count as counter
from typing import Any

from servent.blobs import wire
from servent.blobs.bodies_service import ANSWER_LIMIT, Bodies
from servent.blobs.choice import Kind, LaneChoice
from servent.blobs.lanes_bulk import BulkLane, FetchLane, candidates
from servent.blobs.lanes_intake import Mailbox
from servent.blobs.lanes_listen import own_hosts
from servent.blobs.lanes_pace import Pace
from servent.blobs.lanes_quic import QuicLane
from servent.blobs.pieces import Bits
from servent.blobs.swarming import Swarming
from servent.codec import write_frame
from servent.errors import BadMessage, ConnectionLost, PeerError, Refused, ServentError
from servent.limits import RateMeter
from servent.net.links import Stream
from servent.net.session import Session
from servent.tasks import begin

log = logging.getLogger(__name__)

QUIC_STREAMS = 4  # where there is no bulk lane; more gain little (see docs/benchmarks.md)
BULK_AGAIN = (2.0, 5.0, 15.0, 60.0)  # s until the bulk lane is dialed again after it broke or failed
STALL = 1.0  # s without a byte, with work to do, until the other lane takes over
SLOW_STALL = 5.0  # s, on a lane that is slow anyway
SLOW = 64 * 1024.0  # bytes/s
ABSENCE = 60.0  # s a peer that is gone keeps its place in the list


class Source:
    """Everything we have with one peer for one download. Made anew when the peer comes back.

    Attributes:
        state: "connecting", "offering", "queued", "active", "refused", or "gone".
        reason: a sentence while it does not send.
        retry_after: seconds after which asking again makes sense, None: only when something changes.
    """

    def __init__(
        self,
        session: Session,
        download: Swarming,
        pace: Pace,
        mail: Mailbox,
        clock: Callable[[], float],
        *,
        bulk: bool = True,
    ) -> None:
        self.session, self.peer = session, session.peer
        self._download, self._pace, self._mail, self._clock = download, pace, mail, clock
        self._bulk_wanted = bulk
        self.state, self.reason = "connecting", "asking whether they have it"
        self.position: int | None = None
        self.retry_after: float | None = None
        self.fault: PeerError | None = None
        self.meter = RateMeter()
        self.received_bytes = 0
        self.lanes: list[FetchLane] = []
        self.choice = LaneChoice()
        self._numbers = counter(1)
        self._stream: Stream | None = None
        self._writing = asyncio.Lock()
        self._bodies = Bodies()
        self._offer: asyncio.Future[wire.Offer]
        self._key: bytes | None = None
        self.have = Bits(0)
        self.in_swarm = False
        self._tasks: asyncio.TaskGroup | None = None
        self._bulk_due: float | None = None
        self._bulk_failures = 0
        self._bulk: BulkLane | None = None
        self._token_asked = False  # one token is still to come; any other is ignored
        self._current = session
        self._renewed = asyncio.Event()
        self._stir = asyncio.Event()

    # -- life

    async def run(self) -> None:
        """Talk until the peer refuses, stays away, or is caught lying (`fault`). Raises only cancellation."""
        try:
            while await self._talk_apart() and await self._reconnected():
                pass
        finally:
            log.debug("%s is no source any more: %s (%s)", self.peer.short, self.state, self.reason)
            self._leave()
            for lane in list(self.lanes):
                lane.close()
            self.state = "refused" if self.state == "refused" else "gone"
            self._download.changed()

    async def _talk_apart(self) -> bool:
        """`_talk` in a task of its own. A TaskGroup of Python 3.11 drops a cancellation when one of its children
        fails at that moment, and leaves the mark "being cancelled" on its task when a child fails while the block
        is being left: neither may reach `run`.
        """
        async with asyncio.TaskGroup() as alone:
            talk = alone.create_task(self._talk(), name=f"talk with {self.peer.short}")
        return talk.result()

    async def _talk(self) -> bool:
        """One control stream, and the QUIC lanes beside it. False: no use in trying again."""
        self._offer = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._stream = await self.session.open(wire.SERVICE)
                await self._say(wire.Want(self._download.infohash))
                tasks.create_task(self._listen(), name=f"answers of {self.peer.short}")
                tasks.create_task(self._judged(), name=f"verdict on {self.peer.short}")
                await self._begin()
        except* (ConnectionLost, TimeoutError) as lost:
            self.reason = str(_leaves(lost)[0]) or "they did not answer"
        except* Refused as refused:
            self.state, self.reason, self.retry_after = "refused", str(_leaves(refused)[0]), 20.0
        except* PeerError as wrong:
            self.fault = next(error for error in _leaves(wrong) if isinstance(error, PeerError))
            self.reason = str(self.fault)
        finally:
            self._tasks = None
            if self._stream is not None:
                stream, self._stream = self._stream, None
                await self._goodbye(stream)
                await stream.reset()
        if self.state == "refused" or self.fault is not None:
            return False
        if self._usable() is None:
            self._leave()
        return True

    async def _reconnected(self) -> bool:
        """Wait for the peer's next connection. A TCP lane that still delivers goes on meanwhile."""
        if not self.session.connected:
            self.state = "connecting"
        self._download.changed()
        began = self._clock()
        until = began + ABSENCE
        while not self._current.connected or self._current is self.session:
            if self.fault is not None:
                return False
            if self._current.connected and self._clock() > began + 1.0:
                return True  # the stream broke, not the connection
            if self._usable() is not None:
                until = self._clock() + ABSENCE
            elif self._clock() >= until:
                return False
            self._renewed.clear()
            try:
                async with asyncio.timeout(1.0):
                    await self._renewed.wait()
            except TimeoutError:
                continue
        self.session = self._current
        return True

    def lost(self) -> None:
        """A connection with the peer is over."""
        self._stir.set()

    def renew(self, session: Session) -> None:
        """The peer is connected anew."""
        self._current = session
        self._renewed.set()
        self._stir.set()

    async def _begin(self) -> None:
        async with asyncio.timeout(ANSWER_LIMIT):
            offer = await self._offer
        self.state, self.reason = "offering", "getting the list of files"
        self._download.changed()
        await self._download.learn(self)
        assert self._download.collection is not None
        pieces = self._download.collection.pieces
        if offer.complete:
            self.have = Bits.full(pieces)
        else:
            field = await self.request(wire.GetHave(), "have", lambda size: size == (pieces + 7) // 8)
            if field is None:
                raise BadMessage("a peer that does not know what it has")
            self.have = Bits.parse(field, pieces)
            if self.in_swarm:
                self._leave()
        if self.state == "offering":
            self.state, self.reason = "queued", "waiting for a place"
        await self._say(wire.Interested(True))
        self._want_bulk()

    async def _judged(self) -> None:
        """Ends the talk when the peer lied, or its connection is over: a read need not notice by itself."""
        while self.fault is None:
            if not self.session.connected:
                raise ConnectionLost(self.session.over or "the connection is lost")
            if self._current is not self.session:
                raise ConnectionLost("a newer connection took over")
            self._stir.clear()
            await self._stir.wait()
        raise self.fault

    def ban(self, fault: PeerError) -> None:
        """It lied: nothing more is asked of it or taken from it."""
        self.fault = fault
        self.in_swarm = False
        self._key = None
        for lane in list(self.lanes):
            lane.close()
        self._stir.set()
        self._renewed.set()

    def _leave(self) -> None:
        """The swarm asks this source no more, and others for what it owed."""
        if self.in_swarm:
            self.in_swarm = False
            self._download.left(self)

    async def _goodbye(self, stream: Stream) -> None:
        """Say that we want nothing more over this stream. Raises nothing."""
        if not self.session.connected:
            return
        try:
            async with asyncio.timeout(0.3):
                await write_frame(stream, wire.Bye())
                await stream.finish()
        except (ServentError, TimeoutError):
            log.debug("%s is gone already", self.peer.short)

    # -- control

    async def _say(self, message: wire.FromFetcher | wire.Want) -> None:
        if self._stream is None:
            raise ConnectionLost("no stream")
        async with self._writing:
            await write_frame(self._stream, message)

    async def request(
        self, message: wire.FromFetcher, kind: wire.Kind, fits: Callable[[int], bool]
    ) -> bytes | None:
        """Ask for a body. None: it has none. Raises BadMessage: not what was asked; ConnectionLost.

        Raises TimeoutError when no answer begins; one that trickles ends the stream. Others wait for this one.
        """
        async with asyncio.timeout(ANSWER_LIMIT):
            self._bodies.expect(kind, fits)
            await self._say(message)
            await self._bodies.begun.wait()
        return await self._bodies.get()

    async def _listen(self) -> None:
        assert self._stream is not None
        while True:
            message = await wire.read_from_server.read(self._stream)
            match message:
                case wire.Offer():
                    if not self._offer.done():
                        self._offer.set_result(message)
                case wire.Refuse(reason, retry_after):
                    self.state, self.retry_after = "refused", retry_after
                    self.reason = _plain(reason)
                    raise ConnectionLost(self.reason)
                case wire.Body() | wire.Missing():
                    await self._bodies.take(message, self._stream)
                case wire.Has(runs):
                    self._news(runs)
                case wire.Slot(key):
                    self._slot(key)
                case wire.Queued(position, length, reason):
                    self._queued(position, f"place {position} of {length}: {_plain(reason)}")
                case wire.BulkToken(token):
                    self._dial(token)
                case wire.Bye(reason):
                    self.state, self.retry_after = "refused", 20.0
                    self.reason = _plain(reason) or "they stopped sharing it"
                    raise ConnectionLost(self.reason)

    def _news(self, runs: list[tuple[int, int]]) -> None:
        for first, count in runs:
            if first + count > self.have.count:
                raise BadMessage("news of pieces that do not exist")
            self.have.set_run(first, count)
            if self.in_swarm:
                self._download.more(self, first, count)

    # -- lanes

    def _slot(self, key: bytes) -> None:
        if self._tasks is None or not self.have:
            return
        self._key = key
        self.state, self.reason, self.position = "active", "", None
        self._grow_quic()
        self.pump()
        self._download.changed()

    def _queued(self, position: int | None, reason: str) -> None:
        self._key = None
        self._leave()
        self.state, self.position, self.reason = "queued", position, reason
        self._download.changed()

    def _grow_quic(self) -> None:
        """One stream at once; the others only where there is no bulk lane."""
        if self._key is None or self._tasks is None or not self.session.connected:
            return
        have = sum(lane.kind == "quic" for lane in self.lanes)
        bulk = self._bulk is not None or (
            self._bulk_wanted and self._bulk_failures == 0 and self._reachable()
        )
        for _ in range(have, 1 if bulk else QUIC_STREAMS):
            self._spawn(self._run_quic(self._key), f"QUIC lane to {self.peer.short}")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        begin(self._tasks, work, name)  # the control stream may just be ending

    def _reachable(self) -> bool:
        return bool(self._candidates())

    def _candidates(self) -> list[tuple[str, int]]:
        bulk = self.session.profile.bulk
        if bulk is None:
            return []
        seen = [path.address for path in self.session.paths() if path.kind == "direct"]
        return candidates(bulk.addresses, seen, own=own_hosts())

    async def _run_quic(self, key: bytes) -> None:
        assert self._download.intake is not None
        try:
            stream = await self.session.open(wire.SERVICE)
        except ConnectionLost:
            return
        lane = QuicLane(self.peer, self._download.intake, self._pace, self, stream, key)
        self.lanes.append(lane)
        await lane.run()

    def _want_bulk(self) -> None:
        """Ask for a token when there is somewhere to use it."""
        if not self._bulk_wanted or self._tasks is None or self._bulk is not None:
            return
        if self.session.connected and self._reachable():
            self._bulk_due = None
            self._spawn(self._ask_token(), f"token of {self.peer.short}")

    async def _ask_token(self) -> None:
        try:
            self._token_asked = True
            await self._say(wire.GetToken())
        except (ConnectionLost, Refused):
            return

    def _dial(self, token: bytes) -> None:
        bulk = self.session.profile.bulk
        intake = self._download.intake
        if not self._token_asked:  # who sends them unasked would choose whom we dial, and how often
            return
        self._token_asked = False
        if bulk is None or intake is None or self._bulk is not None or self._tasks is None:
            return
        self._bulk = BulkLane(
            self.peer, intake, self._pace, self, self._mail, self._candidates(), bulk.certificate, token
        )
        self.lanes.append(self._bulk)
        self._bulk.start()

    # lanes_bulk.Fetcher

    def opened(self, lane: FetchLane) -> None:
        if lane.kind == "tcp":
            self._bulk_failures = 0
        self.choice.opened(lane.kind, self._clock())
        self.pump()
        self._download.changed()

    def arrived(self, lane: FetchLane, first: int, count: int) -> None:
        now = self._clock()
        size = lane.intake.size(first, count)
        self.received_bytes += size
        self.meter.add(size, now)
        self.choice.arrived(lane.kind, size, now)
        self._download.arrived(self, first, count)
        self.pump()
        if not lane.busy:
            self.choice.rested(lane.kind)

    def denied(self, lane: FetchLane, first: int, count: int, why: str) -> None:
        if why == "gone":
            self._download.denied(self, first, count)
        elif why == "queued" and self.in_swarm:
            self._queued(None, "our turn ended, others wait too")
        self.pump()

    def closed(self, lane: FetchLane, error: ServentError) -> None:
        if lane in self.lanes:
            self.lanes.remove(lane)
        if lane.kind == "tcp":
            self._bulk = None
            pause = BULK_AGAIN[min(self._bulk_failures, len(BULK_AGAIN) - 1)]
            self._bulk_failures += 1
            self._bulk_due = self._clock() + pause
            log.info("no TCP lane to %s: %s", self.peer.short, error)
        if not any(other.kind == lane.kind and other.open for other in self.lanes):
            self.choice.closed(lane.kind)
        if isinstance(error, PeerError) and not isinstance(error, Refused) and lane.kind == "quic":
            self.fault = error
        self._grow_quic()
        owed = lane.unfinished()
        lane.owed.clear()
        lane.coming = None
        if self.in_swarm:
            if self._usable() is None:
                self._leave()  # others may take it; this source comes back with its next lane
            for first, count in owed:
                self._ask(first, count)
        self._renewed.set()
        self._download.changed()

    # -- asking

    def _usable(self) -> FetchLane | None:
        """The lane for the next request: of the chosen kind, the one that owes least."""
        kind: Kind = self.choice.pick(self._clock())
        usable = [lane for lane in self.lanes if lane.open and not lane.gone]
        if not usable:
            return None
        return min(usable, key=lambda lane: (lane.kind != kind, lane.owed_bytes))

    def pump(self) -> None:
        """Ask for as much as the swarm wants of this source now."""
        if self._key is None or self._usable() is None:
            return
        if not self.in_swarm:
            if not self._download.joined(self):
                return
            self.in_swarm = True
        for first, count in self._download.wanted(self):
            self._ask(first, count)

    def _ask(self, first: int, count: int) -> None:
        while self.in_swarm:
            lane = self._usable()
            if lane is None:
                self._leave()
                return
            try:
                lane.ask(next(self._numbers), first, count, self._clock())
                return
            except ConnectionLost:
                lane.gone = True
                lane.close()

    def forget(self, first: int, count: int) -> None:
        """Somebody else was faster with these."""
        for lane in self.lanes:
            for number, runs in list(lane.owed.items()):
                if runs and all(first <= start and start + size <= first + count for start, size in runs):
                    lane.forget(number)

    def beat(self, now: float) -> None:
        """Look for lanes that fell silent; dial again what is due."""
        for lane in list(self.lanes):
            if not lane.open or not lane.busy:
                continue
            silent = now - max(lane.heard, lane.waits)
            limit = SLOW_STALL if self.meter.rate(now) < SLOW else STALL
            other = [one for one in self.lanes if one.open and one.kind != lane.kind]
            if silent > limit and other:
                log.info("the %s lane to %s fell silent, the other takes over", lane.kind, self.peer.short)
                lane.close()
        if not self.lanes and self._key is not None:
            self._grow_quic()
        if self._bulk_due is not None and now >= self._bulk_due and self._key is not None:
            self._want_bulk()

    @property
    def lane_kind(self) -> str:
        """What the bytes take now: "tcp", "quic", or ""."""
        open_kinds = {lane.kind for lane in self.lanes if lane.open}
        return self.choice.kind if self.choice.kind in open_kinds else next(iter(open_kinds), "")


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200]


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
