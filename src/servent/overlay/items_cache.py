"""Answers that are asked for again and again, kept until something changes that they speak of. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from servent.query.language import Query

MOST_BYTES = 12 << 20
REMEMBERED = 32  # changes; a question that was on its way for longer is not kept


class Kept(NamedTuple):
    """An answer as `items_wire.rows_of` has it. `word`: every item that could change it has that word; "" any may."""

    rows: bytes
    more: bool
    word: str


def word_of(query: Query) -> str:
    """A whole word that each answer to `query` has; "" for none."""
    found = (word for term in query.terms for word in (term.words[:-1] if term.prefix else term.words))
    return max(found, key=len, default="")


class Answers:
    """The last answers, at most `most` bytes.

    An answer is never older than the last `changed` before it was asked for: `moment` is asked before the store is.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._by_word: dict[str, set[Hashable]] = {}
        self._changes: deque[AbstractSet[str]] = deque(maxlen=REMEMBERED)
        self._bytes = 0
        self.moment = 0
        self.hits = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> Kept | None:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            self.hits += 1
        return kept

    def put(self, key: Hashable, kept: Kept, moment: int) -> None:
        """Keep an answer that was asked for at `moment`, unless something changed it since then."""
        since = self.moment - moment
        if since > len(self._changes) or 4 * len(kept.rows) > self._most:
            return
        recent = list(self._changes)[len(self._changes) - since :]
        if any(not kept.word or kept.word in words for words in recent):
            return
        self.drop(key)
        self._kept[key] = kept
        self._by_word.setdefault(kept.word, set()).add(key)
        self._bytes += len(kept.rows) + 500
        while self._bytes > self._most:
            self.drop(next(iter(self._kept)))

    def changed(self, words: AbstractSet[str]) -> None:
        """Items with these words came or went."""
        self.moment += 1
        self._changes.append(words)
        few = words if len(words) < len(self._by_word) else [word for word in self._by_word if word in words]
        for word in ["", *few]:
            for key in list(self._by_word.get(word, ())):
                self.drop(key)

    def clear(self) -> None:
        self.moment += REMEMBERED + 1
        self._changes.clear()
        self._kept.clear()
        self._by_word.clear()
        self._bytes = 0

    def drop(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept.rows) + 500
            keys = self._by_word[kept.word]
            keys.discard(key)
            if not keys:
                del self._by_word[kept.word]
