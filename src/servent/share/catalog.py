"""Jobs on `library.db` about hashing and about whole folders. Each runs in one transaction. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from servent.blobs.canonical import canon
from servent.share import index
from servent.share.catalog_scan import TOGETHER, Tree, bury, carry
from servent.share.changes import Candidate, is_moved
from servent.share.folders import Parts

if TYPE_CHECKING:
    import sqlite3

MANY = 2000  # rows in one job of removing
GHOSTS_KEPT = 30 * 86400.0  # s; a disk that is away for a month is not hashed again
Tags = dict[str, Any]


class ScanState(Struct, frozen=True, kw_only=True):
    """What is remembered of the last whole scan of a folder. `inode`: of its root, to know an unmounted disk by."""

    scanned: float | None = None
    inode: int = 0
    device: int = 0
    skipped: int = 0
    skipped_why: tuple[str, ...] = ()


# -- hashing


class Pending(NamedTuple):
    """A file that waits to be hashed."""

    id: int
    folder: int
    dir: int
    name: str
    size: int
    mtime_ns: int
    inode: int


class Found(NamedTuple):
    """A file that was hashed, or known again. `canon` and `texts` where they are known already."""

    file: Pending
    root: bytes
    layer: bytes
    kind: int
    tags: Tags
    canon: bytes = b""
    texts: index.Texts | None = None


def pending(db: sqlite3.Connection, folder: int, big: bool, after: int, most: int) -> list[Pending]:
    """The next files to hash after an id, in the order of ids. `big`: those of more than 16 MiB, or all others."""
    rows = db.execute(
        "SELECT id, folder, dir, name, size, mtime_ns, inode FROM files INDEXED BY files_waiting WHERE root IS NULL"
        " AND size > 0 AND folder = ? AND (size > 16777216) = ? AND id > ? ORDER BY id LIMIT ?",
        (folder, big, after, most),
    )
    return [Pending._make(row) for row in rows]


def paths(db: sqlite3.Connection, dirs: Iterable[int], known: dict[int, Parts]) -> dict[int, Parts]:
    """Where directories lie in their folders. `known` is filled and returned."""
    for one in dirs:
        chain: list[tuple[int, str]] = []
        at: int | None = one
        while at is not None and at not in known:
            row = db.execute("SELECT parent, name FROM dirs WHERE id = ?", (at,)).fetchone()
            if row is None:
                break
            chain.append((at, row[1]))
            at = row[0]
            if at is None:
                known[chain.pop()[0]] = ()
        base = known.get(at, ()) if at is not None else ()
        for id, name in reversed(chain):
            base = (*base, name)
            known[id] = base
    return known


class Match(NamedTuple):
    """A content that a pending file may be. `dir`: where a file with it still is on our lists; None: it is gone."""

    file: Pending
    candidate: Candidate
    folder: int
    dir: int | None
    root: bytes
    layer: bytes
    kind: int
    tags: bytes | None


def matches(db: sqlite3.Connection, files: Sequence[Pending]) -> list[Match]:
    """What the pending files may be: contents that left, and files with the same inode that may have moved."""
    found = []
    ghosts = db.execute("SELECT EXISTS (SELECT 1 FROM ghosts)").fetchone()[0]
    for file in files:
        if ghosts:
            for name, inode, root, layer, kind, tags in db.execute(
                "SELECT name, inode, root, layer, kind, tags FROM ghosts WHERE size = ? AND mtime_ns = ?"
                " ORDER BY inode = ? DESC LIMIT 20",
                (file.size, file.mtime_ns, file.inode),
            ):
                candidate = Candidate(name, inode, True)
                if is_moved(candidate, file.name, file.inode, file.mtime_ns):
                    found.append(Match(file, candidate, 0, None, root, layer or b"", kind, tags))
                    break
    for at in range(0, len(files), TOGETHER):
        some = {file.id: file for file in files[at : at + TOGETHER]}
        for id, folder, dir, name, root, layer, kind, tags in db.execute(
            "SELECT new.id, old.folder, old.dir, old.name, old.root, old.layer, old.kind, old.tags FROM files AS new"
            " CROSS JOIN files AS old INDEXED BY files_by_inode ON old.inode = new.inode AND old.root IS NOT NULL"
            f" WHERE new.id IN ({','.join('?' * len(some))}) AND new.inode <> 0"
            " AND old.size = new.size AND old.mtime_ns = new.mtime_ns AND old.id <> new.id",
            list(some),
        ):
            was = Candidate(name, some[id].inode, False)
            found.append(Match(some[id], was, folder, dir, root, layer or b"", kind, tags))
    return found


def hashed(
    db: sqlite3.Connection, found: Sequence[Found], names: dict[int, str], known: dict[int, Parts]
) -> list[Found]:
    """Keep what was hashed and index it. Returns those that were still wanted, as they were.

    Args:
        names: the public name of each folder.
        known: where directories lie.
    """
    found = sorted(found, key=lambda one: one.file.id)  # FTS5 writes to the disk for each step back
    kept: list[Found] = []
    for at in range(0, len(found), TOGETHER):
        kept += _still(db, found[at : at + TOGETHER])
    encode = msgspec.msgpack.encode
    for at in range(0, len(kept), TOGETHER):
        some = kept[at : at + TOGETHER]
        values: list[Any] = []
        for one in some:
            values += (
                one.file.id,
                one.root,
                one.canon or canon(one.root, one.file.size),
                one.layer or None,
                one.kind,
                encode(one.tags) if one.tags else None,
            )
        marks = ",".join(["(?,?,?,?,?,?)"] * len(some))
        db.execute(
            "UPDATE files SET root = new.column2, canon = new.column3, layer = new.column4, kind = new.column5,"
            f" tags = new.column6 FROM (VALUES {marks}) AS new WHERE files.id = new.column1",
            values,
        )
    index.put(db, [one.texts or index.texts(_index_row(one, names, known)) for one in kept])
    return kept


def _still(db: sqlite3.Connection, found: Sequence[Found]) -> list[Found]:
    """Those whose rows are as they were when they were looked up."""
    marks = ",".join("?" * len(found))
    rows = {
        id: (size, mtime_ns)
        for id, size, mtime_ns in db.execute(
            f"SELECT id, size, mtime_ns FROM files WHERE root IS NULL AND id IN ({marks})",
            [one.file.id for one in found],
        )
    }
    return [one for one in found if rows.get(one.file.id) == (one.file.size, one.file.mtime_ns)]


def _is_still(db: sqlite3.Connection, file: Pending) -> bool:
    row = db.execute("SELECT size, mtime_ns, root IS NULL FROM files WHERE id = ?", (file.id,)).fetchone()
    return bool(row == (file.size, file.mtime_ns, 1))


def _index_row(one: Found, names: dict[int, str], known: dict[int, Parts]) -> index.IndexRow:
    file = one.file
    path = "/".join((names.get(file.folder, ""), *known.get(file.dir, ())))
    return index.IndexRow(file.id, file.folder, path, file.name, one.kind, file.size, one.tags)


def hold(db: sqlite3.Connection, file: Pending, path: Parts, why: str) -> None:
    """Take a file out and keep it out for as long as it does not change."""
    if not _is_still(db, file):
        return
    tree = Tree(file.folder)
    if tree.find(db, path) != file.dir:
        return
    db.execute(
        "INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?, ?)",
        (file.folder, "/".join(path), file.name, file.size, file.mtime_ns, why),
    )
    db.execute("DELETE FROM files WHERE id = ?", (file.id,))
    carry(db, tree, [(file.dir, -1, -file.size)])


def release(db: sqlite3.Connection, folder: int) -> None:
    """Nothing of the folder is held back any more."""
    db.execute("DELETE FROM held WHERE folder = ?", (folder,))


# -- folders


def remember_folder(db: sqlite3.Connection, folder: int, path: str, state: ScanState) -> None:
    db.execute(
        "INSERT OR REPLACE INTO folders VALUES (?, ?, ?)", (folder, path, msgspec.msgpack.encode(state))
    )


def scan_states(db: sqlite3.Connection) -> dict[int, tuple[str, ScanState]]:
    """What is remembered of each folder: its path and the last scan."""
    found = {}
    for id, path, body in db.execute("SELECT id, path, body FROM folders"):
        try:
            found[id] = (path, msgspec.msgpack.decode(body, type=ScanState))
        except msgspec.MsgspecError:
            found[id] = (path, ScanState())
    return found


class Sums(NamedTuple):
    """Of a folder: all its files, and those that wait to be hashed."""

    files: int = 0
    size: int = 0
    waiting: int = 0
    waiting_bytes: int = 0


def folder_sums(db: sqlite3.Connection, folder: int) -> Sums:
    """Files and bytes of a folder, and those not hashed yet. Reads a row for each of the latter."""
    top = db.execute(
        "SELECT files, bytes FROM dirs WHERE folder = ? AND parent IS NULL", (folder,)
    ).fetchone()
    waiting = db.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM files INDEXED BY files_waiting"
        " WHERE root IS NULL AND folder = ? AND size > 0",
        (folder,),
    ).fetchone()
    return Sums(*(top or (0, 0)), *waiting)


def kinds(db: sqlite3.Connection) -> Counter[int]:
    """How many hashed files of each kind there are. Reads them all."""
    return Counter(
        dict(db.execute("SELECT kind, count(*) FROM files WHERE root IS NOT NULL GROUP BY kind").fetchall())
    )


def remove_some(db: sqlite3.Connection, folder: int, now: float) -> bool:
    """Take out part of a folder that is no longer shared; hashes are remembered. False: nothing is left."""
    ids = [row[0] for row in db.execute("SELECT id FROM files WHERE folder = ? LIMIT ?", (folder, MANY))]
    if ids:
        bury(db, ids, now)
        index.remove(db, ids)
        return True
    db.execute("DELETE FROM dirs WHERE folder = ?", (folder,))
    db.execute("DELETE FROM held WHERE folder = ?", (folder,))
    db.execute("DELETE FROM folders WHERE id = ?", (folder,))
    return False


def hide(db: sqlite3.Connection, folder: int) -> None:
    """A first step of removing: whoever browses from now on finds nothing, and the path can be shared anew."""
    db.execute("UPDATE folders SET path = id || ' removed ' || path WHERE id = ?", (folder,))
    db.execute("UPDATE dirs SET files = 0, bytes = 0 WHERE folder = ?", (folder,))


def forget_ghosts(db: sqlite3.Connection, now: float) -> None:
    db.execute("DELETE FROM ghosts WHERE gone < ?", (now - GHOSTS_KEPT,))


def reindex(db: sqlite3.Connection, folder: int, name: str, after: int) -> int | None:
    """The folder has a new public name: index the next rows anew. Returns where to go on; None: done."""
    rows = db.execute(
        "SELECT id, folder, dir, name, size, mtime_ns, inode, kind, tags, root FROM files"
        " WHERE folder = ? AND root IS NOT NULL AND id > ? ORDER BY id LIMIT ?",
        (folder, after, MANY),
    ).fetchall()
    known = paths(db, {row[2] for row in rows}, {})
    found = [Found(Pending._make(row[:7]), row[9], b"", row[7], tags_of(row[8])) for row in rows]
    index.add(db, [_index_row(one, {folder: name}, known) for one in found])
    return rows[-1][0] if rows else None


def tags_of(body: bytes | None) -> Tags:
    """A file's tags as they are kept."""
    if not body:
        return {}
    tags: Tags = msgspec.msgpack.decode(body, type=dict[str, str | int | float])
    return tags


def work_hard(db: sqlite3.Connection, hard: bool) -> None:
    """Give the writer memory while much is written (indexes by hash are written all over), and take it back."""
    db.execute(f"PRAGMA cache_size = -{32 << 10 if hard else 2000}")
    db.execute(f"PRAGMA wal_autocheckpoint = {8000 if hard else 1000}")
    if not hard:
        db.execute("PRAGMA shrink_memory")
