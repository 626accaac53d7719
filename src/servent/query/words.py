"""Names and questions as words: one way of cutting for what is indexed and what is asked. Pure.

`_`, `.`, `-` and everything else that is no letter or digit parts words; accents and case go; CamelCase and
numbers can also be found by their parts; scripts that put no space between words are cut into their letters, and
a word of several pieces is asked for as a phrase.
"""

from __future__ import annotations

import re
from unicodedata import category, normalize

MOST_TEXT = 1000  # characters of one text that are looked at; names have 255, tags are cut earlier
MOST_WORD = 64  # characters; what is longer is no word that anybody types

_WORD = re.compile(r"[^\W_]+")
_ACCENTS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]+")  # of Latin, Greek, Cyrillic
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana and Han
_LETTERS = re.compile(f"[{_UNSPACED}]|[^{_UNSPACED}]+")
_HAS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")  # the index keeps its marks there
_COMPOUND = re.compile(r"[a-z][A-Z0-9]|[0-9][A-Za-z]|[A-Z][0-9]|[A-Z][A-Z][a-z]")
_JOINED = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)+")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def folded(text: str) -> str:
    """Without case and accents: what is equal in this form is the same word."""
    if text.isascii():
        return text.lower()
    plain = _ACCENTS.sub("", normalize("NFKD", text)).casefold()
    return _PRIVATE.sub(" ", normalize("NFC", _ACCENTS.sub("", normalize("NFKD", plain))))


def words(text: str) -> list[str]:
    """The words of `text` in order, folded."""
    found = _WORD.findall(folded(text[:MOST_TEXT]))
    if not text.isascii() and _HAS_UNSPACED.search(text):
        found = [piece for word in found for piece in _LETTERS.findall(word)]
    return [word[:MOST_WORD] for word in found]


def unspaced(word: str) -> bool:
    """Whether it is one letter of a script without spaces: a whole word to the index."""
    return _HAS_UNSPACED.fullmatch(word) is not None


def parts(text: str) -> list[str]:
    """What compound words are made of, folded: "power", "point" of "PowerPoint", "track", "01" of "track01".

    Also what people type for words with an apostrophe: "dont" of "Don't".
    """
    found: list[str] = []
    if "'" in text or "\u2019" in text:
        found = ["".join(words(one)) for one in _JOINED.findall(text[:MOST_TEXT])]
    if _COMPOUND.search(text) is None:
        return found
    for word in _WORD.findall(text[:MOST_TEXT]):
        if _COMPOUND.search(word) is not None:
            pieces = _PARTS.findall(word)
            found += [piece.lower() for piece in pieces if len(piece) > (2 if piece[0].islower() else 1)]
    return found


def indexed(text: str) -> str:
    """What the index keeps of `text`: its words, then the parts of compound ones, a space around each."""
    if not text:
        return ""
    return f" {' '.join(words(text) + parts(text))} "


def shown(text: str, most: int = 255) -> str:
    """`text` from elsewhere as it may stand on a screen: nothing that controls it or turns its direction, cut."""
    if text.isascii() and text.isprintable():
        return text[:most]
    return "".join(
        letter if letter.isprintable() or category(letter) in ("Cn", "Co", "Zs") else "\ufffd"
        for letter in text[:most]
    )
