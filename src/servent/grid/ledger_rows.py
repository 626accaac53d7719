"""The tables of the ledger: entries made of what is due, scores, receipts. Pure: jobs on a connection of grid.db.

The seam to the coordinator is its table `grid_due`: it writes a row in the very transaction in which a result is taken down as credited. `settle` makes entries of
such rows and deletes them, in one transaction: what was due is an entry, or it is still due, and never both. The lines of an own ledger lie in `ledger_lines` until the
segment that holds them is full and on the disk for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from servent.codec import canonical
from servent.grid import ledger
from servent.grid.credit_views import Board
from servent.grid.ledger import Credited, Entry, EntryLine, entry_hash, write_line
from servent.grid.manifests import Signed
from servent.grid.standing import Score
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
_SCORE = "board, key, number, name, team, credit, paid, results, recent, recent_at, since"


class Known(Struct):
    """What is known of a ledger, over a restart.

    Attributes:
        mine: we write it. manifest, earlier, apps: as in `ledger.Head`; of a project of others all may be None and empty.
        entries, newest, last: how many there are, the hash of the last, its time.
        serial, infohash: of the newest published one. `published`: entries in it.
        sound: the last check held (of others' ledgers); `why`: what was wrong with it.
        countersigned: entries that were agreed to (own ledger).
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
    sound: bool = True
    why: str = ""
    countersigned: int = 0


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
    connection: sqlite3.Connection, project: bytes, worker: bytes, name: str, team: Membership | None
) -> None:
    """What a worker said of itself: its entries from now on say the same."""
    body = canonical(team) if team is not None else None
    connection.execute("REPLACE INTO ledger_workers VALUES (?, ?, ?, ?)", (project, worker, name, body))


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
    due: dict[bytes, Sequence[int]],
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
                made.append(Made(entry, receipt))
        connection.executemany("DELETE FROM grid_due WHERE seq = ?", ((seq,) for seq in seqs))
    for one in made:
        _append(connection, project, EntryLine(one.receipt.body, one.receipt.signature))
        connection.execute(
            "INSERT INTO ledger_open VALUES (?, ?, ?, ?, ?)",
            (project, one.entry.worker, one.entry.number, one.receipt.body, one.receipt.signature),
        )
        _score(connection, project, one.entry)
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


def seal(
    connection: sqlite3.Connection, project: bytes, number: int, segment: ledger.Segment, last: int
) -> None:
    """A segment is full and on the disk: its lines, up to the id `last`, lie there alone now."""
    connection.execute("REPLACE INTO ledger_segments VALUES (?, ?, ?)", (project, number, canonical(segment)))
    connection.execute("DELETE FROM ledger_lines WHERE project = ? AND id <= ?", (project, last))


# -- scores


def read_score(connection: sqlite3.Connection, project: bytes, board: Board, key: bytes) -> Score | None:
    """Without its hours."""
    row = connection.execute(
        f"SELECT {_SCORE} FROM ledger_scores WHERE project = ? AND board = ? AND key = ?",
        (project, board, key),
    ).fetchone()
    return Score(*row) if row is not None else None


def write_scores(connection: sqlite3.Connection, project: bytes, scores: Iterable[Score]) -> None:
    """`hours` of the scores are added to what is there."""
    for score in scores:
        connection.execute(
            f"REPLACE INTO ledger_scores (project, {_SCORE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(project, score.board, score.key, score.number, score.name, score.team, score.credit),
                *(score.paid, score.results, score.recent, score.recent_at, score.since),
            ),
        )
        connection.executemany(
            "INSERT INTO ledger_hours VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "credit = credit + excluded.credit, results = results + excluded.results",
            (
                (project, score.board, score.key, hour, credit, results)
                for hour, (credit, results) in score.hours.items()
            ),
        )


def replace_scores(
    connection: sqlite3.Connection, project: bytes, scores: Iterable[Score], first_hour: int
) -> None:
    """Those of a ledger that was counted from its beginning; hours before `first_hour` are left out."""
    connection.execute("DELETE FROM ledger_scores WHERE project = ?", (project,))
    connection.execute("DELETE FROM ledger_hours WHERE project = ?", (project,))
    write_scores(connection, project, scores)
    forget_hours(connection, first_hour)


