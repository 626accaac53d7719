"""A process's own end of its cluster: an endpoint with a key of its own, connections to the others, and the door that they pass.

One of these serves one event loop. Connections are kept and used in both directions: a worker that cannot be dialed is reached through the one it
dialed. Two that cross are both kept, since closing one would cut what goes over it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from servent.cluster import passes, rosters, wire
from servent.cluster.addresses import LISTENERS, MOST_HINTS, Place
from servent.cluster.model import ALPN, Desk, Papers, Pass, SignedPass, Wish
from servent.cluster.rosters import Role, Roster
from servent.cluster.versions import Versions, doubts, unfit
from servent.codec import write_frame
from servent.errors import ConnectionLost, PeerError, Refused, ServentError, UsageError
from servent.identity import Identity, PeerId
from servent.net import endpoint as net_endpoint
from servent.net.endpoint import IrohEndpoint
from servent.net.quic import IrohConnection, IrohStream
from servent.tasks import begin

log = logging.getLogger(__name__)

DOOR_TIME = 20.0  # s for the first frames of a connection; a busy Python may take long to come to them
STRANGERS_MOST = 64  # connections that stand at the door at once; more are closed
LINKS_MOST = 4096  # connections of one process
CONNECT_TIME = 30.0  # s to look for a path
LANE_REST = 60.0  # s that nobody tries TCP again after it did not reach
RELAY_TIME = 5.0  # s that a listener waits for its home relay, so that its address names it
_UNFIT = "versions: "  # how such a `No` begins
_CODE_REFUSED = 1  # of a connection that is closed because of who is there


class Unfit(UsageError):
    """The other process runs versions that ours cannot work with."""


@dataclass(eq=False)
class Link:
    """A connection to a process that was let in.

    Attributes:
        lost: it is gone; then all of its streams are.
        lane: where the other side takes TCP connections, if it does. secret: what lets its own in here.
        on_sent_away: called when it is no longer let in, for what does not go over this connection.
    """

    connection: IrohConnection
    shown: Pass
    lane: wire.Lane | None
    secret: bytes
    lost: bool = False
    on_sent_away: set[Callable[[], None]] = field(default_factory=set)
    _lane_again: float = 0.0

    @property
    def lane_works(self) -> bool:
        """Whether a TCP connection is worth a try."""
        return time.monotonic() >= self._lane_again

    def lane_failed(self) -> None:
        self._lane_again = time.monotonic() + LANE_REST


class Take(Protocol):
    """What a listener does with a stream, or a TCP connection, that somebody opened to it."""

    def __call__(self, stream: Any, link: Link) -> Awaitable[None]: ...


class Process:
    """`open` makes one; `close` ends it. All of its methods belong to the loop that opened it.

    Attributes:
        role, cluster, node: what its pass says. peer: its key. roster: the newest list of members it knows.
    """

    def __init__(
        self,
        desk: Desk,
        identity: Identity,
        wish: Wish,
        versions: Versions,
        end: IrohEndpoint,
        papers: Papers,
    ) -> None:
        self._desk, self._identity, self._wish, self._versions = desk, identity, wish, versions
        self._end = end
        self.role: Role = wish.role
        self.peer = identity.peer
        self.cluster = papers.cluster
        self._owner = papers.owner
        self._shown: SignedPass = papers.shown
        self._pass = passes.read(papers.shown)
        self.node = PeerId(self._pass.node)
        self.roster: Roster = rosters.read(papers.roster, papers.owner, papers.cluster)
        self._relays = list(papers.relays)
        self._links: dict[PeerId, list[Link]] = {}
        self._dials: dict[PeerId, asyncio.Task[Link | ServentError]] = {}
        self._secrets: dict[bytes, Link] = {}
        self._coming: dict[
            bytes, asyncio.Future[None]
        ] = {}  # secrets that were told, to whom we are not decided
        self._known: weakref.WeakSet[Link] = weakref.WeakSet()  # all that anything still goes over
        self._at_end: list[Callable[[], None]] = []
        self._lane: tuple[int, bytes] | None = None  # port and digest
        self.bind: list[str] = list(papers.bind)
        self._listeners: dict[int, Take] = {}
        self._next = 0
        self._at_door = 0
        self._looked = 0.0
        self._look_turn, self._admitting = asyncio.Lock(), asyncio.Lock()
        self._ready = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._closing = False
        self.turned_away = 0  # connections that were not let in
        # Without a group above it, since Dask has none: its owner is this object, close() ends it and waits for it.
        self._running = asyncio.get_running_loop().create_task(self._run(), name=f"cluster {wish.role}")

    @classmethod
    async def open(cls, desk: Desk, cluster: str, role: Role, versions: Versions, name: str = "") -> Process:
        """A new key, papers for it, and an endpoint.

        Raises:
            ServentError: as `Desk`, or the endpoint cannot be bound.
        """
        identity = Identity(os.urandom(32))
        wish = Wish(cluster=cluster, role=role, process=bytes(identity.peer), name=name)
        papers = await desk.papers(wish)
        end = await net_endpoint.bind(identity, bind=papers.bind, relays=papers.relays, alpn=ALPN)
        try:
            process = cls(desk, identity, wish, versions, end, papers)
        except BaseException:
            await end.close()
            raise
        await process._ready.wait()
        return process

    # for Dask's comms

    @property
    def called(self) -> str:
        """What its node calls the cluster."""
        return self._wish.cluster

    @property
    def closed(self) -> bool:
        return self._running.done()

    @property
    def here(self) -> Place:
        """This process, without where it is: what the other side of a comm sees that we dialed."""
        return Place(self.peer, self.node, self.cluster)

    async def link(self, place: Place) -> Link:
        """A connection to another process, both let in; a new one only where there is none.

        Raises:
            Refused, Unfit, BadMessage: one of the two has no business here; trying again will not help.
            ConnectionLost, Unreachable: no way to it now.
        """
        if place.cluster != self.cluster:
            raise Refused(
                f"{place.process.short} belongs to another cluster than {self.roster.name}", advice=""
            )
        return await self._link(place)

    async def stream(self, place: Place) -> tuple[IrohStream, Link]:
        """A stream to a listener of another process. It is visible there at once. Raises as `link`."""
        for last in (False, True):
            link = await self.link(place)
            try:
                stream = await link.connection.open()
                await stream.write(place.listener.to_bytes(wire.LISTENER_BYTES, "big"))
            except ConnectionLost:
                self._drop(link)
                if last:
                    raise
            else:
                return stream, link
        raise ConnectionLost("the connection is gone")  # not reached: the last try returns or raises

    async def listen(self, take: Take) -> Place:
        """Give streams that others open to `take` from now on. What it returns is how they find us."""
        if self._relays:
            await self._home()
        number, self._next = self._next, self._next + 1
        if number >= LISTENERS:
            raise UsageError(f"a process has at most {LISTENERS} listeners in its life")
        self._listeners[number] = take
        address = self._end.address()
        place = Place(
            self.peer, self.node, self.cluster, number, address.addresses[:MOST_HINTS], address.relay
        )
        if number == 0:
            await self._desk.listening(self._wish.cluster, bytes(self.peer), self.role, str(place))
        return place

    def unlisten(self, number: int) -> None:
        self._listeners.pop(number, None)

    def listener(self, number: int) -> Take | None:
        return self._listeners.get(number)

    @property
    def tcp_port(self) -> int:
        """Where TCP connections are taken; 0 where none are."""
        return 0 if self._lane is None else self._lane[0]

    def offer(self, port: int, certificate: bytes) -> None:
        """From now on tell everybody who is let in that TCP connections are taken at `port`. `certificate`: SHA-256."""
        self._lane = port, certificate

    def at_end(self, call: Callable[[], None]) -> None:
        """`call` when this process leaves the cluster."""
        self._at_end.append(call)

    async def by_secret(self, secret: bytes) -> Link | None:
        """Whom a TCP connection is from that says `secret`; None for nobody who is let in.

        It may have overtaken the last frame of the door: then that is waited for.
        """
        if (coming := self._coming.get(secret)) is not None:
            await asyncio.wait([coming])
        return self._secrets.get(secret)

    async def scheduler(self) -> str:
        """Where the cluster's scheduler is, as our node knows it; "" while it does not run. Raises ServentError."""
        return (await self._look()).scheduler

    async def close(self) -> None:
        """End every connection. What was written before is sent, for as long as `net.endpoint` waits."""
        self._closing = True
        self._running.cancel()
        await asyncio.wait([self._running])

    # inside

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._keep_current(), name="papers")
                self._ready.set()
                while not self._closing:
                    try:
                        connection = await self._end.accept()
                    except ConnectionLost:
                        break
                    if self._at_door >= STRANGERS_MOST or len(self._links) >= LINKS_MOST:
                        self.turned_away += 1
                        await connection.close(_CODE_REFUSED, "busy")
                        continue
                    self._at_door += 1
                    self._group.create_task(self._answer(connection), name="door")
                raise asyncio.CancelledError  # ends the group's other tasks with us
        finally:  # also when the loop ends and cancels all it has
            self._group = None
            self._ready.set()
            for call in self._at_end:
                call()
            await self._end.close()
            for link in [one for links in self._links.values() for one in links]:
                link.lost = True
            self._links.clear()
            self._secrets.clear()

    async def _home(self) -> None:
        """Wait a little until a relay is our home: before that nobody could be told of it."""
        try:
            async with asyncio.timeout(RELAY_TIME):
                while self._end.address().relay is None:  # noqa: ASYNC110 - iroh tells of it only when asked
                    await asyncio.sleep(0.05)
        except TimeoutError:
            log.warning(
                "no relay answered in %.0f s; this process is reached directly or not at all", RELAY_TIME
            )

    async def _link(self, place: Place) -> Link:
        for known in self._links.get(place.process, []):
            if not known.lost and known.connection.gone() is None:
                return known
        dial = self._dials.get(place.process)
        if dial is None:
            group = self._group
            dial = None if group is None else begin(group, self._dial(place), f"dial {place.process.short}")
            if dial is None:
                raise ConnectionLost("this process leaves the cluster")
            self._dials[place.process] = dial
            dial.add_done_callback(lambda _: self._dials.pop(place.process, None))
        await asyncio.wait([dial])  # who is cancelled here leaves it to those who wait as well
        if dial.cancelled():
            raise ConnectionLost("this process leaves the cluster")
        outcome = dial.result()
        if isinstance(outcome, Link):
            return outcome
        raise outcome

    async def _dial(self, place: Place) -> Link | ServentError:
        """Errors are an answer: a task that raises would end the group."""
        try:
            connection = await self._end.connect(place.where, CONNECT_TIME)
        except ServentError as error:
            return error
        try:
            async with asyncio.timeout(DOOR_TIME):
                link = await self._greet(connection)
            if link.shown.node != place.node:
                self._secrets.pop(link.secret, None)
                raise Refused(f"{place.process.short} is of another node than its address says", advice="")
        except (ServentError, TimeoutError) as error:
            said = connection.gone() if isinstance(error, ConnectionLost) else None
            await connection.close(_CODE_REFUSED, "not let in")
            if isinstance(error, TimeoutError):
                return ConnectionLost(
                    f"{place.process.short} did not answer at its door in {DOOR_TIME:.0f} s"
                )
            if said is not None and ": not let in" in said:
                return Refused(f"{place.process.short} did not let us in")
            return error
        return self._let_in(link)

    async def _greet(self, connection: IrohConnection) -> Link:
        secret = os.urandom(wire.SECRET_BYTES)
        self._coming[secret] = asyncio.get_running_loop().create_future()
        try:
            link = await self._hear(connection, secret)
            self._secrets[secret] = link
            return link
        finally:
            self._coming.pop(secret).set_result(None)

    async def _hear(self, connection: IrohConnection, secret: bytes) -> Link:
        stream = await connection.open()
        await write_frame(stream, wire.Hello(self._shown, self._versions, self._told(secret)))
        answer = await wire.ANSWERS.read(stream)
        if isinstance(answer, wire.No):
            kind = Unfit if answer.reason.startswith(_UNFIT) else Refused
            raise kind(answer.reason.removeprefix(_UNFIT), advice=answer.advice)
        shown = await self._admit(answer.shown, connection.peer)
        self._compare(answer.versions, shown)
        await stream.finish()
        return Link(connection, shown, answer.lane, secret)

    async def _answer(self, connection: IrohConnection) -> None:
        """Somebody dialed. Nothing is read of them but one frame before they are let in."""
        try:
            async with asyncio.timeout(DOOR_TIME):
                self._let_in(await self._welcome(connection))
        except (ServentError, TimeoutError) as error:
            self.turned_away += 1
            log.warning(
                "%s is not let in: %s", connection.peer.short, str(error) or "it said nothing in time"
            )
            await connection.close(_CODE_REFUSED, "not let in")
        finally:
            self._at_door -= 1

    async def _welcome(self, connection: IrohConnection) -> Link:
        stream = await connection.accept()
        hello = await wire.HELLOS.read(stream)
        known = False
        try:
            shown = await self._admit(hello.shown, connection.peer)
            known = True
            self._compare(hello.versions, shown)
        except PeerError as error:
            refused = isinstance(error, Refused) and self._one_of_ours(hello.shown)
            reason = (str(error), error.advice) if refused else ("not let in", "")
            await self._decline(connection, stream, wire.No(reason[0][:500], reason[1][:500]))
            raise
        except Unfit as error:
            if known:
                said = unfit(hello.versions, self._versions, self.role) or str(error)
                await self._decline(connection, stream, wire.No(f"{_UNFIT}{said}"[:500]))
            raise
        secret = os.urandom(wire.SECRET_BYTES)
        link = Link(connection, shown, hello.lane, secret)
        self._secrets[secret] = link  # before it is told: a TCP connection may overtake us
        try:
            await write_frame(stream, wire.Welcome(self._shown, self._versions, self._told(secret)))
            await stream.finish()
        except BaseException:
            del self._secrets[secret]
            raise
        return link

    def _told(self, secret: bytes) -> wire.Lane | None:
        return None if self._lane is None else wire.Lane(*self._lane, secret)

    async def _decline(self, connection: IrohConnection, stream: IrohStream, no: wire.No) -> None:
        """Say it, and wait until it was heard: closing at once would overtake it."""
        await write_frame(stream, no)
        await stream.finish()
        try:
            async with asyncio.timeout(2.0):
                await connection.wait_closed()
        except TimeoutError:
            pass

    def _one_of_ours(self, signed: SignedPass) -> bool:
        """Whether a person there may be told why: their node is a member of ours, and vouches for something."""
        try:
            return self.roster.member(passes.read(signed).node) is not None
        except PeerError:
            return False

    async def _admit(self, signed: SignedPass, peer: PeerId) -> Pass:
        """As `passes.admit`; who is unknown may have been added a moment ago."""
        try:
            return passes.admit(signed, peer=peer, mine=self.role, roster=self.roster, now=time.time())
        except Refused:
            before, came = self.roster, time.monotonic()
            async with self._admitting:  # one look serves all who came before it began
                if self._looked < came:
                    try:
                        await self._look()
                    except ServentError as error:
                        log.debug("no newer list of members: %s", error)
            if self.roster is before:
                raise
        return passes.admit(signed, peer=peer, mine=self.role, roster=self.roster, now=time.time())

    def _compare(self, theirs: Versions, shown: Pass) -> None:
        if (why := unfit(self._versions, theirs, shown.role)) is not None:
            raise Unfit(why, advice="All members of a cluster run the same versions.")
        for doubt in doubts(self._versions, theirs):
            log.warning("%s of node %s: %s", shown.role, PeerId(shown.node).short, doubt)

    def _let_in(self, link: Link) -> Link:
        self._known.add(link)
        self._links.setdefault(link.connection.peer, []).append(link)
        if begin(self._group, self._serve(link), f"streams of {link.connection.peer.short}") is None:
            self._drop(link)
        return link

    async def _serve(self, link: Link) -> None:
        """Streams that the other side opens, for as long as the connection lives."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    stream = await link.connection.accept()
                    group.create_task(
                        self._hand_over(stream, link), name=f"comm of {link.connection.peer.short}"
                    )
        except* ConnectionLost:
            pass
        finally:
            self._drop(link)

    async def _hand_over(self, stream: IrohStream, link: Link) -> None:
        try:
            async with asyncio.timeout(DOOR_TIME):
                number = int.from_bytes(await stream.read_exactly(wire.LISTENER_BYTES), "big")
        except (ConnectionLost, TimeoutError):
            await stream.reset()
            return
        take = self._listeners.get(number)
        if take is None:
            await stream.reset()
            return
        await take(stream, link)

    def _drop(self, link: Link) -> None:
        links = self._links.get(link.connection.peer, [])
        if link in links:
            links.remove(link)
            if not links:
                del self._links[link.connection.peer]
        self._secrets.pop(link.secret, None)
        link.lost = True

    async def _keep_current(self) -> None:
        """A newer list of members, and a new pass before ours ends."""
        failed = False
        while True:
            await asyncio.sleep(passes.LOOK_EVERY)
            try:
                await self._look()
                failed = False
            except ServentError as error:
                if not failed:
                    log.warning("our node does not answer: %s", error)
                failed = True

    async def _look(self) -> Papers:
        async with self._look_turn:
            began = time.monotonic()
            papers = await self._desk.papers(self._wish)
            self._looked = began
        shown = passes.read(papers.shown)
        if papers.cluster != self.cluster or shown.process != self.peer:
            raise Refused("our node gave us papers of somebody else", advice="")
        self._shown, self._pass = papers.shown, shown
        roster = rosters.read(papers.roster, self._owner, self.cluster)
        if roster.number > self.roster.number:
            self.roster = roster
            for link in list(self._known):
                try:
                    passes.allow(link.shown, mine=self.role, roster=roster)
                except Refused as why:
                    log.warning("%s is sent away: %s", link.connection.peer.short, why)
                    await link.connection.close(_CODE_REFUSED, str(why))
                    self._drop(link)
                    for end in list(link.on_sent_away):
                        end()
        return papers
