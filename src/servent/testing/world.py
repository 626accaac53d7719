"""Whole members of a network in virtual time: the very cores that a node runs, ten thousand of them in one process.

What a node's shell does for its member, the world does for all: bootstrapping, renewing its record, measuring the
machine, its store, dial-backs, proofs. See `ether` for connections, `hosts` for machines, `liars` for hostile ones.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.effects import (
    Asked,
    Bootstrap,
    Counts,
    DialBack,
    Discard,
    Find,
    Finding,
    Keep,
    Learn,
    Load,
    Prove,
    RoleChanged,
    Tell,
)
from servent.overlay.member import Member
from servent.overlay.records import Item, NatKind, PeerRecord
from servent.overlay.settings import OverlaySettings
from servent.overlay.topology import Topology, Wish
from servent.testing.ether import CALL, DIAL_FAILS, NEVER, Delays, Ether
from servent.testing.hosts import NATS, OPEN, Host, Nursery
from servent.testing.shelf import Shelf

if TYPE_CHECKING:
    from servent.testing.liars import Liar

EPOCH = 1_790_000_000.0  # the wall clock when a world begins
KNOWN = 12  # peers that rendezvous providers tell of
TOLD = 4  # of those, to one who asks
FOUND_AFTER = 0.5  # s, an answer of a provider
REFRESHED = 60.0  # s, how old the providers' list may be
MEASURED = 60.0  # s between two words of a shell on its machine
SWEPT = 60.0  # s
CHECKED = 500_000  # records that are remembered to hold


@dataclass(slots=True)
class Search:
    """One question, as whoever asked sees it. Times on the world's clock; NEVER for not yet.

    Attributes:
        want: the content that must be found; `got` when it came, `first` when anything came.
        messages: as the answers count them. found: contents, each with who has it.
    """

    asked: float
    want: bytes | None = None
    first: float = NEVER
    got: float = NEVER
    over: float = NEVER
    messages: int = 0
    layer: int = 0
    sampled: bool = False
    reason: str = ""
    found: dict[bytes, set[PeerId]] = field(default_factory=lambda: defaultdict(set))


class World(Ether):
    """Same seed, same history.

    Args:
        nats: shares of the kinds of NAT; see `hosts.NATS`.
        open: whether anybody may join, so that ring positions follow from addresses.

    Attributes:
        on_tell: called with what members tell their node, besides roles and finds.
        proves: whether a host can show a block of an item when asked.
        roles: (when, who, whether it took the role or laid it down).
        faults: what members blame others for, in words, and how often.
    """

    def __init__(
        self,
        seed: int,
        topology: Topology,
        *,
        settings: OverlaySettings | None = None,
        delays: Delays | None = None,
        nats: Sequence[tuple[NatKind, float]] = NATS,
        open: bool = True,
        books: bool = False,
        over_the_wire: bool = False,
    ) -> None:
        super().__init__(seed, delays, books=books, over_the_wire=over_the_wire)
        self.network = b"world".ljust(32, b".")
        self.topology, self.settings, self.open = topology, settings or OverlaySettings(), open
        self.members_dice = random.Random(seed + 1)
        self.nursery = Nursery(seed, self.network, nats)
        self.on_tell: Callable[[Host, object], None] | None = None
        self.proves: Callable[[Host, Item], bool] = lambda host, item: True
        self.searches: dict[tuple[Host, int], Search] = {}
        self.roles: list[tuple[float, Host, bool]] = []
        self.faults: Counter[str] = Counter()
        self._known: list[Host] = []
        self._known_at = -NEVER
        self.carries(Learn, self._learn)
        self.carries(Bootstrap, lambda host, _: self._bootstrap(host))
        for store in (Keep, Discard, Find, Counts, Load):
            self.carries(store, self._store)
        self.carries(Prove, self._prove)
        self.carries(DialBack, self._dial_back)
        self.carries(Tell, self._tell)
        self.at(SWEPT, self._sweep)

    # -- who is there

    def add(
        self,
        *,
        nat: NatKind | None = None,
        block: str | None = None,
        key: PeerId | None = None,
        wish: Wish = "auto",
        items: Sequence[Item] = (),
        liar: Liar | None = None,
        uptime: float = 0.0,
        contacts: Iterable[PeerRecord] | None = None,
    ) -> Host:
        """A newcomer, now.

        Args:
            uptime: how long its node runs already, of which only its shell knows.
            contacts: where it begins; None: it asks the providers.
        """
        host = self.nursery.make(nat=nat, block=block, key=key)
        host.items, host.liar, host.came, host.since = items, liar, self.now, self.now - uptime
        host.history = max(host.history, uptime)
        host.book = set() if self.books else None
        host.sign(self.network, self.wall(), self.settings.record_lifetime)
        context = Context(
            host.key, self.network, self.members_dice, host.seal, self.wall, _anybody, host.record,
            self.open, self.settings,
        )  # fmt: skip
        host.member = Member(context, self.topology, wish)
        host.alive = True
        self.hosts.append(host)
        self.by_key[host.key] = host
        self._measure(host, None)
        if items:
            self.act(host, host.member.homes.publish(items, self.now))
        if contacts is None:
            self._bootstrap(host)
        else:
            self._join(host, list(contacts))
        self._renew_later(host)
        return host

    def crash(self, host: Host) -> None:
        """It is gone, and says nothing."""
        if host.alive:
            self.cut(host, polite=False)
            self._bury(host)

    def leave(self, host: Host) -> None:
        """It goes, and says so."""
        if host.alive:
            self._do(host, host.member.close(self.now))
            self.cut(host, polite=True)
            self._bury(host)

    def _bury(self, host: Host) -> None:
        host.alive = False
        host.shelf = None
        host.member = None  # type: ignore[assignment]

    def living(self) -> list[Host]:
        return [host for host in self.hosts if host.alive]

    def supernodes(self) -> list[Host]:
        return [host for host in self.hosts if host.alive and host.member.election.index]

    def move(self, host: Host, block: str) -> None:
        """Its address is another: a new record; connections live on, as QUIC's do."""
        host.address = f"{block}.{self.dice.randrange(1, 255)}:{self.dice.randrange(20_000, 60_000)}"
        self._renew(host)

    def shape(self, topology: Topology) -> None:
        """The network's signed settings are others now, and everybody heard of it."""
        self.topology = topology
        for host in self.living():
            self.act(host, host.member.shape(topology, host.member.wish, self.now))

    def wall(self) -> float:
        """The wall clock that all members see."""
        return EPOCH + self.now

    # -- questions

    def ask(self, host: Host, text: str, *, want: bytes | None = None, limit: int = 50) -> Search:
        """`host` asks; what comes is in what is returned."""
        number, effects = host.member.asking.search(text, self.now, limit=limit)
        return self._asked(host, number, want, effects)

    def ask_who_has(self, host: Host, content: bytes) -> Search:
        """`host` looks for sources of a content."""
        number, effects = host.member.asking.who_has(content, self.now)
        return self._asked(host, number, content, effects)

    def _asked(self, host: Host, number: int, want: bytes | None, effects: Iterable[object]) -> Search:
        search = self.searches[host, number] = Search(self.now, want)
        self.act(host, effects)  # type: ignore[arg-type]
        return search

    # -- what shells do

    def _sweep(self) -> None:
        self.sweep()
        if len(self.nursery.checked) > CHECKED:
            self.nursery.checked.clear()
        for host in self.hosts:
            if host.alive and host.member.faults:
                self.faults.update(what for _, what in host.member.faults)
                host.member.faults.clear()
        self.at(self.now + SWEPT, self._sweep)

    def _learn(self, host: Host, effect: object) -> None:
        if host.book is not None:
            host.book.add(effect.record.key)  # type: ignore[attr-defined]

    def _bootstrap(self, host: Host) -> None:
        if self.now - self._known_at >= REFRESHED or len(self._known) < TOLD:
            self._known = self.dice.sample(well := self.supernodes() or self.living(), min(KNOWN, len(well)))
            self._known_at = self.now
        told = self.dice.sample(self._known, min(TOLD, len(self._known)))
        records = [one.record for one in told if one is not host]
        self._push(self.now + FOUND_AFTER, CALL, host, self._join, records)

    def _join(self, host: Host, records: list[PeerRecord]) -> None:
        if host.alive:
            if host.book is not None:
                host.book.update(PeerId(record.key) for record in records)
            self.act(host, host.member.join(records, self.now))

    def _measure(self, host: Host, _more: object) -> None:
        if host.alive:
            self.act(host, host.member.measured(host.measured(self.now), self.now))
            self._push(self.now + MEASURED * self.dice.uniform(0.9, 1.1), CALL, host, self._measure, None)

    def _renew_later(self, host: Host) -> None:
        after = self.settings.record_lifetime * self.dice.uniform(0.4, 0.6)
        self._push(self.now + after, CALL, host, self._renew_again, None)

    def _renew_again(self, host: Host, _more: object) -> None:
        if host.alive:
            self._renew(host)
            self._renew_later(host)

    def _renew(self, host: Host) -> None:
        roles = ("index",) if host.member.election.index else ()
        record = host.sign(self.network, self.wall(), self.settings.record_lifetime, roles)
        self.act(host, host.member.moved(record, self.now))

    # -- effects that are answered

    def _store(self, host: Host, effect: object) -> None:
        shelf = host.shelf
        if shelf is None:
            shelf = host.shelf = Shelf(self.settings.home)
        answer = shelf.do(effect)  # type: ignore[arg-type]
        if answer is not None:
            self._do(host, host.member.answered(effect.token, *answer, now=self.now))  # type: ignore[attr-defined]

    def _prove(self, host: Host, effect: object) -> None:
        publisher = self.by_key.get(effect.publisher)  # type: ignore[attr-defined]
        if publisher is None or not publisher.alive or publisher.side != host.side:
            self._later(host, effect.token, DIAL_FAILS, None)  # type: ignore[attr-defined]
            return
        proven = self.proves(publisher, effect.item)  # type: ignore[attr-defined]
        self._later(host, effect.token, 4 * self.delay(host, publisher), proven)  # type: ignore[attr-defined]

    def _dial_back(self, host: Host, effect: object) -> None:
        """From a fresh socket, without a relay: only an address that a stranger reaches."""
        target = self.by_key.get(effect.peer)  # type: ignore[attr-defined]
        there = target is not None and target.alive and target.side == host.side and target.nat in OPEN
        if target is None or not there or target.address not in effect.addresses:  # type: ignore[attr-defined]
            self._later(host, effect.token, DIAL_FAILS, "")  # type: ignore[attr-defined]
            return
        self._later(host, effect.token, 3 * self.delay(host, target), target.address)  # type: ignore[attr-defined]

    def _later(self, host: Host, token: int, after: float, answer: object) -> None:
        self._push(self.now + after, CALL, host, self._answer, (token, answer))

    def _answer(self, host: Host, answer: tuple[int, object]) -> None:
        if host.alive:
            token, value = answer
            self.act(host, host.member.answered(token, value, now=self.now))

    def _tell(self, host: Host, effect: object) -> None:
        event = effect.event  # type: ignore[attr-defined]
        kind = type(event)
        if kind is Finding:
            search = self.searches.get((host, event.search))
            if search is not None:
                self._found(search, event)
        elif kind is Asked:
            search = self.searches.get((host, event.search))
            if search is not None:
                search.messages, search.sampled = event.messages, event.sampled or search.sampled
                if event.over:
                    search.over, search.reason = self.now, event.reason
                    del self.searches[host, event.search]
        elif kind is RoleChanged:
            self.roles.append((self.now, host, event.index))
            self._push(self.now, CALL, host, self._renew_now, None)
        if self.on_tell is not None:
            self.on_tell(host, event)

    def _renew_now(self, host: Host, _more: object) -> None:
        if host.alive:
            self._renew(host)

    def _found(self, search: Search, event: Finding) -> None:
        if event.found and search.first == NEVER:
            search.first = self.now
        for publisher, item in event.found:
            search.found[item.content].add(publisher)
            if item.content == search.want and search.got == NEVER:
                search.got, search.layer = self.now, event.layer


def _anybody(_key: bytes) -> bool:
    return True
