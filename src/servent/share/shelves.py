"""The shared tree as others walk it: pages of a folder straight from an index, however many files lie in it. Pure.

The top lists the shared folders by the names their owner gave them. A page costs its rows and the way to them: places in a
long listing are remembered, so that whoever scrolls goes on where the last page ended.
"""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from servent.errors import NotFound
from servent.share.wire import MOST_NAME, MOST_TAGS, Row, Sort

if TYPE_CHECKING:
    import sqlite3

ROOM = "share.shelves"
STEPS = (
    """
    CREATE INDEX files_listed ON files (dir, name COLLATE NOCASE);
    CREATE INDEX files_by_size ON files (dir, size);
    CREATE INDEX files_by_time ON files (dir, mtime_ns);
    CREATE INDEX dirs_listed ON dirs (folder, parent, name COLLATE NOCASE);
    """,
)

MOST_FILTERED = 200_000  # names that one filter looks at; about 50 ms
MOST_SORTED = 20_000  # folders in a folder that are sorted by what is not indexed
MOST_PLACES = 128  # remembered in one listing
MOST_LISTINGS = 64
MOST_DEPTH = 100  # of directories; deeper ones are left out by the scan
_FETCH = 500
_ORDERS: Mapping[Sort, str] = {"name": "name COLLATE NOCASE", "size": "size", "modified": "mtime_ns"}
_DIR_ORDERS: Mapping[Sort, str] = {"name": "name COLLATE NOCASE", "size": "bytes", "modified": "mtime_ns"}
_tags = msgspec.msgpack.Decoder(dict[str, str | int | float])


class Shelf(NamedTuple):
    """A shared folder, as it is shown to somebody. No two have one name. `partial`: not all of it is hashed."""

    id: int
    name: str
    partial: bool = False


class Ask(NamedTuple):
    """Which rows of a folder."""

    offset: int = 0
    limit: int = 200
    sort: Sort = "name"
    down: bool = False
    filter: str = ""


class Page(NamedTuple):
    """Some rows. `total`: all that are there; `files`, `size`: everything below."""

    rows: list[Row]
    total: int = 0
    files: int = 0
    size: int = 0
    partial: bool = False


class Place(NamedTuple):
    """A directory. `dir` None: the shared folder has no file yet."""

    folder: int
    dir: int | None
    name: str
    partial: bool = False


def tags_of(body: bytes | None) -> dict[str, str | int | float]:
    """Tags as they are stored, at most 24."""
    if not body:
        return {}
    try:
        found = _tags.decode(body)
    except msgspec.MsgspecError:
        return {}
    return found if len(found) <= MOST_TAGS else dict(list(found.items())[:MOST_TAGS])


class Paths:
    """Public paths of directories, each climbed once. Made for one job."""

    def __init__(self, db: sqlite3.Connection, shelves: Sequence[Shelf]) -> None:
        self._db = db
        self._names = {shelf.id: shelf.name for shelf in shelves}
        self._known: dict[int, str] = {}

    def of(self, folder: int, directory: int) -> str:
        """ "Music/Nina Simone" for a directory; "" when it is not among the shelves, or lost."""
        climbed: list[tuple[int, str]] = []
        at: int | None = directory
        while at is not None and at not in self._known and len(climbed) < MOST_DEPTH:
            row = self._db.execute("SELECT parent, name FROM dirs WHERE id = ?", (at,)).fetchone()
            if row is None:
                return ""
            climbed.append((at, row[1]))
            at = row[0]
        path = self._known[at] if at is not None and at in self._known else None
        for one, name in reversed(climbed):
            path = self._names.get(folder, "") if path is None else f"{path}/{name}"
            self._known[one] = path
        return path or ""


