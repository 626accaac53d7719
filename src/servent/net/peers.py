"""The connection manager: one session per peer, dialed when needed, kept where wanted."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from secrets import token_bytes
from typing import Any

from servent.errors import ConnectionLost, PeerError, ServentError, UsageError
from servent.identity import PeerId
from servent.net import hello
from servent.net.book import MOST_PEERS, Book
from servent.net.dialer import Dialer
from servent.net.door import Door
from servent.net.gate import Gate
from servent.net.keeper import Keeper
from servent.net.links import Endpoint, PeerAddress, Stream
from servent.net.papers import TrustPapers
from servent.net.quiet import Quiet, others
from servent.net.redial import Redial
from servent.net.roster import Roster
from servent.net.router import Handler, Router
from servent.net.session import Session, TooMuch, Visit
from servent.net.settings import PeersSettings
from servent.net.shelf import Shelf
from servent.net.talk import Talk
from servent.net.views import Attempts, PeerView, everybody
from servent.net.wire import Control, Profile
from servent.store import Store
from servent.tasks import begin
from servent.trust.service import TrustService

log = logging.getLogger("servent.net")


class Peers:
    """Everyone we are connected to, were connected to, or want to be.

    Make it on a running loop, before `store` is opened; `run` it in a task of its own.

    Args:
        endpoint: ours; whoever opened it closes it, after `close`.
        trust: decides who is known and may use what.
        profile: what we tell peers that we know; asked anew for every hello.
        store: keeps the address book; None forgets it with the process.
        dice, wall: for jitter; the wall clock, for what outlives the process.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        trust: TrustService,
        profile: Callable[[], Profile],
        *,
        store: Store | None = None,
        settings: PeersSettings | None = None,
        dice: random.Random | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        settings = settings or PeersSettings()
        self.peer = endpoint.peer
        self._endpoint, self._trust, self._settings, self._wall = endpoint, trust, settings, wall
        self._clock = asyncio.get_running_loop().time
        self._profile = profile
        self._run_tag = token_bytes(8)
        self._book = Book(endpoint.peer)
        self._redial = Redial(settings.redial, dice or random.Random())
        self._gate, self._quiet = Gate(settings.gate), Quiet()
        self._router = Router(trust.allows, self._gate, self._quiet, settings.router)
        self._papers = TrustPapers(trust, wall)
        self._dialer = Dialer(
            endpoint,
            self._redial,
            settings,
            introduce=self.introduce,
            live=self.session,
            address=lambda peer: self._book.address(peer, wall()),
            enter=lambda connection, greeting: self._roster.enter(connection, greeting),
            host=lambda session: self._roster.host(session),
            failed=lambda peer, error: self._keeper.dial_failed(peer, error),
            settled=self.settle,
        )
        self._talk = Talk(
            self._papers,
            trust,
            self._book,
            settings,
            sessions=self.sessions,
            session=self.session,
            here=endpoint.address,
            wish=lambda peer: self._keeper.wish(peer),
            heard_of=lambda peer, networks: self._keeper.heard_of(peer, networks),
            large=lambda network: self._keeper.is_large(network),
            judged=lambda session, verdict: self._keeper.judged(session, verdict),
            told=self._told,
            fault=self._router.fault,
            spawn=self.spawn,
            wall=wall,
        )
        self._roster = Roster(self.peer, self, self, settings.session)
        self._door = Door(endpoint, self._gate, self._roster, self, settings)
        self._keeper = Keeper(
            self.peer,
            trust,
            self._book,
            Shelf(store),
            self._redial,
            self._dialer,
            self._talk,
            self._roster,
            self,
            settings,
            wall,
        )
        self._audiences: dict[str, str] = {}
        self._up: set[Session] = set()  # announced
        self._met: dict[PeerId, tuple[str, str]] = {}  # name and software of who was here, for the view
        self._session_callbacks: list[Callable[[Session, bool], None]] = []
        self._observed_callbacks: list[Callable[[Session, str | None], None]] = []
        self._told_callbacks: list[Callable[[Session], None]] = []
        self._judged_callbacks: list[Callable[[Session], None]] = []
        self._missed_callbacks: list[Callable[[PeerId], None]] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._stop, self._stopped = asyncio.Event(), asyncio.Event()
        self.ready = asyncio.Event()  # `run` accepts and dials

    # -- life

    async def run(self) -> None:
        """Accept, dial and keep sessions until `close`, cancellation, or the endpoint's end."""
        self._endpoint.on_address_change(self._keeper.moved)
        for service, audience in self._audiences.items():  # trust may have been opened after serve()
            self._trust.set_default(service, audience)
        await self._keeper.open()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = self._dialer.tasks = tasks
                self.ready.set()
                self.spawn(self._door.run(self._stop.set), "accept connections")
                self.spawn(self._keeper.run(), "keep connections")
                await self._stop.wait()
                await self._roster.close(self._settings.goodbye)
                raise _Stop
        except* _Stop:
            log.debug("connections closed")
        finally:
            try:  # before `close` is over: its caller closes the disk next
                await self._keeper.close()
            finally:
                self._tasks = self._dialer.tasks = None
                self._stopped.set()

    async def close(self) -> None:
        """Say goodbye to everyone and end `run`. Safe twice, and before `run`."""
        self._stop.set()
        if self._tasks is not None:
            await self._stopped.wait()

    # -- for services

    def serve(
        self,
        service: str,
        handler: Handler,
        *,
        audience: str = "friends",
        streams: int | None = None,
        standing: bool = False,
    ) -> None:
        """Let `handler(session, stream)` serve every stream that asks for `service`.

        The stream is finished when the handler returns and reset when it raises. A PeerError or WorldError
        ends that stream alone; so does anything else, with a traceback in the log.

        Args:
            service: name and version, as "myapp/1"; at most 64 characters.
            audience: who may use it while the person here decided nothing else.
            streams: how many one peer may have open at once.
            standing: they stay open for what may come, and nobody waits on them. Whoever opens one says so, too.

        Raises:
            UsageError: the name is taken or no name, or there is no such audience.
        """
        self._trust.set_default(service, audience)
        self._audiences[service] = audience
        self._router.serve(service, handler, streams, standing=standing)

    def withdraw(self, service: str) -> None:
        """Stop serving `service`; streams that are open go on."""
        self._router.withdraw(service)

    def services(self) -> list[str]:
        return self._router.names()

    async def open(
        self, peer: PeerId, service: str, timeout: float = 15.0, *, look: bool = True, standing: bool = False
    ) -> Stream:
        """A stream to `service` of `peer`, connecting first if need be. `standing`: see `Session.open`.

        Whoever does not answer where it was is looked for in the networks, unless `look` is False. If they do not offer it to us, the first read raises Refused.

        Raises:
            Unreachable, Refused, ConnectionLost: see `connect`.
        """
        for last in (False, True):
            session = await self._dialer.reach(peer, timeout, look=look)
            try:
                async with asyncio.timeout(timeout):
                    return await session.open(service, standing=standing)
            except TimeoutError:
                raise ConnectionLost(f"{peer.short} takes no more streams now") from None
            except ConnectionLost:
                if last:
                    raise
        raise AssertionError("unreachable")

    async def connect(
        self, address: PeerAddress, *, secret: bytes | None = None, timeout: float = 15.0
    ) -> Session:
        """A session with the peer at `address`: the one we have, or a new one.

        Args:
            secret: of a contact ticket; also shown when we are connected already.

        Raises:
            Unreachable: no path in `timeout` s.
            Refused: they do not know us, or we do not know them.
            ConnectionLost, BadMessage: the dial broke off.
        """
        if address.peer == self.peer:
            raise UsageError("that is this node's own address")
        if self._book.given(address, self._wall()):
            self._dialer.again(address.peer)
        before = self.session(address.peer)
        session = await self._dialer.reach(address.peer, timeout, secret)
        if secret is not None and session is before:
            await self.prove(session, secret)
        return session

    async def prove(self, session: Session, secret: bytes | None = None) -> None:
        """Show `session`'s peer our memberships, and a ticket's secret, again. Done for everyone when trust changes.

        Raises:
            ConnectionLost: no answer in time.
        """

        def contact(nonce: bytes) -> bytes:
            assert secret is not None
            return self._papers.contact_proof(secret, session.peer, nonce)

        try:
            await self._talk.prove(session, None if secret is None else contact)
        except TimeoutError:
            raise ConnectionLost(f"{session.peer.short} did not answer our proof") from None

    # -- whom we know of

    def remember(self, address: PeerAddress) -> None:
        """Where a peer may be (a ticket, the local network, the person here). Dialed soon if we want that peer."""
        self._keeper.remember(address)

    def nearby(self, address: PeerAddress) -> None:
        """Where a peer may be, says whoever is on the local network. Dialed soon if we knew that peer before."""
        self._keeper.nearby(address)

    def forget(self, peer: PeerId) -> None:
        """Drop its addresses and do not dial it of our own accord."""
        self._keeper.forget(peer)

    def addresses(self, peer: PeerId) -> PeerAddress:
        """Where `peer` may be, best first."""
        return self._book.address(peer, self._wall())

    def hurry(self) -> None:
        """The network around us changed: test every session, dial everyone we miss at once."""
        self._keeper.moved()

    def start_over(self, why: str) -> None:
        """No peer answers any more, so our own way out has changed: give up every connection and dial anew."""
        for session in self.sessions():
            session.give_up(why)
        self._keeper.moved()

    # -- for rendezvous

    def look_by(self, locate: Callable[[PeerId], Awaitable[object]]) -> None:
        """`locate(peer)`, too, is asked where a peer is that does not answer; what it finds, it `learn`s."""
        self._dialer.locators.append(locate)

    def awaits(self, peer: PeerId) -> bool:
        """Whether `peer` is worth looking for: a friend, somebody a ticket led to, or one the overlay needs."""
        return self._keeper.awaits(peer)

    def hear(self, address: PeerAddress, teller: PeerId) -> None:
        """Somebody who is not that peer says where it may be: hearsay, dialed soon like that of others."""
        self._keeper.hear(address, teller)

    # -- for the overlay

    def govern(self, locate: Callable[[PeerId], Awaitable[object]]) -> None:
        """Somebody says by `hold` whom we need in networks that are too large for a full mesh.

        `locate(peer)` asks others where a peer is that does not answer; what it finds, it `learn`s.
        """
        self._keeper.governed = True
        self._dialer.locators.append(locate)

    def hold(self, peer: PeerId, wanted: bool, *, by: str = "overlay", within: float | None = None) -> bool:
        """Stay connected to `peer` for as long as anybody (`by`) needs it. False: nothing is known to dial it at.

        `within`: whoever was not there is tried again at the latest in so many seconds.
        """
        return self._keeper.hold(peer, wanted, by, within)

    def learn(self, address: PeerAddress, number: int) -> bool:
        """A peer's own signed word on where it is, the higher `number` the newer. Whether that is news.

        A dial under way begins again with it.
        """
        return self._keeper.learn(address, number)

    def counted(self, network: bytes, members: int) -> None:
        """How many members a network of ours has, as far as the overlay can tell."""
        self._keeper.counted(network, members)

    def seek(self, most: int) -> int:
        """Dial some of those in the address book that are not connected. Returns how many are dialed."""
        return self._keeper.seek(most)

    def on_judged(self, callback: Callable[[Session], None]) -> None:
        """Call `callback(session)` when `session.verdict` changed."""
        self._judged_callbacks.append(callback)

    def on_missed(self, callback: Callable[[PeerId], None]) -> None:
        """Call `callback(peer)` when a dial of ours came to nothing."""
        self._missed_callbacks.append(callback)

    def sessions(self) -> list[Session]:
        """One for each connected peer."""
        return self._roster.sessions()

    def session(self, peer: PeerId) -> Session | None:
        return self._roster.session(peer)

    def on_session(self, callback: Callable[[Session, bool], None]) -> None:
        """Call `callback(session, up)` when a session is there and when it is over.

        A session that is replaced is over only after its successor came: ask `session(peer)` whether a
        peer is connected at all.
        """
        self._session_callbacks.append(callback)

    def on_observed(self, callback: Callable[[Session, str | None], None]) -> None:
        """Call `callback(session, address)` when a peer says where it sees us; None: through a relay."""
        self._observed_callbacks.append(callback)

    def on_told(self, callback: Callable[[Session], None]) -> None:
        """Call `callback(session)` when a peer says something new of its own way out, see `session.told`."""
        self._told_callbacks.append(callback)

    def way_out(self, ipv4: str | None, ipv6: str | None) -> None:
        """Tell every peer what lies between us and the world; see `wire.Here`."""
        self._talk.way_out(ipv4, ipv6)

    def view(self) -> list[PeerView]:
        """Everybody connected, every contact, and everyone we try to reach."""
        contacts = {contact.peer: contact for contact in self._trust.contacts()}
        connected = {session.peer: session for session in self.sessions()}
        now, wall_now = self._clock(), self._wall()

        def attempts(peer: PeerId) -> Attempts:
            known, redial = self._book.address(peer, wall_now), self._redial
            due = None if (at := redial.next_try(peer)) is None else max(0.0, at - now)
            relayed, dialing = known.relay is not None, self._dialer.dialing(peer)
            return Attempts(len(known.addresses), relayed, redial.why(peer), due, dialing)

        return everybody(connected, contacts, self._redial.wanted(), self._met, attempts, now)

    # -- what sessions need of us (session.Host)

    def heard(self, session: Session, message: Control) -> None:
        self._talk.heard(session, message)
        self._keeper.wake()

    def observed(self, session: Session, address: str | None) -> None:
        for callback in self._observed_callbacks:
            callback(session, address)

    def granted(self, peer: PeerId, service: str) -> bool:
        return self._router.allows(peer, service)

    def arrived(self, session: Session, stream: Stream) -> Visit | None:
        return self._router.arrived(session, stream)

    # -- what becomes of sessions (roster.Watcher)

    def came(self, session: Session) -> None:
        peer = session.peer
        relay = next((path.address for path in session.paths() if path.kind == "relayed"), None)
        self._book.worked(peer, session.seen if session.dialed else None, relay, self._wall(), kept=True)
        if self._met.pop(peer, None) is None:
            self._keeper.save_soon()
        if len(self._met) >= MOST_PEERS:
            del self._met[next(iter(self._met))]
        self._met[peer] = (session.profile.name, session.software)
        self._dialer.satisfied(session)
        self._keeper.heard_of(peer, session.verdict.networks)
        self._talk.opened(session)
        if session not in self._up:
            self._up.add(session)
            log.info("%s is connected", peer.short)
            self._announce(session, True)
        self.observed(session, session.observed)
        self._keeper.wake()

    def went(self, session: Session, gone: bool) -> None:
        self._talk.closed(session, gone)
        if session in self._up:
            self._up.discard(session)
            log.info("the connection with %s is over: %s", session.peer.short, session.over)
            self._announce(session, False)
        if gone:
            known = self._trust.verdict(session.peer).known
            self.settle(session.peer)
            if known and not self._stop.is_set():
                banned = self._settings.gate.ban if self._gate.banned(session.peer, self._clock()) else 0.0
                self._keeper.wish(session.peer, 5.0 if session.said_bye else 0.5, after=banned)
                self._keeper.wake()

    def wronged(self, session: Session, mistake: PeerError) -> None:
        self.fault(session.peer, str(mistake), 5.0)

    # -- what the door needs of us (door.House)

    def settle(self, peer: PeerId) -> None:
        """What `peer` proved counts as long as it is connected, or about to be."""
        if not (self._roster.has(peer) or self._dialer.dialing(peer) or self._door.greeting(peer)):
            self._trust.forget_hello(peer)

    def is_friend(self, peer: PeerId) -> bool:
        return self._keeper.is_friend(peer)

    def is_known(self, peer: PeerId) -> bool:
        return self._keeper.is_known(peer)

    def introduce(self, peer: PeerId, nonce: bytes, secret: bytes | None) -> hello.Introduction:
        return hello.Introduction(
            self._papers, self._profile, self._run_tag, nonce, secret, self._roster.last(peer)
        )

    # -- small things

    def judged(self, session: Session) -> None:
        for callback in self._judged_callbacks:
            callback(session)

    def missed(self, peer: PeerId) -> None:
        for callback in self._missed_callbacks:
            callback(peer)

    def _told(self, session: Session) -> None:
        for callback in self._told_callbacks:
            callback(session)

    def _announce(self, session: Session, up: bool) -> None:
        for callback in self._session_callbacks:
            try:
                callback(session, up)
            except Exception:
                log.exception("a listener failed on %s", session.peer.short)

    def fault(self, peer: PeerId, what: str, weight: float) -> None:
        """Count something a peer did; the ban that may follow holds from its next connection on."""
        try:
            self._router.fault(peer, what, weight)
        except TooMuch as enough:
            self.note("kept out for a while", str(enough))

    def note(self, kind: str, detail: str) -> None:
        if times := self._quiet.note(kind, self._clock()):
            log.info("%s: %s%s", kind, detail, others(times))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        begin(self._tasks, self._guard(work, name), name, inside=work)

    async def _guard(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except ServentError as error:
            self.note(name.partition(" ")[0], str(error))
        except Exception:
            log.exception("%s failed", name)


class _Stop(Exception):
    """Ends the TaskGroup of `run`."""
