"""Batches whose units have successors: what follows whom, and what is due. Tables in `grid.db`, jobs for the store.

Unit `number` of a batch of `chains` is generation `number // chains` of chain `number % chains`; its successor is `number + chains`. A row of `grid_batch_next` says that the
successor of `number` is to be submitted. It comes in the transaction that takes down the result, and goes in the one that submits the successor: so each is submitted
exactly once, whenever the node is killed. Where a result turns out to be another, all that followed from it is undone: its units become `former`, to be stopped, and
whoever was told their results is told that they wait again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3

STEP = """
    CREATE TABLE grid_batch_chains (batch INTEGER PRIMARY KEY, chains INTEGER NOT NULL, generations INTEGER NOT NULL);
    CREATE TABLE grid_batch_next (batch INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (batch, number)) WITHOUT ROWID;
    CREATE TABLE grid_batch_former (
        batch INTEGER NOT NULL, unit INTEGER NOT NULL, stopped INTEGER NOT NULL, PRIMARY KEY (batch, unit)
    ) WITHOUT ROWID;
    """
NO_UNIT = 0  # in `grid_batch_units`: none is submitted for this number just now


class Due(NamedTuple):
    """The successor of `number`, whose unit is `unit`, is to be submitted. `name`: of the chain's first input."""

    batch: int
    number: int
    unit: int
    name: str


class Undone(NamedTuple):
    """A unit that followed from a result that does not hold. `state`: how it had ended, None where it had not."""

    number: int
    unit: int
    state: str | None


def begin(db: sqlite3.Connection, batch: int, chains: int, generations: int) -> None:
    db.execute("INSERT INTO grid_batch_chains VALUES (?, ?, ?)", (batch, chains, generations))


Chains = tuple[int, int]  # how many a batch has, and their generations


def chains_of(db: sqlite3.Connection, batch: int) -> Chains | None:
    """None for a batch without."""
    row = db.execute("SELECT chains, generations FROM grid_batch_chains WHERE batch = ?", (batch,)).fetchone()
    return None if row is None else (row[0], row[1])


def ended(
    db: sqlite3.Connection, batch: int, found: Chains | None, number: int, done: bool, revised: bool
) -> list[Undone]:
    """A result came: its successor is due where there is one. `revised`: what is undone by it, in order."""
    if found is None:
        return []
    chains, generations = found
    undone = _undo(db, batch, number, chains) if revised else []
    if done and number // chains + 1 < generations:
        db.execute("INSERT OR IGNORE INTO grid_batch_next VALUES (?, ?)", (batch, number))
    else:
        db.execute("DELETE FROM grid_batch_next WHERE batch = ? AND number = ?", (batch, number))
    return undone


def _undo(db: sqlite3.Connection, batch: int, number: int, chains: int) -> list[Undone]:
    undone: list[Undone] = []
    while True:
        number += chains
        row = db.execute(
            "SELECT unit FROM grid_batch_units WHERE batch = ? AND number = ?", (batch, number)
        ).fetchone()
        if row is None:
            return undone
        place = (batch, number)
        db.execute("DELETE FROM grid_batch_next WHERE batch = ? AND number = ?", place)
        if row[0] == NO_UNIT:
            continue
        db.execute("UPDATE grid_batch_units SET unit = 0 WHERE batch = ? AND number = ?", place)
        db.execute("INSERT OR REPLACE INTO grid_batch_former VALUES (?, ?, 0)", (batch, row[0]))
        said = db.execute(
            "SELECT state FROM grid_batch_results WHERE batch = ? AND number = ? ORDER BY ord DESC LIMIT 1",
            place,
        ).fetchone()
        undone.append(Undone(number, row[0], None if said is None or said[0] == "waiting" else said[0]))


def due(most: int, but: Sequence[Due]) -> Callable[[sqlite3.Connection], list[Due]]:
    """The first that are due, without those of `but`."""
    left_out = {(one.batch, one.number) for one in but}

    def read(db: sqlite3.Connection) -> list[Due]:
        rows = db.execute(
            "SELECT n.batch, n.number, u.unit, u.name FROM grid_batch_next n JOIN grid_batch_units u ON u.batch = n.batch AND u.number = n.number"
            " ORDER BY n.batch, n.number LIMIT ?",
            (most + len(left_out),),
        )
        return [Due(*row) for row in rows if (row[0], row[1]) not in left_out][:most]

    return read


