"""Many peers with a directory and an election each, and homes that are no more than a number: virtual time, one heap."""

from __future__ import annotations

import heapq
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from servent.codec import encode
from servent.errors import BadMessage
from servent.identity import PeerId
from servent.overlay.directory import Directory
from servent.overlay.effects import DialBack, Effect, RoleChanged, Send, Tell
from servent.overlay.election import Abilities, Election
from servent.overlay.placement import block_of
from servent.overlay.settings import OverlaySettings
from servent.overlay.topology import Topology, Wish
from servent.overlay.wire import Message, messages
from tests.overlay.supernodes import address, context, peer_record
from tests.overlay.things import peer

STRONG = Abilities(
    session=40_000.0, average_session=30_000.0, up=2e6, memory=2 << 30, files=65_536, load=0.1, clock_off=0.5
)
HOMES = 2
DEAD = 3.0  # s until a message to a dead peer has failed


class One:
    """A peer. `reachable`: dial-backs succeed."""

    def __init__(
        self,
        number: int,
        topology: Topology,
        wish: Wish,
        reachable: bool,
        wall: Callable[[], float],
        settings: OverlaySettings,
        open: bool,
    ) -> None:
        self.number, self.key, self.reachable = number, peer(number), reachable
        self.context = context(number, wall=wall, settings=settings, open=open)
        self.directory = Directory(self.context, topology)
        self.election = Election(self.context, self.directory, topology, wish)
        self.parts = (self.directory, self.election)
        self.handlers = {**self.directory.handlers(), **self.election.handlers()}
        self.leaves: set[PeerId] = set()
        self.homes: set[PeerId] = set()
        self.directory.leaves = lambda: self.leaves
        self.alive = True
        self.looking = True
        self.wanted = float("inf")
        self.changes: list[tuple[float, bool]] = []


