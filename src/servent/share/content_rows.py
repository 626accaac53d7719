"""Where the library has a content: questions to `library.db`, as jobs for its reader."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from servent.errors import NotFound
from servent.share.assembly import MAX_FOLDER_FILES, Known

MOST_PLACES = 16  # of one content
MOST_FOLDERS = 1000

_FILE = "id, folder, dir, name, size, mtime_ns, root, layer"


class _Paths:
    """Paths of directories, each climbed once."""

    def __init__(self, db: Any) -> None:
        self._db = db
        self._known: dict[int, str] = {}
        self._tops: dict[int, str] = {}

    def top(self, folder: int) -> str:
        """Where a shared folder lies; "" when it is none any more."""
        found = self._tops.get(folder)
        if found is None:
            row = self._db.execute("SELECT path FROM folders WHERE id = ?", (folder,)).fetchone()
            found = self._tops[folder] = row[0] if row is not None else ""
        return found

    def of(self, folder: int, directory: int) -> str:
        found = self._known.get(directory)
        if found is None:
            row = self._db.execute("SELECT parent, name FROM dirs WHERE id = ?", (directory,)).fetchone()
            if row is None or row[0] is None:
                top = self.top(folder)
                found = os.path.join(top, row[1]) if row is not None and row[1] else top
            else:
                found = os.path.join(self.of(folder, row[0]), row[1])
            self._known[directory] = found
        return found

    def file(self, row: tuple[Any, ...]) -> Known:
        id, folder, directory, name, size, stamp, root, layer = row
        where = os.path.join(self.of(folder, directory), name)
        return Known((), where, size, stamp, root, layer or b"", id, self.top(folder))


def known(db: Any, row: tuple[Any, ...]) -> Known:
    """A file from its row: id, folder, dir, name, size, mtime_ns, root, layer."""
    return _Paths(db).file(row)


def by_canon(canon: bytes) -> Callable[[Any], tuple[list[Known], dict[int, int]]]:
    """Places of the content, and all folders it is in, each with the row of one such file."""

    def read(db: Any) -> tuple[list[Known], dict[int, int]]:
        paths = _Paths(db)
        rows = db.execute(
            f"SELECT {_FILE} FROM files WHERE canon = ? LIMIT {MOST_PLACES}", (canon,)
        ).fetchall()
        folders = db.execute(
            f"SELECT folder, min(id) FROM files WHERE canon = ? GROUP BY folder LIMIT {MOST_FOLDERS}",
            (canon,),
        ).fetchall()
        return [paths.file(row) for row in rows], dict(folders)

    return read


def by_roots(
    roots: Iterable[bytes], folders: frozenset[int] | None = None
) -> Callable[[Any], tuple[dict[bytes, list[Known]], frozenset[int]]]:
    """Places of each content, in these folders only (None: in all), and the folders they are in."""
    wanted = list(set(roots))

    def read(db: Any) -> tuple[dict[bytes, list[Known]], frozenset[int]]:
        paths, found = _Paths(db), {}
        used: set[int] = set()
        within, among = "", tuple(folders or ())
        if folders is not None:
            within = f"AND folder IN ({','.join('?' * len(among))})"
        question = f"SELECT {_FILE} FROM files WHERE root = ? {within} LIMIT {MOST_PLACES}"
        for root in _present(db, wanted):
            rows = db.execute(question, (root, *among)).fetchall()
            if rows:
                found[root] = [paths.file(row) for row in rows]
                used.update(row[1] for row in rows)
        return found, frozenset(used)

    return read


def _present(db: Any, roots: Sequence[bytes]) -> list[bytes]:
    """Those of them that are in the library at all: one question for many, since most are not."""
    found: list[bytes] = []
    for at in range(0, len(roots), 500):
        some = roots[at : at + 500]
        marks = ",".join("?" * len(some))
        rows = db.execute(f"SELECT DISTINCT root FROM files WHERE root IN ({marks})", tuple(some))
        found += [root for (root,) in rows]
    return found


def below(folder: int, directory: int) -> Callable[[Any], list[Known]]:
    """Every file below a directory, with its path from there; one more than may be when there are too many."""

    def read(db: Any) -> list[Known]:
        paths = _Paths(db)
        if (
            db.execute("SELECT 1 FROM dirs WHERE id = ? AND folder = ?", (directory, folder)).fetchone()
            is None
        ):
            raise NotFound("there is no such folder")
        found: list[Known] = []
        pending: list[tuple[int, tuple[str, ...]]] = [(directory, ())]
        while pending and len(found) <= MAX_FOLDER_FILES:
            at, parts = pending.pop()
            room = MAX_FOLDER_FILES + 1 - len(found)
            rows = db.execute(f"SELECT {_FILE} FROM files WHERE dir = ? LIMIT {room}", (at,))
            found += [paths.file(row)._replace(path=(*parts, row[3])) for row in rows]
            children = db.execute(
                "SELECT id, name FROM dirs WHERE folder = ? AND parent = ?", (folder, at)
            ).fetchall()
            pending += [(child, (*parts, name)) for child, name in children]
        return found

    return read


def count_below(directory: int) -> Callable[[Any], int]:
    """How many files the library counts below a directory."""

    def read(db: Any) -> int:
        row = db.execute("SELECT files FROM dirs WHERE id = ?", (directory,)).fetchone()
        return int(row[0]) if row is not None else 0

    return read


def still(files: Mapping[int, bytes]) -> Callable[[Any], bool]:
    """Whether all of these files, by id, are still in the library, with the same contents."""

    def read(db: Any) -> bool:
        ids = list(files)
        for at in range(0, len(ids), 500):
            some = ids[at : at + 500]
            marks = ",".join("?" * len(some))
            rows = db.execute(f"SELECT id, root FROM files WHERE id IN ({marks})", tuple(some)).fetchall()
            if len(rows) < len(some) or any(files[id] != root for id, root in rows):
                return False
        return True

    return read
