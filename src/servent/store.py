"""The node's SQLite file: one writer thread, one reader thread, migrations by room. Only this module imports sqlite3."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from servent.errors import DiskTrouble, WorldError

T = TypeVar("T")
log = logging.getLogger(__name__)

APPLICATION_ID = 0x53565431  # "SVT1" in the file's header, so that a foreign database is told apart
CHECKED_UP_TO_BYTES = 64 << 20  # files up to this size get `PRAGMA quick_check` at start (about 0.1 s)
BUSY_TIMEOUT = 5.0  # s another process may hold the lock before we give up

_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS migrations (
    room TEXT NOT NULL, step INTEGER NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (room, step)
) WITHOUT ROWID
"""


class StoreTrouble(WorldError):
    """The database cannot be opened, read or written. The file is left as it is, always."""


class Damaged(StoreTrouble):
    """What the file holds is no whole database."""


class Store:
    """One SQLite file in WAL mode, readable by its owner alone.

    Writes run one after another in one thread, each in a transaction of its own; reads run beside them in
    another thread and see the last committed state. `path` None keeps everything in memory and runs jobs at
    once on the caller's thread: for tests and simulations, where virtual time must not wait for threads.

    `durable`: what is committed survives a power cut as well (`synchronous = FULL`): each commit waits for the disk.
    """

    def __init__(self, path: Path | None, *, durable: bool = False) -> None:
        self.path = path
        self._synchronous = "FULL" if durable else "NORMAL"
        self._rooms: dict[str, tuple[str, ...]] = {}
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._writing: ThreadPoolExecutor | None = None
        self._reading: ThreadPoolExecutor | None = None

    def migrate(self, room: str, steps: Sequence[str]) -> None:
        """Declare the tables of `room` before `open`: every step runs once in a file's life, in order.

        A step is SQL of one or more statements. Steps are only ever appended, never changed.
        """
        if self._writer is not None:
            raise RuntimeError("migrate() comes before open()")
        if room in self._rooms:
            raise RuntimeError(f"two rooms call themselves {room!r}")
        self._rooms[room] = tuple(steps)

    async def open(self) -> None:
        """Open the file, creating it with mode 0600 if there is none, and run the missing steps.

        Raises:
            StoreTrouble: damaged, not ours, written by a newer version, or locked. Nothing was changed.
            DiskTrouble: no room or no permission.
        """
        if self._writer is not None:
            raise RuntimeError("the store is open")
        if self.path is None:
            self._writer = self._reader = sqlite3.connect(":memory:", isolation_level=None)
            with self._translated():
                self._prepare(self._writer)
            return
        self._writing = ThreadPoolExecutor(1, "servent store writer")
        self._reading = ThreadPoolExecutor(1, "servent store reader")
        loop = asyncio.get_running_loop()
        try:
            self._writer = await loop.run_in_executor(self._writing, self._open_writer)
            self._reader = await loop.run_in_executor(self._reading, self._open_reader)
        except BaseException:
            await self.close()
            raise

    async def open_or_begin_anew(self) -> str | None:
        """As `open`, for what can be made again: a damaged file is moved aside, and an empty one takes its place.

        Returns:
            what was wrong with it and where it lies now, or None.

        Raises:
            StoreTrouble, DiskTrouble: as `open`, but for damage.
        """
        try:
            await self.open()
        except Damaged as wrong:
            return f"{wrong}; {await self.begin_anew()}"
        return None

    async def begin_anew(self) -> str:
        """Close the file, move it aside, and open an empty one in its place: for what can be made again.

        Returns:
            where it lies now, in words.

        Raises:
            StoreTrouble, DiskTrouble: as `open`.
        """
        await self.close()
        assert self.path is not None
        path, aside = self.path, self.path.with_name(f"{self.path.name}.damaged-{int(time.time())}")

        def move() -> None:
            for ending in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{path}{ending}", f"{aside}{ending}")

        try:
            await asyncio.to_thread(move)
        except OSError as trouble:
            raise DiskTrouble(f"cannot move {path} aside: {trouble.strerror}") from trouble
        await self.open()
        return f"it lies in {aside.name} now, and is made again"

    async def close(self) -> None:
        """Finish the jobs under way and close the file. Safe twice."""
        writer, self._writer = self._writer, None
        reader, self._reader = self._reader, None
        if self.path is None:
            if writer is not None:
                writer.close()
            return
        loop = asyncio.get_running_loop()
        for pool, connection in ((self._reading, reader), (self._writing, writer)):
            if pool is not None and connection is not None:
                await loop.run_in_executor(pool, connection.close)
        for pool in (self._reading, self._writing):
            if pool is not None:
                pool.shutdown(wait=True)
        self._reading = self._writing = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` in one transaction; committed when this returns, rolled back if it raises.

        What is committed survives a killed process; a power cut may take the last moments, unless the store is
        `durable`, and never tears the file.
        A caller that is cancelled no longer waits, but its job is carried out whole or not at all.

        Raises:
            DiskTrouble, StoreTrouble: nothing of the job was kept.
        """
        connection = self._writer
        if connection is None:
            raise RuntimeError("the store is not open")
        if self._writing is None:
            return self._transaction(connection, job)
        return await asyncio.get_running_loop().run_in_executor(
            self._writing, self._transaction, connection, job
        )

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` on the reader's connection, which cannot write."""
        connection = self._reader
        if connection is None:
            raise RuntimeError("the store is not open")
        if self._reading is None:
            return self._query(connection, job)
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._query, connection, job)

    async def check(self, limit: float = 1.5) -> str | None:
        """Look through the whole file for damage, beside reads and writes that go on.

        Returns:
            None when it is sound, what is wrong with it, or "" when `limit` seconds were not enough.
        """
        if self.path is None:
            return None
        return await asyncio.to_thread(self._check, time.monotonic() + limit)

    def _check(self, until: float) -> str | None:
        assert self.path is not None
        with self._translated(), contextlib.closing(self._connect(self.path)) as connection:
            connection.execute("PRAGMA query_only = ON")
            connection.set_progress_handler(lambda: time.monotonic() > until, 1_000)
            try:
                verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            except sqlite3.OperationalError as wrong:
                if getattr(wrong, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
                    return ""
                raise
        return None if verdict == "ok" else verdict

    def _transaction(self, connection: sqlite3.Connection, job: Callable[[sqlite3.Connection], T]) -> T:
        with self._translated():
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = job(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

    def _query(self, connection: sqlite3.Connection, job: Callable[[sqlite3.Connection], T]) -> T:
        with self._translated():
            return job(connection)

    def _open_writer(self) -> sqlite3.Connection:
        assert self.path is not None
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            if os.name == "posix" and self.path.stat().st_mode & 0o077:
                log.warning("%s could be read by others; its mode is 0600 now", self.path)
                self.path.chmod(0o600)
        except OSError as wrong:
            raise DiskTrouble(f"cannot open {self.path}: {wrong.strerror}") from wrong
        size = self.path.stat().st_size
        with self._translated():
            connection = self._connect(self.path)
            try:
                if 0 < size <= CHECKED_UP_TO_BYTES:
                    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                    if verdict != "ok":
                        raise self._damaged(str(verdict))
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    def _open_reader(self) -> sqlite3.Connection:
        assert self.path is not None
        with self._translated():
            connection = self._connect(self.path)
            connection.execute("PRAGMA query_only = ON")
            return connection

    @staticmethod
    def _connect(path: Path) -> sqlite3.Connection:
        # close() may come from another thread of the same pool's life; each pool has one thread only.
        return sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Check whose file it is, set it up, and bring every room up to date in one transaction."""
        ours = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and ours != APPLICATION_ID:
            raise StoreTrouble(
                f"{self.path} is a database of some other program",
                advice="Start with another `--data-dir`.",
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(_MIGRATIONS)
            for room, steps in self._rooms.items():
                self._bring_up_to_date(connection, room, steps)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _bring_up_to_date(self, connection: sqlite3.Connection, room: str, steps: Sequence[str]) -> None:
        done = connection.execute(
            "SELECT step, digest FROM migrations WHERE room = ? ORDER BY step", (room,)
        ).fetchall()
        if len(done) > len(steps):
            raise StoreTrouble(
                f"{self.path} was written by a newer servent ({room}: step {len(done)}, known here: {len(steps)})",
                advice="Update servent, or start with another `--data-dir`.",
            )
        digests = [hashlib.sha256(step.encode()).digest() for step in steps]
        for index, (step, digest) in enumerate(done):
            if step != index or digest != digests[index]:
                raise StoreTrouble(
                    f"{self.path}: step {index} of {room} is not the one this version knows",
                    advice="The file comes from another build; use that one, or another `--data-dir`.",
                )
        for index in range(len(done), len(steps)):
            for statement in _statements(steps[index]):
                connection.execute(statement)
            connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", (room, index, digests[index]))

    def _damaged(self, detail: str) -> Damaged:
        return Damaged(
            f"{self.path} is damaged ({detail[:200]})",
            advice="Put a backup of this file in its place, or move it away to start with an empty one: "
            "your identity lies in a file of its own, but contacts and networks would be gone.",
        )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """sqlite3's errors that the world causes become ours; programming mistakes stay loud."""
        try:
            yield
        except sqlite3.Error as wrong:
            name = getattr(wrong, "sqlite_errorname", "")
            if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")):
                raise DiskTrouble(f"cannot write {self.path}: {wrong}") from wrong
            if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise self._damaged(str(wrong)) from wrong
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise StoreTrouble(
                    f"{self.path} is in use by another program",
                    advice="Is another node running with this `--data-dir`? `servent status` tells.",
                ) from wrong
            raise


def reading(path: Path, cache_bytes: int, mapped_bytes: int = 0) -> sqlite3.Connection:
    """A connection that only reads, for a process beside the node. Errors stay sqlite3's own.

    `mapped_bytes` of the file are mapped into memory: a disk that fails then ends the process, where Python raises otherwise.
    """
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{cache_bytes // 1024}")
    if os.name == "posix":  # Windows cannot make a file shorter that is mapped somewhere
        connection.execute(f"PRAGMA mmap_size = {mapped_bytes}")
    return connection


def _statements(script: str) -> Iterator[str]:
    """The single statements of `script`: executescript() would commit behind our back."""
    pending = ""
    for piece in script.split(";"):
        pending += piece + ";"
        if sqlite3.complete_statement(pending):
            if pending.strip(" \n\t;"):
                yield pending
            pending = ""
    if pending.strip(" \n\t;"):
        yield pending
