"""Questions to the supernode's store of items, each at a cost that has a ceiling. Pure SQL, read only.

Ids are in the order of rank (`items_rows`), so a question that many items answer is put in steps: all words in a row in the
name, all in the name, anywhere; and of each step only the first are read. How often each word stands in items is known:
so a word that nothing has ends a question at once, a filter is looked up in the index or held against rows, whichever is
cheaper, and a step that would have to run through too much of the index looks through its first part alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from servent.overlay.items_rows import Side, item_of, network_row, side, spread
from servent.overlay.terms import LONGEST, indexable
from servent.query.language import MOST_BYTES, Query
from servent.query.matching import expression, marks_of

if TYPE_CHECKING:
    import sqlite3

MOST_LOOKED_AT = 4_000  # matches of the words that are held against the filters
MOST_ENTRIES = 2_000_000  # of the index that one question runs through, 20 to 50 ns each; beyond, some answers are missed
STEP_ENTRIES = 30_000  # that are worth it to put better answers first
ROW_COST = 60  # entries that cost as much as one row
REFRESH = 512  # questions after which the number of items is looked up again
PREFIX_WORDS = 2_000  # words counted that begin so
_SELDOM = 20  # times as often in all as in names: names are not looked through for such a word, were it a frequent one
_MANY = 8  # times as many answers expected as are wanted: the names alone may have enough of them
MOST_KNOWN = 50_000  # publishers whose keys are remembered
Row = tuple[bytes, bytes]  # publisher, item as stored


class Answer(NamedTuple):
    """`more`: there is more than was said or, under keys, than is kept."""

    rows: list[Row]
    more: bool


class Plan(NamedTuple):
    """How to put a question.

    Attributes:
        nothing: no item can answer it.
        filters: are put to the index.
        entries: of the index that it may run through, at most.
        expected: answers by their names, were words independent of each other; below 0: do not look for them.
    """

    nothing: bool
    filters: bool
    entries: int
    expected: float = 0.0


class Network(NamedTuple):
    """What is remembered of one for a while: its row, the ids of its home's side, items in each class of them."""

    row: int
    within: Side
    items: int
    spread: tuple[tuple[int, int], ...]

    def part(self, share: float) -> Side:
        """About the first `share` of the items."""
        left = share * self.items
        for first, count in self.spread:
            if count >= left:
                return Side(self.within.first, first + int(left) + 1)
            left -= count
        return self.within


