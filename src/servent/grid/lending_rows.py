"""What a volunteer keeps in `grid.db`: projects joined, leases and how far they are, results to return, what was done and credited, a log. SQL, no decisions.

Called inside `Store.write` and `Store.read`. Work is in MFLOP, times are wall clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from servent.codec import canonical
from servent.grid.manifests import Content, Signed
from servent.grid.wire import Result, Task

if TYPE_CHECKING:
    import sqlite3

    Connection = sqlite3.Connection

STEPS = (
    """
CREATE TABLE lending_projects (
    project BLOB PRIMARY KEY, kept BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE lending_apps (
    app BLOB PRIMARY KEY, project BLOB NOT NULL, body BLOB NOT NULL, signature BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE lending_held (
    project BLOB NOT NULL, lease INTEGER NOT NULL, task BLOB NOT NULL, got REAL NOT NULL,
    snapshot TEXT NOT NULL DEFAULT '', slices INTEGER NOT NULL DEFAULT 0, digest BLOB NOT NULL DEFAULT x'',
    fraction REAL NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0, result BLOB,
    PRIMARY KEY (project, lease)
) WITHOUT ROWID;
CREATE TABLE lending_did (
    project BLOB NOT NULL, unit BLOB NOT NULL, app BLOB NOT NULL, operations INTEGER NOT NULL, at REAL NOT NULL,
    entry INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (project, unit)
) WITHOUT ROWID;
CREATE INDEX lending_did_at ON lending_did (at);
CREATE TABLE lending_agreed (
    project BLOB NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (project, number)
) WITHOUT ROWID;
CREATE TABLE lending_published (
    project BLOB NOT NULL, infohash BLOB NOT NULL, content BLOB NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (project, infohash)
) WITHOUT ROWID;
CREATE TABLE lending_days (
    day INTEGER NOT NULL, project BLOB NOT NULL, units INTEGER NOT NULL DEFAULT 0, credit INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (day, project)
) WITHOUT ROWID;
CREATE TABLE lending_log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, project BLOB NOT NULL,
    name TEXT NOT NULL, app TEXT NOT NULL, unit TEXT NOT NULL, outcome TEXT NOT NULL, seconds REAL NOT NULL,
    credit INTEGER NOT NULL, words TEXT NOT NULL
);
CREATE TABLE lending_facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
""",
)

LOG_ROWS = 20_000  # entries kept; a guess: weeks of long units, a day of short ones
DID_FOR = 90 * 86400.0  # s for which we remember what we did, for receipts that come late


class Kept(Struct):
    """What is remembered of a joined project, written whole each time. `team`: its key. `link`: as the person gave it.

    `leased` to `credit` are counts of this machine; `units`, `done`, `eta` are what the project says of itself. `recent`: MFLOP per day, as of `recent_at`.
    """

    project: bytes
    name: str
    joined: float
    coordinators: list[bytes]
    link: str = ""
    invitation: bytes = b""
    manifest: Signed | None = None
    share: float = 100.0
    team: bytes = b""
    paused: bool = False
    refused: str = ""
    leased: int = 0
    returned: int = 0
    valid: int = 0
    invalid: int = 0
    errors: int = 0
    credit: int = 0
    recent: float = 0.0
    recent_at: float = 0.0
    units: int = 0
    done: int = 0
    eta: float | None = None
    ledger: bytes = b""


class HeldRow(Struct, frozen=True):
    """A lease as it lies in the file. `snapshot`: path of its newest one, of `slices`. `result`: it is computed, and waits to be taken."""

    project: bytes
    task: Task
    got: float
    snapshot: str = ""
    slices: int = 0
    digest: bytes = b""
    fraction: float = 0.0
    seconds: float = 0.0
    result: Result | None = None


class LogRow(Struct, frozen=True):
    """A line of the log. `project`: its key, empty where none is meant. `credit`: MFLOP."""

    at: float
    kind: str
    project: bytes = b""
    name: str = ""
    app: str = ""
    unit: str = ""
    outcome: str = ""
    seconds: float = 0.0
    credit: int = 0
    words: str = ""
    seq: int = 0


class Did(Struct, frozen=True):
    """A unit that we computed. `entry`: number of the ledger's entry that credits it, 0 for none yet."""

    unit: bytes
    app: bytes
    operations: int
    entry: int = 0


def copy_of(kept: Kept) -> Kept:
    """As it is now, to be written by another thread later."""
    return msgspec.structs.replace(kept, coordinators=list(kept.coordinators))


_kept = msgspec.msgpack.Decoder(Kept)
_task = msgspec.msgpack.Decoder(Task)
_result = msgspec.msgpack.Decoder(Result)
_content = msgspec.msgpack.Decoder(Content)


# -- projects and apps


def save_project(db: sqlite3.Connection, kept: Kept) -> None:
    db.execute("INSERT OR REPLACE INTO lending_projects VALUES (?, ?)", (kept.project, canonical(kept)))


def projects(db: sqlite3.Connection) -> list[Kept]:
    """In the order in which they were joined."""
    found = [_kept.decode(row[0]) for row in db.execute("SELECT kept FROM lending_projects")]
    return sorted(found, key=lambda kept: kept.joined)


def forget_project(db: sqlite3.Connection, project: bytes) -> None:
    """With its apps and leases; what was done and credited stays."""
    for table in ("lending_projects", "lending_apps", "lending_held"):
        db.execute(f"DELETE FROM {table} WHERE project = ?", (project,))


def save_app(db: sqlite3.Connection, app: bytes, project: bytes, signed: Signed) -> None:
    db.execute(
        "INSERT OR REPLACE INTO lending_apps VALUES (?, ?, ?, ?)",
        (app, project, signed.body, signed.signature),
    )


def forget_app(db: sqlite3.Connection, app: bytes) -> None:
    db.execute("DELETE FROM lending_apps WHERE app = ?", (app,))


def apps(db: sqlite3.Connection) -> list[tuple[bytes, bytes, Signed]]:
    """(app id, project, manifest)."""
    rows = db.execute("SELECT app, project, body, signature FROM lending_apps")
    return [(app, project, Signed(body, signature)) for app, project, body, signature in rows]


# -- leases


def add_held(db: sqlite3.Connection, rows: Iterable[HeldRow]) -> None:
    db.executemany(
        "INSERT OR REPLACE INTO lending_held (project, lease, task, got) VALUES (?, ?, ?, ?)",
        [(row.project, row.task.lease, canonical(row.task), row.got) for row in rows],
    )


def save_snapshot(db: sqlite3.Connection, row: HeldRow) -> None:
    db.execute(
        "UPDATE lending_held SET snapshot = ?, slices = ?, digest = ?, fraction = ?, seconds = ?"
        " WHERE project = ? AND lease = ?",
        (row.snapshot, row.slices, row.digest, row.fraction, row.seconds, row.project, row.task.lease),
    )


def save_result(db: sqlite3.Connection, project: bytes, result: Result) -> None:
    db.execute(
        "UPDATE lending_held SET result = ? WHERE project = ? AND lease = ?",
        (canonical(result), project, result.lease),
    )


def drop_held(db: sqlite3.Connection, project: bytes, leases: Iterable[int]) -> None:
    db.executemany(
        "DELETE FROM lending_held WHERE project = ? AND lease = ?", [(project, lease) for lease in leases]
    )


def held(db: sqlite3.Connection) -> list[HeldRow]:
    """The oldest first."""
    rows = db.execute(
        "SELECT project, task, got, snapshot, slices, digest, fraction, seconds, result FROM lending_held ORDER BY got"
    )
    found = []
    for project, task, got, snapshot, slices, digest, fraction, seconds, result in rows:
        try:
            said = _task.decode(task)
            came = None if result is None else _result.decode(result)
        except msgspec.MsgspecError:  # of a version that said it otherwise: the lease runs out
            continue
        found.append(HeldRow(project, said, got, snapshot, slices, digest, fraction, seconds, came))
    return found


# -- what was done, and credited


def add_did(db: sqlite3.Connection, project: bytes, did: Did, at: float) -> None:
    """Computed, and about to be returned; again only where it was not credited yet."""
    db.execute(
        "INSERT INTO lending_did VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE"
        " SET app = excluded.app, operations = excluded.operations, at = excluded.at WHERE entry = 0",
        (project, did.unit, did.app, did.operations, at),
    )


def did(db: sqlite3.Connection, project: bytes, units: Sequence[bytes]) -> dict[bytes, Did]:
    """Those of `units` (at most 1,000) that we know."""
    marks = ",".join("?" * len(units))
    rows = db.execute(
        f"SELECT unit, app, operations, entry FROM lending_did WHERE project = ? AND unit IN ({marks})",
        (project, *units),
    )
    return {row[0]: Did(*row) for row in rows}


def mark_credited(db: sqlite3.Connection, project: bytes, entry: int, units: Sequence[bytes]) -> None:
    """`entry` 0 takes it back."""
    db.executemany(
        "UPDATE lending_did SET entry = ? WHERE project = ? AND unit = ?",
        [(entry, project, unit) for unit in units],
    )


def agreed(db: sqlite3.Connection, project: bytes, number: int) -> bytes | None:
    """Hash of the entry with that number that we countersigned."""
    row = db.execute(
        "SELECT hash FROM lending_agreed WHERE project = ? AND number = ?", (project, number)
    ).fetchone()
    return None if row is None else bytes(row[0])


def add_agreed(db: sqlite3.Connection, project: bytes, number: int, digest: bytes) -> None:
    db.execute("INSERT INTO lending_agreed VALUES (?, ?, ?)", (project, number, digest))


def add_day(
    db: sqlite3.Connection, day: int, project: bytes, *, units: int = 0, credit: int = 0, transferred: int = 0
) -> None:
    db.execute(
        "INSERT INTO lending_days VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " units = units + excluded.units, credit = credit + excluded.credit, bytes = bytes + excluded.bytes",
        (day, project, units, credit, transferred),
    )


def days(db: sqlite3.Connection, day: int) -> dict[bytes, tuple[int, int, int]]:
    """By project: units, MFLOP, bytes of one day."""
    rows = db.execute("SELECT project, units, credit, bytes FROM lending_days WHERE day = ?", (day,))
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


# -- outputs and checkpoints that others fetch from us


def add_published(db: sqlite3.Connection, project: bytes, content: Content, until: float) -> None:
    """Serve it at least until then."""
    db.execute(
        "INSERT OR REPLACE INTO lending_published VALUES (?, ?, ?, ?)",
        (project, content.infohash, canonical(content), until),
    )


def published(db: sqlite3.Connection, before: float) -> list[tuple[bytes, Content]]:
    """(project, content) of what need not be served any more at `before`."""
    rows = db.execute("SELECT project, content FROM lending_published WHERE until < ?", (before,))
    return [(project, _content.decode(content)) for project, content in rows]


def drop_published(db: sqlite3.Connection, project: bytes, content: Content) -> None:
    db.execute(
        "DELETE FROM lending_published WHERE project = ? AND infohash = ?", (project, content.infohash)
    )


# -- log and facts


def add_log(db: sqlite3.Connection, rows: Iterable[LogRow]) -> None:
    db.executemany(
        "INSERT INTO lending_log (at, kind, project, name, app, unit, outcome, seconds, credit, words)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (r.at, r.kind, r.project, r.name, r.app, r.unit, r.outcome, r.seconds, r.credit, r.words)
            for r in rows
        ],
    )


