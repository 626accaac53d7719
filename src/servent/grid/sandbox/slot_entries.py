"""What `slots_service` keeps of its jobs and its processes."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from servent.grid.sandbox.jobs import (
    PYTHON_COMPILING,
    Check,
    Ended,
    Job,
    Moving,
    Pictured,
    Saved,
    Told,
    Watch,
)
from servent.grid.sandbox.slot_process import START, Process

MOST_SECONDS, MOST_SLICES = 1e9, 2**40  # what `wire` can say of a unit


class SlotsView(Struct, frozen=True):
    """`cores`: processes that may run; `running`: jobs under way; `waiting`: for a free one. `percent`: of each core, 0 while all hold still.

    `belts`: what the operating system holds the processes by, in words. `restarts`: processes that died or had to be killed. `trouble`: why none can be started.
    """

    cores: int
    running: int
    waiting: int
    percent: int
    belts: list[str] = []
    restarts: int = 0
    trouble: str = ""


class Entry:
    """A job, and who waits for it."""

    def __init__(
        self,
        job: Job | Check,
        on_moving: Callable[[Moving], None] | None,
        on_saved: Callable[[Saved], None] | None,
    ) -> None:
        self.job = job
        self.on_moving, self.on_saved = on_moving, on_saved
        self.on_picture: Callable[[bytes], None] | None = None  # of whoever looks
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self.slot: Slot | None = None
        self.kill_at: float | None = None
        self.suspended = False  # by us; as opposed to called back, to be given to another process
        self.expected = 0.0  # s that it may take, as far as is known when it is handed out
        self.begun = False  # it said something

    def told(self) -> list[Told]:
        """What a process is told of it."""
        number = self.job.number
        return [self.job] if self.on_picture is None else [self.job, Watch(number, True)]

    def hear(self, heard: Moving | Saved | Pictured) -> None:
        """Passes on what a process says of it on the way."""
        if self.ended.done():
            return
        if isinstance(heard, Pictured):
            if self.on_picture is not None:
                self.on_picture(heard.picture)
        elif isinstance(heard, Saved):
            if self.on_saved is not None:
                self.on_saved(heard)
        elif self.on_moving is not None:
            self.on_moving(heard)

    def end(self, ended: Ended) -> None:
        if not self.ended.done():
            self.ended.set_result(ended)


class Slot:
    """A process, or the place of one, with the jobs it was given: the first of them runs."""

    def __init__(self) -> None:
        self.process: Process | None = None
        self.jobs: deque[Entry] = deque()
        self.wake = asyncio.Event()
        self.leaving = False
        self.ready = False
        self.heard_at = 0.0
        self.seconds_then = 0.0
        self.seen: set[bytes] = set()  # modules that it has compiled
        self.verdict: tuple[str, str] | None = None  # why we killed it

    def heard(self, now: float) -> None:
        """It said something, or was told something."""
        self.heard_at, self.seconds_then = now, -1.0

    def look(self, process: Process, now: float, silence: float, compiling: float) -> None:
        """Kills a process that fell silent, or does not suspend in time. `silence`: s it may be silent; `compiling`: s of a core it may compile."""
        entry = self.jobs[0]
        silent = now - self.heard_at
        if entry.kill_at is not None and now >= entry.kill_at:
            self.verdict = ("lost", "suspended, without a snapshot: its slice took too long")
        elif not self.ready:
            if silent > START:
                self.verdict = ("lost", "its process did not start in time")
        elif self.seconds_then < 0.0:
            self.seconds_then = process.seconds()
        elif silent > silence:
            took = process.seconds() - self.seconds_then
            loading = not entry.begun and entry.job.digest not in self.seen
            if entry.job.abi == "python":
                compiling *= PYTHON_COMPILING
            if took > (compiling * 1.5 if loading else silence / 2):  # and says nothing
                self.verdict = ("time", f"it could not be stopped: {took:.0f} s of a core without a word")
            elif silent > 10 * silence:  # else it waits for a core, as it should
                self.verdict = ("lost", f"its process said nothing for {silent:.0f} s")
        if self.verdict is not None:
            process.kill()


def believable(job: Job | Check, heard: Moving | Saved | Pictured | Ended) -> bool:
    """Whether what a process says may be true. A file that it names is sent to others: it must be the one it was to write, and no link.

    A result that no message can carry would hold up all that is returned with it.
    """
    path, wanted = "", ""
    if isinstance(heard, Pictured):
        return isinstance(job, Job)
    if isinstance(heard, Saved):
        path, wanted = heard.path, f"{heard.number}-{heard.slices}.snapshot"
        if not 0 <= heard.slices <= MOST_SLICES:
            return False
    elif isinstance(heard, Ended):
        path, wanted = heard.output_path, f"{heard.number}.output"
        most = job.inline_bytes if isinstance(job, Job) else 0
        if len(heard.output) > most or not 0 <= heard.seconds <= MOST_SECONDS:
            return False
        if (
            isinstance(job, Job)
            and heard.outcome == "done"
            and not heard.suspended
            and len(heard.digest) != 32
        ):
            return False
    elif not 0 <= heard.seconds <= MOST_SECONDS:
        return False
    if not path:
        return not isinstance(heard, Saved)
    return isinstance(job, Job) and Path(path) == Path(job.folder) / wanted and not os.path.islink(path)


def suspended(entry: Entry) -> Ended:
    """What comes of a job that is suspended before it began."""
    return Ended(number=entry.job.number, outcome="lost", words="suspended", suspended=True)
