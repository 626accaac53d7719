"""The canonical collection of one content: the same for everybody who has the same bytes, whatever they call them.

It is a BEP 52 info dictionary of a single file whose name is its pieces root in hex and whose piece length is
`piece_length_for(size)`. Its infohash is how any peer with the same bytes is asked for them. Pure.
"""

from __future__ import annotations

import re
from hashlib import sha256

from servent.blobs.info import MAX_SIZE, Collection, parse, piece_length_for
from servent.blobs.tree import HASH, has_layer

MOST_INFO = 300  # bytes of a canonical info dictionary, at the largest size
_CANONICAL = re.compile(rb"d9:file treed64:([0-9a-f]{64})d0:d6:lengthi([1-9][0-9]{0,18})e.*", re.DOTALL)


def canonical_info(root: bytes, size: int) -> bytes:
    """The info dictionary of the content `root` of `size` bytes (at least one).

    Raises:
        ValueError: no root, or no size a file can have.
    """
    if len(root) != HASH or not 0 < size <= MAX_SIZE:
        raise ValueError(f"no content has {len(root)} bytes of root and a size of {size}")
    name = root.hex().encode()
    return (
        b"d9:file treed64:%sd0:d6:lengthi%de11:pieces root32:%seee12:meta versioni2e4:name64:%s12:piece lengthi%dee"
        % (name, size, root, name, piece_length_for(size))
    )


def canon(root: bytes, size: int) -> bytes:
    """The infohash of the canonical collection: some microseconds. Raises ValueError as `canonical_info`."""
    return sha256(canonical_info(root, size)).digest()


def canonical(root: bytes, size: int, layer: bytes = b"") -> Collection:
    """The canonical collection.

    Args:
        layer: the piece layer at `piece_length_for(size)`, when it is known and the file has more than one piece.

    Raises:
        ValueError: as `canonical_info`.
        BadMessage: `layer` is not that of `root`.
    """
    info = canonical_info(root, size)
    collection = parse(info, sha256(info).digest())
    if layer and has_layer(size, collection.piece_length):
        collection.learn(root, layer)
    return collection


def is_canonical(collection: Collection) -> bool:
    """Whether this is how a content is asked for, and its name therefore no name for people."""
    if len(collection.files) != 1:
        return False
    file = collection.files[0]
    return file.root is not None and collection.info == canonical_info(file.root, file.size)


def parts_of(info: bytes | None) -> tuple[bytes, int] | None:
    """Root and size of the content that this info dictionary is the canonical one of; None when it is of none."""
    found = _CANONICAL.fullmatch(info) if info is not None and len(info) < MOST_INFO else None
    if found is None:
        return None
    root, size = bytes.fromhex(found[1].decode()), int(found[2])
    try:
        return (root, size) if info == canonical_info(root, size) else None
    except ValueError:  # no size a file can have
        return None


def content_of(info: bytes | None) -> str:
    """The root in hex of the content that this info dictionary is the canonical one of; "" when it is of none."""
    parts = parts_of(info)
    return parts[0].hex() if parts is not None else ""
