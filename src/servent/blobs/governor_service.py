"""Which limits hold now: the usual ones, the schedule's, or the alternative ones; and puts them in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from servent.blobs import schedule
from servent.blobs.lanes_pace import Pace, Rates
from servent.blobs.queueing import Queue, command
from servent.blobs.schedule import Now
from servent.blobs.transfers_service import Transfers
from servent.blobs.uploads_service import Uploads
from servent.blobs.views import Limits

LOOK_EVERY = 20.0  # s at most between two looks at the clock on the wall, which may be set at any time


class Governor:
    """Owns the limits and the rules of the queue.

    Args:
        told: called when something changed that a person sees.

    Attributes:
        rates: those that hold now.
    """

    def __init__(
        self,
        pace: Pace,
        uploads: Uploads,
        transfers: Transfers,
        limits: Limits,
        queue: Queue,
        wall: Callable[[], float],
        told: Callable[[], None],
    ) -> None:
        self._pace, self._uploads, self._transfers = pace, uploads, transfers
        self._wall, self._told = wall, told
        self._clock = asyncio.get_running_loop().time
        self.limits, self.queue = limits, queue
        self._now = Now()
        self._force: object = None
        self.rates = limits.rates()
        self._wake = asyncio.Event()

    def set_limits(self, limits: Limits) -> None:
        """Raises UsageError."""
        limits.check()
        self.limits = limits
        self._uploads.apply(self._uploads.slots.resize(limits.upload_slots, self._clock()))
        self.apply()

    def set_queue(self, queue: Queue) -> None:
        """Raises UsageError."""
        command(queue.on_complete)
        self.queue = queue
        self.apply()

    def apply(self) -> None:
        """Put in force what holds now."""
        queue, usual = self.queue, self.limits.rates()
        self._now = now = schedule.now(queue.schedule, self._wall(), datetime.fromtimestamp)
        up, down, pause = (
            (queue.alternative_up, queue.alternative_down, False)
            if queue.alternative
            else (now.up or usual.up, now.down or usual.down, now.pause)
        )
        force = Rates(up, down, usual.peer_up, usual.peer_down), queue.peers
        if force != self._force:
            self._force, self.rates = force, force[0]
            self._told()
            self._pace.set(force[0], {peer: (rates.up, rates.down) for peer, rates in queue.peers.items()})
        runs, slots = self._transfers.runs, self._uploads.slots
        held = now.words if pause else ""
        if held != self._transfers.held or runs.turns.most_active != queue.most_active:
            self._transfers.held, runs.turns.held = held, pause
            runs.turns.most_active = queue.most_active
            runs.again()
            self._told()
        if held != slots.held:
            self._uploads.apply(slots.hold(held, self._clock()))
        self._wake.set()

    @property
    def held(self) -> str:
        """Why nothing may move now; "" when it may."""
        return self._transfers.held

    @property
    def words(self) -> str:
        """What holds at this moment, as a sentence."""
        if self.queue.alternative:
            limits = schedule.limits_words(self.queue.alternative_up, self.queue.alternative_down)
            return f"the alternative limits hold: {limits or 'none'}, until you switch them off"
        if self._now.words:
            return self._now.words
        limits = schedule.limits_words(self.limits.up_bytes_per_s, self.limits.down_bytes_per_s)
        return f"limited to {limits}" if limits else "no limits now"

    async def run(self) -> None:
        """Follow the clock until cancelled."""
        while True:
            self.apply()
            self._wake.clear()
            until = self._now.until
            wait = LOOK_EVERY if until is None else max(0.1, min(LOOK_EVERY, until - self._wall()))
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue
