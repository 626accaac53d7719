"""Whole nodes in one line, on the simulated network or on real iroh over loopback.

async with nodes(3, folder) as (ann, bob, cat): ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cryptography import x509 as _x509  # noqa: F401 - so that twenty nodes need no twenty processes for it

from servent.config import Config
from servent.identity import Identity
from servent.net.links import Endpoint
from servent.node import Node
from servent.testing.simnet import SimNet

NETWORK = "lab"


def quiet_config(name: str, folder: Path) -> Config:
    """A node that keeps to itself: no relay, no local network, no page."""
    config = Config()
    config.node.name = name
    config.node.download_dir = str(folder / "downloads")
    config.net.relays = []
    config.net.lan = False
    config.web.enabled = False
    config.torrent.hosts, config.torrent.map_ports = ["127.0.0.1"], False
    return config


@asynccontextmanager
async def nodes(
    count: int, folder: Path, net: SimNet | None = None, *, bulk: bool = True
) -> AsyncIterator[list[Node]]:
    """`count` running nodes, each with a data directory of its own below `folder`.

    Args:
        net: the simulated network they live on; None for real iroh.
        bulk: offer the TCP lane (only on real iroh: the simulated network has no TCP).
    """

    async def simulated(identity: Identity, **_: Any) -> Endpoint:
        assert net is not None
        return net.endpoint(identity)

    started: dict[int, Node] = {}
    stop, ready = asyncio.Event(), asyncio.Event()

    async def host(number: int) -> None:
        home = folder / f"node-{number}"
        config = quiet_config(f"node {number}", home)
        config.blobs.bulk = bulk and net is None
        async with Node(home, config) if net is None else Node(home, config, open_endpoint=simulated) as node:
            started[number] = node
            if len(started) == count:
                ready.set()
            await stop.wait()

    # Each in a task of its own, so that all stop at once, as they would in processes of their own.
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(host(number), name=f"node {number}")
        await ready.wait()
        try:
            yield [started[number] for number in range(count)]
        finally:
            stop.set()


async def gather_in_network(members: Sequence[Node], name: str = NETWORK) -> None:
    """The first founds an invitation-only network, the others join it through him, one after another."""
    founder, *others = members
    await founder.trust.create_network(name)
    invitation = await founder.invite(name, uses=max(1, len(others)))
    for node in others:
        await node.join(invitation)
