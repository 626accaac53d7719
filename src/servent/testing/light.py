"""Light nodes: endpoint, trust, connections and overlay, without a library or transfers. Hundreds fit into one process.

async with light(200, net) as members: ...
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from servent.identity import Identity
from servent.net import endpoint as iroh_endpoint
from servent.net.links import Endpoint, PeerAddress
from servent.net.peers import Peers
from servent.net.reach_service import ReachService
from servent.net.settings import PeersSettings
from servent.net.wire import Profile
from servent.overlay.items_service import FILE, Items
from servent.overlay.records import Item
from servent.overlay.service import Overlay
from servent.overlay.settings import OverlaySettings
from servent.overlay.topology import Wish
from servent.store import Store
from servent.testing.simnet import SimNet
from servent.trust.networks import Mode
from servent.trust.service import TrustService

OpenEndpoint = Callable[..., Awaitable[Endpoint]]


class LightNode:
    """One of them. `start` and `stop` it by `light`, or by hand inside a TaskGroup.

    Args:
        seed: of its key.
        open_endpoint: as `net.endpoint.bind`.
        folder: for its databases; None keeps them in memory, and forgets them with it.
        index: for the file of what it keeps for others, where that alone is to be on disk.
        up: bytes per second that it can send.
        wishes: for roles.
        bind, relays: as `net.endpoint.bind`.
        observed: learn from peers where they see us, and announce it; of use on a real network alone.
    """

    def __init__(
        self,
        seed: bytes,
        open_endpoint: OpenEndpoint,
        *,
        folder: Path | None = None,
        index: Path | None = None,
        up: float = 0.0,
        bind: Sequence[str] = (),
        relays: Sequence[str] = (),
        observed: bool = False,
        wishes: dict[str, Wish] | None = None,
        settings: OverlaySettings | None = None,
        peers: PeersSettings | None = None,
        dice: random.Random | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.identity = Identity(seed)
        self.peer = self.identity.peer
        self._open_endpoint, self._folder, self._wishes = open_endpoint, folder, wishes
        self._index, self._up = index or folder, up
        self._settings, self._peers_settings, self._wall = settings, peers, wall
        self._bind, self._relays, self._observed = bind, relays, observed
        self._dice = dice or random.Random(seed)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Up and running when this returns."""
        folder = self._folder
        self.store = Store(folder / "node.db" if folder else None)
        self.trust = TrustService(self.store, self.identity, wall=self._wall)
        self.endpoint = await self._open_endpoint(
            self.identity, bind=list(self._bind), relays=list(self._relays)
        )
        self.peers = Peers(
            self.endpoint,
            self.trust,
            self._profile,
            store=self.store,
            settings=self._peers_settings,
            dice=self._dice,
            wall=self._wall,
        )
        reach = ReachService(self.endpoint, self.peers) if self._observed else None
        keeps = self._index / FILE if self._index else None
        home = self._settings.home if self._settings else None
        self.items = Items(keeps, home, wall=self._wall, readers=0)
        self.overlay = Overlay(
            self.peers,
            self.trust,
            self.store,
            self.identity,
            self.endpoint,
            self.items,
            reach=reach,
            open_endpoint=self._open_endpoint,
            wishes=self._wishes,
            up=lambda: self._up,
            settings=self._settings,
            dice=self._dice,
            wall=self._wall,
        )
        await self.store.open()
        await self.trust.open()
        await self.items.open()
        await self.overlay.open()
        name = self.peer.short
        for run in (self.peers.run, self.items.run, self.overlay.run):
            self._tasks.append(tasks.create_task(run(), name=f"{name} {run.__qualname__}"))
        await self.peers.ready.wait()
        if reach is not None:
            self._tasks.append(tasks.create_task(reach.run(), name=f"{name} reach"))

    @property
    def running(self) -> bool:
        return bool(self._tasks)

    def _profile(self) -> Profile:
        return Profile(
            name=self.peer.short,
            software="",
            roles=self.overlay.carried(),
            services=self.peers.services()[:32],
        )

    async def stop(self, kindly: bool = True) -> None:
        """`kindly` False: gone without a word, as when the power fails."""
        if kindly:
            await self.overlay.close()
            await self.peers.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks.clear()
        await self.endpoint.close()
        await self.items.close()
        await self.store.close()

    async def found(self, name: str, mode: Mode, *, open: bool = False) -> bytes:
        """Found a network. Returns its key."""
        return (await self.trust.create_network(name, mode=mode, open=open)).key

    async def join(self, founder: LightNode, network: bytes, at: PeerAddress | None = None) -> None:
        """Be let in by `founder`, and know where it is, or `at` instead."""
        invitation = await founder.trust.invite(network, uses=1)
        await self.trust.accept_invitation(invitation)
        self.peers.remember(at or founder.endpoint.address())
        await self.peers.connect(at or founder.endpoint.address())

    def publish(self, network: bytes, *names: str) -> None:
        """Items of these names, each with a content that follows from its name."""
        self.overlay.publish(network, [item(name) for name in names])


def item(name: str) -> Item:
    """An item whose content follows from its name."""
    return Item(hashlib.sha256(name.encode()).digest(), 1000, 1, name)


@asynccontextmanager
async def light(
    count: int, net: SimNet | None = None, *, folder: Path | None = None, seed: int = 0, **options: Any
) -> AsyncIterator[list[LightNode]]:
    """`count` of them, running.

    Args:
        net: the simulated network they live on; None for real iroh.
        folder: each keeps its databases below it; None keeps everything in memory.
        options: of every LightNode.
    """
    async with AsyncExitStack() as end, asyncio.TaskGroup() as tasks:
        members = [member(seed, number, net, folder, **options) for number in range(count)]
        end.push_async_callback(stop_all, members)
        for one in members:
            await one.start(tasks)
        try:
            yield members
        finally:
            await stop_all(members)


def member(
    seed: int, number: int, net: SimNet | None = None, folder: Path | None = None, **options: Any
) -> LightNode:
    """Number `number`, not started; the same again has the same key and, in a folder, the same memory."""
    home = None
    if folder is not None:
        home = folder / f"light-{number}"
        home.mkdir(parents=True, exist_ok=True)
    key = random.Random(f"{seed} {number}").randbytes(32)
    return LightNode(key, iroh_endpoint.bind if net is None else on(net), folder=home, **options)


def on(net: SimNet) -> OpenEndpoint:
    """Opens endpoints on a simulated network."""

    async def opened(identity: Identity, **_: Any) -> Endpoint:
        return net.endpoint(identity)

    return opened


async def stop_all(members: Sequence[LightNode]) -> None:
    """All at once, as in processes of their own."""
    async with asyncio.TaskGroup() as tasks:
        for one in members:
            if one.running:
                tasks.create_task(one.stop(), name=f"stop {one.peer.short}")


async def gather_in(
    members: Sequence[LightNode], mode: Mode, name: str = "lab", *, open: bool = False
) -> bytes:
    """The first founds a network, the others join it. Returns its key."""
    network = await members[0].found(name, mode, open=open)
    for one in members[1:]:
        await one.join(members[0], network)
    return network
