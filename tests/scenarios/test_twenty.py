"""Sessions over real iroh: twelve in one process, dials that cross, and nothing left when they close."""

from __future__ import annotations

import asyncio
import random

import pytest

from servent.net import endpoint
from tests.net.handles import handles
from tests.net.party import Node, befriend, everybody_reaches_everybody, identity, read_all, until

pytestmark = [pytest.mark.real, pytest.mark.slow]


async def real_nodes(count: int, first: int = 1000) -> list[Node]:
    nodes = []
    for number in range(first, first + count):
        who = identity(number)
        nodes.append(await Node(who, await endpoint.bind(who, bind=["127.0.0.1:0"])).start())
    return nodes


async def stop(nodes: list[Node]) -> None:
    async with asyncio.timeout(60), asyncio.TaskGroup() as closing:
        for node in nodes:
            closing.create_task(node.stop())
    nodes.clear()


def test_twelve_real_nodes_all_reach_all_and_close_without_a_trace() -> None:
    async def story() -> None:
        before, handles_before = asyncio.all_tasks(), handles()
        nodes = await real_nodes(12)
        await all_reach_all(nodes)
        assert handles() > handles_before + 12 * 11  # a connection at each end
        await stop(nodes)
        assert asyncio.all_tasks() == before
        await until(lambda: handles() <= handles_before)

    asyncio.run(story())


async def all_reach_all(nodes: list[Node]) -> None:
    network = await nodes[0].trust.create_network("club")
    invitation = await nodes[0].trust.invite(network.key, uses=None)
    for node in nodes[1:]:
        await node.trust.accept_invitation(invitation)
        await node.peers.connect(nodes[0].address)
    await until(lambda: everybody_reaches_everybody(nodes), 60)
    for node in nodes:
        for other in nodes:
            if node is not other:
                assert await node.asks(other) == b"hello"


def test_real_dials_that_cross_lose_no_stream_and_end_with_one_connection() -> None:
    async def story() -> None:
        dice = random.Random(7)
        for round_ in range(6):
            ann, bob = nodes = await real_nodes(2, 2000 + 2 * round_)
            await befriend(ann, bob)
            ann.peers.remember(bob.address)
            bob.peers.remember(ann.address)

            async def ask(one: Node, other: Node, number: int) -> None:
                await asyncio.sleep(dice.random() * 0.05)
                stream = await one.peers.open(other.peer, "echo/1")
                text = b"%d " % number * 5000
                for at in range(0, len(text), 3000):
                    await stream.write(text[at : at + 3000])
                    await asyncio.sleep(dice.random() * 0.05)
                await stream.finish()
                assert await read_all(stream) == text

            async with asyncio.TaskGroup() as tasks:
                for number in range(8):
                    tasks.create_task(ask(ann, bob, number))
                    tasks.create_task(ask(bob, ann, number))
            await until(lambda: len(ann.peers._roster) == len(bob.peers._roster) == 1)  # noqa: B023
            ours, theirs = ann.peers.session(bob.peer), bob.peers.session(ann.peer)
            assert ours is not None and theirs is not None and ours.tag == theirs.tag
            await stop(nodes)

    asyncio.run(story())
