"""The tables of the ledger: entries made of what is due, scores, receipts. Pure: jobs on a connection of grid.db.

The seam to the coordinator is its table `grid_due`: it writes a row in the very transaction in which a result is taken down as credited. `settle` makes entries of
such rows and deletes them, in one transaction: what was due is an entry, or it is still due, and never both. The lines of an own ledger lie in `ledger_lines` until the
segment that holds them is full and on the disk for good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Struct

from servent.codec import canonical
from servent.grid import ledger, ledger_scores
from servent.grid.ledger import Credited, Entry, EntryLine, entry_hash, write_line
from servent.grid.manifests import Signed
from servent.grid.wire import Membership, Receipt
from servent.identity import Identity

if TYPE_CHECKING:
    import sqlite3

ROOM = "grid ledger"
STEPS = (
    """
    CREATE TABLE ledger_workers (
        project BLOB NOT NULL, worker BLOB NOT NULL, name TEXT NOT NULL, team BLOB,
        PRIMARY KEY (project, worker)
    ) WITHOUT ROWID;
    CREATE TABLE ledger_projects (project BLOB PRIMARY KEY, body BLOB NOT NULL);
    CREATE TABLE ledger_lines (id INTEGER PRIMARY KEY AUTOINCREMENT, project BLOB NOT NULL, line BLOB NOT NULL);
    CREATE TABLE ledger_segments (
        project BLOB NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (project, number)
    ) WITHOUT ROWID;
    CREATE TABLE ledger_open (
        project BLOB NOT NULL, worker BLOB NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL, signature BLOB NOT NULL,
        PRIMARY KEY (project, worker, number)
    );
    CREATE TABLE ledger_scores (
        project BLOB NOT NULL, board TEXT NOT NULL, key BLOB NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, team BLOB NOT NULL,
        credit INTEGER NOT NULL, paid INTEGER NOT NULL, results INTEGER NOT NULL, recent REAL NOT NULL, recent_at REAL NOT NULL,
        since REAL NOT NULL, PRIMARY KEY (project, board, key)
    );
    CREATE UNIQUE INDEX ledger_scores_number ON ledger_scores (project, board, number);
    CREATE TABLE ledger_hours (
        project BLOB NOT NULL, board TEXT NOT NULL, key BLOB NOT NULL, hour INTEGER NOT NULL,
        credit INTEGER NOT NULL, results INTEGER NOT NULL, PRIMARY KEY (project, board, key, hour)
    ) WITHOUT ROWID;
    CREATE TABLE ledger_receipts (
        project BLOB NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, network BLOB, at REAL NOT NULL, credit INTEGER NOT NULL,
        paid INTEGER NOT NULL, results INTEGER NOT NULL, body BLOB NOT NULL, signature BLOB NOT NULL, agreement BLOB NOT NULL,
        PRIMARY KEY (project, number)
    );
    """,
)
MANY = 500  # values in one IN (...)


class Known(Struct):
    """What is known of a ledger, over a restart.

    Attributes:
        mine: we write it. manifest, earlier, apps: as in `ledger.Head`; of a project of others all may be None and empty.
        entries, newest, last: how many there are, the hash of the last, its time.
        serial, infohash: of the newest published one. `published`: entries in it; `published_lines`: with agreements.
        sealed_entries: in full segments.
        sound: the last check of this ledger of others held, `why`: what was wrong with it. `paying`: also what it says of money. `proven`: MFLOP that its owner showed to
            have earned elsewhere.
        countersigned: entries that were agreed to (own ledger). `free`: MFLOP paid while nobody's balance was charged (own ledger).
    """

    mine: bool
    manifest: Signed | None = None
    earlier: list[Signed] = []
    apps: list[Signed] = []
    entries: int = 0
    newest: bytes = b""
    last: float = 0.0
    serial: int = 0
    infohash: bytes = b""
    published: int = 0
    published_lines: int = 0
    sealed_entries: int = 0
    sound: bool = True
    why: str = ""
    paying: bool = True
    proven: int = 0
    countersigned: int = 0
    free: int = 0


class Waiting(Struct, frozen=True):
    """What is due, in short."""

    seq: int
    project: bytes
    identity: bytes
    at: float


class Made(Struct, frozen=True):
    """An entry that was just made. `results` are below 0 where credit was taken back."""

    entry: Entry
    receipt: Receipt


def read_known(connection: sqlite3.Connection) -> dict[bytes, Known]:
    rows = connection.execute("SELECT project, body FROM ledger_projects")
    return {project: msgspec.msgpack.decode(body, type=Known) for project, body in rows}


def write_known(connection: sqlite3.Connection, project: bytes, known: Known) -> None:
    connection.execute("REPLACE INTO ledger_projects VALUES (?, ?)", (project, canonical(known)))


def introduce(
    connection: sqlite3.Connection, said: Mapping[tuple[bytes, bytes], tuple[str, Membership | None]]
) -> None:
    """What workers said of themselves, by (project, worker): their entries from now on say the same."""
    connection.executemany(
        "REPLACE INTO ledger_workers VALUES (?, ?, ?, ?)",
        ((*who, name, canonical(team) if team is not None else None) for who, (name, team) in said.items()),
    )


# -- what is due


def read_due(connection: sqlite3.Connection, after: int, limit: int) -> list[Waiting]:
    """What has come into `grid_due` since, the oldest first."""
    rows = connection.execute(
        "SELECT seq, project, identity, at FROM grid_due WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
    )
    return [Waiting(*row) for row in rows]


def settle(
    connection: sqlite3.Connection,
    project: bytes,
    key: Identity,
    known: Known,
    network: bytes | None,
    due: Mapping[bytes, Sequence[int]],
    now: float,
) -> list[Made]:
    """Make entries of rows that are due; `known` is changed and written.

    Args:
        network: whose balance is charged, of the project as it is now.
        due: `seq` of rows of `grid_due` by worker, in order.
    """
    made: list[Made] = []
    for worker, seqs in due.items():
        row = connection.execute(
            "SELECT name, team FROM ledger_workers WHERE project = ? AND worker = ?", (project, worker)
        ).fetchone()
        name, team = row if row is not None else ("", None)
        membership = msgspec.msgpack.decode(team, type=Membership) if team is not None else None
        at = max(now, known.last)
        if membership is not None and membership.expires <= at:
            membership = None
        rows = _due(connection, project, worker, seqs)
        for taken_back, run in groupby(rows, key=lambda row: row.credit < 0):
            credited = [msgspec.structs.replace(row, credit=abs(row.credit)) for row in run]
            while credited:
                groups, taken = ledger.pack(credited)
                credited = credited[taken:]
                entry = Entry(
                    project=project,
                    number=known.entries + 1,
                    previous=known.newest or ledger.first(project),
                    at=at,
                    kind="withdrawal" if taken_back else "credit",
                    worker=worker,
                    name=name,
                    team=membership,
                    network=network,
                    total=sum(group.count * group.credit for group in groups),
                    groups=groups,
                )
                receipt = ledger.sign_entry(entry, key)
                known.entries, known.newest, known.last = entry.number, entry_hash(receipt.body), at
                if network is None:
                    known.free += -entry.paid if taken_back else entry.paid
                made.append(Made(entry, receipt))
        connection.executemany("DELETE FROM grid_due WHERE seq = ?", ((seq,) for seq in seqs))
    for one in made:
        _append(connection, project, EntryLine(one.receipt.body, one.receipt.signature))
        connection.execute(
            "INSERT INTO ledger_open VALUES (?, ?, ?, ?, ?)",
            (project, one.entry.worker, one.entry.number, one.receipt.body, one.receipt.signature),
        )
        ledger_scores.count(connection, project, one.entry)
    write_known(connection, project, known)
    return made


def _due(
    connection: sqlite3.Connection, project: bytes, worker: bytes, seqs: Sequence[int]
) -> Iterator[Credited]:
    for some in _some(seqs):
        rows = connection.execute(
            "SELECT key, app, operations, mflop, price FROM grid_due "
            f"WHERE seq IN ({','.join('?' * len(some))}) AND project = ? AND identity = ? ORDER BY seq",
            (*some, project, worker),
        )
        yield from (Credited(*row) for row in rows)


def _some(values: Sequence[int]) -> Iterator[Sequence[int]]:
    return (values[at : at + MANY] for at in range(0, len(values), MANY))


def _append(connection: sqlite3.Connection, project: bytes, line: ledger.Line) -> None:
    connection.execute("INSERT INTO ledger_lines (project, line) VALUES (?, ?)", (project, write_line(line)))


# -- agreements


def read_open(
    connection: sqlite3.Connection, project: bytes, worker: bytes, after: int, limit: int
) -> list[tuple[int, Receipt]]:
    """Entries that a worker has not agreed to, the oldest first."""
    rows = connection.execute(
        "SELECT number, body, signature FROM ledger_open WHERE project = ? AND worker = ? AND number > ? "
        "ORDER BY number LIMIT ?",
        (project, worker, after, limit),
    )
    return [(number, Receipt(body, signature)) for number, body, signature in rows]


def count_open(connection: sqlite3.Connection, project: bytes) -> int:
    row = connection.execute("SELECT count(*) FROM ledger_open WHERE project = ?", (project,)).fetchone()
    return int(row[0])


def take_agreements(
    connection: sqlite3.Connection,
    project: bytes,
    worker: bytes,
    signatures: Sequence[tuple[int, bytes]],
    known: Known,
) -> list[bool]:
    """Write down those that are right: each entry once."""
    taken = []
    for number, signature in signatures:
        row = connection.execute(
            "SELECT body FROM ledger_open WHERE project = ? AND worker = ? AND number = ?",
            (project, worker, number),
        ).fetchone()
        right = row is not None and ledger.agrees(worker, entry_hash(row[0]), signature)
        taken.append(right)
        if right:
            connection.execute(
                "DELETE FROM ledger_open WHERE project = ? AND worker = ? AND number = ?",
                (project, worker, number),
            )
            _append(connection, project, ledger.AgreementLine(number, signature))
            known.countersigned += 1
    if any(taken):
        write_known(connection, project, known)
    return taken


# -- segments


def read_segments(connection: sqlite3.Connection, project: bytes) -> list[ledger.Segment]:
    """The full ones, in order."""
    rows = connection.execute(
        "SELECT body FROM ledger_segments WHERE project = ? ORDER BY number", (project,)
    )
    return [msgspec.msgpack.decode(body, type=ledger.Segment) for (body,) in rows]


def read_tail(connection: sqlite3.Connection, project: bytes) -> list[tuple[int, bytes]]:
    """Lines that are in no full segment yet: (id, bytes)."""
    rows = connection.execute("SELECT id, line FROM ledger_lines WHERE project = ? ORDER BY id", (project,))
    return list(rows)


class Sealed(Protocol):
    """A segment that was just filled: its number, and the id of its last line."""

    @property
    def number(self) -> int: ...
    @property
    def segment(self) -> ledger.Segment: ...
    @property
    def last(self) -> int: ...


def seal(connection: sqlite3.Connection, project: bytes, full: Sequence[Sealed], known: Known) -> None:
    """These segments are full and on the disk: their lines lie there alone from now on."""
    for one in full:
        body = canonical(one.segment)
        connection.execute("REPLACE INTO ledger_segments VALUES (?, ?, ?)", (project, one.number, body))
        connection.execute("DELETE FROM ledger_lines WHERE project = ? AND id <= ?", (project, one.last))
    write_known(connection, project, known)


# -- receipts of ours


class Kept(Struct, frozen=True):
    """A receipt of ours, without its bytes. Credit in MFLOP."""

    project: bytes
    number: int
    kind: str
    network: bytes | None
    at: float
    credit: int
    paid: int
    results: int


def keep_receipt(
    connection: sqlite3.Connection, entry: Entry, receipt: Receipt, agreement: bytes
) -> Kept | None:
    """None where it was kept before."""
    kept = Kept(
        entry.project,
        entry.number,
        entry.kind,
        entry.network,
        entry.at,
        entry.total,
        entry.paid if entry.network is not None else 0,
        entry.results,
    )
    done = connection.execute(
        "INSERT OR IGNORE INTO ledger_receipts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*msgspec.structs.astuple(kept), receipt.body, receipt.signature, agreement),
    )
    return kept if done.rowcount else None


def read_kept(connection: sqlite3.Connection) -> list[Kept]:
    rows = connection.execute(
        "SELECT project, number, kind, network, at, credit, paid, results FROM ledger_receipts ORDER BY at"
    )
    return [Kept(*row) for row in rows]


def read_earned(
    connection: sqlite3.Connection, network: bytes, limit: int
) -> list[tuple[bytes, Receipt, bytes]]:
    """Receipts of what was paid to us in a network, the largest first: (project, receipt, our agreement)."""
    rows = connection.execute(
        "SELECT project, body, signature, agreement FROM ledger_receipts WHERE network = ? AND paid > 0 "
        "ORDER BY kind = 'credit', paid DESC LIMIT ?",
        (network, limit),
    )
    return [(project, Receipt(body, signature), agreement) for project, body, signature, agreement in rows]
