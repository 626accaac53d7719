"""What this node itself has to say: its own files as finds, rows of its tree, a sample. Jobs for the library's reader. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from servent.query.language import Query
from servent.share import lookup
from servent.share.folding import Found
from servent.share.recommend import distance
from servent.share.shelves import Paths, Shelf, tags_of

if TYPE_CHECKING:
    import sqlite3

MOST_LOOKED_AT = 20_000  # files that a sample passes over to find those that somebody may see
_COLUMNS = "id, folder, dir, name, kind, size, mtime_ns, root, tags"


class Finds(NamedTuple):
    """`more`: there are others, or not all were looked at."""

    found: list[Found]
    more: bool


def search(
    query: Query, shelves: Sequence[Shelf], limit: int, everything: bool = False
) -> Callable[[sqlite3.Connection], Finds]:
    """A job that searches these shelves. `everything`: they are all there are."""

    def job(db: sqlite3.Connection) -> Finds:
        folders = None if everything else {shelf.id for shelf in shelves}
        answer = lookup.search(db, query, folders, limit)
        paths = Paths(db, shelves)
        found = []
        for row in answer.rows:
            above = paths.of(row.folder, row.dir)
            if above:
                path = f"{above}/{row.name}"
                tags = tags_of(row.tags)
                found.append(
                    Found(row.root, row.size, path, row.kind, max(0.0, row.modified), tags, row.score)
                )
        return Finds(found, answer.more)

    return job


def known(contents: Sequence[bytes]) -> Callable[[sqlite3.Connection], set[bytes]]:
    """A job that says which of these are in the library."""

    def job(db: sqlite3.Connection) -> set[bytes]:
        here: set[bytes] = set()
        for start in range(0, len(contents), 500):
            some = contents[start : start + 500]
            marks = ",".join("?" * len(some))
            here.update(
                row[0] for row in db.execute(f"SELECT root FROM files WHERE root IN ({marks})", tuple(some))
            )
        return here

    return job


def sample(start: bytes, shelves: Sequence[Shelf], limit: int) -> Callable[[sqlite3.Connection], Finds]:
    """A job: the first `limit` contents from `start` on around the ring, of files on these shelves."""

    def job(db: sqlite3.Connection) -> Finds:
        allowed = {shelf.id for shelf in shelves}
        paths = Paths(db, shelves)
        total = sum(
            _files_in(db, id) for id in allowed
        )  # not "there was more to look at": that tells of hidden files
        found: dict[bytes, Found] = {}
        looked = 0
        for where in ("root >= ?", "root < ?"):
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM files WHERE root IS NOT NULL AND {where} ORDER BY root LIMIT ?",
                (start, MOST_LOOKED_AT - looked),
            )
            for _, folder, directory, name, kind, size, stamp, root, tags in rows:
                looked += 1
                if folder not in allowed or root in found:
                    continue
                if len(found) == limit:
                    return Finds(list(found.values()), True)
                above = paths.of(folder, directory)
                if above:
                    found[root] = Found(
                        root, size, f"{above}/{name}", kind, max(0.0, stamp / 1e9), tags_of(tags), 0.0
                    )
        ordered = sorted(found.values(), key=lambda one: distance(start, one.content))
        return Finds(ordered, looked >= MOST_LOOKED_AT and len(found) < total)

    return job


def _files_in(db: sqlite3.Connection, folder: int) -> int:
    row = db.execute("SELECT files FROM dirs WHERE folder = ? AND parent IS NULL", (folder,)).fetchone()
    return int(row[0]) if row is not None else 0
