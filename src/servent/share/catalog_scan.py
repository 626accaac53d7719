"""What a scan saw, brought into `library.db`: rows, sums of every directory, the index, in one transaction. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from servent.share import index
from servent.share.changes import Delta, Known, Seen, diff, sums
from servent.share.folders import Parts

if TYPE_CHECKING:
    import sqlite3


TOGETHER = (
    200  # rows in one statement: each statement hands the interpreter over to the node's other threads once
)


HELD_SIZE = 65536  # bytes; as hash_child.KEY_SIZE: larger files are never held back


class Listing(NamedTuple):
    """What was seen in one folder: `folders` to look into, and `files`, all of them or, of a few, those `asked` for."""

    path: Parts
    files: list[Seen]
    folders: frozenset[str] = frozenset()
    mtime_ns: int = 0
    asked: frozenset[str] | None = None


@dataclass(slots=True)
class Tally:
    """What a job changed."""

    new: int = 0
    new_bytes: int = 0
    new_empty: int = 0
    changed: int = 0
    gone: int = 0
    held: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone)

    def add(self, other: Tally) -> None:
        self.new += other.new
        self.new_bytes += other.new_bytes
        self.new_empty += other.new_empty
        self.changed += other.changed
        self.gone += other.gone
        self.held += other.held


class Tree:
    """Numbers of a folder's directories by path, as far as they were looked up. For one scan, in the writer's thread."""

    def __init__(self, folder: int) -> None:
        self.folder = folder
        self.ids: dict[Parts, int] = {}
        self.parents: dict[int, int | None] = {}

    def find(self, db: sqlite3.Connection, path: Parts) -> int | None:
        """None: it has no row, since no shared file was in it so far."""
        known = self.ids.get(path)
        if known is not None:
            return known
        if not path:
            row = db.execute(
                "SELECT id FROM dirs WHERE folder = ? AND parent IS NULL", (self.folder,)
            ).fetchone()
            return self._learn(path, row[0], None) if row else None
        parent = self.find(db, path[:-1])
        if parent is None:
            return None
        row = db.execute(
            "SELECT id FROM dirs WHERE folder = ? AND parent = ? AND name = ?",
            (self.folder, parent, path[-1]),
        ).fetchone()
        return self._learn(path, row[0], parent) if row else None

    def make(self, db: sqlite3.Connection, path: Parts) -> int:
        found = self.find(db, path)
        if found is not None:
            return found
        parent = self.make(db, path[:-1]) if path else None
        cursor = db.execute(
            "INSERT INTO dirs (folder, parent, name) VALUES (?, ?, ?)",
            (self.folder, parent, path[-1] if path else ""),
        )
        assert cursor.lastrowid is not None
        return self._learn(path, cursor.lastrowid, parent)

    def _learn(self, path: Parts, id: int, parent: int | None) -> int:
        self.ids[path] = id
        self.parents[id] = parent
        return id

    def forget(self) -> None:
        """After directories were taken out."""
        self.ids.clear()
        self.parents.clear()


def apply(db: sqlite3.Connection, tree: Tree, listings: Sequence[Listing], now: float) -> Tally:
    """Bring the rows in line with what was seen."""
    tally = Tally()
    work = _Work(db, tree, now)
    for listing in listings:
        known_dir = tree.find(db, listing.path)
        delta = _delta(db, known_dir, listing)
        files = [seen for seen in delta.new if not _is_held(db, tree.folder, listing.path, seen, tally)]
        if files:
            here = tree.make(db, listing.path)
            if known_dir is None:
                db.execute("UPDATE dirs SET mtime_ns = ? WHERE id = ?", (listing.mtime_ns, here))
            work.new += [
                (tree.folder, here, one.name, one.size, one.mtime_ns, one.inode, now) for one in files
            ]
            size = sum(one.size for one in files)
            work.moved.append((here, len(files), size))
            tally.new += len(files)
            tally.new_bytes += size
            tally.new_empty += sum(not one.size for one in files)
        if known_dir is None:
            continue
        if delta.changed:
            _change(db, delta.changed, now)
            work.stale += [row.id for row, _ in delta.changed]
            work.moved.append((known_dir, 0, sum(seen.size - row.size for row, seen in delta.changed)))
            tally.changed += len(delta.changed)
        if delta.moved_inode:
            db.executemany(
                "UPDATE files SET inode = ? WHERE id = ?", [(inode, id) for id, inode in delta.moved_inode]
            )
        if delta.gone:
            ids = [row.id for row in delta.gone]
            bury(db, ids, now)
            work.stale += ids
            work.moved.append((known_dir, -len(ids), -sum(row.size for row in delta.gone)))
            tally.gone += len(ids)
        if delta and listing.asked is None:
            db.execute("UPDATE dirs SET mtime_ns = ? WHERE id = ?", (listing.mtime_ns, known_dir))
        for name in _lost_folders(db, tree.folder, known_dir, listing):
            tally.gone += work.fell((*listing.path, name))
    work.finish()
    return tally


class _Work:
    """Rows and sums of several listings, written together."""

    def __init__(self, db: sqlite3.Connection, tree: Tree, now: float) -> None:
        self._db, self._tree, self._now = db, tree, now
        self.new: list[tuple[Any, ...]] = []
        self.moved: list[tuple[int, int, int]] = []  # (dir, files, bytes)
        self.stale: list[int] = []

    def finish(self) -> None:
        for at in range(0, len(self.new), TOGETHER):
            some = self.new[at : at + TOGETHER]
            self._db.execute(
                "INSERT INTO files (folder, dir, name, size, mtime_ns, inode, added) VALUES "
                + ",".join(["(?,?,?,?,?,?,?)"] * len(some)),
                [value for row in some for value in row],
            )
        if self.stale:
            index.remove(self._db, self.stale)
        carry(self._db, self._tree, self.moved)
        self.new, self.moved, self.stale = [], [], []

    def fell(self, path: Parts) -> int:
        """A whole directory is gone. Returns how many files were in it."""
        self.finish()
        db, tree = self._db, self._tree
        above, top = tree.find(db, path[:-1]), tree.find(db, path)
        if above is None or top is None:
            return 0
        files, size = db.execute("SELECT files, bytes FROM dirs WHERE id = ?", (top,)).fetchone()
        dirs = db.execute(
            "WITH RECURSIVE below (id) AS (SELECT ? UNION ALL SELECT dirs.id FROM below CROSS JOIN dirs"
            " ON dirs.folder = ? AND dirs.parent = below.id) SELECT id FROM below",
            (top, tree.folder),
        ).fetchall()
        for one in dirs:
            ids = [row[0] for row in db.execute("SELECT id FROM files WHERE dir = ?", one)]
            bury(db, ids, self._now)
            self.stale += ids
        db.executemany("DELETE FROM dirs WHERE id = ?", dirs)
        for known in [known for known in tree.ids if known[: len(path)] == path]:
            del tree.parents[tree.ids.pop(known)]
        self.moved.append((above, -files, -size))
        self.finish()
        return int(files)


def _delta(db: sqlite3.Connection, known_dir: int | None, listing: Listing) -> Delta:
    if known_dir is None:
        return Delta(new=listing.files)
    rows: Iterable[tuple[Any, ...]]
    if listing.asked is None or len(listing.asked) > 50:
        rows = db.execute("SELECT id, name, size, mtime_ns, inode FROM files WHERE dir = ?", (known_dir,))
    else:
        marks = ",".join("?" * len(listing.asked))
        rows = db.execute(
            f"SELECT id, name, size, mtime_ns, inode FROM files WHERE dir = ? AND name IN ({marks})",
            (known_dir, *listing.asked),
        )
    return diff(map(Known._make, rows), listing.files, listing.asked)


def _is_held(db: sqlite3.Connection, folder: int, path: Parts, seen: Seen, tally: Tally) -> bool:
    """Whether the file is held back since its content looks like a key; forgets what changed since."""
    if seen.size > HELD_SIZE:
        return False
    row = db.execute(
        "SELECT size, mtime_ns FROM held WHERE folder = ? AND dir = ? AND name = ?",
        (folder, "/".join(path), seen.name),
    ).fetchone()
    if row is None:
        return False
    if row != (seen.size, seen.mtime_ns):
        db.execute(
            "DELETE FROM held WHERE folder = ? AND dir = ? AND name = ?", (folder, "/".join(path), seen.name)
        )
        return False
    tally.held.append("/".join((*path, seen.name)))
    return True


def _change(db: sqlite3.Connection, changed: Sequence[tuple[Known, Seen]], now: float) -> None:
    swapped = [row.id for row, seen in changed if row.inode != seen.inode]
    _remember(db, swapped, now)  # the old content may lie under another name now
    db.executemany(
        "UPDATE files SET size = ?, mtime_ns = ?, inode = ?, root = NULL, canon = NULL, layer = NULL, tags = NULL WHERE id = ?",
        [(seen.size, seen.mtime_ns, seen.inode, row.id) for row, seen in changed],
    )


def _lost_folders(db: sqlite3.Connection, folder: int, known_dir: int, listing: Listing) -> list[str]:
    if listing.asked is not None and not listing.asked:
        return []
    rows = db.execute("SELECT name FROM dirs WHERE folder = ? AND parent = ?", (folder, known_dir)).fetchall()
    if not rows:
        return []
    asked = listing.asked
    return [name for (name,) in rows if name not in listing.folders and (asked is None or name in asked)]


def _remember(db: sqlite3.Connection, ids: Iterable[int], now: float) -> None:
    db.executemany(
        "INSERT INTO ghosts (name, size, mtime_ns, inode, kind, root, layer, tags, gone)"
        " SELECT name, size, mtime_ns, inode, kind, root, layer, tags, ? FROM files WHERE id = ? AND root IS NOT NULL",
        [(now, id) for id in ids],
    )


def bury(db: sqlite3.Connection, ids: Sequence[int], now: float) -> None:
    """Take files out; what they hashed to is remembered. Sums and index are the caller's affair."""
    _remember(db, ids, now)
    db.executemany("DELETE FROM files WHERE id = ?", [(id,) for id in ids])


def carry(db: sqlite3.Connection, tree: Tree, moved: Iterable[tuple[int, int, int]]) -> None:
    """Change the sums up to the top; directories without a file leave."""
    changes = sums(tree.parents, [one for one in moved if one[1] or one[2]])
    if not changes:
        return
    db.executemany(
        "UPDATE dirs SET files = files + ?, bytes = bytes + ? WHERE id = ?",
        [(files, size, id) for id, (files, size) in changes.items()],
    )
    fewer = [id for id, (files, _) in changes.items() if files < 0 and tree.parents[id] is not None]
    empty = 0
    for id in fewer:
        empty += db.execute("DELETE FROM dirs WHERE id = ? AND files = 0", (id,)).rowcount
    if empty:
        tree.forget()
