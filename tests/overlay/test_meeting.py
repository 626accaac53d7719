"""Meeting points: what stands there, who writes it when, and a member who knows nobody finding the others by it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage
from servent.identity import PeerId
from servent.net.book import usable
from servent.net.links import PeerAddress
from servent.net.relay.pkarr_store import PkarrStore
from servent.net.rendezvous_service import Rendezvous, Show
from servent.overlay import meeting
from servent.overlay.meeting import Stand
from servent.overlay.meeting_service import MeetingPoints
from servent.testing import loop
from servent.testing.light import LightNode, gather_in, light, member
from servent.testing.simnet import SimNet
from servent.trust.meeting import PLAIN_MOST
from tests.net.board import Board
from tests.net.party import until

WALL = 1_750_000_000.0


def stand(number: int, *addresses: str, relay: str | None = None, lives: float = 3600.0) -> Stand:
    where = PeerAddress(
        PeerId(number.to_bytes(32, "big")), relay, addresses or (f"192.0.2.{number % 250}:4433",)
    )
    return Stand(where, WALL + lives)


def test_twelve_supernodes_with_addresses_fit() -> None:
    relays = [f"https://relay-{n}.example.org/" for n in range(2)]
    twelve = [stand(n, "192.0.2.1:4433", "[2001:db8::1]:4433", relay=relays[n % 2]) for n in range(1, 13)]
    plain = meeting.encode(twelve, PLAIN_MOST)
    assert len(plain) <= PLAIN_MOST and meeting.decode(plain, WALL) == twelve


def test_what_does_not_fit_is_left_out() -> None:
    long = [stand(n, relay=f"https://{'r' * 200}-{n}.example/") for n in range(1, 13)]
    plain = meeting.encode(long, PLAIN_MOST)
    assert len(plain) <= PLAIN_MOST
    assert 2 <= len(meeting.decode(plain, WALL)) < 12


def test_what_has_expired_or_claims_to_live_for_ever_is_left_out() -> None:
    there = [stand(1), stand(2, lives=-400.0), stand(3, lives=8 * 3600.0), stand(4, lives=-100.0)]
    assert [one.peer for one in meeting.decode(meeting.encode(there, PLAIN_MOST), WALL)] == [
        there[0].peer,
        there[3].peer,  # clocks differ
    ]


hosts = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda ip: f"[{ip}]"))
stands = st.builds(
    lambda number, hosts, relay, lives: stand(
        number, *usable(f"{host}:4433" for host in hosts), relay=relay, lives=lives
    ),
    st.integers(1, 1 << 200),
    st.lists(hosts, min_size=1, max_size=3, unique=True),
    st.sampled_from([None, "https://relay.example/", "http://192.0.2.9:3340/"]),
    st.integers(0, 7200).map(float),
)


@given(st.lists(stands, max_size=14, unique_by=lambda one: one.peer), st.integers(100, PLAIN_MOST))
def test_whatever_is_written_is_read_as_far_as_it_went(written: list[Stand], most: int) -> None:
    plain = meeting.encode(written, most)
    assert len(plain) <= most
    for one in meeting.decode(plain, WALL):
        same = next(other for other in written if other.peer == one.peer)
        assert one.address.relay == same.address.relay
        assert set(one.address.addresses) <= set(same.address.addresses)


@given(st.binary(max_size=1100))
def test_whatever_a_member_writes_is_read_or_refused(plain: bytes) -> None:
    with suppress(BadMessage):
        assert len(meeting.decode(plain, WALL)) <= meeting.STANDS_MOST


def test_we_come_first_and_those_who_live_longest() -> None:
    mine = stand(99)
    there = [stand(n, lives=1000.0) for n in range(1, 13)]
    known = [stand(n, "198.51.100.1:1", lives=3600.0) for n in (20, 21, 1)]
    merged = meeting.merge(mine, known, [*there, stand(99, "192.0.2.77:7")], random.Random(1))
    assert merged[0] == mine and len(merged) == 12
    assert set(merged[1:4]) == set(known)  # where we know peer 1 to be counts
    assert len({one.peer for one in merged}) == 12


def test_however_many_write_one_of_them_does_so_in_a_quarter_of_an_hour() -> None:
    dice = random.Random(3)
    for writers in (1, 7, 300):
        writes = sum(meeting.turn(writers, 60.0, dice) for _ in range(60 * 24) for _ in range(writers))
        assert 50 < writes < 120, writers  # a day; 86400 / 1050 = 82


def test_what_is_thin_or_wrong_of_us_is_written_anew() -> None:
    mine = stand(9, "192.0.2.9:1")
    assert meeting.wanting([], mine, 1) and meeting.wanting([stand(1)], mine, 50)
    assert not meeting.wanting([stand(1), stand(2), stand(3)], mine, 50)
    assert not meeting.wanting([mine], mine, 1)
    assert meeting.wanting([stand(9, "192.0.2.200:1")], mine, 1)  # we moved
    there = stand(9, "192.0.2.200:1", relay="https://relay.example/")
    assert not meeting.wanting([there], stand(9, "192.0.2.9:1", relay="https://relay.example/"), 1)


# -- nodes


@asynccontextmanager
async def meeting_at(
    board: Board, members: list[LightNode], show: Show = "addresses"
) -> AsyncIterator[list[MeetingPoints]]:
    """Rendezvous and meeting points for nodes that run."""
    points: list[MeetingPoints] = []
    running: list[asyncio.Task[None]] = []
    for one in members:
        dice = random.Random(bytes(one.peer))
        rendezvous = Rendezvous(one.identity, one.endpoint, one.peers, one.trust, show=show, dice=dice)
        rendezvous.add_provider(board.provider())
        points.append(MeetingPoints(one.overlay, one.trust, rendezvous, one.peers, dice=dice))
        running += [asyncio.create_task(run()) for run in (rendezvous.run, points[-1].run)]
    try:
        yield points
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


def neighbours(one: LightNode, network: bytes) -> int:
    pump = one.overlay.members.pumps.get(network)
    return len(pump.member.topics.neighbours()) if pump is not None else 0


@pytest.mark.parametrize("mode", ["p2p", "hybrid", "server"])
def test_one_who_was_invited_and_knows_nobodys_address_finds_the_network(mode: str) -> None:
    async def story() -> None:
        net, board = SimNet(seed=1), Board()
        async with light(4, net) as people:
            *inside, late = people
            network = await gather_in(inside, mode)  # type: ignore[arg-type]
            async with meeting_at(board, inside) as points:
                key = inside[0].trust.meeting_point(network).key
                assert points[0].ours(key) and not points[0].ours(late.peer)

                def stands_there() -> bool:
                    body = board.store.get(key, "192.0.2.9", asyncio.get_running_loop().time())
                    return isinstance(body, bytes)

                await until(stands_there, limit=120.0)
                await late.trust.accept_invitation(await inside[0].trust.invite(network))
                async with meeting_at(board, [late]):
                    assert await until(lambda: neighbours(late, network) >= 2, limit=120.0) < 60.0

    loop.run(story())


def test_all_come_back_elsewhere_and_find_each_other_by_the_meeting_point_alone(tmp_path: Path) -> None:
    """Nobody is anybody's friend, and no address on disk is good any more."""

    async def story() -> None:
        net, board = SimNet(seed=2), Board()
        async with light(3, net, folder=tmp_path) as people:
            network = await gather_in(people, "p2p")
            await until(lambda: all(neighbours(one, network) for one in people))
            point = people[0].trust.meeting_point(network)
        board.store = PkarrStore(allow=lambda key: key == point.key)  # nobody's own word is kept
        again = [member(0, number, net, tmp_path) for number in range(3)]
        async with asyncio.TaskGroup() as tasks:
            for one in again:
                await one.start(tasks)
            async with meeting_at(board, again):
                took = await until(lambda: all(neighbours(one, network) == 2 for one in again), limit=300.0)
                assert took < 120.0
            for one in again:
                await one.stop()

    loop.run(story())


