"""What is on this machine already: another copy, or what an earlier run left behind."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from servent.blobs.disk import Partial
from servent.blobs.info import Collection
from servent.blobs.rows import Row
from servent.blobs.scan import PARTIAL_PREFIX
from servent.blobs.seed import PieceSource, already_there
from servent.errors import WorldError


def copy_from(
    source: PieceSource, collection: Collection, to: Path, progress: Callable[[int], None]
) -> Path | None:
    """Write what `source` holds below `to`, or find it there. Blocks: run it in a thread.

    Returns where it is, or None when the source's own files are gone or have changed.

    Raises:
        DiskTrouble: `to` does not take it.
    """
    partial = Partial.open(to, collection)
    try:
        there = already_there(collection, partial.to)
        if there is not None:
            partial.discard()
            return there
        for piece in range(collection.pieces):
            if not partial.has(piece):
                try:
                    data = source.read_piece(piece)
                except WorldError:  # gone, changed, or not ours to read
                    return None
                if not collection.verify(piece, data):
                    return None
                partial.write_piece(piece, data)
                progress(partial.done_bytes)
        return partial.finish()
    finally:
        partial.close()


def left_info(row: Row) -> bytes | None:
    """What an earlier run that was killed before it could tell the store left beside the download. Blocks."""
    try:
        content = (Path(row.to) / f"{PARTIAL_PREFIX}{row.infohash.hex()[:16]}" / "info").read_bytes()
    except OSError:
        return None
    return content if sha256(content).digest() == row.infohash else None
