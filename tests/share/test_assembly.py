"""Collections out of what a library knows: the same for everybody, and no names for those who only help."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.blobs import info, tree
from servent.codec import encode
from servent.errors import BadMessage, UsageError
from servent.share import content_wire
from servent.share.assembly import Known, fits, folder, layer_at, nameless, parts_of
from tests.share.stock import root_and_layer


@dataclass
class Disk:
    files: dict[str, bytes]

    def known(self) -> list[Known]:
        found = []
        for path, data in self.files.items():
            root, layer = root_and_layer(data) if data else (None, b"")
            found.append(Known(tuple(path.split("/")), "/x/" + path, len(data), 1, root, layer))
        return found


DICE = random.Random(5)
BIG = DICE.randbytes(1_100_000)
DISK = Disk(
    {"b/two": BIG, "a": b"a", "b/one": DICE.randbytes(300_000), "b/empty": b"", "é/x": DICE.randbytes(70_000)}
)


def test_it_is_what_hashing_the_folder_would_give() -> None:
    collection, taken = folder("top", DISK.known())
    length = info.piece_length_for(sum(map(len, DISK.files.values())))
    files = [
        info.File(tuple(path.split("/")), len(data), root_and_layer(data)[0] if data else None)
        for path, data in DISK.files.items()
    ]
    assert collection.infohash == info.build("top", files, length).infohash
    assert collection.missing_layers() == []
    assert [one.path for one in taken] == [file.path for file in collection.files]
    index = [file.path for file in collection.files].index(("b", "two"))
    for number, piece in enumerate(collection.file_pieces(index)):
        assert collection.verify(piece, BIG[number * length : (number + 1) * length])


def test_the_order_in_which_the_library_lists_files_does_not_matter() -> None:
    known = DISK.known()
    assert folder("top", known)[0].infohash == folder("top", known[::-1])[0].infohash


def test_a_piece_length_of_the_whole_reduces_the_layers_of_its_files() -> None:
    data = DICE.randbytes(3 * 256 * 1024 + 5)  # 256 KiB pieces by itself
    root, layer = root_and_layer(data)
    known = Known(("x",), "", len(data), 1, root, layer)
    for length in (256 * 1024, 512 * 1024):
        assert layer_at(known, length) == tree.piece_layer(tree.hash_blocks(data), length)
        assert fits(len(data), length)
    assert layer_at(known, 1024 * 1024) == b""
    assert not fits(len(data), 128 * 1024)
    with pytest.raises(BadMessage):
        layer_at(known, 128 * 1024)
    with pytest.raises(BadMessage):
        layer_at(known._replace(layer=layer[:-32]), 512 * 1024)


def test_what_cannot_be_fetched_is_left_out_and_nothing_is_an_error() -> None:
    known = [
        *DISK.known(),
        Known(("new",), "", 5, 1, None, b""),
        Known(("\udcff",), "", 1, 1, bytes(32), b""),
    ]
    collection, taken = folder("top", known)
    assert len(taken) == len(DISK.files) == len(collection.files)
    with pytest.raises(UsageError, match="yet"):
        folder("top", [Known(("new",), "", 5, 1, None, b"")])
    many = Known(("x",), "", 1, 1, bytes(32), b"")
    with pytest.raises(UsageError, match="100,000"):
        folder("top", [many] * 100_001)


def test_a_stand_in_has_the_same_pieces_under_the_same_numbers_and_no_names() -> None:
    collection, _ = folder("top", DISK.known())
    message = content_wire.Assemble(collection.infohash, collection.piece_length, parts_of(collection))
    read = content_wire.read_assemble.decode(encode(message))
    other = nameless(read.infohash, read.piece_length, read.parts)
    assert other.infohash == collection.infohash and other.pieces == collection.pieces
    assert [other.span(piece).size for piece in range(other.pieces)] == list(collection.piece_sizes())
    for word in ("two", "one", "top", "empty"):
        assert word.encode() not in encode(message)


@given(
    piece_length=st.integers(16 * 1024, 64 * 1024 * 1024) | st.sampled_from([1 << 18, 1 << 20]),
    parts=st.lists(
        st.tuples(st.sampled_from([bytes(32), b"x" * 32]), st.integers(1, 2**53)), min_size=1, max_size=5
    ),
)
def test_parts_from_a_stranger_are_a_collection_or_a_bad_message(
    piece_length: int, parts: list[tuple[bytes, int]]
) -> None:
    try:
        made = nameless(bytes(32), piece_length, parts)
    except BadMessage:
        return
    assert made.size == sum(size for _, size in parts) and made.pieces <= info.MAX_PIECES


@given(data=st.binary(max_size=300))
def test_questions_and_answers_from_strangers_decode_or_are_bad_messages(data: bytes) -> None:
    for decoder in (content_wire.read_assemble, content_wire.read_assembled):
        try:
            decoder.decode(data)  # type: ignore[attr-defined]
        except BadMessage:
            continue
