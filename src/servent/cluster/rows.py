"""The clusters that this node keeps or is a member of: a table in the node's database. Jobs for the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from servent.cluster.rosters import Signed

if TYPE_CHECKING:
    import sqlite3

ROOM = "clusters"
STEPS = ("CREATE TABLE clusters (id BLOB PRIMARY KEY, at REAL NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;",)


class Kept(Struct, kw_only=True):
    """All that is remembered of one. `called`: its name here. `up`: its scheduler is to run (where it is ours); `work`: this machine is to work in it.

    `cores`: at most so many of those lent, 0 for all of them. `owner_at`: where its owner was, packed as in a ticket.
    """

    id: bytes
    owner: bytes
    called: str
    roster: Signed | None = None
    up: bool = False
    work: bool = False
    cores: int = 0
    owner_at: bytes = b""


_read: msgspec.msgpack.Decoder[Kept] = msgspec.msgpack.Decoder(Kept)
_packed = msgspec.msgpack.Encoder().encode


def load(db: sqlite3.Connection) -> list[Kept]:
    """The oldest first."""
    return [_read.decode(body) for (body,) in db.execute("SELECT body FROM clusters ORDER BY at")]


def save(kept: Kept, at: float) -> Callable[[sqlite3.Connection], None]:
    """`at`: when it was first kept; an older row keeps its own."""
    id, body = kept.id, _packed(kept)

    def job(db: sqlite3.Connection) -> None:
        db.execute(
            "INSERT INTO clusters (id, at, body) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (id, at, body),
        )

    return job


def forget(id: bytes) -> Callable[[sqlite3.Connection], None]:
    def job(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM clusters WHERE id = ?", (id,))

    return job
