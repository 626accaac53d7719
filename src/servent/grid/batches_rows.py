"""Batches, what belongs to them, and what came of it: tables in `grid.db`. Jobs for the store.

What a unit's result is, the coordinator knows; here stands which batch wants it, under which number, and in which order results came. A row of
`grid_batch_results` is written with the mark up to which the coordinator's finals were dealt with, in one transaction: none is missed, none comes twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from servent.grid import generations_rows as chains
from servent.grid.formats import Shows
from servent.grid.manifests import Content

if TYPE_CHECKING:
    import sqlite3

ROOM = "grid batches"
STEPS = (
    """
    CREATE TABLE grid_my_batches (id INTEGER PRIMARY KEY AUTOINCREMENT, project BLOB NOT NULL, body BLOB NOT NULL);
    CREATE TABLE grid_batch_units (
        batch INTEGER NOT NULL, number INTEGER NOT NULL, unit INTEGER NOT NULL, name TEXT NOT NULL,
        PRIMARY KEY (batch, number)
    ) WITHOUT ROWID;
    CREATE INDEX grid_batch_units_unit ON grid_batch_units (unit);
    CREATE TABLE grid_batch_results (
        ord INTEGER PRIMARY KEY AUTOINCREMENT, batch INTEGER NOT NULL, number INTEGER NOT NULL, unit INTEGER NOT NULL,
        state TEXT NOT NULL, revised INTEGER NOT NULL
    );
    CREATE INDEX grid_batch_results_order ON grid_batch_results (batch, ord);
    CREATE INDEX grid_batch_results_number ON grid_batch_results (batch, number);
    CREATE TABLE grid_batch_inputs (batch INTEGER NOT NULL, content BLOB NOT NULL);
    CREATE INDEX grid_batch_inputs_batch ON grid_batch_inputs (batch);
    CREATE TABLE grid_batches_mark (one INTEGER PRIMARY KEY CHECK (one = 1), ord INTEGER NOT NULL);
    INSERT INTO grid_batches_mark VALUES (1, 0);
    """,
    chains.STEP,
)

Ended = Literal["done", "error", "cancelled"]
Shown = Literal["done", "error", "cancelled", "waiting"]  # waiting: it had a result, which does not hold


class Batch(Struct):
    """All of a batch but its units. `to`: folder for results, "" for none; `written`: the newest result that is there, `line_bytes`: length of its file of lines then.

    `files`: numbers below it were submitted as files, the rest as items; `whole`: everything of it is stored.
    `generations`: of each of its `chains` (see `generations_rows`); what later ones need: `repeat` and `args` as submitted, `operations` in MFLOP, `again` (see `Piece.generation`).
    `shows`: what kind its first result was, see `formats`; None while there is none.
    """

    app: bytes
    app_name: str
    title: str = ""
    created: float = 0.0
    priority: int = 0
    deadline: float = 86400.0
    expires: float | None = None
    budget: float | None = None
    to: str = ""
    files: int = 0
    whole: bool = False
    cancelled: bool = False
    written: int = 0
    line_bytes: int = 0
    why: str = ""
    generations: int = 1
    chains: int = 0
    repeat: int = 1
    args: list[str] = []
    operations: int | None = None
    again: int = 0
    shows: Shows | None = None


class Line(NamedTuple):
    """That a result came, or (`waiting`) that it does not hold any more."""

    order: int
    batch: int
    number: int
    unit: int
    state: Shown
    revised: bool
    name: str
    generation: int = 0


class Counts(Struct):
    units: int = 0
    done: int = 0
    errors: int = 0
    cancelled: int = 0

    @property
    def open(self) -> int:
        return self.units - self.done - self.errors - self.cancelled

    def tell(self, batch: Batch, number: int, state: Shown, by: int) -> None:
        """A unit ended so (or, with -1, it does not stand). Where it has no result, those that would follow come to nothing, too."""
        self.count(state, by)
        if batch.generations > 1 and state in ("error", "cancelled"):
            self.cancelled += by * (batch.generations - 1 - number // batch.chains)

    def count(self, state: Shown, by: int) -> None:
        if state == "done":
            self.done += by
        elif state == "error":
            self.errors += by
        elif state == "cancelled":
            self.cancelled += by


class Came(NamedTuple):
    """What is to be known of a unit that ended."""

    unit: int
    state: Ended
    revised: bool


_read: msgspec.msgpack.Decoder[Batch] = msgspec.msgpack.Decoder(Batch)
_contents: msgspec.msgpack.Decoder[Content] = msgspec.msgpack.Decoder(Content)
_packed = msgspec.msgpack.Encoder().encode


def load(db: sqlite3.Connection) -> tuple[dict[int, tuple[bytes, Batch, Counts]], int]:
    """Every batch with its project and counts; the mark."""
    found = {
        id: (project, _read.decode(body), Counts())
        for id, project, body in db.execute("SELECT id, project, body FROM grid_my_batches ORDER BY id")
    }
    for batch, units in db.execute(
        "SELECT u.batch, coalesce(sum(u.number < c.chains) * c.generations, count(*)) FROM grid_batch_units u "
        "LEFT JOIN grid_batch_chains c ON c.batch = u.batch GROUP BY u.batch"
    ):
        if batch in found:
            found[batch][2].units = units
    for batch, count in chains.never_begun(db):
        if batch in found:
            found[batch][2].cancelled = count
    for batch, state, count in db.execute(
        "SELECT batch, state, count(*) FROM grid_batch_results r WHERE ord = (SELECT max(ord) FROM grid_batch_results "
        "WHERE batch = r.batch AND number = r.number) GROUP BY batch, state"
    ):
        if batch in found:
            found[batch][2].count(state, count)
    return found, int(db.execute("SELECT ord FROM grid_batches_mark").fetchone()[0])


def begin(project: bytes, batch: Batch) -> Callable[[sqlite3.Connection], int]:
    """A new one; its number."""

    def write(db: sqlite3.Connection) -> int:
        said = db.execute(
            "INSERT INTO grid_my_batches (project, body) VALUES (?, ?)", (project, _packed(batch))
        )
        assert said.lastrowid is not None
        if batch.generations > 1:
            chains.begin(db, said.lastrowid, batch.chains, batch.generations)
        return said.lastrowid

    return write


def save(id: int, batch: Batch) -> Callable[[sqlite3.Connection], None]:
    body = _packed(batch)

    def write(db: sqlite3.Connection) -> None:
        db.execute("UPDATE grid_my_batches SET body = ? WHERE id = ?", (body, id))

    return write


def keep_inputs(id: int, contents: Iterable[Content]) -> Callable[[sqlite3.Connection], None]:
    found = [(id, _packed(one)) for one in contents]

    def write(db: sqlite3.Connection) -> None:
        db.executemany("INSERT INTO grid_batch_inputs VALUES (?, ?)", found)

    return write


def put_units(
    db: sqlite3.Connection,
    id: int,
    units: Sequence[tuple[int, int, str]],
    known: Sequence[tuple[int, int, Ended]],
) -> None:
    """`units`: (number, unit, name of its input); `known`: (number, unit, state) of those that were done before."""
    db.executemany("INSERT INTO grid_batch_units VALUES (?, ?, ?, ?)", [(id, *one) for one in units])
    db.executemany(
        "INSERT INTO grid_batch_results (batch, number, unit, state, revised) VALUES (?, ?, ?, ?, 0)",
        [(id, *one) for one in known],
    )
    found = chains.chains_of(db, id) if known else None
    for number, _, state in known:
        chains.ended(db, id, found, number, state == "done", False)


def take(came: Sequence[Came], mark: int) -> Callable[[sqlite3.Connection], list[tuple[Line, Shown | None]]]:
    """Units ended: a line for each batch that wants them, and what was said of it before (None: nothing). All up to `mark` is dealt with.

    After a result that is another than before, a line for each that followed from it, and was told: it waits again.
    """

    def write(db: sqlite3.Connection) -> list[tuple[Line, Shown | None]]:
        made: list[tuple[Line, Shown | None]] = []
        chained: dict[int, chains.Chains | None] = {}

        def tell(batch: int, number: int, unit: int, state: Shown, name: str, before: Shown | None) -> None:
            said = db.execute(
                "INSERT INTO grid_batch_results (batch, number, unit, state, revised) VALUES (?, ?, ?, ?, ?)",
                (batch, number, unit, state, int(before is not None)),
            )
            assert said.lastrowid is not None
            found = chained[batch]
            generation = 0 if found is None else number // found[0]
            line = Line(said.lastrowid, batch, number, unit, state, before is not None, name, generation)
            made.append((line, before))

        for unit, state, revised in came:
            for batch, number, name in db.execute(
                "SELECT batch, number, name FROM grid_batch_units WHERE unit = ?", (unit,)
            ).fetchall():
                before = db.execute(
                    "SELECT state FROM grid_batch_results WHERE batch = ? AND number = ? ORDER BY ord DESC LIMIT 1",
                    (batch, number),
                ).fetchone()
                if before is not None and not revised and before[0] == state:
                    continue  # it was known when it was submitted
                if batch not in chained:
                    chained[batch] = chains.chains_of(db, batch)
                tell(batch, number, unit, state, name, None if before is None else before[0])
                ends = state == "done", before is not None
                for one in chains.ended(db, batch, chained[batch], number, *ends):
                    if one.state is not None:
                        tell(batch, one.number, one.unit, "waiting", name, one.state)  # type: ignore[arg-type]
        db.execute("UPDATE grid_batches_mark SET ord = ?", (mark,))
        return made

    return write


_LINE = (
    "SELECT r.ord, r.batch, r.number, r.unit, r.state, r.revised, u.name, coalesce(r.number / c.chains, 0) FROM grid_batch_results r "
    "JOIN grid_batch_units u ON u.batch = r.batch AND u.number = r.number LEFT JOIN grid_batch_chains c ON c.batch = r.batch "
)


def _line(row: tuple[Any, ...]) -> Line:
    order, batch, number, unit, state, revised, name, generation = row
    return Line(order, batch, number, unit, state, bool(revised), name, generation)


def after(id: int, order: int, limit: int) -> Callable[[sqlite3.Connection], list[Line]]:
    def read(db: sqlite3.Connection) -> list[Line]:
        rows = db.execute(
            _LINE + "WHERE r.batch = ? AND r.ord > ? ORDER BY r.ord LIMIT ?", (id, order, limit)
        )
        return [_line(row) for row in rows]

    return read


def newest(id: int, number: int) -> Callable[[sqlite3.Connection], Line | None]:
    """The newest line of one unit of a batch."""

    def read(db: sqlite3.Connection) -> Line | None:
        row = db.execute(
            _LINE + "WHERE r.batch = ? AND r.number = ? ORDER BY r.ord DESC LIMIT 1", (id, number)
        ).fetchone()
        return None if row is None else _line(row)

    return read


def named(units: Sequence[int]) -> Callable[[sqlite3.Connection], dict[int, tuple[int, int, str]]]:
    """Batch, number and name of the input of each unit, by the batch that had it first."""
    found = list(units)

    def read(db: sqlite3.Connection) -> dict[int, tuple[int, int, str]]:
        names: dict[int, tuple[int, int, str]] = {}
        for unit in found:
            row = db.execute(
                "SELECT batch, number, name FROM grid_batch_units WHERE unit = ? ORDER BY batch LIMIT 1",
                (unit,),
            ).fetchone()
            if row is not None:
                names[unit] = tuple(row)
        return names

    return read


def alone(id: int) -> Callable[[sqlite3.Connection], list[int]]:
    """Units that ended, and that no other batch wants."""

    def read(db: sqlite3.Connection) -> list[int]:
        rows = db.execute(
            "SELECT unit FROM (SELECT unit, batch FROM grid_batch_results UNION SELECT unit, batch FROM grid_batch_former) r "
            "WHERE batch = ? AND NOT EXISTS (SELECT 1 FROM grid_batch_units WHERE unit = r.unit AND batch != r.batch)",
            (id,),
        )
        return [row[0] for row in rows]

    return read


def forget(id: int) -> Callable[[sqlite3.Connection], list[Content]]:
    """Nothing of it stays. The contents that were its inputs, and no other batch's."""

    def write(db: sqlite3.Connection) -> list[Content]:
        packed = [
            row[0] for row in db.execute("SELECT content FROM grid_batch_inputs WHERE batch = ?", (id,))
        ]
        for table in ("grid_batch_units", "grid_batch_results", "grid_batch_inputs"):
            db.execute(f"DELETE FROM {table} WHERE batch = ?", (id,))
        chains.forget(db, id)
        db.execute("DELETE FROM grid_my_batches WHERE id = ?", (id,))
        others = {row[0] for row in db.execute("SELECT content FROM grid_batch_inputs")}
        return [_contents.decode(one) for one in packed if one not in others]

    return write
