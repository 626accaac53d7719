"""What was moved, for as long as nobody clears it: the rows of the history, and who gave and took. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import Struct

from servent.blobs.credit import NOTHING, Credit
from servent.identity import PeerId

STEP = """
    CREATE TABLE history (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL, direction TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL
    );
    CREATE INDEX history_by_direction ON history (direction, number);
    CREATE TABLE credits (peer BLOB PRIMARY KEY, gave INTEGER NOT NULL, took INTEGER NOT NULL);
    CREATE TABLE totals (infohash BLOB PRIMARY KEY, uploaded INTEGER NOT NULL)
    """
Direction = Literal["down", "up"]
MOST_NAMES = 50  # peers named in one entry


@dataclass(frozen=True, slots=True)
class Entry:
    """A transfer that ended; for "up": what one peer got. Times are wall clock."""

    id: str
    direction: Direction
    name: str
    state: str
    size_bytes: int = 0
    moved_bytes: int = 0
    link: str = ""
    path: str | None = None
    peers: tuple[str, ...] = ()
    started: float | None = None
    finished: float | None = None
    error: str = ""


class _Body(Struct, array_like=True):
    state: str
    size_bytes: int
    moved_bytes: int
    link: str
    path: str | None
    peers: tuple[str, ...]
    started: float | None
    finished: float | None
    error: str


def writer(entries: Iterable[Entry]) -> Callable[[Any], None]:
    """A job for the store that puts these at the end of the history."""
    values = [
        (
            entry.id,
            entry.direction,
            entry.name,
            msgspec.msgpack.encode(
                _Body(
                    entry.state,
                    entry.size_bytes,
                    entry.moved_bytes,
                    entry.link,
                    entry.path,
                    entry.peers[:MOST_NAMES],
                    entry.started,
                    entry.finished,
                    entry.error,
                )
            ),
        )
        for entry in entries
    ]

    def write(db: Any) -> None:
        db.executemany("INSERT INTO history (id, direction, name, body) VALUES (?, ?, ?, ?)", values)

    return write


def reader(text: str, direction: str, offset: int, limit: int) -> Callable[[Any], tuple[list[Entry], int]]:
    """A job that finds entries newest first, and how many there are. `text`: every word of it is in the name."""
    where, values = ["1"], []
    if direction:
        where.append("direction = ?")
        values.append(direction)
    for word in text.split()[:20]:
        where.append("name LIKE ? ESCAPE '\\'")
        values.append("%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%")
    condition = " AND ".join(where)

    def read(db: Any) -> tuple[list[Entry], int]:
        (total,) = db.execute(f"SELECT count(*) FROM history WHERE {condition}", values).fetchone()
        found = db.execute(
            f"SELECT id, direction, name, body FROM history WHERE {condition} "
            "ORDER BY number DESC LIMIT ? OFFSET ?",
            [*values, limit, offset],
        ).fetchall()
        return [_entry(*row) for row in found], total

    return read


def _entry(id: str, direction: Direction, name: str, body: bytes) -> Entry:
    read = msgspec.msgpack.decode(body, type=_Body)
    return Entry(id, direction, name, *(getattr(read, field) for field in _Body.__struct_fields__))


def clear(db: Any) -> None:
    """A job that forgets all of it."""
    db.execute("DELETE FROM history")


def load_sums(db: Any) -> tuple[list[tuple[PeerId, Credit]], dict[bytes, int]]:
    """A job: the credit of peers, least recently heard of first, and bytes sent of each share."""
    credits = [
        (PeerId(peer), Credit(gave, took))
        for peer, gave, took in db.execute("SELECT peer, gave, took FROM credits ORDER BY rowid")
    ]
    return credits, dict(db.execute("SELECT infohash, uploaded FROM totals"))


def sums_writer(credits: Mapping[PeerId, Credit], totals: Mapping[bytes, int]) -> Callable[[Any], None]:
    """A job that writes these; a peer without credit is deleted."""
    kept = [(peer, *credit) for peer, credit in credits.items() if credit != NOTHING]
    gone = [(peer,) for peer in credits]
    sent = list(totals.items())

    def write(db: Any) -> None:
        db.executemany("DELETE FROM credits WHERE peer = ?", gone)
        db.executemany("INSERT INTO credits VALUES (?, ?, ?)", kept)
        db.executemany("INSERT OR REPLACE INTO totals VALUES (?, ?)", sent)

    return write
