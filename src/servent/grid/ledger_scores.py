"""The sums of ledgers by worker, team and hour, in the database: two of the tables of `ledger_rows`. Pure: jobs on a connection of grid.db."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from servent.grid.credit_views import Board
from servent.grid.ledger import Entry
from servent.grid.standing import Score

if TYPE_CHECKING:
    import sqlite3

_SCORE = "board, key, number, name, team, credit, paid, results, recent, recent_at, since"


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


def count(connection: sqlite3.Connection, project: bytes, entry: Entry) -> None:
    """Add a new entry to the scores of its worker and its team."""
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
        counted = "SELECT count(*) FROM ledger_scores s WHERE s.project = ? AND s.board = ?"
    else:
        values = (*values, hour)
        span = "WHERE h.project = ? AND h.board = ? AND h.hour >= ?"
        ranked = (
            f"SELECT {columns}, sum(h.credit) AS c, sum(h.results) AS r, coalesce(t.name, '') FROM ledger_hours h "
            f"JOIN ledger_scores s ON s.project = h.project AND s.board = h.board AND s.key = h.key {team} {span} GROUP BY h.key"
        )
        counted = f"SELECT count(DISTINCT h.key) FROM ledger_hours h {span}"
    rows = connection.execute(
        f"{ranked} ORDER BY c DESC, s.number LIMIT ? OFFSET ?", (*values, limit, offset)
    ).fetchall()
    total = int(connection.execute(counted, values).fetchone()[0])
    return [(Score(*row[:11]), row[11], row[12], row[13]) for row in rows], total


def read_scores(connection: sqlite3.Connection, project: bytes, board: Board) -> list[Score]:
    """All of them, by number, without hours."""
    rows = connection.execute(
        f"SELECT {_SCORE} FROM ledger_scores WHERE project = ? AND board = ? ORDER BY number",
        (project, board),
    )
    return [Score(*row) for row in rows]
