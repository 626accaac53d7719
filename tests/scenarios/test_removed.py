"""A member who is removed hears of it, believes the network's own key alone, and lets the others be."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from servent.codec import canonical
from servent.errors import BadMessage
from servent.identity import Identity
from servent.net import wire
from servent.node import Node
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimEndpoint, SimNet
from servent.trust.networks import make_revocation
from tests.scenarios.test_hostile_members import until

CLUB = "club"


def removed(node: Node) -> bool:
    view = node.trust.network(CLUB)
    assert view.member is not view.removed
    return view.removed


def ends(net: SimNet, *some: Node) -> list[SimEndpoint]:
    return [end for end in net.endpoints if end.peer in [node.peer for node in some]]


@pytest.mark.parametrize("friends", [False, True])
def test_who_is_connected_hears_at_once_that_they_were_removed(tmp_path: Path, friends: bool) -> None:
    async def story() -> None:
        async with nodes(3, tmp_path, SimNet(seed=1)) as (ann, bob, cyn):
            await gather_in_network((ann, bob, cyn), CLUB)
            await until(lambda: len(bob.peers.sessions()) == 2)
            if friends:
                await ann.trust.add_contact(bob.peer)
                await bob.trust.add_contact(ann.peer)
            network = ann.trust.network(CLUB).key
            await ann.trust.remove_member(CLUB, bob.peer)
            assert await until(lambda: removed(bob)) < 2.0
            assert not removed(cyn) and not removed(ann)
            await until(lambda: bob.peers.session(cyn.peer) is None)
            await asyncio.sleep(5.0)
            here = [session.peer for session in bob.peers.sessions()]
            assert here == ([ann.peer] if friends else [])
            assert all(network not in session.verdict.networks for session in bob.peers.sessions())
            assert network not in {shape.network for shape in bob.overlay.shapes()}
            assert [
                peer.id for peer in bob.peers.view() if peer.since is None
            ] == []  # nobody is dialed any more
            again = await ann.invite(CLUB, uses=1)  # and a new invitation lets them in again
            assert (await bob.join(again)).connected
            await until(lambda: not removed(bob) and bob.peers.session(cyn.peer) is not None)

    run(story())


def test_who_was_away_hears_it_from_whoever_turns_them_away(tmp_path: Path) -> None:
    async def story() -> None:
        net = SimNet(seed=2)
        async with nodes(3, tmp_path, net) as (ann, bob, cyn):
            await gather_in_network((ann, bob, cyn), CLUB)
            await until(lambda: all(len(node.peers.sessions()) == 2 for node in (ann, bob, cyn)))
            net.partition(ends(net, bob), ends(net, ann, cyn))
            await until(lambda: not ann.peers.session(bob.peer) and not cyn.peers.session(bob.peer), 120.0)
            await ann.trust.remove_member(CLUB, bob.peer)
            await until(lambda: bob.peer in cyn.trust.removed(CLUB))
            assert not removed(bob)
            net.partition(ends(net, ann), ends(net, bob, cyn))
            await until(lambda: removed(bob), 300.0)  # cyn alone is there to tell
            await asyncio.sleep(5.0)
            assert bob.peers.sessions() == []
            assert [peer.id for peer in bob.peers.view() if peer.since is None] == []

    run(story())


def test_no_member_can_make_another_believe_that_they_were_removed(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(3, tmp_path, SimNet(seed=3)) as (ann, bob, mal):
            await gather_in_network((ann, bob, mal), CLUB)
            await until(lambda: bob.peers.session(mal.peer) is not None)
            network = ann.trust.network(CLUB).key
            mine = make_revocation(Identity(bytes(range(32))), "member", bob.peer, 2**40, 2**31)
            await ann.trust.remove_member(CLUB, (other := Identity(bytes(32))).peer)
            page = ann.trust.records_since(network)
            genuine = next(body for body in page.records if bytes(other.peer) in body)
            # each side has it when its own hello is over
            await until(lambda: mal.peers.session(bob.peer) is not None)
            session = mal.peers.session(bob.peer)
            assert session is not None
            for body in (
                canonical(replace(mine, network=network)),  # signed by another key
                canonical(mine),  # of another network
                genuine,  # true, and about somebody else
                b"nonsense",
            ):
                with pytest.raises(BadMessage):
                    await bob.trust.take_removal(body)
                session.tell(wire.Fresh(network, body))
            await asyncio.sleep(2.0)
            assert not removed(bob) and bob.peers.session(ann.peer) is not None

    run(story())
