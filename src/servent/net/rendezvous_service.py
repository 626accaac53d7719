"""To find where a peer is by its key alone, and to be found so: all providers at once, the first valid word counts.

Our own word (relay and addresses, a pkarr packet) is published by each provider when it changes, and again before it is
forgotten. Who is wanted and not reached is looked up, ever more rarely while it stays away. What is found goes to the
address book under the number that its owner gave it; TLS proves the key when it is dialed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Literal

from servent.errors import BadMessage, ServentError
from servent.identity import Identity, PeerId
from servent.net import pkarr
from servent.net.addresses import best_addresses, only_loopback
from servent.net.book import credible
from servent.net.links import Endpoint, PeerAddress
from servent.net.peers import Peers
from servent.net.rendezvous import MOST_VALUE, Found, Provider
from servent.net.seeking import Publishing, Seeking
from servent.net.session import Session
from servent.tasks import begin
from servent.trust.service import TrustService

log = logging.getLogger("servent.net")

LOOK_TIME = 25.0  # s for one look-up; of a busy DHT the last answers come late
PUBLISH_TIME = 60.0  # s for one provider to take our word
LOOK_EVERY = 30.0  # s between looks at our own address; the endpoint tells of changes at once
SETTLE_FOUND = 0.5  # s after the first answer to a person, in which another may have newer ones
MICROSECONDS = 1_000_000_000_000_000  # numbers above are taken for a clock's
DIAL_FIRST = 1.0  # s for a friend to answer where it was; a dial that leads nowhere takes four
FOUND_MOST = 16  # values of one provider that are looked at in one look-up

Show = Literal["addresses", "relay", "nothing"]


@dataclass(slots=True)
class ProviderView:
    """How one provider does. Times are of the wall clock, None: never.

    Attributes:
        places: in how many places our word is.
        found: how many look-ups it answered.
    """

    name: str
    published: float | None = None
    places: int = 0
    asked: int = 0
    found: int = 0
    found_at: float | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a peer said of itself. `timed`: its number is microseconds of its clock."""

    address: PeerAddress
    number: int
    timed: bool


class _Way:
    """A provider, and how our word does there."""

    def __init__(self, provider: Provider, dice: random.Random) -> None:
        self.provider, self.publishing = provider, Publishing(dice)
        self.view = ProviderView(provider.name)
        self.busy = False


class _Look:
    """A look-up under way. `news` is done when there is some, or none anywhere; `enough` ends it."""

    def __init__(self) -> None:
        self.enough = asyncio.Event()
        self.news: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def told(self) -> None:
        if not self.news.done():
            self.news.set_result(None)


