"""What the node wants of a job while it runs: its pace, its end. Asked by the module's thread, at every tick of the engine and between slices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from servent.grid.pictures import PICTURES_EVERY
from servent.grid.sandbox.engine import Halted

NAP = 0.1  # s; how long a pause lasts before what is wanted is looked at again
SAY_EVERY = 1.0  # s between two words of how far a job is


class Suspended(Exception):
    """The job is to end now, without a result."""


class Control:
    """Shared by the thread that reads and the one that runs the module; simple values and one lock."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._known: set[int] = set()  # jobs that wait or run
        self._suspended: set[int] = set()
        self._stopped: set[int] = set()
        self._watched: set[int] = set()
        self._shown = 0.0
        self.percent = 100
        self._number = 0
        self._budget = 0.0
        self._began = 0.0
        self._counted = (
            time.thread_time()
        )  # of the runner's thread; how much of its work was paid for by naps
        self._said = 0.0
        self._say: Callable[[], None] = lambda: None

    # -- from the thread that reads

    def queued(self, number: int) -> None:
        with self._changed:
            self._known.add(number)

    def forget(self, number: int) -> None:
        """The job is over, or never begins: orders for it that come later mean nothing."""
        with self._changed:
            self._known.discard(number)
            self._suspended.discard(number)
            self._stopped.discard(number)
            self._watched.discard(number)

    def suspend(self, number: int) -> None:
        with self._changed:
            if number in self._known:
                self._suspended.add(number)
            self._changed.notify_all()

    def stop(self, number: int) -> None:
        with self._changed:
            if number in self._known:
                self._stopped.add(number)
            self._changed.notify_all()

    def watch(self, number: int, on: bool) -> None:
        with self._changed:
            if on and number in self._known:
                self._watched.add(number)
                self._shown = 0.0
            else:
                self._watched.discard(number)

    def pace(self, percent: int) -> None:
        with self._changed:
            self.percent = percent
            self._changed.notify_all()

    # -- from the thread that runs the module

    def begin(self, number: int) -> None:
        """Raises Suspended where the job was called back while it waited."""
        self._number = number
        self.budget(float("inf"))
        if number in self._stopped or number in self._suspended:
            raise Suspended

    def budget(self, seconds: float, say: Callable[[], None] = lambda: None) -> None:
        """From now on the job may take so many seconds of the core. `say` is called about once a second."""
        self._budget, self._say = seconds, say
        self._began = time.thread_time()
        self._said = time.monotonic()

    @property
    def seconds(self) -> float:
        """Of the core, that the job took so far."""
        return time.thread_time() - self._began

    def over(self) -> None:
        self._say = lambda: None  # there is no instance to look at any more
        self.forget(self._number)

    def wants_end(self) -> bool:
        """Whether a snapshot shall be taken, and the job end, after this slice."""
        return self._number in self._suspended

    def shows(self) -> bool:
        """Whether somebody looks at the job, and may see a new picture now."""
        now = time.monotonic()
        if self._number not in self._watched or now - self._shown < PICTURES_EVERY:
            return False
        self._shown = now
        return True

    def tick(self) -> None:
        """Raises Halted when the time is up, Suspended when nobody wants the job any more; sleeps as the pace asks."""
        if self._number in self._stopped:
            raise Suspended
        if self.seconds > self._budget:
            raise Halted("time", f"it took more than the {self._budget:.4g} s of a core that it may have")
        if self.percent < 100:
            self.nap()
        if time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            self._say()

    def command_tick(self) -> None:
        """`tick` for a module that has no slices: it can only be broken off."""
        if self.wants_end():
            raise Suspended
        self.tick()

    def nap(self) -> None:
        """Sleeps for the work since the last nap, so that no more than `percent` of the time is taken; for long where that is 0."""
        now = time.thread_time()
        worked, self._counted = now - self._counted, now
        until = time.monotonic() + worked * (100 - self.percent) / max(self.percent, 1)
        with self._changed:
            while self.percent < 100 and not (self._suspended or self._stopped):
                left = NAP if self.percent == 0 else until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, NAP))
                if time.monotonic() - self._said > SAY_EVERY:
                    self._said = time.monotonic()
                    self._say()
        self._counted = time.thread_time()
