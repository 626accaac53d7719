"""The full-text index over the library: what goes in, what comes out, at a cost that has a ceiling. Pure.

One FTS5 table in `library.db`, fed inside the transactions that change the files. `words` cuts texts before they
get here, so SQLite only splits at spaces and answers the same whatever its version knows of Unicode. What
filters need (kind, size, ending, shared folder) stands in the column `marks` (`query.marks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from servent.query.marks import BASE, FIRST, ext_mark, kind_mark, size_mark
from servent.query.texts import ext, indexed_tags
from servent.query.words import indexed

if TYPE_CHECKING:
    import sqlite3

ROOM = "share.index"
STEPS = (
    """
    CREATE VIRTUAL TABLE found USING fts5(
        name, title, artist, album, path, marks,
        tokenize = 'ascii', prefix = '2 3 4', columnsize = 0
    );
    """,
    # FTS5's own merging comes in heaps of up to 400 ms, whoever adds; ours is a little after each change, see _tidy.
    """
    INSERT INTO found (found, rank) VALUES ('automerge', 0);
    INSERT INTO found (found, rank) VALUES ('usermerge', 8);
    """,
)
TOGETHER = 200  # rows in one statement, which lets go of the interpreter once
LEAST_MERGED = 16  # pages; a change of one file leaves one or two, which are merged once on each of 4 levels


Texts = tuple[int, str, str, str, str, str, str]


class IndexRow(NamedTuple):
    """One file as the index sees it.

    Attributes:
        id: `files.id`.
        folder: `folders.id`.
        path: the shared folder's public name and the directories below it, "/"-separated, without the file's name.
        kind: the number in `query.kinds.KINDS`.
        size: bytes.
        tags: what the file says of itself; title, artist, album, albumartist, genre and year are looked at.
    """

    id: int
    folder: int
    path: str
    name: str
    kind: int
    size: int
    tags: Mapping[str, str | int | float]


_indexed = lru_cache(256)(indexed)  # neighbours in a folder share its path


def add(db: sqlite3.Connection, rows: Iterable[IndexRow]) -> None:
    """Index these files, in place of what was indexed under the same ids. Inside the caller's transaction."""
    put(db, map(texts, rows))


def put(db: sqlite3.Connection, found: Iterable[Texts]) -> None:
    """The same for what `texts` made of them, which may have been in another process. Best in the order of ids."""
    waiting, count = iter(found), 0
    while some := list(islice(waiting, TOGETHER)):
        count += len(some)
        marks = ",".join(["(?,?,?,?,?,?,?)"] * len(some))
        db.execute(
            f"INSERT OR REPLACE INTO found (rowid, name, title, artist, album, path, marks) VALUES {marks}",
            [value for one in some for value in one],
        )
    _tidy(db, count)


def remove(db: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Forget these files; ids that are not indexed are passed over. Inside the caller's transaction."""
    gone = [(one,) for one in ids]
    db.executemany("DELETE FROM found WHERE rowid = ?", gone)
    _tidy(db, len(gone))


def _tidy(db: sqlite3.Connection, changed: int) -> None:
    """Merge as much of the index as so many changes call for: pages of 4 KiB, about 20 us each."""
    if changed:
        db.execute("INSERT INTO found (found, rank) VALUES ('merge', ?)", (LEAST_MERGED + changed // 4,))


def texts(row: IndexRow) -> Texts:
    """What the index keeps of a file: its id, and the words of each column."""
    title, artist, album, more = indexed_tags(row.tags)
    marks = " ".join(
        (kind_mark(row.kind), size_mark(row.size), folder_mark(row.folder), ext_mark(ext(row.name)))
    )
    return (
        row.id, indexed(row.name), title, artist, album, _indexed(row.path) + indexed(more), marks,
    )  # fmt: skip


def folder_mark(folder: int) -> str:
    """Different for different folders, whatever their number."""
    letters = ""
    while True:
        folder, digit = divmod(max(0, folder), BASE)
        letters += chr(FIRST + digit)
        if not folder:
            return letters