class Crowd:
    """Same seed, same history. `sent` counts messages by type; `by` each peer's."""

    def __init__(
        self,
        topology: Topology,
        seed: int = 0,
        *,
        settings: OverlaySettings | None = None,
        wall: float = 1e9,
        open: bool = False,
        loss: float = 0.0,
        wire: bool = False,
    ) -> None:
        self.topology, self.settings, self.open, self.loss = (
            topology,
            settings or OverlaySettings(),
            open,
            loss,
        )
        self.dice = random.Random(seed)
        self.now, self.wall, self.wire = 0.0, wall, wire
        self.peers: dict[PeerId, One] = {}
        self.sent: Counter[str] = Counter()
        self.by: Counter[PeerId] = Counter()
        self.bytes = 0
        self.faults: Counter[str] = Counter()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._links: dict[PeerId, set[PeerId]] = defaultdict(set)

    # -- who is there

    def join(
        self,
        number: int,
        abilities: Abilities = STRONG,
        *,
        wish: Wish = "auto",
        reachable: bool = True,
        degree: int = 5,
        skew: float = 0.0,
    ) -> One:
        """A new peer with some neighbours. `skew`: its clock is off by so many seconds."""
        one = One(
            number,
            self.topology,
            wish,
            reachable,
            lambda: self.wall + self.now + skew,
            self.settings,
            self.open,
        )
        alive = [key for key, other in self.peers.items() if other.alive]
        self.peers[one.key] = one
        self.do(one, one.election.measured(abilities, self.now))
        for key in self.dice.sample(alive, min(degree, len(alive))):
            self.link(one, self.peers[key])
        self._at(self.dice.uniform(0.0, 1.0), lambda: self._home(one))
        return one

    def link(self, one: One, other: One) -> None:
        for a, b in ((one, other), (other, one)):
            self._links[a.key].add(b.key)
            a.context.know(b.context.record, self.now)
            for part in a.parts:
                self.do(a, part.up(b.key, self.now))

    def kill(self, one: One) -> None:
        """It is gone without a word; links are noticed to be dead after 10 to 15 s."""
        one.alive = False
        for key in sorted(self._links.pop(one.key, set())):
            other = self.peers[key]
            self._links[key].discard(one.key)
            self._at(self.dice.uniform(10.0, 15.0), lambda other=other: self._down(other, one.key))  # type: ignore[misc]
        for key in sorted(one.leaves):
            self._lost(self.peers[key], one.key)

    def _down(self, other: One, key: PeerId) -> None:
        for part in other.parts:
            self.do(other, part.down(key, self.now))

    def shape(self, topology: Topology) -> None:
        self.topology = topology
        for one in list(self.peers.values()):
            if one.alive:
                self.do(one, one.directory.shape(topology, self.now))
                self.do(one, one.election.shape(topology, "auto", self.now))

    def serving(self) -> list[One]:
        return [
            one
            for one in self.peers.values()
            if one.alive and one.election.index and not one.election.retiring
        ]

    # -- time

    def run(self, until: float) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, call = heapq.heappop(self._heap)
            call()
        self.now = until

    def _at(self, after: float, call: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (self.now + after, self._order, call))

    def do(self, one: One, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self._send(one, effect.to, effect.message)
                case DialBack():
                    self._dial(one, effect)
                case Tell(RoleChanged() as changed):
                    one.changes.append((self.now, changed.index))
                    if not changed.index:
                        self._scatter(one)
        due = min((at for part in one.parts if (at := part.next_tick()) is not None), default=None)
        if due is not None and due < one.wanted:
            one.wanted = due
            self._at(max(0.0, due - self.now), lambda: self._tick(one, due))

    def _tick(self, one: One, due: float) -> None:
        if not one.alive or one.wanted != due:
            return
        one.wanted = float("inf")
        for part in one.parts:
            at = part.next_tick()
            if at is not None and at <= self.now:
                self.do(one, part.tick(self.now))
        self.do(one, [])

    def _send(self, one: One, to: PeerId, message: Message) -> None:
        assert to != one.key, "a message to itself"
        self.sent[type(message).__name__] += 1
        self.by[one.key] += 1
        if self.wire:
            body = encode(message)
            self.bytes += len(body)
            message = messages.decode(body)
        if self.dice.random() < self.loss:
            return
        other = self.peers.get(to)
        if other is None or not other.alive:
            self._at(DEAD, lambda: self._failed(one, to))
            return
        self._at(self.dice.uniform(0.02, 0.12), lambda: self._arrive(other, one.key, message))

    def _failed(self, one: One, to: PeerId) -> None:
        if one.alive:
            for part in one.parts:
                self.do(one, part.failed(to, self.now))

    def _arrive(self, one: One, sender: PeerId, message: Message) -> None:
        handler = one.handlers.get(type(message))
        if not one.alive or handler is None:
            return
        try:
            self.do(one, handler(sender, message, self.now))
        except BadMessage as wrong:
            self.faults[str(wrong)] += 1

    def _dial(self, one: One, effect: DialBack) -> None:
        other = self.peers.get(effect.peer)
        good = other is not None and other.alive and other.reachable
        known = other.context.record.addresses if other is not None else []
        found = next((where for where in effect.addresses if good and where in known), "")
        after = 0.3 if found else DEAD
        self._at(after, lambda: self.do(one, one.context.answered(effect.token, found, self.now)))

    # -- homes

    def _home(self, one: One) -> None:
        """A leaf without two homes asks a supernode it knows; a full one names others."""
        if not one.alive:
            return
        if one.election.index:
            self._at(5.0, lambda: self._home(one))
            return
        one.looking = len(one.homes) < HOMES
        if not one.looking:
            return
        known = [
            record
            for record in one.directory.records(self.now)
            if record.key not in one.homes and not one.directory.suspended(record.key, self.now)
        ]
        roomy = [record for record in known if record.leaves < record.room and not record.retiring] or known
        if roomy:
            target = self.peers[self.dice.choice(roomy).key]
            self._at(0.1, lambda: self._attach(one, target))
        self._at(self.dice.uniform(2.0, 4.0), lambda: self._home(one))

    def _lost(self, one: One, home: PeerId) -> None:
        one.homes.discard(home)
        if not one.looking:
            one.looking = True
            self._at(self.dice.uniform(0.5, 2.0), lambda: self._home(one))

    def _attach(self, one: One, home: One) -> None:
        if not home.alive:
            self._at(DEAD, lambda: self._failed(one, home.key))
            return
        own = home.directory.own
        if own is not None and not own.retiring and len(home.leaves) < own.room:
            home.leaves.add(one.key)
            one.homes.add(home.key)
            one.directory.put(own, self.now)
            self.do(home, home.election.leaves_are(len(home.leaves), self.now))
        elif own is not None:
            for key in home.directory.random(8, self.now):
                record = home.directory.get(key, self.now)
                if record is not None:
                    one.directory.put(record, self.now)
        self.do(one, [])

    def _scatter(self, one: One) -> None:
        others = [r for key in one.directory.random(8, self.now) if (r := one.directory.get(key, self.now))]
        for key in sorted(one.leaves):
            leaf = self.peers[key]
            self._lost(leaf, one.key)
            for record in others:
                leaf.directory.put(record, self.now)
            if one.directory.own is not None:
                leaf.directory.put(one.directory.own, self.now)
        one.leaves.clear()
        self.do(one, one.election.leaves_are(0, self.now))


def weak(dice: random.Random) -> Abilities:
    """What people's machines are like: one in five could carry the role."""
    good = dice.random() < 0.2
    return Abilities(
        session=dice.uniform(2000.0, 90_000.0) if good else dice.uniform(0.0, 1500.0),
        average_session=dice.uniform(7500.0, 90_000.0) if good else dice.uniform(600.0, 7000.0),
        up=dice.uniform(3e5, 6e6) if good else dice.uniform(3e4, 2e6),
        memory=dice.choice((1, 2, 4)) << 30,
        files=65_536,
        load=dice.random() / 2,
        clock_off=dice.uniform(-5.0, 5.0),
    )


__all__ = ["HOMES", "STRONG", "Crowd", "One", "Sequence", "address", "block_of", "peer_record", "weak"]
