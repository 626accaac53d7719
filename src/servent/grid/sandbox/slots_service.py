"""The sandbox as the node sees it: one process for each lent core, jobs that go in, and what comes of them."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import structs

from servent.errors import BadMessage, ConnectionLost, UsageError
from servent.grid.manifests import Abi, Limits
from servent.grid.sandbox import measuring
from servent.grid.sandbox.handing import AHEAD, Handing
from servent.grid.sandbox.jobs import (
    Check,
    Ended,
    Heard,
    Job,
    Moving,
    Pace,
    Ready,
    Saved,
    Stop,
    Suspend,
    Watch,
)
from servent.grid.sandbox.slot_entries import Entry, Slot, SlotsView, believable, suspended
from servent.grid.sandbox.slot_process import Died, Process, why
from servent.tasks import begin

log = logging.getLogger(__name__)

GRACE = 20.0  # s that a job has for the end of its slice and a snapshot, once it is to be suspended
IDLE = 120.0  # s without a job after which a process ends; it is back within a second
STRANGE = ("lost", "its process said what none of ours would")
LONG = 0.5  # s of a core after which a job is one that others shall not wait behind
LOOK = 0.5  # s between looks at processes that may have fallen silent
STDIN_BYTES = 256 * 1024  # of an input that travels in the message
AGAIN = 30.0  # s until a process that does not start is tried again
TRIES = 3  # deaths of a process before it was ready, one after the other, until it counts as one that does not start


class Slots:
    """Processes that run foreign modules, one job at a time each. `async with` starts and ends them; they start when the first job comes.

    A job that kills its process, or makes it fall silent, ends with a reason; the others go on, and the process is started anew.

    Args:
        folder: private; for the compiled modules. Created where it is missing.
        reads: folders that jobs may name files in: modules, inputs, snapshots. writes: folders that `Job.folder` may be in. The processes can open
            nothing else where the system lets us say so.
        cores: how many processes. percent: of each core's time that they may take, 0 holds them still at once.
        silence: s without a word from a process that computes, after which it is killed.
        compiling: s of a core that compiling a module may take; 64 MB of ordinary code are done in the default.
        gentle: run only when nothing else on the machine wants to.
    """

    def __init__(
        self,
        folder: Path,
        *,
        reads: Sequence[Path] = (),
        writes: Sequence[Path] = (),
        cores: int = 1,
        percent: int = 100,
        silence: float = 30.0,
        compiling: float = 60.0,
        gentle: bool = True,
    ) -> None:
        self._folder = folder.absolute()
        self._reads = [place.absolute() for place in reads]
        self._writes = [self._folder, *(place.absolute() for place in writes)]
        self._cores, self._percent, self._silence = cores, percent, silence
        self._compiling, self._gentle = compiling, gentle
        self._waiting: deque[Entry] = deque()
        self._entries: dict[int, Entry] = {}
        self._slots: list[Slot] = []
        self._handing = Handing()
        self._numbers = itertools.count(1)
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._belts: list[str] = []
        self._written = ""  # the last folder that was found to be one that may be written to
        self._restarts = 0
        self._failures = 0
        self._trouble = ""
        self._mflops: float | None = None

    async def __aenter__(self) -> Self:
        for place in (self._folder, *self._writes):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.chmod(0o700)
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._begin(self._watch(), "watch the sandbox")
        self.resize(self._cores)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kills what runs. `suspend_all` first, where snapshots are wanted."""
        group, self._group = self._group, None
        assert group is not None
        for entry in tuple(self._entries.values()):
            if not entry.ended.done():
                entry.ended.set_exception(ConnectionLost("the sandbox is closing"))
                entry.ended.exception()  # who waits hears it; nobody may wait
        self._entries.clear()
        for slot in self._slots:
            if slot.process is not None:
                slot.process.kill()
        for task in tuple(self._tasks):
            task.cancel()
        await group.__aexit__(kind, error, trace)

    # -- what is asked of it

    def number(self) -> int:
        """A fresh number for a job."""
        return next(n for n in self._numbers if n not in self._entries)

    async def run(
        self,
        job: Job,
        on_moving: Callable[[Moving], None] | None = None,
        on_saved: Callable[[Saved], None] | None = None,
    ) -> Ended:
        """Waits for a free process, runs `job` in it and gives what came of it; never raises for what a module does.

        `on_moving` is called about once a second, `on_saved` for each snapshot; whoever calls deletes older snapshots, and `output_path`.
        A cancelled call stops the job at once. `Ended.suspended`: `suspend` ended it; the last `Saved` is what to go on from (a job
        that cannot have one begins again).

        Raises:
            UsageError: the number is that of a job that is not over, its input is too long for a message, or it writes where it may not.
            ConnectionLost: the slots are closing.
        """
        if len(job.stdin) > STDIN_BYTES:
            raise UsageError(f"an input of more than {STDIN_BYTES} bytes comes as a file")
        if job.folder != self._written:
            folder = Path(job.folder)
            if ".." in folder.parts or not any(folder.is_relative_to(place) for place in self._writes):
                raise UsageError(f"no sandbox process may write into {folder}")
            self._written = job.folder
        return await self._enter(Entry(job, on_moving, on_saved))

    def watch(self, number: int, on_picture: Callable[[bytes], None] | None) -> None:
        """From now on `on_picture` is called with the pictures of a job, unread (see `pictures`), five times a second at most; None: nobody looks any more."""
        entry = self._entries.get(number)
        if entry is not None:
            entry.on_picture = on_picture
            if entry.slot is not None and entry.slot.ready and entry.slot.process is not None:
                entry.slot.process.say(Watch(number, on_picture is not None))

    def suspend(self, number: int) -> None:
        """Asks a job to end after its slice, with a snapshot; killed where it takes longer than `GRACE` s. An unknown one is over already."""
        entry = self._entries.get(number)
        if entry is None or entry.kill_at is not None:
            return
        entry.suspended = True
        if entry.slot is None or not entry.slot.ready or entry.slot.process is None:
            self._take_back(entry)
            entry.end(suspended(entry))
        else:
            entry.kill_at = asyncio.get_running_loop().time() + GRACE
            entry.slot.process.say(Suspend(number))

    async def suspend_all(self) -> None:
        """Returns when all are over."""
        entries = list(self._entries.values())
        for entry in entries:
            self.suspend(entry.job.number)
        if entries:
            await asyncio.wait([entry.ended for entry in entries])

    def resize(self, cores: int) -> None:
        """From now on so many processes; 0 for none. Those too many are suspended, and what they ran ends as `suspended`."""
        self._cores = max(0, cores)
        staying = [slot for slot in self._slots if not slot.leaving]
        for slot in staying[self._cores :]:
            slot.leaving = True
            slot.wake.set()
            for entry in tuple(slot.jobs):
                self.suspend(entry.job.number)
        for _ in range(self._cores - len(staying)):
            slot = Slot()
            self._slots.append(slot)
            if not self._begin(self._slot(slot), "sandbox"):
                self._slots.remove(slot)
        self._hand_out()

    def pace(self, percent: int) -> None:
        """So much of each core's time from now on; 0 holds everything still within some hundredths of a second, with all state kept in memory."""
        self._percent = min(100, max(0, percent))
        for slot in self._slots:
            if slot.process is not None:
                slot.process.say(Pace(self._percent))

    async def check(
        self, module: Path, digest: bytes, abi: Abi, limits: Limits, *, canonical_nans: bool = False
    ) -> str:
        """Compiles a module in a sandbox process. Words that say what is wrong with it; empty where it may run.

        `module` is in one of the folders that may be read.
        """
        check = Check(
            number=self.number(),
            module=str(module),
            digest=digest,
            abi=abi,
            limits=limits,
            canonical_nans=canonical_nans,
        )
        ended = await self._enter(Entry(check, None, None))
        return "" if ended.outcome == "done" else ended.words

    async def measure(self) -> float:
        """MFLOP/s of one core in the sandbox (multiply and add in 128-bit vectors); measured once, in less than a second."""
        if self._mflops is None:
            path = self._folder / "measure.wasm"
            await asyncio.to_thread(path.write_bytes, measuring.MODULE)
            ended = await self.run(measuring.job(self.number(), path))
            self._mflops = measuring.mflops(ended)
        return self._mflops

    def view(self) -> SlotsView:
        return SlotsView(
            cores=self._cores,
            running=sum(1 for slot in self._slots if slot.jobs),
            waiting=len(self._waiting),
            percent=self._percent,
            belts=list(self._belts),
            restarts=self._restarts,
            trouble=self._trouble,
        )

    def pids(self) -> list[int]:
        """Of the processes that run now."""
        return [slot.process.pid for slot in self._slots if slot.process is not None]

    # -- handing out

    async def _enter(self, entry: Entry) -> Ended:
        number = entry.job.number
        if self._group is None:
            raise ConnectionLost("the sandbox is closed")
        if number in self._entries:
            raise UsageError(f"job {number} is not over")
        self._entries[number] = entry
        self._waiting.append(entry)
        self._hand_out()
        try:
            return await entry.ended
        finally:
            self._entries.pop(number, None)
            if entry.slot is not None and entry.slot.ready and entry.slot.process is not None:
                entry.slot.process.say(Stop(number))  # cancelled while it ran
                entry.kill_at = asyncio.get_running_loop().time() + GRACE
            else:
                self._take_back(entry)

    def _take_back(self, entry: Entry) -> None:
        """One that no process was told of."""
        for jobs in (self._waiting, entry.slot.jobs if entry.slot is not None else ()):
            if entry in jobs:
                jobs.remove(entry)  # type: ignore[union-attr]
        entry.slot = None

    def _hand_out(self) -> None:
        """Jobs to processes: one each, and more to one whose jobs take a few milliseconds, so that it never waits for us."""
        while self._waiting:
            free = [slot for slot in self._slots if not slot.leaving and self._room(slot, self._waiting[0])]
            if not free:
                return
            slot = min(free, key=lambda one: len(one.jobs))
            entry = self._waiting.popleft()
            entry.slot = slot
            entry.expected = self._handing.expected(entry.job.digest)
            slot.jobs.append(entry)
            if slot.ready and slot.process is not None:
                self._tell(slot, slot.process, entry)
            slot.wake.set()

    def _room(self, slot: Slot, entry: Entry) -> bool:
        if not slot.jobs:
            return True
        if not slot.ready or len(slot.jobs) >= AHEAD:
            return False
        given = sum(one.expected for one in slot.jobs)
        return self._handing.room(len(slot.jobs), given, entry.job.digest)

    def _tell(self, slot: Slot, process: Process, entry: Entry) -> None:
        now = asyncio.get_running_loop().time()
        if len(slot.jobs) == 1:
            slot.heard(now)
        process.say(*entry.told())

    # -- processes

    async def _slot(self, slot: Slot) -> None:
        """Keeps a process in `slot` while there are jobs for it."""
        try:
            while not slot.leaving:
                if not slot.jobs:
                    slot.wake.clear()
                    await slot.wake.wait()
                    continue
                if not await self._process(slot):
                    await asyncio.sleep(0 if self._failures < TRIES else AGAIN)
        finally:
            if slot in self._slots:
                self._slots.remove(slot)
            self._give_back(slot)

    async def _process(self, slot: Slot) -> bool:
        """One process from its start to its end. False where it never was ready."""
        try:
            process = await Process.start(
                self._folder, self._reads, self._writes, compiling=self._compiling, gentle=self._gentle
            )
        except OSError as trouble:
            self._did_not_start(slot, f"no process can be started: {trouble.strerror}")
            return False
        slot.process, slot.ready, slot.verdict = process, False, None
        slot.seen.clear()
        loop = asyncio.get_running_loop()
        slot.heard(loop.time())
        try:
            async with asyncio.TaskGroup() as group:
                process.watch(group)
                idle = group.create_task(self._until_idle(slot, process), name="an idle sandbox")
                try:
                    while True:
                        for heard in await process.hear():
                            self._heard(slot, process, heard)
                except Died as death:
                    was_ready = slot.ready
                    self._died(slot, death)
                    return was_ready
                except BadMessage as wrong:
                    log.error("a sandbox process says what it never should: %s", wrong)
                    slot.verdict = STRANGE
                    self._died(slot, Died(-9, ""))
                    return True
                finally:
                    idle.cancel()
        finally:
            slot.process, slot.ready = None, False
            process.kill()
            await process.gone()

    async def _until_idle(self, slot: Slot, process: Process) -> None:
        while True:
            if slot.leaving and not slot.jobs:
                return process.finish()
            if slot.jobs:
                await asyncio.sleep(IDLE / 4)
                continue
            slot.wake.clear()
            try:
                async with asyncio.timeout(IDLE):
                    await slot.wake.wait()
            except TimeoutError:
                if not slot.jobs:
                    slot.ready = False  # takes no more; what comes now goes to its successor
                    return process.finish()

    def _heard(self, slot: Slot, process: Process, heard: Heard) -> None:
        now = asyncio.get_running_loop().time()
        slot.heard(now)
        if isinstance(heard, Ready):
            slot.ready, self._failures, self._trouble = True, 0, ""
            if self._belts != heard.belts:
                log.info("the sandbox is held by: %s", ", ".join(heard.belts) or "nothing of the system")
            self._belts = list(heard.belts)
            process.say(Pace(self._percent))
            for one in slot.jobs:
                self._tell(slot, process, one)
            self._hand_out()
            return
        entry = slot.jobs[0] if slot.jobs else None
        if isinstance(heard, Ended) and heard.suspended and entry is not None:  # perhaps one that waited
            entry = next((one for one in slot.jobs if one.job.number == heard.number), None)
        if entry is None or entry.job.number != heard.number:
            slot.verdict = STRANGE
            process.kill()
            return
        if not believable(entry.job, heard):
            log.error("a sandbox process names a file that is not of its job")
            slot.verdict = STRANGE
            process.kill()
            return
        if not (isinstance(heard, Ended) and heard.suspended):
            entry.begun = True
            slot.seen.add(entry.job.digest)
        if isinstance(heard, Ended):
            self._ended(slot, entry, heard)
            return
        entry.hear(heard)
        if isinstance(heard, Moving) and len(slot.jobs) > 1 and heard.seconds > LONG:
            # The others need not wait for it.
            process.say(*(Stop(other.job.number) for other in itertools.islice(slot.jobs, 1, None)))

    def _ended(self, slot: Slot, entry: Entry, ended: Ended) -> None:
        slot.jobs.remove(entry)
        entry.slot = None
        if ended.suspended and not entry.suspended and not entry.ended.done():
            entry.kill_at = None
            self._waiting.appendleft(entry)  # called back from behind a long one: it never began
        else:
            if not ended.suspended:
                self._handing.took(entry.job.digest, ended.seconds)
            entry.end(ended)
        if slot.leaving and not slot.jobs:
            slot.wake.set()
            if slot.process is not None:
                slot.process.finish()
        self._hand_out()

    def _died(self, slot: Slot, death: Died) -> None:
        """Its first job is to blame, where it had begun; the others go to whoever is next."""
        if slot.leaving and not slot.jobs:
            return
        if death.code == 0 and not slot.jobs:  # an idle one that we ended
            return
        if not slot.ready and death.code != 0:
            log.warning("a sandbox process does not start: %s", death.said or death.code)
            last = (death.said.strip().splitlines() or [slot.verdict[1] if slot.verdict else "?"])[-1]
            self._did_not_start(slot, f"the sandbox does not start: {last}")
            return
        if not slot.ready:  # it ended for idleness just as a job came
            self._give_back(slot)
            return
        self._restarts += 1
        if slot.jobs:
            entry = slot.jobs.popleft()
            entry.slot = None
            compiling = not entry.begun and entry.job.digest not in slot.seen
            outcome, words = slot.verdict or why(death.code, compiling)
            if death.code == 70 or (death.code > 0 and slot.verdict is None):
                log.error("a sandbox process ended by a mistake of ours:\n%s", death.said)
            asked = entry.suspended and slot.verdict is not None
            ended = Ended(number=entry.job.number, outcome="lost", words=words[:900], suspended=asked)
            entry.end(structs.replace(ended, outcome=outcome))
        self._give_back(slot)

    def _did_not_start(self, slot: Slot, words: str) -> None:
        self._failures += 1
        if self._failures >= TRIES:
            self._trouble = words[:300]
            for entry in tuple(slot.jobs):
                slot.jobs.popleft()
                entry.slot = None
                entry.end(Ended(number=entry.job.number, outcome="lost", words=self._trouble))

    def _give_back(self, slot: Slot) -> None:
        while slot.jobs:
            entry = slot.jobs.pop()
            entry.slot = None
            if entry.suspended:
                entry.end(suspended(entry))
            elif not entry.ended.done():
                self._waiting.appendleft(entry)
        if self._group is not None:
            self._hand_out()

    # -- watching

    async def _watch(self) -> None:
        """Kills processes that fall silent, and those that do not suspend in time."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK)
            now = loop.time()
            for slot in self._slots:
                if slot.process is not None and slot.jobs:
                    if self._percent == 0:  # it is to be still
                        slot.heard(now)
                    slot.look(slot.process, now, self._silence, self._compiling)

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> bool:
        task = begin(self._group, work, name)
        if task is None:
            return False
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True
