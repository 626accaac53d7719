"""Which processes of which clusters run here: one for each event loop and cluster, made when first needed.

Dask asks its comm backend for connectors and listeners without saying where they run. A script may have several loops (each synchronous Client brings
one, in a thread), and what is open on one belongs to that one.
"""

from __future__ import annotations

import asyncio
import platform
from dataclasses import dataclass, field
from importlib import metadata

from servent.cluster.addresses import Place
from servent.cluster.model import Desk
from servent.cluster.process import Process
from servent.cluster.rosters import Role
from servent.cluster.versions import CLOSE, EXACT, Versions
from servent.errors import UsageError


def versions_here() -> Versions:
    """What runs in this interpreter."""
    found = {}
    for name in (*EXACT, *CLOSE):
        try:
            found[name] = metadata.version(name)[:40]
        except metadata.PackageNotFoundError:
            continue
    return Versions(platform.python_version(), found)


@dataclass(eq=False)
class _Room:
    """What is open on one loop."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # one opens while others wait for it
    open: dict[str, Process] = field(default_factory=dict)  # by what the cluster was called
    twins: dict[Process, Process] = field(default_factory=dict)


class Office:
    """Opens processes. Safe to use from several loops in several threads: each sees only its own.

    Args:
        desk: our node. cluster: what listeners are for; "" where there are none, as in a script with a Client.
        role: what every process here is. name: for people. tcp: its listeners take TCP connections, too.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        cluster: str = "",
        role: Role = "client",
        name: str = "",
        versions: Versions | None = None,
        tcp: bool = True,
    ) -> None:
        self.tcp = tcp
        self._desk, self._cluster, self._role, self._name = desk, cluster, role, name
        self._versions = versions or versions_here()
        self._rooms: dict[asyncio.AbstractEventLoop, _Room] = {}

    async def process(self, place: Place | str | None) -> Process:
        """Ours, in the cluster of `place`: an address, a cluster's name, or None for the one that was given at first.

        Raises:
            ServentError: as `Desk.papers`, or no endpoint can be bound.
            UsageError: None, and no cluster was given.
        """
        room = self._room()
        async with room.turn:
            for process in list(room.open.values()):
                if (
                    not process.closed
                    and isinstance(place, Place)
                    and process.standing.cluster == place.cluster
                ):
                    return process
            if isinstance(place, Place):
                called = self._cluster or place.cluster.hex()
            else:
                called = place or self._cluster
            if not called:
                raise UsageError(
                    "this process belongs to no cluster yet",
                    advice="Workers and schedulers are started by `servent grid cluster up` and `join`.",
                )
            known = room.open.get(called)
            if known is None or known.closed:
                known = room.open[called] = await self._open(called)
            return known

    async def twin(self, process: Process) -> Process:
        """A second one beside `process`, with a key of its own: nobody dials itself. Raises ServentError."""
        room = self._room()
        async with room.turn:
            twin = room.twins.get(process)
            if twin is None or twin.closed:
                twin = room.twins[process] = await self._open(process.standing.called)
            return twin

    async def close(self) -> None:
        """End what is open on this loop."""
        room = self._rooms.pop(asyncio.get_running_loop(), _Room())
        for process in [*room.open.values(), *room.twins.values()]:
            await process.close()

    async def _open(self, called: str) -> Process:
        return await Process.open(self._desk, called, self._role, self._versions, self._name)

    def _room(self) -> _Room:
        for loop in [known for known in list(self._rooms) if known.is_closed()]:
            self._rooms.pop(loop, None)
        return self._rooms.setdefault(asyncio.get_running_loop(), _Room())
