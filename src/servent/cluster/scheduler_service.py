"""The scheduler of a cluster of ours: its process, kept running while the cluster is to be up."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from servent.cluster import orders
from servent.cluster.journal import Journal
from servent.cluster.live import Live
from servent.cluster.process_service import Desk, Process
from servent.cluster.visits import Seen

log = logging.getLogger("servent.cluster")

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # s between restarts
LIVED = 60.0  # s that a process ran after which its end is no sign of a lasting fault
DOOR_LENGTH = 90  # bytes of a Unix socket's path; the system takes 104 at least (sun_path, macOS)


class SchedulerRun:
    """`run` it in a task while the cluster is up; cancelling ends the process.

    Args:
        live: `scheduler`, `seen`, `why` and `restarts` are set in it.
        told: called when one of them is another.
    """

    def __init__(self, live: Live, folder: Path, node: bytes, desk: Desk, told: Callable[[], None]) -> None:
        self._live, self._folder, self._node, self._desk, self._told = live, folder, node, desk, told
        self.journal = Journal(folder / "scheduler.log")
        self._doors: tempfile.TemporaryDirectory[str] | None = None
        self.door = ""  # where the dashboard answers: a Unix socket that only we may open
        self.prefix = ""  # what the paths of its pages begin with; another one in each life, for whoever knows it may look

    async def run(self) -> None:
        """Until cancelled."""
        wait, clock = FIRST_WAIT, asyncio.get_running_loop().time
        try:
            while True:
                self.door = self._make_door()
                self.prefix = f"/dask/{secrets.token_urlsafe(24)}/"
                began = clock()
                try:
                    why = await self._process().live()
                except OSError as wrong:
                    why = f"no process can be started: {wrong}"
                self._gone(why)
                if clock() - began > LIVED:
                    wait = FIRST_WAIT
                log.warning("the scheduler of %s: %s; again in %.0f s", self._live.kept.called, why, wait)
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)
                self._live.restarts += 1
        finally:
            self._gone("")
            if self._doors is not None:
                self._doors.cleanup()

    def _gone(self, why: str) -> None:
        self._live.scheduler, self._live.why, self._live.seen = "", why, Seen()
        self._told()

    def _process(self) -> Process:
        called = self._live.kept.called
        begin = orders.Begin(
            cluster=self._live.id.hex(),
            role="scheduler",
            name=f"scheduler of {called}"[:64],
            node=self._node,
            folder=str(self._folder / "scheduler"),
            door=self.door,
            prefix=self.prefix,
        )
        return Process(begin, self.journal, self._desk, self._heard, gentle=False)

    def _heard(self, word: orders.Word) -> None:
        if isinstance(word, orders.Listening):
            self._live.scheduler, self._live.why = word.address, ""
            self._told()
        elif isinstance(word, Seen):
            self._live.seen, self._live.seen_at = word, asyncio.get_running_loop().time()

    def _make_door(self) -> str:
        """A path for a socket in a folder of our own; "" where this system has none, or nowhere to put one."""
        if os.name != "posix":
            return ""
        path = self._folder / "scheduler" / "dashboard"
        if len(os.fsencode(path)) > DOOR_LENGTH:  # a data directory deep down: mkdtemp's are private, too
            if self._doors is None:
                self._doors = tempfile.TemporaryDirectory(prefix="servent-")
            path = Path(self._doors.name, "dashboard")
        return str(path)
