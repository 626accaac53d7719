"""One hand-over as people see it, and what is remembered of it over a restart. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from servent.identity import PeerId

State = Literal["preparing", "waiting", "meeting", "moving", "done", "failed", "cancelled"]
ENDED: frozenset[State] = frozenset(("done", "failed", "cancelled"))

ROOM = "share.codes"
STEPS = (
    """
    CREATE TABLE code_passes (id TEXT PRIMARY KEY, peer BLOB NOT NULL, transfer TEXT NOT NULL, expires REAL NOT NULL);
    """,
    """
    CREATE TABLE codes_waiting (
        id TEXT PRIMARY KEY, path TEXT NOT NULL, name TEXT NOT NULL, started REAL NOT NULL, expires REAL NOT NULL
    );
    """,
)


@dataclass(slots=True)
class HandOver:
    """A sending or receiving by code. `started`, `expires`: wall clock. `code` is empty for the receiver."""

    id: str
    sending: bool
    started: float
    code: str = ""
    state: State = "preparing"
    reason: str = ""
    name: str = ""
    size_bytes: int = 0
    files: int = 0
    transfer: str = ""
    peer: PeerId | None = None
    peer_name: str = ""
    expires: float | None = None
    path: str | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def set(self, state: State, reason: str) -> None:
        """Where it stands, as a sentence; what has ended stays as it ended."""
        if not self.ended:
            self.state, self.reason = state, reason


@dataclass(frozen=True, slots=True)
class Pass:
    """That a sender is let in, so that `transfer` can go on after a restart. `expires`: wall clock."""

    id: str
    peer: PeerId
    transfer: str
    expires: float


def load(db: Any) -> list[Pass]:
    """A job for the store."""
    rows = db.execute("SELECT id, peer, transfer, expires FROM code_passes")
    return [Pass(id, PeerId(peer), transfer, expires) for id, peer, transfer, expires in rows]


def save(one: Pass) -> Callable[[Any], None]:
    """A job for the store."""
    row = (one.id, bytes(one.peer), one.transfer, one.expires)
    return lambda db: db.execute("REPLACE INTO code_passes VALUES (?, ?, ?, ?)", row)


def drop(id: str) -> Callable[[Any], None]:
    """A job for the store."""
    return lambda db: db.execute("DELETE FROM code_passes WHERE id = ?", (id,))


def waiting(view: HandOver) -> Callable[[Any], None]:
    """A job for the store: remember that a code of ours is good, never the code itself."""
    row = (view.id, view.path, view.name, view.started, view.expires)
    return lambda db: db.execute("REPLACE INTO codes_waiting VALUES (?, ?, ?, ?, ?)", row)


def over(id: str) -> Callable[[Any], None]:
    """A job for the store: it is over, and its end was shown."""
    return lambda db: db.execute("DELETE FROM codes_waiting WHERE id = ?", (id,))


def lost(db: Any) -> list[HandOver]:
    """A job for the store: those that were good when the node stopped, oldest first."""
    rows = db.execute(
        "SELECT id, path, name, started, expires FROM codes_waiting ORDER BY started"
    ).fetchall()
    why = "the node was started anew, so nobody waits under that code any more; make a new one"
    return [
        HandOver(id, True, started, "", "failed", why, name, expires=expires, path=path)
        for id, path, name, started, expires in rows
    ]


def size_words(size: int) -> str:
    """A size for a sentence: "3.2 MB"."""
    value, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{size} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
