"""Own projects: their keys, and what they signed last. A table in `grid.db`, which only its owner may read. Jobs for the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from servent.grid.manifests import Signed

if TYPE_CHECKING:
    import sqlite3

ROOM = "grid projects"
STEPS = (
    """
    CREATE TABLE grid_my_projects (key BLOB PRIMARY KEY, seed BLOB NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE grid_my_apps (id BLOB PRIMARY KEY, project BLOB NOT NULL, body BLOB NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
    """,
)


class Own(Struct):
    """All of an own project but its key and its apps. `local`: this machine computes for it, too. `invites`: somebody was invited, whatever its audience."""

    signed: Signed
    local: bool = False
    paused: bool = False
    invites: bool = False


class OwnApp(Struct):
    """A version of an app. `retired`: nothing new is submitted for it."""

    signed: Signed
    retired: bool = False


_read: msgspec.msgpack.Decoder[Own] = msgspec.msgpack.Decoder(Own)
_read_app: msgspec.msgpack.Decoder[OwnApp] = msgspec.msgpack.Decoder(OwnApp)
_packed = msgspec.msgpack.Encoder().encode


def load(db: sqlite3.Connection) -> tuple[list[tuple[bytes, bytes, Own]], list[tuple[bytes, bytes, OwnApp]]]:
    """(key, seed, what it is), and (id, project, app), the oldest first."""
    own = [
        (key, seed, _read.decode(body))
        for key, seed, body in db.execute("SELECT key, seed, body FROM grid_my_projects")
    ]
    apps = [
        (id, project, _read_app.decode(body))
        for id, project, body in db.execute("SELECT id, project, body FROM grid_my_apps ORDER BY at")
    ]
    return own, apps


def save(key: bytes, seed: bytes, own: Own) -> Callable[[sqlite3.Connection], None]:
    body = _packed(own)

    def write(db: sqlite3.Connection) -> None:
        db.execute("INSERT OR REPLACE INTO grid_my_projects VALUES (?, ?, ?)", (key, seed, body))

    return write


def save_app(id: bytes, project: bytes, app: OwnApp, at: float) -> Callable[[sqlite3.Connection], None]:
    body = _packed(app)

    def write(db: sqlite3.Connection) -> None:
        db.execute(
            "INSERT INTO grid_my_apps VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (id, project, body, at),
        )

    return write


def forget(key: bytes) -> Callable[[sqlite3.Connection], None]:
    def write(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM grid_my_projects WHERE key = ?", (key,))
        db.execute("DELETE FROM grid_my_apps WHERE project = ?", (key,))

    return write
