"""Writes of the lending side, many in one transaction: each waits for the disk once, however many units end meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from servent.errors import ServentError
from servent.store import Store

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger("servent.grid")

Job = Callable[["sqlite3.Connection"], None]


class Shelf:
    """Group commit over a durable store. `run` writes; `drain` writes what is left when that has ended."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._jobs: list[tuple[Job, asyncio.Future[None] | None]] = []
        self._some = asyncio.Event()
        self._writing = asyncio.Lock()

    def later(self, job: Job) -> None:
        """In the next transaction; nobody waits."""
        self._jobs.append((job, None))
        self._some.set()

    async def keep(self, job: Job) -> None:
        """Returns when it is on the disk. Raises DiskTrouble, StoreTrouble: it is not, nor is what was to be written with it."""
        await self.soon(job)

    def soon(self, job: Job) -> asyncio.Future[None]:
        """As `keep`, for whoever waits later, or not at all."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.append((job, done))
        self._some.set()
        return done

    async def run(self) -> None:
        """Until cancelled. A disk that fails is told to whoever waits."""
        while True:
            await self._some.wait()
            try:
                await self.drain()
            except ServentError as trouble:
                log.warning("what this machine computes for others cannot be written down: %s", trouble)

    async def drain(self) -> None:
        """Write what there is, and wait for what is being written."""
        async with self._writing:
            await self._drain()

    async def _drain(self) -> None:
        while self._jobs:
            jobs, self._jobs = self._jobs, []
            self._some.clear()

            def all_of_them(db: sqlite3.Connection, jobs: list[tuple[Job, object]] = jobs) -> None:  # type: ignore[assignment]
                for job, _ in jobs:
                    job(db)

            waiting = [done for _, done in jobs if done is not None]
            try:
                await self.store.write(all_of_them)
            except Exception as wrong:
                for done in waiting:
                    if not done.done():
                        done.set_exception(wrong)
                        done.exception()
                if not waiting:
                    raise
                log.warning("what this machine computes for others cannot be written down: %s", wrong)
            else:
                for done in waiting:
                    with contextlib.suppress(asyncio.InvalidStateError):
                        done.set_result(None)
