"""From a share of ours to a hybrid torrent of the same files: read once more, for the SHA-1 that version 1 wants."""

from __future__ import annotations

import asyncio
import threading
from hashlib import sha1, sha256

from servent.blobs import info, infov1
from servent.blobs.hashing import Cancelled, Shared
from servent.blobs.info import Collection
from servent.blobs.scan import Changed
from servent.blobs.seed import Seed


async def hybrid(shared: Shared) -> Shared:
    """The same files under an info dictionary with a version 1 half as well, and therefore another infohash.

    Every piece is verified on the way, so that both halves mean the same bytes.

    Raises:
        Changed: a file is not what was shared.
        DiskTrouble: it cannot be read.
    """
    stop = threading.Event()
    try:
        return await asyncio.to_thread(_hybrid, shared, stop)
    except asyncio.CancelledError:
        stop.set()
        raise


def _hybrid(shared: Shared, stop: threading.Event) -> Shared:
    collection = shared.collection
    seed = Seed(collection, shared.root, shared.paths, shared.stamps)
    try:
        content = infov1.hybrid(collection, _pieces(collection, seed, stop))
    finally:
        seed.close()
    made = info.parse(content, sha256(content).digest())
    for root, layer in collection.layers.items():
        made.learn(root, layer)
    return Shared(made, shared.root, shared.paths, shared.stamps, [])


def _pieces(collection: Collection, seed: Seed, stop: threading.Event) -> list[bytes]:
    last, found = infov1.last_file(collection), []
    for piece in range(collection.pieces):
        if stop.is_set():
            raise Cancelled("stopped")
        data = seed.read_piece(piece)
        if not collection.verify(piece, data):
            raise Changed(f"{collection.name} changed since it was shared", advice="Share it again.")
        hashed = sha1(data, usedforsecurity=False)
        gap = collection.piece_length - len(data)
        if gap and collection.span(piece).file != last:
            hashed.update(bytes(gap))
        found.append(hashed.digest())
    return found
