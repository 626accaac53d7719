"""Who has something: all networks at once, each holder once in each, and an end whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from servent.errors import UsageError, WorldError
from servent.identity import Identity, PeerId
from servent.overlay.effects import Asked, Finding
from servent.overlay.records import Item
from servent.overlay.views import NetworkShape
from servent.share.holders_service import Held, Holder, Holders
from servent.share.search_service import Networked
from servent.testing.loop import run
from tests.share.test_networks import FakeNetworks

ME, ANN, BOB, EVE = (Identity(bytes([number]) * 32).peer for number in (1, 2, 3, 9))
ROOT, INFOHASH = b"r" * 32, b"i" * 32
HOME, CLUB = b"h" * 32, b"c" * 32


def item(content: bytes) -> Item:
    return Item(content, 1000, 0, "holiday.mp4")


def shape(key: bytes, name: str) -> NetworkShape:
    return NetworkShape(key, name, "p2p", (), True, False, "", 3, 3)


class Two(FakeNetworks):
    """Two networks; the second says nothing before `speak`, or says no."""

    def __init__(self) -> None:
        super().__init__()
        self.speak = asyncio.Event()
        self.refuse = False
        self.open = 0

    def shapes(self) -> list[NetworkShape]:
        return [shape(HOME, "home"), shape(CLUB, "club")]

    async def who_has(  # type: ignore[override]
        self, content: bytes, *, networks: Sequence[bytes] | None = None, limit: int = 50
    ) -> AsyncGenerator[Finding | Asked]:
        assert networks is not None
        self.open += 1
        try:
            yield Asked(1, 2, 0, 2)
            if networks == [CLUB]:
                if self.refuse:
                    raise WorldError("the club is closed")
                await self.speak.wait()
            if content == ROOT:
                yield Finding(
                    1, 1, [(ANN, item(ROOT)), (BOB, item(ROOT)), (EVE, item(ROOT)), (ME, item(ROOT))]
                )
                yield Finding(1, 2, [(ANN, item(ROOT))])
            yield Asked(1, 2, 2, 4, over=True)
        finally:
            self.open -= 1


async def asking(networks: Two, work: asyncio.TaskGroup, *, mine: bool = False) -> Holders:
    async def known(contents: Sequence[bytes]) -> set[bytes]:
        return set(contents) if mine else set()

    holders = Holders(
        ME, networks, known=known, here=lambda peer: peer == ANN, blocked=lambda peer: peer == EVE
    )
    work.create_task(holders.run(), name="holders")
    await asyncio.sleep(0)
    return holders


async def all_of(events: AsyncGenerator[Holder | Networked | Held]) -> list[Holder | Networked | Held]:
    return [event async for event in events]


def story(*, mine: bool = False, refuse: bool = False, **how: object) -> list[Holder | Networked | Held]:
    async def main() -> list[Holder | Networked | Held]:
        networks = Two()
        networks.refuse = refuse
        networks.speak.set()
        async with asyncio.TaskGroup() as work:
            holders = await asking(networks, work, mine=mine)
            found = await all_of(holders.who_has([INFOHASH, ROOT], **how))  # type: ignore[arg-type]
            for task in list(work._tasks):
                task.cancel()
        assert networks.open == 0
        return found

    return run(main())


def test_each_holder_is_told_once_in_each_network_and_the_end_counts_all() -> None:
    events = story(mine=True)
    held = [(one.peer, one.network) for one in events if isinstance(one, Holder)]
    assert sorted(held, key=str) == sorted(
        [(ME, ""), (ANN, "home"), (BOB, "home"), (ANN, "club"), (BOB, "club")], key=str
    )
    end = events[-1]
    assert isinstance(end, Held)
    assert (end.found, end.asked, end.answered, end.messages, end.more) == (5, 8, 8, 16, False)


def test_who_is_connected_is_there_and_of_others_nothing_is_claimed() -> None:
    there = {one.peer: one.reachable for one in story() if isinstance(one, Holder)}
    assert there == {ANN: True, BOB: None}  # whom the person blocks is not told of


def test_one_network_alone_is_asked_when_it_is_named() -> None:
    assert {one.network for one in story(network=HOME) if isinstance(one, Holder)} == {"home"}


def test_no_more_than_the_limit_and_it_says_so() -> None:
    events = story(limit=1)
    assert sum(isinstance(one, Holder) for one in events) == 1
    assert isinstance(events[-1], Held) and events[-1].more


def test_a_network_that_refuses_leaves_the_answers_of_the_others() -> None:
    events = story(refuse=True)
    assert {one.network for one in events if isinstance(one, Holder)} == {"home"}
    assert isinstance(events[-1], Held) and events[-1].reason == "the club is closed"


def test_what_is_silent_ends_by_the_time_given_and_hanging_up_ends_it_everywhere() -> None:
    async def main() -> None:
        networks = Two()
        async with asyncio.TaskGroup() as work:
            holders = await asking(networks, work)
            events = await all_of(holders.who_has([ROOT], wait=1.0))
            assert isinstance(events[-1], Held) and "1 s" in events[-1].reason
            assert {one.network for one in events if isinstance(one, Holder)} == {"home"}
            begun = holders.who_has([ROOT])
            await anext(begun)
            assert networks.open > 0
            await begun.aclose()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert networks.open == 0
            for task in list(work._tasks):
                task.cancel()

    run(main())


def test_before_it_runs_it_says_so() -> None:
    async def main() -> None:
        async def known(contents: Sequence[bytes]) -> set[bytes]:
            return set()

        def no(peer: PeerId) -> bool:
            return False

        holders = Holders(ME, Two(), known=known, here=no, blocked=no)
        with pytest.raises(UsageError):
            await anext(holders.who_has([ROOT]))

    run(main())
