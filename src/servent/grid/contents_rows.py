"""What is remembered of contents over a restart: two tables in `grid.db`. Jobs for the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import sqlite3

ROOM = "grid contents"
STEPS = (
    """
    CREATE TABLE grid_contents (
        infohash BLOB PRIMARY KEY, root BLOB NOT NULL, size INTEGER NOT NULL, layer BLOB NOT NULL,
        stamp INTEGER NOT NULL, name TEXT NOT NULL, used REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE grid_content_uses (
        infohash BLOB NOT NULL, project BLOB NOT NULL, kind TEXT NOT NULL, keep TEXT NOT NULL,
        PRIMARY KEY (infohash, project, kind, keep)
    ) WITHOUT ROWID;
    CREATE INDEX grid_content_keeps ON grid_content_uses (keep) WHERE keep != '';
    CREATE TABLE grid_folders (
        path TEXT PRIMARY KEY, infohash BLOB NOT NULL, project BLOB NOT NULL, info BLOB NOT NULL
    ) WITHOUT ROWID;
    """,
)

# published: by us, until it is dropped. fetched: it may go when room is needed. kept: until its `keep` is released.
Kind = Literal["published", "fetched", "kept"]


class Use(NamedTuple):
    """Why a content is here: for whom (b"": nobody else may have it), and how long."""

    project: bytes
    kind: Kind
    keep: str = ""


class Row(NamedTuple):
    """A content on this disk. `stamp`: modification time in ns; `used`: wall clock."""

    infohash: bytes
    root: bytes
    size: int
    layer: bytes
    stamp: int
    name: str
    used: float


class Folder(NamedTuple):
    """A collection of several files. `info`: its info dictionary; files lie at `path`, relative to the folder of the room."""

    path: str
    infohash: bytes
    project: bytes
    info: bytes


def load(db: sqlite3.Connection) -> tuple[list[Row], list[tuple[bytes, Use]], list[Folder]]:
    """All of it."""
    rows = [
        Row(*one)
        for one in db.execute("SELECT infohash, root, size, layer, stamp, name, used FROM grid_contents")
    ]
    uses = [
        (infohash, Use(*rest))
        for infohash, *rest in db.execute("SELECT infohash, project, kind, keep FROM grid_content_uses")
    ]
    folders = [Folder(*one) for one in db.execute("SELECT path, infohash, project, info FROM grid_folders")]
    return rows, uses, folders


def add(found: Sequence[tuple[Row, Use]]) -> Callable[[sqlite3.Connection], None]:
    def write(db: sqlite3.Connection) -> None:
        db.executemany(
            "INSERT INTO grid_contents VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (infohash) DO UPDATE SET "
            "stamp = excluded.stamp, used = excluded.used",
            [row for row, _ in found],
        )
        db.executemany(
            "INSERT OR IGNORE INTO grid_content_uses VALUES (?, ?, ?, ?)",
            [(row.infohash, *use) for row, use in found],
        )

    return write


def remove(uses: Iterable[tuple[bytes, Use]], gone: Iterable[bytes]) -> Callable[[sqlite3.Connection], None]:
    """`gone`: infohashes of what lies here no more."""
    ending, left = [(infohash, *use) for infohash, use in uses], [(infohash,) for infohash in gone]

    def write(db: sqlite3.Connection) -> None:
        db.executemany(
            "DELETE FROM grid_content_uses WHERE infohash = ? AND project = ? AND kind = ? AND keep = ?",
            ending,
        )
        db.executemany("DELETE FROM grid_content_uses WHERE infohash = ?", left)
        db.executemany("DELETE FROM grid_contents WHERE infohash = ?", left)

    return write


def keep_folder(folder: Folder) -> Callable[[sqlite3.Connection], None]:
    def write(db: sqlite3.Connection) -> None:
        db.execute("INSERT OR REPLACE INTO grid_folders VALUES (?, ?, ?, ?)", folder)

    return write


def forget_folders(paths: Iterable[str]) -> Callable[[sqlite3.Connection], None]:
    found = [(path,) for path in paths]

    def write(db: sqlite3.Connection) -> None:
        db.executemany("DELETE FROM grid_folders WHERE path = ?", found)

    return write


def touch(used: Iterable[tuple[float, bytes]]) -> Callable[[sqlite3.Connection], None]:
    """When they were used last."""
    found = list(used)

    def write(db: sqlite3.Connection) -> None:
        db.executemany("UPDATE grid_contents SET used = ? WHERE infohash = ?", found)

    return write
