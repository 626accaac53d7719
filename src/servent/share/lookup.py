"""Questions to the library: a query becomes FTS5's language and SQL, ranked, with a ceiling on the cost. Pure.

Ranking all matches of a common word in a million files takes 0.7 s. So when there are more than 2,000, only the newest
are looked at, first those that have every word in the name, and 400 of them are read and scored.
`query.matching` writes what is handed to FTS5.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from servent.query import language
from servent.query.language import Query
from servent.query.matching import expression, one_of
from servent.query.texts import ext
from servent.share.index import folder_mark

if TYPE_CHECKING:
    import sqlite3

MOST_RANKED = 2_000  # matches of one kind; see above
MOST_SCORED = 400  # of more matches than that: read from disk, which takes 2 us each, and scored
_FARTHER = 4  # how much farther back than the newest matches names are looked through
_FETCH = 500  # rows looked up at once, below SQLite's 999 parameters


class FileRow(NamedTuple):
    """A file that was found. `tags` as stored; `score`: its relevance."""

    id: int
    folder: int
    dir: int
    name: str
    kind: int
    size: int
    modified: float
    root: bytes
    tags: bytes | None
    score: float


class Answer(NamedTuple):
    """`more`: not every match was looked at, or not every good one fits."""

    rows: list[FileRow]
    more: bool


def match(query: Query, folders: Collection[int] | None, where: str = "") -> str:
    """`query` in FTS5's language, for files in these shared folders (None: in all).

    `where`: in which columns words that name no field must stand; "" for any.
    """
    more = [] if folders is None else [one_of(map(folder_mark, sorted(folders)))]
    return expression(query, where, more)


def _score(query: Query) -> tuple[str, list[str]]:
    """`Query.relevance` as SQL over a row of `found_content`, FTS5's own table of texts (c0: name, c1: title, …), and the parameters in it."""
    sums, needles = [], []
    for term in query.terms:
        if term.field:
            sums.append(f"{language.IN_TAGS}")
            continue
        sums.append(
            f"CASE WHEN instr(c0, ?) THEN {language.IN_NAME} WHEN instr(c1, ?) OR instr(c2, ?) "
            f"OR instr(c3, ?) THEN {language.IN_TAGS} ELSE {language.IN_PATH} END"
        )
        needles += [term.needle] * 4
    score = f"({' + '.join(sums) or '0.0'}) / {max(1, len(sums))}"
    if len(query.terms) > 1:
        score += f" + CASE WHEN instr(c0, ?) THEN {language.IN_A_ROW} ELSE 0.0 END"
        needles.append(query.in_a_row)
    letters = language.SHORT_LETTERS
    return f"{score} + {language.SHORT * letters} / ({letters} + length(c0))", needles


def _rows(
    db: sqlite3.Connection, query: Query, ranked: Sequence[tuple[int, float]], limit: int
) -> list[FileRow]:
    """The first `limit` of these that are hashed and pass the exact filters, in this order."""
    rows: list[FileRow] = []
    step = min(_FETCH, limit + 8)
    for start in range(0, len(ranked), step):
        if len(rows) >= limit:
            break
        scores = dict(ranked[start : start + step])
        found = db.execute(
            "SELECT id, folder, dir, name, kind, size, mtime_ns, root, tags FROM files WHERE id IN "
            f"({','.join('?' * len(scores))}) AND root IS NOT NULL AND size BETWEEN ? AND ?",
            (*scores, query.least, query.most),
        )
        good = {
            row[0]: FileRow(
                row[0], row[1], row[2], row[3], row[4], row[5], row[6] / 1e9, row[7], row[8], scores[row[0]]
            )
            for row in found
            if not query.exts or ext(row[3]) in query.exts
        }
        rows += [good[one] for one in scores if one in good]
    return rows[:limit]


def search(
    db: sqlite3.Connection, query: Query, folders: Collection[int] | None, limit: int, cap: int = MOST_RANKED
) -> Answer:
    """The best `limit` hashed files that answer `query`, best first. `folders`: only in these; None: in all."""
    if folders is not None and not folders:
        return Answer([], False)
    text = match(query, folders)
    ids = _ids(db, text, cap)
    more = len(ids) >= cap
    if more:
        ids = _newest(db, query, folders, text, cap)
    rows: list[FileRow] = []
    size = max(MOST_SCORED, limit) if more else cap
    for start in range(0, len(ids), size):
        if len(rows) > limit:
            break
        ranked = _scored(db, query, ids[start : start + size])
        rows += _rows(db, query, ranked, limit + 1 - len(rows))
    return Answer(rows[:limit], more or len(rows) > limit)


def _ids(db: sqlite3.Connection, text: str, cap: int) -> list[int]:
    """In the order that costs FTS5 least; some, when there are more than `cap`."""
    found = db.execute("SELECT rowid FROM found WHERE found MATCH ? LIMIT ?", (text, cap))
    return [row[0] for row in found]


def _newest(
    db: sqlite3.Connection, query: Query, folders: Collection[int] | None, text: str, cap: int
) -> list[int]:
    """Of more than can be ranked: the newest that have all words in the name, then the newest."""
    question = "SELECT rowid FROM found WHERE found MATCH ? AND rowid >= ? ORDER BY rowid DESC LIMIT ?"
    newest = [row[0] for row in db.execute(question, (text, 0, cap))]
    if not newest or not any(not term.field for term in query.terms):
        return newest
    oldest = newest[0] - _FARTHER * (newest[0] - newest[-1])
    named = db.execute(question, (match(query, folders, "name"), max(0, oldest), cap))
    return list(dict.fromkeys([*(row[0] for row in named), *newest]))


def _scored(db: sqlite3.Connection, query: Query, ids: Sequence[int]) -> list[tuple[int, float]]:
    """These files by relevance, best first; of equals the first stays first."""
    score, needles = _score(query)
    found: dict[int, float] = {}
    for start in range(0, len(ids), _FETCH):
        some = ids[start : start + _FETCH]
        found.update(
            db.execute(
                f"SELECT id, {score} FROM found_content WHERE id IN ({','.join('?' * len(some))})",
                (*needles, *some),
            ).fetchall()
        )
    return sorted(((one, found[one]) for one in ids if one in found), key=lambda pair: -pair[1])
