"""What is never shown, fetched or served here: blocked contents and the person's own filters. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.errors import UsageError
from servent.identity import PeerId

MOST_BLOCKS = 100_000  # contents
MOST_RECEIVED = 1000  # reports of others that are kept; the oldest goes first
MOST_FROM_ONE = 50  # of these, from one reporter

Reason = Literal["malware", "illegal", "mislabelled", "spam", "abuse", "other"]
Word = Annotated[str, Meta(min_length=1, max_length=256)]
Ext = Annotated[str, Meta(min_length=1, max_length=16)]
KindName = Annotated[str, Meta(min_length=1, max_length=16)]
_WORDS = re.compile(r"[^\W_]+")


class Filters(Struct, frozen=True):
    """What the person here does not want to see. Words match whole words in any case; "word*" its beginning."""

    words: Annotated[tuple[Word, ...], Meta(max_length=1000)] = ()
    exts: Annotated[tuple[Ext, ...], Meta(max_length=200)] = ()
    kinds: Annotated[tuple[KindName, ...], Meta(max_length=7)] = ()
    max_bytes: int | None = None
    min_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Something refused here: a content, or a peer. `name`: what it was called when it was blocked."""

    content: bytes = b""
    peer: PeerId | None = None
    name: str = ""
    note: str = ""
    since: float = 0.0

    @property
    def id(self) -> str:
        return self.content.hex() if self.content else f"peer-{self.peer}"


@dataclass(frozen=True, slots=True)
class Report:
    """Somebody's word that something is bad. `by` None: ours; `told`: how many admins heard of it."""

    id: str
    reason: Reason
    time: float
    content: bytes = b""
    peer: PeerId | None = None
    name: str = ""
    note: str = ""
    by: PeerId | None = None
    told: int = 0


def tokens(text: str) -> str:
    """The words of `text` for comparing: folded, one space around each."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return f" {' '.join(_WORDS.findall(folded))} "


def ext_of(name: str) -> str:
    """What follows the last dot, in lower case: "mp3" of "Song.MP3"; "" where there is none."""
    stem, dot, ext = name.rpartition(".")
    return ext.lower() if dot and stem else ""


class Safety:
    """The block list by content, and the filters."""

    def __init__(self) -> None:
        self._blocks: dict[bytes, Block] = {}
        self.filters = Filters()
        self._needles: tuple[tuple[str, str], ...] = ()  # (what is looked for, the word as it was typed)
        self._exts: frozenset[str] = frozenset()

    def blocks_content(self, content: bytes) -> bool:
        """Whether it is never to be shown, fetched or served."""
        return content in self._blocks

    def blocks_any(self, contents: Iterable[bytes | None]) -> bool:
        """Whether one of these is; costs nothing as long as nothing is blocked."""
        return bool(self._blocks) and any(content in self._blocks for content in contents if content)

    def hides(self, content: bytes, name: str, kind: str, size: int) -> str:
        """Why a find is not shown, as a sentence; "" when nothing speaks against it."""
        if content and content in self._blocks:
            note = self._blocks[content].note
            return f"you blocked it: {note}" if note else "you blocked it"
        filters = self.filters
        if kind in filters.kinds:
            return f"your filters hide the kind {kind!r}"
        if self._exts and ext_of(name) in self._exts:
            return f"your filters hide .{ext_of(name)} files"
        if filters.max_bytes is not None and size > filters.max_bytes:
            return f"your filters hide what is larger than {filters.max_bytes} bytes"
        if filters.min_bytes is not None and size < filters.min_bytes:
            return f"your filters hide what is smaller than {filters.min_bytes} bytes"
        if self._needles:
            text = tokens(name)
            for needle, word in self._needles:
                if needle in text:
                    return f"your filters hide the word {word!r}"
        return ""

    def set_filters(self, filters: Filters) -> None:
        """Raises UsageError: sizes that leave nothing, or a word without a letter or digit."""
        most, least = filters.max_bytes, filters.min_bytes
        if most is not None and least is not None and least > most:
            raise UsageError("the smallest size is above the largest", advice="Swap them, or leave one out.")
        needles = []
        for word in filters.words:
            begins = word.endswith("*")
            found = tokens(word)
            if not found.strip():
                raise UsageError(f"{word!r} holds no letter or digit", advice="Filter by whole words.")
            needles.append((found[:-1] if begins else found, word))
        self._needles = tuple(needles)
        self._exts = frozenset(ext.lower().lstrip(".") for ext in filters.exts)
        self.filters = filters

    def block(self, block: Block) -> None:
        """Raises UsageError: the list is full."""
        if block.content not in self._blocks and len(self._blocks) >= MOST_BLOCKS:
            raise UsageError(f"{MOST_BLOCKS} contents are blocked already", advice="Unblock some of them.")
        self._blocks[block.content] = block

    def unblock(self, content: bytes) -> bool:
        """False: it was not blocked."""
        return self._blocks.pop(content, None) is not None

    def blocks(self) -> list[Block]:
        """Contents, newest first."""
        return sorted(self._blocks.values(), key=lambda block: -block.since)


def outdated(reports: Iterable[Report]) -> list[str]:
    """Ids of received reports beyond what is kept: of one reporter, and in all; the oldest go first."""
    received = sorted((one for one in reports if one.by is not None), key=lambda one: -one.time)
    seen: dict[PeerId | None, int] = {}
    gone: list[str] = []
    kept = 0
    for one in received:
        seen[one.by] = seen.get(one.by, 0) + 1
        if seen[one.by] > MOST_FROM_ONE or kept >= MOST_RECEIVED:
            gone.append(one.id)
        else:
            kept += 1
    return gone
