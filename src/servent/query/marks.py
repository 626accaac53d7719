"""Filters as words: kind, size and ending stand in an index as private letters, beside the words. Pure.

A filter is then one more word that must be there, so that a rare filter makes a common word cheap instead of dear.
No text has such words: `words.folded` takes private letters out. Letters from E100 to F0FF are left to whoever
keeps an index, for marks of its own.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from servent.query.kinds import KINDS

FIRST, BASE = 0xE100, 0x1000  # kinds from E000, sizes from E040, the index's own from E100, endings from F100
_EXT = 0xF100
_EXT_SPAN = 0x700
MOST_CLASS = 13


def kind_mark(kind: int) -> str:
    """Of a number in `KINDS`; what is none of them counts as "other"."""
    return chr(0xE000 + (kind if 0 <= kind < len(KINDS) else 0))


def size_class(size: int) -> int:
    """A number for each factor of eight; the last takes everything from 512 GiB on."""
    return min(MOST_CLASS, max(0, size).bit_length() // 3)


def size_mark(size: int) -> str:
    """One for each class."""
    return chr(0xE040 + size_class(size))


@lru_cache(1024)
def ext_mark(ending: str) -> str:
    """Two letters made from the ending; among a thousand endings in use two share theirs once in 15 libraries."""
    number = int.from_bytes(hashlib.blake2b(ending.encode(), digest_size=8).digest(), "big")
    return chr(_EXT + number % _EXT_SPAN) + chr(FIRST + number // _EXT_SPAN % BASE)
