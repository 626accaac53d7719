"""In a simulation thousands hold the same item, the very same object: what follows from it alone is worked out once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from servent.overlay import records, terms
from servent.overlay.records import Item
from servent.query import language

T = TypeVar("T")


def remember() -> None:
    """From now on, in this process. Done twice it is done once."""
    if not hasattr(terms.words_of, "remembers"):
        terms.words_of = _by_identity(terms.words_of)
        records.item_hash = _by_identity(records.item_hash)
        language.indexed = lru_cache(1 << 20)(language.indexed)


def _by_identity(function: Callable[[Item], T]) -> Callable[[Item], T]:
    known: dict[int, tuple[Item, T]] = {}  # the item is kept, so that its id stays its own

    def remembering(item: Item) -> T:
        found = known.get(id(item))
        if found is None:
            found = known[id(item)] = (item, function(item))
        return found[1]

    remembering.remembers = True  # type: ignore[attr-defined]
    return remembering