class Finder:
    """Answers questions from one connection."""

    def __init__(self, db: sqlite3.Connection, per_key: int = 5000) -> None:
        self._db, self._per_key = db, per_key
        self._networks: dict[bytes, Network] = {}
        self._publishers: dict[int, bytes] = {}  # a row of theirs is never used again
        self._asked = 0

    def find(
        self,
        network: bytes,
        limit: int,
        query: Query | None = None,
        keys: Sequence[bytes] = (),
        content: bytes | None = None,
    ) -> Answer:
        """See `effects.Find`."""
        where = self._network(network)
        if where is None:
            return Answer([], False)
        if query is not None:
            return self._by_query(where, query, limit, content)
        if keys:
            return self._by_keys(where.row, keys, limit, content)
        return self._by_content(where.row, content, limit) if content is not None else Answer([], False)

    def counts(self, network: bytes, terms: Sequence[str]) -> tuple[list[int], int]:
        """How many of a home's items have each of these words, and how many there are."""
        where = network_row(self._db, network)
        if where is None:
            return [0] * len(terms), 0
        question = "SELECT home FROM totals WHERE network = ?"
        total = self._db.execute(question, (where,)).fetchone()
        return [self._count(where, term) for term in terms], total[0] if total is not None else 0

    def _network(self, network: bytes) -> Network | None:
        self._asked += 1
        if self._asked % REFRESH == 0:
            self._networks.clear()
        known = self._networks.get(network)
        if known is None:
            row = network_row(self._db, network)
            if row is None:
                return None
            classes = spread(self._db, row)
            known = Network(row, side(row, False), sum(count for _, count in classes), classes)
            if known.items:
                self._networks[network] = known
        return known

    def _counts(self, network: int, word: str) -> tuple[int, int]:
        """How many items have a word, and how many in their name."""
        question = "SELECT items, named FROM words WHERE network = ? AND word = ?"
        found = self._db.execute(question, (network, word)).fetchone()
        return (found[0], found[1]) if found is not None else (0, 0)

    def _count(self, network: int, word: str) -> int:
        return self._counts(network, word)[0]

    def _publisher(self, row: int) -> bytes:
        key = self._publishers.get(row)
        if key is None:
            if len(self._publishers) >= MOST_KNOWN:
                self._publishers.clear()
            (key,) = self._db.execute("SELECT key FROM publishers WHERE id = ?", (row,)).fetchone()
            self._publishers[row] = key
        return key

    # -- words

    def _by_query(self, where: Network, query: Query, limit: int, content: bytes | None) -> Answer:
        """What is kept as a home, best first."""
        plan = self._plan(where, query, limit)
        if plan.nothing:
            return Answer([], False)
        whole = plan.entries <= MOST_ENTRIES
        within = where.within if whole else where.part(MOST_ENTRIES / plan.entries)
        by_name = any(not term.field for term in query.terms) and plan.expected >= 0.0
        first = where.part(STEP_ENTRIES / plan.entries) if plan.entries > STEP_ENTRIES else within
        found: dict[int, tuple[int, bytes]] = {}
        more = False
        if by_name and plan.expected > _MANY * limit:
            found, more = self._matching(query, first, "name", limit, plan.filters)
        if not more:
            found, more = self._matching(query, within, "", limit, plan.filters)
            if more and by_name:
                named, many = self._matching(query, first, "name", limit, plan.filters)
                found = named | found
                by_name = many
        if more and by_name and sum(len(term.words) for term in query.terms) > 1:
            row, _ = self._matching(query, first, "name", limit, plan.filters, in_a_row=True)
            found = row | found
        rows = [(self._publisher(publisher), body) for publisher, body in found.values()]
        if content is not None:
            rows = [row for row in rows if item_of(row[1]).content == content]
        elif not more:
            rows = _ranked(query, rows)
        return Answer(rows[:limit], more or not whole)

    def _plan(self, where: Network, query: Query, limit: int) -> Plan:
        counted, named = [], []
        for term in query.terms:
            for number, word in enumerate(term.words, 1):
                if term.prefix and number == len(term.words):
                    count, in_name = self._count_prefix(where.row, word)
                elif indexable(word):
                    count, in_name = self._counts(where.row, word)
                else:
                    count = in_name = where.items
                counted.append(count)
                if not term.field:
                    named.append((count, in_name))
        if counted and not min(counted):
            return Plan(True, True, 0)
        entries, total = max(1, sum(counted)), max(1, where.items)
        marks = [sum(self._count(where.row, mark) for mark in some) for some in marks_of(query)]
        share = prod(count / total for count in marks)
        # FTS5 runs through all that has the word elsewhere until one has it in its name
        if all(count <= STEP_ENTRIES or count <= _SELDOM * in_name for count, in_name in named):
            expected = total * share * prod((in_name or 0.1) / total for _, in_name in named)
        else:
            expected = -1.0
        if not counted or not marks:
            return Plan(bool(marks) and not min(marks), True, entries + sum(marks), expected)
        if not share:
            return Plan(True, True, 0)
        # rows read until enough pass; entries run through until enough have all the marks, too
        rows = min(min(counted), limit / share, MOST_LOOKED_AT)
        through = min(1.0, limit / (share * min(counted)))
        by_index = through * (entries + sum(marks))
        if rows * ROW_COST < by_index:
            return Plan(False, False, entries, expected)
        return Plan(False, True, entries + sum(marks), expected)

    def _count_prefix(self, network: int, start: str) -> tuple[int, int]:
        question = (
            "SELECT sum(items), sum(named) FROM "
            "(SELECT items, named FROM words WHERE network = ? AND word >= ? AND word < ? LIMIT ?)"
        )
        found = self._db.execute(question, (network, start, start + "\U0010ffff", PREFIX_WORDS)).fetchone()
        return (found[0], found[1]) if found[0] else (0 if len(start) < LONGEST else 1, 1)

    def _matching(
        self, query: Query, within: Side, where: str, limit: int, filters: bool, in_a_row: bool = False
    ) -> tuple[dict[int, tuple[int, bytes]], bool]:
        """The first `limit` that have the words in these columns and pass the filters; and whether there may be more."""
        text = expression(query, where, filters=filters)
        if in_a_row:
            text = f'({text}) AND name : "{query.in_a_row.strip()}"'
        if not _filters(query):
            some = self._db.execute(_MATCH, (text, *within, limit + 1)).fetchall()
            return {id: (publisher, body) for id, publisher, body, _, _, _ in some[:limit]}, len(some) > limit
        rows: dict[int, tuple[int, bytes]] = {}
        looked = 0
        cursor = self._db.execute(_MATCH, (text, *within, MOST_LOOKED_AT))
        for id, publisher, body, size, kind, ending in cursor:
            looked += 1
            if _passes(query, size, kind, ending):
                if len(rows) == limit:
                    cursor.close()
                    return rows, True
                rows[id] = publisher, body
        return rows, looked == MOST_LOOKED_AT

    # -- keys and contents

    def _by_keys(self, network: int, keys: Sequence[bytes], limit: int, content: bytes | None) -> Answer:
        """What is kept as a keyed supernode under all of these keys."""
        question = "SELECT postings, id FROM keys WHERE key = ? AND network = ?"
        known = [self._db.execute(question, (key, network)).fetchone() for key in dict.fromkeys(keys)]
        full = any(row is not None and row[0] >= self._per_key for row in known)
        if any(row is None for row in known):
            return Answer([], full)
        first, *others = (row[1] for row in sorted(known))
        also = "".join(
            f" AND EXISTS (SELECT 1 FROM postings q WHERE q.key = {int(other)} AND q.publisher = p.publisher AND q.item = p.item)"
            for other in others
        )
        if content is not None:
            also += " AND (SELECT substr(body, 4, 32) FROM items WHERE id = p.item) = ?3"
        question = (
            f"SELECT f.publisher, i.body FROM (SELECT p.item, p.publisher FROM postings p WHERE p.key = ?1{also} "
            "ORDER BY p.item LIMIT ?2) f CROSS JOIN items i ON i.id = f.item"
        )
        values = (first, limit + 1, *([content] if content is not None else []))
        rows = [(self._publisher(publisher), body) for publisher, body in self._db.execute(question, values)]
        return Answer(rows[:limit], full or len(rows) > limit)

    def _by_content(self, network: int, content: bytes, limit: int) -> Answer:
        """Who has this content, on both sides, each publisher once."""
        first, end = side(network, False).first, side(network, True).end
        found: dict[bytes, bytes] = {}
        for publisher, body in self._db.execute(
            "SELECT publisher, body FROM items "
            "WHERE substr(body, 4, 8) = ? AND id >= ? AND id < ? AND substr(body, 4, 32) = ? ORDER BY id",
            (content[:8], first, end, content),
        ).fetchall():
            found.setdefault(self._publisher(publisher), body)
            if len(found) > limit:
                break
        return Answer(list(found.items())[:limit], len(found) > limit)


_MATCH = (
    "SELECT i.id, i.publisher, i.body, i.size, i.kind, i.ext FROM found f CROSS JOIN items i ON i.id = f.rowid "
    "WHERE found MATCH ? AND f.rowid >= ? AND f.rowid < ? ORDER BY f.rowid LIMIT ?"
)


def _filters(query: Query) -> bool:
    return bool(
        query.kinds
        or query.not_kinds
        or query.exts
        or query.not_exts
        or query.least
        or query.most < MOST_BYTES
    )


def _passes(query: Query, size: int, kind: int, ending: str) -> bool:
    return (
        query.least <= size <= query.most
        and (not query.kinds or kind in query.kinds)
        and kind not in query.not_kinds
        and (not query.exts or ending in query.exts)
        and ending not in query.not_exts
    )


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
