"""What is remembered of feeds over a restart. Pure."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from servent.identity import PeerId
from servent.share.feed_record import Record, decode

ROOM = "share.feeds"
STEPS = ("CREATE TABLE feeds (id TEXT PRIMARY KEY, body BLOB NOT NULL)",)
MOST_VERSIONS = 50  # of one feed that are remembered


class Version(Struct, array_like=True):
    """A version that we knew of."""

    sequence: int
    published: float
    infohash: bytes
    size: int
    files: int


class Row(Struct):
    """One feed, ours or followed.

    Attributes:
        path: ours: what is published. Followed: where the version that we have lies, None before the first.
        to: followed: the folder that versions go to.
        record: the newest version as signed, b"" before the first.
        have, have_infohash: the version that is here; of our own feed the one that is served.
        stamps: what the files of `path` looked like when we put them there, to see whether somebody changed them.
        transfer: the one that fetches the newest.
        error: why the last try failed.
    """

    publisher: bytes
    name: str
    mine: bool
    path: str | None = None
    to: str | None = None
    auto: bool = True
    watch: bool = True
    keep: int = 0
    paused: bool = False
    record: bytes = b""
    have: int = 0
    have_infohash: bytes = b""
    stamps: bytes = b""
    transfer: str = ""
    versions: list[Version] = []
    contacts: list[str] = []
    updated: float | None = None
    checked: float | None = None
    error: str = ""
    advice: str = ""

    @property
    def id(self) -> str:
        """12 hex digits, the same on every machine."""
        return sha256(self.publisher + self.name.encode()).hexdigest()[:12]

    @property
    def key(self) -> tuple[PeerId, str]:
        return PeerId(self.publisher), self.name

    def newest(self) -> Record | None:
        """The newest version known."""
        return decode(self.record) if self.record else None

    def take(self, record: Record, encoded: bytes, now: float) -> bool:
        """Remember `record` if it is newer. A sequence number is used once: the first to come with it counts."""
        known = self.newest()
        if known is not None and record.sequence <= known.sequence:
            return False
        self.record = encoded
        self.updated = now
        version = Version(record.sequence, record.published, record.infohash, record.size, record.files)
        self.versions = [version, *self.versions][:MOST_VERSIONS]
        return True


def load(db: Any) -> list[Row]:
    """All feeds. A job for the store. Raises msgspec.ValidationError: not written by us."""
    return [
        msgspec.msgpack.decode(body, type=Row) for (body,) in db.execute("SELECT body FROM feeds ORDER BY id")
    ]


def save(row: Row) -> Callable[[Any], None]:
    """A job that writes `row` as it is now."""
    values = (row.id, msgspec.msgpack.encode(row))
    return lambda db: db.execute("INSERT OR REPLACE INTO feeds VALUES (?, ?)", values)


def forget(id: str) -> Callable[[Any], None]:
    return lambda db: db.execute("DELETE FROM feeds WHERE id = ?", (id,))
