"""BEP 52's tree, against a plain reading of its text."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.blobs import tree
from servent.blobs.tree import BLOCK

SIZES = [
    1,
    2,
    BLOCK - 1,
    BLOCK,
    BLOCK + 1,
    2 * BLOCK,
    3 * BLOCK,
    4 * BLOCK - 1,
    4 * BLOCK,
    4 * BLOCK + 1,
    200_000,
]


def plain_root(leaves: list[bytes], width: int) -> bytes:
    """The definition, without any shortcut."""
    nodes = leaves + [bytes(32)] * (width - len(leaves))
    while len(nodes) > 1:
        nodes = [sha256(nodes[at] + nodes[at + 1]).digest() for at in range(0, len(nodes), 2)]
    return nodes[0]


def leaves_of(data: bytes) -> list[bytes]:
    return [sha256(data[at : at + BLOCK]).digest() for at in range(0, len(data), BLOCK)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece_length", [BLOCK, 4 * BLOCK])
def test_roots_and_layers_are_those_of_the_definition(size: int, piece_length: int) -> None:
    data = random.Random(size).randbytes(size)
    leaves = leaves_of(data)
    width = tree.width_of(len(leaves))
    root = plain_root(leaves, width)
    assert tree.root_of_data(data) == root
    assert tree.hash_blocks(data) == b"".join(leaves)
    per_piece = piece_length // BLOCK
    layer = [plain_root(leaves[at : at + per_piece], per_piece) for at in range(0, len(leaves), per_piece)]
    if tree.has_layer(size, piece_length):
        assert tree.piece_layer(b"".join(leaves), piece_length) == b"".join(layer)
        assert tree.root_of_pieces(b"".join(layer), piece_length) == root
        assert tree.verify_layer(root, b"".join(layer), size, piece_length)
        assert not tree.verify_layer(root, b"".join(layer[:-1]), size, piece_length)
        assert not tree.verify_layer(root, b"".join(reversed(layer)), size, piece_length)
    else:
        assert not tree.verify_layer(root, root, size, piece_length), "one piece needs no layer"


@given(
    st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=20),
    st.integers(0, 3),
    st.integers(0, 5),
)
def test_padding_by_subtrees_is_padding_by_leaves(nodes: list[bytes], more: int, level: int) -> None:
    width = tree.width_of(len(nodes)) << more
    pad = plain_root([], 1 << level)
    expected = nodes + [pad] * (width - len(nodes))
    while len(expected) > 1:
        expected = [sha256(expected[at] + expected[at + 1]).digest() for at in range(0, len(expected), 2)]
    assert tree.root_of_layer(b"".join(nodes), width, level) == expected[0]


@given(st.integers(1, 40 * BLOCK), st.sampled_from([BLOCK, 2 * BLOCK, 8 * BLOCK]))
@settings(deadline=None)
def test_every_piece_is_hashed_alone_as_in_its_file(size: int, piece_length: int) -> None:
    data = bytes(size)
    leaves = tree.hash_blocks(data)
    width = tree.piece_width(size, piece_length)
    pieces = [tree.root_of_data(data[at : at + piece_length], width) for at in range(0, size, piece_length)]
    if len(pieces) == 1:
        assert pieces == [tree.root_of_layer(leaves)]
    else:
        assert b"".join(pieces) == tree.piece_layer(leaves, piece_length)


@pytest.mark.parametrize(("layer", "width"), [(b"", 1), (bytes(31), 1), (bytes(64), 1), (bytes(33), 2)])
def test_what_is_no_layer_has_no_root(layer: bytes, width: int) -> None:
    with pytest.raises(ValueError):
        tree.root_of_layer(layer, width)


@settings(deadline=None)
@given(blocks=st.integers(1, 200), short=st.integers(0, 100), up=st.integers(0, 4))
def test_a_layer_reduced_is_the_layer_of_longer_pieces(blocks: int, short: int, up: int) -> None:
    data = (bytes(range(251)) * (blocks * tree.BLOCK // 251 + 1))[: blocks * tree.BLOCK - short]
    leaves = tree.hash_blocks(data)
    fine, coarse = 2 * tree.BLOCK, (2 << up) * tree.BLOCK
    if tree.has_layer(len(data), coarse):
        layer = tree.piece_layer(leaves, fine)
        assert tree.reduce_layer(layer, fine, coarse) == tree.piece_layer(leaves, coarse)
