"""The connection manager on the simulated network, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from servent.testing import loop
from servent.testing.simnet import SimNet
from tests.net.party import befriend, everybody_reaches_everybody, party, until


def test_two_friends_meet_and_use_a_service() -> None:
    async def story() -> None:
        async with party(2) as (ann, bob):
            await befriend(ann, bob)
            session = await ann.peers.connect(bob.address)
            assert session.peer == bob.peer and session.verdict.friend
            assert session.profile.name == bob.name
            assert await ann.asks(bob) == b"hello"
            assert await bob.asks(ann, b"back") == b"back"
            assert len(ann.peers.sessions()) == len(bob.peers.sessions()) == 1
            assert [up for up, _ in ann.events] == [True]

    loop.run(story())


def test_twenty_nodes_that_joined_through_one_inviter_all_reach_all() -> None:
    async def story() -> None:
        async with party(20) as nodes:
            inviter = nodes[0]
            network = await inviter.trust.create_network("club")
            invitation = await inviter.trust.invite(network.key, uses=None)
            for node in nodes[1:]:
                await node.trust.accept_invitation(invitation)
                await node.peers.connect(inviter.address)
            took = await until(lambda: everybody_reaches_everybody(nodes))
            assert took < 10
            for node in nodes:
                for other in nodes:
                    if node is not other:
                        assert await node.asks(other) == b"hello"
            await asyncio.sleep(10)
            assert all(len(node.peers.sessions()) == 19 for node in nodes)

    loop.run(story())
