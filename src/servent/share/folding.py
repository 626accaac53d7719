"""Finds from many places folded into one hit for each content, ranked across peers. Pure.

What peers say is held against each other: a content has one size, the one its holder here knows or most say, and
whoever says otherwise is no source of it. No peer can fill the whole answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import log2

from servent.identity import PeerId
from servent.query.kinds import KINDS, Kind
from servent.query.words import shown

MOST_SOURCES = 50  # of one hit; the best are kept
MOST_PATHS = 3  # of one content with one peer
SHARE_OF_ONE = 0.6  # of an answer's contents that one peer may bring in
MINE, FRIEND, FREE, MORE = 3.0, 2.0, 1.0, 1.0  # points; the last for each doubling of sources. A guess
THERE, AWAY = 0.5, -1.0  # for whom a network knows to be there, or not

Tags = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Found:
    """One file somewhere. `path` includes its name; `score`: how well it answers (`Query.relevance`)."""

    content: bytes
    size: int
    path: str
    kind: int
    modified: float
    tags: Tags
    score: float

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Standing:
    """Who has it, and how soon it could be had there.

    Attributes:
        network: the network in which somebody else said so; "" when the peer said it itself.
        reachable: whether the peer is there now, as far as that is known.
    """

    peer: PeerId
    name: str = ""
    mine: bool = False
    friend: bool = False
    free: bool = False
    queue: int = 0
    network: str = ""
    reachable: bool | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One place of a hit."""

    at: Standing
    path: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Hit:
    """One content and where it is, best source first. `here`: it is in the own library."""

    content: bytes
    name: str
    kind: Kind
    size: int
    tags: Tags
    sources: tuple[Source, ...]
    score: float
    here: bool


@dataclass(slots=True)
class _Heap:
    """What was said of one content, and by whom."""

    said: list[tuple[Standing, Found]] = field(default_factory=list)


def no_reason(content: bytes, name: str, kind: str, size: int) -> str:
    """The filter that hides nothing."""
    return ""


class Fold:
    """The answer to one question as it grows.

    Args:
        limit: contents in it.
        hides: why a find is not shown, "" to show it (`safety.hides`).
    """

    def __init__(self, limit: int, hides: Callable[[bytes, str, str, int], str] = no_reason) -> None:
        self._limit, self._hides = limit, hides
        self._heaps: dict[bytes, _Heap] = {}
        self._brought: Counter[PeerId] = Counter()
        self._here: set[bytes] = set()
        self.more = False

    def __len__(self) -> int:
        return len(self._heaps)

    def add(self, at: Standing, found: Iterable[Found]) -> list[bytes]:
        """Take in what one peer has. Returns the contents whose hit is new or changed, each once."""
        changed: dict[bytes, None] = {}
        for one in found:
            kind = KINDS[one.kind] if one.kind < len(KINDS) else "other"
            if self._hides(one.content, one.name, kind, one.size):
                continue
            heap = self._heaps.get(one.content)
            if heap is None:
                if len(self._heaps) >= self._limit or not (at.mine or self._may_bring(at.peer)):
                    self.more = True
                    continue
                self._brought[at.peer] += 1
                heap = self._heaps[one.content] = _Heap()
            if self._put(heap, at, one):
                changed[one.content] = None
        return list(changed)

    def have(self, contents: Iterable[bytes]) -> None:
        """These are in the own library, whoever else has them."""
        self._here.update(contents)

    def hit(self, content: bytes) -> Hit:
        """The hit for a content that `add` named."""
        heap = self._heaps[content]
        size = self._size(heap)
        said = [(at, one) for at, one in heap.said if one.size == size]
        said.sort(key=lambda pair: -_worth(pair[0]))
        names = Counter(one.name for _, one in said)
        best = next((one for at, one in said if at.mine), None) or next(
            (one for at, one in said if at.friend),
            max((one for _, one in said), key=lambda one: names[one.name]),
        )
        tags = best.tags or next((one.tags for _, one in said if one.tags), {})
        sources = tuple(Source(at, one.path, one.size, one.modified) for at, one in said[:MOST_SOURCES])
        peers = len({at.peer for at, _ in said})
        score = max(one.score for _, one in said) + _worth(said[0][0]) + MORE * log2(peers)
        mine = any(at.mine for at, _ in said)
        return Hit(
            content, shown(best.name), KINDS[best.kind] if best.kind < len(KINDS) else "other", size,
            _clean(tags), sources, round(score, 3), mine or content in self._here,
        )  # fmt: skip

    def ranked(self) -> list[Hit]:
        """All hits, best first."""
        return sorted(map(self.hit, self._heaps), key=lambda hit: (-hit.score, hit.name, hit.content))

    def _may_bring(self, peer: PeerId) -> bool:
        return self._brought[peer] < max(1, int(self._limit * SHARE_OF_ONE))

    @staticmethod
    def _put(heap: _Heap, at: Standing, one: Found) -> bool:
        same = 0
        for place, (other, known) in enumerate(heap.said):
            if other.peer == at.peer:
                same += 1
                if at.network and not other.network:
                    return False  # what a peer says itself is not replaced by what is said of it
                if known.path == one.path or other.network:
                    fresh = (at, one) != (other, known)
                    heap.said[place] = (at, one)
                    return fresh
        if same >= MOST_PATHS:
            return False
        if len(heap.said) >= MOST_SOURCES:
            worst = min(range(len(heap.said)), key=lambda place: _worth(heap.said[place][0]))
            if _worth(heap.said[worst][0]) >= _worth(at):
                return False
            heap.said[worst] = (at, one)
            return True
        heap.said.append((at, one))
        return True

    @staticmethod
    def _size(heap: _Heap) -> int:
        """What we know, else what most peers say, among them friends first."""
        votes: Counter[int] = Counter()
        for at, one in {(at.peer, one.size): (at, one) for at, one in heap.said}.values():
            votes[one.size] += 1_000_000 if at.mine else 1_000 if at.friend else 1
        return max(votes, key=lambda size: votes[size])


def _worth(at: Standing) -> float:
    there = 0.0 if at.reachable is None else THERE if at.reachable else AWAY
    return MINE * at.mine + FRIEND * at.friend + FREE * (at.free or at.mine) + there


def _clean(tags: Tags) -> dict[str, str | int | float]:
    return {shown(name, 32): shown(one, 300) if isinstance(one, str) else one for name, one in tags.items()}
