"""In a simulation thousands hold the same item, the very same object: what follows from it alone is worked out once.

A node forgets such results after some thousands, which is as much as it needs; a world of ten thousand members in one
process shares them. Nothing else is different: what is remembered is what the function returned.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from servent.overlay import placement, records, terms
from servent.overlay.records import Item
from servent.query import language

T = TypeVar("T")
MANY = 1 << 20


def remember() -> None:
    """From now on, in this process. Done twice it is done once."""
    if hasattr(terms.words_of, "remembers"):
        return
    _everywhere(terms.words_of, _by_identity(terms.words_of))
    _everywhere(terms.all_keys, _by_network(terms.all_keys))
    _everywhere(records.item_hash, _by_identity(records.item_hash))
    _everywhere(placement.key_of, lru_cache(MANY)(placement.key_of.__wrapped__))
    _everywhere(placement.point, lru_cache(MANY)(placement.point.__wrapped__))
    _everywhere(placement.content_key, lru_cache(MANY)(placement.content_key))
    _everywhere(placement.block_of, lru_cache(MANY)(placement.block_of))
    _everywhere(language.indexed, lru_cache(MANY)(language.indexed))


def _everywhere(function: object, other: object) -> None:
    """Put `other` in the place of `function` in every module that has it."""
    for name, module in list(sys.modules.items()):
        if name.startswith("servent."):
            for own, value in list(vars(module).items()):
                if value is function:
                    setattr(module, own, other)


def _by_identity(function: Callable[[Item], T]) -> Callable[[Item], T]:
    known: dict[int, tuple[Item, T]] = {}  # the item is kept, so that its id stays its own

    def remembering(item: Item) -> T:
        found = known.get(id(item))
        if found is None:
            found = known[id(item)] = (item, function(item))
        return found[1]

    remembering.remembers = True  # type: ignore[attr-defined]
    return remembering


def _by_network(function: Callable[[bytes, Item], T]) -> Callable[[bytes, Item], T]:
    known: dict[tuple[bytes, int], tuple[Item, T]] = {}

    def remembering(network: bytes, item: Item) -> T:
        found = known.get((network, id(item)))
        if found is None:
            found = known[network, id(item)] = (item, function(network, item))
        return found[1]

    return remembering
