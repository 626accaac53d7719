"""The query language: what a person types, or a peer sends, becomes a `Query`, or an error that says where. Pure.

    nina simone live        all of these words, in any order
    "little girl blue"      these words in this order
    sinner*                 words that begin so
    -remix  -ext:txt        without
    artist: album: title:   a word or "phrase" in that tag
    type:audio,video  ext:flac  size:>10mb  size:1mb..5mb  peer:ann

The same parser reads text from the wire. `Query.relevance` says for one file what the index says for all, so that
what peers answer can be held to what they were asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from servent.errors import UsageError
from servent.query.kinds import KINDS
from servent.query.texts import ext, indexed_tags
from servent.query.words import indexed, unspaced, words

MOST_LETTERS = 500
MOST_TERMS = 12  # words and phrases that the index has to look up
SHORTEST_PREFIX = 2  # letters; the index has prefixes from there on
MOST_BYTES = 1 << 60

IN_NAME, IN_TAGS, IN_PATH = 10.0, 6.0, 2.0  # points for a word by where it stands; a guess
IN_A_ROW, SHORT, SHORT_LETTERS = 5.0, 3.0, 20.0  # for all words in a row, and for names without much else

TEXTS: Final = ("artist", "album", "title")
FILTERS: Final = ("type", "ext", "size", "peer")
_ALIASES = {
    "kind": "type", "extension": "ext", "format": "ext", "from": "peer", "user": "peer", "by": "artist",
}  # fmt: skip
_TYPES = {
    "music": "audio", "sound": "audio", "movie": "video", "film": "video", "picture": "image", "photo": "image",
    "doc": "document", "text": "document", "book": "document", "zip": "archive", "app": "program", "software": "program",
}  # fmt: skip
_UNITS = {"": 1, "b": 1} | {
    letter + tail: base**power
    for power, letter in enumerate("kmgt", 1)
    for tail, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_SIZE = re.compile(r"(\d{1,15}(?:[.,]\d{1,6})?)([a-z]*)")
_PIECE = re.compile(
    r'(?P<minus>-?)(?:(?P<field>[a-z]+):)?(?:"(?P<phrase>[^"]*)(?P<end>"?)(?P<star>\*?)|(?P<bare>\S*))',
    re.IGNORECASE,
)
_QUOTES = str.maketrans("“”„«»", '"' * 5)
_ABOUT = 0.1  # how far off "size:700mb" may be


class QueryError(UsageError):
    """What is wrong with a query. `position`: the letter it begins at, from 0."""

    def __init__(self, message: str, position: int, advice: str) -> None:
        super().__init__(f"{message} (at letter {position + 1})", advice=advice)
        self.position = position


@dataclass(frozen=True, slots=True)
class Term:
    """Words that must stand next to each other. `prefix`: the last may go on. `field`: "" for anywhere."""

    words: tuple[str, ...]
    prefix: bool = False
    field: str = ""

    @property
    def needle(self) -> str:
        """What `words.indexed` texts contain where this term is."""
        return f" {' '.join(self.words)}" + ("" if self.prefix else " ")


@dataclass(frozen=True, slots=True)
class Query:
    """All of `terms`, none of `without`, and what the filters leave.

    Attributes:
        kinds, exts: any of these; empty for all. `not_kinds`, `not_exts`: none of these.
        least, most: bytes.
        peer: as typed; "" for everybody.
        text: what was typed, without `peer:`; what peers are asked.
    """

    terms: tuple[Term, ...] = ()
    without: tuple[Term, ...] = ()
    kinds: frozenset[int] = frozenset()
    not_kinds: frozenset[int] = frozenset()
    exts: frozenset[str] = frozenset()
    not_exts: frozenset[str] = frozenset()
    least: int = 0
    most: int = MOST_BYTES
    peer: str = ""
    text: str = ""

    def relevance(
        self,
        name: str,
        kind: int,
        size: int,
        path: str = "",
        tags: Mapping[str, str | int | float] | None = None,
    ) -> float | None:
        """How well a file answers, from 0 to about 20, or None when it is no answer.

        `path` as in the index: the directories, without its name. Words in the name count most, then those in
        title, artist and album, then the path; short names and all words in a row are better.
        """
        if (
            not self.least <= size <= self.most
            or kind in self.not_kinds
            or (self.kinds and kind not in self.kinds)
        ):
            return None
        if self.exts or self.not_exts:
            ending = ext(name)
            if ending in self.not_exts or (self.exts and ending not in self.exts):
                return None
        title, artist, album, more = indexed_tags(tags or {})
        named, where = indexed(name), indexed(path) + indexed(more)
        tagged = {"title": (title,), "artist": (artist,), "album": (album,), "": (title, artist, album)}
        total = 0.0
        for term in self.terms:
            if not term.field and term.needle in named:
                total += IN_NAME
            elif any(term.needle in text for text in tagged[term.field]):
                total += IN_TAGS
            elif not term.field and term.needle in where:
                total += IN_PATH
            else:
                return None
        for term in self.without:
            texts = tagged[term.field] if term.field else (named, title, artist, album, where)
            if any(term.needle in text for text in texts):
                return None
        row = IN_A_ROW if len(self.terms) > 1 and self.in_a_row in named else 0.0
        return total / max(1, len(self.terms)) + row + SHORT * SHORT_LETTERS / (SHORT_LETTERS + len(named))

    @property
    def in_a_row(self) -> str:
        """All words next to each other, as `words.indexed` would have them."""
        return f" {' '.join(word for term in self.terms for word in term.words)}"


def parse(text: str) -> Query:
    """Read a query.

    Raises:
        QueryError: where and why it cannot be understood, and what to write instead.
    """
    if len(text) > MOST_LETTERS:
        raise QueryError(
            f"a query has at most {MOST_LETTERS} letters", MOST_LETTERS, "A few words are enough."
        )
    reader = _Reader()
    text = text.translate(_QUOTES)
    at, kept = 0, ""
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        piece = _PIECE.match(text, at)
        assert piece is not None  # the last alternative takes anything
        if not reader.take(piece):
            kept += piece.group() + " "
        at = max(piece.end(), at + 1)
    return reader.result(kept.strip())


class _Reader:
    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.without: list[Term] = []
        self.sets: dict[str, set[str]] = {name: set() for name in ("type", "-type", "ext", "-ext")}
        self.least, self.most, self.peer = 0, MOST_BYTES, ""

    def take(self, piece: re.Match[str]) -> bool:
        """One piece of the query. True when it is for this node alone."""
        at = piece.start()
        minus = bool(piece["minus"])
        field = (piece["field"] or "").lower()
        field = _ALIASES.get(field, field)
        quoted = piece["phrase"] is not None
        if quoted and not piece["end"]:
            raise QueryError(
                "a quotation mark is never closed", piece.start("phrase") - 1, 'Write "like this".'
            )
        value = piece["phrase"] if quoted else piece["bare"]
        if field and not value and not quoted:
            if field in TEXTS or field in FILTERS:
                raise QueryError(f"{field}: says nothing", at, f"Write for example {_EXAMPLES[field]}")
            field, value = "", field  # "Star Trek: Voyager"
        if field in FILTERS:
            self._filter(field, value, minus, at)
            return field == "peer"
        if field and field not in TEXTS:
            from difflib import get_close_matches

            if near := get_close_matches(field, (*TEXTS, *FILTERS), 1, 0.75):
                raise QueryError(
                    f"there is no {field}:", at, f"Did you mean {near[0]}: ? Else put it in quotes."
                )
            field, value = "", f"{field} {value}"  # "Re:Zero"
        self._words(value, bool(piece["star"]), quoted, field, minus, at)
        return False

    def _words(self, value: str, star: bool, quoted: bool, field: str, minus: bool, at: int) -> None:
        if not quoted:
            value = value.replace('"', " ")
            star = value.endswith("*")
            value = value.rstrip("*")
            if "*" in value:
                raise QueryError("* stands only at the end of a word", at, "Write the beginning of it: simo*")
        found = tuple(words(value))
        if not found:
            if star or field:
                raise QueryError("there is no word in that", at, "Write at least two letters: si*")
            return
        star = star and not unspaced(found[-1])
        if star and len(found[-1]) < SHORTEST_PREFIX:
            raise QueryError("too many words begin so", at, "Write at least two letters before the *")
        if len(self.terms) + len(self.without) >= MOST_TERMS:
            raise QueryError(f"more than {MOST_TERMS} words", at, "A few words are enough.")
        (self.without if minus else self.terms).append(Term(found, star, field))

    def _filter(self, field: str, value: str, minus: bool, at: int) -> None:
        if field == "size":
            if minus:
                raise QueryError("a size is not taken away", at, "Turn it round: size:<10mb")
            least, most = _sizes(value.lower().replace(" ", ""), at)
            self.least, self.most = max(self.least, least), min(self.most, most)
            if self.least > self.most:
                raise QueryError("no file has such a size", at, "Write for example size:1mb..5mb")
            return
        if field == "peer":
            if minus or self.peer or not value.strip():
                raise QueryError("one peer can be named", at, "Write for example peer:ann")
            self.peer = value.strip()[:64]
            return
        for one in value.lower().split(","):
            one = one.strip().lstrip(".")
            if field == "type":
                known = _TYPES.get(one.removesuffix("s"), _TYPES.get(one, one.removesuffix("s")))
                if known not in KINDS:
                    raise QueryError(f"there is no type {one!r}", at, f"Types are {', '.join(KINDS)}.")
                one = known
            elif not one.isalnum() or ext(f"x.{one}") != one:
                raise QueryError(f"{one!r} is no ending of a name", at, "Write for example ext:flac")
            wanted = self.sets["-" * minus + field]
            wanted.add(one)
            if len(wanted) > MOST_TERMS:
                raise QueryError(f"more than {MOST_TERMS} of {field}:", at, "A few are enough.")

    def result(self, text: str) -> Query:
        kinds, not_kinds = (frozenset(map(KINDS.index, self.sets[name])) for name in ("type", "-type"))
        sized = self.least > 0 or self.most < MOST_BYTES
        if not self.terms and not kinds and not self.sets["ext"] and not sized:
            if self.without or not_kinds or self.sets["-ext"]:
                raise QueryError("it says only what not to find", 0, "Add a word that should be there.")
            if self.peer:
                raise QueryError("it says only where to look", 0, f"Add a word, or browse {self.peer}.")
            raise QueryError(
                "there is no word to look for", 0, "Write some words of a name, an artist, an album."
            )
        return Query(
            tuple(self.terms), tuple(self.without), kinds, not_kinds,
            frozenset(self.sets["ext"]), frozenset(self.sets["-ext"]), self.least, self.most, self.peer, text,
        )  # fmt: skip


_EXAMPLES = {
    "artist": "artist:simone", "album": 'album:"little girl blue"', "title": "title:sinnerman", "type": "type:audio",
    "ext": "ext:flac", "size": "size:>10mb", "peer": "peer:ann",
}  # fmt: skip


def _sizes(value: str, at: int) -> tuple[int, int]:
    """The least and the most bytes that `value` allows."""
    if ".." in value:
        low, _, high = value.partition("..")
        least = _bytes(low, at) if low else 0
        return least, _bytes(high, at) if high else MOST_BYTES
    for sign in (">=", "<=", ">", "<", "="):
        if value.startswith(sign):
            size = _bytes(value[len(sign) :], at)
            floor = {">": size + 1, ">=": size, "=": size}.get(sign, 0)
            return floor, {"<": size - 1, "<=": size, "=": size}.get(sign, MOST_BYTES)
    size = _bytes(value, at)
    return int(size * (1 - _ABOUT)), int(size * (1 + _ABOUT))


def _bytes(text: str, at: int) -> int:
    found = _SIZE.fullmatch(text)
    if found is None or found[2] not in _UNITS:
        raise QueryError(f"{text[:20]!r} is no size", at, "Write for example size:>10mb or size:1mb..5mb")
    return min(MOST_BYTES, int(float(found[1].replace(",", ".")) * _UNITS[found[2]]))
