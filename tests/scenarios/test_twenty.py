"""Twenty real nodes in one process: all reach all, and nothing is left when they close."""

from __future__ import annotations

import asyncio
import gc
import time

import psutil
import pytest

from servent.net import endpoint
from tests.net.party import Node, everybody_reaches_everybody, identity, until

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]


async def real_nodes(count: int, first: int = 1000) -> list[Node]:
    nodes = []
    for number in range(first, first + count):
        who = identity(number)
        nodes.append(await Node(who, await endpoint.bind(who, bind=["127.0.0.1:0"])).start())
    return nodes


def sockets() -> int:
    return sum(1 for connection in psutil.Process().net_connections("udp"))


def test_twenty_real_nodes_all_reach_all_and_close_without_a_trace() -> None:
    async def story() -> None:
        before, sockets_before = asyncio.all_tasks(), sockets()
        nodes = await real_nodes(20)
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
        began = time.monotonic()
        async with asyncio.TaskGroup() as closing:
            for node in nodes:
                closing.create_task(node.stop())
        closing_took = time.monotonic() - began
        assert closing_took < 3.0
        assert asyncio.all_tasks() == before
        nodes.clear(); del node, other, closing
        t0=time.monotonic()
        while time.monotonic()-t0<8:
            print(time.monotonic()-t0, sockets(), closing_took); await asyncio.sleep(0.5); gc.collect()
        assert sockets() <= sockets_before

    asyncio.run(story())
