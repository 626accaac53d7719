"""Two hundred real endpoints in one process, in the hybrid mode: everybody's items are found, with a few links each.

`python -m bench.network --nodes` measures the other modes.
"""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from servent.errors import Unreachable
from servent.net import endpoint as iroh_endpoint
from servent.net.gate import GateSettings
from servent.net.settings import PeersSettings
from servent.overlay.effects import Finding
from servent.overlay.settings import DirectorySettings, HomeSettings, OverlaySettings, ViewSettings
from servent.testing.light import LightNode, item, stop_all
from tests.net.party import until

COUNT = 200
NAMED = 3  # supernodes by wish; elections take their time, and `make sim` measures those
JOINING = 4  # nodes that are let in at a time
QUESTIONS = 40
# s that something may not be found: a question has its time, one thread works for all, and whose supernode seems dead for being slow
# takes a new one, where its items have to be told anew.
PATIENCE = 180.0
# Loopback is one address, so the limits for strangers of one source are lifted. As in a network that has been large for long,
# nobody keeps a full mesh, and connections that nobody needs end soon.
PEERS = PeersSettings(
    gate=GateSettings(strangers=1024, strangers_per_source=1024, source_rate=1e4, source_burst=1e4),
    mesh=1,
    spare=5.0,
    dial=15.0,
    hello=15.0,
)
# One thread does the work of two hundred computers, so that everybody is given longer to answer and has fewer neighbours.
OVERLAY = OverlaySettings(
    view=ViewSettings(active=3, active_super=5, answer=10.0, dial=20.0, again=5.0),
    home=HomeSettings(attach_wait=15.0),
    directory=DirectorySettings(probe_wait=15.0),
)


def song(number: int) -> str:
    return f"rare song{number} of node{number}.mp3"


def node(number: int) -> LightNode:
    return LightNode(
        random.Random(f"many {number}").randbytes(32),
        iroh_endpoint.bind,
        bind=["127.0.0.1:0"],
        wishes={"index": "on" if number < NAMED else "off"},
        peers=PEERS,
        settings=OVERLAY,
    )


async def breath() -> None:
    """Until this process keeps up with what its nodes do: two hundred computers in one thread."""
    while True:
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(0.05)
        if asyncio.get_running_loop().time() - before < 0.3:
            return


async def join(one: LightNode, founder: LightNode, network: bytes, places: asyncio.Semaphore) -> None:
    async with places:
        await breath()
        for last in (False, True):
            try:
                return await one.join(founder, network)
            except Unreachable:
                if last:
                    raise


async def patiently(asked: Callable[[], Awaitable[bool]]) -> int:
    """How often had to be asked. Fails after PATIENCE s."""
    now, times = asyncio.get_running_loop().time, 1
    until = now() + PATIENCE
    await breath()
    while not await asked():
        assert now() < until, f"not found in {times} questions"
        await asyncio.sleep(1.0)
        await breath()
        times += 1
    return times


async def finds(asker: LightNode, name: str, words: str) -> bool:
    async for event in asker.overlay.search(words):
        if isinstance(event, Finding) and name in {one.name for _, one in event.found}:
            return True
    return False


async def holds(asker: LightNode, content: bytes, holder: LightNode) -> bool:
    async for event in asker.overlay.who_has(content):
        if isinstance(event, Finding) and holder.peer in [peer for peer, _ in event.found]:
            return True
    return False


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_hundred_nodes_find_what_the_others_have() -> None:
    async def main() -> None:
        members = [node(number) for number in range(COUNT)]
        async with asyncio.TaskGroup() as tasks:
            try:
                for one in members:
                    await one.start(tasks)
                network = await members[0].found("lab", "hybrid", open=True)
                places = asyncio.Semaphore(JOINING)
                async with asyncio.TaskGroup() as joining:
                    for one in members[1:]:
                        joining.create_task(join(one, members[0], network, places))
                await until(lambda: all(one.overlay.shapes() for one in members), 120.0, step=0.25)
                for number, one in enumerate(members):
                    one.publish(network, song(number))
                await until(
                    lambda: all(one.overlay.shape(network).published for one in members), 120.0, step=0.25
                )
                dice = random.Random(1)
                asked = 0
                for number in dice.sample(range(COUNT), QUESTIONS):
                    asker = members[(number + 7) % COUNT]
                    asked += await patiently(partial(finds, asker, song(number), f"song{number}"))
                print(f"{QUESTIONS} found with {asked} questions")
                await patiently(partial(holds, members[5], item(song(COUNT - 1)).content, members[COUNT - 1]))
                links = [len(one.peers.sessions()) for one in members[NAMED:]]
                print(f"links: {statistics.median(links)} of {COUNT - 1}")
                assert statistics.median(links) < COUNT / 5  # what nobody needs goes on ending
            finally:
                await stop_all(members)

    asyncio.run(main())
