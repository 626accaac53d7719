"""Standing queries that are kept at a supernode, and what is new for each. Pure.

A new item is looked up under its keys, so that it costs what it has keys, however many standing queries there are. Each item is
told once to each, as far as that is remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from servent.identity import PeerId
from servent.overlay.goal import Pair
from servent.overlay.records import Item
from servent.query.language import Query

SOON = 0.3  # s: what is published together is told together
PAUSE = 3.0  # s between two messages for one standing query
TOLD = 100_000  # items that are remembered as told, of all standing queries together
PENDING = 200  # items that wait to be told for one
AT_ONCE = 50  # items in one message
UNKEYED, UNKEYED_PER_PEER = (
    200,
    5,
)  # standing queries without a word that is keyed: each new item is held to all

Name = tuple[PeerId, int]  # who waits, and their number for it


@dataclass(slots=True)
class Kept:
    """One standing query. `query` None: of another supernode, by keys alone; else `key` is of one of its words."""

    name: Name
    query: Query | None
    key: bytes | None
    others: frozenset[bytes]
    ends: float
    pending: dict[Pair, Item] = field(default_factory=dict)
    quiet_until: float = 0.0
    due: float | None = None


class Watches:
    """Args:
    most: of all. Times are seconds on the caller's clock.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[Name, Kept] = {}
        self._by_key: dict[bytes, dict[Name, Kept]] = {}
        self._unkeyed: dict[Name, Kept] = {}
        self._per_peer: dict[PeerId, int] = {}
        self._told: OrderedDict[int, None] = OrderedDict()
        self._due: list[tuple[float, int, Kept]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, name: Name) -> bool:
        return name in self._kept

    @property
    def keys(self) -> Iterable[bytes]:
        """Keys that anybody waits for."""
        return self._by_key.keys()

    def key_of(self, name: Name) -> bytes | None:
        """Under what it is kept; None when it is not, or under no word."""
        kept = self._kept.get(name)
        return kept.key if kept is not None else None

    def of(self, peer: PeerId) -> int:
        """How many that peer has here."""
        return self._per_peer.get(peer, 0)

    def put(
        self,
        name: Name,
        query: Query | None,
        key: bytes | None,
        ends: float,
        most_of_peer: int,
        others: frozenset[bytes] = frozenset(),
    ) -> bool:
        """Keep it, or keep it longer. False when there is no room."""
        kept = self._kept.get(name)
        if kept is not None and kept.key == key and kept.others == others and kept.query == query:
            kept.ends = ends
            return True
        self.remove(name)
        peer = name[0]
        if len(self._kept) >= self._most or self.of(peer) >= most_of_peer:
            return False
        kept = Kept(name, query, key, others, ends)
        if key is not None:
            self._by_key.setdefault(key, {})[name] = kept
        else:
            own = sum(one[0] == peer for one in self._unkeyed)
            if len(self._unkeyed) >= UNKEYED or own >= UNKEYED_PER_PEER:
                return False
            self._unkeyed[name] = kept
        self._kept[name] = kept
        self._per_peer[peer] = self.of(peer) + 1
        return True

    def remove(self, name: Name) -> bytes | None:
        """Its key, if nobody waits for that any more."""
        kept = self._kept.pop(name, None)
        if kept is None:
            return None
        kept.due = None
        left = self._per_peer[name[0]] - 1
        if left:
            self._per_peer[name[0]] = left
        else:
            del self._per_peer[name[0]]
        if kept.key is None:
            del self._unkeyed[name]
            return None
        under = self._by_key[kept.key]
        del under[name]
        if under:
            return None
        del self._by_key[kept.key]
        return kept.key

    def expire(self, now: float) -> list[bytes]:
        """Drop what was not asked for again. Keys that nobody waits for any more."""
        over = [name for name, kept in self._kept.items() if kept.ends <= now]
        return [key for name in over if (key := self.remove(name)) is not None]

    # -- what is new

    def new(
        self, publisher: bytes, item: Item, keys: Iterable[bytes], every: set[bytes], words: bool, now: float
    ) -> None:
        """An item came, to be found under `keys`; `every`: all that are true of it.

        `words`: whether standing queries without a keyed word are held to it, too.
        """
        for key in keys:
            for kept in list(self._by_key.get(key, {}).values()):
                self._offer(kept, publisher, item, every, now)
        if words:
            for kept in list(self._unkeyed.values()):
                self._offer(kept, publisher, item, every, now)

    def for_words(self, key: bytes, publisher: bytes, item: Item, now: float) -> None:
        """Another supernode told us of it, under a key that standing queries in words wait for."""
        for kept in list(self._by_key.get(key, {}).values()):
            if kept.query is not None:
                self._offer(kept, publisher, item, set(), now)

    def _offer(self, kept: Kept, publisher: bytes, item: Item, every: set[bytes], now: float) -> None:
        query = kept.query
        if kept.name[0] == publisher or len(kept.pending) >= PENDING:
            return
        if query is None:
            if not kept.others <= every:
                return
        elif query.relevance(item.name, item.kind, item.size, item.where, item.tags) is None:
            return
        mark = hash((kept.name, publisher, item.content))
        if mark in self._told:
            return
        while len(self._told) >= TOLD:
            self._told.popitem(last=False)
        self._told[mark] = None
        kept.pending[publisher, item.content] = item
        if kept.due is None:
            self._plan(kept, max(now + SOON, kept.quiet_until))

    def _plan(self, kept: Kept, at: float) -> None:
        kept.due = at
        heappush(self._due, (at, next(self._order), kept))

    def take(self, now: float) -> list[tuple[Name, list[tuple[PeerId, Item]]]]:
        """What is to be told now."""
        told: list[tuple[Name, list[tuple[PeerId, Item]]]] = []
        while self._due and self._due[0][0] <= now:
            at, _, kept = heappop(self._due)
            if kept.due != at:
                continue
            kept.due = None
            some = list(kept.pending.items())[:AT_ONCE]
            for pair, _ in some:
                del kept.pending[pair]
            kept.quiet_until = now + PAUSE
            if kept.pending:
                self._plan(kept, kept.quiet_until)
            told.append((kept.name, [(PeerId(pair[0]), item) for pair, item in some]))
        return told

    def next_tick(self) -> float | None:
        return self._due[0][0] if self._due else None

    def clear(self) -> None:
        """Forget all of it."""
        self.__init__(self._most)  # type: ignore[misc]
