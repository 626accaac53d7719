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
BEST = "best uplink"  # bytes per second, in overlay_facts
FADED = 0.9  # of it at each start: lines change
LOAD_FULL = 1.0  # of a core's run queue, per core


class AbilitiesService:
    """Measures. Nothing here costs more than a millisecond.

    Args:
        up: bytes per second that are being sent now; the most of it is remembered. No bytes are sent to find out.
        limit: bytes per second that may be sent at all; 0.0 for no limit.
        inbound: whether somebody has reached us directly whom we had not dialled.
        metered: whether the person here pays by volume.
    """

    def __init__(
        self,
        store: Store,
        wall: Callable[[], float],
        up: Callable[[], float] = lambda: 0.0,
        limit: Callable[[], float] = lambda: 0.0,
        inbound: Callable[[], bool] = lambda: False,
        metered: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store, self._wall, self._metered = store, wall, metered
        self._up, self._limit, self._inbound = up, limit, inbound
        self._best, self._reached = 0.0, False
        self._mono = asyncio.get_running_loop().time
        self._since, self._began = self._mono(), wall()
        self._earlier: list[float] = []

    async def open(self) -> None:
        """How long earlier sessions lasted, and how fast the line was then."""

        def job(connection: sqlite3.Connection) -> tuple[list[tuple[float]], tuple[bytes] | None]:
            lasted = connection.execute(
                "SELECT lasted FROM overlay_sessions ORDER BY began DESC LIMIT ?", (SESSIONS,)
            ).fetchall()
            best = connection.execute("SELECT value FROM overlay_facts WHERE name = ?", (BEST,)).fetchone()
            return lasted, best

        self._since, self._began = self._mono(), self._wall()
        rows, best = await self._store.read(job)
        self._earlier = [lasted for (lasted,) in rows]
        self._best = FADED * float(best[0]) if best is not None else 0.0

    async def save(self) -> None:
        """How long this one lasts by now, and how fast the line was."""
        began, lasted, best = self._began, self._mono() - self._since, str(round(self._best)).encode()

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("REPLACE INTO overlay_sessions VALUES (?, ?)", (began, lasted))
            connection.execute(
                "DELETE FROM overlay_sessions WHERE began NOT IN "
                "(SELECT began FROM overlay_sessions ORDER BY began DESC LIMIT ?)",
                (SESSIONS,),
            )
            connection.execute("REPLACE INTO overlay_facts VALUES (?, ?)", (BEST, best))

        await self._store.write(job)

    def measure(self, record: PeerRecord) -> Abilities:
        """As things are now. `record`: ours, which says where we are reached."""
        session = self._mono() - self._since
        self._best = max(self._best, self._up())
        self._reached = self._reached or self._inbound()
        limit = self._limit()
        lasted = [*self._earlier, session]
        return Abilities(
            addresses=tuple(record.addresses),
            mapped=record.nat == "mapped",
            session=session,
            average_session=sum(lasted) / len(lasted),
            up=min(self._best or limit, limit) if limit else self._best,
            memory=psutil.virtual_memory().available,
            files=_files(),
            load=_load(),
            metered=self._metered(),
            battery=_on_battery(),
            inbound=self._reached,
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
