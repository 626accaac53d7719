"""The workers of this machine in one cluster: as many processes as the lent cores give, run, frozen and retired as lending allows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from servent.cluster import orders, working
from servent.cluster.journal import Journal
from servent.cluster.live import Live
from servent.cluster.process_service import Desk, Process
from servent.cluster.visits import Part, WorkerState
from servent.cluster.working import Allowed, Pausing, Wanted

log = logging.getLogger("servent.cluster")

LOOK_EVERY = 1.0  # s between two looks at what lending allows; a change is told at once
RETIRE_WITHIN = 60.0  # s to hand over what a worker holds; then it is lost, and computed again elsewhere
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # s between restarts
LIVED = 60.0  # s that a process ran after which its end is no sign of a lasting fault


@dataclass(eq=False)
class Slot:
    """One worker: what is wanted of it, and how it is."""

    number: int
    threads: int
    journal: Journal
    memory_bytes: int = 0  # that its process may use
    wanted: Wanted = "retire"
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # no process is there
    process: Process | None = None
    known: bool = False  # to the scheduler
    retiring: bool = False
    why: str = ""
    restarts: int = 0

    def state(self) -> WorkerState:
        if self.process is None:
            return "failed" if self.why else "retired" if self.wanted == "retire" else "starting"
        if self.retiring:
            return "retiring"
        if self.wanted == "freeze":
            return "frozen"
        return "running" if self.known else "starting"


class Workers:
    """`run` it in a task while this machine is to work in the cluster; cancelling ends the processes at once.

    Args:
        live: says where the scheduler is and in which groups this machine is.
        allowed: what lending says now. lent: cores that are lent where it allows.
        changed: called when `parts` or `why` may be another.
    """

    def __init__(
        self,
        live: Live,
        folder: Path,
        node: bytes,
        called: Callable[[], str],
        desk: Desk,
        allowed: Callable[[], Allowed],
        lent: Callable[[], int],
        retire_after: Callable[[], float],
        *,
        changed: Callable[[], None],
        wall: Callable[[], float],
        local_time: Callable[[float], datetime],
    ) -> None:
        self._live, self._folder, self._node, self._called, self._desk = live, folder, node, called, desk
        self._allowed, self._lent, self._retire_after = allowed, lent, retire_after
        self._changed, self._wall, self._local = changed, wall, local_time
        self._clock = asyncio.get_running_loop().time
        self._slots: list[Slot] = []
        self._hours = working.Hours()
        self._soon = asyncio.Event()
        self._leaving = False
        self.why = ""

    def parts(self) -> list[Part]:
        return [
            Part(one.number, one.state(), one.threads, one.memory_bytes, one.why[:200], one.restarts)
            for one in self._slots
        ]

    def journals(self) -> dict[str, Journal]:
        """By the names under which people ask for them."""
        return {f"worker-{one.number}": one.journal for one in self._slots}

    def soon(self) -> None:
        """Something is another: look now."""
        self._soon.set()

    def leave(self) -> None:
        """Hand over what is held, and be done: `run` returns then."""
        self._leaving = True
        self._soon.set()

    async def run(self) -> None:
        """Until cancelled, or asked to `leave`. What lending and the list of members say now is looked at every second."""
        while not self._leaving:
            shape = self._shape()
            self._slots = [self._slot(number, threads) for number, threads in enumerate(shape[0], 1)]
            pausing = Pausing(self._retire_after())
            async with asyncio.TaskGroup() as tasks:
                kept = [
                    tasks.create_task(self._keep(one), name=f"worker {one.number}") for one in self._slots
                ]
                while not self._leaving and self._shape() == shape:
                    self._plan(pausing)
                    self._soon.clear()
                    try:
                        async with asyncio.timeout(LOOK_EVERY):
                            await self._soon.wait()
                    except TimeoutError:
                        continue
                await self._retire_all()
                for one in kept:
                    one.cancel()

    def _shape(self) -> tuple[list[int], Sequence[str]]:
        """Threads of each worker, and the groups that all of them are in: what cannot be changed while they run."""
        cores = self._lent()
        me = None if self._live.roster is None else self._live.roster.member(self._node)
        return working.processes(min(self._live.kept.cores or cores, cores)), () if me is None else me.groups

    def _slot(self, number: int, threads: int) -> Slot:
        return Slot(number, threads, Journal(self._folder / f"worker-{number}.log"))

    # -- what is wanted

    def _plan(self, pausing: Pausing) -> None:
        allowed = self._allowed()
        roster = self._live.roster
        hours = () if roster is None else roster.hours(self._node)
        closed = self._hours.outside(hours, self._wall(), self._local)
        plan = pausing.decide(allowed, closed, [one.threads for one in self._slots], self._clock())
        why = plan.why or ("" if self._live.scheduler else self._live.why or "its scheduler does not run")
        told = why != self.why
        self.why = why
        for slot, wanted in zip(self._slots, plan.wanted, strict=True):
            if slot.wanted != wanted:
                slot.wanted, told = wanted, True
                slot.changed.set()
            self._apply(slot, allowed)
        if told:
            self._changed()

    def _apply(self, slot: Slot, allowed: Allowed) -> None:
        if slot.process is None or slot.retiring:
            return
        if slot.wanted == "run":
            slot.process.hold(False)
            slot.process.pace(min(1.0, max(0.01, allowed.cpu_percent / 100)))
        else:
            slot.process.hold(True)
            slot.process.pace(0.0)

    async def _retire_all(self) -> None:
        for slot in self._slots:
            slot.wanted = "retire"
            slot.changed.set()
        try:
            async with asyncio.timeout(RETIRE_WITHIN):
                for slot in self._slots:
                    if slot.process is not None:
                        await slot.gone.wait()
        except TimeoutError:
            log.warning("a worker of %s did not hand over in time", self._live.kept.called)

    # -- one worker

    async def _keep(self, slot: Slot) -> None:
        """A process while one is wanted and there is a scheduler to work for."""
        wait = FIRST_WAIT
        while True:
            slot.changed.clear()
            at = self._live.scheduler
            if slot.wanted != "run" or not at:  # none is begun only to be frozen
                await self._event(slot, LOOK_EVERY)
                continue
            began = self._clock()
            try:
                why = await self._once(slot)
            except* OSError as wrong:
                why = f"no process can be started: {wrong.exceptions[0]}"
            self._changed()
            if self._wants(slot) == "retire" or self._live.scheduler != at:  # as it should
                wait = FIRST_WAIT
                continue
            slot.why, slot.restarts = why, slot.restarts + 1
            wait = FIRST_WAIT if self._clock() - began > LIVED else wait
            log.warning(
                "worker %d of %s: %s; again in %.0f s", slot.number, self._live.kept.called, why, wait
            )
            self._changed()
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
            slot.why = ""

    @staticmethod
    def _wants(slot: Slot) -> Wanted:
        """Asked again: it may have changed while something was waited for."""
        return slot.wanted

    async def _once(self, slot: Slot) -> str:
        slot.known = slot.retiring = False
        slot.gone.clear()
        slot.process = process = Process(
            self._begin(slot), slot.journal, self._desk, lambda word: self._heard(slot, word)
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch(slot, process), name=f"retire worker {slot.number}")
                living = tasks.create_task(process.live(), name=f"live worker {slot.number}")
                await asyncio.wait((watching, living), return_when=asyncio.FIRST_COMPLETED)
                late = not living.done()
                watching.cancel()
                living.cancel()
            return "it did not hand over in time" if late else living.result()
        finally:
            slot.process, slot.retiring, slot.known = None, False, False
            slot.gone.set()

    async def _watch(self, slot: Slot, process: Process) -> None:
        """Returns when a worker that is to go took too long."""
        while slot.wanted != "retire":
            slot.changed.clear()
            await slot.changed.wait()
        slot.retiring = True
        process.pace(1.0)  # it needs a moment of time to hand over
        process.say(orders.Retire())
        self._changed()
        await asyncio.sleep(RETIRE_WITHIN)

    def _heard(self, slot: Slot, word: orders.Word) -> None:
        if isinstance(word, orders.Up):
            slot.known = True
            self._changed()

    def _begin(self, slot: Slot) -> orders.Begin:
        slot.memory_bytes = self._allowed().memory_bytes // max(1, len(self._slots))
        return orders.Begin(
            cluster=self._live.id.hex(),
            role="worker",
            name=f"{self._called()[:40]}-{self._node.hex()[:4]}-{slot.number}",
            node=self._node,
            folder=str(self._folder / f"worker-{slot.number}"),
            threads=slot.threads,
            memory_bytes=slot.memory_bytes,
            resources=[*self._shape()[1]],
            home=str(self._folder.parent.parent),
        )

    async def _event(self, slot: Slot, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await slot.changed.wait()
        except TimeoutError:
            return
