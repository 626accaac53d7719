"""News for everybody in a topic: Plumtree (Leitao, Pereira, Rodrigues, SRDS 2007), signed and bounded. Pure.

Neighbours of the active view are eager (they are sent the news) or lazy (they are told its id, and ask for what does not
come). The tree of eager links stands after the first few messages; a link that brings only what is known is pruned, and one
that promised what did not come is grafted.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Collection
from dataclasses import dataclass, field

from msgspec import structs

from servent.errors import UsageError
from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.effects import Effect, Heard, Send, Tell
from servent.overlay.guard import Guard
from servent.overlay.records import next_seq, text_of
from servent.overlay.score import FIRST, NO_NEWS, PROMISED, RATE
from servent.overlay.wire import GOSSIP_BYTES, Gossip, Graft, Have, Prune
from servent.trust.networks import Forged

HOPS = 20  # a message that came farther is not passed on
PATIENCE = 5.0  # s, for the delivery of what was promised
MOST_MISSING = 4096  # ids announced and not come
MOST_AUTHORS = 4096  # of whom we remember what is over
MOST_IDS = 128  # in one `Have`


def id_of(author: bytes, seq: int) -> bytes:
    """What a message is called in `Have` and `Graft`."""
    return hashlib.sha256(b"servent/gossip/1\0" + author + seq.to_bytes(8, "big")).digest()[:16]


def text_of_news(network: bytes, message: Gossip) -> bytes:
    """What its author signed: all but the hops it came."""
    return text_of(network, structs.replace(message, hops=0))


@dataclass(slots=True)
class Kept:
    """A message kept for those who ask. `parent`: whom it came from; `given`: who asked and got it."""

    message: Gossip
    until: float
    parent: PeerId | None
    given: set[PeerId] = field(default_factory=set)


@dataclass(slots=True)
class Missing:
    """A message that was announced. `sources`: who has it, and the hops it came to them; `asked`: of these, so far."""

    due: float
    sources: list[tuple[PeerId, int]]
    asked: list[PeerId] = field(default_factory=list)


class Plumtree:
    """The tree of one topic. `neighbours` is the live active view; `neighbour` tells of its changes."""

    __slots__ = (
        "_context",
        "_due",
        "_floor",
        "_guard",
        "_have",
        "_have_at",
        "_kept",
        "_missing",
        "_neighbours",
        "_seen",
        "_seq",
        "_timers",
        "lazy",
        "topic",
    )

    def __init__(self, context: Context, guard: Guard, topic: bytes, neighbours: Collection[PeerId]) -> None:
        self._context, self._guard, self.topic, self._neighbours = context, guard, topic, neighbours
        self.lazy: set[PeerId] = set()
        self._seen: dict[
            bytes, tuple[float, bytes, int]
        ] = {}  # until, author, seq; in the order in which they end
        self._kept: dict[bytes, Kept] = {}  # in the order in which they came
        self._floor: dict[bytes, int] = {}  # of each author: up to this number it is old
        self._missing: dict[bytes, Missing] = {}
        self._timers: list[tuple[float, bytes]] = []
        self._have: dict[PeerId, list[tuple[bytes, int]]] = {}
        self._have_at: float | None = None
        self._seq = 0

    @property
    def eager(self) -> list[PeerId]:
        return [peer for peer in self._neighbours if peer not in self.lazy]

    def neighbour(self, peer: PeerId, up: bool) -> None:
        """A new neighbour is eager."""
        self.lazy.discard(peer)
        if not up:
            self._have.pop(peer, None)

    def say(self, body: bytes, lifetime: int, now: float) -> list[Effect]:
        """News of our own to everybody.

        Raises:
            UsageError: longer than 4 kB, or more of it than others take of one author.
        """
        settings = self._context.settings.gossip
        if len(body) > GOSSIP_BYTES:
            raise UsageError(f"news has at most {GOSSIP_BYTES} bytes, not {len(body)}")
        if not self._guard.may(
            "news", self._context.me, settings.per_author * 60.0, now, settings.author_burst
        ):
            raise UsageError("too much news at once: others take one message a second of each author")
        self._seq = next_seq(self._seq, self._context.wall())
        bare = Gossip(self.topic, bytes(self._context.me), self._seq, min(600, max(1, lifetime)), 0, body)
        message = structs.replace(
            bare, signature=self._context.seal.sign(text_of_news(self._context.network, bare))
        )
        return self._spread(id_of(self._context.me, self._seq), message, None, now)

    # -- messages, of neighbours only

    def on_gossip(self, peer: PeerId, message: Gossip, now: float) -> list[Effect]:
        if self._guard.scores.of(peer, now) < NO_NEWS:
            return []
        id = id_of(message.author, message.seq)
        if id in self._seen:
            self.lazy.add(peer)
            return [Send(peer, Prune(self.topic))]
        if message.seq <= self._floor.get(message.author, 0) or message.author == self._context.me:
            return []  # so old that its id was forgotten; or of an earlier life of ours
        if not self._context.belongs(message.author):
            return []
        settings = self._context.settings.gossip
        text = text_of_news(self._context.network, message)
        if not self._context.seal.holds(message.author, message.signature, text):
            raise Forged("news that its author did not sign")
        missing = self._missing.pop(id, None)
        if not self._guard.may(
            "news", message.author, settings.per_author * 60.0, now, settings.author_burst
        ):
            self._remember(id, message, now)
            if message.author == peer:
                self._guard.scores.add(peer, RATE, now)
            return []
        self._guard.scores.add(peer, FIRST, now)
        self.lazy.discard(peer)
        effects: list[Effect] = [Tell(Heard(self.topic, PeerId(message.author), message.body))]
        effects += self._spread(id, message, peer, now)
        for source, hops in missing.sources if missing is not None else ():
            if self._nearer(source, hops, message.hops, peer):
                effects += self._reparent(source, peer)
                break
        return effects

    def on_have(self, peer: PeerId, message: Have, now: float) -> list[Effect]:
        effects: list[Effect] = []
        settings = self._context.settings.gossip
        if not self._guard.may("have", peer, 6000.0, now):
            self._guard.scores.add(peer, RATE, now)
            return []
        for id, hops in message.ids:
            if id in self._seen:
                kept = self._kept.get(id)
                if kept is not None and kept.parent is not None:
                    parent = kept.parent
                    if self._nearer(peer, hops, kept.message.hops, parent):
                        kept.parent = peer
                        effects += self._reparent(peer, parent)
                continue
            missing = self._missing.get(id)
            if missing is not None:
                if missing.asked and not missing.sources:
                    missing.due = now + settings.next_source
                    heapq.heappush(self._timers, (missing.due, id))
                if all(source != peer for source, _ in missing.sources) and len(missing.sources) < 16:
                    missing.sources.append((peer, hops))
            elif len(self._missing) < MOST_MISSING:
                self._missing[id] = Missing(now + settings.missing, [(peer, hops)])
                heapq.heappush(self._timers, (now + settings.missing, id))
        return effects

    def on_graft(self, peer: PeerId, message: Graft, now: float) -> list[Effect]:
        self.lazy.discard(peer)
        kept = self._kept.get(message.id) if message.id is not None else None
        if kept is None or kept.until <= now:
            return []
        if peer in kept.given:
            self._guard.scores.add(peer, RATE, now)
            return []
        kept.given.add(peer)
        return [Send(peer, structs.replace(kept.message, hops=min(HOPS, kept.message.hops + 1)))]

    def on_prune(self, peer: PeerId) -> None:
        self.lazy.add(peer)

    # -- time

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self._have_at is not None and self._have_at <= now:
            self._have_at = None
            for peer, ids in self._have.items():
                starts = range(0, len(ids), MOST_IDS)
                effects += [Send(peer, Have(self.topic, ids[at : at + MOST_IDS])) for at in starts]
            self._have = {}
        while self._timers and self._timers[0][0] <= now:
            due, id = heapq.heappop(self._timers)
            missing = self._missing.get(id)
            if missing is not None and missing.due <= due:
                effects += self._ask(id, missing, now)
        return effects

    def next_tick(self) -> float | None:
        if not self._timers:
            return self._have_at
        due = self._timers[0][0]
        return due if self._have_at is None or due < self._have_at else self._have_at

    def sweep(self, now: float) -> None:
        """Forget what is over; now and then."""
        for id, (until, author, seq) in list(self._seen.items()):
            if until > now and len(self._seen) <= self._context.settings.gossip.most_ids:
                break
            del self._seen[id]
            self._over(author, seq)
        for id, kept in list(self._kept.items()):
            if kept.until <= now:
                del self._kept[id]

    # -- inside

    def _spread(self, id: bytes, message: Gossip, parent: PeerId | None, now: float) -> list[Effect]:
        settings = self._context.settings.gossip
        self._remember(id, message, now)
        self._kept[id] = Kept(message, now + min(settings.cache, message.lifetime), parent)
        if message.hops >= HOPS:
            return []
        on = structs.replace(message, hops=message.hops + 1) if parent is not None else message
        effects: list[Effect] = []
        for peer in self._neighbours:
            if peer == parent or peer == message.author:
                continue
            if peer not in self.lazy:
                effects.append(Send(peer, on))
                continue
            self._have.setdefault(peer, []).append((id, message.hops))
            if self._have_at is None:
                self._have_at = now + settings.notice
        return effects

    def _remember(self, id: bytes, message: Gossip, now: float) -> None:
        settings = self._context.settings.gossip
        self._seen[id] = (now + settings.ids, message.author, message.seq)
        while True:
            first = next(iter(self._seen))
            until, author, seq = self._seen[first]
            if until > now and len(self._seen) <= settings.most_ids:
                break
            del self._seen[first]
            self._over(author, seq)
        while self._kept:
            first = next(iter(self._kept))
            if self._kept[first].until > now and len(self._kept) < settings.most_kept:
                break
            del self._kept[first]

    def _over(self, author: bytes, seq: int) -> None:
        """What that author said up to `seq` is old from now on, so that a replay of it finds no ear."""
        before = self._floor.pop(author, 0)
        while len(self._floor) >= MOST_AUTHORS:
            del self._floor[next(iter(self._floor))]
        self._floor[author] = max(before, seq)

    def _ask(self, id: bytes, missing: Missing, now: float) -> list[Effect]:
        """Graft the next who promised it; when all were asked in vain, hold it against them."""
        settings = self._context.settings.gossip
        while missing.sources:
            peer, _ = missing.sources.pop(0)
            if peer not in self._neighbours:
                continue
            missing.asked.append(peer)
            self.lazy.discard(peer)
            missing.due = now + (settings.next_source if missing.sources else PATIENCE)
            heapq.heappush(self._timers, (missing.due, id))
            return [Send(peer, Graft(self.topic, id))]
        del self._missing[id]
        for peer in missing.asked:
            if peer in self._neighbours:
                self._guard.scores.add(peer, PROMISED, now)
        return []

    def _nearer(self, peer: PeerId, hops: int, ours: int, parent: PeerId) -> bool:
        """Whether a message came to `peer` on so much shorter a way that it should be the parent."""
        near = ours - (hops + 1) >= self._context.settings.gossip.reparent
        return near and peer != parent and peer in self._neighbours

    def _reparent(self, peer: PeerId, parent: PeerId) -> list[Effect]:
        self.lazy.discard(peer)
        effects: list[Effect] = [Send(peer, Graft(self.topic, None))]
        if parent in self._neighbours:
            self.lazy.add(parent)
            effects.append(Send(parent, Prune(self.topic)))
        return effects
