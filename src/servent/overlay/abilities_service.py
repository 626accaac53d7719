"""What this machine can do for others, measured now and then; and how long its sessions last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil

from servent.overlay.election import Abilities
from servent.overlay.records import PeerRecord
from servent.store import Store

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

SESSIONS = 20  # earlier ones that count
MEASURE_EVERY = 30.0  # s
LOAD_FULL = 1.0  # of a core's run queue, per core


class AbilitiesService:
    """Measures. Nothing here costs more than a millisecond.

    Args:
        up: bytes per second that were sent at best, 0.0 while nobody knows.
        metered: whether the person here pays by volume.
    """

    def __init__(
        self,
        store: Store,
        wall: Callable[[], float],
        up: Callable[[], float] = lambda: 0.0,
        metered: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store, self._wall, self._up, self._metered = store, wall, up, metered
        self._mono = asyncio.get_running_loop().time
        self._since, self._began = self._mono(), wall()
        self._earlier: list[float] = []

    async def open(self) -> None:
        """How long earlier sessions lasted."""

        def job(connection: sqlite3.Connection) -> list[tuple[float]]:
            return connection.execute(
                "SELECT lasted FROM overlay_sessions ORDER BY began DESC LIMIT ?", (SESSIONS,)
            ).fetchall()

        self._since, self._began = self._mono(), self._wall()
        self._earlier = [lasted for (lasted,) in await self._store.read(job)]

    async def save(self) -> None:
        """How long this one lasts by now."""
        began, lasted = self._began, self._mono() - self._since

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("REPLACE INTO overlay_sessions VALUES (?, ?)", (began, lasted))
            connection.execute(
                "DELETE FROM overlay_sessions WHERE began NOT IN "
                "(SELECT began FROM overlay_sessions ORDER BY began DESC LIMIT ?)",
                (SESSIONS,),
            )

        await self._store.write(job)

    def measure(self, record: PeerRecord) -> Abilities:
        """As things are now. `record`: ours, which says where we are reached."""
        session = self._mono() - self._since
        lasted = [*self._earlier, session]
        return Abilities(
            addresses=tuple(record.addresses),
            mapped=record.nat == "mapped",
            session=session,
            average_session=sum(lasted) / len(lasted),
            up=self._up(),
            memory=psutil.virtual_memory().available,
            files=_files(),
            load=_load(),
            metered=self._metered(),
            battery=_on_battery(),
        )


def _files() -> int:
    """File descriptors this process may have; Windows has no such limit of its own."""
    try:
        import resource
    except ImportError:
        return 1 << 20
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _load() -> float:
    """How busy the machine is, 0.0 to 1.0."""
    try:
        return min(1.0, float(psutil.getloadavg()[0]) / (LOAD_FULL * (psutil.cpu_count() or 1)))
    except OSError:
        return 0.0


def _on_battery() -> bool:
    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError, RuntimeError):
        return False
    return battery is not None and not battery.power_plugged
