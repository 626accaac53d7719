"""A member's visit to an owner who means harm. In virtual time."""

from __future__ import annotations

import asyncio

from servent.cluster import rosters
from servent.cluster.live import Live
from servent.cluster.member_service import TOLD_RATE, Visit
from servent.cluster.rosters import Roster
from servent.cluster.rows import Kept
from servent.cluster.visits import Here, Report
from servent.codec import frame
from servent.errors import ConnectionLost
from servent.testing.loop import run
from tests.cluster.desks import ANN, LAB

LISTS = 50


class Flood:
    """New lists, as fast as they are read."""

    def __init__(self) -> None:
        lists = [
            rosters.sign(ANN, Roster(LAB, bytes(ANN.peer), "lab", number)) for number in range(1, LISTS + 1)
        ]
        self.data = b"".join(frame(Here(one)) for one in lists)

    async def read_exactly(self, size: int) -> bytes:
        if not self.data:
            raise ConnectionLost("it is over")
        found, self.data = self.data[:size], self.data[size:]
        return found


def test_an_owner_with_ever_newer_lists_is_heard_at_a_rate() -> None:
    """Each is checked, written into the database, and told to everything that shows clusters."""
    kept = Kept(id=LAB, owner=bytes(ANN.peer), called="lab")
    live, written = Live(kept, False), list[int]()

    async def keep(one: Live) -> None:
        assert one.roster is not None
        written.append(one.roster.number)

    async def nowhere(_: object) -> object:
        raise ConnectionLost("not here")

    async def story() -> float:
        visit = Visit(live, nowhere, Report, keep, lambda: None)  # type: ignore[arg-type]
        begin = asyncio.get_running_loop().time()
        assert isinstance(await visit._hear(Flood()), ConnectionLost)  # type: ignore[arg-type]
        return asyncio.get_running_loop().time() - begin

    assert run(story()) >= LISTS * TOLD_RATE * 0.99
    assert written == list(range(1, LISTS + 1))
