"""What is asked, what is reported of it, and what proves a find. Values, and rules about them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from servent.errors import BadMessage
from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.effects import Effect
from servent.overlay.records import Item, PeerRecord, Slice, check_slice
from servent.overlay.terms import indexable
from servent.query.language import Query

if TYPE_CHECKING:
    from servent.overlay.running import Running

PER_CONTENT = 5  # publishers of one content that a question in words names; `content` asks for the rest

Pair = tuple[bytes, bytes]  # publisher and content


@dataclass(slots=True)
class Report:
    """What is new since the last one. `over`: no more will come."""

    found: list[tuple[PeerId, Item]]
    records: list[PeerRecord]
    layer: int
    asked: int
    answered: int
    messages: int
    sampled: bool
    over: bool = False
    reason: str = ""


Sink = Callable[[Report, float], list[Effect]]


@dataclass(slots=True)
class Goal:
    """What is asked: words and filters, or who has a content; at most so many contents, probes and seconds.

    `limit`: of publishers, where a content is asked for.
    """

    query: Query | None
    content: bytes | None
    limit: int
    budget: int
    total: float

    def takes(self, contents: dict[bytes, int], content: bytes) -> bool:
        """Whether one more find counts, beside so many of each content: a thing that all have leaves room for others."""
        if self.content is not None:
            return contents.get(content, 0) < self.limit
        had = contents.get(content, 0)
        return had < PER_CONTENT if had else len(contents) < self.limit

    def full(self, contents: dict[bytes, int], share: float = 1.0) -> bool:
        """Whether there is as much as was asked for, or that share of it."""
        if self.content is not None:
            return contents.get(self.content, 0) >= self.limit * share
        return len(contents) >= self.limit * share

    def fits(self, item: Item) -> bool:
        """Whether that item answers it."""
        if self.content is not None and item.content != self.content:
            return False
        if self.query is None:
            return True
        return self.query.relevance(item.name, item.kind, item.size, item.where, item.tags) is not None


class Desk(Protocol):
    """Brings answers back to the question they belong to."""

    def asks(self, running: Running, peer: PeerId) -> bytes:
        """The id for one question to `peer`."""
        ...

    def doubts(self, running: Running, peer: PeerId) -> int:
        """The number for asking `peer` for a proof."""
        ...

    def waits(self, running: Running, then: Callable[..., list[Effect]]) -> int:
        """The token for what our own store is asked; `then(*answer, now)` takes the answer."""
        ...

    def told_by(self, pairs: Iterable[Pair], peer: PeerId) -> None:
        """Who can show these."""
        ...


def words_asked(query: Query) -> list[str]:
    """The words of a question that are keyed: whole ones that must be there."""
    found = [
        word
        for term in query.terms
        for word in (term.words[:-1] if term.prefix else term.words)
        if indexable(word)
    ]
    return list(dict.fromkeys(found))


def shows(context: Context, slice: Slice | None, pair: Pair) -> bool:
    """Whether a slice proves that a publisher of this network offers a content."""
    if slice is None or slice.batch.publisher != pair[0] or not context.belongs(pair[0]):
        return False
    if not any(item.content == pair[1] for item in slice.items.values()):
        return False
    try:
        check_slice(context.network, slice, context.seal)
    except BadMessage:
        return False
    return True
