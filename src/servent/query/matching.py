"""A query in FTS5's language, for an index with the columns name, title, artist, album, path and marks. Pure.

What is handed to FTS5 is made of folded words in quotes and of marks, never of what was typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from servent.query.language import Query, Term
from servent.query.marks import MOST_CLASS, ext_mark, kind_mark, size_class, size_mark

_NARROW = 3  # classes of size; a wider span is left to the exact check: most files are in it
_LARGE = 7  # files from this class on (1 MiB) are few enough to be looked up, however wide the span


def marks_of(query: Query) -> tuple[frozenset[str], ...]:
    """What the filters of a query ask for: one of the marks of each set."""
    low, high = size_class(query.least), size_class(query.most)
    sets = [frozenset(map(kind_mark, query.kinds)), frozenset(map(ext_mark, query.exts))]
    if query.least > 0 or high < MOST_CLASS:
        sets.append(frozenset(map(_class_mark, range(low, high + 1))))
    return tuple(some for some in sets if some)


def expression(query: Query, where: str = "", more: Sequence[str] = (), *, filters: bool = True) -> str:
    """What must be there and what must not.

    Args:
        where: the columns in which words that name no field must stand, as FTS5 has them ("name", "{name title}"); "" for any.
        more: further conditions.
        filters: whether those of the query go into it; without them there must be a term, and an exact check afterwards.
    """
    wanted = list(dict.fromkeys(_term(term, term.field or where) for term in query.terms))
    without = [_term(term, term.field) for term in query.without]
    if filters or not query.terms:
        _filter(query, wanted, without)
    wanted += more
    text = f"({' AND '.join(wanted)})"
    return f"{text} NOT ({' OR '.join(without)})" if without else text


def _filter(query: Query, wanted: list[str], without: list[str]) -> None:
    wanted += [one_of(map(kind_mark, sorted(query.kinds)))] * bool(query.kinds)
    wanted += [one_of(map(ext_mark, sorted(query.exts)))] * bool(query.exts)
    low, high = size_class(query.least), size_class(query.most)
    if high - low <= _NARROW or low >= _LARGE or not wanted:
        wanted.append(one_of(map(_class_mark, range(low, high + 1))))
    without += [one_of(map(kind_mark, sorted(query.not_kinds)))] * bool(query.not_kinds)
    without += [one_of(map(ext_mark, sorted(query.not_exts)))] * bool(query.not_exts)


def _class_mark(number: int) -> str:
    return size_mark((1 << 3 * number) >> 1)


def one_of(marks: Iterable[str]) -> str:
    """At least one of these marks."""
    return "marks : (" + " OR ".join(f'"{mark}"' for mark in marks) + ")"


def _term(term: Term, field: str) -> str:
    text = '"' + " ".join(term.words) + '"' + " *" * term.prefix
    return (
        f"{field} : {text}" if field else text
    )  # words hold no private letters: no need to leave out the marks
