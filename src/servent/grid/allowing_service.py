"""What this machine may do for others now: looks at it, asks the policy, and tells when that changes. Owns the pause by the person and the measured speed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from servent.errors import ServentError
from servent.grid import lending_rows as rows
from servent.grid.lending_log import Log
from servent.grid.lending_shelf import Shelf
from servent.grid.policy import Conditions, Deciding, Pause, Verdict, policy_of
from servent.grid.settings import Settings
from servent.grid.views import Policy

log = logging.getLogger("servent.grid")

LOOK_EVERY = (
    5.0  # s between two looks at the machine: so long somebody may have been back before it falls silent
)
LOOK_OFF = 60.0  # s, while nothing is lent
MEASURED_FOR = 30 * 86400.0  # s; a machine gets another processor, or was busy when it was measured
MFLOPS_UNKNOWN = 4000.0  # of a core, before it was measured; a guess


class Allowing:
    """Decides when something changed, and every few seconds.

    Attributes:
        machine: as it was seen last. verdict: what may be done. pause: by the person. mflops: of one core in the sandbox, 0 until measured.
        since: when it began not to be allowed, on the loop's clock; None while it is.

    Args:
        machine: what is known of it before the first look.
        look: see `conditions_service.Machine.look`.
        engaged: why nothing may run now, of what runs in servent itself.
        measure: MFLOP/s of one core in the sandbox.
        needed: whether there is anything to compute for, so that it is worth measuring.
        changed: called with the verdict before, after it became another; waited for.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        machine: Conditions,
        look: Callable[[bool], Awaitable[Conditions]],
        engaged: Callable[[], str],
        measure: Callable[[], Awaitable[float]],
        needed: Callable[[], bool],
        shelf: Shelf,
        journal: Log,
        *,
        changed: Callable[[Verdict], Awaitable[None]],
        wall: Callable[[], float],
        local_time: Callable[[float], datetime],
    ) -> None:
        self._settings, self._look, self._engaged = settings, look, engaged
        self._measure, self._needed, self._shelf, self._log = measure, needed, shelf, journal
        self._changed, self._wall = changed, wall
        self._clock = asyncio.get_running_loop().time
        self._deciding = Deciding(local_time)
        self._now = asyncio.Event()
        self.machine = machine
        self.verdict = Verdict(on=False, why="it has just begun")
        self.pause: Pause | None = None
        self.mflops = 0.0
        self.since: float | None = None

    def load(self, facts: dict[str, Any]) -> None:
        """What was decided before the start."""
        if self._wall() < float(facts.get("mflops at") or 0.0) + MEASURED_FOR:
            self.mflops = float(facts.get("mflops") or 0.0)
        if "pause" in facts:
            self.pause = Pause(facts["pause"])

    def policy(self) -> Policy:
        """What holds now."""
        return policy_of(self._settings(), self.machine.cores)

    def room(self) -> tuple[int, int]:
        """Bytes of memory and of disk that are lent."""
        policy = self.policy()
        return self.machine.memory_bytes * policy.memory_percent // 100, policy.disk_bytes

    def speed(self) -> float:
        """MFLOP/s of one core, a guess before it was measured."""
        return self.mflops or MFLOPS_UNKNOWN

    def paused_for(self) -> float:
        """Seconds for which nothing was allowed."""
        return 0.0 if self.since is None else self._clock() - self.since

    def soon(self) -> None:
        """Something is another: look now."""
        self._now.set()

    async def set_pause(self, seconds: float | None) -> None:
        """None: until `end_pause`. Kept over a restart."""
        self.pause = Pause(None if seconds is None else self._wall() + seconds)
        await self._shelf.keep(partial(rows.save_fact, name="pause", value=self.pause.until))
        await self.decide()

    async def end_pause(self) -> None:
        """The person lets it compute again."""
        self.pause = None
        await self._shelf.keep(partial(rows.forget_fact, name="pause"))
        await self.decide()

    async def run(self) -> None:
        """Look and decide, until cancelled."""
        while True:
            self._now.clear()
            on = self._settings().lend
            if on:
                try:
                    self.machine = await self._look(bool(self.policy().exclusive))
                except OSError as trouble:
                    log.warning("this machine cannot be looked at: %s", trouble)
            await self.decide()
            if self.verdict.allowed and not self.mflops and self._needed():
                await self._measure_once()
            wait = LOOK_EVERY if on else LOOK_OFF
            if self.verdict.again is not None:
                wait = min(wait, max(0.1, self.verdict.again))
            try:
                async with asyncio.timeout(wait):
                    await self._now.wait()
            except TimeoutError:
                continue

    async def decide(self) -> None:
        """By what was seen last."""
        wall = self._wall()
        if self.pause is not None and self.pause.until is not None and self.pause.until <= wall:
            self.pause = None
            self._shelf.later(partial(rows.forget_fact, name="pause"))
        machine = replace(self.machine, engaged=self._engaged(), transferred_today=self._log.today()[2])
        before = self.verdict
        verdict = self._deciding.decide(
            self._settings().lend, self.policy(), machine, self.pause, self._clock(), wall
        )
        self.verdict = verdict
        if verdict.allowed:
            self.since = None
        elif self.since is None:
            self.since = self._clock()
        if verdict != before:
            await self._changed(before)

    async def _measure_once(self) -> None:
        try:
            mflops = await self._measure()
        except ServentError as trouble:
            log.warning("the speed of the sandbox cannot be measured: %s", trouble)
            mflops = 0.0
        self.mflops = mflops or MFLOPS_UNKNOWN
        if mflops:
            self._shelf.later(partial(rows.save_fact, name="mflops", value=mflops))
            self._shelf.later(partial(rows.save_fact, name="mflops at", value=self._wall()))
        await self._changed(self.verdict)
