"""Names that look alike though their letters differ: a skeleton to compare them by, and scripts that do not mix. Pure.

The skeleton is that of UTS #39 (Unicode's security mechanisms), taken further since people do not tell case, accents and
blanks apart either: "аnn" with a Cyrillic a, "Ａnn", "ann", "A n n" and "Änn" have one skeleton, and so have "Bill", "BiII" and "8ill" not.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from importlib import resources

MOST = 256  # characters that are looked at
_ROUNDS = 3  # a letter's likeness may have another one in lower case; the table is flat otherwise
_OURS = {
    # Unicode's list tells these apart, and fonts, or who reads in a hurry, do not.
    "i": "l", "|": "l", "1": "l", "!": "l", "0": "o", "m": "rn", "w": "vv", "æ": "ae", "œ": "oe", "ß": "ss", "ı": "l",
}  # fmt: skip
_WITH_LATIN = {"HAN", "HIRAGANA", "KATAKANA", "BOPOMOFO", "HANGUL"}  # UTS #39, 5.2: "highly restrictive"
_FAMILIES = {
    "CJK": "HAN", "KANGXI": "HAN", "IDEOGRAPHIC": "HAN", "FULLWIDTH": "LATIN", "HALFWIDTH": "KATAKANA",
    "MODIFIER": "", "DOUBLE-STRUCK": "LATIN", "SCRIPT": "LATIN", "BLACK-LETTER": "LATIN",
}  # fmt: skip


@lru_cache(1)
def _table() -> dict[str, str]:
    """Read once somebody asks: a node that talks to nobody does without."""
    found: dict[str, str] = {}
    text = resources.files("servent.trust").joinpath("lookalikes.txt").read_text("utf-8")
    for line in text.splitlines():
        like, tab, letters = line.partition("\t")
        if tab:
            found |= dict.fromkeys(letters, like)
    return found | _OURS


@lru_cache(4096)
def skeleton(name: str) -> str:
    """What is left of a name when everything is taken away that a reader might not see. Equal for names that look alike.

    Never for showing. Names without letters and digits keep their signs; "" only for "".
    """
    table = _table()
    before, text = "", _plain(name[:MOST])
    for _ in range(_ROUNDS):
        before, text = text, _plain("".join(table.get(letter, letter) for letter in text)).casefold()
        if text == before:
            break
    return "".join(letter for letter in text if letter.isalnum()) or text.strip() or name


def _plain(text: str) -> str:
    """Without compatibility forms, marks, and what shows nothing."""
    return "".join(
        letter
        for letter in unicodedata.normalize("NFKD", text)
        if unicodedata.category(letter) not in ("Mn", "Me", "Cf", "Cc")
    )


def scripts(name: str) -> set[str]:
    """The scripts of the letters of a name, as "LATIN" or "HAN"."""
    found = {script_of(letter) for letter in unicodedata.normalize("NFKC", name[:MOST]) if letter.isalpha()}
    return found - {""}


@lru_cache(1024)
def script_of(letter: str) -> str:
    """The script of a letter, by the first word of its name; "" for one that belongs to several."""
    first = unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]
    return _FAMILIES.get(first, first)


def mixed(name: str) -> bool:
    """Whether letters of scripts stand together that no language writes together, as in "pаypal" with one Cyrillic а.

    Latin letters beside Chinese, Japanese or Korean ones are usual; so are words of one script each.
    """
    if name.isascii():
        return False
    return any(_mixed(word) for word in name.split())


def _mixed(word: str) -> bool:
    found = scripts(word)
    if len(found) < 2:
        return False
    east = found & _WITH_LATIN
    rest = found - _WITH_LATIN
    if east:
        return bool(rest - {"LATIN"}) or (
            "HANGUL" in east and bool(east & {"HIRAGANA", "KATAKANA", "BOPOMOFO"})
        )
    return True


def alike(one: str, other: str) -> bool:
    """Whether a reader may take one name for the other."""
    return skeleton(one) == skeleton(other)
