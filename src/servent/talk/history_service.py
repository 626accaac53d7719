"""The memory of talk: what was said, in `talk.db`, and the sums that lists show, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from servent.errors import NotFound
from servent.store import Store
from servent.talk import history, history_words
from servent.talk.history import Row, Tally

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")
DAY = 86_400.0
FORGET_EVERY = 3600.0  # s between two looks for what is too old
MOST_OF_ONE = 200_000  # messages of one conversation; the oldest go


class History:
    """Owns messages and conversations of persons and rooms. `open` it when its store is open.

    Args:
        store: `talk.db`, not open yet.
        wall: the wall clock.
        keep_days: after which everything is forgotten, 0 for never; asked again each time.
    """

    def __init__(
        self, store: Store, wall: Callable[[], float], keep_days: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._store, self._wall, self._keep_days = store, wall, keep_days
        self._tallies: dict[str, Tally] = {}
        self._callbacks: list[Callable[[str], None]] = []
        store.migrate(history.ROOM, history.STEPS)

    async def open(self) -> None:
        self._tallies = await self._store.read(history.tallies)

    async def run(self) -> None:
        """Forget what is too old, until cancelled."""
        while True:
            await self.forget_old()
            await asyncio.sleep(FORGET_EVERY)

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call `callback(conversation)` on the loop when something in it changed."""
        self._callbacks.append(callback)

    # -- what lists show

    def tallies(self) -> dict[str, Tally]:
        """To be read, not changed."""
        return self._tallies

    def tally(self, conversation: str) -> Tally:
        return self._tallies.get(conversation) or Tally()

    # -- reading

    async def page(
        self, conversation: str, before: str = "", after: str = "", limit: int = 50
    ) -> tuple[list[Row], bool]:
        return await self._store.read(lambda db: history.page(db, conversation, before, after, limit))

    async def get(self, conversation: str, id: bytes) -> Row:
        """One message. Raises NotFound."""
        row = await self._store.read(lambda db: history.get(db, conversation, id))
        if row is None:
            raise NotFound("there is no such message in this conversation")
        return row

    async def search(
        self,
        text: str,
        conversation: str = "",
        author: bytes | None = None,
        before: float | None = None,
        limit: int = 50,
    ) -> list[tuple[Row, tuple[tuple[int, int], ...]]]:
        """Newest first, each with where the words stand. Raises UsageError when there is nothing to look for."""
        asked = history_words.asked(text)
        rows = await self._store.read(
            lambda db: history.search(db, asked, conversation, author, before, limit)
        )
        return [(row, asked.ranges(row.text)) for row in rows]

    # -- writing

    async def write(self, conversation: str, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` in one transaction; what it did to `conversation` shows at once. Raises as `Store.write`."""

        def both(db: sqlite3.Connection) -> tuple[T, Tally]:
            result = job(db)
            return result, history.tally(db, conversation)

        result, tally = await self._store.write(both)
        if tally != self._tallies.get(conversation):
            self._tallies[conversation] = tally
            if tally == Tally():
                del self._tallies[conversation]
        self._told(conversation)
        return result

    async def refresh(self, conversation: str) -> None:
        """Something was written to it in a transaction of somebody else."""
        await self.write(conversation, lambda db: None)

    async def mark_read(self, conversation: str, place: str = "") -> None:
        await self.write(conversation, lambda db: history.mark_read(db, conversation, place))

    async def set_silent(self, conversation: str, silent: bool) -> None:
        await self.write(conversation, lambda db: history.set_silent(db, conversation, silent))

    async def clear(self, conversation: str) -> None:
        await self.write(conversation, lambda db: history.clear(db, conversation))

    async def forget_old(self) -> None:
        """What is older than `keep_days`, and what is too much of one conversation."""
        days = self._keep_days()
        if days > 0:
            edge = self._wall() - days * DAY
            while await self._store.write(lambda db: history.forget_before(db, edge)):
                pass  # a little at a time, so that others may write between
        for conversation in list(self._tallies):
            await self._store.write(lambda db, one=conversation: history.keep_newest(db, one, MOST_OF_ONE))  # type: ignore[misc]
        if days > 0:
            self._tallies = await self._store.read(history.tallies)

    def _told(self, conversation: str) -> None:
        for callback in self._callbacks:
            callback(conversation)
