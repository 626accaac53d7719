"""Group commit: what many volunteers brought meanwhile is written in one transaction, and all of them are answered after it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from servent.errors import WorldError
from servent.grid.coordinator_changes import Changes, Writing
from servent.grid.coordinator_state import State
from servent.grid.coordinator_views import Final
from servent.store import Store

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

AGAIN = 1.0  # s until the disk is tried again


class Committer:
    """Writes `State.changes`, one transaction after another; while one is written, the next gathers."""

    def __init__(
        self, store: Store, state: State, written: Callable[[Writing, Sequence[Final], Sequence[str]], None]
    ) -> None:
        """`written`: called on the loop after each commit, with what ended and what need not be kept any more."""
        self._store, self._state, self._written = store, state, written
        self._wanted = asyncio.Event()
        self._next: asyncio.Future[None] | None = None
        self._flying: asyncio.Future[None] | None = None
        self._pending: tuple[Writing, list[Final], list[str]] | None = None
        self._number = 0
        self._running = False
        self._turn = asyncio.Lock()  # one transaction at a time
        self.trouble: WorldError | None = None  # the disk does not take anything now
        self.commits = 0

    def began(self, number: int) -> None:
        """`number`: of the last transaction on the disk."""
        self._number = number

    async def durable(self) -> None:
        """Returns when all that has changed until now is on the disk. Before `run` it is written here: what opens tells of its projects first.

        Raises:
            WorldError: the disk does not take it, or did not the last time.
        """
        if self.trouble is not None:
            raise self.trouble
        if not self._running:
            await self.flush()
            return
        if self._state.changes.any:
            if self._next is None:
                self._next = asyncio.get_running_loop().create_future()
            self._wanted.set()
            waiting = self._next
        elif self._flying is not None:
            waiting = self._flying
        else:
            return
        await asyncio.shield(waiting)
        if self.trouble is not None:
            raise self.trouble

    def hurry(self) -> None:
        """Something has changed, and nobody waits for it."""
        self._wanted.set()

    async def run(self) -> None:
        self._running = True
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                while self._pending is not None or self._state.changes.any:
                    await self._write()
        finally:
            self._running = False

    async def flush(self) -> None:
        """Write what is left, while `run` does not. Raises WorldError."""
        for _ in range(3):
            if self._pending is None and not self._state.changes.any:
                return
            await self._write(again=False)

    async def _write(self, again: bool = True) -> None:
        async with self._turn:
            if self._pending is not None or self._state.changes.any:
                await self._transaction(again)

    async def _transaction(self, again: bool) -> None:
        if self._pending is None:
            changes, self._state.changes = self._state.changes, Changes()
            ended, self._state.ended = self._state.ended, []
            released, self._state.released = self._state.released, []
            self._flying, self._next = self._next, None
            self._number += 1
            writing = Writing(changes, self._number, self._state.nexts)
            self._pending = (writing, ended, released)
        writing, ended, released = self._pending
        try:
            await self._store.write(writing.run)
        except WorldError as wrong:
            if self.trouble is None:
                log.warning("the coordinator cannot write: %s", wrong)
            self.trouble = wrong
            self._answer()
            if not again:
                raise
            await asyncio.sleep(AGAIN)
            return
        self._pending = self.trouble = None
        self.commits += 1
        writing.written()
        self._answer()
        self._written(writing, await whole(self._store, ended), released)

    def _answer(self) -> None:
        if self._flying is not None and not self._flying.done():
            self._flying.set_result(None)
        self._flying = None


async def whole(store: Store, ended: Sequence[Final]) -> list[Final]:
    """With the outputs that lie in `grid_outputs`."""
    wanted = [
        (one.unit, one.digest)
        for one in ended
        if one.state == "done" and one.output is None and one.content is None
    ]
    if not wanted:
        return list(ended)

    def job(connection: sqlite3.Connection) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for unit, digest in wanted:
            row = connection.execute(
                "SELECT output FROM grid_outputs WHERE unit = ? AND digest = ?", (unit, digest)
            ).fetchone()
            if row is not None:
                found[unit] = row[0]
        return found

    outputs = await store.read(job)
    return [one if (data := outputs.get(one.unit)) is None else replace(one, output=data) for one in ended]
