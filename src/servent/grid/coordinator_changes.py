"""What has changed in the coordinator's memory and is not on the disk yet; written as one transaction. Pure: jobs on a connection of grid.db.

Rows of units, hosts, batches and projects are pictures of what is now; the rest are lists of rows to be put in or taken out. Each transaction has a number, which is written with it: where
nobody knows whether it was committed, it is tried again, and does nothing if it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from servent.grid.coordinator_live import ACTIVE, QUEUED, Live
from servent.grid.coordinator_rows import Batch, Host, ProjectState, Trouble, encode

if TYPE_CHECKING:
    import sqlite3

Row = tuple[Any, ...]
Job = Callable[["sqlite3.Connection"], None]

# Lists of rows, in the order in which they are written.
LISTS = {
    "due": "INSERT INTO grid_due VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "finals_gone": "DELETE FROM grid_finals WHERE ord = ?",
    "finals": "INSERT INTO grid_finals VALUES (?, ?, ?)",
    "outputs": "REPLACE INTO grid_outputs VALUES (?, ?, ?)",
    "outputs_gone": "DELETE FROM grid_outputs WHERE unit = ? AND digest = ?",
    "unverified": "REPLACE INTO grid_unverified VALUES (?, ?, ?, ?, ?)",
    "verified": "DELETE FROM grid_unverified WHERE project = ? AND identity = ? AND app = ? AND at = ? AND unit = ?",
    "unverified_old": "DELETE FROM grid_unverified WHERE at < ?",
    "caught": "INSERT INTO grid_caught VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET since = min(since, excluded.since)",
    "caught_gone": "DELETE FROM grid_caught WHERE project = ? AND identity = ? AND app = ? AND since >= ?",
    "hosts_gone": "DELETE FROM grid_hosts WHERE project = ? AND identity = ?",
    "also": "INSERT OR IGNORE INTO grid_also VALUES (?, ?)",
    "invited": "INSERT OR IGNORE INTO grid_invited VALUES (?, ?)",
    "invitations_used": "UPDATE grid_invitations SET uses = uses - 1 WHERE project = ? AND digest = ? AND uses IS NOT NULL",
}


class Writing:
    """One transaction's worth."""

    def __init__(self, changes: Changes, number: int, nexts: tuple[int, int, int]) -> None:
        """`number`: one more than that of the transaction before. `nexts`: numbers that units, finals and rows of `grid_due` get next."""
        self._changes, self._numbers = changes, (number, *nexts)
        self.lives = changes.lives
        self.targets = [live.target() for live in self.lives.values()]
        self._out_of_queue: list[Row] = []
        self._out_of_active: list[Row] = []
        self._active: list[Row] = []
        self._ended: list[Row] = []
        self._out_of_ended: list[Row] = []
        for live, target in zip(self.lives.values(), self.targets, strict=True):
            live.dirty = False
            unit = live.unit.id
            if live.row != target:
                if live.row == QUEUED:
                    self._out_of_queue.append((unit,))
                elif live.row == ACTIVE:
                    self._out_of_active.append((unit,))
                else:
                    self._out_of_ended.append((unit,))
            (self._active if target == ACTIVE else self._ended).append((unit, encode(live.doc())))
        self._hosts = [(number, identity, encode(host)) for (number, identity), host in changes.hosts.items()]
        self._batches = [(number, encode(batch)) for number, batch in changes.batches.items()]
        self._projects = [(encode(state), number) for number, state in changes.projects.items()]
        self._troubles = [(*place, encode(trouble)) for place, trouble in changes.troubles.items()]
        self._minutes = [(*place, *counts) for place, counts in changes.minutes.items()]

    def run(self, connection: sqlite3.Connection) -> None:
        """In a transaction, in the writer's thread."""
        if connection.execute("SELECT 1 FROM grid_numbers WHERE written = ?", self._numbers[:1]).fetchone():
            return
        connection.execute(
            "UPDATE grid_numbers SET written = ?, next_unit = ?, next_order = ?, next_due = ?", self._numbers
        )
        many = connection.executemany
        for statement, rows in (
            ("DELETE FROM grid_queue WHERE unit = ?", self._out_of_queue),
            ("DELETE FROM grid_active WHERE unit = ?", self._out_of_active),
            ("DELETE FROM grid_ended WHERE unit = ?", self._out_of_ended),
            ("REPLACE INTO grid_active VALUES (?, ?)", self._active),
            ("REPLACE INTO grid_ended VALUES (?, ?)", self._ended),
            ("REPLACE INTO grid_hosts VALUES (?, ?, ?)", self._hosts),
            ("REPLACE INTO grid_batches VALUES (?, ?)", self._batches),
            ("UPDATE grid_projects SET state = ? WHERE number = ?", self._projects),
            ("REPLACE INTO grid_problems VALUES (?, ?, ?, ?, ?)", self._troubles),
            ("REPLACE INTO grid_minutes VALUES (?, ?, ?, ?)", self._minutes),
        ):
            if rows:
                many(statement, rows)
        for name, statement in LISTS.items():
            if rows := self._changes.lists[name]:
                many(statement, rows)
        for job in self._changes.jobs:
            job(connection)

    def written(self) -> None:
        """It is on the disk."""
        for live, target in zip(self.lives.values(), self.targets, strict=True):
            live.row = target

    def has(self, name: str) -> bool:
        """Whether rows came into that list."""
        return bool(self._changes.lists[name])


class Changes:
    """Collected between two commits."""

    def __init__(self) -> None:
        self.lives: dict[int, Live] = {}
        self.hosts: dict[tuple[int, bytes], Host] = {}
        self.batches: dict[int, Batch] = {}
        self.projects: dict[int, ProjectState] = {}
        self.troubles: dict[tuple[int, int, str, str], Trouble] = {}
        self.minutes: dict[tuple[int, int], list[int]] = {}
        self.lists: dict[str, list[Row]] = {name: [] for name in LISTS}
        self.jobs: list[Job] = []
        self.any = False

    def live(self, live: Live) -> None:
        self.any = True
        if not live.dirty:
            live.dirty = True
            self.lives[live.unit.id] = live

    def add(self, name: str, row: Row) -> None:
        self.any = True
        self.lists[name].append(row)

    def host(self, project: int, identity: bytes, host: Host) -> None:
        self.any = True
        self.hosts[project, identity] = host

    def batch(self, batch: Batch) -> None:
        self.any = True
        self.batches[batch.batch] = batch

    def project(self, number: int, state: ProjectState) -> None:
        self.any = True
        self.projects[number] = state

    def job(self, job: Job) -> None:
        """Carried out last in the transaction. It must not raise."""
        self.any = True
        self.jobs.append(job)

    @property
    def weight(self) -> int:
        """Rows, about."""
        return len(self.lives) + len(self.jobs)
