"""What a member can make others do by naming members that do not exist: dial, now and then, and nothing more."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from servent.identity import PeerId
from servent.net import wire
from servent.net.book import MOST_HEARSAY
from servent.net.links import PeerAddress
from servent.testing.loop import run
from tests.net.party import befriend, identity, party, until

MINUTES = 12


def test_a_member_cannot_make_others_flood_a_third_party() -> None:
    """It names 64 peers with 8 addresses each, every second, all of them at a victim's."""
    dialed: Counter[int] = Counter()
    packets = 0

    async def story() -> None:
        nonlocal packets
        async with party(2) as (bob, mal):
            network = await bob.trust.create_network("club")
            invitation = await bob.trust.invite("club", wall_now=bob.now())
            await mal.trust.accept_invitation(invitation, mal.now())
            connect = bob.endpoint.connect
            clock = asyncio.get_running_loop().time

            async def spy(address: PeerAddress, timeout: float) -> Any:
                nonlocal packets
                dialed[int(clock() // 60)] += 1
                packets += len(address.addresses)
                return await connect(address, timeout)

            bob.endpoint.connect = spy  # type: ignore[method-assign]
            session = await mal.peers.connect(bob.address)
            await until(lambda: bool(session.verdict.networks))
            number = 10_000
            for _ in range(MINUTES * 60):
                members = []
                for _ in range(64):
                    number += 1
                    addresses = [f"198.51.100.7:{1 + (number * 8 + port) % 65000}" for port in range(8)]
                    members.append(wire.Member(bytes(identity(number).peer), None, addresses))
                session.tell(wire.Members(network.key, members))
                await asyncio.sleep(1.0)
            assert session.connected, "and for that it is not even thrown out"
            assert len(bob.peers._book) <= MOST_HEARSAY + 8

    run(story())
    late = [dialed[minute] for minute in range(3, MINUTES)]
    assert sum(dialed.values()) > 0
    assert max(late) < 150, dict(dialed)
    assert sum(late) / len(late) < 100, dict(dialed)
    assert packets < 40 * MINUTES * 60, "addresses per second in the mean"


def test_friends_are_dialed_whatever_a_member_says() -> None:
    async def story() -> None:
        async with party(3) as (bob, mal, ann):
            network = await bob.trust.create_network("club")
            invitation = await bob.trust.invite("club", wall_now=bob.now())
            await mal.trust.accept_invitation(invitation, mal.now())
            session = await mal.peers.connect(bob.address)
            await until(lambda: bool(session.verdict.networks))
            for burst in range(8):
                members = [
                    wire.Member(bytes(identity(20_000 + 64 * burst + n).peer), None, ["198.51.100.7:9"])
                    for n in range(64)
                ]
                session.tell(wire.Members(network.key, members))
            await asyncio.sleep(5)
            await befriend(ann, bob)
            bob.peers.remember(ann.address)
            took = await until(lambda: bob.peers.session(ann.peer) is not None)
            assert took < 15

    run(story())


def test_a_liar_on_the_local_network_pushes_nobody_out_of_the_address_book() -> None:
    async def story() -> None:
        async with party(2) as (bob, ann):
            await befriend(ann, bob)
            bob.peers.remember(PeerAddress(ann.peer, None, ("198.51.100.9:9",)))  # by a ticket, not met yet
            for number in range(6000):
                bob.peers.nearby(PeerAddress(identity(50_000 + number).peer, None, ("10.0.0.7:9",)))
            assert len(bob.peers._book) <= MOST_HEARSAY + 1
            assert bob.peers.addresses(ann.peer).addresses == ("198.51.100.9:9",)
            bob.peers.nearby(ann.address)
            await until(lambda: bob.peers.session(ann.peer) is not None)

    run(story())


def test_nobody_learns_of_members_through_a_network_they_are_not_in() -> None:
    async def story() -> None:
        async with party(2) as (bob, mal):
            network = await bob.trust.create_network("secret")
            await befriend(bob, mal)
            session = await mal.peers.connect(bob.address)
            session.tell(wire.Members(network.key, [wire.Member(b"p" * 32, None, ["198.51.100.7:9"])]))
            session.tell(wire.Records(network.key, [b"made up"], 1))
            session.tell(wire.AskRecords(network.key, 0))
            await asyncio.sleep(2)
            assert PeerId(b"p" * 32) not in bob.peers._book
            assert [one.peer for one in bob.trust.members("secret")] == [bob.peer]

    run(story())
