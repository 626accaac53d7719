"""Searching what was said: words of texts, what a person types, and where in a text it stands. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from servent.errors import UsageError
from servent.query.words import MOST_TEXT, indexed, words

MOST_TERMS = 12
_PIECE = re.compile(r'(?P<minus>-?)(?:"(?P<phrase>[^"]*)"?|(?P<bare>\S+))')
_QUOTES = str.maketrans("“”„«»", '"' * 5)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """All of `terms`, none of `without`. A term is words in a row."""

    terms: tuple[tuple[str, ...], ...]
    without: tuple[tuple[str, ...], ...] = ()

    def expression(self, mark: str = "") -> str:
        """In FTS5's language: folded words in quotes, never what was typed. `mark`: also this, in the column `marks`."""
        wanted = [f"words : {_quoted(term)}" for term in self.terms]
        if mark:
            wanted.append(f'marks : "{mark}"')
        text = f"({' AND '.join(wanted)})"
        without = " OR ".join(f"words : {_quoted(term)}" for term in self.without)
        return f"{text} NOT ({without})" if without else text

    def ranges(self, text: str) -> tuple[tuple[int, int], ...]:
        """Where the terms stand in `text`, as [from, to) in characters, in order."""
        places = list(_places(text))
        said = [word for word, _, _ in places]
        found: set[tuple[int, int]] = set()
        for term in self.terms:
            for at in range(len(said) - len(term) + 1):
                if tuple(said[at : at + len(term)]) == term:
                    found.add((places[at][1], places[at + len(term) - 1][2]))
        return tuple(sorted(found))


def asked(text: str) -> Asked:
    """What somebody typed.

    Raises:
        UsageError: no word to look for, or too many.
    """
    terms: list[tuple[str, ...]] = []
    without: list[tuple[str, ...]] = []
    for piece in _PIECE.finditer(text.translate(_QUOTES)[:MOST_TEXT]):
        found = tuple(words(piece["phrase"] if piece["phrase"] is not None else piece["bare"]))
        if found:
            (without if piece["minus"] else terms).append(found)
    if not terms:
        raise UsageError(
            "there is no word to look for", advice='Words, "phrases", and -words that must not be there.'
        )
    if len(terms) + len(without) > MOST_TERMS:
        raise UsageError(f"at most {MOST_TERMS} words can be looked for at once")
    return Asked(tuple(dict.fromkeys(terms)), tuple(dict.fromkeys(without)))


def words_of(text: str) -> str:
    """What the index keeps of a text of any length."""
    return "".join(indexed(part) for part in _parts(text))


def _parts(text: str) -> Iterator[str]:
    """Pieces of a length that is looked at, cut between words."""
    while len(text) > MOST_TEXT:
        cut = max(text.rfind(" ", 0, MOST_TEXT), text.rfind("\n", 0, MOST_TEXT))
        cut = cut if cut > 0 else MOST_TEXT
        yield text[:cut]
        text = text[cut:]
    yield text


def _places(text: str) -> Iterator[tuple[str, int, int]]:
    for match in _WORD.finditer(text):
        cut = words(match.group())
        if len(cut) <= 1:
            yield (cut[0] if cut else "", match.start(), match.end())
        elif len(cut) == len(match.group()):  # a script without spaces: each letter is a word
            for offset, word in enumerate(cut):
                yield word, match.start() + offset, match.start() + offset + 1
        else:
            for word in cut:
                yield word, match.start(), match.end()


def _quoted(term: Sequence[str]) -> str:
    return '"' + " ".join(term) + '"'
