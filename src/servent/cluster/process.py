"""A process's own end of its cluster: an endpoint with a key of its own, and connections to the others.

One of these serves one event loop. Connections are kept and used in both directions: a worker that cannot be dialed is reached through the one it
dialed. Two that cross are both kept, since closing one would cut what goes over it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from servent.cluster import passes, wire
from servent.cluster.addresses import LISTENERS, MOST_HINTS, Place
from servent.cluster.door import Door, Link
from servent.cluster.model import ALPN, Desk, Wish
from servent.cluster.rosters import Role
from servent.cluster.standing import Standing
from servent.cluster.versions import Versions
from servent.errors import ConnectionLost, Refused, ServentError, UsageError
from servent.identity import Identity
from servent.net import endpoint as net_endpoint
from servent.net.endpoint import IrohEndpoint
from servent.net.quic import IrohConnection, IrohStream
from servent.net.quiet import Quiet, others
from servent.tasks import begin

log = logging.getLogger(__name__)

DOOR_TIME = 20.0  # s for the first frames of a connection; a busy Python may take long to come to them
STRANGERS_MOST = 64  # connections that stand at the door at once; one more, and who waits longest is closed
LINKS_MOST = 4096  # processes that one is connected with
CONNECT_TIME = 30.0  # s to look for a path
RELAY_TIME = 5.0  # s that a listener waits for its home relay, so that its address names it
_CODE_REFUSED = 1  # of a connection that is closed because of who is there


T = TypeVar("T")


class Take(Protocol):
    """What a listener does with a stream, or a TCP connection, that somebody opened to it. It never raises."""

    def __call__(self, stream: Any, link: Link) -> Awaitable[None]: ...


class Process:
    """`open` makes one; `close` ends it. All of its methods belong to the loop that opened it.

    Attributes:
        standing: who we are in the cluster. door: who is let in. bind: where it listens, as its node wished.
        turned_away: connections that were not let in.
    """

    def __init__(self, standing: Standing, end: IrohEndpoint, bind: list[str], relayed: bool) -> None:
        self.standing = standing
        self.door = Door(standing)
        self.bind = bind
        self._end, self._relayed = end, relayed
        self._links: dict[bytes, list[Link]] = {}
        self._known: weakref.WeakSet[Link] = weakref.WeakSet()  # all that anything still goes over
        self._dials: dict[bytes, asyncio.Task[Link | ServentError]] = {}
        self._listeners: dict[int, Take] = {}
        self._next = 0
        self._at_door: dict[IrohConnection, None] = {}  # the one that came first stands first
        self._at_end: list[Callable[[], None]] = []
        self._ready = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self.turned_away = 0
        self._quiet = Quiet()  # strangers must not fill the log
        # Without a group above it, since Dask has none: its owner is this object, close() ends it and waits for it.
        self._running = asyncio.get_running_loop().create_task(self._run(), name=f"cluster {standing.role}")

    @classmethod
    async def open(cls, desk: Desk, cluster: str, role: Role, versions: Versions, name: str = "") -> Process:
        """A new key, papers for it, and an endpoint.

        Raises:
            ServentError: as `Desk`, or the endpoint cannot be bound.
        """
        identity = Identity(os.urandom(32))
        wish = Wish(cluster=cluster, role=role, process=bytes(identity.peer), name=name)
        papers = await desk.papers(wish)
        standing = Standing(desk, wish, versions, papers)
        end = await net_endpoint.bind(identity, bind=papers.bind, relays=papers.relays, alpn=ALPN)
        process = cls(standing, end, list(papers.bind), bool(papers.relays))
        await process._ready.wait()
        return process

    # for Dask's comms

    @property
    def closed(self) -> bool:
        return self._running.done()

    @property
    def here(self) -> Place:
        """This process, without where it is: what the other side of a comm sees that we dialed."""
        return Place(self.standing.peer, self.standing.node, self.standing.cluster)

    async def link(self, place: Place) -> Link:
        """A connection to another process, both let in; a new one only where there is none.

        Raises:
            Refused, Unfit, BadMessage: one of the two has no business here; trying again will not help.
            ConnectionLost, Unreachable: no way to it now.
        """
        if place.cluster != self.standing.cluster:
            called = self.standing.roster.name
            raise Refused(f"{place.process.short} belongs to another cluster than {called}", advice="")
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
        if self._relayed:
            await self._home()
        number, self._next = self._next, self._next + 1
        if number >= LISTENERS:
            raise UsageError(f"a process has at most {LISTENERS} listeners in its life")
        self._listeners[number] = take
        address = self._end.address()
        me = self.standing
        place = Place(me.peer, me.node, me.cluster, number, address.addresses[:MOST_HINTS], address.relay)
        if number == 0:
            await me.listening(str(place))
        return place

    def unlisten(self, number: int) -> None:
        self._listeners.pop(number, None)

    def listener(self, number: int) -> Take | None:
        return self._listeners.get(number)

    def begin(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T] | None:
        """`work` in a task that ends with this process; None where it has ended."""
        return begin(self._group, work, name)

    def at_end(self, call: Callable[[], None]) -> None:
        """`call` when this process leaves the cluster."""
        self._at_end.append(call)

    async def scheduler(self) -> str:
        """Where the cluster's scheduler is, as our node knows it; "" while it does not run. Raises ServentError."""
        return (await self.standing.look()).scheduler

    async def close(self) -> None:
        """End every connection. What was written before is sent, for as long as `net.endpoint` waits."""
        self._running.cancel()
        await asyncio.wait([self._running])

    # inside

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._keep_current(), name="papers")
                self._ready.set()
                while True:
                    try:
                        connection = await self._end.accept()
                    except ConnectionLost:
                        break
                    if len(self._links) >= LINKS_MOST:
                        self.turned_away += 1
                        await connection.close(_CODE_REFUSED, "busy")
                        continue
                    if len(self._at_door) >= STRANGERS_MOST:  # else the silent would keep out everybody
                        longest = next(iter(self._at_door))
                        del self._at_door[longest]
                        await longest.close(_CODE_REFUSED, "busy")
                    self._at_door[connection] = None
                    self._group.create_task(self._answer(connection), name="door")
                raise asyncio.CancelledError  # ends the group's other tasks with us
        finally:  # also when the loop ends and cancels all it has
            self._group = None
            self._ready.set()
            for call in self._at_end:
                call()
            await self._end.close()
            for link in [one for links in self._links.values() for one in links]:
                self._drop(link)

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
                link = await self.door.greet(connection, place.node)
        except TimeoutError:
            await connection.close(_CODE_REFUSED, "too slow")
            return ConnectionLost(f"{place.process.short} did not answer at its door in {DOOR_TIME:.0f} s")
        except ServentError as error:
            said = connection.gone() or ""
            await connection.close(_CODE_REFUSED, "not let in")
            if isinstance(error, ConnectionLost) and said.endswith(": not let in"):
                return Refused(f"{place.process.short} did not let us in")
            return error
        return self._let_in(link)

    async def _answer(self, connection: IrohConnection) -> None:
        """Somebody dialed. Nothing is read of them but one frame before they are let in."""
        try:
            async with asyncio.timeout(DOOR_TIME):
                self._let_in(await self.door.welcome(connection))
        except (ServentError, TimeoutError) as error:
            self.turned_away += 1
            if times := self._quiet.note(type(error).__name__, asyncio.get_running_loop().time()):
                why = str(error) or "it said nothing in time"
                log.warning("%s is not let in: %s%s", connection.peer.short, why, others(times))
            await connection.close(_CODE_REFUSED, "not let in")
        finally:
            self._at_door.pop(connection, None)

    def _let_in(self, link: Link) -> Link:
        self._known.add(link)
        self._links.setdefault(link.connection.peer, []).append(link)
        if begin(self._group, self._serve(link), f"streams of {link.connection.peer.short}") is None:
            self._drop(link)
        return link

    async def _serve(self, link: Link) -> None:
        """Streams that the other side opens, for as long as the connection lives."""
        try:
            while True:
                stream = await link.connection.accept()
                begin(self._group, self._hand_over(stream, link), f"comm of {link.connection.peer.short}")
        except ConnectionLost:
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
        self.door.forget(link)
        link.lost = True

    async def _keep_current(self) -> None:
        """A newer list of members, and a new pass long before ours ends."""
        failed = False
        while True:
            await asyncio.sleep(passes.LOOK_EVERY)
            try:
                await self.standing.look()
                failed = False
            except ServentError as error:
                if not failed:
                    log.warning("our node does not answer: %s", error)
                failed = True
            await self._send_away()

    async def _send_away(self) -> None:
        """Whoever may no longer be here by the newest list."""
        for link in list(self._known):
            try:
                passes.allow(link.shown, mine=self.standing.role, roster=self.standing.roster)
            except Refused as why:
                log.warning("%s is sent away: %s", link.connection.peer.short, why)
                await link.connection.close(_CODE_REFUSED, str(why))
                self._drop(link)
                self._known.discard(link)
                for end in list(link.on_sent_away):
                    end()
