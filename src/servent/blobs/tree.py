"""BEP 52's Merkle tree: SHA-256 over 16 KiB blocks, missing leaves zero, every node above SHA-256 of its two children.

A layer is plain bytes: 32 for each node, left to right. `level` says how high it lies: one node of level
`n` stands for `2**n` blocks.
"""

from __future__ import annotations

from hashlib import sha256

BLOCK = 16 * 1024  # bytes of a leaf; BEP 52
HASH = 32  # bytes of a SHA-256

Buffer = bytes | bytearray | memoryview


def _padding(levels: int) -> list[bytes]:
    pads = [bytes(HASH)]
    while len(pads) <= levels:
        pads.append(sha256(pads[-1] * 2).digest())
    return pads


_PAD = _padding(64)  # _PAD[n]: a tree of 2**n leaves that are all zero


def width_of(count: int) -> int:
    """The smallest power of two that is not below `count` (1 for nothing)."""
    return 1 << max(0, count - 1).bit_length()


def level_of(width: int) -> int:
    """How high a node stands that covers `width` blocks, a power of two."""
    return width.bit_length() - 1


def blocks_in(size: int) -> int:
    """How many blocks `size` bytes fill, the last one perhaps not to its end."""
    return (size + BLOCK - 1) // BLOCK


def hash_blocks(data: Buffer) -> bytes:
    """The leaves of `data`, which starts at a block's border."""
    if len(data) <= BLOCK:
        return sha256(data).digest() if len(data) else b""
    view = memoryview(data)
    return b"".join([sha256(view[at : at + BLOCK]).digest() for at in range(0, len(view), BLOCK)])


def root_of_layer(layer: bytes, width: int = 0, level: int = 0) -> bytes:
    """The node above all of `layer`, whose nodes lie on `level`.

    Args:
        layer: at least one node.
        width: how many nodes the tree has on that level, a power of two; 0: as few as can be.
    """
    count = len(layer) // HASH
    width = width or width_of(count)
    if not 0 < count <= width or len(layer) % HASH:
        raise ValueError(f"{len(layer)} bytes are no layer of up to {width} nodes")
    while width > 1:
        if count & 1:
            layer += _PAD[level]
        layer = b"".join([sha256(layer[at : at + 64]).digest() for at in range(0, len(layer), 64)])
        count = (count + 1) // 2
        width //= 2
        level += 1
    return layer


def root_of_data(data: Buffer, width: int = 0) -> bytes:
    """The node above all blocks of `data` (not empty) in a tree of `width` leaves; 0: as few as can be."""
    return root_of_layer(hash_blocks(data), width)


def pieces_in(size: int, piece_length: int) -> int:
    """How many pieces a file of `size` bytes has. A piece never spans files."""
    return (size + piece_length - 1) // piece_length


def has_layer(size: int, piece_length: int) -> bool:
    """Whether a file's piece layer says more than its root does: it has more than one piece."""
    return size > piece_length


def piece_width(size: int, piece_length: int) -> int:
    """Leaves in the tree above one piece of a file of `size` bytes.

    Every piece of a file with several, the last one too, is padded to the piece length; a file that fits
    in one piece is padded only to the next power of two, because that tree's root is its `pieces root`.
    """
    return piece_length // BLOCK if size > piece_length else width_of(blocks_in(size))


def piece_layer(leaves: bytes, piece_length: int) -> bytes:
    """The piece layer of a file with these leaves: one node for each `piece_length` bytes of data."""
    width = piece_length // BLOCK
    step = width * HASH
    return b"".join([root_of_layer(leaves[at : at + step], width) for at in range(0, len(leaves), step)])


def reduce_layer(layer: bytes, piece_length: int, to: int) -> bytes:
    """The piece layer at the larger piece length `to`, of a file that has more than one piece of it."""
    width = to // piece_length
    step = width * HASH
    level = level_of(piece_length // BLOCK)
    return b"".join([root_of_layer(layer[at : at + step], width, level) for at in range(0, len(layer), step)])


def root_of_pieces(layer: bytes, piece_length: int) -> bytes:
    """The `pieces root` of a file with this piece layer of more than one piece."""
    return root_of_layer(layer, 0, level_of(piece_length // BLOCK))


def verify_layer(root: bytes, layer: bytes, size: int, piece_length: int) -> bool:
    """Whether `layer` is the piece layer of the file of `size` bytes that `root` names."""
    if len(layer) != HASH * pieces_in(size, piece_length) or not has_layer(size, piece_length):
        return False
    return root_of_pieces(layer, piece_length) == root
