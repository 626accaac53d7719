"""Getting the description of a collection from a source: the info dictionary, then the piece layers."""

from __future__ import annotations

import asyncio
from functools import partial
from operator import eq

from servent.blobs import info, wire
from servent.blobs.info import Collection
from servent.blobs.source_service import Source
from servent.errors import BadMessage, ConnectionLost


async def get_info(source: Source, infohash: bytes) -> Collection:
    """The collection that `infohash` names. Raises BadMessage, ConnectionLost."""
    content = await source.request(wire.GetInfo(), "info", lambda size: 0 < size <= info.MAX_INFO_BYTES)
    if content is None:
        raise BadMessage("a peer that offers what it cannot describe")
    return await asyncio.to_thread(info.parse, content, infohash)


async def get_layers(source: Source, collection: Collection) -> None:
    """All layers that `collection` lacks. Raises BadMessage, ConnectionLost: what came until then is kept."""
    missing = collection.missing_layers()
    while missing:
        roots: list[bytes] = []
        total = 0
        for root in missing[: wire.MOST_ROOTS]:
            size = collection.layer_bytes(root)
            if roots and total + size > wire.MOST_LAYER_BYTES:
                break
            roots.append(root)
            total += size
        answer = await source.request(wire.GetLayers(roots), "layers", partial(eq, total))
        if answer is None:
            raise ConnectionLost("a peer that does not have the piece hashes")
        at = 0
        for root in roots:
            size = collection.layer_bytes(root)
            collection.learn(root, answer[at : at + size])
            at += size
        missing = missing[len(roots) :]
