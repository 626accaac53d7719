"""Questions to the supernode's store of items, each at a cost that has a ceiling. Pure SQL, read only.

Ids are in the order of rank (`items_rows`), so a question that many items answer is put in steps: all words in a row in the
name, all in the name, anywhere; and from each step only the first are read. No more is read than is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from servent.overlay.items_rows import Side, item_of, network_row, side
from servent.query.language import MOST_BYTES, Query
from servent.query.matching import expression
from servent.query.texts import ext

if TYPE_CHECKING:
    import sqlite3

MOST_LOOKED_AT = 4_000  # matches whose size is held against the exact one
PAGES = 4  # times that the first matches are read, where some do not pass the exact filter
Row = tuple[bytes, bytes]  # publisher, item as stored


class Answer(NamedTuple):
    """`more`: there is more than was said or, under keys, than is kept."""

    rows: list[Row]
    more: bool


def find(
    db: sqlite3.Connection,
    network: bytes,
    limit: int,
    query: Query | None = None,
    keys: Sequence[bytes] = (),
    content: bytes | None = None,
    per_key: int = 5000,
) -> Answer:
    """See `effects.Find`."""
    where = network_row(db, network)
    if where is None:
        return Answer([], False)
    if query is not None:
        return by_query(db, where, query, limit, content)
    if keys:
        return by_keys(db, where, keys, limit, content, per_key)
    return by_content(db, where, content, limit) if content is not None else Answer([], False)


def counts(db: sqlite3.Connection, network: bytes, terms: Sequence[str]) -> tuple[list[int], int]:
    """How many of a home's items have each of these words, and how many there are."""
    where = network_row(db, network)
    if where is None:
        return [0] * len(terms), 0
    question = "SELECT items FROM words WHERE network = ? AND word = ?"
    found = [db.execute(question, (where, term)).fetchone() for term in terms]
    total = db.execute("SELECT home FROM totals WHERE network = ?", (where,)).fetchone()
    return [row[0] if row is not None else 0 for row in found], total[0] if total is not None else 0


# -- words

_MATCH = (
    "SELECT i.id, p.key, i.body FROM found f CROSS JOIN items i ON i.id = f.rowid CROSS JOIN publishers p ON p.id = i.publisher "
    "WHERE found MATCH ? AND f.rowid >= ? AND f.rowid < ? ORDER BY f.rowid LIMIT ?"
)
_MATCH_SIZE = (
    "SELECT i.id, p.key, i.body FROM (SELECT rowid AS id FROM found WHERE found MATCH ? AND rowid >= ? AND rowid < ? "
    f"ORDER BY rowid LIMIT {MOST_LOOKED_AT}) f CROSS JOIN items i ON i.id = f.id CROSS JOIN publishers p ON p.id = i.publisher "
    "WHERE i.size BETWEEN ? AND ? LIMIT ?"
)
_MORE = f"SELECT 1 FROM found WHERE found MATCH ? AND rowid >= ? AND rowid < ? ORDER BY rowid LIMIT 1 OFFSET {MOST_LOOKED_AT}"


def by_query(
    db: sqlite3.Connection, network: int, query: Query, limit: int, content: bytes | None = None
) -> Answer:
    """What is kept as a home, best first."""
    within = side(network, False)
    found, more = _matching(db, query, within, "", limit)
    if more and query.terms and not all(term.field for term in query.terms):
        named, many = _matching(db, query, within, "name", limit)
        if many and sum(len(term.words) for term in query.terms) > 1:
            named = _matching(db, query, within, "name", limit, in_a_row=True)[0] | named
        found = named | found
    rows = list(found.values())
    if content is not None:
        rows = [row for row in rows if item_of(row[1]).content == content]
    elif not more:
        rows = _ranked(query, rows)
    return Answer(rows[:limit], more)