def test_without_the_meeting_point_they_do_not(tmp_path: Path) -> None:
    """The test above would show nothing otherwise."""

    async def story() -> None:
        net = SimNet(seed=2)
        async with light(3, net, folder=tmp_path) as people:
            network = await gather_in(people, "p2p")
            await until(lambda: all(neighbours(one, network) for one in people))
        again = [member(0, number, net, tmp_path) for number in range(3)]
        async with asyncio.TaskGroup() as tasks:
            for one in again:
                await one.start(tasks)
            await asyncio.sleep(600.0)
            assert not any(neighbours(one, network) for one in again)
            for one in again:
                await one.stop()

    loop.run(story())


def test_who_shows_nothing_writes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        net, board = SimNet(seed=1), Board()
        async with light(2, net) as people:
            await gather_in(people, "p2p")
            async with meeting_at(board, people, show="nothing"):
                await asyncio.sleep(900.0)
                assert board.puts == 0

    loop.run(story())


def test_what_an_ex_member_or_a_liar_writes_there_keeps_nobody_from_the_others() -> None:
    async def story() -> None:
        net, board = SimNet(seed=1), Board()
        async with light(3, net) as people:
            *inside, late = people
            network = await gather_in(inside, "p2p")
            point = inside[0].trust.meeting_point(network)
            other = Board()  # another place, where only lies stand
            lies = meeting.encode([stand(n, "10.66.0.1:1", "127.0.0.1:22") for n in range(1, 13)], PLAIN_MOST)
            await other.provider().publish(point.identity, point.close(lies, bytes(12)))
            await other.provider().publish(point.identity, b"x" * 996)
            async with meeting_at(board, inside):
                await asyncio.sleep(120.0)
                await late.trust.accept_invitation(await inside[0].trust.invite(network))
                async with meeting_at(board, [late]) as (points,):
                    points._rendezvous.add_provider(other.provider("lies"))
                    assert await until(lambda: neighbours(late, network) >= 2, limit=120.0) < 60.0

    loop.run(story())


def test_where_no_place_keeps_records_nothing_is_waited_for_in_circles() -> None:
    async def story() -> None:
        net = SimNet(seed=1)
        async with light(1, net) as (ann,):
            await ann.found("lab", "p2p")
            rendezvous = Rendezvous(ann.identity, ann.endpoint, ann.peers, ann.trust)
            points = MeetingPoints(ann.overlay, ann.trust, rendezvous, ann.peers)
            turns = 0
            note = points._note

            def counted(now: float) -> None:
                nonlocal turns
                turns += 1
                note(now)

            points._note = counted  # type: ignore[method-assign]
            running = asyncio.create_task(points.run())
            await asyncio.sleep(600.0)
            running.cancel()
            await asyncio.wait([running])
            assert turns < 100

    loop.run(story())
