"""What peers share in the simulations, and what is asked for: seeded, skewed as real catalogues are.

20 copies a peer, five words an item, words and contents by a flattened Zipf law, questions of two words of an item;
half of what is asked for has at most three copies.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence

from servent.overlay.records import Item

WORDS_IN_ITEM = 5
RARE = 3  # copies
_HEADS = (
    "b",
    "d",
    "f",
    "g",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "z",
    "br",
    "st",
    "tr",
    "sh",
    "kl",
    "gr",
)
_TAILS = ("a", "e", "i", "o", "u", "an", "el", "ir", "on", "ur")
_SYLLABLES = tuple(head + tail for head in _HEADS for tail in _TAILS)
_ENDINGS = (("mp3", 1), ("flac", 1), ("mkv", 2), ("jpg", 3), ("pdf", 4), ("zip", 5))


def word(number: int) -> str:
    """A word that can be said; another for each number."""
    found = ""
    number += len(_SYLLABLES)
    while number:
        number, syllable = divmod(number, len(_SYLLABLES))
        found += _SYLLABLES[syllable]
    return found


def _skewed(dice: random.Random, count: int, flat: float) -> int:
    """A rank below `count`: rank r comes with a weight of 1 / (r + flat)."""
    return min(count - 1, int(flat * math.expm1(dice.random() * math.log1p(count / flat))))


class Corpus:
    """The items of `peers` publishers.

    Attributes:
        shared: for each publisher, numbers of contents.
        holders: for each content, the publishers of it.
    """

    def __init__(self, seed: int, peers: int, per_peer: int = 20) -> None:
        self._dice = random.Random(seed * 31 + 7)
        contents = max(50, peers * per_peer // 3)
        self._vocabulary = max(100, contents // 3)
        self._items: dict[int, Item] = {}
        self._words: dict[int, tuple[str, ...]] = {}
        self.holders: dict[int, list[int]] = {}
        self.shared: list[list[int]] = []
        for peer in range(peers):
            chosen: dict[int, None] = {}
            while len(chosen) < per_peer:
                chosen[_skewed(self._dice, contents, contents / 100)] = None
            self.shared.append(list(chosen))
            for content in chosen:
                self.holders.setdefault(content, []).append(peer)

    def words(self, content: int) -> tuple[str, ...]:
        """The words of its name."""
        found = self._words.get(content)
        if found is None:
            dice = random.Random(content * 2_654_435_761 + 11)
            chosen: dict[str, None] = {}
            while len(chosen) < WORDS_IN_ITEM:
                chosen[word(_skewed(dice, self._vocabulary, 20.0))] = None
            found = self._words[content] = tuple(chosen)
        return found

    def item(self, content: int) -> Item:
        """The one record of it that all who share it have."""
        found = self._items.get(content)
        if found is None:
            one, two, *rest = self.words(content)
            ending, kind = _ENDINGS[content % len(_ENDINGS)]
            found = self._items[content] = Item(
                hashlib.sha256(b"content %d" % content).digest(),
                1_000_000 + content,
                kind,
                f"{one} {two} - {' '.join(rest)}.{ending}",
            )
        return found

    def items_of(self, peer: int) -> list[Item]:
        return [self.item(content) for content in self.shared[peer]]

    def targets(self, count: int, dead: frozenset[int] = frozenset()) -> list[int]:
        """Contents to ask for, of which somebody who lives has one: half of them with at most `RARE` copies."""
        rare, popular = self._living(dead)
        half = count // 2
        weights = [len(self.holders[content]) for content in popular]
        chosen = self._dice.choices(rare, k=count - half) if rare else []
        return chosen + (self._dice.choices(popular, weights, k=half) if popular else [])

    def question(self, content: int) -> tuple[str, str]:
        """Two words of it."""
        one, two = self._dice.sample(self.words(content), 2)
        return one, two

    def rare(self, content: int) -> bool:
        return len(self.holders[content]) <= RARE

    def _living(self, dead: frozenset[int]) -> tuple[list[int], list[int]]:
        rare: list[int] = []
        popular: list[int] = []
        for content, holders in sorted(self.holders.items()):
            if any(holder not in dead for holder in holders):
                (rare if len(holders) <= RARE else popular).append(content)
        return rare, popular


def index(corpus: Corpus, peers: Sequence[int]) -> dict[str, set[int]]:
    """Word -> contents, of what these peers share."""
    found: dict[str, set[int]] = {}
    for peer in peers:
        for content in corpus.shared[peer]:
            for one in corpus.words(content):
                found.setdefault(one, set()).add(content)
    return found
