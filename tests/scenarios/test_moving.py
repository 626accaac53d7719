"""A download while the network under it goes away, comes back, and changes; in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from servent.blobs.views import Limits
from servent.node import Node
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimNet

SIZE = 16 << 20
RATE = 4 << 20  # bytes/s
Story = Callable[[SimNet, Node, Node], Awaitable[None]]


async def outage(net: SimNet, ann: Node, bob: Node) -> None:
    """Nothing gets through for 5 s."""
    net.partition(net.endpoints[:1], net.endpoints[1:])
    await asyncio.sleep(5.0)
    net.heal()


async def break_off(net: SimNet, ann: Node, bob: Node) -> None:
    """The connection is lost, and both sides know."""
    net.cut(*net.endpoints)


async def dial_anew(net: SimNet, ann: Node, bob: Node) -> None:
    """Both give up a connection that still seemed good."""
    ann.peers.start_over("a test")
    bob.peers.start_over("a test")


async def one_dials_anew(net: SimNet, ann: Node, bob: Node) -> None:
    """The one who fetches dials anew, while the other still believes in the old connection."""
    bob.peers.start_over("a test")


async def give_file(ann: Node, folder: Path) -> tuple[str, bytes]:
    content = random.Random(1).randbytes(SIZE)
    film = folder / "film.bin"
    film.write_bytes(content)
    share = await ann.blobs.add(film)
    assert share.infohash is not None
    return ann.blobs.link(share.infohash), content


@pytest.mark.parametrize(
    ("event", "lasts"), [(outage, 5.0), (break_off, 0.0), (dial_anew, 0.0), (one_dials_anew, 0.0)]
)
@pytest.mark.parametrize("seed", range(2))
def test_bytes_flow_again_within_two_seconds_over_the_new_session(
    tmp_path: Path, event: Story, lasts: float, seed: int
) -> None:
    async def main() -> None:
        net = SimNet(seed=seed)
        async with nodes(2, tmp_path / "nodes", net) as (ann, bob):
            await gather_in_network([ann, bob])
            link, content = await give_file(ann, tmp_path)
            await bob.blobs.set_limits(Limits(down_bytes_per_s=RATE))
            transfer = await bob.blobs.fetch(link, tmp_path / "got")
            clock = asyncio.get_running_loop().time
            last, done, longest = clock(), 0, 0.0
            old = None
            happening: asyncio.Task[None] | None = None
            while (now := bob.blobs.transfer(transfer.id)).state != "complete":
                assert clock() < 120, (now.state, now.reason)
                assert now.state != "failed", now.error
                arrived = bob.blobs.total("down")  # checking takes real time, which is no time here
                if arrived > done:
                    if happening is not None:
                        longest = max(longest, clock() - last)
                    last, done = clock(), arrived
                if happening is None and done > SIZE // 4:
                    old = bob.peers.session(ann.peer)
                    happening = asyncio.create_task(event(net, ann, bob), name="event")
                await asyncio.sleep(0.05)
            assert happening is not None
            await happening
            assert bob.peers.session(ann.peer) is not old, "a new session carried the rest"
            assert longest < lasts + 2.0, f"nothing arrived for {longest:.1f} s"
            assert Path(now.path or "").read_bytes() == content

    run(main())
