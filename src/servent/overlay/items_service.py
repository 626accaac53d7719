"""The supernode's store of items as a service: for all networks of a node, beside everything else that it does.

What is to be kept waits in a bounded queue and is written many at a time, in one transaction. Questions are answered
by the store's reading thread; when many come, by processes beside the node (`items_readers`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from servent.errors import WorldError
from servent.overlay import items_rows
from servent.overlay.effects import Counts, Discard, Find, Keep, Load
from servent.overlay.items_cache import Answers, Kept, word_of
from servent.overlay.items_find import Finder
from servent.overlay.items_readers import ReaderLost, Readers, cores
from servent.overlay.items_wire import Ask, Findings, findings, rows_of
from servent.overlay.items_writing import Writing
from servent.overlay.records import Slice
from servent.overlay.settings import HomeSettings
from servent.overlay.wire import Posting
from servent.store import Damaged, Store

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

T = TypeVar("T")
_Wish = tuple[bytes, Keep | Discard, asyncio.Future[None]]
FILE = "network.db"
MOST_WAITING = 512  # effects to be written; who brings more waits
GROUP = 64  # effects written in one transaction, of at most 128 items each
MOST_ASKED = 512  # questions at a time, a quarter of a second of work; more are answered with nothing, and that there is more
SWEEP_EVERY = 30.0  # s between two looks for what has ended
SWEEP_STEP = 0.05  # s between two steps, so that others may write
BUSY = 50  # questions within a second that make it worth to start a process
CROWDED = 8  # questions waiting for a process that make it worth to start another
CACHE_BYTES = 8 << 20  # of pages, of each of the two connections in this process


class Items:
    """`open`, then `run` until cancelled, then `close`. On one loop; networks are named by their keys.

    Attributes:
        tidy: there is nothing to forget, to clean or to merge, as far as was looked.

    Args:
        path: of the file; None keeps everything in memory: for tests and simulations.
        wall: the clock that leases are counted by; its jumps while this runs do not matter.
        readers: the most processes beside this one; None as many as there are cores, 0 none.
    """

    def __init__(
        self,
        path: Path | None,
        settings: HomeSettings | None = None,
        *,
        wall: Callable[[], float] = time.time,
        readers: int | None = None,
    ) -> None:
        self._settings = settings or HomeSettings()
        self._store = Store(path)
        self._store.migrate(items_rows.ROOM, items_rows.STEPS)
        self._writing = Writing(self._settings)
        self._path, self._wall = path, wall
        self._wall_at_start = self._clock_at_start = 0.0
        self._queue: deque[_Wish] = deque()
        self._last_wish: asyncio.Future[None] | None = None
        self._places = asyncio.Semaphore(MOST_WAITING)
        self._wake = asyncio.Event()
        most = 0 if path is None else min(2, cores()) if readers is None else readers
        self.readers = Readers(path or Path(), self._settings.per_key, most)
        self.answers = Answers()
        self._under_way: dict[Hashable, tuple[int, asyncio.Future[Kept]]] = {}
        self._found_by: tuple[sqlite3.Connection, Finder] | None = None
        self._asked = 0
        self.tidy = False
        self._second, self._in_second = 0.0, 0
        self._mending: asyncio.Task[None] | None = None

    # -- life

    async def open(self) -> None:
        """Open the file; a damaged one is moved aside and begun anew.

        Raises:
            StoreTrouble, DiskTrouble: as `Store.open`.
        """
        self._wall_at_start, self._clock_at_start = self._wall(), asyncio.get_running_loop().time()
        said = await self._store.open_or_begin_anew()
        if said is not None:
            log.warning("the index of networks: %s", said)
        await self._prepare()

    async def _prepare(self) -> None:
        def setting(db: sqlite3.Connection) -> None:
            db.execute(f"PRAGMA cache_size = -{CACHE_BYTES >> 10}")

        await self._store.read(setting)
        await self._store.write(setting)

    async def run(self) -> None:
        """Write what is to be kept, and forget what has ended. Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write_forever(), name="write items of others")
            tasks.create_task(self._sweep_forever(), name="forget items that ended")

    async def close(self) -> None:
        """Write what waits, end the processes, close the file. Safe twice."""
        await self.readers.close()
        try:
            while self._queue:
                await self._write_some()
        except WorldError as wrong:
            log.warning("items of others were not kept: %s", wrong)
        if self._mending is not None:
            await asyncio.wait([self._mending])
        await self._store.close()

    # -- effects

    @property
    def crowded(self) -> bool:
        """Whether who brings more to keep has to wait."""
        return self._places.locked()

    async def keep(self, network: bytes, effect: Keep) -> None:
        """Committed when this returns: found by every question asked from then on.

        Raises:
            StoreTrouble, DiskTrouble: nothing of it was kept.
        """
        await self._wish(network, effect)

    async def discard(self, network: bytes, effect: Discard) -> None:
        """As `keep`; after all that was to be kept before."""
        await self._wish(network, effect)

    async def find(self, network: bytes, effect: Find) -> tuple[Findings, bool]:
        """What was found, best first, and whether there is more.

        Raises:
            StoreTrouble, DiskTrouble: the file cannot be read.
        """
        kept = await self._find(network, effect)
        return findings(kept.rows), kept.more

    async def count(self, network: bytes, effect: Counts) -> tuple[list[int], int]:
        """How many items kept as a home have each of the words, and how many there are.

        Raises:
            StoreTrouble, DiskTrouble: the file cannot be read.
        """
        terms = list(effect.terms)
        self._note_load()
        if len(self.readers):
            try:
                told = await self.readers.ask(Ask(0, network, terms=terms))
            except ReaderLost as lost:
                log.debug("a reader did not count: %s", lost)
            else:
                return told.counts, told.total
        return await self._read(lambda db: self._finder(db).counts(network, terms))

    async def load(self, network: bytes, effect: Load) -> tuple[Slice | None, Sequence[Posting]]:
        """A batch as it is kept, after all that was to be kept before.

        Raises:
            StoreTrouble, DiskTrouble: the file cannot be read.
        """
        if self._last_wish is not None and not self._last_wish.done():
            await asyncio.wait([self._last_wish])
        return await self._read(lambda db: items_rows.load(db, network, effect))

    async def totals(self, network: bytes) -> tuple[int, int, int]:
        """Items kept as a home, items kept as a keyed supernode, and their postings.

        Raises:
            StoreTrouble, DiskTrouble: the file cannot be read.
        """
        return await self._read(lambda db: items_rows.totals(db, network))

    # -- questions

    async def _find(self, network: bytes, effect: Find) -> Kept:
        key: Hashable = (network, effect.limit, effect.query, tuple(effect.keys), effect.content)
        cached = effect.query is not None
        if cached and (kept := self.answers.get(key)) is not None:
            return kept
        self._note_load()
        while (waiting := self._under_way.get(key)) is not None and waiting[0] == self.answers.moment:
            await asyncio.wait([waiting[1]])
            if not waiting[1].cancelled():  # who asked first may have gone away
                return waiting[1].result()
        if self._asked >= MOST_ASKED:
            return Kept(b"\x90", True, "")
        moment = self.answers.moment
        future: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        entry = self._under_way[key] = (moment, future)
        self._asked += 1
        try:
            kept = await self._look(network, effect)
        except Exception as wrong:
            future.set_exception(wrong)
            future.exception()  # somebody may wait for it, or nobody
            raise
        else:
            future.set_result(kept)
        finally:
            self._asked -= 1
            future.cancel()
            if self._under_way.get(key) is entry:
                del self._under_way[key]
        if cached:
            self.answers.put(key, kept, moment)
        return kept

    async def _look(self, network: bytes, effect: Find) -> Kept:
        word = word_of(effect.query) if effect.query is not None else ""
        keys = list(effect.keys)
        if len(self.readers):
            ask = Ask(0, network, effect.limit, effect.query, keys, effect.content)
            try:
                told = await self.readers.ask(ask)
            except ReaderLost as lost:
                log.debug("a reader did not answer: %s", lost)
            else:
                return Kept(bytes(told.rows), told.more, word)

        def job(db: sqlite3.Connection) -> Kept:
            found = self._finder(db).find(network, effect.limit, effect.query, keys, effect.content)
            return Kept(rows_of(found.rows), found.more, word)

        return await self._read(job)

    def _finder(self, db: sqlite3.Connection) -> Finder:
        """The one of the thread that reads."""
        if self._found_by is None or self._found_by[0] is not db:
            self._found_by = db, Finder(db, self._settings.per_key)
        return self._found_by[1]

    def _note_load(self) -> None:
        """Start processes where they are worth it."""
        now = asyncio.get_running_loop().time()
        if now - self._second >= 1.0:
            self._second, self._in_second = now, 0
        self._in_second += 1
        there = len(self.readers)
        if not there and (self._in_second >= BUSY or self._asked >= CROWDED):
            self.readers.want(1)
        elif there and self.readers.outstanding >= CROWDED * there:
            self.readers.want(there + 1)

    async def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        await self._mended()
        try:
            return await self._store.read(job)
        except Damaged as wrong:
            self._mend(wrong)
            raise

    # -- writing

    async def _wish(self, network: bytes, effect: Keep | Discard) -> None:
        await self._places.acquire()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((network, effect, done))
        self._last_wish = done
        self._wake.set()
        await asyncio.shield(done)

    async def _write_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self._write_some()

    async def _write_some(self) -> None:
        """One transaction. A bug that one of the wishes shows costs that wish alone."""
        group = [self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))]
        try:
            await self._write_group(group)
        finally:
            for _, _, done in group:
                done.cancel()  # where nothing was said of it
                self._places.release()

    async def _write_group(self, group: Sequence[_Wish]) -> None:
        now = self._now()
        wishes = [(network, effect) for network, effect, _ in group]
        try:
            await self._write(lambda db: self._writing.carry_out(db, wishes, now))
        except WorldError as wrong:
            log.warning("items of others are not kept: %s", wrong)
            for _, _, done in group:
                _fail(done, wrong)
        except Exception as wrong:
            if len(group) > 1:
                for one in group:
                    await self._write_group([one])
                return
            log.exception("what should be kept met a bug")
            _fail(group[0][2], WorldError(f"not kept: {wrong}"))
        else:
            for _, _, done in group:
                if not done.done():
                    done.set_result(None)

    async def _write(self, job: Callable[[sqlite3.Connection], tuple[bool, set[str]]]) -> bool:
        """One transaction; answers that speak of what it changed are forgotten. Returns what the job says first."""
        await self._mended()
        try:
            said, words = await self._store.write(job)
        except Exception as wrong:
            self._writing.forget()  # the thread is done with it
            if isinstance(wrong, Damaged):
                self._mend(wrong)
            raise
        if words:
            self.answers.changed(words)
        return said

    async def _sweep_forever(self) -> None:
        while True:
            now = self._now()
            more = False
            try:
                more = await self._write(lambda db, now=now: self._writing.sweep(db, now))  # type: ignore[misc]
            except WorldError as wrong:
                log.warning("what has ended is not forgotten: %s", wrong)
            self.tidy = not more
            await asyncio.sleep(SWEEP_STEP if more else SWEEP_EVERY)

    def _now(self) -> float:
        return self._wall_at_start + asyncio.get_running_loop().time() - self._clock_at_start

    # -- damage

    async def _mended(self) -> None:
        if self._mending is not None:
            await asyncio.wait([self._mending])

    def _mend(self, wrong: Damaged) -> None:
        """What is in the file can be published again: begin anew, once."""
        if self._mending is None:
            loop = asyncio.get_running_loop()
            self._mending = loop.create_task(self._begin_anew(wrong), name="begin the index of networks anew")

    async def _begin_anew(self, wrong: Damaged) -> None:
        try:
            self.readers.rest()
            said = await self._store.begin_anew()
            self._writing.forget()
            self.answers.clear()
            await self._prepare()
            log.warning("the index of networks: %s; %s", wrong, said)
        except WorldError as trouble:
            log.error("the index of networks cannot be begun anew: %s", trouble)
        finally:
            self._mending = None


def _fail(done: asyncio.Future[None], wrong: Exception) -> None:
    if not done.done():
        done.set_exception(wrong)
        done.exception()  # whoever wished it may not wait any more
