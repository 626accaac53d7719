"""Whole nodes that fetch from each other's libraries by content: several sources, folders, and who may have what."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from servent.blobs.canonical import canon, canonical_info
from servent.blobs.magnet import Magnet
from servent.blobs.rows import How
from servent.blobs.views import Limits, TransferView
from servent.node import Node
from servent.testing.nodes import gather_in_network, nodes
from tests.share.stock import let_see, root_and_layer, stock

MB = 1_000_000


async def ended(node: Node, id: str, limit: float = 30.0) -> TransferView:
    try:
        async with asyncio.timeout(limit):
            while node.blobs.transfer(id).state not in ("complete", "failed", "paused"):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"still {node.blobs.transfer(id)}") from None
    return node.blobs.transfer(id)


def some_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.real
@pytest.mark.timeout(60)
def test_two_who_call_it_differently_are_both_sources(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path / "nodes") as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            data = some_bytes(24 * MB)
            for node, folder, name in ((ann, "films", "a film.mkv"), (bob, "misc/old", "VID_0001.mkv")):
                (tmp_path / folder).mkdir(parents=True)
                (tmp_path / folder / name).write_bytes(data)
                await stock(node, 1, tmp_path / folder.split("/")[0])
                let_see(node, {cat.peer: {1}})
                await node.blobs.set_limits(Limits(up_bytes_per_s=12 * MB))
            root, _ = root_and_layer(data)
            how = How(called="my film.mkv", info=canonical_info(root, len(data)))
            begun = await cat.blobs.fetch(Magnet(canon(root, len(data))), tmp_path / "cat", how)
            assert begun.name == "my film.mkv" and begun.size_bytes == len(data)
            gave: dict[str, int] = {}
            while (now := cat.blobs.transfer(begun.id)).state not in ("complete", "failed"):
                gave |= {str(source.peer): source.bytes for source in now.sources}
                await asyncio.sleep(0.02)
            assert now.state == "complete" and now.name == "my film.mkv"
            assert (tmp_path / "cat" / "my film.mkv").read_bytes() == data
            assert min(gave[str(ann.peer)], gave[str(bob.peer)]) > len(data) // 5
            assert [share.name for share in cat.blobs.shares()] == ["my film.mkv"]

    asyncio.run(main())
