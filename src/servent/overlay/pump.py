"""Drives one Member in a node: gives it messages and time, carries out what it wants. A shell.

A simulation drives the same Member in its own way; nothing here decides anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from servent.errors import BadMessage, ServentError
from servent.identity import PeerId
from servent.overlay import wire
from servent.overlay.effects import (
    Asked,
    Bootstrap,
    Counts,
    DialBack,
    Discard,
    Effect,
    Find,
    Finding,
    Hold,
    Keep,
    Learn,
    Load,
    Prove,
    Release,
    Send,
    Tell,
)
from servent.overlay.links_service import LaneName
from servent.overlay.member import Member
from servent.overlay.records import Item, PeerRecord, Slice
from servent.overlay.wire import Posting
from servent.trust.views import NetworkView

log = logging.getLogger(__name__)

ACQUAINT = 8  # of those who are connected that are asked for their records at once
STEP = 0.005  # s, the shortest time between two ticks of a member
AFTER_A_BUG = 1.0  # s until it is ticked again
MINUTE = 60.0
ASKED_FOR: tuple[type, ...] = (
    wire.Question,
    wire.Found,
    wire.Cancel,
    wire.AskProof,
    wire.Proof,
    wire.AskPeer,
    wire.PeerIs,
    wire.Publish,
    wire.Store,
)  # what somebody wants done; all else is the cost of being there


class ItemStore(Protocol):
    """What is kept for others; `overlay.items_service` keeps it in SQLite."""

    @property
    def crowded(self) -> bool:
        """Whether who brings more to keep has to wait."""
        ...

    async def totals(self, network: bytes) -> tuple[int, int, int]:
        """Items kept as a home, as a keyed supernode, and postings."""
        ...

    async def keep(self, network: bytes, effect: Keep) -> None: ...

    async def discard(self, network: bytes, effect: Discard) -> None: ...

    async def find(self, network: bytes, effect: Find) -> tuple[Sequence[Any], bool]:
        """What was found, and whether there is more."""
        ...

    async def count(self, network: bytes, effect: Counts) -> tuple[Sequence[int], int]:
        """How many items have each of the words, and how many there are at all."""
        ...

    async def load(self, network: bytes, effect: Load) -> tuple[Slice | None, Sequence[Posting]]:
        """A batch as it is kept; None when it is not."""
        ...


class House(Protocol):
    """What a pump asks of the overlay it belongs to."""

    @property
    def items(self) -> ItemStore: ...

    def send(self, network: bytes, to: PeerId, message: wire.Message, lane: LaneName) -> None: ...

    def hold(self, network: bytes, peer: PeerId, wanted: bool) -> None: ...

    def learn(self, record: PeerRecord) -> None: ...

    def bootstrap(self, network: bytes) -> None: ...

    def told(self, network: bytes, event: object) -> None: ...

    def fault(self, peer: PeerId, what: str) -> None: ...

    async def prove(self, publisher: PeerId, item: Item) -> bool | None: ...

    async def dial_back(self, peer: PeerId, addresses: Sequence[str]) -> str | None: ...

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None: ...


class Pump:
    """One network of ours.

    Attributes:
        view: the network as trust has it.
        member: the core.
    """

    def __init__(self, view: NetworkView, member: Member, house: House) -> None:
        self.view, self.member, self._house = view, member, house
        self.network = view.key
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._closed = False
        self._linked: set[PeerId] = set()
        self._held: set[PeerId] = set()
        self._busy = False
        self._waiting: deque[Effect] = deque()
        self._control: deque[float] = deque(maxlen=4096)  # when control messages were sent
        self.stored = (0, 0)  # items and postings kept for others, as counted last
        self.questions = self.mine = 0  # of others, and of our own

    # -- what happens

    def receive(self, peer: PeerId, message: wire.Message) -> None:
        """A message of a peer that is in this network."""
        self.up(peer)  # its proof may have come this very moment
        if isinstance(message, wire.Here):
            self._here(peer, message)
            return
        if isinstance(message, wire.Question):
            self.questions += 1
        self._guarded(f"a {type(message).__name__} of {peer.short}", self.member.receive, peer, message)

    def up(self, peer: PeerId) -> None:
        """There is a connection with `peer`, and it proved to be in this network. Said twice is said once."""
        if peer not in self._linked:
            self._linked.add(peer)
            self._guarded("a peer that came", self.member.up, peer)
            if not self.member.topics.neighbours():
                self.acquaint()

    def acquaint(self) -> None:
        """Ask some of those who are connected for their records: a member begins at records."""
        me, now = self.member.context, self._loop.time()
        unknown = [peer for peer in self._linked if me.peers.get(peer, now) is None]
        for peer in unknown[:ACQUAINT]:
            self._house.send(self.network, peer, wire.Here(me.record, True), "now")
        known = [record for peer in self._linked if (record := me.peers.get(peer, now)) is not None]
        if known:
            self._guarded("records of those who are connected", self.member.join, known)

    def _here(self, peer: PeerId, message: wire.Here) -> None:
        me = self.member.context
        if message.record.key != peer:
            self._house.fault(peer, "says that it is somebody else")
            return
        try:
            me.know(message.record, self._loop.time())
        except BadMessage as wrong:
            self._house.fault(peer, str(wrong))
            return
        if message.ask:
            self._house.send(self.network, peer, wire.Here(me.record), "now")
        if len(self.member.topics.neighbours()) < me.settings.view.active:
            self._guarded("a record", self.member.join, [message.record])

    def down(self, peer: PeerId) -> None:
        if peer in self._linked:
            self._linked.discard(peer)
            self._guarded("a peer that left", self.member.down, peer)

    def failed(self, peer: PeerId) -> None:
        self._guarded("a peer that is not reached", self.member.failed, peer)

    @property
    def linked(self) -> frozenset[PeerId]:
        """Members with a connection."""
        return frozenset(self._linked)

    @property
    def held(self) -> frozenset[PeerId]:
        """Whom the member wants a connection with."""
        return frozenset(self._held)

    def record_of(self, peer: PeerId) -> PeerRecord | None:
        """What is known here of where `peer` is."""
        now = self._loop.time()
        known = self.member.context.peers.get(peer, now)
        supernode = self.member.directory.get(peer, now)
        if supernode is not None and (known is None or supernode.peer.seq > known.seq):
            return supernode.peer
        return known

    def call(self, what: Callable[..., Iterable[Effect]], *arguments: Any) -> None:
        """Tell the member something: `what(*arguments, now)` and what follows from it. Raises what it raises."""
        if not self._closed:
            self.do(what(*arguments, self._loop.time()))

    def do(self, effects: Iterable[Effect]) -> None:
        """Carry these out, and then those that follow from them, in order."""
        self._waiting.extend(effects)
        if self._busy:
            return
        self._busy = True
        try:
            while self._waiting:
                self._carry_out(self._waiting.popleft())
        finally:
            self._busy = False
        self._blame()
        self._schedule()

    def _guarded(self, what: str, act: Callable[..., Iterable[Effect]], *arguments: Any) -> None:
        """A bug that a peer's message shows ends with that message."""
        if self._closed:
            return
        try:
            effects = act(*arguments, self._loop.time())
        except Exception:
            log.exception("%s: %s met a bug here", self.view.name, what)
            return
        self.do(effects)

    def _blame(self) -> None:
        faults = self.member.faults
        while faults:
            self._house.fault(*faults.pop(0))

    # -- time

    def _schedule(self) -> None:
        due = self.member.next_tick()
        if due is None or self._closed:
            return
        due = max(due, self._loop.time() + STEP)
        if self._timer is not None:
            if self._timer_at <= due:
                return  # it wakes early enough, and looks again then
            self._timer.cancel()
        self._timer_at = due
        self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._closed:
            return
        try:
            effects = self.member.tick(self._loop.time())
        except Exception:
            log.exception("%s: the overlay met a bug", self.view.name)
            self._timer_at = self._loop.time() + AFTER_A_BUG
            self._timer = self._loop.call_at(self._timer_at, self._tick)
            return
        self.do(effects)

    # -- what it wants

    def _carry_out(self, effect: Effect) -> None:
        house = self._house
        match effect:
            case Send(to, message, lane):
                if not isinstance(message, ASKED_FOR):
                    self._control.append(self._loop.time())
                house.send(self.network, to, message, lane)
            case Learn(record):
                house.learn(record)
            case Hold(peer):
                self._held.add(peer)
                house.hold(self.network, peer, True)
            case Release(peer):
                self._held.discard(peer)
                house.hold(self.network, peer, False)
            case Bootstrap():
                house.bootstrap(self.network)
            case Tell(event):
                if isinstance(event, Finding | Asked):
                    event = replace(event, network=self.network)
                house.told(self.network, event)
            case Keep() | Discard():
                house.spawn(self._store(effect), f"{self.view.name}: keep items")
            case Find() | Counts() | Load() | Prove() | DialBack():
                house.spawn(self._answer(effect), f"{self.view.name}: look something up")

    async def _store(self, effect: Keep | Discard) -> None:
        if isinstance(effect, Keep):
            await self._house.items.keep(self.network, effect)
        else:
            await self._house.items.discard(self.network, effect)

    async def _answer(self, effect: Find | Counts | Load | Prove | DialBack) -> None:
        """Effects with a token: what was found goes back to the member, an error as nothing found."""
        answer: tuple[object, ...]
        try:
            match effect:
                case Find():
                    answer = await self._house.items.find(self.network, effect)
                case Counts():
                    answer = await self._house.items.count(self.network, effect)
                case Load():
                    answer = await self._house.items.load(self.network, effect)
                case Prove(_, publisher, item):
                    answer = (await self._house.prove(publisher, item),)
                case DialBack(_, peer, addresses):
                    answer = (await self._house.dial_back(peer, addresses),)
        except ServentError as error:
            log.warning("%s: %s", self.view.name, error)
            answer = _nothing(effect)
        if not self._closed:
            now = self._loop.time()
            self._guarded(
                f"an answer to {type(effect).__name__}",
                lambda _: self.member.answered(effect.token, *answer, now=now),
            )

    # -- for the face

    def control_per_minute(self) -> int:
        """Messages sent in the last minute that nobody asked for: the cost of being there."""
        since = self._loop.time() - MINUTE
        while self._control and self._control[0] < since:
            self._control.popleft()
        return len(self._control)

    def close(self) -> None:
        """Say goodbye, as far as the connections still carry it."""
        if self._closed:
            return
        try:
            self.do(self.member.close(self._loop.time()))
        except Exception:
            log.exception("%s: closing met a bug", self.view.name)
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for peer in list(self._held):
            self._house.hold(self.network, peer, False)
        self._held.clear()


def _nothing(effect: Find | Counts | Load | Prove | DialBack) -> tuple[object, ...]:
    match effect:
        case Find():
            return [], False
        case Counts(_, terms):
            return [0] * len(terms), 0
        case Load():
            return None, ()
        case Prove():
            return (None,)
        case DialBack():
            return (None,)
