"""What `slots_service` keeps of its jobs and its processes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from servent.grid.sandbox.jobs import Check, Ended, Job, Moving, Saved
from servent.grid.sandbox.slot_process import Process


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
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self.slot: Slot | None = None
        self.kill_at: float | None = None
        self.suspended = False  # by us; as opposed to called back, to be given to another process
        self.begun = False  # it said something

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


def suspended(entry: Entry) -> Ended:
    """What comes of a job that is suspended before it began."""
    return Ended(number=entry.job.number, outcome="lost", words="suspended", suspended=True)
