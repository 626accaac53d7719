"""Which pieces of a collection belong to the files that somebody chose. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from servent.blobs.info import Collection
from servent.blobs.pieces import Bits, runs_of


def pieces_of(collection: Collection, files: Iterable[int]) -> Bits:
    """All pieces of these files."""
    bits = Bits(collection.pieces)
    for first, count in runs_of(files):  # files that follow each other have pieces that do
        start = collection.file_pieces(first).start
        stop = collection.file_pieces(first + count - 1).stop
        bits.set_run(start, stop - start)
    return bits


def bytes_in(collection: Collection, pieces: Bits) -> int:
    """How many bytes these pieces have."""
    sizes = collection.piece_sizes()
    return sum(sum(sizes[first : first + count]) for first, count in pieces.runs())