def put(
    db: sqlite3.Connection, batch: int, found: Chains, units: Sequence[tuple[Due, int, bool]]
) -> list[int]:
    """Successors are submitted: (whose, its unit, whether its result is known). The numbers of those whose result is known. Runs in the transaction that submits them."""
    known = []
    for one, unit, done in units:
        gone = db.execute("DELETE FROM grid_batch_next WHERE batch = ? AND number = ?", (batch, one.number))
        if gone.rowcount != 1:
            continue  # it was given up meanwhile
        number = one.number + found[0]
        db.execute(
            "INSERT OR REPLACE INTO grid_batch_units VALUES (?, ?, ?, ?)", (batch, number, unit, one.name)
        )
        if done:
            db.execute(
                "INSERT INTO grid_batch_results (batch, number, unit, state, revised) VALUES (?, ?, ?, 'done',"
                " EXISTS (SELECT 1 FROM grid_batch_results WHERE batch = ? AND number = ?))",
                (batch, number, unit, batch, number),
            )
            ended(db, batch, found, number, True, False)
            known.append(number)
    return known


def give_up(batch: int) -> Callable[[sqlite3.Connection], None]:
    """Nothing more of it is due."""

    def write(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM grid_batch_next WHERE batch = ?", (batch,))

    return write


def former(db: sqlite3.Connection) -> list[tuple[int, bool]]:
    """Units that are to be stopped, and whether somebody wants them all the same."""
    return [
        (unit, bool(wanted))
        for unit, wanted in db.execute(
            "SELECT unit, EXISTS (SELECT 1 FROM grid_batch_units WHERE unit = f.unit) FROM grid_batch_former f WHERE stopped = 0"
        )
    ]


def stopped(units: Sequence[int]) -> Callable[[sqlite3.Connection], None]:
    some = [(unit,) for unit in units]

    def write(db: sqlite3.Connection) -> None:
        db.executemany("UPDATE grid_batch_former SET stopped = 1 WHERE unit = ?", some)

    return write


def never_begun(db: sqlite3.Connection) -> list[tuple[int, int]]:
    """Batch, and how many of its units come to nothing because one before them has no result."""
    return db.execute(
        "SELECT r.batch, sum(c.generations - 1 - r.number / c.chains) FROM grid_batch_results r JOIN grid_batch_chains c ON c.batch = r.batch"
        " WHERE r.state IN ('error', 'cancelled') AND r.ord = (SELECT max(ord) FROM grid_batch_results WHERE batch = r.batch AND number = r.number)"
        " GROUP BY r.batch"
    ).fetchall()


class Reached(NamedTuple):
    """How far a chain is: `done` generations have their result. `unit`, `state`: of the newest that was submitted and has none that stands; 0 where none is, None where nothing was said of it."""

    chain: int
    name: str
    done: int
    unit: int
    state: str | None


def reached(
    batch: int, chains: int, generations: int, some: Sequence[int]
) -> Callable[[sqlite3.Connection], list[Reached]]:
    """Of the chains `some`. The units of a chain are without gaps, so the last is found by halving."""

    def unit(db: sqlite3.Connection, number: int) -> int:
        row = db.execute(
            "SELECT unit FROM grid_batch_units WHERE batch = ? AND number = ?", (batch, number)
        ).fetchone()
        return NO_UNIT if row is None else int(row[0])

    def read(db: sqlite3.Connection) -> list[Reached]:
        found: list[Reached] = []
        for chain in some:
            low, high = 0, generations  # the first `low` are submitted; `high` and those after it are not
            while low < high:
                middle = (low + high) // 2
                if unit(db, chain + middle * chains) != NO_UNIT:
                    low = middle + 1
                else:
                    high = middle
            name = db.execute(
                "SELECT name FROM grid_batch_units WHERE batch = ? AND number = ?", (batch, chain)
            ).fetchone()
            called = "" if name is None else name[0]
            if not low:
                found.append(Reached(chain, called, 0, NO_UNIT, None))
                continue
            number = chain + (low - 1) * chains
            said = db.execute(
                "SELECT state FROM grid_batch_results WHERE batch = ? AND number = ? ORDER BY ord DESC LIMIT 1",
                (batch, number),
            ).fetchone()
            if said is not None and said[0] == "done":
                found.append(Reached(chain, called, low, NO_UNIT, None))
            else:
                state = None if said is None else said[0]
                found.append(Reached(chain, called, low - 1, unit(db, number), state))
        return found

    return read


def units_of(batch: int, numbers: Sequence[int]) -> Callable[[sqlite3.Connection], dict[int, int]]:
    """The unit of each number that has one and whose newest result stands."""

    def read(db: sqlite3.Connection) -> dict[int, int]:
        found: dict[int, int] = {}
        for number in numbers:
            row = db.execute(
                "SELECT unit, (SELECT state FROM grid_batch_results WHERE batch = u.batch AND number = u.number ORDER BY ord DESC LIMIT 1)"
                " FROM grid_batch_units u WHERE batch = ? AND number = ?",
                (batch, number),
            ).fetchone()
            if row is not None and row[0] != NO_UNIT and row[1] == "done":
                found[number] = row[0]
        return found

    return read


def forget(db: sqlite3.Connection, batch: int) -> None:
    for table in ("grid_batch_chains", "grid_batch_next", "grid_batch_former"):
        db.execute(f"DELETE FROM {table} WHERE batch = ?", (batch,))
