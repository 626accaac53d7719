"""Nodes for tests of the network floor: trust, peers and an endpoint, simulated or real."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from servent.identity import Identity, PeerId
from servent.net.links import Endpoint, Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.net.settings import PeersSettings
from servent.net.wire import Profile
from servent.store import Store
from servent.testing.simnet import SimNet
from servent.trust.service import TrustService


def identity(number: int) -> Identity:
    return Identity(number.to_bytes(32, "big"))


class Node:
    """One node without its upper floors. `echo/1` is served to its networks and friends."""

    def __init__(self, who: Identity, endpoint: Endpoint, settings: PeersSettings | None = None) -> None:
        self.who, self.endpoint = who, endpoint
        self.store = Store(None)
        self.wall = 1_700_000_000.0
        self._born = asyncio.get_running_loop().time()
        self.trust = TrustService(self.store, who, wall=self.now)
        self.name = f"node {who.peer.short}"
        self.peers = Peers(
            endpoint,
            self.trust,
            lambda: Profile(name=self.name, services=self.peers.services()),
            store=self.store,
            settings=settings,
            dice=random.Random(bytes(who.peer)),
            wall=self.now,
        )
        self.peers.serve("echo/1", echo, audience="network")
        self.events: list[tuple[bool, PeerId]] = []
        self.peers.on_session(lambda session, up: self.events.append((up, session.peer)))
        self._task: asyncio.Task[None] | None = None

    def now(self) -> float:
        return self.wall + asyncio.get_running_loop().time() - self._born

    @property
    def peer(self):
        return self.who.peer

    @property
    def address(self):
        return self.endpoint.address()

    async def start(self) -> Node:
        await self.store.open()
        await self.trust.open()
        self._task = asyncio.create_task(self.peers.run(), name=f"run {self.peer.short}")
        await asyncio.sleep(0)
        return self

    async def stop(self) -> None:
        await self.peers.close()
        assert self._task is not None
        await self._task
        await self.endpoint.close()
        await self.store.close()

    async def asks(self, other: Node, text: bytes = b"hello", timeout: float = 15.0) -> bytes:
        """One round trip over the service `echo/1` of `other`."""
        stream = await self.peers.open(other.peer, "echo/1", timeout)
        await stream.write(text)
        await stream.finish()
        return await read_all(stream)


async def echo(session: Session, stream: Stream) -> None:
    while data := await stream.read(65536):
        await stream.write(data)


async def read_all(stream: Stream) -> bytes:
    parts = []
    while data := await stream.read(65536):
        parts.append(data)
    return b"".join(parts)


async def befriend(one: Node, other: Node) -> None:
    for a, b in ((one, other), (other, one)):
        await a.trust.add_contact(b.peer, friend=True)


@asynccontextmanager
async def party(
    count: int, net: SimNet | None = None, settings: PeersSettings | None = None, first: int = 1, **how: str
) -> AsyncIterator[list[Node]]:
    """`count` strangers on a simulated net."""
    net = net or SimNet(seed=1)
    nodes = []
    for number in range(first, first + count):
        who = identity(number)
        nodes.append(await Node(who, net.endpoint(who, **how), settings).start())
    try:
        yield nodes
    finally:
        for node in nodes:
            await node.stop()


async def until(true: Callable[[], bool], limit: float = 60.0, step: float = 0.05) -> float:
    """Wait until `true()`; the seconds that took. Fails after `limit` s."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not true():
        assert loop.time() - began < limit, f"not so within {limit} s"
        await asyncio.sleep(step)
    return loop.time() - began


def everybody_reaches_everybody(nodes: Iterable[Node]) -> bool:
    nodes = list(nodes)
    return all(
        node.peers.session(other.peer) is not None for node in nodes for other in nodes if node is not other
    )
