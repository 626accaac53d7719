"""Many `Topics` against each other in virtual time, with connections that are made, lost, and noticed to be lost."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.effects import Bootstrap, Effect, Heard, Hold, Release, Send, Tell
from servent.overlay.records import PeerRecord, signed
from servent.overlay.settings import OverlaySettings
from servent.overlay.topics import Topics

NETWORK = bytes(32)


class CheapSeal:
    """Signatures that cost a hash, and are as good as any among peers who do not know how they are made."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def sign(self, text: bytes) -> bytes:
        return hashlib.blake2b(text, key=self.key).digest()

    def holds(self, key: bytes, signature: bytes, text: bytes) -> bool:
        return hashlib.blake2b(text, key=key).digest() == signature


def key_of(number: int) -> PeerId:
    return PeerId(hashlib.sha256(b"throng %d" % number).digest())


def address_of(number: int) -> str:
    """A public address; no two peers share a /24 but by chance."""
    place = hashlib.sha256(b"place %d" % number).digest()
    return f"{20 + place[0] % 60}.{place[1]}.{place[2]}.{1 + place[3] % 250}:4000"


def record_of(
    number: int, address: str | None = None, seq: int = 1, relays: Iterable[str] = ()
) -> PeerRecord:
    key = key_of(number)
    where = address_of(number) if address is None else address
    bare = PeerRecord(bytes(key), seq, 3600, relays=list(relays), addresses=[where] if where else [])
    record: PeerRecord = signed(NETWORK, bare, CheapSeal(key))
    return record


def context_of(
    number: int, seed: int = 0, address: str | None = None, settings: OverlaySettings | None = None
) -> Context:
    key = key_of(number)
    ticks = itertools.count(1_000_000)
    return Context(
        key,
        NETWORK,
        random.Random(f"{seed} {number}"),
        CheapSeal(key),
        lambda: float(next(ticks)),
        lambda _: True,
        record_of(number, address),
        settings=settings or OverlaySettings(),
    )


