"""Searching: the own library and every connected peer at once, folded into one answer that grows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from servent.errors import ServentError, UsageError
from servent.identity import PeerId
from servent.net.peers import Peers
from servent.overlay import wire as overlay
from servent.query import language
from servent.query.language import Query
from servent.share import asking_service as asking
from servent.share import local, wire
from servent.share.answering_service import Shown
from servent.share.folding import Fold, Found, Hit, Standing, no_reason
from servent.store import Store
from servent.tasks import begin

log = logging.getLogger(__name__)

Scope = Literal["all", "library", "peers", "networks"]
Hides = Callable[[bytes, str, str, int], str]
Known = Callable[[Sequence[bytes]], Awaitable[set[bytes]]]
MOST_SEARCHES = 32  # at once
MOST_PEERS = 200  # asked by one search; whoever has more connections has enough answers
FEW_PEERS = (
    32  # so many are all asked themselves; of more, those whose networks cannot answer for them, and friends
)


@dataclass(frozen=True, slots=True)
class Told:
    """A peer has answered, or will not: `reason` then says why. `asked`, `answered`: of all."""

    peer: PeerId
    name: str
    hits: int
    more: bool
    reason: str
    asked: int
    answered: int


@dataclass(frozen=True, slots=True)
class Done:
    """The end, always last. `more`: there is more than was asked for."""

    asked: int
    answered: int
    hits: int
    more: bool
    took: float


@dataclass(frozen=True, slots=True)
class Networked:
    """How far the search through one network is; the last has `over`.

    Attributes:
        asked, answered: supernodes.
        messages: it cost the network so far.
        sampled: more answers it than anybody keeps.
        reason: why nothing, or not all, could be asked.
    """

    network: str
    asked: int
    answered: int
    messages: int
    over: bool = False
    sampled: bool = False
    reason: str = ""


Event = Hit | Told | Networked | Done


class Sink(Protocol):
    """Where finders put what they find."""

    def asked(self, peer: PeerId, name: str = "") -> None:
        """This peer is going to answer, or `answered` says why not."""
        ...

    def found(self, at: Standing, found: Sequence[Found]) -> None:
        """Some of what one peer has."""
        ...

    def answered(self, peer: PeerId, more: bool = False, reason: str = "") -> None:
        """That was all of this peer."""
        ...

    def networked(self, how: Networked) -> None:
        """How far a network has been searched."""
        ...


@dataclass(frozen=True, slots=True)
class Only:
    """Whom to ask alone: this peer; or those of this network, by its key."""

    peer: PeerId | None = None
    network: bytes | None = None


EVERYBODY = Only()


class Finder(Protocol):
    """A way to find: the own library, connected peers, and whatever knows more of the world.

    `find` puts hits into the sink as they come, and returns when no more will; it is cancelled when nobody waits for
    it any more. It raises nothing: what goes wrong with a peer is that peer's `answered`.
    """

    async def find(self, wanted: Query, limit: int, sink: Sink, only: Only = EVERYBODY) -> None: ...


class LocalFinder:
    """The own library."""

    def __init__(self, me: PeerId, store: Store, shown: Shown) -> None:
        self._me, self._store, self._shown = me, store, shown

    async def find(self, wanted: Query, limit: int, sink: Sink, only: Only = EVERYBODY) -> None:
        """All shelves, whoever may see them."""
        if only.peer not in (None, self._me):
            return
        sink.asked(self._me)
        try:
            finds = await self._store.read(local.search(wanted, self._shown(None), limit, everything=True))
        except ServentError as wrong:
            sink.answered(self._me, reason=str(wrong))
            return
        sink.found(Standing(self._me, mine=True, free=True), finds.found)
        sink.answered(self._me, finds.more)


class PeersFinder:
    """Everyone we are connected to now and who answers such questions."""

    def __init__(self, peers: Peers, friend: Callable[[PeerId], bool], name: Callable[[PeerId], str]) -> None:
        self._peers, self._friend, self._name = peers, friend, name

    def whom(self, only: Only = EVERYBODY) -> list[PeerId]:
        """Those who would be asked; friends first."""
        if only.peer is not None:
            return [only.peer]
        sessions = [
            one
            for one in self._peers.sessions()
            if not one.verdict.guest
            and wire.SERVICE in one.profile.services
            and (only.network is None or only.network in one.verdict.networks)
        ]
        if len(sessions) > FEW_PEERS:
            sessions = [
                one
                for one in sessions
                if self._friend(one.peer) or overlay.SERVICE not in one.profile.services
            ]
        return sorted((one.peer for one in sessions), key=lambda peer: not self._friend(peer))[:MOST_PEERS]

    async def find(self, wanted: Query, limit: int, sink: Sink, only: Only = EVERYBODY) -> None:
        """All at once."""
        if only.peer == self._peers.peer:
            return
        whom = self.whom(only)
        for peer in whom:
            sink.asked(peer, self._name(peer))
        async with asyncio.TaskGroup() as tasks:
            for peer in whom:
                tasks.create_task(self._ask(peer, wanted, limit, sink), name=f"search at {peer.short}")

    async def _ask(self, peer: PeerId, wanted: Query, limit: int, sink: Sink) -> None:
        friend, name = self._friend(peer), self._name(peer)

        def take(found: list[Found], free: bool, queue: int) -> None:
            sink.found(Standing(peer, name, friend=friend, free=free, queue=queue, reachable=True), found)

        question = wire.Search(wanted.text, min(limit, wire.MOST_HITS))
        try:
            more = await asking.finds(self._peers, peer, question, wanted, take)
        except (ServentError, TimeoutError) as wrong:
            sink.answered(peer, reason=str(wrong) or "no answer in time")
        else:
            sink.answered(peer, more)


class _Search:
    """One search under way: the sink of its finders, and the queue its reader takes from."""

    def __init__(
        self, me: PeerId, wanted: Query, limit: int, hides: Hides, clock: Callable[[], float]
    ) -> None:
        self._me = me  # the own library is no peer
        self.wanted, self.limit = wanted, limit
        self._fold = Fold(limit, hides)
        self._changed: dict[bytes, None] = {}  # hits to tell, each once
        self._told: list[Told] = []
        self._networks: dict[str, Networked] = {}  # those not told yet
        self._asked: dict[PeerId, int] = {}  # finds so far
        self._names: dict[PeerId, str] = {}
        self._answered: set[PeerId] = set()
        self._clock, self._began = clock, clock()
        self._more = self._over = False
        self._wake = asyncio.Event()
        self.unknown: set[bytes] = set()  # contents whose place in the own library was not looked up

    # -- Sink

    def asked(self, peer: PeerId, name: str = "") -> None:
        self._asked.setdefault(peer, 0)
        self._names[peer] = name

    def found(self, at: Standing, found: Sequence[Found]) -> None:
        changed = self._fold.add(at, found)
        self._changed.update(dict.fromkeys(changed))
        if not at.mine:
            self.unknown.update(changed)
        if not at.network:  # who is only said to have it was not asked
            self._asked[at.peer] = self._asked.get(at.peer, 0) + len(found)
        self._wake.set()

    def networked(self, how: Networked) -> None:
        self._networks[how.network] = how
        self._more |= how.sampled
        self._wake.set()

    def answered(self, peer: PeerId, more: bool = False, reason: str = "") -> None:
        if peer in self._answered:
            return
        self._answered.add(peer)
        self._more |= more
        count, name = self._asked.setdefault(peer, 0), self._names.get(peer, "")
        self._told.append(Told(peer, name, count, more, reason, *self._counts()))
        self._wake.set()

    def _counts(self) -> tuple[int, int]:
        """Peers that were asked, and that have answered."""
        return len(self._asked.keys() - {self._me}), len(self._answered - {self._me})

    def late(self, wait: float) -> None:
        """Whoever has not answered will not."""
        for peer in self._asked.keys() - self._answered:
            name, hits = self._names.get(peer, ""), self._asked[peer]
            reason = f"no answer in {wait:g} s" if not hits else f"not all in {wait:g} s"
            self._told.append(Told(peer, name, hits, True, reason, *self._counts()))

    # -- its reader

    def end(self) -> None:
        """Nothing more will come."""
        self._over = True
        self._wake.set()

    async def wait(self) -> bool:
        """Until something is there. False: that is all."""
        while not self._changed and not self._told and not self._networks:
            if self._over:
                return False
            self._wake.clear()
            await self._wake.wait()
        return True

    def have(self, contents: set[bytes]) -> None:
        self._fold.have(contents)

    def take(self) -> list[Event]:
        """What is new since the last time; best hits first. A hit that changed twice is told once."""
        hits = sorted((self._fold.hit(one) for one in self._changed), key=lambda hit: (-hit.score, hit.name))
        events: list[Event] = [*hits, *self._told, *self._networks.values()]
        self._changed.clear()
        self._told.clear()
        self._networks.clear()
        return events

    def done(self) -> Done:
        took = self._clock() - self._began
        more = self._more or self._fold.more
        return Done(*self._counts(), len(self._fold), more, took)


class Search:
    """Owns the searches under way. `run` it in a task.

    Args:
        friend, name: of a peer.
        resolve: whom a person means by what they typed; raises NotFound, UsageError.
        hides: why a find is not shown.
        known: which contents this machine has.
    """

    def __init__(
        self,
        peers: Peers,
        store: Store,
        shown: Shown,
        *,
        known: Known,
        friend: Callable[[PeerId], bool],
        name: Callable[[PeerId], str],
        resolve: Callable[[str], PeerId],
        hides: Hides = no_reason,
    ) -> None:
        self._store, self._shown, self._resolve, self._hides = store, shown, resolve, hides
        self._me, self._known = peers.peer, known
        self._local = LocalFinder(peers.peer, store, shown)
        self.connected = PeersFinder(peers, friend, name)
        self._finders: list[Finder] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._open = 0
        self._gained: list[Callable[[], None]] = []
        self._clock = asyncio.get_running_loop().time

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    def add_finder(self, finder: Finder) -> None:
        """Ask this one, too, whenever others are searched."""
        self._finders.append(finder)

    def on_new(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop when the own index may have gained files; at most about twice a second."""
        self._gained.append(callback)

    def gained(self) -> None:
        """The own index has gained files."""
        for callback in self._gained:
            callback()

    def whom(self) -> list[PeerId]:
        """The connected peers that a search would ask now."""
        return self.connected.whom()

    async def local(self, text: str, limit: int = 100) -> list[Hit]:
        """The own library's hits, best first. Raises QueryError."""
        wanted = language.parse(text)
        finds = await self._store.read(local.search(wanted, self._shown(None), limit, everything=True))
        fold = Fold(limit, self._hides)
        fold.add(Standing(self._me, mine=True, free=True), finds.found)
        return fold.ranked()

    async def search(
        self,
        text: str,
        *,
        scope: Scope = "all",
        peer: str = "",
        network: bytes | None = None,
        limit: int = 500,
        wait: float = 8.0,
    ) -> AsyncGenerator[Event]:
        """Hits as they come; a content that comes again replaces its earlier hit. `Done` is last.

        Args:
            scope: "peers": everybody but ourselves; "networks": only what supernodes know.
            peer: only there; as a person types it. `peer:` in the text means the same.
            network: of others, only members of this one, by its key.
            limit: contents.
            wait: seconds for peers to answer.

        Raises:
            QueryError, NotFound, UsageError: before the first event. Closing the iterator ends the search everywhere.
        """
        wanted = language.parse(text)
        named = peer or wanted.peer
        only = Only(self._resolve(named) if named else None, network)
        if self._open >= MOST_SEARCHES:
            raise UsageError(f"{MOST_SEARCHES} searches are under way", advice="Wait for one of them to end.")
        one = _Search(self._me, wanted, limit, self._hides, self._clock)
        task = begin(self._tasks, self._work(one, scope, only, wait), "search")
        if task is None:
            raise UsageError("the node is stopping")
        self._open += 1
        try:
            while await one.wait():
                if unknown := list(one.unknown):
                    one.unknown.clear()
                    one.have(await self._known(unknown))
                for event in one.take():
                    yield event
            yield one.done()
        finally:
            self._open -= 1
            task.cancel()

    async def _work(self, one: _Search, scope: Scope, only: Only, wait: float) -> None:
        finders: list[Finder] = [self._local] if scope in ("all", "library") else []
        finders += [self.connected] if scope in ("all", "peers") else []
        finders += self._finders if scope != "library" else []
        try:
            async with asyncio.timeout(wait), asyncio.TaskGroup() as tasks:
                for finder in finders:
                    tasks.create_task(finder.find(one.wanted, one.limit, one, only), name="find")
        except TimeoutError:
            one.late(wait)
        except Exception:
            log.exception("a search broke off")  # the node goes on; what was found is told
        finally:
            one.end()