def log(db: sqlite3.Connection, before: int, limit: int, project: bytes | None) -> list[LogRow]:
    """Newest first; `before` 0 for the newest."""
    rows = db.execute(
        "SELECT at, kind, project, name, app, unit, outcome, seconds, credit, words, seq FROM lending_log"
        " WHERE seq < ? AND (? IS NULL OR project = ?) ORDER BY seq DESC LIMIT ?",
        (before or 2**62, project, project, limit),
    )
    return [LogRow(*row) for row in rows]


def prune(db: sqlite3.Connection, now: float, day: int) -> None:
    """Forget what is too old to matter. `day`: today, as `add_day` has it."""
    db.execute(
        "DELETE FROM lending_log WHERE seq <= (SELECT coalesce(max(seq), 0) FROM lending_log) - ?",
        (LOG_ROWS,),
    )
    db.execute("DELETE FROM lending_did WHERE at < ?", (now - DID_FOR,))
    db.execute("DELETE FROM lending_days WHERE day < ?", (day - int(DID_FOR // 86400),))


def save_fact(db: sqlite3.Connection, name: str, value: Any) -> None:
    db.execute("INSERT OR REPLACE INTO lending_facts VALUES (?, ?)", (name, canonical(value)))


def forget_fact(db: sqlite3.Connection, name: str) -> None:
    db.execute("DELETE FROM lending_facts WHERE name = ?", (name,))


def facts(db: sqlite3.Connection) -> dict[str, Any]:
    return {name: msgspec.msgpack.decode(value) for name, value in db.execute("SELECT * FROM lending_facts")}
