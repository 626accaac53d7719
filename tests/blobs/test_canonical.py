"""One content, one infohash, whatever the file is called."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.blobs import info, tree
from servent.blobs.canonical import canon, canonical, canonical_info, content_of, is_canonical
from servent.errors import BadMessage

SIZES = st.integers(1, info.MAX_SIZE) | st.integers(1, 1 << 24)


@given(root=st.binary(min_size=32, max_size=32), size=SIZES)
def test_it_is_what_building_it_the_long_way_gives(root: bytes, size: int) -> None:
    name = root.hex()
    if size <= info.MAX_PIECES * info.LARGEST_CHOSEN:  # more pieces are read by nobody
        built = info.build(name, [info.File((name,), size, root)], info.piece_length_for(size))
        assert canonical_info(root, size) == built.info
        assert canon(root, size) == built.infohash == canonical(root, size).infohash
        assert canonical(root, size).single
        assert is_canonical(built)


def test_the_layer_is_taken_when_it_belongs_and_refused_when_it_does_not() -> None:
    data = bytes(range(256)) * 4096  # 1 MiB: four pieces
    length = info.piece_length_for(len(data))
    layer = tree.piece_layer(tree.hash_blocks(data), length)
    root = tree.root_of_pieces(layer, length)
    collection = canonical(root, len(data), layer)
    assert collection.verify(3, data[3 * length :])
    with pytest.raises(BadMessage):
        canonical(root, len(data), layer[:-32] + bytes(32))
    small = canonical(sha256(b"x").digest(), 1, b"of a file of one piece there is none")
    assert small.verify(0, b"x")


@pytest.mark.parametrize(("root", "size"), [(bytes(31), 1), (bytes(32), 0), (bytes(32), info.MAX_SIZE + 1)])
def test_what_no_content_can_be(root: bytes, size: int) -> None:
    with pytest.raises(ValueError, match="no content"):
        canon(root, size)


@given(
    root=st.binary(min_size=32, max_size=32), size=SIZES, at=st.integers(0, 400), other=st.integers(0, 255)
)
def test_the_content_is_read_from_its_own_info_and_from_no_other(
    root: bytes, size: int, at: int, other: int
) -> None:
    made = canonical_info(root, size)
    assert content_of(made) == root.hex()
    changed = bytearray(made)
    changed[at % len(made)] = other
    assert content_of(bytes(changed)) in ("", root.hex())  # a digit of the size may be another
    assert content_of(made + b"e") == content_of(made[:-1]) == content_of(b"") == content_of(None) == ""


def test_a_file_that_merely_looks_like_it_is_not() -> None:
    root = bytes(32)
    named = info.build("a.txt", [info.File(("a.txt",), 5, root)], info.SMALLEST_CHOSEN)
    assert not is_canonical(named)
    other = info.build(root.hex(), [info.File((root.hex(),), 5, root)], 16384)
    assert not is_canonical(other)
