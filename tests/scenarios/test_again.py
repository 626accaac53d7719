"""Getting the same thing twice, also when what was fetched first is gone."""

import asyncio
import shutil
from pathlib import Path

import pytest

from servent.node import Node
from servent.testing.nodes import gather_in_network, nodes


async def fetched(node: Node, link: str, to: Path) -> Path:
    transfer = await node.blobs.fetch(link, to)
    async with asyncio.timeout(60):
        while (now := node.blobs.transfer(transfer.id)).state not in ("complete", "failed"):
            await asyncio.sleep(0.02)
    assert now.state == "complete", now.error
    return Path(now.path or "")


@pytest.mark.real
@pytest.mark.parametrize("gone", [False, True])
def test_the_same_link_again_is_copied_or_fetched_anew(tmp_path: Path, gone: bool) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await gather_in_network([ann, bob])
            film = tmp_path / "film.bin"
            film.write_bytes(bytes(range(256)) * 20_000)
            link = ann.blobs.link((await ann.blobs.add(film)).infohash)
            first = await fetched(bob, link, tmp_path / "one")
            if gone:
                shutil.rmtree(tmp_path / "one")
            again = await fetched(bob, link, tmp_path / "two")
            assert again.read_bytes() == film.read_bytes()
            assert first.exists() is not gone

    asyncio.run(main())
