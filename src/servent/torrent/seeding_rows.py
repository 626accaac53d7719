"""What is remembered of what this node seeds to BitTorrent over a restart, and when it has seeded enough. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct

ROOM = "torrent.seeds"
STEPS = ("CREATE TABLE torrent_seeds (id TEXT PRIMARY KEY, body BLOB NOT NULL)",)


class Lying(Struct, frozen=True, array_like=True):
    """A file of a torrent on this disk. `number`: libtorrent's; `stamp`: its modification time in ns."""

    number: int
    path: str
    size: int
    stamp: int


class Row(Struct):
    """One torrent that is seeded from where its files lie.

    Attributes:
        id: its infohash in hex, of version 2 where it has one.
        asked: the person said so; else it was fetched from BitTorrent, and ends when it has given enough back.
        trackers: URLs by tier.
        since: wall clock.
        uploaded: bytes, of earlier runs.
        reason: why it is not seeded any more, "" while it is.
        torrent, files: what is seeded, where no share of ours holds it (version 1); else empty.
    """

    id: str
    name: str
    asked: bool
    since: float
    trackers: list[list[str]] = []
    web_seeds: list[str] = []
    uploaded: int = 0
    reason: str = ""
    torrent: bytes = b""
    files: list[Lying] = []


class Enough(Struct, frozen=True):
    """When what was fetched from BitTorrent has been given back: at this ratio, or after this time, whichever is first.

    `ratio`: bytes sent for each byte of it; 0: no limit. `time`: seconds; 0: no limit.
    """

    ratio: float = 1.0
    time: float = 48 * 3600.0

    def reached(self, row: Row, size: int, uploaded: int, now: float) -> str:
        """Why it is enough, as a sentence; "" when it is not. What the person asked for is never enough."""
        if row.asked:
            return ""
        if self.ratio and uploaded >= self.ratio * size:
            return f"it was given back {self.ratio:g} times, as your settings say"
        if self.time and now - row.since >= self.time:
            return f"it was seeded for {self.time / 3600:g} hours, as your settings say"
        return ""


def load(db: Any) -> list[Row]:
    """A job for the store's reader: all rows that can be read."""
    return list(_read(body for (body,) in db.execute("SELECT body FROM torrent_seeds ORDER BY rowid")))


def _read(bodies: Iterable[bytes]) -> Iterable[Row]:
    for body in bodies:
        try:
            yield msgspec.msgpack.decode(body, type=Row)
        except msgspec.MsgspecError:
            continue  # of a newer version


def save(row: Row) -> Callable[[Any], None]:
    """A job for the store's writer."""
    body = msgspec.msgpack.encode(row)

    def write(db: Any) -> None:
        db.execute(
            "INSERT INTO torrent_seeds VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (row.id, body),
        )

    return write


def forget(id: str) -> Callable[[Any], None]:
    """The same: take it out."""

    def write(db: Any) -> None:
        db.execute("DELETE FROM torrent_seeds WHERE id = ?", (id,))

    return write
