"""Standing queries: ours, and those that we keep for others.

A leaf leaves its own at its homes. A supernode holds what its leaves publish to them, and has the keyed supernodes of each one's
rarest word tell it what is new under that word; a word that many wait for is asked for once.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import inf

from servent.codec import encode
from servent.errors import BadMessage
from servent.identity import PeerId
from servent.overlay.asking import Asking
from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.effects import Counts, Effect, Learn, Send, Tell, Wished
from servent.overlay.election import Election
from servent.overlay.goal import Pair, words_asked
from servent.overlay.homes import Homes
from servent.overlay.housing import Housing
from servent.overlay.part import Handler, Part
from servent.overlay.placement import STORED, key_of
from servent.overlay.rates import Rates
from servent.overlay.records import Item, PeerRecord, Slice
from servent.overlay.terms import all_keys, rarest
from servent.overlay.watches import Name, Watches
from servent.overlay.wire import FoundItem, Fresh, Posting, Unwatch, Watch
from servent.query.language import Query, QueryError, parse

LIFETIME = 1800  # s
RENEW = 800.0  # s; twice within a lifetime
LOOK = 5.0  # s between two looks where our homes are, while we have standing queries
SWEEP = 60.0  # s
AT_A_TIME = 50  # keys looked after in one tick
OF_SUPERNODE = 2000  # kept for another supernode, which asks for its leaves
MOST_OWN = 100  # as many as a home keeps of one leaf
MOST_RECORDS = 16  # in one message
ITEM_BYTES = 40  # of a find beside the item
WATCHES = (
    2.0,
    400.0,
)  # a second of one peer, and at once: each may cost three messages to others and a look at the store
OF_SUPERNODES = (40.0, 6000.0)  # the same, of another supernode
SEEN = 1000  # items told to us for one of ours that are remembered


@dataclass(slots=True)
class _Own:
    """One of ours. `at`: homes that have it, and when it is said again."""

    text: str
    query: Query
    at: dict[PeerId, float] = field(default_factory=dict)
    seen: OrderedDict[Pair, None] = field(default_factory=OrderedDict)


@dataclass(slots=True)
class _Out:
    """A key that others tell us of. `at`: who, and when it is said again."""

    number: int
    at: dict[PeerId, float] = field(default_factory=dict)


class Watching(Part):
    """`Wished` is told once for each item of each of ours."""

    def __init__(
        self,
        context: Context,
        directory: Directory,
        election: Election,
        homes: Homes,
        housing: Housing,
        asking: Asking,
    ) -> None:
        self._context, self._directory, self._homes = context, directory, homes
        self._election, self._housing, self._asking = election, housing, asking
        self._own: dict[int, _Own] = {}
        self._kept: Watches | None = None
        self._out: dict[bytes, _Out] = {}
        self._keys: dict[int, bytes] = {}  # by the number of `_out`
        self._line: deque[bytes] = deque()  # keys to be looked after
        self._numbers = count(1)
        self._rates, self._rates_keyed = Rates(*WATCHES), Rates(*OF_SUPERNODES)
        self._look_at: float | None = None
        self._sweep_at: float | None = None
        self._line_at: float | None = None
        housing.kept.append(self._new)
        directory.changed.append(self._moved)

    def handlers(self) -> Mapping[type, Handler]:
        return {Watch: self._watch, Unwatch: self._unwatch, Fresh: self._fresh}

    # -- ours

    def watch(self, text: str, now: float) -> tuple[int, list[Effect]]:
        """Wait for what answers `text`. Its number, which `Wished` names.

        Raises:
            QueryError: the text cannot be understood.
        """
        query = parse(text)
        number = next(self._numbers)
        if len(self._own) < MOST_OWN and query.text:
            self._own[number] = _Own(query.text, query)
        return number, self._look(now)

    def unwatch(self, watch: int, now: float) -> list[Effect]:
        """Wait no more."""
        own = self._own.pop(watch, None)
        if own is None:
            return []
        effects: list[Effect] = [Send(home, Unwatch(watch)) for home in own.at]
        return effects + self._drop((self._context.me, watch))

    @property
    def kept(self) -> int:
        """Standing queries that we keep, ours included while we carry the index role."""
        return len(self._kept) if self._kept is not None else 0

    def _look(self, now: float) -> list[Effect]:
        """Ours stand where they should: here, or at the homes we have now."""
        self._look_at = now + LOOK if self._own else None
        effects: list[Effect] = []
        me = self._context.me
        if self._election.index:
            for number, own in self._own.items():
                effects += [Send(home, Unwatch(number)) for home in own.at]
                own.at.clear()
                if self._kept is None or (me, number) not in self._kept:
                    effects += self._keep((me, number), own.query, now, inf)
            return effects
        homes = self._homes.homes()
        for number, own in self._own.items():
            for home in [home for home in own.at if home not in homes]:
                del own.at[home]
            for home in homes:
                if own.at.get(home, 0.0) <= now and home != me:
                    own.at[home] = now + RENEW
                    effects.append(Send(home, Watch(number, own.text, lifetime=LIFETIME)))
        return effects

    # -- of others

    def _watch(self, peer: PeerId, message: Watch, now: float) -> list[Effect]:
        if not self._election.index or not self._allowed(peer, bool(message.keys), now):
            return []
        settings = self._context.settings.search
        if message.keys:
            most = settings.watches_per_peer if self._directory.get(peer, now) is None else OF_SUPERNODE
            name, key = (peer, message.number), message.keys[0]
            effects = self._other(name, key)
            table, ends = self._table(settings.watches, now), now + message.lifetime
            table.put(name, None, key, ends, most, frozenset(message.keys[1:]))
            return effects
        try:
            query = parse(message.text)
        except QueryError as wrong:
            raise BadMessage(f"a standing query that cannot be read: {wrong}") from wrong
        if not query.text:
            raise BadMessage("a standing query for nothing")
        return self._keep((peer, message.number), query, now, message.lifetime)

    def _allowed(self, peer: PeerId, keyed: bool, now: float) -> bool:
        supernode = keyed and self._directory.get(peer, now) is not None
        if (self._rates_keyed if supernode else self._rates).allow(peer, 1.0, now):
            return True
        self._context.faults.append((peer, "asks for too many standing queries"))
        return False

    def _other(self, name: Name, key: bytes | None) -> list[Effect]:
        """What had that name before is let go, unless it waits under the same key."""
        before = self._kept.key_of(name) if self._kept is not None else None
        return self._drop(name) if before is not None and before != key else []

    def _unwatch(self, peer: PeerId, message: Unwatch, now: float) -> list[Effect]:
        return self._drop((peer, message.number))

    def _keep(self, name: Name, query: Query, now: float, lifetime: float = LIFETIME) -> list[Effect]:
        """Under the key of its rarest word, as counted among what is kept here."""
        settings = self._context.settings.search
        table = self._table(settings.watches, now)
        ends = now + lifetime
        terms = words_asked(query)

        def put(key: bytes | None, now: float) -> list[Effect]:
            own, effects = name[0] == self._context.me, self._other(name, key)
            if not table.put(name, query, key, ends, MOST_OWN if own else settings.watches_per_peer):
                return effects
            if key is not None and key not in self._out:
                self._out[key] = out = _Out(next(self._numbers))
                self._keys[out.number] = key
                return effects + self._place(key, now)
            return effects

        if not terms:
            return put(None, now)
        if len(terms) == 1:
            return put(key_of(self._context.network, terms[0]), now)

        def counted(counts: Sequence[int], total: int, now: float) -> list[Effect]:
            if name[0] == self._context.me and name[1] not in self._own:
                return []
            word = rarest(terms, dict(zip(terms, counts, strict=False)), total)[0]
            return put(key_of(self._context.network, word), now)

        return [Counts(self._context.wait(counted), terms)]

    def _drop(self, name: Name) -> list[Effect]:
        key = self._kept.remove(name) if self._kept is not None else None
        return self._let_go([key]) if key is not None else []

    def _let_go(self, keys: list[bytes]) -> list[Effect]:
        """Nobody waits for these any more."""
        effects: list[Effect] = []
        for key in keys:
            out = self._out.pop(key, None)
            if out is not None:
                del self._keys[out.number]
                effects += [Send(peer, Unwatch(out.number)) for peer in out.at]
        return effects

    def _table(self, most: int, now: float) -> Watches:
        if self._kept is None:
            self._kept = Watches(most)
            self._sweep_at = now + SWEEP
        return self._kept

    # -- keyed supernodes that tell us

    def _place(self, key: bytes, now: float) -> list[Effect]:
        """Have those that are nearest to the key now tell us of it."""
        out = self._out.get(key)
        if out is None:
            return []
        near = [one for one in self._directory.nearest(key, STORED, now) if one != self._context.me]
        effects: list[Effect] = [
            Send(peer, Unwatch(out.number))
            for peer in out.at
            if peer not in near and peer != self._context.me
        ]
        out.at = {peer: at for peer, at in out.at.items() if peer in near}
        for peer in near:
            if out.at.get(peer, 0.0) <= now:
                out.at[peer] = now + RENEW * self._context.dice.uniform(0.9, 1.1)
                effects.append(Send(peer, Watch(out.number, keys=[key], lifetime=LIFETIME)))
        return effects

    def _moved(self, now: float) -> list[Effect]:
        """Supernodes came or went, or the role is ours or not."""
        if self._out and not self._line:
            self._line.extend(self._out)
            self._line_at = now
        return self._look(now) if self._own else []

    def failed(self, peer: PeerId, now: float) -> list[Effect]:
        """Whatever stood there is to be said again."""
        for own in self._own.values():
            if peer in own.at:
                own.at[peer] = now + LOOK
        return []

    def down(self, peer: PeerId, now: float) -> list[Effect]:
        """It may have forgotten what we said."""
        return self.failed(peer, now)

    # -- what is new

    def _new(self, slice: Slice, postings: Sequence[Posting], now: float) -> list[Effect]:
        """Called with whatever is stored here. Without postings: as a home."""
        table = self._kept
        if table is None or not len(table):
            return []
        publisher, network = slice.batch.publisher, self._context.network
        if not postings:
            for item in slice.items.values():
                every = all_keys(network, item)
                table.new(publisher, item, every, every, True, now)
            return []
        under: dict[int, list[bytes]] = {}
        for posting in postings:
            under.setdefault(posting.place, []).append(posting.key)
        for place, keys in under.items():
            stored = slice.items.get(place)
            if stored is not None and any(key in table.keys for key in keys):
                table.new(publisher, stored, keys, all_keys(network, stored), False, now)
        return []

    def _fresh(self, peer: PeerId, message: Fresh, now: float) -> list[Effect]:
        """Told by a keyed supernode, for one of those we keep; or by a home, for one of ours."""
        asking = self._asking
        if not message.items or asking.standing.barred(peer, now):
            return []
        effects: list[Effect] = [Learn(one) for one in message.records if asking.knows(one, now)]
        found = {(one.publisher, one.item.content): one.item for one in message.items}
        found = {pair: item for pair, item in found.items() if self._context.belongs(pair[0])}
        key = self._keys.get(message.number)
        then: Callable[[float], list[Effect]]
        if key is not None:
            if peer not in self._out[key].at:
                return effects

            def pass_on(now: float) -> list[Effect]:
                if self._kept is not None:
                    asking.told_by(found, peer)
                    for pair, item in found.items():
                        self._kept.for_words(key, pair[0], item, now)
                return []

            then = pass_on
        else:
            own = self._own.get(message.number)
            if own is None or peer not in own.at:
                return effects
            found = {pair: item for pair, item in found.items() if _fits(own.query, item)}

            def tell(now: float) -> list[Effect]:
                return self._tell(message.number, [(PeerId(pair[0]), item) for pair, item in found.items()])

            then = tell
        return effects + (asking.prove(peer, list(found), then, now) if found else [])

    def _tell(self, number: int, found: list[tuple[PeerId, Item]]) -> list[Effect]:
        own = self._own.get(number)
        if own is None:
            return []
        fresh: list[tuple[PeerId, Item]] = []
        for publisher, item in found:
            pair = bytes(publisher), item.content
            if pair not in own.seen and publisher != self._context.me:
                own.seen[pair] = None
                fresh.append((publisher, item))
        while len(own.seen) > SEEN:
            own.seen.popitem(last=False)
        return [Tell(Wished(number, fresh))] if fresh else []

    # -- time

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self._look_at is not None and self._look_at <= now:
            effects += self._look(now)
        table = self._kept
        if table is not None:
            for name, found in table.take(now):
                effects += self._push(name, found, now)
            if self._sweep_at is not None and self._sweep_at <= now:
                effects += self._sweep(table, now)
        if self._line_at is not None and self._line_at <= now:
            for _ in range(min(AT_A_TIME, len(self._line))):
                effects += self._place(self._line.popleft(), now)
            self._line_at = now + 1.0 if self._line else None
        return effects

    def next_tick(self) -> float | None:
        due = [at for at in (self._look_at, self._sweep_at, self._line_at) if at is not None]
        if self._kept is not None and (at := self._kept.next_tick()) is not None:
            due.append(at)
        return min(due, default=None)

    def _push(self, name: Name, found: list[tuple[PeerId, Item]], now: float) -> list[Effect]:
        peer, number = name
        if peer == self._context.me:
            return self._tell(number, found)
        effects: list[Effect] = []
        most = self._context.settings.search.answer_bytes
        while found:
            records: dict[bytes, PeerRecord] = {}
            items: list[FoundItem] = []
            room = most
            for publisher, item in found:
                room -= len(encode(item)) + ITEM_BYTES
                if room < 0 and items:
                    break
                items.append(FoundItem(publisher, item))
                record = self._housing.record_of(publisher, now)
                if record is not None and len(records) < MOST_RECORDS:
                    records[publisher] = record
            effects.append(Send(peer, Fresh(number, items, list(records.values()))))
            found = found[len(items) :]
        return effects

    def _sweep(self, table: Watches, now: float) -> list[Effect]:
        """Once a minute: what nobody asked for again goes; what is due with others is said again."""
        self._sweep_at = now + SWEEP
        if not (self._election.index or self._election.retiring):
            self._kept = self._sweep_at = self._line_at = None
            self._line.clear()
            return self._let_go(list(self._out))
        effects = self._let_go(table.expire(now))
        if not self._line and any(at <= now for out in self._out.values() for at in out.at.values()):
            self._line.extend(self._out)
            self._line_at = now
        return effects


def _fits(query: Query, item: Item) -> bool:
    return query.relevance(item.name, item.kind, item.size, item.where, item.tags) is not None
