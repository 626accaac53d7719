"""The names that people gave themselves, remembered while they are away. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servent.identity import PeerId
from servent.trust.naming import clean_name

if TYPE_CHECKING:
    import sqlite3

ROOM = "talk.people"
STEPS = (
    """
    CREATE TABLE met (peer BLOB PRIMARY KEY, name TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE mine (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    """,
)
MOST_MET = 10_000


def save(db: sqlite3.Connection, peer: PeerId, name: str, at: float) -> None:
    """The newest name of each; beyond MOST_MET those met longest ago go."""
    db.execute("REPLACE INTO met VALUES (?, ?, ?)", (bytes(peer), clean_name(name), at))
    db.execute(
        "DELETE FROM met WHERE peer IN (SELECT peer FROM met ORDER BY at DESC LIMIT -1 OFFSET ?)", (MOST_MET,)
    )


def load(db: sqlite3.Connection) -> dict[PeerId, str]:
    return {PeerId(peer): name for peer, name in db.execute("SELECT peer, name FROM met ORDER BY at")}


def keep(db: sqlite3.Connection, name: str, value: bytes) -> None:
    """A setting of the person here that is made in the page, such as the presence."""
    db.execute("REPLACE INTO mine VALUES (?, ?)", (name, value))


def kept(db: sqlite3.Connection, name: str) -> bytes | None:
    found = db.execute("SELECT value FROM mine WHERE name = ?", (name,)).fetchone()
    return None if found is None else found[0]