class _Listing:
    """What is remembered of one sorted listing: (offset, key, id) of rows that ended a page."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.places: list[tuple[int, Any, int]] = []


class Shelves:
    """Answers for the tree in `library.db`. Used by one thread at a time, the store's reader."""

    def __init__(self) -> None:
        self._listings: OrderedDict[tuple[int, Sort, bool], _Listing] = OrderedDict()
        self._counts: OrderedDict[int, tuple[tuple[int, int], int]] = OrderedDict()

    def find(self, db: sqlite3.Connection, shelves: Sequence[Shelf], path: str) -> Place:
        """The directory at `path`, which begins with a shelf's name.

        Raises:
            NotFound: there is none, or it is not among these shelves: the same words for both.
        """
        first, *parts = path.strip("/").split("/")
        shelf = next((one for one in shelves if one.name == first), None)
        if shelf is None or len(parts) > MOST_DEPTH:
            raise _missing(path)
        row = db.execute("SELECT id FROM dirs WHERE folder = ? AND parent IS NULL", (shelf.id,)).fetchone()
        if row is None:
            if parts:
                raise _missing(path)
            return Place(shelf.id, None, shelf.name, shelf.partial)
        for part in parts:
            row = db.execute(
                "SELECT id FROM dirs WHERE folder = ? AND parent = ? AND name = ?", (shelf.id, row[0], part)
            ).fetchone()
            if row is None:
                raise _missing(path)
        return Place(shelf.id, row[0], parts[-1] if parts else shelf.name, shelf.partial)

    def page(self, db: sqlite3.Connection, shelves: Sequence[Shelf], path: str, ask: Ask) -> Page:
        """Rows of the folder at `path`; "" is the list of shelves. Raises NotFound."""
        if not path.strip("/"):
            return self._top(db, shelves, ask)
        place = self.find(db, shelves, path)
        if place.dir is None:
            return Page([], partial=place.partial)
        files, size = db.execute("SELECT files, bytes FROM dirs WHERE id = ?", (place.dir,)).fetchone()
        if ask.filter:
            return self._filtered(db, place, ask)._replace(files=files, size=size)
        (folders,) = db.execute(
            "SELECT count(*) FROM dirs WHERE folder = ? AND parent = ?", (place.folder, place.dir)
        ).fetchone()
        here = self._count(db, place.folder, place.dir, folders, (files, size))
        rows: list[Row] = []
        if ask.offset < folders:
            rows = _folders(db, place, ask, folders)
        if len(rows) < ask.limit:
            first = max(0, ask.offset - folders)
            ids = self._ids(db, place.dir, ask, first, ask.limit - len(rows), here)
            rows += _files(db, ids)
        return Page(rows, folders + here, files, size, place.partial)

    def _top(self, db: sqlite3.Connection, shelves: Sequence[Shelf], ask: Ask) -> Page:
        rows = []
        for shelf in shelves:
            sums = db.execute(
                "SELECT files, bytes, mtime_ns FROM dirs WHERE folder = ? AND parent IS NULL", (shelf.id,)
            ).fetchone() or (0, 0, 0)
            rows.append(
                Row(shelf.name, True, max(0, sums[1]), max(0, sums[0]), modified=max(0.0, sums[2] / 1e9))
            )
        files, size = sum(row.files for row in rows), sum(row.size for row in rows)
        kept = [row for row in rows if ask.filter.casefold() in row.name.casefold()]
        kept.sort(key=lambda row: row.name.casefold())
        if ask.sort != "name":
            kept.sort(key=lambda row: row.size if ask.sort == "size" else row.modified)
        if ask.down:
            kept.reverse()
        partial = any(shelf.partial for shelf in shelves)
        return Page(kept[ask.offset : ask.offset + ask.limit], len(kept), files, size, partial)

    def _count(
        self, db: sqlite3.Connection, folder: int, directory: int, folders: int, sums: tuple[int, int]
    ) -> int:
        """How many files lie right in it; looked up anew when the sums of what is below it changed."""
        known = self._counts.get(directory)
        if known is None or known[0] != sums:
            if folders <= MOST_SORTED:  # what is not in a folder below is here: no need to count a million
                (below,) = db.execute(
                    "SELECT coalesce(sum(files), 0) FROM dirs WHERE folder = ? AND parent = ?",
                    (folder, directory),
                ).fetchone()
                count = max(0, sums[0] - below)
            else:
                (count,) = db.execute("SELECT count(*) FROM files WHERE dir = ?", (directory,)).fetchone()
            known = self._counts[directory] = (sums, int(count))
            if len(self._counts) > MOST_LISTINGS:
                self._counts.popitem(last=False)
        return known[1]

    def _ids(
        self, db: sqlite3.Connection, directory: int, ask: Ask, first: int, limit: int, count: int
    ) -> list[int]:
        """Ids of the files from place `first` on, from the nearest end or place that is known."""
        if first >= count:
            return []
        key = directory, ask.sort, ask.down
        listing = self._listings.get(key)
        if listing is None or listing.count != count:
            listing = self._listings[key] = _Listing(count)
            if len(self._listings) > MOST_LISTINGS:
                self._listings.popitem(last=False)
        self._listings.move_to_end(key)
        at = bisect_right(listing.places, first, key=lambda place: place[0])
        column, down = _ORDERS[ask.sort], ask.down
        start = listing.places[at - 1] if at else None
        skip = first - (start[0] if start else 0)
        if count - first - limit < skip:  # from the other end it is nearer
            length = min(limit, count - first)
            found = _walk(db, directory, column, not down, None, count - first - length, length)[::-1]
        else:
            found = _walk(db, directory, column, down, start and start[1:], skip, limit)
        if len(found) == limit:
            end = (first + limit, found[-1][1], found[-1][0])
            if all(place[0] != end[0] for place in listing.places[at : at + 2]):
                insort(listing.places, end, key=lambda place: place[0])
                if len(listing.places) > MOST_PLACES:
                    del listing.places[1::2]
        return [row[0] for row in found]

    def _filtered(self, db: sqlite3.Connection, place: Place, ask: Ask) -> Page:
        """Rows whose names contain the filter's letters, among the first 200,000."""
        pattern = "%" + re.sub(r"([%_\\])", r"\\\1", ask.filter) + "%"
        way = "DESC" if ask.down and ask.sort == "name" else "ASC"
        folders = [
            row[0]
            for row in db.execute(
                "SELECT id FROM (SELECT id, name FROM dirs WHERE folder = ? AND parent = ? ORDER BY name COLLATE NOCASE "
                f"{way} LIMIT {MOST_FILTERED}) WHERE name LIKE ? ESCAPE '\\'",
                (place.folder, place.dir, pattern),
            )
        ]
        looked = db.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM files WHERE dir = ? LIMIT {MOST_FILTERED + 1})",
            (place.dir,),
        ).fetchone()[0]
        files = [
            row[0]
            for row in db.execute(
                "SELECT id FROM (SELECT id, name FROM files WHERE dir = ? ORDER BY name COLLATE NOCASE "
                f"{way} LIMIT {MOST_FILTERED}) WHERE name LIKE ? ESCAPE '\\'",
                (place.dir, pattern),
            )
        ]
        if ask.sort != "name":
            folders = _sorted(db, "dirs", folders, _DIR_ORDERS[ask.sort], ask.down)
            files = _sorted(db, "files", files, _ORDERS[ask.sort], ask.down)
        wanted = slice(ask.offset, ask.offset + ask.limit)
        rows = _dir_rows(db, folders[wanted])
        first = max(0, ask.offset - len(folders))
        rows += _files(db, files[first : first + ask.limit - len(rows)])
        return Page(rows, len(folders) + len(files), partial=place.partial or looked > MOST_FILTERED)


