"""Hashes what waits in the library, behind everything else: low priority, paused at a word, nothing lost by a restart.

The database is the queue: a file without a root waits. Big files come last, since many others can be found sooner.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from servent.blobs.info import piece_length_for
from servent.errors import WorldError
from servent.net.session import first
from servent.query import kinds
from servent.share import catalog, hash_child
from servent.share.catalog import Found, Pending
from servent.share.changes import is_moved
from servent.share.children import ChildLost, Children, can_have_children
from servent.share.folders import Parts
from servent.share.hash_jobs import Batch, Quiet, Range, jobs
from servent.share.hash_round import Done, Page, Place, Round
from servent.share.metadata import Metadata, Said
from servent.share.writers import are_written
from servent.store import Store

log = logging.getLogger(__name__)

PAGE = 4096  # files looked up at once
MOST_YOUNG = 512  # of them: it is found out who writes to them; the others wait until they are older
LANES = 4  # processes that hash, at most; about 10 MB each
LITTLE_FILES, LITTLE_BYTES = 64, 4 << 20  # less is hashed in the node, since starting a process takes longer
REST_AFTER = 10.0  # s without work, then the processes end
WRITE_AT, WRITE_EVERY = 4000, 1.0  # files, s: what is written together
RETRY = 60.0  # s until a file that could not be read is tried again
BUSY_CHECK = 1.0  # s between two looks at whether transfers move
_AGAIN = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # it is not there as it was: look again


class HashQueue:
    """One for the whole library. `wake` it when files wait.

    Args:
        store: library.db.
        places: asked for the folders whose files may be hashed now, in the order of their turn.
        told: called on the loop with what was done.
        hashing: called with a folder's number and bytes as they are hashed, before they are kept.
        busy: whether transfers move; then one process works half of the time.
        gentle: processes at the lowest priority; only a measurement wants another.
    """

    def __init__(
        self,
        store: Store,
        places: Callable[[], Sequence[Place]],
        told: Callable[[Done], None],
        *,
        hashing: Callable[[int, int], None] = lambda folder, size: None,
        busy: Callable[[], bool] = lambda: False,
        wall: Callable[[], float],
        quiet: float = 2.0,
        lanes: int | None = None,
        gentle: bool = True,
    ) -> None:
        self._store, self._places, self._told, self._hashing = store, places, told, hashing
        self._busy, self._wall = busy, wall
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._lanes = lanes or max(1, min(LANES, cores))
        self._pool = ThreadPoolExecutor(self._lanes, thread_name_prefix="library hash")
        self._children = Children("hash_child.py", bare=True, gentle=gentle)
        self._metadata = Metadata(gentle=gentle)
        self._quiet = Quiet(quiet)
        self._wake = asyncio.Event()
        self._unreadable: dict[int, float] = {}  # by file: when to try again
        self.trouble: dict[int, list[str]] = {}  # by folder: files that could not be read
        self.working = False
        self._is_busy = False
        self._looked = -BUSY_CHECK
        self._closed = False

    def wake(self) -> None:
        """Something waits, or may go on."""
        self._wake.set()

    def forgive(self, folder: int) -> None:
        """A whole scan begins: files that could not be read are tried again."""
        self.trouble.pop(folder, None)
        self._unreadable.clear()

    @property
    def slowed(self) -> bool:
        """Transfers move, so hashing goes at a fraction of its speed."""
        return self._is_busy and self.working

    def restless(self) -> int:
        """How many files wait until nothing writes to them."""
        return self._quiet.waiting()

    async def run(self) -> None:
        """Until cancelled."""
        clock = asyncio.get_running_loop().time
        rested = True
        while True:
            self._wake.clear()
            due: float | None = clock() + RETRY
            try:
                due = await self._work()
            except* WorldError as wrong:
                log.warning("hashing stands still: %s", first(wrong))
            self.working = False
            rested = rested and not self._did
            limit = None if due is None else max(0.05, due - clock())
            if not rested:
                limit = min(REST_AFTER, limit) if limit is not None else REST_AFTER
            try:
                async with asyncio.timeout(limit):
                    await self._wake.wait()
            except TimeoutError:
                if not rested and (due is None or clock() < due):
                    rested = True
                    await self._in_pool(self._rest)
                    await self._store.write(partial(catalog.work_hard, hard=False))

    def _rest(self) -> None:
        self._children.rest()
        self._metadata.rest()

    _did = False

    async def _work(self) -> float | None:
        """Hash all that may be hashed now. Returns when more will be."""
        self._did = False
        round = Round(self._lanes)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed(round), name="find what to hash")
            for number in range(self._lanes):
                group.create_task(self._lane(number, round), name=f"hash {number}")
            group.create_task(self._write(round), name="keep hashes")
        self._quiet.clean(round.waits)
        if (due := self._quiet.due()) is not None:
            round.soon.append(due)
        return min(round.soon, default=None)

    async def _feed(self, round: Round) -> None:
        """Look up what waits, a page at a time, and give it to the lanes."""
        for big in (False, True):
            for place in self._places():
                await self._feed_from(place, big, round)
        await round.jobs.put(None)

    async def _feed_from(self, place: Place, big: bool, round: Round) -> None:
        after = 0
        while (now := self._still(place)) is not None:
            rows = await self._store.read(partial(_pending, folder=place.id, big=big, after=after))
            if not rows:
                return
            after = rows[-1].id
            await self._look_for_writers(place, rows)
            ready = self._ready(rows, round)
            if ready:
                if not self._did:
                    self._did = self.working = True
                    await self._store.write(partial(catalog.work_hard, hard=True))
                await self._page(now, ready, round)

    def _still(self, place: Place) -> Place | None:
        """The same folder, if it may be hashed still."""
        return next((one for one in self._places() if one.id == place.id), None)

    async def _look_for_writers(self, place: Place, rows: list[Pending]) -> None:
        """Which of those that changed a moment ago something has open for writing."""
        now, wall = asyncio.get_running_loop().time(), self._wall()
        young = [row for row in rows if self._quiet.doubtful(row, now, wall)][:MOST_YOUNG]
        if young:
            known = await self._store.read(lambda db: catalog.paths(db, {row.dir for row in young}, {}))
            where = [(*known.get(row.dir, ()), row.name) for row in young]
            written = await self._in_pool(are_written, place.root, where)
            for row, one in zip(young, written, strict=True):
                self._quiet.told(row.id, one, asyncio.get_running_loop().time())

    def _ready(self, rows: list[Pending], round: Round) -> list[Pending]:
        now, wall = asyncio.get_running_loop().time(), self._wall()
        ready = []
        for row in rows:
            again = self._unreadable.get(row.id)
            if again is not None and again > now:
                round.soon.append(again)
            elif self._quiet.may(row, now, wall):
                ready.append(row)
            else:
                round.waits.add(row.id)
        return ready

    async def _page(self, place: Place, files: list[Pending], round: Round) -> None:
        known, found = await self._store.read(lambda db: _look_up(db, files))
        if found:
            files = await self._recall(place, files, found, known)
        little = len(files) <= LITTLE_FILES and sum(file.size for file in files) <= LITTLE_BYTES
        page = Page(place, known, little or not can_have_children())
        for job in jobs(files):
            await round.jobs.put((page, job))

    async def _lane(self, number: int, round: Round) -> None:
        clock = asyncio.get_running_loop().time
        while (taken := await round.jobs.get()) is not None:
            page, job = taken
            if self._still(page.place) is None:
                continue
            await self._polite(number)
            began = clock()
            await self._job(page, job)
            if self._is_busy:
                await asyncio.sleep(clock() - began)
            if page not in round.pages:
                round.pages.append(page)
            if sum(len(one.found) for one in round.pages) >= WRITE_AT:
                round.ready.set()
        round.lane_ended()

    async def _write(self, round: Round) -> None:
        """Keep what is gathered: much at once while much comes, all of it now and then, and at the end."""
        over = False
        while not over:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WRITE_EVERY):
                    await round.ready.wait()
            round.ready.clear()
            over = round.over  # what comes after this is written in the next turn
            pages, round.pages = round.pages, []
            for page in pages:
                await self._keep(page)

    async def _polite(self, number: int) -> None:
        """Leave the processors to transfers."""
        clock = asyncio.get_running_loop().time
        while True:
            if clock() - self._looked >= BUSY_CHECK:
                self._looked, self._is_busy = clock(), self._busy()
            if not self._is_busy or number == 0:
                return
            await asyncio.sleep(BUSY_CHECK)

    async def _job(self, page: Page, job: Batch | Range) -> None:
        place, known = page.place, page.known
        if isinstance(job, Batch):
            answers, said = await self._in_pool(self._hash_batch, place, job, known, page.inside)
            for file, answer, tags in zip(job.files, answers, said, strict=True):
                self._settle(page, file, answer, tags)
            return
        if job.file.id in page.lost:
            return
        (answer,) = await self._in_pool(self._hash_range, place, job, known, page.inside)
        tags = Said({})
        if answer.state == 0:
            self._hashing(place.id, job.size)
            whole = page.ranges.add(job, answer.layer, answer.head)
            if whole is None:
                return
            root, layer, head = whole
            (tags,) = await self._in_pool(
                self._metadata.read, [(_below(known, job.file), job.file.name)], place.root
            )
            kind = kinds.number_of(job.file.name, head, tags.kind or "")
            answer = hash_child.Answer(0, root, layer, head, False, kind)
        else:
            page.ranges.drop(job.file.id)
        self._settle(page, job.file, answer, tags, counted=True)

    def _settle(
        self, page: Page, file: Pending, answer: hash_child.Answer, said: Said, *, counted: bool = False
    ) -> None:
        place = page.place
        state = answer.state
        path = (*page.known.get(file.dir, ()), file.name)
        if state == 0:
            if not counted:
                self._hashing(place.id, file.size)
            self._quiet.forget(file.id)
            self._unreadable.pop(file.id, None)
            if answer.key and not place.secrets:
                page.keys.append((file, path[:-1]))
                return
            page.found.append(
                Found(file, answer.root, answer.layer, answer.kind, said.tags, answer.canon, answer.texts)
            )
            return
        page.lost.add(file.id)
        if state == hash_child.CHANGED or state in _AGAIN:
            self._quiet.changed(file.id)
            page.again.append(path)
            # Should nobody look again, it is not tried over and over.
            self._unreadable[file.id] = asyncio.get_running_loop().time() + 2.0
        else:
            self._unreadable[file.id] = asyncio.get_running_loop().time() + RETRY
            trouble = self.trouble.setdefault(place.id, [])
            line = f"{'/'.join(path)}: {os.strerror(state)}"
            if line not in trouble and len(trouble) < 1000:
                trouble.append(line)

    async def _recall(
        self, place: Place, files: list[Pending], found: list[catalog.Match], known: dict[int, Parts]
    ) -> list[Pending]:
        """Take the hashes of what was only moved or renamed. Returns the others."""
        roots = {one.id: one.root for one in self._places()}
        where = await self._store.read(
            lambda db: catalog.paths(db, {one.dir for one in found if one.dir is not None}, {})
        )
        page = Page(place, known, True)

        def judge() -> list[Found]:
            known_again: dict[int, Found] = {}
            for one in found:
                candidate, file = one.candidate, one.file
                if one.dir is not None:
                    above = roots.get(one.folder)
                    if above is None:
                        continue
                    old = os.path.join(above, *where.get(one.dir, ()), candidate.name)
                    if not _left(old, _where(place, known, file)):
                        continue
                    candidate = candidate._replace(gone=True)
                if is_moved(candidate, file.name, file.inode, file.mtime_ns):
                    tags = catalog.tags_of(one.tags)
                    known_again[file.id] = Found(file, one.root, one.layer, one.kind, tags)
            return list(known_again.values())

        page.found = await self._in_pool(judge)
        taken = {one.file.id for one in page.found}
        if taken:
            await self._keep(page)
        return [file for file in files if file.id not in taken]

    async def _keep(self, page: Page) -> None:
        """Write what is gathered, and tell."""
        place, known = page.place, page.known
        found, page.found = page.found, []
        keys, page.keys = page.keys, []
        again, page.again = page.again, []
        if not found and not keys and not again:
            return

        def job(db: Any) -> list[Found]:
            for file, path in keys:
                catalog.hold(db, file, path, "it is a private key")
            return catalog.hashed(db, found, {place.id: place.name}, known)

        kept = await self._store.write(job)
        done = Done()
        done.count(kept)
        if keys:
            done.held[place.id] = ["/".join((*path, file.name)) for file, path in keys]
        if again:
            done.again[place.id] = again
        self._told(done)

    # in threads

    async def _in_pool(self, work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    def _hash_batch(
        self, place: Place, job: Batch, known: Mapping[int, Parts], inside: bool
    ) -> tuple[list[hash_child.Answer], list[Said]]:
        said = self._metadata.read([(_below(known, file), file.name) for file in job.files], place.root)
        files = []
        for file, tags in zip(job.files, said, strict=True):
            below = known.get(file.dir, ())
            files.append(
                (
                    _below(known, file).encode(),
                    file.size,
                    file.mtime_ns,
                    piece_length_for(file.size),
                    file.id,
                    file.folder,
                    "/".join((place.name, *below)),
                    file.name,
                    tags.kind or "",
                    tags.tags,
                )
            )
        return self._ask(("files", os.fsencode(place.root), files), inside), said

    def _hash_range(
        self, place: Place, job: Range, known: Mapping[int, Parts], inside: bool
    ) -> list[hash_child.Answer]:
        file = job.file
        root, path = os.fsencode(place.root), _below(known, file).encode()
        length = piece_length_for(file.size)
        return self._ask(
            ("range", root, path, job.offset, job.size, length, file.size, file.mtime_ns), inside
        )

    def _ask(self, job: tuple[Any, ...], inside: bool) -> list[hash_child.Answer]:
        """By a process; where there is none, here."""
        if not inside:
            with contextlib.suppress(ChildLost):
                child = self._children.take()
                well = False
                try:
                    child.send(job)
                    answers = [hash_child.Answer(*one) for one in child.receive(600.0)]
                    well = True
                    return answers
                finally:
                    self._children.give(child, well=well)
            if self._closed:
                raise ChildLost("closed")
        return hash_child.answer(job, memoryview(bytearray(hash_child.READ)))

    def stop(self) -> None:
        """End the processes, so that no thread waits for one. `run` has to be cancelled before."""
        self._closed = True
        self._children.close()
        self._metadata.close()

    async def close(self) -> None:
        """What was under way is hashed after the next start."""
        self.stop()
        await asyncio.to_thread(self._pool.shutdown)


def _pending(db: Any, folder: int, big: bool, after: int) -> list[Pending]:
    return catalog.pending(db, folder, big, after, PAGE)


def _look_up(db: Any, files: list[Pending]) -> tuple[dict[int, Parts], list[catalog.Match]]:
    known = catalog.paths(db, {file.dir for file in files}, {})
    return known, catalog.matches(db, files)


def _below(known: Mapping[int, Parts], file: Pending) -> str:
    return "/".join((*known.get(file.dir, ()), file.name))


def _where(place: Place, known: Mapping[int, Parts], file: Pending) -> str:
    return os.path.join(place.root, *known.get(file.dir, ()), file.name)


def _left(old: str, new: str) -> bool:
    """Whether the file that was at `old` is not there any more, or is the very one at `new`."""
    try:
        before = os.lstat(old)
    except FileNotFoundError:
        return Path(new).exists()
    except OSError:
        return False
    try:
        now = os.lstat(new)
    except OSError:
        return False
    return (before.st_dev, before.st_ino) == (now.st_dev, now.st_ino)
