"""Nodes that share some files, for tests of finding."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from servent.node import Node
from servent.share.folding import Hit
from servent.share.search_service import Done, Told


async def shares(
    node: Node, folder: Path, files: dict[str, bytes], audience: str = "network", **more: Any
) -> int:
    """Write `files` below `folder`, share it, and wait until they are found."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    view = await node.share.library.add(folder, audience=audience, **more)
    await node.share.library.settled()
    return view.id


async def found(node: Node, text: str, **more: Any) -> tuple[dict[str, Hit], list[Told], Done]:
    """A search to its end: the last hit of each name."""
    hits: dict[bytes, Hit] = {}
    told: list[Told] = []
    async for event in node.share.search.search(text, **more):
        match event:
            case Hit():
                hits[event.content] = event
            case Told():
                told.append(event)
            case Done():
                done = event
    return {hit.name: hit for hit in hits.values()}, told, done


async def met(members: Sequence[Node]) -> None:
    """Until everybody is connected to everybody."""
    async with asyncio.timeout(60):
        while not all(len(node.peers.sessions()) == len(members) - 1 for node in members):
            await asyncio.sleep(0.02)
