"""From what the library knows of files to collections, without hashing anything. Pure.

The library keeps a piece layer of each file at the piece length that fits the file. A collection of many files has
one piece length for all, at least as long: the layers are reduced to it. So two peers with the same folder make the
same info dictionary, and a peer with some of its files, in whatever folders, can serve their pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from servent.blobs import info, tree
from servent.errors import BadMessage, UsageError

MAX_FOLDER_FILES = 100_000  # of one folder that is fetched as a whole
Part = tuple[bytes, int]  # (pieces root, size)


class Known(NamedTuple):
    """A file of the library. `path`: below the folder that is fetched; `where`: on the disk; `id`: its row; `below`: the
    shared folder it is in.
    """

    path: tuple[str, ...]
    where: str
    size: int
    stamp: int
    root: bytes | None
    layer: bytes
    id: int = 0
    below: str = ""


def fits(size: int, piece_length: int) -> bool:
    """Whether the library's layer of a file of `size` bytes can be reduced to `piece_length`."""
    return not tree.has_layer(size, piece_length) or info.piece_length_for(size) <= piece_length


def layer_at(known: Known, piece_length: int) -> bytes:
    """The file's layer at `piece_length`, or b"" when its root says it all. Raises BadMessage: it cannot be had."""
    if known.root is None or not tree.has_layer(known.size, piece_length):
        return b""
    own = info.piece_length_for(known.size)
    if own > piece_length or len(known.layer) != tree.HASH * tree.pieces_in(known.size, own):
        raise BadMessage("a layer that does not reach as far down")
    return tree.reduce_layer(known.layer, own, piece_length)


def teach(collection: info.Collection, known: Iterable[Known]) -> None:
    """Give `collection` the layers of these files. Raises BadMessage: one does not lead to its root."""
    missing = set(collection.missing_layers())
    for one in known:
        if one.root in missing:
            collection.learn(one.root, layer_at(one, collection.piece_length))
            missing.discard(one.root)


def folder(name: str, files: Sequence[Known]) -> tuple[info.Collection, list[Known]]:
    """The collection of a folder, and its files in the order of the collection.

    Files that are not hashed yet are left out, and those whose names no other system could read.

    Raises:
        UsageError: nothing is left, or over a limit.
    """
    taken = [one for one in files if (one.root is not None or one.size == 0) and _readable(one.path)]
    if len(taken) > MAX_FOLDER_FILES:
        raise UsageError(
            f"a folder of more than {MAX_FOLDER_FILES:,} files is not fetched as one",
            advice="Fetch the folders in it one by one.",
        )
    if not any(one.size for one in taken):
        raise UsageError("nothing in this folder can be fetched yet", advice="It may still be hashed there.")
    taken.sort(key=lambda one: info.in_order(one.path))
    piece_length = info.piece_length_for(sum(one.size for one in taken))
    collection = info.build(name, [info.File(one.path, one.size, one.root) for one in taken], piece_length)
    teach(collection, taken)
    return collection, taken


def _readable(path: tuple[str, ...]) -> bool:
    try:
        return 0 < len(path) <= info.MAX_DEPTH and all(part.encode() for part in path)
    except UnicodeEncodeError:
        return False


def parts_of(collection: info.Collection) -> list[Part]:
    """What another peer needs to know of a collection to serve pieces of it: no names."""
    return [(file.root, file.size) for file in collection.files if file.root is not None]


def nameless(infohash: bytes, piece_length: int, parts: Sequence[Part]) -> info.Collection:
    """A stand-in for the collection that `parts_of` was taken of: the same pieces under the same numbers.

    Raises:
        BadMessage: there is none like this.
    """
    if piece_length & (piece_length - 1):
        raise BadMessage("a piece length that is no power of two")
    files = [info.File((f"{number:07}",), size, root) for number, (root, size) in enumerate(parts)]
    try:
        collection = info.build("parts", files, piece_length)
    except UsageError as wrong:
        raise BadMessage(str(wrong)) from wrong
    collection.infohash = infohash  # only who names it gets it, and checks every piece against its own
    return collection
