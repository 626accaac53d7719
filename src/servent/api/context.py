"""What every route of one running API shares."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from servent.api.events import Bus
from servent.api.face import Face
from servent.api.guard import Guard
from servent.api.keys import Keys


@dataclass(slots=True)
class Context:
    """Built by the daemon (or a test); the routes read it, and change only what they say they change.

    Attributes:
        url: "http://127.0.0.1:7700", set once the port is known.
        web_url: the page's address, None while it is off.
        stop: asks the daemon to end the node.
        restart_web: asks the daemon to start the page's process again; None where there is none.
        lag: how late the event loop ran during the last second, in seconds.
        lanes: how many pages look at transfers right now, see `lane`.
    """

    node: Face
    keys: Keys
    bus: Bus
    version: str
    url: str = ""
    web_url: str | None = None
    stop: Callable[[], None] = lambda: None
    restart_web: Callable[[], Awaitable[None]] | None = None
    lag: float = 0.0
    lanes: int = 0
    started: float = field(default_factory=time.monotonic)
    wall_clock: Callable[[], float] = time.time
    guard: Guard | None = None
    stopping: bool = False

    @property
    def uptime(self) -> float:
        return time.monotonic() - self.started


def memory_bytes() -> int:
    """Resident memory of this process; 0 where it cannot be told."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        import psutil

        return int(psutil.Process().memory_info().rss)