def _matching(
    db: sqlite3.Connection, query: Query, within: Side, where: str, limit: int, in_a_row: bool = False
) -> tuple[dict[int, Row], bool]:
    """The first `limit` that have the words in these columns and pass the filters; and whether there may be more."""
    text = expression(query, where)
    if in_a_row:
        text = f'({text}) AND name : "{query.in_a_row.strip()}"'
    sized = query.least > 0 or query.most < MOST_BYTES
    rough = bool(query.exts or query.not_exts)  # two endings may have the same mark
    rows: dict[int, Row] = {}
    first, want = within.first, limit + 1
    for _ in range(PAGES):
        if sized:
            values: tuple[object, ...] = (text, first, within.end, query.least, query.most, want)
            some = db.execute(_MATCH_SIZE, values).fetchall()
        else:
            some = db.execute(_MATCH, (text, first, within.end, want)).fetchall()
        rows.update(
            (id, (publisher, body)) for id, publisher, body in some if not rough or _ends_so(query, body)
        )
        if len(some) < want:
            return rows, sized and db.execute(_MORE, (text, first, within.end)).fetchone() is not None
        if len(rows) > limit:
            break
        first = some[-1][0] + 1
    return rows, True


def _ends_so(query: Query, body: bytes) -> bool:
    ending = ext(item_of(body).name)
    return ending not in query.not_exts and (not query.exts or ending in query.exts)


def _ranked(query: Query, rows: list[Row]) -> list[Row]:
    """By about what `Query.relevance` says; short names are first already."""
    words = [word for term in query.terms for word in term.words]
    if not words or len(rows) < 2:
        return rows
    together = " ".join(words)

    def worth(row: Row) -> int:
        name = item_of(row[1]).name.lower()
        return -sum(word in name for word in words) - (together in name)

    return sorted(rows, key=worth)


# -- keys and contents


def by_keys(
    db: sqlite3.Connection,
    network: int,
    keys: Sequence[bytes],
    limit: int,
    content: bytes | None,
    per_key: int,
) -> Answer:
    """What is kept as a keyed supernode under all of these keys."""
    known = [
        db.execute("SELECT postings, id FROM keys WHERE key = ? AND network = ?", (key, network)).fetchone()
        for key in dict.fromkeys(keys)
    ]
    full = any(row is not None and row[0] >= per_key for row in known)
    if any(row is None for row in known):
        return Answer([], full)
    first, *others = (row[1] for row in sorted(known))
    also = "".join(
        f" AND EXISTS (SELECT 1 FROM postings q WHERE q.key = {int(other)} AND q.publisher = p.publisher AND q.item = p.item)"
        for other in others
    )
    if content is not None:
        also += " AND substr(i.body, 4, 32) = ?4"
    question = (
        f"SELECT b.key, i.body FROM (SELECT p.item, p.publisher FROM postings p JOIN items i ON i.id = p.item WHERE p.key = ?1{also} "
        "ORDER BY p.item LIMIT ?2) f CROSS JOIN items i ON i.id = f.item CROSS JOIN publishers b ON b.id = f.publisher "
        "WHERE i.id > ?3"
    )
    values = (first, limit + 1, 0, *([content] if content is not None else []))
    rows = db.execute(question, values).fetchall()
    return Answer(rows[:limit], full or len(rows) > limit)


def by_content(db: sqlite3.Connection, network: int, content: bytes, limit: int) -> Answer:
    """Who has this content, on both sides, each publisher once."""
    first, end = side(network, False).first, side(network, True).end
    found: dict[bytes, bytes] = {}
    for publisher, body in db.execute(
        "SELECT p.key, i.body FROM items i CROSS JOIN publishers p ON p.id = i.publisher "
        "WHERE substr(i.body, 4, 8) = ? AND i.id >= ? AND i.id < ? AND substr(i.body, 4, 32) = ? ORDER BY i.id",
        (content[:8], first, end, content),
    ):
        found.setdefault(publisher, body)
        if len(found) > limit:
            break
    return Answer(list(found.items())[:limit], len(found) > limit)
