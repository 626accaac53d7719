"""A member's visit to an owner who means harm, and an owner who is visited by such a member. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from msgspec import Struct

from servent.cluster import rosters
from servent.cluster.live import Live
from servent.cluster.member_service import TOLD_RATE, Visit
from servent.cluster.rosters import Member, Roster
from servent.cluster.rows import Kept
from servent.cluster.visitors_service import LOOK_RATE, Visitors
from servent.cluster.visits import Enter, Here, Look, Report
from servent.codec import frame
from servent.errors import ConnectionLost
from servent.testing.loop import run
from tests.cluster.desks import ANN, BOB, LAB

LISTS = 50


class Flood:
    """What somebody says, as fast as it is read."""

    def __init__(self, said: Iterable[Struct]) -> None:
        self.data, self.heard = b"".join(map(frame, said)), 0

    async def read_exactly(self, size: int) -> bytes:
        if not self.data:
            raise ConnectionLost("it is over")
        found, self.data = self.data[:size], self.data[size:]
        return found

    async def write(self, data: bytes) -> None:
        self.heard += 1


def of(number: int, *members: Member) -> Roster:
    return Roster(LAB, bytes(ANN.peer), "lab", number, members)


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
        lists = Flood(Here(rosters.sign(ANN, of(number))) for number in range(1, LISTS + 1))
        assert isinstance(await visit._hear(lists), ConnectionLost)  # type: ignore[arg-type]
        return asyncio.get_running_loop().time() - begin

    assert run(story()) >= LISTS * TOLD_RATE * 0.99
    assert written == list(range(1, LISTS + 1))


def test_a_member_who_looks_without_end_is_answered_at_a_rate() -> None:
    """What a scheduler does may be two megabytes."""
    roster = of(1, Member(bytes(BOB.peer)))
    kept = Kept(id=LAB, owner=bytes(ANN.peer), called="lab", roster=rosters.sign(ANN, roster))
    live = Live(kept, True, roster)

    async def left(_live: Live, _node: bytes) -> None:
        raise AssertionError

    async def story() -> float:
        visitors = Visitors(lambda id: live if id == LAB else None, left, lambda: None, lambda: 0.0)
        looks = Flood([Enter(LAB), *[Look()] * LISTS])
        begin = asyncio.get_running_loop().time()
        with pytest.raises(ConnectionLost):
            await visitors.serve(SimpleNamespace(peer=BOB.peer), looks)  # type: ignore[arg-type]
        assert looks.heard == LISTS + 1
        return asyncio.get_running_loop().time() - begin

    assert run(story()) >= LISTS * LOOK_RATE * 0.99