class Rendezvous:
    """Make it on a running loop, give it providers at any time, and `run` it.

    Args:
        show: what is told of us.
        dice, wall: tests give their own.
    """

    def __init__(
        self,
        identity: Identity,
        endpoint: Endpoint,
        peers: Peers,
        trust: TrustService,
        *,
        show: Show = "addresses",
        dice: random.Random | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._identity, self._endpoint, self._peers, self._trust = identity, endpoint, peers, trust
        self._show, self._dice, self._wall = show, dice or random.Random(), wall
        self._clock = asyncio.get_running_loop().time
        self._ways: list[_Way] = []
        self._seeking = Seeking(self._dice)
        self._looking: dict[PeerId, _Look] = {}
        self._said: PeerAddress | None = None
        self._packet = b""
        self._made = 0
        self._look_at_ourselves = self._look_at_friends = True
        self._tasks: asyncio.TaskGroup | None = None
        self._woken = asyncio.Event()
        peers.on_missed(self._missed)
        peers.on_session(self._session)
        peers.look_by(self.locate)

    def add_provider(self, provider: Provider) -> None:
        """Use `provider` from now on: our word goes there, and who is wanted is looked up there, too."""
        way = _Way(provider, self._dice)
        self._ways.append(way)
        if self._packet:
            way.publishing.changed(self._clock())
        self._seeking.hurry(self._clock())
        self._woken.set()

    def remove_provider(self, name: str) -> None:
        """Use it no more. What it has of us is forgotten there in its own time."""
        self._ways = [way for way in self._ways if way.provider.name != name]

    def providers(self) -> list[ProviderView]:
        """One for each that is in use."""
        return [replace(way.view) for way in self._ways]

    # -- life

    async def run(self) -> None:
        """Until cancelled."""
        self._trust.on_change(self._trust_changed)
        self._endpoint.on_address_change(self._moved)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                while True:
                    self._woken.clear()
                    now = self._clock()
                    self._note_friends(now)
                    self._note_ourselves(now)
                    for way in self._ways:
                        if not way.busy and way.publishing.due(now):
                            way.busy = True
                            self._spawn(self._tell(way), f"publish: {way.provider.name}")
                    for peer in self._seeking.due(now) if self._ways else ():
                        self._begin(peer)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout_at(self._next(now)):
                            await self._woken.wait()
        finally:
            self._tasks = None

    def _next(self, now: float) -> float:
        due = [way.publishing.next_tick() for way in self._ways if not way.busy]
        due += [self._seeking.next_tick() if self._ways else None, now + LOOK_EVERY]
        return max(now + 0.02, min(at for at in due if at is not None))

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        begin(self._tasks, work, name)

    # -- our own word

    def _note_ourselves(self, now: float) -> None:
        said = self.word()
        if said == self._said:
            return
        self._said = said
        self._packet = b""
        if said.relay is not None or said.addresses:
            self._made = max(self._made + 1, int(self._wall() * 1e6))
            self._packet = pkarr.pack(said, self._made, MOST_VALUE)
            for way in self._ways:
                way.publishing.changed(now)

    def word(self) -> PeerAddress:
        """Where we say that we are, as the person here allows."""
        here = self._endpoint.address()
        if self._show == "nothing":
            return PeerAddress(here.peer)
        shown = best_addresses(here.addresses) if self._show == "addresses" else ()
        return PeerAddress(here.peer, here.relay, shown)

    async def _tell(self, way: _Way) -> None:
        places = 0
        try:
            if self._packet:
                places = await self._publish(way, self._identity, self._packet)
                if places:
                    way.view.published, way.view.places = self._wall(), places
        finally:
            way.busy = False
        way.publishing.done(self._clock(), places)
        self._woken.set()

    async def publish(self, identity: Identity, value: bytes, salt: bytes = b"") -> int:
        """Another word, under another key, by all providers at once. Returns in how many places it is."""
        async with asyncio.TaskGroup() as tasks:
            putting = [
                tasks.create_task(
                    self._publish(way, identity, value, salt), name=f"publish: {way.provider.name}"
                )
                for way in self._ways
            ]
        return sum(task.result() for task in putting)

    async def _publish(self, way: _Way, identity: Identity, value: bytes, salt: bytes = b"") -> int:
        try:
            async with asyncio.timeout(PUBLISH_TIME):
                return await way.provider.publish(identity, value, salt)
        except (TimeoutError, ServentError) as error:
            log.info("%s did not take what we published: %s", way.provider.name, error or "no answer")
        except Exception:
            log.exception("publishing by %s failed", way.provider.name)
        return 0

    # -- finding others

    async def locate(self, peer: PeerId) -> None:
        """Look `peer` up now, at most once in 2 s. Returns when there is news of it, or none anywhere."""
        ready = self._ways and self._tasks is not None
        if ready and peer not in self._looking and self._seeking.may(peer, self._clock()):
            self._begin(peer)
        look = self._looking.get(peer)
        if look is not None:
            await asyncio.wait([look.news], timeout=LOOK_TIME)

    async def resolve(
        self,
        key: PeerId,
        heard: Callable[[Found], None],
        salt: bytes = b"",
        *,
        enough: asyncio.Event | None = None,
    ) -> None:
        """Ask all providers, each with its head start given to the others; `heard` takes what they find as it comes.

        Who comes later is asked as soon as those before it have found nothing. Returns when all are done, after 25 s, or when somebody says by `enough` that no more is needed.
        """
        enough, nothing = enough or asyncio.Event(), asyncio.Event()
        first = {way for way in self._ways if not way.provider.head_start}

        def take(found: Found) -> None:
            if found.key == key and not enough.is_set():
                first.clear()
                heard(found)

        async def ask(way: _Way) -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(way.provider.head_start):
                    await nothing.wait()
            await self._ask(way, key, take, salt)
            if way in first:
                first.discard(way)
                if not first:
                    nothing.set()

        if not first:
            nothing.set()

        async with asyncio.TaskGroup() as tasks:
            asking = {tasks.create_task(ask(way), name=f"ask {way.provider.name}") for way in self._ways}
            ending = tasks.create_task(enough.wait(), name="enough is found")
            left: set[asyncio.Task[Any]] = {*asking}
            until = self._clock() + LOOK_TIME
            while left and not enough.is_set() and self._clock() < until:
                done, _ = await asyncio.wait(
                    {*left, ending}, timeout=until - self._clock(), return_when=asyncio.FIRST_COMPLETED
                )
                left -= done
            for task in (*left, ending):
                task.cancel()

    async def _ask(self, way: _Way, key: PeerId, take: Callable[[Found], None], salt: bytes) -> None:
        way.view.asked += 1
        count = 0
        try:
            async with _closing(way.provider.resolve(key, salt)) as answers:
                async for found in answers:
                    count += 1
                    if count == 1:
                        way.view.found += 1
                        way.view.found_at = self._wall()
                    take(found)
                    if count >= FOUND_MOST:
                        break
        except ServentError as error:
            log.info("%s could not be asked: %s", way.provider.name, error)
        except Exception:
            log.exception("asking %s failed", way.provider.name)

    def _begin(self, peer: PeerId) -> None:
        """The core has said so."""
        self._looking[peer] = look = _Look()
        self._spawn(self._look(peer, look), f"look up {peer.short}")

    async def _look(self, peer: PeerId, look: _Look) -> None:
        """One look-up; ends early when the peer is here."""

        def heard(found: Found) -> None:
            if self._take(peer, found) is not None:
                look.told()

        try:
            if self._peers.session(peer) is None:
                await self.resolve(peer, heard, enough=look.enough)
        finally:
            del self._looking[peer]
            look.told()
            self._seeking.ended(peer, self._clock())
            self._woken.set()

    async def find(self, peer: PeerId) -> Sighting | None:
        """What `peer` published, asked for by the person here: the newest of what comes within a moment of the first."""
        best: Sighting | None = None
        enough = asyncio.Event()

        def heard(found: Found) -> None:
            nonlocal best
            seen = self._take(peer, found)
            if seen is not None:
                if best is None:
                    asyncio.get_running_loop().call_later(SETTLE_FOUND, enough.set)
                best = max(best or seen, seen, key=lambda one: one.number)

        await self.resolve(peer, heard, enough=enough)
        return best

    def _take(self, peer: PeerId, found: Found) -> Sighting | None:
        """What a provider found goes to the address book; None: it says nothing of use."""
        ours = self._endpoint.address().addresses
        try:
            said = pkarr.read(peer, found.value)
        except BadMessage as wrong:
            log.debug("what %s published is no address: %s", peer.short, wrong)
            return None
        # nobody far away has us knock at our own door
        address = credible(said.address, ours[:1] if only_loopback(ours) else ())
        if address.relay is None and not address.addresses:
            return None
        number = said.made or max(1, found.seq)
        self._peers.learn(address, number)
        return Sighting(address, number, said.made is not None or number > MICROSECONDS)

    def _note_friends(self, now: float) -> None:
        """Friends of whom nothing is known are looked up at once, the others unless they answer soon."""
        if not self._look_at_friends:
            return
        self._look_at_friends = False
        for peer in self._seeking.wanted():
            if not self._peers.awaits(peer):
                self._seeking.drop(peer)
        for contact in self._trust.contacts():
            if self._peers.is_friend(contact.peer) and self._peers.session(contact.peer) is None:
                known = self._peers.addresses(contact.peer)
                nowhere = not known.addresses and known.relay is None
                self._seeking.want(contact.peer, now, 0.0 if nowhere else DIAL_FIRST)

    def _missed(self, peer: PeerId) -> None:
        if self._peers.session(peer) is None and self._peers.awaits(peer):
            self._seeking.want(peer, self._clock())
            self._woken.set()
        elif peer in self._seeking.wanted():
            self._seeking.drop(peer)

    def _session(self, session: Session, up: bool) -> None:
        if up:
            self._seeking.drop(session.peer)
            if session.peer in self._looking:
                self._looking[session.peer].enough.set()
        elif self._peers.session(session.peer) is None and self._peers.is_friend(session.peer):
            self._seeking.want(session.peer, self._clock(), DIAL_FIRST)
            self._woken.set()

    def _trust_changed(self) -> None:
        self._look_at_friends = True
        self._woken.set()

    def _moved(self) -> None:
        now = self._clock()
        self._seeking.hurry(now)
        for way in self._ways:
            way.publishing.hurry(now)
        self._woken.set()


@contextlib.asynccontextmanager
async def _closing(answers: AsyncIterator[Found]) -> AsyncIterator[AsyncIterator[Found]]:
    """A generator that is left early ends now, and not when the collector comes."""
    try:
        yield answers
    finally:
        close = getattr(answers, "aclose", None)
        if close is not None:
            await close()