def forget_hours(connection: sqlite3.Connection, before: int) -> None:
    connection.execute("DELETE FROM ledger_hours WHERE hour < ?", (before,))


def _score(connection: sqlite3.Connection, project: bytes, entry: Entry) -> None:
    person = read_score(connection, project, "people", entry.worker) or _new(
        connection, project, "people", entry.worker
    )
    person.name = entry.name or person.name
    person.team = entry.team.team if entry.team is not None else b""
    scores = [person]
    if entry.team is not None:
        team = read_score(connection, project, "teams", entry.team.team) or _new(
            connection, project, "teams", entry.team.team
        )
        team.name = entry.team.name
        scores.append(team)
    for score in scores:
        score.count(entry)
    write_scores(connection, project, scores)


def _new(connection: sqlite3.Connection, project: bytes, board: Board, key: bytes) -> Score:
    row = connection.execute(
        "SELECT coalesce(max(number), 0) FROM ledger_scores WHERE project = ? AND board = ?", (project, board)
    ).fetchone()
    return Score(board, key, row[0] + 1)


# -- what faces ask for


def read_credits(connection: sqlite3.Connection, project: bytes) -> dict[bytes, int]:
    """MFLOP by worker."""
    rows = connection.execute(
        "SELECT key, credit FROM ledger_scores WHERE project = ? AND board = 'people'", (project,)
    )
    return dict(rows)


def read_paid(connection: sqlite3.Connection, project: bytes) -> list[tuple[bytes, int]]:
    """What the owner's balance paid to each worker."""
    rows = connection.execute(
        "SELECT key, paid FROM ledger_scores WHERE project = ? AND board = 'people' AND paid != 0", (project,)
    )
    return list(rows)


def read_board(
    connection: sqlite3.Connection,
    project: bytes,
    board: Board,
    hour: int | None,
    offset: int,
    limit: int,
) -> tuple[list[tuple[Score, int, int, str]], int]:
    """Lines of a leaderboard: (score, credit and results in the span, name of its team); and how many there are in all.

    `hour`: the first that counts, None for all time.
    """
    columns = ", ".join(f"s.{name}" for name in _SCORE.split(", "))
    team = "LEFT JOIN ledger_scores t ON t.project = s.project AND t.board = 'teams' AND t.key = s.team"
    values: tuple[Any, ...] = (project, board)
    if hour is None:
        source = f"FROM ledger_scores s {team} WHERE s.project = ? AND s.board = ?"
        ranked = f"SELECT {columns}, s.credit AS c, s.results AS r, coalesce(t.name, '') {source}"
        count = "SELECT count(*) FROM ledger_scores s WHERE s.project = ? AND s.board = ?"
    else:
        values = (*values, hour)
        span = "WHERE h.project = ? AND h.board = ? AND h.hour >= ?"
        ranked = (
            f"SELECT {columns}, sum(h.credit) AS c, sum(h.results) AS r, coalesce(t.name, '') FROM ledger_hours h "
            f"JOIN ledger_scores s ON s.project = h.project AND s.board = h.board AND s.key = h.key {team} {span} GROUP BY h.key"
        )
        count = f"SELECT count(DISTINCT h.key) FROM ledger_hours h {span}"
    rows = connection.execute(
        f"{ranked} ORDER BY c DESC, s.number LIMIT ? OFFSET ?", (*values, limit, offset)
    ).fetchall()
    total = int(connection.execute(count, values).fetchone()[0])
    return [(Score(*row[:11]), row[11], row[12], row[13]) for row in rows], total


def read_scores(connection: sqlite3.Connection, project: bytes, board: Board) -> list[Score]:
    """All of them, by number, without hours."""
    rows = connection.execute(
        f"SELECT {_SCORE} FROM ledger_scores WHERE project = ? AND board = ? ORDER BY number",
        (project, board),
    )
    return [Score(*row) for row in rows]


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
