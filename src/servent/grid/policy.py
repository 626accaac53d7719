"""Whether this machine computes for others now, and if not, why not, in one line. A core: no clock, no look at the machine.

The conditions are BOINC's (its client's `suspend_reason`, read 2026-08) without those that want explaining; what BOINC spreads over thirty-five preferences,
three presets say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from servent.blobs import schedule
from servent.blobs.queueing import parse_hours
from servent.grid.settings import Settings
from servent.grid.views import Policy

PRESETS: dict[str, Policy] = {
    # Nobody shall hear it: half of the cores at half of their time, and only long after the last touch.
    "quiet": Policy(cores=-2, cpu_percent=50, idle_minutes=10.0, memory_percent=25),
    "when-idle": Policy(cores=0, idle_minutes=3.0, memory_percent=50),
    # Also while somebody works: idle priority lets everything else go first.
    "everything": Policy(cores=-1, idle_minutes=0.0, on_battery=True, memory_percent=75),
}
SPARE_MEMORY = (
    0.05  # of the machine's memory: when others leave less than that, we get out of the way; a guess
)
SPARE_DISK_BYTES = (
    500_000_000  # stays free, whatever is lent; a guess, so that others can go on saving their files
)
STEP_BACK = 0.5  # of a core: others using so much more than their share take one of ours; a guess
AGAIN_AFTER = (
    60.0  # s of quiet after other programs were busy, so that we do not come and go with each of their pauses
)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the machine is like.

    `idle`: seconds since somebody touched it, None where nothing tells. `others`: cores that other programs keep busy, as an average over
    half a minute. `memory_free`: bytes that could be had without swapping. `disk_free`: bytes, where we keep things. `programs`: names of those that run,
    in small letters; asked only where some are exclusive. `engaged`: what runs in servent itself that must not be disturbed, in words.
    """

    cores: int = 1
    memory_bytes: int = 0
    idle: float | None = None
    on_battery: bool = False
    others: float = 0.0
    memory_free: int = 2**62
    disk_free: int = 2**62
    transferred_today: int = 0
    programs: frozenset[str] = frozenset()
    engaged: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """By the person. `until`: wall clock, None until resumed."""

    until: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be done now.

    `why`: in one line, why nothing is computed; "" where it may be. `crowded`: what runs must leave the memory, too. `cores` that may compute, each for `cpu_percent` of its
    time, with `memory_bytes` altogether. `fetch`: "" where new work may be fetched, else why not. `again`: seconds after which this may be another, without anything
    happening.
    """

    why: str = ""
    on: bool = True
    by_person: bool = False
    cores: int = 0
    cpu_percent: int = 100
    memory_bytes: int = 0
    fetch: str = ""
    again: float | None = None
    crowded: bool = False

    @property
    def allowed(self) -> bool:
        return not self.why


def policy_of(settings: Settings, cores: int) -> Policy:
    """What holds on a machine with `cores`: of a preset, or what is set."""
    chosen = PRESETS.get(settings.preset)
    if chosen is not None:
        return msgspec.structs.replace(chosen, cores=_cores(chosen.cores, cores))
    return Policy(
        cores=_cores(settings.cores, cores),
        cpu_percent=settings.cpu_percent,
        idle_minutes=settings.idle_minutes,
        on_battery=settings.on_battery,
        hours=tuple(settings.hours),
        memory_percent=settings.memory_percent,
        disk_bytes=settings.disk_bytes,
        transfer_bytes_per_day=settings.transfer_bytes_per_day,
        exclusive=tuple(settings.exclusive),
        fetch_ahead_minutes=settings.fetch_ahead_minutes,
    )


def _cores(wanted: int, there: int) -> int:
    """`wanted`: so many; 0: all but one; -1: all; -2: half. At least one, at most all."""
    number = {0: there - 1, -1: there, -2: there // 2}.get(wanted, wanted)
    return max(1, min(number, max(1, there)))


class Deciding:
    """Remembers how busy others were, so that a machine at the limit does not come and go. Times are seconds on the caller's clocks.

    Args:
        local: wall clock to the time that hangs on the wall here.
    """

    def __init__(self, local: schedule.Local) -> None:
        self._local = local
        self._fit: int | None = None  # cores that others leave
        self._better: float | None = None  # since when they leave more than that

    def decide(
        self,
        on: bool,
        policy: Policy,
        machine: Conditions,
        pause: Pause | None,
        now: float,
        wall: float,
    ) -> Verdict:
        """What may be done now. `now`: monotonic, `wall`: since 1970."""
        budget = machine.memory_bytes * policy.memory_percent // 100
        verdict = Verdict(
            cores=policy.cores,
            cpu_percent=policy.cpu_percent,
            memory_bytes=budget,
            fetch=self._fetch(policy, machine),
        )
        if not on:
            return replace(verdict, on=False, why="lending is off", cores=0)
        if pause is not None and (pause.until is None or wall < pause.until):
            if pause.until is None:
                return replace(verdict, why="paused by you", by_person=True, cores=0)
            words = f"paused by you until {_clock(pause.until, wall, self._local)}"
            return replace(verdict, why=words, by_person=True, cores=0, again=pause.until - wall)
        for why, again in (
            (machine.engaged, None),
            self._outside(policy, wall),
            (_battery(policy, machine), None),
            (_exclusive(policy, machine), None),
            _in_use(policy, machine),
        ):
            if why:
                return replace(verdict, why=why, cores=0, again=again)
        if why := _crowded(machine):
            return replace(verdict, why=why, cores=0, crowded=True)
        return self._beside_others(policy, machine, verdict, now)

    def _outside(self, policy: Policy, wall: float) -> tuple[str, float | None]:
        if not policy.hours:
            return "", None
        says = schedule.now(parse_hours(policy.hours), wall, self._local)
        if says.pause:
            return "", None
        if says.until is None:
            return "outside the hours you lend", None
        return f"outside the hours you lend; again {_clock(says.until, wall, self._local)}", says.until - wall

    def _beside_others(self, policy: Policy, machine: Conditions, verdict: Verdict, now: float) -> Verdict:
        """Where one lends only while idle, other programs that compute go first: so many cores as they use are not ours."""
        if policy.idle_minutes <= 0:
            return verdict
        fit = max(0, min(machine.cores, math.floor(machine.cores - machine.others + STEP_BACK)))
        if self._fit is None or fit <= self._fit:
            self._fit, self._better = fit, None
        elif self._better is None:
            self._better = now
        elif now - self._better >= AGAIN_AFTER:
            self._fit, self._better = fit, None
        again = None if self._better is None else max(0.0, self._better + AGAIN_AFTER - now)
        cores = min(policy.cores, self._fit)
        why = "" if cores else "other programs need the processors"
        return replace(verdict, why=why, cores=cores, again=again)

    @staticmethod
    def _fetch(policy: Policy, machine: Conditions) -> str:
        if machine.disk_free < SPARE_DISK_BYTES:
            return "the disk is nearly full"
        if 0 < policy.transfer_bytes_per_day <= machine.transferred_today:
            return "what may be transferred in a day is used up"
        return ""


def _battery(policy: Policy, machine: Conditions) -> str:
    return "on battery" if machine.on_battery and not policy.on_battery else ""


def _exclusive(policy: Policy, machine: Conditions) -> str:
    for name in policy.exclusive:
        short = name.lower().removesuffix(".exe")
        if any(program.removesuffix(".exe") == short for program in machine.programs):
            return f"{name} is running"
    return ""


def _in_use(policy: Policy, machine: Conditions) -> tuple[str, float | None]:
    wanted = policy.idle_minutes * 60
    if machine.idle is None or machine.idle >= wanted:
        return "", None
    left = wanted - machine.idle
    when = f"{math.ceil(left / 60)} min" if left > 90 else f"{math.ceil(left)} s"
    return f"somebody is at this machine; begins after {when} without keyboard and mouse", left


def _crowded(machine: Conditions) -> str:
    if machine.memory_bytes and machine.memory_free < machine.memory_bytes * SPARE_MEMORY:
        return "other programs need the memory"
    return ""


def _clock(until: float, wall: float, local: schedule.Local) -> str:
    then, today = local(until), local(wall)
    if until - wall < 20 * 3600 or then.date() == today.date():
        return _time(then)
    return f"{schedule.NAMES[then.weekday()]} {_time(then)}"


def _time(moment: datetime) -> str:
    return f"{moment:%H:%M}"
