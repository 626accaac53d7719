"""Our visit to the owner of a cluster that we are a member of: the list of members comes, and what this machine lends goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from servent.cluster import rosters, visits
from servent.cluster.live import Live
from servent.cluster.visits import Bye, Enter, Look, No, Report, Seen
from servent.codec import write_frame
from servent.errors import BadMessage, ConnectionLost, Refused, ServentError
from servent.identity import PeerId
from servent.net.links import Stream

log = logging.getLogger("servent.cluster")

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # s between two tries
REFUSED_WAIT = 60.0  # s after a no; the owner may add us at any time
WATCHED = 10.0  # s after somebody looked in which the scheduler is asked what it does,
LOOK_EVERY = 2.0  # s between two such questions
TOLD_RATE = (
    0.1  # s that what an owner says is at least apart: each new list is checked, written down and shown
)


class Visit:
    """`run` it in a task while we are a member.

    Args:
        live: what comes is set in it.
        open_stream: to the owner's `visits.SERVICE`.
        report: what this machine is and lends, now.
        keep: writes `live.kept` down. told: called when something came.
    """

    def __init__(
        self,
        live: Live,
        open_stream: Callable[[PeerId], Awaitable[Stream]],
        report: Callable[[], Report],
        keep: Callable[[Live], Awaitable[None]],
        told: Callable[[], None],
    ) -> None:
        self._live, self._open, self._report, self._keep, self._told = live, open_stream, report, keep, told
        self._clock = asyncio.get_running_loop().time
        self._changed, self._again = asyncio.Event(), asyncio.Event()
        self._watched = -WATCHED
        self._stream: Stream | None = None
        self._writing = asyncio.Lock()
        self.met = asyncio.Event()  # the owner answered, whatever it said

    def changed(self) -> None:
        """`report` may be another."""
        self._changed.set()

    def watched(self) -> None:
        """Somebody looks."""
        if self._clock() - self._watched > WATCHED:
            self._changed.set()
        self._watched = self._clock()

    def again(self) -> None:
        """The owner is here: try now."""
        self._again.set()

    async def run(self) -> None:
        """Until cancelled."""
        wait = FIRST_WAIT
        while True:
            self._again.clear()
            began = self._clock()
            try:
                await self._once()
            except Refused as no:
                self._over(str(no), refused=True)
                wait = REFUSED_WAIT
            except ServentError as lost:
                self._over(f"its owner is not reached: {lost}"[:300])
            if self._clock() - began > LONGEST_WAIT:
                wait = FIRST_WAIT
            try:
                async with asyncio.timeout(wait):
                    await self._again.wait()
            except TimeoutError:
                wait = min(wait * 2, LONGEST_WAIT)

    def _over(self, why: str, *, refused: bool = False) -> None:
        self._live.scheduler, self._live.why, self._live.refused = "", why, refused
        self._live.seen = Seen()
        if refused:
            self.met.set()
        self._told()

    async def _once(self) -> None:
        """One stream, until it ends. Raises ServentError: always, for that is how it ends."""
        stream = await self._open(PeerId(self._live.kept.owner))
        try:
            await self._say(stream, Enter(self._live.id))
            self._stream = stream
            async with asyncio.TaskGroup() as tasks:
                saying = tasks.create_task(self._reports(stream), name="reports to a cluster's owner")
                over = await self._hear(stream)
                saying.cancel()
            raise over
        finally:
            self._stream = None
            await stream.reset()

    async def _hear(self, stream: Stream) -> ServentError:
        """Why the visit is over."""
        try:
            while True:
                await self._take(await visits.read_told.read(stream))
                await asyncio.sleep(TOLD_RATE)
        except ServentError as over:
            return over

    async def _take(self, told: visits.Told) -> None:
        live = self._live
        if isinstance(told, No):
            raise Refused(f"the owner says: {told.why}", advice="Ask them to add this node to the cluster.")
        if isinstance(told, Seen):
            live.seen, live.seen_at = told, self._clock()
            return
        roster = rosters.read(told.roster, live.kept.owner, live.id)
        if live.roster is not None and roster.number < live.roster.number:
            raise BadMessage("a cluster's owner went back to an older list of members")
        if roster != live.roster:
            live.roster, live.kept.roster = roster, told.roster
            await self._keep(live)
        live.scheduler, live.refused = told.scheduler, False
        live.why = "" if told.scheduler else "its scheduler does not run"
        self.met.set()
        self._told()

    async def _reports(self, stream: Stream) -> None:
        """Until cancelled, or the stream is gone, which `_hear` tells."""
        with contextlib.suppress(ConnectionLost):
            await self._report_on(stream)

    async def _report_on(self, stream: Stream) -> None:
        last: Report | None = None
        due = 0.0
        while True:
            self._changed.clear()
            now, report = self._clock(), self._report()
            if report != last or now >= due:
                await self._say(stream, report)
                last, due = report, now + visits.REPORT_EVERY
            watched = now - self._watched < WATCHED
            if watched:
                await self._say(stream, Look())
            try:
                async with asyncio.timeout(LOOK_EVERY if watched else visits.REPORT_EVERY):
                    await self._changed.wait()
                await asyncio.sleep(0.2)  # what changes together is said together
            except TimeoutError:
                continue

    async def _say(self, stream: Stream, said: visits.Said) -> None:
        async with self._writing:
            await write_frame(stream, said)

    async def leave(self) -> None:
        """Say goodbye for good, if the owner is there. Never raises."""
        if self._stream is not None:
            try:
                async with asyncio.timeout(2.0):
                    await self._say(self._stream, Bye())
                    await self._stream.finish()
            except (ConnectionLost, TimeoutError):
                log.debug("the owner of %s will hear of it later", self._live.kept.called)