def _missing(path: str) -> NotFound:
    return NotFound(
        f"there is no folder {path[:100]!r}", advice="It may have been renamed; begin at the top again."
    )


def _walk(
    db: sqlite3.Connection,
    directory: int,
    column: str,
    down: bool,
    after: tuple[Any, int] | None,
    skip: int,
    limit: int,
) -> list[tuple[int, Any]]:
    """(id, key) of files in order, from behind `after` on, without the first `skip`. Reads an index alone."""
    bare, way, sign = column.split()[0], "DESC" if down else "ASC", "<" if down else ">"
    # Not as (key, id) > (?, ?): SQLite 3.40 uses no index for that when the key has a collation.
    behind = f"AND {column} {sign}= ? AND ({column} {sign} ? OR id {sign} ?)" if after is not None else ""
    key = () if after is None else (after[0], *after)
    return db.execute(
        f"SELECT id, {bare} FROM files WHERE dir = ? {behind} ORDER BY {column} {way}, id {way} LIMIT ? OFFSET ?",
        (directory, *key, limit, skip),
    ).fetchall()


def _folders(db: sqlite3.Connection, place: Place, ask: Ask, count: int) -> list[Row]:
    sort = ask.sort if count <= MOST_SORTED else "name"
    way = "DESC" if ask.down else "ASC"
    ids = db.execute(
        f"SELECT id FROM dirs WHERE folder = ? AND parent = ? ORDER BY {_DIR_ORDERS[sort]} {way}, id {way} "
        "LIMIT ? OFFSET ?",
        (place.folder, place.dir, ask.limit, ask.offset),
    )
    return _dir_rows(db, [row[0] for row in ids])


def _dir_rows(db: sqlite3.Connection, ids: Sequence[int]) -> list[Row]:
    found = {}
    for id, name, files, size, stamp in _by_id(db, "id, name, files, bytes, mtime_ns", "dirs", ids):
        found[id] = Row(name[:MOST_NAME], True, max(0, size), max(0, files), modified=max(0.0, stamp / 1e9))
    return [found[one] for one in ids if one in found]


def _files(db: sqlite3.Connection, ids: Sequence[int]) -> list[Row]:
    found = {}
    for id, name, size, root, kind, stamp, tags in _by_id(
        db, "id, name, size, root, kind, mtime_ns, tags", "files", ids
    ):
        found[id] = Row(
            name[:MOST_NAME], False, size, 1, root or b"", kind, max(0.0, stamp / 1e9), tags_of(tags)
        )
    return [found[one] for one in ids if one in found]


def _by_id(db: sqlite3.Connection, columns: str, table: str, ids: Sequence[int]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for start in range(0, len(ids), _FETCH):
        some = ids[start : start + _FETCH]
        marks = ",".join("?" * len(some))
        rows += db.execute(f"SELECT {columns} FROM {table} WHERE id IN ({marks})", tuple(some)).fetchall()
    return rows


def _sorted(db: sqlite3.Connection, table: str, ids: list[int], column: str, down: bool) -> list[int]:
    """`ids` by a column; left as they are when they are too many."""
    if len(ids) > MOST_SORTED:
        return ids
    keys = dict(_by_id(db, f"id, {column}", table, ids))
    return sorted(ids, key=lambda one: keys.get(one, 0), reverse=down)
