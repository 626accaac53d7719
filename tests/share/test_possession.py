"""A block proves that its bearer has the content, and nothing else does."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.blobs.info import piece_length_for
from servent.blobs.tree import (
    BLOCK,
    blocks_in,
    has_layer,
    hash_blocks,
    piece_layer,
    root_of_data,
    root_of_pieces,
)
from servent.share import possession


def content(size: int) -> tuple[bytes, bytes, bytes]:
    """Some bytes, their root, their piece layer."""
    data = random.Random(size).randbytes(size)
    length = piece_length_for(size)
    if not has_layer(size, length):
        return data, root_of_data(data), b""
    layer = piece_layer(hash_blocks(data), length)
    return data, root_of_pieces(layer, length), layer


def block_of(data: bytes, layer: bytes, block: int) -> tuple[bytes, list[bytes]]:
    length = piece_length_for(len(data))
    first = block * BLOCK // length * length if layer else 0
    path = possession.path_of(len(data), block, data[first : first + length], layer)
    return data[block * BLOCK : (block + 1) * BLOCK], path


SIZES = [1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK, piece_length_for(1) + 1, 9 * piece_length_for(1) + 77]


@pytest.mark.parametrize("size", SIZES)
def test_every_block_of_a_content_proves_it(size: int) -> None:
    data, root, layer = content(size)
    for block in range(blocks_in(size)):
        shown, path = block_of(data, layer, block)
        assert possession.holds(root, size, block, shown, path)


@given(st.sampled_from(SIZES), st.data())
def test_another_block_other_bytes_or_another_path_prove_nothing(size: int, draw: st.DataObject) -> None:
    data, root, layer = content(size)
    block = draw.draw(st.integers(0, blocks_in(size) - 1))
    shown, path = block_of(data, layer, block)
    assert not possession.holds(root, size, block + 1, shown, path) or blocks_in(size) == 1
    flipped = bytes([shown[0] ^ 1]) + shown[1:]
    assert not possession.holds(root, size, block, flipped, path)
    assert not possession.holds(root, size, block, shown, [*path, bytes(32)])
    assert not possession.holds(bytes(32), size, block, shown, path)
    if path:
        at = draw.draw(st.integers(0, len(path) - 1))
        wrong = list(path)
        wrong[at] = bytes(b ^ 255 for b in wrong[at])
        assert not possession.holds(root, size, block, shown, wrong)


@pytest.mark.parametrize("size", [0, -1, 1 << 63])
def test_a_size_no_file_has_is_no_proof(size: int) -> None:
    assert not possession.holds(bytes(32), size, 0, b"", [])
