"""The door of a cluster of ours, for the nodes of its members: who is on the list hears who else is and where the scheduler is, and says what it lends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from servent.cluster import visits
from servent.cluster.live import Live
from servent.cluster.visits import Bye, Enter, Here, Look, No, Report, Told
from servent.codec import write_frame
from servent.errors import BadMessage, ConnectionLost, ServentError
from servent.net.links import Stream
from servent.net.session import Session

log = logging.getLogger("servent.cluster")

STREAMS = 8  # of one member: one for each of the clusters it shares with us
SAID_RATE = 0.05  # s that what a member says is at least apart: a hostile one costs no more
LOOK_RATE = 1.0  # s that looks of a member are at least apart: an answer may have two megabytes
NOT_ON_IT = "you are not on the list of this cluster"


class Visitors:
    """Serves `visits.SERVICE`.

    Args:
        find: a cluster of ours by its id, or None.
        left: a member said goodbye for good.
        told: something is known of a machine.
    """

    def __init__(
        self,
        find: Callable[[bytes], Live | None],
        left: Callable[[Live, bytes], Awaitable[None]],
        told: Callable[[], None],
        wall: Callable[[], float],
    ) -> None:
        self._find, self._left, self._told, self._wall = find, left, told, wall
        self._events: dict[bytes, set[asyncio.Event]] = {}

    def changed(self, cluster: bytes) -> None:
        """Its list, or where its scheduler is, is another: everybody hears of it."""
        for event in self._events.get(cluster, ()):
            event.set()

    async def serve(self, session: Session, stream: Stream) -> None:
        """One member's visit, to its end."""
        enter = await visits.read_said.read(stream)
        if not isinstance(enter, Enter):
            raise BadMessage("a visit to a cluster that does not begin with its name")
        live, node = self._find(enter.cluster), bytes(session.peer)
        if live is None or live.roster is None or live.roster.member(node) is None:
            await write_frame(stream, No(NOT_ON_IT))
            return
        event = asyncio.Event()
        self._events.setdefault(live.id, set()).add(event)
        machine = live.machine(node)
        machine.here = True
        self._told()
        lock = asyncio.Lock()
        try:
            async with asyncio.TaskGroup() as tasks:
                telling = tasks.create_task(
                    _settled(self._tell(live, node, stream, lock, event)), name="tell a member"
                )
                hearing = tasks.create_task(
                    _settled(self._hear(live, node, stream, lock)), name="hear a member"
                )
                first, _ = await asyncio.wait((telling, hearing), return_when=asyncio.FIRST_COMPLETED)
                telling.cancel()
                hearing.cancel()
            for one in first:
                if (wrong := one.result()) is not None:
                    raise wrong
        finally:
            self._events[live.id].discard(event)
            machine.here = False
            self._told()

    async def _tell(
        self, live: Live, node: bytes, stream: Stream, lock: asyncio.Lock, event: asyncio.Event
    ) -> None:
        """Returns when it is no member any more."""
        last: Told | None = None
        while True:
            event.clear()
            if self._find(live.id) is not live or live.roster is None or live.roster.member(node) is None:
                async with lock:
                    await write_frame(stream, No(NOT_ON_IT))
                return
            assert live.kept.roster is not None
            here = Here(live.kept.roster, live.scheduler)
            if here != last:
                async with lock:
                    await write_frame(stream, here)
                last = here
            await event.wait()

    async def _hear(self, live: Live, node: bytes, stream: Stream, lock: asyncio.Lock) -> None:
        """Returns when it left for good."""
        while True:
            try:
                async with asyncio.timeout(visits.SILENCE):
                    said = await visits.read_said.read(stream)
            except TimeoutError:
                raise ConnectionLost(f"a member said nothing for {visits.SILENCE:.0f} s") from None
            if isinstance(said, Report):
                machine = live.machine(node)
                machine.report, machine.at = said, self._wall()
                self._told()
            elif isinstance(said, Look):
                async with lock:
                    await write_frame(stream, live.seen)
                await asyncio.sleep(LOOK_RATE)
            elif isinstance(said, Bye):
                await self._left(live, node)
                return
            else:
                raise BadMessage("a visit to a cluster begins twice")
            await asyncio.sleep(SAID_RATE)


async def _settled(work: Coroutine[Any, Any, None]) -> ServentError | None:
    """How it ended: whoever waits for the first of two says it, and no group wraps it."""
    try:
        await work
    except ServentError as wrong:
        return wrong
    return None
