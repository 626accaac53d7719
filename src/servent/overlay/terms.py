"""The words of an item, and the keys that it is found under. Pure; the same at both ends.

A home chooses the rarest words of an item and stores the item under their keys; the keyed supernode cuts the same item
into the same words, and so knows whether a key belongs to it. A question is asked under the key of its rarest word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from servent.overlay.placement import MOST_TERMS, content_key, key_of
from servent.overlay.records import Item
from servent.query.texts import ext, indexed_tags
from servent.query.words import parts, unspaced, words

SHORTEST, LONGEST = 2, 32  # letters of a word that is keyed
CUT = 4096  # items whose words are remembered: 3 MB; two homes bring each
KNOWN = 1000  # items that must be counted before their counts say what is rare in the whole network


def indexable(word: str) -> bool:
    """Whether a folded word is keyed at all: 2 to 32 letters or digits, or one letter of a script without spaces."""
    return SHORTEST <= len(word) <= LONGEST or unspaced(word)


def words_of(item: Item) -> tuple[str, ...]:
    """The words of its name, its tags and its directory, each once, those of the name first."""
    return _cut(item.name, item.where, tuple(item.tags.items()))


@lru_cache(CUT)
def _cut(name: str, where: str, tags: tuple[tuple[str, str | int], ...]) -> tuple[str, ...]:
    title, artist, album, more = indexed_tags(dict(tags))
    found = dict.fromkeys(words(name))
    found.update(dict.fromkeys(parts(name)))
    for text in (title, artist, album):
        if text:
            found.update(dict.fromkeys(text.split()))
    for text in (more, where):
        if text:
            found.update(dict.fromkeys(words(text)))
            found.update(dict.fromkeys(parts(text)))
    return tuple(word for word in found if indexable(word))


def rarest(some: Iterable[str], counts: Mapping[str, int] = {}, total: int = 0) -> list[str]:
    """The same words, rarest first: as counted among `total` items, else by what they look like.

    Few items say nothing of a network, so their counts do not matter; then long words come before short ones and
    words before numbers. Asker and home order alike, so that what one asks for is what the other has chosen.
    """
    if total < KNOWN:
        return sorted(some, key=lambda word: (word.isdigit(), -len(word), word))
    return sorted(some, key=lambda word: (counts.get(word, 0), word.isdigit(), -len(word), word))


def keyed_words(
    item: Item,
    counts: Mapping[str, int] = {},
    total: int = 0,
    common: float = 0.05,
) -> list[str]:
    """At most 8 of its words: the rarest, and none that more than `common` of the counted items have.

    The ending of its name is none of them while there are others: it says what `type:` asks for.
    """
    chosen = words_of(item)
    ending = ext(item.name)
    if ending and len(chosen) > 1:
        chosen = tuple(word for word in chosen if word != ending)
    if total >= KNOWN:
        most = total * common
        chosen = tuple(word for word in chosen if counts.get(word, 0) <= most)
    return rarest(chosen, counts, total)[:MOST_TERMS]


def keys_of(
    network: bytes,
    item: Item,
    counts: Mapping[str, int] = {},
    total: int = 0,
    common: float = 0.05,
) -> list[bytes]:
    """Under what it is stored: the key of its content, and those of `keyed_words`."""
    chosen = keyed_words(item, counts, total, common)
    return [content_key(network, item.content), *(key_of(network, word) for word in chosen)]


def all_keys(network: bytes, item: Item) -> set[bytes]:
    """Every key that is true of it: of its content and of any of its words."""
    return {content_key(network, item.content), *(key_of(network, word) for word in words_of(item))}
