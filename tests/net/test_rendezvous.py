"""Peers that find each other by their keys alone, on a simulated network."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from servent.errors import Unreachable
from servent.identity import Identity, PeerId
from servent.net import pkarr
from servent.net.links import PeerAddress
from servent.net.rendezvous import Found
from servent.net.rendezvous_service import Rendezvous, Show
from servent.testing import loop
from servent.testing.simnet import SimNet
from tests.net.board import Board
from tests.net.party import Node, befriend, identity, until


class Meeting(Node):
    """A node with rendezvous."""

    def meet(self, *boards: Board, show: Show = "addresses", **how: float) -> Rendezvous:
        self.rendezvous = Rendezvous(
            self.who,
            self.endpoint,
            self.peers,
            self.trust,
            show=show,
            dice=random.Random(bytes(self.peer)),
            wall=self.now,
        )
        for number, board in enumerate(boards):
            self.rendezvous.add_provider(board.provider(f"board {number}", **how))
        self._meeting = asyncio.create_task(self.rendezvous.run(), name="rendezvous")
        return self.rendezvous

    async def stop(self) -> None:
        self._meeting.cancel()
        await asyncio.wait([self._meeting])
        await super().stop()


@asynccontextmanager
async def people(
    count: int, *boards: Board, show: Show = "addresses", relays: tuple[str, ...] = ()
) -> AsyncIterator[tuple[SimNet, list[Meeting]]]:
    net = SimNet(seed=1)
    nodes = []
    for number in range(1, count + 1):
        node = Meeting(identity(number), net.endpoint(identity(number), relays=relays))
        await node.start()
        node.meet(*boards, show=show)
        nodes.append(node)
    try:
        yield net, nodes
    finally:
        for node in nodes:
            await node.stop()


def connected(one: Node, other: Node) -> bool:
    return one.peers.session(other.peer) is not None


def test_a_bare_id_is_enough_for_a_friend_and_for_a_call() -> None:
    async def story() -> None:
        board = Board()
        async with people(2, board) as (_, (ann, bob)):
            await until(lambda: board.puts == 2)
            await ann.trust.add_contact(bob.peer, friend=True)  # nothing but the key
            await asyncio.sleep(5.0)  # bob does not know her yet
            await bob.trust.add_contact(ann.peer, friend=True)
            assert await until(lambda: connected(ann, bob)) < 10.0

        async with people(2, board) as (_, (ann, bob)):
            await befriend(ann, bob)
            assert await ann.asks(bob) == b"hello"

    loop.run(story())


def test_both_moved_while_they_were_apart_and_nobody_else_knows_where() -> None:
    async def story() -> None:
        board = Board()
        async with people(2, board) as (net, (ann, bob)):
            await befriend(ann, bob)
            ann.peers.remember(bob.address)
            await until(lambda: connected(ann, bob))
            net.partition([ann.endpoint], [bob.endpoint])
            await until(lambda: not connected(ann, bob) and not connected(bob, ann), limit=120.0)
            for node in (ann, bob):
                net.change_address(node.endpoint)
            await asyncio.sleep(3.0)
            net.heal()
            took = await until(lambda: connected(ann, bob))
            assert took < 15.0

    loop.run(story())


def test_who_moved_is_found_by_a_call_within_seconds() -> None:
    async def story() -> None:
        board = Board()
        async with people(2, board) as (net, (ann, bob)):
            for one, other in ((ann, bob), (bob, ann)):  # no friends: nobody dials of its own accord
                await one.trust.grant("echo/1", "nobody", [other.peer])
            net.change_address(bob.endpoint)
            await asyncio.sleep(3.0)
            ann.peers.remember(PeerAddress(bob.peer, None, ("10.9.9.9:4433",)))  # where it was once
            began = asyncio.get_running_loop().time()
            assert await ann.asks(bob) == b"hello"
            assert asyncio.get_running_loop().time() - began < 3.0

    loop.run(story())


def test_one_of_whom_nobody_knows_is_given_up_at_once() -> None:
    async def story() -> None:
        board = Board()
        async with people(1, board) as (_, (ann,)):
            began = asyncio.get_running_loop().time()
            with pytest.raises(Unreachable):
                await ann.peers.open(identity(9).peer, "echo/1")
            assert asyncio.get_running_loop().time() - began < 2.0
            assert board.gets >= 1

    loop.run(story())


def test_a_slow_provider_is_not_asked_when_a_quick_one_was_enough() -> None:
    async def story() -> None:
        quick, slow = Board(), Board()
        async with people(2, quick) as (_, (ann, bob)):
            ann.rendezvous.add_provider(slow.provider("slow", head_start=2.0))
            await asyncio.sleep(3.0)
            await befriend(ann, bob)
            await until(lambda: connected(ann, bob))
            await asyncio.sleep(10.0)
            assert slow.gets == 0 and quick.gets > 0

    loop.run(story())


def test_a_late_provider_is_asked_at_once_where_the_others_have_nothing() -> None:
    async def story() -> None:
        empty, late = Board(delay=0.1), Board(delay=0.1)
        async with people(1, late) as (net, (bob,)):
            await asyncio.sleep(3.0)
            ann = await Meeting(identity(7), net.endpoint(identity(7))).start()
            assert isinstance(ann, Meeting)
            ann.meet(empty).add_provider(late.provider("late", head_start=2.0))
            await asyncio.sleep(0.0)
            began = asyncio.get_running_loop().time()
            seen = await ann.rendezvous.find(bob.peer)
            assert seen is not None and seen.address.addresses == bob.address.addresses
            assert asyncio.get_running_loop().time() - began < 1.0
            await ann.stop()

    loop.run(story())


def test_one_that_a_ticket_led_to_and_who_moved_is_looked_for() -> None:
    async def story() -> None:
        board = Board()
        async with people(2, board) as (_, (ann, bob)):
            for one, other in ((ann, bob), (bob, ann)):
                await one.trust.grant("echo/1", "nobody", [other.peer])
            ann.peers.remember(PeerAddress(bob.peer, None, ("10.9.9.9:4433",)))
            assert ann.peers.seek(8) == 1  # as a network does that has nobody else
            assert await until(lambda: connected(ann, bob)) < 10.0

    loop.run(story())


def test_a_slow_provider_finds_whom_the_quick_one_does_not_know() -> None:
    async def story() -> None:
        quick, slow = Board(), Board(delay=4.0)
        async with people(2, quick) as (_, (ann, bob)):
            quick.down = True
            for one in (ann, bob):
                one.rendezvous.add_provider(slow.provider("slow", head_start=2.0))
            await until(lambda: slow.puts == 2)
            await befriend(ann, bob)
            assert await until(lambda: connected(ann, bob)) < 12.0

    loop.run(story())


def test_an_absent_friend_costs_little_and_is_found_soon_after_it_is_back() -> None:
    async def story() -> None:
        board = Board()
        async with people(1, board) as (net, (ann,)):
            await ann.trust.add_contact(identity(2).peer, friend=True)
            await asyncio.sleep(86400.0)
            assert 60 < board.gets < 150
            bob = await Meeting(identity(2), net.endpoint(identity(2))).start()
            assert isinstance(bob, Meeting)
            await bob.trust.add_contact(ann.peer, friend=True)
            bob.meet(board)
            assert await until(lambda: connected(ann, bob)) < 10.0  # bob looks for ann, who is there
            await bob.stop()

    loop.run(story())


def test_our_word_is_said_again_and_never_ends_while_we_are_here() -> None:
    async def story() -> None:
        board = Board()
        async with people(1, board) as (_, (ann,)):
            for _ in range(24):
                await asyncio.sleep(3600.0)
                now = asyncio.get_running_loop().time()
                assert board.store.get(ann.peer, "192.0.2.9", now) is not None
            assert 24 <= board.puts <= 34
            view = ann.rendezvous.providers()[0]
            assert (view.name, view.places) == ("board 0", 1) and view.published is not None

    loop.run(story())


@pytest.mark.parametrize("show", ["addresses", "relay", "nothing"])
def test_no_more_is_shown_than_the_person_wants(show: Show) -> None:
    async def story() -> None:
        board = Board()
        async with people(1, board, show=show, relays=("https://relay.example/",)) as (_, (ann,)):
            await asyncio.sleep(10.0)
            body = board.store.get(ann.peer, "192.0.2.9", 10.0)
            if show == "nothing":
                assert body is None and board.puts == 0
                return
            assert isinstance(body, bytes)
            said = pkarr.read(ann.peer, pkarr.open_item(ann.peer, body).value).address
            assert said.relay == "https://relay.example/"
            assert bool(said.addresses) == (show == "addresses")

    loop.run(story())


class Liar:
    """A provider that says what it likes, and breaks."""

    name, head_start = "liar", 0.0

    def __init__(self, *values: bytes | Exception) -> None:
        self.values = values

    async def publish(self, who: Identity, value: bytes, salt: bytes = b"") -> int:
        raise RuntimeError("broken")

    async def resolve(self, key: PeerId, salt: bytes = b"") -> AsyncIterator[Found]:
        for seq, value in enumerate(self.values):
            if isinstance(value, Exception):
                raise value
            yield Found(key, seq, value)


def test_nonsense_and_a_broken_provider_keep_nobody_from_being_found(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        board = Board(delay=0.3)
        stranger = pkarr.pack(PeerAddress(identity(3).peer, None, ("10.0.0.3:4433",)), 1 << 60)
        async with people(2, board) as (_, (ann, bob)):
            home = pkarr.pack(PeerAddress(bob.peer, "http://localhost/", ("127.0.0.1:22",)), 1 << 60)
            ann.rendezvous.add_provider(Liar(b"", b"x" * 900, stranger, home, RuntimeError("it is broken")))  # type: ignore[arg-type]
            await asyncio.sleep(3.0)
            await befriend(ann, bob)
            assert await until(lambda: connected(ann, bob)) < 10.0
            known = ann.peers.addresses(bob.peer)
            assert known.relay is None and not any("127." in one for one in known.addresses)

    loop.run(story())
    assert "it is broken" in caplog.text and "publishing by liar failed" in caplog.text


def test_what_is_older_than_what_is_known_changes_nothing() -> None:
    async def story() -> None:
        board = Board()
        async with people(1, board) as (_, (ann,)):
            bob = identity(2)
            new = pkarr.pack(PeerAddress(bob.peer, None, ("10.1.1.1:1",)), 2_000)
            old = pkarr.pack(PeerAddress(bob.peer, None, ("10.1.1.2:1",)), 1_000)
            ann.rendezvous.add_provider(Liar(new, old))  # type: ignore[arg-type]
            await asyncio.sleep(1.0)
            await ann.rendezvous.locate(bob.peer)
            await asyncio.sleep(1.0)
            assert ann.peers.addresses(bob.peer).addresses == ("10.1.1.1:1",)

    loop.run(story())
