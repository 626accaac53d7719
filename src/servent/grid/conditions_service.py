"""What this machine is like now: who uses it, how busy others keep it, what room it has. `policy` decides by it."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from servent.grid.idle import Idle
from servent.grid.policy import Conditions

log = logging.getLogger("servent.grid")

OTHERS_OVER = (
    30.0  # s over which the load of other programs is averaged: a page that opens is no reason to stop
)


class Machine:
    """Looks at the machine, in a thread.

    Args:
        folder: on the disk whose room counts.
        wall, clock: seconds since 1970, and monotonic.
    """

    def __init__(
        self,
        folder: Path,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._clock = folder, clock
        self._idle = Idle(wall)
        self._busy: tuple[float, float, float] | None = None  # (at, all programs' seconds, ours)
        self._others = 0.0
        self.cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.memory_bytes = int(psutil.virtual_memory().total)

    async def look(self, *, programs: bool = False) -> Conditions:
        """`programs`: also which ones run, which takes longer. What is the node's own to say is left empty."""
        return await asyncio.to_thread(self._look, programs)

    def _look(self, programs: bool) -> Conditions:
        folder = next(one for one in (self._folder, *self._folder.parents) if one.exists())
        return Conditions(
            cores=self.cores,
            memory_bytes=self.memory_bytes,
            idle=self._idle.seconds(),
            on_battery=_on_battery(),
            others=self._load_of_others(),
            memory_free=int(psutil.virtual_memory().available),
            disk_free=shutil.disk_usage(folder).free,
            programs=_programs() if programs else frozenset(),
        )

    def _load_of_others(self) -> float:
        """Cores that everybody but this node keeps busy, averaged over `OTHERS_OVER`."""
        now, times = self._clock(), psutil.cpu_times()
        everybody = sum(times) - times.idle - getattr(times, "iowait", 0.0)
        everybody -= getattr(times, "guest", 0.0) + getattr(
            times, "guest_nice", 0.0
        )  # counted as user time, too
        ours = _our_seconds()
        before, self._busy = self._busy, (now, everybody, ours)
        if before is None or now <= before[0]:
            return self._others
        passed = now - before[0]
        # What a process of ours did that has ended since counts as others' for one look: no matter.
        others = max(0.0, (everybody - before[1]) - max(0.0, ours - before[2])) / passed
        weight = min(1.0, passed / OTHERS_OVER)
        self._others += (others - self._others) * weight
        return self._others


def _our_seconds() -> float:
    """Of a core, that this process and all it started have used."""
    total = 0.0
    us = psutil.Process()
    for process in [us, *us.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += float(times.user + times.system)
        if process == us:
            total += float(getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0))
    return total


def _on_battery() -> bool:
    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError, NotImplementedError):
        return False  # where psutil knows none, or cannot read what stands there
    return battery is not None and battery.power_plugged is False


def _programs() -> frozenset[str]:
    """Names of what runs, in small letters."""
    names = set()
    for process in psutil.process_iter(["name"]):
        if name := process.info.get("name"):
            names.add(str(name).lower())
    return frozenset(names)
