"""The connection manager: one session per peer, dialed when needed, kept where wanted."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from secrets import token_bytes
from typing import Any

from servent.errors import BadMessage, ConnectionLost, PeerError, ServentError, UsageError, WorldError
from servent.identity import PeerId
from servent.net import hello
from servent.net.book import MOST_PEERS, Book
from servent.net.dialer import Dialer
from servent.net.gate import Gate, source_of
from servent.net.links import Connection, Endpoint, PeerAddress, Stream
from servent.net.papers import TrustPapers
from servent.net.quiet import Quiet
from servent.net.redial import Redial
from servent.net.roster import Roster
from servent.net.router import Handler, Router
from servent.net.session import Session, TooMuch
from servent.net.settings import PeersSettings
from servent.net.shelf import Shelf
from servent.net.talk import Talk
from servent.net.views import Attempts, PeerView, of_absent, of_session
from servent.net.wire import Control, Profile
from servent.store import Store
from servent.trust.book import Verdict
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
        dice: for jitter.
        wall: the wall clock, for what outlives the process.
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
        self._dice = dice or random.Random()
        self._profile = profile
        self._run_tag = token_bytes(8)
        self._book, self._shelf = Book(endpoint.peer), Shelf(store)
        self._redial = Redial(settings.redial, self._dice)
        self._gate, self._quiet = Gate(settings.gate), Quiet()
        self._router = Router(trust.allows, self._gate, self._quiet, settings.router)
        self._papers = TrustPapers(trust, wall)
        self._dialer = Dialer(
            endpoint,
            self._redial,
            settings,
            introduce=self._introduce,
            live=self.session,
            address=lambda peer: self._book.address(peer, wall()),
            enter=lambda connection, greeting: self._roster.enter(connection, greeting),
            host=lambda session: self._roster.host(session),
            failed=self._dial_failed,
            settled=self._settle,
        )
        self._talk = Talk(
            self._papers,
            trust,
            self._book,
            settings,
            sessions=self.sessions,
            session=self.session,
            here=endpoint.address,
            wish=self._wish,
            judged=self._judged,
            fault=self._router.fault,
            spawn=self._spawn,
            wall=wall,
        )
        self._roster = Roster(self.peer, self, self, settings.session)
        self._audiences: dict[str, str] = {}
        self._up: set[Session] = set()  # announced
        self._guests: dict[PeerId, int] = {}  # helloes under way at our door
        self._met: dict[
            PeerId, tuple[str, str]
        ] = {}  # name and software of those who were here, for the view
        self._session_callbacks: list[Callable[[Session, bool], None]] = []
        self._observed_callbacks: list[Callable[[Session, str | None], None]] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._stop, self._stopped, self._woken = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._trust_changed = False
        self._digests: dict[bytes, bytes] = {}
        self._save_at = 0.0

    # -- life

    async def run(self) -> None:
        """Accept, dial and keep sessions until `close`, cancellation, or the endpoint's end."""
        await self._shelf.load(self._book, self._wall())
        self._endpoint.on_address_change(self._moved)
        self._trust.on_change(self._note_trust)
        for service, audience in self._audiences.items():  # trust may have been opened after serve()
            self._trust.set_default(service, audience)
        self._digests = self._records()
        for peer in self._book.peers():
            self._wish(peer)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = self._dialer.tasks = tasks
                self._spawn(self._accept(), "accept connections")
                self._spawn(self._keep(), "keep connections")
                await self._stop.wait()
                await self._roster.close(self._settings.goodbye)
                raise _Stop
        except* _Stop:
            log.debug("connections closed")
        finally:
            self._tasks = self._dialer.tasks = None
            self._stopped.set()
            await self._shelf.save(self._book)

    async def close(self) -> None:
        """Say goodbye to everyone and end `run`. Safe twice, and before `run`."""
        self._stop.set()
        if self._tasks is not None:
            await self._stopped.wait()

    # -- for services

    def serve(
        self, service: str, handler: Handler, *, audience: str = "friends", streams: int | None = None
    ) -> None:
        """Let `handler(session, stream)` serve every stream that asks for `service`.

        The stream is finished when the handler returns and reset when it raises. A PeerError or WorldError
        ends that stream alone; so does anything else, with a traceback in the log.

        Args:
            service: name and version, as "myapp/1"; at most 64 characters.
            audience: who may use it while the person here decided nothing else.
            streams: how many one peer may have open at once.

        Raises:
            UsageError: the name is taken or no name, or there is no such audience.
        """
        self._trust.set_default(service, audience)
        self._audiences[service] = audience
        self._router.serve(service, handler, streams)

    def withdraw(self, service: str) -> None:
        """Stop serving `service`; streams that are open go on."""
        self._router.withdraw(service)

    def services(self) -> list[str]:
        return self._router.names()

    async def open(self, peer: PeerId, service: str, timeout: float = 15.0) -> Stream:
        """A stream to `service` of `peer`, connecting first if need be.

        If they do not offer it to us, the first read raises Refused.

        Raises:
            Unreachable, Refused, ConnectionLost: see `connect`.
        """
        for last in (False, True):
            session = await self._dialer.reach(peer, timeout)
            try:
                return await session.open(service)
            except ConnectionLost:
                if last:
                    raise
                session.hurry()
                await asyncio.sleep(0)
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
        self._book.told(address, self._wall())
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
        self._book.told(address, self._wall())
        if self._is_known(address.peer):
            self._wish(address.peer)
            self._redial.news(address.peer, self._clock())
            self._woken.set()

    def forget(self, peer: PeerId) -> None:
        """Drop its addresses and do not dial it of our own accord."""
        self._redial.drop(peer)
        self._book.forget(peer)

    def addresses(self, peer: PeerId) -> PeerAddress:
        """Where `peer` may be, best first."""
        return self._book.address(peer, self._wall())

    def hurry(self) -> None:
        """The network around us changed: test every session, dial everyone we miss at once."""
        self._moved()

    def start_over(self, why: str) -> None:
        """No peer answers any more, so our own way out has changed: give up every connection and dial anew."""
        for session in self.sessions():
            session.give_up(why)
        self._moved()

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

    def view(self) -> list[PeerView]:
        """Everybody connected, every contact, and everyone we try to reach."""
        contacts = {contact.peer: contact for contact in self._trust.contacts()}
        now, wall_now = self._clock(), self._wall()
        connected = {session.peer: session for session in self.sessions()}
        views = []
        for peer in dict.fromkeys((*connected, *contacts, *self._redial.wanted())):
            if peer in connected:
                views.append(of_session(connected[peer], contacts.get(peer), now))
                continue
            known, due = self._book.address(peer, wall_now), self._redial.next_try(peer)
            attempts = Attempts(
                len(known.addresses),
                known.relay is not None,
                self._redial.why(peer),
                None if due is None else max(0.0, due - now),
                self._dialer.dialing(peer),
            )
            views.append(of_absent(peer, self._met.get(peer), contacts.get(peer), attempts))
        return views

    # -- what sessions need of us (session.Host)

    def heard(self, session: Session, message: Control) -> None:
        self._talk.heard(session, message)
        self._woken.set()

    def observed(self, session: Session, address: str | None) -> None:
        for callback in self._observed_callbacks:
            callback(session, address)

    def granted(self, peer: PeerId, service: str) -> bool:
        return self._router.allows(peer, service)

    def arrived(self, session: Session, stream: Stream) -> Coroutine[Any, Any, None] | None:
        return self._router.arrived(session, stream)

    # -- what becomes of sessions (roster.Watcher)

    def came(self, session: Session) -> None:
        peer = session.peer
        relay = next((path.address for path in session.paths() if path.kind == "relayed"), None)
        self._book.worked(peer, session.seen if session.dialed else None, relay, self._wall(), kept=True)
        self._met.pop(peer, None)
        if len(self._met) >= MOST_PEERS:
            del self._met[next(iter(self._met))]
        self._met[peer] = (session.profile.name, session.software)
        self._dialer.satisfied(session)
        self._talk.opened(session)
        if session not in self._up:
            self._up.add(session)
            log.info("%s is connected", peer.short)
            self._announce(session, True)
        self.observed(session, session.observed)
        self._woken.set()

    def went(self, session: Session, gone: bool) -> None:
        self._talk.closed(session, gone)
        if session in self._up:
            self._up.discard(session)
            log.info("the connection with %s is over: %s", session.peer.short, session.over)
            self._announce(session, False)
        if gone:
            known = self._trust.verdict(session.peer).known
            self._settle(session.peer)
            if known and not self._stop.is_set():
                self._wish(session.peer, within=5.0 if session.said_bye else 0.5)
                self._woken.set()

    def wronged(self, session: Session, mistake: PeerError) -> None:
        self._fault(session.peer, str(mistake), 5.0)

    # -- the door

    async def _accept(self) -> None:
        while True:
            try:
                connection = await self._endpoint.accept()
            except ConnectionLost:
                self._stop.set()
                return
            peer, now = connection.peer, self._clock()
            path = next(iter(connection.paths()), None)
            source = source_of(path.address) if path else "nowhere"
            known = self._is_known(peer)
            full = len(self._roster) >= self._settings.sessions and not self._is_friend(peer)
            if full or not self._gate.admit(peer, source, known, now):
                self._note("turned away at the door", source)
                await connection.close(hello.CODE_BUSY, "")
                continue
            self._spawn(self._welcome(connection, source, known), f"hello of {peer.short}")

    async def _welcome(self, connection: Connection, source: str, known: bool) -> None:
        session = await self._let_in(connection, source, known)
        if session is not None:
            await self._roster.host(session)

    async def _let_in(self, connection: Connection, source: str, known: bool) -> Session | None:
        peer = connection.peer
        self._guests[peer] = self._guests.get(peer, 0) + 1
        me = self._introduce(peer, b"", None)
        try:
            greeting = await hello.welcome(connection, me, limit=self._settings.hello)
            session = self._roster.enter(connection, greeting)
        except PeerError as mistake:
            self._note("refused", str(mistake))
            self._fault(peer, "is refused", 5.0 if isinstance(mistake, BadMessage) else 1.0)
            return None
        except ConnectionLost as lost:
            self._note("left during its hello", str(lost))
            return None
        finally:
            self._gate.done(source, known)
            self._guests[peer] -= 1
            if not self._guests[peer]:
                del self._guests[peer]
            self._settle(peer)
        if session is None:
            await connection.close(hello.CODE_REPLACED, "")
        return session

    def _settle(self, peer: PeerId) -> None:
        """What `peer` proved counts as long as it is connected, or about to be."""
        if not (self._roster.has(peer) or self._dialer.dialing(peer) or peer in self._guests):
            self._trust.forget_hello(peer)

    def _introduce(self, peer: PeerId, nonce: bytes, secret: bytes | None) -> hello.Introduction:
        return hello.Introduction(
            self._papers, self._profile, self._run_tag, nonce, secret, self._roster.last(peer)
        )

    # -- keeping

    async def _keep(self) -> None:
        """Dial whom we miss, tell members of each other, follow changes of trust, save the book."""
        while True:
            self._woken.clear()
            now = self._clock()
            if self._trust_changed:
                self._trust_changed = False
                await self._follow_trust()
            self._dialer.start_due(now)
            self._talk.tick(now)
            if self._book.dirty and now >= self._save_at:
                self._save_at = now + self._settings.save_every
                try:
                    await self._shelf.save(self._book)
                except WorldError as trouble:
                    self._note("the address book is not saved", str(trouble))
            due = [self._redial.next_tick(), self._talk.next_tick(), now + self._settings.save_every]
            soonest = min(at for at in due if at is not None)
            try:
                async with asyncio.timeout_at(max(soonest, now + 0.05)):
                    await self._woken.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(0.01)  # news come in bunches

    async def _follow_trust(self) -> None:
        """Contacts, blocks or memberships changed: who may stay, who is told what."""
        for session in self.sessions():
            self._judged(session, self._trust.verdict(session.peer))
        records, before = self._records(), self._digests
        self._digests = records
        for network, digest in records.items():
            if before.get(network) != digest:
                self._talk.changed(network)
        if set(records) - set(before):  # we joined one: those we are connected to may be in it
            for session in self.sessions():
                self._spawn(self.prove(session), f"prove to {session.peer.short}")
        for contact in self._trust.contacts():
            if contact.friend and not contact.blocked:
                self._wish(contact.peer)
        self._woken.set()

    def _judged(self, session: Session, verdict: Verdict) -> None:
        if not verdict.known:
            self._redial.drop(session.peer)
            self._book.wanted(session.peer, False)
            self._spawn(session.close("not known here", hello.CODE_REFUSED), f"close {session.peer.short}")
        elif verdict != session.verdict:
            session.verdict = verdict
            if self.session(session.peer) is session:
                self._talk.acquainted(session)
                self._woken.set()

    def _wish(self, peer: PeerId, within: float | None = None) -> None:
        """Connect to `peer` soon and stay connected, if there is room for it."""
        if peer == self.peer or self.session(peer) is not None:
            return
        contact = self._trust.contact(peer)
        if contact is not None and contact.blocked:
            return
        friend = contact is not None and contact.friend
        if not friend and len(self._roster) + len(self._redial.wanted()) >= self._settings.keep:
            return
        if within is None:
            within = self._settings.newcomer * (1.0 if self.peer < peer else 2.0)
        known = self._book.address(peer, self._wall())
        if known.addresses or known.relay is not None:
            self._redial.want(peer, self._clock(), within)
            self._woken.set()

    def _dial_failed(self, peer: PeerId, error: ServentError) -> None:
        self._note("a dial failed", f"{peer.short}: {error}")
        entry = self._book.get(peer)
        hearsay = entry is None or (not entry.met and not self._is_friend(peer))
        if hearsay and self._redial.failures(peer) >= self._settings.hearsay_failures:
            self.forget(peer)
        self._woken.set()

    def _is_friend(self, peer: PeerId) -> bool:
        contact = self._trust.contact(peer)
        return contact is not None and contact.friend and not contact.blocked

    def _is_known(self, peer: PeerId) -> bool:
        """Whether there was a reason, before its hello, to believe that `peer` belongs here."""
        entry = self._book.get(peer)
        return self._is_friend(peer) or (entry is not None and entry.kept)

    def _records(self) -> dict[bytes, bytes]:
        return {view.key: self._trust.records_digest(view.key) for view in self._trust.networks()}

    # -- small things

    def _moved(self) -> None:
        self._talk.moved()
        now = self._clock()
        for peer in self._redial.wanted():
            self._redial.news(peer, now)
        self._woken.set()

    def _note_trust(self) -> None:
        self._trust_changed = True
        self._woken.set()

    def _announce(self, session: Session, up: bool) -> None:
        for callback in self._session_callbacks:
            try:
                callback(session, up)
            except Exception:
                log.exception("a listener failed on %s", session.peer.short)

    def _fault(self, peer: PeerId, what: str, weight: float) -> None:
        """Count something a peer did; the ban that may follow holds from its next connection on."""
        try:
            self._router.fault(peer, what, weight)
        except TooMuch as enough:
            log.info("%s stays out for %.0f s: %s", peer.short, self._settings.gate.ban, enough)

    def _note(self, kind: str, detail: str) -> None:
        if times := self._quiet.note(kind, self._clock()):
            log.info(
                "%s: %s%s", kind, detail, f" ({times} times since the last such line)" if times > 1 else ""
            )

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        if self._tasks is None:
            work.close()
            return
        self._tasks.create_task(self._guard(work, name), name=name)

    async def _guard(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except ServentError as error:
            self._note(name.partition(" ")[0], str(error))
        except Exception:
            log.exception("%s failed", name)


class _Stop(Exception):
    """Ends the TaskGroup of `run`."""
