"""Runs what is held: fetched first, then one task on each lent core, with snapshots on the disk; what came of it goes to whoever returns it."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
import math
import shutil
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from servent.errors import BadMessage, ConnectionLost, ServentError
from servent.grid import lending_rows as rows
from servent.grid.fetching import Fetching, Stock, seconds_allowed
from servent.grid.getting_service import Getting, NoFit, room_of
from servent.grid.held import Held, Store
from servent.grid.lending_shelf import Shelf
from servent.grid.manifests import INLINE_BYTES
from servent.grid.policy import Verdict
from servent.grid.publishing_service import Publishing
from servent.grid.sandbox.jobs import Ended, Job, Moving, Saved
from servent.grid.sandbox.seam import Sandbox
from servent.grid.wire import RENEW_EVERY, STDERR_CHARACTERS, Outcome, Result, Task
from servent.tasks import begin

log = logging.getLogger("servent.grid")

TINY = 1.0  # s; of units below, more than one for each core go into the sandbox, so that no core idles between two
AHEAD, AHEAD_MOST = 0.06, 64  # s of work for each core that waits there, in at most so many units
SHARED = "outputs"  # the folder of those that take no snapshots
STOP_WITHIN = 2.0  # s that slices have to end when the node stops
MOST_APPS = 256  # whose modules are at hand though nothing of them is held
TRIES = 3  # a process that died by no fault of the module's: so often a unit is begun again here


class Work:
    """Everything held, from the lease to the result.

    Args:
        mflops: of one core in the sandbox.
        came: called with a `Held` whose `result` is on the disk.
        back: called with those that are to be given back undone, and why.
        changed: something a face shows is another.
    """

    def __init__(
        self,
        slots: Sandbox,
        publishing: Publishing,
        getting: Getting,
        shelf: Shelf,
        fetching: Fetching,
        folder: Path,
        *,
        mflops: Callable[[], float],
        came: Callable[[Held], None],
        back: Callable[[bytes, Sequence[Held], str], None],
        changed: Callable[[], None],
        wall: Callable[[], float],
        checkpoint_every: float = RENEW_EVERY,
    ) -> None:
        self._slots, self._publishing, self._getting, self._shelf = slots, publishing, getting, shelf
        self._fetching, self._folder, self._mflops, self._wall = fetching, folder, mflops, wall
        self._came, self._back, self._changed = came, back, changed
        self._checkpoint_every = checkpoint_every
        self._clock = asyncio.get_running_loop().time
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[tuple[bytes, int], asyncio.Task[None]] = {}
        self._running: dict[int, Held] = {}  # by place: the first `cores` are the lent cores
        self._verdict = Verdict(why="it has just begun")
        self._ending = False
        self._estimated = 0, 0.0
        self._writing = 0  # bytes that what runs may write
        self._short = False  # something waits for room on the disk
        self._largest = 0  # bytes of memory that any unit wanted
        self._shared = False  # whether the folder of outputs is there
        self.store = Store()

    # -- life

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for held in self.store.all():
                if held.state == "getting":
                    self._prepare(held)
            self.dispatch()
            await asyncio.Event().wait()

    async def stop(self) -> None:
        """Save what runs where it can be; begin nothing any more."""
        self._ending = True
        self._slots.pace(100)
        with contextlib.suppress(
            TimeoutError
        ):  # a slice that takes longer is computed again from the snapshot before
            async with asyncio.timeout(STOP_WITHIN):
                await self._slots.suspend_all()
        pending = [task for task in self._tasks.values() if not task.done()]
        running = {held.key for held in self._running.values()}
        for key, task in self._tasks.items():
            if key not in running:
                task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=1.0)

    async def save(self, some: Sequence[Held]) -> None:
        """Of these, what runs and can have a snapshot ends after its slice with one; a slice that takes too long is not waited for."""
        running = self._running.values() if self._verdict.allowed else ()
        mine = [held for held in some if held in running and self._sliced(held)]
        for held in mine:
            self._slots.suspend(held.job)
        if pending := [task for held in mine if (task := self._tasks.get(held.key)) is not None]:
            await asyncio.wait(pending, timeout=STOP_WITHIN)

    async def allow(self, verdict: Verdict) -> None:
        """What may be done from now on."""
        before, self._verdict = self._verdict, verdict
        if not verdict.allowed:
            leave = verdict.crowded or not verdict.on
            if leave and not (before.crowded or not before.on):  # what can be saved leaves the memory
                self._slots.pace(100)
                await self._slots.suspend_all()
                if self._verdict is not verdict:
                    return  # meanwhile it is another
                self._slots.resize(0)
            self._slots.pace(0)
            return
        if (before.cores, before.allowed) != (verdict.cores, verdict.allowed):
            self._slots.resize(verdict.cores)
        self._slots.pace(verdict.cpu_percent)
        self.dispatch()

    # -- what comes and goes

    def take(self, project: bytes, tasks: Iterable[Task]) -> None:
        """New leases, on the disk already."""
        now = self._wall()
        for task in tasks:
            held = Held(project, task, now, task.until)
            held.estimate = self._fetching.estimate(task.app, task.operations, self._mflops())
            self.store.add(held)
            self._prepare(held)
        self.dispatch()

    def restore(self, row: rows.HeldRow) -> Held:
        """A lease of before: it goes on from its last snapshot, where that is whole."""
        held = Held(row.project, row.task, row.got, row.task.until)
        held.estimate = self._fetching.estimate(row.task.app, row.task.operations, self._mflops())
        if row.snapshot and Path(row.snapshot).is_file():
            held.snapshot, held.slices, held.digest = row.snapshot, row.slices, row.digest
            held.fraction, held.seconds, held.folder = row.fraction, row.seconds, True
            held.saved_seconds = row.seconds
        held.result = row.result
        if row.result is not None:
            held.state = "done"
        self.store.add(held)
        return held

    def drop(self, held: Held) -> None:
        """Nobody wants it any more: it stops at once, and its files go."""
        if held.state == "over":
            return
        held.state = "over"
        self.store.remove(held)
        task = self._tasks.get(held.key)
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        self._getting.done(held)
        self._publishing.settled(held)
        if self._short:
            self._short = False
            asyncio.get_running_loop().call_soon(self.dispatch)
        if held.folder:
            begin(self._group, asyncio.to_thread(self._remove_folder, held), f"tidy after {held.task.lease}")

    def stocks(self) -> dict[bytes, Stock]:
        """What waits of each project, by what is known now of how long its units take."""
        known = self._fetching.learned, self._mflops()
        if known != self._estimated:
            self._estimated = known
            for held in self.store.all():
                if held.state in ("getting", "ready"):
                    task = held.task
                    held.estimate = self._fetching.estimate(task.app, task.operations, known[1])
        return self.store.stocks()

    def forget_unused(self) -> None:
        """Modules of apps of which nothing is held may go when room is needed."""
        self._getting.keep({held.task.app for held in self.store.all()})

    def running(self) -> list[Held]:
        """By the place they take."""
        return [self._running[place] for place in sorted(self._running)]

    # -- getting ready

    def _prepare(self, held: Held) -> None:
        if self._getting.apps > MOST_APPS + 2 * len(
            self.store
        ):  # a hostile project may have another with each unit
            self.forget_unused()
        try:
            if self._getting.at_once(held):
                self.store.ready(held)
                return
        except NoFit as no:
            self._back(held.project, [held], str(no))
            return
        task = begin(self._group, self._get(held), f"get what unit {held.task.unit.hex()[:8]} needs")
        if task is not None:
            self._track(held, task)

    def _track(self, held: Held, task: asyncio.Task[None]) -> None:
        self._tasks[held.key] = task
        task.add_done_callback(lambda done: self._untrack(held, done))

    def _untrack(self, held: Held, task: asyncio.Task[None]) -> None:
        if self._tasks.get(held.key) is task:
            del self._tasks[held.key]

    async def _get(self, held: Held) -> None:
        try:
            await self._getting.get(held)
        except NoFit as no:
            self._back(held.project, [held], str(no))
            return
        except ConnectionLost:
            if held.state == "getting":  # the line broke while it was asked about: again, when there is one
                await asyncio.sleep(1.0)
                self._prepare(held)
                self.dispatch()
            return
        except BadMessage as wrong:
            await self._end(held, "input", str(wrong), 0.0)
            return
        except ServentError as trouble:
            await self._end(held, "input", f"could not be fetched: {trouble}", 0.0)
            return
        if held.state == "getting":
            self.store.ready(held)
            self.dispatch()

    # -- computing

    def dispatch(self) -> None:
        """Put what is ready on free cores, whoever is behind first."""
        verdict = self._verdict
        if not verdict.allowed or self._ending or self._group is None:
            return
        while (held := self._next(verdict)) is not None:
            ahead = min(AHEAD_MOST, math.ceil(AHEAD / held.estimate)) if held.estimate < TINY else 0
            if len(self._running) >= verdict.cores * (1 + ahead):
                return
            place = next(n for n in itertools.count() if n not in self._running)
            self.store.begin(held)
            held.slot, self._running[place] = place, held
            self._writing += (writes := _writes(held))
            self._largest = max(self._largest, held.memory_bytes)
            task = begin(self._group, self._compute(held, place, writes), f"unit {held.task.unit.hex()[:8]}")
            if task is None:
                return
            self._track(held, task)

    def _next(self, verdict: Verdict) -> Held | None:
        room = verdict.memory_bytes
        if self._largest * verdict.cores > room:
            # Those that wait in the sandbox take no memory yet: only as many run as there are cores.
            used = heapq.nlargest(verdict.cores - 1, (one.memory_bytes for one in self._running.values()))
            room -= sum(used)
        disk = self._getting.room_left()
        for project in self._fetching.order(self.store.with_ready()):
            held = self.store.first(project)
            fits = held.memory_bytes <= room
            if fits and self._writing + _writes(held) <= disk:
                return held
            if fits:
                self._short = True  # until a result is taken, and need not lie here any more
                if self._publishing.owed.size:
                    continue
            if not self._running:  # nothing will ever make room for it
                what = "room on the disk" if fits else "memory"
                self._back(project, [held], f"there is not {what} enough for it now")
        return None

    async def _compute(self, held: Held, place: int, writes: int) -> None:
        held.moving, held.charged, held.job = None, 0.0, self._slots.number()
        try:
            job = self._job(held)
            ended = await self._slots.run(job, partial(self._moves, held), partial(self._saves, held))
        except ConnectionLost:  # the sandbox is closing; the lease and the last snapshot are on the disk
            return
        except (ServentError, OSError) as trouble:
            log.warning("a unit cannot be run: %s", trouble)
            ended = Ended(held.job, "lost", words=f"it could not be run here: {trouble}"[:STDERR_CHARACTERS])
            held.tries = TRIES
        finally:
            del self._running[place]
            self._writing -= writes
            asyncio.get_running_loop().call_soon(self.dispatch)
        self._charge(held, ended.seconds)
        if held.state == "over":
            return
        if ended.suspended or (ended.outcome == "lost" and held.tries < TRIES):
            held.tries += not ended.suspended
            self._again(held)
        elif ended.outcome == "checkpoint" and held.tries < TRIES:
            log.info("a snapshot cannot be gone on from (%s): the unit begins anew", ended.words)
            held.tries += 1
            held.snapshot, held.slices, held.digest, held.fraction = "", 0, b"", 0.0
            held.saved_seconds = 0.0
            self._again(held)
        else:
            if ended.outcome == "module":
                self._getting.forget(held.task.app)  # perhaps only its file here is damaged
            await self._ended(held, ended)

    def _again(self, held: Held) -> None:
        """It goes on from its last snapshot, or begins anew."""
        held.moving, held.seconds = None, held.saved_seconds
        self.store.ready(held)

    def _job(self, held: Held) -> Job:
        app, task = held.app, held.task
        assert app is not None
        allowed = seconds_allowed(app.limits.seconds, self._mflops())
        slices = self._sliced(held)
        folder = self._folder / SHARED
        if slices:
            folder = self._folder_of(held)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            held.folder = True
        elif not self._shared:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._shared = True
        return Job(
            number=held.job,
            module=held.module,
            digest=held.module_digest,
            abi=app.abi,
            seed=task.seed,
            limits=app.limits,
            folder=str(folder),
            args=list(task.args),
            stdin=task.stdin,
            stdin_path=held.input,
            budget=max(1.0, allowed - held.seconds),
            resume=held.snapshot,
            resume_slices=held.slices,
            resume_digest=held.digest,
            checkpoint_every=self._pace_of_checkpoints(task) if slices else 0.0,
            most_slices=app.slices,
            canonical_nans=app.canonical_nans,
            inline_bytes=INLINE_BYTES,
        )

    @staticmethod
    def _sliced(held: Held) -> bool:
        """It can have snapshots."""
        return held.app is not None and held.app.abi == "slice" and held.app.limits.checkpoint_bytes > 0

    def _pace_of_checkpoints(self, task: Task) -> float:
        """Of a short lease, which is renewed half-way to its end, each renewal has a new one to tell of."""
        return min(self._checkpoint_every, max(1.0, (task.until - self._wall()) / 4))

    def _moves(self, held: Held, moving: Moving) -> None:
        held.moving = moving
        self._charge(held, moving.seconds)
        self._changed()

    def _saves(self, held: Held, saved: Saved) -> None:
        """The newest snapshot is known to the disk before the one before it goes."""
        if held.state != "running" or saved.slices < held.slices:
            return
        before = held.snapshot
        held.snapshot, held.slices, held.digest = saved.path, saved.slices, saved.digest
        held.fraction = saved.fraction or 0.0
        held.saved_seconds = held.seconds + held.charged
        held.saved_at = self._clock()
        row = rows.HeldRow(
            held.project,
            held.task,
            held.got,
            saved.path,
            saved.slices,
            saved.digest,
            held.fraction,
            held.saved_seconds,
        )
        written = self._shelf.soon(partial(rows.save_snapshot, row=row))
        if before != saved.path and self._folder in Path(before).parents:
            begin(self._group, self._unlink(Path(before), written), "remove a snapshot")

    async def _unlink(self, snapshot: Path, written: asyncio.Future[None]) -> None:
        with contextlib.suppress(OSError, ServentError):
            await written
            await asyncio.to_thread(snapshot.unlink)

    def _charge(self, held: Held, seconds: float) -> None:
        """`seconds` of this run so far, of which some were charged before."""
        more = seconds - held.charged
        if more > 0:
            held.charged = seconds
            self._fetching.used(held.project, more)

    # -- what came of it

    async def _ended(self, held: Held, ended: Ended) -> None:
        seconds = held.seconds + ended.seconds
        if ended.outcome != "done":
            await self._end(held, ended.outcome, ended.words, seconds)
            return
        content = None
        if ended.output_path:
            try:
                content = await self._publishing.output(held, Path(ended.output_path))
            except ServentError as trouble:
                await self._end(held, "lost", f"the result cannot be kept: {trouble}", seconds)
                return
        result = Result(
            lease=held.task.lease,
            outcome="done",
            digest=ended.digest,
            output=b"" if content is not None else ended.output,
            content=content,
            seconds=seconds,
            words=ended.words[:STDERR_CHARACTERS],
        )
        await self._keep(held, result)

    async def _end(self, held: Held, outcome: Outcome, words: str, seconds: float) -> None:
        if held.state == "over":
            return
        words = words[:STDERR_CHARACTERS]
        await self._keep(held, Result(lease=held.task.lease, outcome=outcome, seconds=seconds, words=words))

    async def _keep(self, held: Held, result: Result) -> None:
        """On the disk before anybody is told."""
        task, now = held.task, self._wall()
        held.state, held.result, held.moving = "done", result, None

        def write(db: rows.Connection) -> None:
            rows.save_result(db, held.project, result)
            if result.outcome == "done":
                rows.add_did(db, held.project, rows.Did(task.unit, task.app, task.operations), now)

        try:
            await self._shelf.keep(write)
        except ServentError as trouble:  # it can still be returned now
            log.warning("a result cannot be written down: %s", trouble)
        self._getting.done(held)
        if held.state == "done":
            self._came(held)

    # -- files

    def _folder_of(self, held: Held) -> Path:
        return self._folder / f"{held.project.hex()[:16]}-{held.task.lease}"

    def _remove_folder(self, held: Held) -> None:
        shutil.rmtree(self._folder_of(held), ignore_errors=True)

    def tidy(self) -> None:
        """Remove folders of leases that are no more; blocks."""
        known = {self._folder_of(held).name for held in self.store.all()}
        if self._folder.is_dir():
            for child in self._folder.iterdir():
                if child.name not in known:
                    shutil.rmtree(child, ignore_errors=True)


def _writes(held: Held) -> int:
    return room_of(held.app) if held.app is not None else 0
