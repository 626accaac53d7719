"""What observers see reaches the core of reach, and what it wants is announced."""

from __future__ import annotations

import asyncio

import pytest

from servent.net.reach_service import ReachService
from servent.testing import loop
from servent.testing.simnet import SimNet
from tests.net.party import Node, befriend, party, until

RELAY = ("https://relay.example",)


async def with_reach(node: Node, tasks: asyncio.TaskGroup) -> tuple[ReachService, asyncio.Task[None]]:
    reach = ReachService(node.endpoint, node.peers)
    return reach, tasks.create_task(reach.run())


def test_a_node_hears_from_its_observers_where_they_see_it() -> None:
    async def story() -> None:
        async with party(3) as (ann, bob, cat), asyncio.TaskGroup() as tasks:
            reach, running = await with_reach(ann, tasks)
            assert reach.view().nat == "unknown"
            for other in (bob, cat):
                await befriend(ann, other)
                await ann.peers.connect(other.address)
            mine = ann.endpoint.local_addresses()[0]
            assert reach.view().nat == "unknown", "addresses inside one network prove nothing of the world"
            assert all(seen.direct for seen in reach.view().observers)
            assert {seen.address for seen in reach.view().observers} == {mine}
            running.cancel()

    loop.run(story())


def test_a_changed_address_is_announced_soon_and_the_old_one_let_go() -> None:
    async def story() -> None:
        net = SimNet(seed=31)
        async with party(3, net, nat="home", relays=RELAY) as (ann, bob, cat), asyncio.TaskGroup() as tasks:
            reach, running = await with_reach(ann, tasks)
            for other in (bob, cat):
                await befriend(ann, other)
                await ann.peers.connect(other.address)
            await until(lambda: any(seen.address for seen in reach.view().observers), 5)
            net.change_address(ann.endpoint)
            new = ann.endpoint.local_addresses()[0]
            await until(lambda: {seen.address for seen in reach.view().observers} == {new}, 4)
            await until(lambda: bob.peers.addresses(ann.peer).addresses[-1:] == (new,), 5)
            assert reach.view().relay == RELAY[0]
            running.cancel()

    loop.run(story())


def test_an_observer_that_is_gone_is_forgotten() -> None:
    async def story() -> None:
        async with party(2) as (ann, bob), asyncio.TaskGroup() as tasks:
            reach, running = await with_reach(ann, tasks)
            await befriend(ann, bob)
            await ann.peers.connect(bob.address)
            assert len(reach.view().observers) == 1
            await bob.peers.close()
            await until(lambda: len(reach.view().observers) == 0, 2)
            running.cancel()

    loop.run(story())


def test_who_is_seen_only_through_a_relay_hears_so() -> None:
    async def story() -> None:
        net = SimNet(seed=32)
        async with party(2, net, nat="blocked", relays=RELAY) as (ann, bob), asyncio.TaskGroup() as tasks:
            reach, running = await with_reach(ann, tasks)
            await befriend(ann, bob)
            await ann.peers.connect(bob.address)
            await asyncio.sleep(10)
            assert [(seen.address, seen.direct) for seen in reach.view().observers] == [(None, False)]
            assert "through a relay only" in reach.view().summary
            bob.peers.way_out("public", None)
            await until(lambda: reach.view().nat == "udp-blocked", 3)
            assert ann.peers.session(bob.peer).told == ("public", None)
            running.cancel()

    loop.run(story())


def test_when_all_fall_silent_at_once_everybody_is_dialed_anew() -> None:
    async def story() -> None:
        net = SimNet(seed=33)
        async with party(4, net, relays=RELAY) as nodes, asyncio.TaskGroup() as tasks:
            ann, others = nodes[0], nodes[1:]
            broken: list[list[str]] = []
            reach = ReachService(ann.endpoint, ann.peers, broken.append)
            running = tasks.create_task(reach.run())
            for other in others:
                await befriend(ann, other)
                await ann.peers.connect(other.address)
            await asyncio.sleep(20)
            net.partition([ann.endpoint], [other.endpoint for other in others])
            began = asyncio.get_running_loop().time()
            await until(lambda: not ann.peers.sessions(), 10)
            assert asyncio.get_running_loop().time() - began < 8
            assert broken == [[RELAY[0]]], "and the relay's connection with them"
            net.heal()
            await until(lambda: len(ann.peers.sessions()) == 3, 5)
            running.cancel()

    loop.run(story())


@pytest.mark.parametrize(("others", "most"), [(1, 1.0), (8, 4.0)])
def test_a_change_of_the_way_out_shows_soon_also_to_who_has_few_observers(others: int, most: float) -> None:
    """And with many of them that takes no echoes beyond those that are sent anyway."""

    async def story() -> None:
        async with party(1 + others, SimNet(seed=34)) as nodes, asyncio.TaskGroup() as tasks:
            ann = nodes[0]
            _, running = await with_reach(ann, tasks)
            for other in nodes[1:]:
                await befriend(ann, other)
                await ann.peers.connect(other.address)
            await asyncio.sleep(30)
            clock = asyncio.get_running_loop().time
            before, began = sum(session._pulse._number for session in ann.peers.sessions()), clock()
            for _ in range(120):
                await asyncio.sleep(0.5)
                assert clock() - max(session.heard_at for session in ann.peers.sessions()) <= 2.5
            sent = sum(session._pulse._number for session in ann.peers.sessions()) - before
            assert sent / (clock() - began) <= most, "an echo a second at most for each four of them"
            running.cancel()

    loop.run(story())
