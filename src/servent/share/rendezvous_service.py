"""Where two who share a code meet: at relays, on the local network, and at peers that both are connected to.

The number of a code stands for a place, a key that everybody can derive. At relays and on the local network the sender
*is* that key for a while, on a second endpoint of its own; the receiver dials it from a third one with a key
made for the occasion, so that neither of them shows there who it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from servent.codec import write_frame
from servent.errors import ConnectionLost, ServentError
from servent.identity import Identity, PeerId
from servent.net.lan import Lan
from servent.net.links import Connection, Endpoint, PeerAddress, Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.share import codes_wire as wire

log = logging.getLogger(__name__)

DIAL_LIMIT = 6.0  # s for one try at one relay
DIAL_AGAIN = 1.0  # s between two tries
ASK_LIMIT = 5.0  # s for a peer to answer
ASK_AGAIN = 3.0  # s between two questions to one peer
HERE_AGAIN = 1.5  # s between two looks at the places we hold ourselves
HOLD_AGAIN = 30.0  # s until a peer that would not hold a place is asked again
STREAM_LIMIT = 10.0  # s from a connection at the place to its stream
VISITORS_MOST = 16  # connections at a place at once
RELAYS_MOST = 8
PEERS_MOST = 16  # who are asked to hold a place

OpenEndpoint = Callable[..., Awaitable[Endpoint]]


@dataclass(frozen=True, slots=True)
class Meeting:
    """What hand-overs need of the node.

    Attributes:
        open_endpoint: as `net.endpoint.bind`.
        relays: those we use ourselves, now.
        lan: whether we may be found on the local network.
        name: what we call ourselves.
        address: where we, not the place, can be reached.
    """

    open_endpoint: OpenEndpoint
    relays: Callable[[], Sequence[str]]
    lan: bool
    name: Callable[[], str]
    address: Callable[[], PeerAddress]


@dataclass(eq=False, slots=True)
class Way:
    """A stream that may lead to the other side. `via` says how, for people."""

    stream: Stream
    via: str
    connection: Connection | None = None

    async def close(self) -> None:
        """Never raises."""
        await self.stream.reset(0)
        if self.connection is not None:
            await self.connection.close(0, "")


Arrived = Callable[[Way], Awaitable[None]]  # runs as long as the talk does


class Rendezvous:
    """Opens ways. Owns nothing that outlives the calls. `take`: `MeetService.take`, as ourselves."""

    def __init__(
        self, peers: Peers, meeting: Meeting, take: Callable[[PeerId], Awaitable[Stream | None]]
    ) -> None:
        self._peers, self._meeting, self._take = peers, meeting, take

    def ways(self) -> str:
        """Where we can meet anybody at all, for people; "" when nowhere."""
        found = []
        if self._meeting.relays():
            found.append("at relays")
        if self._meeting.lan:
            found.append("on the local network")
        if self._neighbors():
            found.append("at connected peers")
        return " and ".join(found)

    def _neighbors(self) -> list[Session]:
        return [session for session in self._peers.sessions() if not session.verdict.guest][:PEERS_MOST]

    # -- the sender

    async def wait(self, place: Identity, until: float, arrived: Arrived) -> None:
        """Be at `place` until cancelled, or `until` (loop time) for those who come first. Each comer has a task."""
        async with asyncio.TaskGroup() as tasks:
            if self._meeting.relays() or self._meeting.lan:
                tasks.create_task(self._wait_there(place, arrived), name="a code's place")
            tasks.create_task(self._wait_at_peers(place.peer, until, arrived), name="a code at peers")

    async def _wait_there(self, place: Identity, arrived: Arrived) -> None:
        relays = list(self._meeting.relays())[:RELAYS_MOST]
        endpoint = await self._meeting.open_endpoint(place, relays=relays, alpn=wire.ALPN)
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._meeting.lan:
                    lan = Lan(place.peer, endpoint.local_addresses, lambda found: None)
                    tasks.create_task(lan.run(), name="a code on the local network")
                visitors = 0

                def left(task: asyncio.Task[None]) -> None:
                    nonlocal visitors
                    visitors -= 1

                while True:
                    connection = await endpoint.accept()
                    if visitors >= VISITORS_MOST:
                        await connection.close(0, "busy")
                        continue
                    visitors += 1
                    visit = tasks.create_task(self._visit(connection, arrived), name="at a code's place")
                    visit.add_done_callback(left)
        finally:
            await endpoint.close()

    async def _visit(self, connection: Connection, arrived: Arrived) -> None:
        try:
            async with asyncio.timeout(STREAM_LIMIT):
                stream = await connection.accept()
        except (ConnectionLost, TimeoutError):
            await connection.close(0, "")
            return
        path = next(iter(connection.paths()), None)
        await self._with(
            Way(stream, "direct" if path and path.kind == "direct" else "a relay", connection), arrived
        )

    async def _wait_at_peers(self, place: PeerId, until: float, arrived: Arrived) -> None:
        """One waiting stream at each peer, a new one when it is used up."""
        loop = asyncio.get_running_loop()
        busy: dict[PeerId, float] = {}  # until when a peer needs nothing
        async with asyncio.TaskGroup() as tasks:

            async def hold(session: Session) -> None:
                peer = session.peer
                try:
                    way = await self._hold(session, place, max(1.0, until - loop.time()))
                except ServentError as wrong:
                    log.debug("%s holds no place: %s", peer.short, wrong)
                    busy[peer] = loop.time() + HOLD_AGAIN
                    return
                busy[peer] = loop.time()
                if way is not None:
                    tasks.create_task(self._with(way, arrived), name="a code's talk")

            while True:
                now = loop.time()
                here = {session.peer: session for session in self._neighbors()}
                for peer in [one for one in busy if one not in here and busy[one] < now]:
                    del busy[peer]
                for peer, session in here.items():
                    if busy.get(peer, 0.0) <= now:
                        busy[peer] = float("inf")
                        tasks.create_task(hold(session), name=f"a code at {peer.short}")
                await asyncio.sleep(0.5)

    async def _hold(self, session: Session, place: PeerId, lifetime: float) -> Way | None:
        """Wait at a peer for somebody. None: its time is up. Raises ServentError: it does not, or is gone."""
        stream = await session.open(wire.MEET)
        try:
            async with asyncio.timeout(ASK_LIMIT):
                await write_frame(stream, wire.Wait(bytes(place), min(lifetime, 86400.0)))
                answer = await wire.read_asked.read(stream)
            if not isinstance(answer, wire.Held):
                raise ConnectionLost("no place there")
            async with asyncio.timeout(answer.lifetime + 1.0):
                met = await wire.read_asked.read(stream)
        except TimeoutError:
            await stream.reset(0)
            return None
        except BaseException:
            await stream.reset(0)
            raise
        if not isinstance(met, wire.Met):
            await stream.reset(0)
            return None
        return Way(stream, f"a common peer, {session.profile.name or session.peer.short}")

    # -- the receiver

    async def seek(self, place: PeerId, wanted: Callable[[], bool], arrived: Arrived) -> None:
        """Look for who is at `place`, as long as `wanted()`, until cancelled. Each way has a task of its own."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask_peers(place, wanted, arrived), name="seek a code at peers")
            tasks.create_task(self._look_here(place, wanted, arrived), name="seek a code with us")
            if self._meeting.relays() or self._meeting.lan:
                tasks.create_task(self._dial(place, wanted, arrived), name="seek a code")

    async def _look_here(self, place: PeerId, wanted: Callable[[], bool], arrived: Arrived) -> None:
        """A sender who is a peer of ours waits at a place that we ourselves hold for it."""
        while True:
            if wanted():
                try:
                    stream = await self._take(place)
                except ServentError as wrong:
                    log.debug("who waited with us is gone: %s", wrong)
                else:
                    if stream is not None:
                        await self._with(Way(stream, "our own connection"), arrived)
            await asyncio.sleep(HERE_AGAIN)

    async def _dial(self, place: PeerId, wanted: Callable[[], bool], arrived: Arrived) -> None:
        theirs = [self._peers.addresses(session.peer).relay for session in self._neighbors()]
        known = self._meeting.relays()
        relays = list(dict.fromkeys([*known, *(url for url in theirs if url and known)]))[:RELAYS_MOST]
        fresh = Identity(secrets.token_bytes(32))
        endpoint = await self._meeting.open_endpoint(fresh, relays=relays, alpn=wire.ALPN)
        try:
            async with asyncio.TaskGroup() as tasks:
                for url in relays:
                    tasks.create_task(
                        self._dial_at(endpoint, partial(PeerAddress, place, url), wanted, arrived),
                        name="seek a code at a relay",
                    )
                if self._meeting.lan:
                    heard: dict[PeerId, PeerAddress] = {}
                    lan = Lan(fresh.peer, list, lambda found: heard.__setitem__(found.peer, found))
                    tasks.create_task(lan.run(), name="seek a code on the local network")
                    tasks.create_task(
                        self._dial_at(endpoint, lambda: heard.get(place), wanted, arrived),
                        name="seek a code nearby",
                    )
        finally:
            await endpoint.close()

    async def _dial_at(
        self,
        endpoint: Endpoint,
        where: Callable[[], PeerAddress | None],
        wanted: Callable[[], bool],
        arrived: Arrived,
    ) -> None:
        while True:
            address = where()
            if address is None or not wanted():
                await asyncio.sleep(0.25)
                continue
            try:
                connection = await endpoint.connect(address, DIAL_LIMIT)
            except ServentError as wrong:
                log.debug("nobody at the place: %s", wrong)
            else:
                try:
                    via = "a relay" if address.relay else "the local network"
                    await self._with(Way(await connection.open(), via, connection), arrived)
                except ConnectionLost:
                    await connection.close(0, "")
            await asyncio.sleep(DIAL_AGAIN)

    async def _ask_peers(self, place: PeerId, wanted: Callable[[], bool], arrived: Arrived) -> None:
        loop = asyncio.get_running_loop()
        again: dict[PeerId, float] = {}
        async with asyncio.TaskGroup() as tasks:

            async def ask(session: Session) -> None:
                try:
                    way = await self._ask(session, place)
                    if way is not None:
                        await self._with(way, arrived)
                except (ServentError, TimeoutError) as wrong:
                    log.debug("%s knows no place: %s", session.peer.short, wrong)
                again[session.peer] = loop.time() + ASK_AGAIN

            while True:
                for session in self._neighbors() if wanted() else ():
                    if again.get(session.peer, 0.0) <= loop.time():
                        again[session.peer] = float("inf")
                        tasks.create_task(ask(session), name=f"seek a code at {session.peer.short}")
                await asyncio.sleep(0.25)

    async def _ask(self, session: Session, place: PeerId) -> Way | None:
        stream = await session.open(wire.MEET)
        try:
            async with asyncio.timeout(ASK_LIMIT):
                await write_frame(stream, wire.Seek(bytes(place)))
                answer = await wire.read_asked.read(stream)
        except BaseException:
            await stream.reset(0)
            raise
        if not isinstance(answer, wire.Met):
            await stream.reset(0)
            return None
        return Way(stream, f"a common peer, {session.profile.name or session.peer.short}")

    async def _with(self, way: Way, arrived: Arrived) -> None:
        """Run a talk; what goes wrong in it ends it alone."""
        try:
            await arrived(way)
        except* ServentError as wrong:
            log.info("a talk over %s ended: %s", way.via, wrong.exceptions[0])
        finally:
            with contextlib.suppress(ServentError):
                await way.close()
