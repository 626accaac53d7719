"""What is asked of whom, and what goes back: looks at all that is held each time something changed, and lets `Fetching` decide."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable

from servent.grid.allowing_service import Allowing
from servent.grid.fetching import Fetching, Stock
from servent.grid.joined_service import Joined
from servent.grid.work_service import Work
from servent.tasks import begin

PLAN_EVERY = 0.01  # s between two plans, however fast small units end
LOOK_AGAIN = 10.0  # s, where nothing else says when
WAITING_BACK_AFTER = 900.0  # s of a pause, after which what was not begun goes back; a guess
BEGUN_BACK_AFTER = (
    3 * 3600.0
)  # s of a pause, after which also what was begun goes, with its checkpoint; a guess


class Planning:
    """For all joined projects together.

    Args:
        joined: by key; changes while this runs.
        gone: called with a project that was left, once nothing of it is held any more.
    """

    def __init__(
        self,
        joined: dict[bytes, Joined],
        work: Work,
        fetching: Fetching,
        allowing: Allowing,
        gone: Callable[[Joined], None],
    ) -> None:
        self._joined, self._work, self._fetching = joined, work, fetching
        self._allowing, self._gone = allowing, gone
        self._clock = asyncio.get_running_loop().time
        self._group: asyncio.TaskGroup | None = None
        self._now = asyncio.Event()

    def soon(self) -> None:
        """Something changed."""
        self._now.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await self._run()

    async def _run(self) -> None:
        while True:
            again = self._fetching.next_ask(self._clock())
            wait = LOOK_AGAIN if again is None else max(0.0, min(LOOK_AGAIN, again - self._clock()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._now.wait()
            self._now.clear()
            self._plan()
            await asyncio.sleep(PLAN_EVERY)

    def _plan(self) -> None:
        verdict, now = self._allowing.verdict, self._clock()
        for joined in list(self._joined.values()):
            self.reach(joined)
            if joined.contact.leaving and not self._work.store.of(joined.key):
                self._gone(joined)
        if not verdict.allowed:
            self._give_back_after(self._allowing.paused_for() if verdict.on else math.inf)
            return
        ahead = self._allowing.policy().fetch_ahead_minutes * 60
        stocks = self._work.stocks()
        for project, stock in stocks.items():
            self._give_back_excess(project, stock, verdict.cores, ahead)
        if verdict.fetch or not self._allowing.mflops:
            return
        for ask in self._fetching.asks(stocks, verdict.cores, ahead, now):
            joined = self._joined[ask.project]
            if begin(self._group, joined.lease(ask), f"ask {joined.kept.name} for work") is None:
                self._fetching.answered(ask.project, 0, 10.0, now)

    def reach(self, joined: Joined) -> None:
        """Be in contact while there is something to say."""
        verdict = self._allowing.verdict
        willing = verdict.on and not verdict.by_person and joined.contact.open
        joined.contact.want(willing or bool(self._work.store.of(joined.key)))

    def _give_back_excess(self, project: bytes, stock: Stock, cores: int, ahead: float) -> None:
        excess = self._fetching.too_many(stock, project, cores, ahead)
        joined = self._joined.get(project)
        if excess <= 0 or joined is None:
            return
        waiting = [held for held in self._work.store.of(project) if held.state == "ready" and not held.begun]
        some = []
        for held in reversed(waiting[max(cores, 1) :]):
            if excess <= 0:
                break
            excess -= held.estimate
            some.append(held)
        if some:
            begin(self._group, joined.give_back(some, "more than can be done here in time"), "give back")

    def _give_back_after(self, paused: float) -> None:
        """Somebody else can do it while we may not."""
        for joined in self._joined.values():
            if not joined.contact.in_contact:
                continue
            some = [
                held
                for held in self._work.store.of(joined.key)
                if held.state != "done" and paused >= (BEGUN_BACK_AFTER if held.begun else WAITING_BACK_AFTER)
            ]
            if some:
                verdict = self._allowing.verdict
                why = f"paused for long: {verdict.why}" if verdict.on else verdict.why
                begin(self._group, joined.give_back(some, why), f"give back to {joined.kept.name}")
