"""Proof that somebody has a content: one block of it with the hashes that lead to the content's root. Pure.

The tree is that of BEP 52: leaves are SHA-256 of 16 KiB blocks, missing leaves are zero. Whoever asks chooses the
block, so that the root alone, which anybody can copy, answers nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct

from servent.blobs.info import MAX_SIZE, piece_length_for
from servent.blobs.tree import (
    BLOCK,
    HASH,
    blocks_in,
    has_layer,
    hash_blocks,
    level_of,
    piece_width,
    pieces_in,
    root_of_layer,
    width_of,
)
from servent.codec import Decoder, Hash

SERVICE = "servent.possession/1"
MOST_PATH = 48  # levels; a file of 2^53 bytes has 39


class ShowBlock(Struct, frozen=True, tag="show-block"):
    """Anybody who may see the file: show me this block of it. Answered by `Block`."""

    root: Hash
    block: Annotated[int, Meta(ge=0, le=2**40)]


class Block(Struct, frozen=True, tag="block"):
    """The block and the hashes beside its way to the root, lowest first; both empty: not here, or not for you."""

    data: Annotated[bytes, Meta(max_length=BLOCK)] = b""
    path: Annotated[list[Hash], Meta(max_length=MOST_PATH)] = []


read_question: Decoder[ShowBlock] = Decoder(ShowBlock, 128)
read_answer: Decoder[Block] = Decoder(Block, BLOCK + 64 * MOST_PATH + 128)


def depth(size: int) -> int:
    """How many hashes a path has in a file of `size` bytes, at least one byte."""
    length = piece_length_for(size)
    above = width_of(pieces_in(size, length)) if has_layer(size, length) else 1
    return level_of(piece_width(size, length)) + level_of(above)


def path_of(size: int, block: int, piece: bytes, layer: bytes) -> list[bytes]:
    """The path of `block`.

    Args:
        piece: the bytes of the piece it lies in.
        layer: the piece layer at `piece_length_for(size)`; b"" for a file of one piece.
    """
    length = piece_length_for(size)
    width = piece_width(size, length)
    path = _beside(hash_blocks(piece), width, 0, block % width)
    if has_layer(size, length):
        path += _beside(layer, width_of(pieces_in(size, length)), level_of(width), block // width)
    return path


def holds(root: bytes, size: int, block: int, data: bytes, path: Sequence[bytes]) -> bool:
    """Whether `data` is that block of the content `root` of `size` bytes."""
    if not 0 < size <= MAX_SIZE or not 0 <= block < blocks_in(size) or len(path) != depth(size):
        return False
    if len(data) != min(BLOCK, size - block * BLOCK):
        return False
    node, at = sha256(data).digest(), block
    for other in path:
        node = sha256(other + node if at & 1 else node + other).digest()
        at >>= 1
    return node == root


def _beside(nodes: bytes, width: int, level: int, at: int) -> list[bytes]:
    """The siblings on the way up from node `at` of a tree with `width` nodes on this level."""
    found: list[bytes] = []
    step = 1
    while step < width:
        first = (at // step ^ 1) * step
        some = nodes[first * HASH : (first + step) * HASH]
        found.append(root_of_layer(some, step, level) if some else _empty(level + level_of(step)))
        step *= 2
    return found


def _empty(level: int) -> bytes:
    node = bytes(HASH)
    for _ in range(level):
        node = sha256(node * 2).digest()
    return node
