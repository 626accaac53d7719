"""Which workers of this machine run now, which are frozen, and which hand over what they hold and end. A core: times are arguments.

What lending allows holds here, too: the same person is at the same machine. A pause freezes at once, since whoever comes back wants the machine now; a frozen
worker keeps its memory and its place in the cluster. A pause that lasts, or others that need the memory, retires it: what it holds moves to other
machines, and its process ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from servent.blobs import schedule
from servent.blobs.queueing import parse_hours
from servent.errors import UsageError

Wanted = Literal["run", "freeze", "retire"]
MOST_HOURS = (
    100  # parts of the week that are looked at: what an owner writes costs each member's machine time
)
HOURS_KEPT = 300.0  # s that what they say is kept at most: zones and clocks change
RETIRE_SOON = 20.0  # s frozen for want of memory before a worker goes: others may only have opened something


class Allowed(Protocol):
    """What lending says: `grid.policy.Verdict`, without knowing it. `why`: in a line, why not; "" where this machine may compute, on `cores`, each for
    `cpu_percent` of its time.

    `crowded`: the memory is needed. `memory_bytes`: that may be used altogether.
    """

    @property
    def why(self) -> str: ...
    @property
    def cores(self) -> int: ...
    @property
    def cpu_percent(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def crowded(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """For each worker what is wanted of it. `why`: in a line, why not all of them run. `again`: seconds until time alone changes it."""

    wanted: tuple[Wanted, ...]
    why: str = ""
    again: float | None = None


def processes(cores: int) -> list[int]:
    """How many threads each worker process has, on so many cores: LocalCluster's rule (`distributed.deploy.utils.nprocesses_nthreads`).

    Up to four cores a process for each, since pure Python uses one at a time; beyond, the least divisor that is not below the root.
    """
    cores = max(1, cores)
    if cores <= 4:
        return [1] * cores
    number = next(one for one in range(1, cores + 1) if cores % one == 0 and one * one >= cores)
    return [cores // number] * number


def outside(hours: Sequence[str], wall: float, local: schedule.Local) -> tuple[str, float | None]:
    """Why the hours of its groups say that a machine does not work now, "" where they let it; and in how many seconds that changes."""
    if not hours:
        return "", None
    if len(hours) > MOST_HOURS:
        return "its hours on the list of members are too many", None
    try:
        says = schedule.now(parse_hours(hours), wall, local)
    except UsageError:
        return "its hours on the list of members make no sense", None
    again = None if says.until is None else max(1.0, says.until - wall)
    if says.pause:
        return "", again
    if says.until is None:
        return "outside the hours of its groups", None
    return f"outside the hours of its groups; again {local(says.until):%a %H:%M}", again


class Hours:
    """Asked every second; reckons, as `outside`, where the list or the time has changed what it said."""

    def __init__(self) -> None:
        self._of: tuple[str, ...] = ()
        self._from = self._until = 0.0
        self._said = ""

    def outside(self, hours: Sequence[str], wall: float, local: schedule.Local) -> str:
        if tuple(hours) != self._of or not self._from <= wall < self._until:
            self._said, again = outside(hours, wall, local)
            self._of, self._from = tuple(hours), wall
            self._until = wall + min(HOURS_KEPT, HOURS_KEPT if again is None else again)
        return self._said


class Pausing:
    """Remembers since when each worker is frozen.

    Args:
        retire_after: seconds frozen after which a worker goes.
    """

    def __init__(self, retire_after: float) -> None:
        self._retire_after = retire_after
        self._frozen: dict[int, float] = {}

    def decide(self, allowed: Allowed, closed: str, threads: Sequence[int], now: float) -> Plan:
        """`closed`: why the cluster's own hours forbid it, "" where they do not. `threads`: of each worker."""
        why = allowed.why or closed
        wanted: list[Wanted] = []
        again: float | None = None
        left = 0 if why else max(1, allowed.cores)
        patience = min(RETIRE_SOON, self._retire_after) if allowed.crowded else self._retire_after
        for number, its in enumerate(threads):
            if left > 0 and (its <= left or not wanted):  # one runs, however few cores are left
                left -= its
                self._frozen.pop(number, None)
                wanted.append("run")
                continue
            waits = self._frozen.setdefault(number, now) + patience - now
            wanted.append("freeze" if waits > 0 else "retire")
            if waits > 0:
                again = waits if again is None else min(again, waits)
        if not why and "run" in wanted and len(set(wanted)) > 1:
            why = "other programs need some of the processors"
        return Plan(tuple(wanted), why, again)