class Throng:
    """A network of `Topics`. Same seed, same history.

    Args:
        latency: one way, in seconds. `noticed`: until a dead connection is known to be one; `refused`: a dead dial.
        providers: what `Bootstrap` is answered with; nothing by default.
    """

    def __init__(
        self,
        seed: int = 1,
        latency: tuple[float, float] = (0.02, 0.12),
        noticed: tuple[float, float] = (10.0, 15.0),
        refused: float = 3.0,
    ) -> None:
        self.dice = random.Random(seed)
        self.seed, self.latency, self.noticed, self.refused = seed, latency, noticed, refused
        self.now = 0.0
        self.peers: dict[PeerId, Topics] = {}
        self.contexts: dict[PeerId, Context] = {}
        self.heard: dict[bytes, dict[PeerId, float]] = {}
        self.sent: dict[str, int] = {}
        self.alarms = 0
        self.providers: Callable[[], list[PeerRecord]] = list
        self.side: dict[PeerId, int] = {}
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._wakes: dict[PeerId, float] = {}
        self._holds: dict[PeerId, set[PeerId]] = {}
        self._links: dict[PeerId, set[PeerId]] = {}
        self._last: dict[tuple[PeerId, PeerId], float] = {}

    # -- what tests do

    def add(self, number: int, address: str | None = None, settings: OverlaySettings | None = None) -> PeerId:
        context = context_of(number, self.seed, address, settings)
        self.contexts[context.me] = context
        self.peers[context.me] = Topics(context)
        self._holds[context.me], self._links[context.me] = set(), set()
        return context.me

    def join(self, peer: PeerId, *contacts: PeerId) -> None:
        self.do(peer, self.peers[peer].join([self.contexts[one].record for one in contacts], self.now))

    def grown(self, count: int, over: float = 10.0, until: float = 60.0) -> list[PeerId]:
        """`count` peers that joined one after the other, each by one that was there before."""
        peers = [self.add(number) for number in range(count)]
        for place, peer in enumerate(peers):
            if place:
                self.at(place * over / count, self.join, peer, self.dice.choice(peers[:place]))
        self.run(until)
        return peers

    def crash(self, peers: Iterable[PeerId]) -> None:
        """Gone without a word."""
        gone = [peer for peer in peers if peer in self.peers]
        for peer in gone:
            del self.peers[peer]
            self._wakes.pop(peer, None)
        for peer in gone:
            for other in self._links.pop(peer):
                if other in self.peers:
                    self.at(self.now + self.dice.uniform(*self.noticed), self._down, other, peer)

    def cut(self, *sides: Iterable[PeerId]) -> None:
        self.side = {peer: number for number, side in enumerate(sides) for peer in side}
        for peer, links in self._links.items():
            for other in list(links):
                if not self._joined(peer, other):
                    self.at(self.now + self.dice.uniform(*self.noticed), self._down, peer, other)

    def heal(self) -> None:
        self.side = {}

    def at(self, when: float, what: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self._events, (when, next(self._order), what, args))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, what, args = heapq.heappop(self._events)
            what(*args)
        self.now = until

    # -- what they see

    def edges(self, topic: str = "") -> dict[PeerId, set[PeerId]]:
        """Neighbours of the living, where both say so."""
        views = {peer: set(topics.neighbours(topic)) for peer, topics in self.peers.items()}
        return {
            peer: {one for one in view if one in views and peer in views[one]} for peer, view in views.items()
        }

    def largest(self, topic: str = "", only: set[PeerId] | None = None) -> float:
        """Share of the living in the largest component."""
        edges = self.edges(topic)
        inside = set(edges) if only is None else {peer for peer in edges if peer in only}
        left, best = set(inside), 0
        while left:
            seed = left.pop()
            stack, size = [seed], 1
            while stack:
                for one in edges[stack.pop()]:
                    if one in left:
                        left.discard(one)
                        stack.append(one)
                        size += 1
            best = max(best, size)
        return best / max(1, len(inside))

    # -- inside

    def do(self, peer: PeerId, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(to, message):
                    name = type(message).__name__
                    self.sent[name] = self.sent.get(name, 0) + 1
                    self._send(peer, to, message)
                case Hold(other):
                    self._holds[peer].add(other)
                    self._link(peer, other)
                case Release(other):
                    self._holds[peer].discard(other)
                    if other in self._links[peer] and peer not in self._holds.get(other, ()):
                        self._unlink(peer, other)
                case Bootstrap():
                    self.alarms += 1
                    self.at(self.now + 1.0, self._provide, peer)
                case Tell(Heard(body=body)):
                    self.heard.setdefault(body, {})[peer] = self.now
        self._wake(peer)

    def _provide(self, peer: PeerId) -> None:
        if peer in self.peers:
            records = self.providers()
            if records:
                self.do(peer, self.peers[peer].join(records, self.now))

    def _joined(self, one: PeerId, other: PeerId) -> bool:
        a, b = self.side.get(one), self.side.get(other)
        return a is None or b is None or a == b

    def _send(self, peer: PeerId, to: PeerId, message: Any) -> None:
        linked = to in self._links[peer]
        if to not in self.peers or not self._joined(peer, to):
            if not linked:
                self.at(self.now + self.refused, self._failed, peer, to)
            return
        delay = self.dice.uniform(*self.latency)
        when = self.now + delay if linked else self.now + 3 * delay
        when = max(when, self._last.get((peer, to), 0.0))
        self._last[peer, to] = when
        self.at(when, self._receive, to, peer, message)

    def _receive(self, peer: PeerId, sender: PeerId, message: Any) -> None:
        if self._last.get((sender, peer)) == self.now:
            del self._last[sender, peer]
        topics = self.peers.get(peer)
        if topics is None or not self._joined(peer, sender):
            return
        self.do(peer, topics.handlers()[type(message)](sender, message, self.now))

    def _link(self, one: PeerId, other: PeerId) -> None:
        if other in self._links[one]:
            return
        if other not in self.peers or not self._joined(one, other):
            self.at(self.now + self.refused, self._down, one, other)
            return
        self._links[one].add(other)
        self._links[other].add(one)
        for a, b in ((one, other), (other, one)):
            self.do(a, self.peers[a].up(b, self.now))

    def _unlink(self, one: PeerId, other: PeerId) -> None:
        for a, b in ((one, other), (other, one)):
            if b in self._links.get(a, ()):
                self._links[a].discard(b)
                self.at(self.now, self._dropped, a, b)

    def _dropped(self, peer: PeerId, other: PeerId) -> None:
        if peer in self.peers and other not in self._links[peer]:
            self.do(peer, self.peers[peer].down(other, self.now))

    def _down(self, peer: PeerId, other: PeerId) -> None:
        if peer in self.peers and (other not in self.peers or not self._joined(peer, other)):
            self._links[peer].discard(other)
            self.do(peer, self.peers[peer].down(other, self.now))

    def _failed(self, peer: PeerId, other: PeerId) -> None:
        if peer in self.peers:
            self.do(peer, self.peers[peer].failed(other, self.now))

    def _wake(self, peer: PeerId) -> None:
        if peer not in self.peers:
            return
        due = self.peers[peer].next_tick()
        if due is not None and due < self._wakes.get(peer, float("inf")):
            due = max(due, self.now)
            self._wakes[peer] = due
            self.at(due, self._tick, peer, due)

    def _tick(self, peer: PeerId, due: float) -> None:
        if self._wakes.get(peer) != due:
            return
        del self._wakes[peer]
        topics = self.peers[peer]
        wanted = topics.next_tick()
        if wanted is not None and wanted <= self.now:
            self.do(peer, topics.tick(self.now))
        else:
            self._wake(peer)
