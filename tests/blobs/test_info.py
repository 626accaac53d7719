"""Collections: built for sharing, read from strangers."""

from __future__ import annotations

import contextlib
import random
import time
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.blobs import bencode, info, tree
from servent.blobs.info import Collection, File, Span
from servent.errors import BadMessage, UsageError

BLOCK = tree.BLOCK
KiB, MiB, GiB = 1024, 1024**2, 1024**3


def collection_of(sizes: list[int], piece_length: int = 4 * BLOCK) -> tuple[Collection, list[bytes]]:
    """A folder with files of these sizes, all layers known, and the files' bytes."""
    dice = random.Random(1)
    datas = [dice.randbytes(size) for size in sizes]
    files = [
        File((f"{number:03}",), len(data), tree.root_of_data(data) if data else None)
        for number, data in enumerate(datas)
    ]
    made = info.build("folder", files, piece_length)
    for file, data in zip(files, datas, strict=True):
        if file.size > piece_length and file.root is not None:
            made.learn(file.root, tree.piece_layer(tree.hash_blocks(data), piece_length))
    return made, datas


def encoded(**changes: bencode.Value) -> bytes:
    """A good info dictionary of one file, with some keys changed or (None) left out."""
    entry: bencode.Value = {b"": {b"length": 5, b"pieces root": bytes(32)}}
    fields: dict[bytes, bencode.Value] = {
        b"file tree": {b"a": entry},
        b"meta version": 2,
        b"name": b"folder",
        b"piece length": 16 * KiB,
    }
    fields.update({key.replace("_", " ").encode(): value for key, value in changes.items()})
    return bencode.encode(fields)


def parse(data: bytes) -> Collection:
    return info.parse(data, sha256(data).digest())


def file_entry(size: int, root: bytes | None = bytes(32)) -> bencode.Value:
    inner: dict[bytes, bencode.Value] = {b"length": size}
    if root is not None:
        inner[b"pieces root"] = root
    return {b"": inner}


def test_pieces_are_numbered_over_all_files_and_never_span_two() -> None:
    made, _ = collection_of([0, 1, 4 * BLOCK, 4 * BLOCK + 1, 0, 9 * BLOCK, 0])
    assert made.pieces == 0 + 1 + 1 + 2 + 0 + 3 + 0
    spans = [made.span(piece) for piece in range(made.pieces)]
    assert spans == [
        Span(1, 0, 1),
        Span(2, 0, 4 * BLOCK),
        Span(3, 0, 4 * BLOCK),
        Span(3, 4 * BLOCK, 1),
        Span(5, 0, 4 * BLOCK),
        Span(5, 4 * BLOCK, 4 * BLOCK),
        Span(5, 8 * BLOCK, BLOCK),
    ]
    assert [list(made.file_pieces(index)) for index in range(7)] == [[], [0], [1], [2, 3], [], [4, 5, 6], []]
    assert list(made.piece_sizes()) == [span.size for span in spans]
    for wrong in (-1, made.pieces):
        with pytest.raises(IndexError):
            made.span(wrong)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 4 * BLOCK, 4 * BLOCK + 1, 200_000]),
        min_size=1,
        max_size=6,
    )
)
def test_every_piece_verifies_and_nothing_else_does(sizes: list[int]) -> None:
    made, datas = collection_of(sizes)
    assert made.missing_layers() == []
    for piece in range(made.pieces):
        index, offset, size = made.span(piece)
        data = datas[index][offset : offset + size]
        assert made.verify(piece, data)
        assert tree.root_of_data(data, made.piece_width(piece)) == made.expected(piece)
        assert not made.verify(piece, data + b"\0")
        assert not made.verify(piece, data[:-1])
        assert not made.verify(piece, bytes([data[0] ^ 1]) + data[1:])


def test_a_layer_is_kept_only_if_it_leads_to_its_root() -> None:
    made, datas = collection_of([9 * BLOCK, 1])
    layer = tree.piece_layer(tree.hash_blocks(datas[0]), made.piece_length)
    fresh = info.parse(made.info, made.infohash)
    [root] = fresh.missing_layers()
    with pytest.raises(LookupError):
        fresh.expected(0)
    for wrong in (b"", layer[:-32], layer + bytes(32), bytes(len(layer))):
        with pytest.raises(BadMessage):
            fresh.learn(root, wrong)
    with pytest.raises(BadMessage):
        fresh.learn(bytes(32), layer)
    assert fresh.missing_layers() == [root]
    fresh.learn(root, layer)
    assert fresh.missing_layers() == [] and fresh.expected(0) == layer[:32]


@pytest.mark.parametrize(
    ("total", "length"),
    [
        (0, 256 * KiB),
        (1, 256 * KiB),
        (256 * MiB, 256 * KiB),
        (GiB, MiB),
        (GiB + 1, 2 * MiB),
        (1000 * GiB, 4 * MiB),
    ],
)
def test_a_gigabyte_has_a_thousand_pieces(total: int, length: int) -> None:
    assert info.piece_length_for(total) == length


def test_what_is_built_is_read_again() -> None:
    files = [
        File(("b", "x"), 5, bytes(32)),
        File(("a",), 0, None),
        File(("b.z",), 7, b"\1" * 32, True),
        File(("b", "ü", "日本"), 3, b"\2" * 32),
    ]
    made = info.build("Föld", files, 64 * KiB)
    again = info.parse(made.info, made.infohash)
    assert [file.path for file in again.files] == [("a",), ("b", "x"), ("b", "ü", "日本"), ("b.z",)]
    assert sorted(again.files) == sorted(files)
    assert (again.name, again.size, again.pieces, again.single) == ("Föld", 15, 3, False)
    assert bencode.encode(bencode.decode(made.info, MiB)) == made.info


def test_one_file_under_its_own_name_is_no_folder() -> None:
    assert info.build("a.txt", [File(("a.txt",), 1, bytes(32))], 16 * KiB).single


def test_a_dictionary_under_another_hash_is_refused() -> None:
    with pytest.raises(BadMessage, match="infohash"):
        info.parse(encoded(), bytes(32))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"de",
        b"le",
        b"i1e",
        encoded(meta_version=1),
        encoded(meta_version=b"2"),
        encoded(file_tree=b""),
        encoded(file_tree=[]),
        encoded(name=b""),
        encoded(name=b"\xff"),
        encoded(name=b"n" * 5000),
        encoded(name=3),
        encoded(piece_length=0),
        encoded(piece_length=16 * KiB + 1),
        encoded(piece_length=8 * KiB),
        encoded(piece_length=128 * MiB),
        encoded(piece_length=-16 * KiB),
        encoded(file_tree={b"a": file_entry(-1)}),
        encoded(file_tree={b"a": file_entry(2**53 + 1)}),
        encoded(file_tree={b"a": file_entry(2**53), b"b": file_entry(1, b"\1" * 32)}),
        encoded(file_tree={b"a": file_entry(2**50)}),
        encoded(file_tree={b"a": file_entry(5, None)}),
        encoded(file_tree={b"a": file_entry(0)}),
        encoded(file_tree={b"a": file_entry(5, bytes(31))}),
        encoded(file_tree={b"a": file_entry(5), b"b": file_entry(6)}),
        encoded(file_tree={b"": {b"length": 5, b"pieces root": bytes(32)}}),
        encoded(file_tree={b"a": {b"": {b"length": 0}, b"b": file_entry(1)}}),
        encoded(file_tree={b"a": {b"": {b"attr": b"l", b"length": 0, b"symlink path": [b"etc"]}}}),
        encoded(file_tree={b"\xff": file_entry(5)}),
        encoded(file_tree={b"a": 3}),
        encoded()[:-1],
        encoded() + b"e",
    ],
)
def test_what_breaks_the_rules_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        parse(data)


def test_folders_have_a_deepest_level() -> None:
    entry = file_entry(5)
    for _ in range(info.MAX_DEPTH - 1):
        entry = {b"d": entry}
    assert len(parse(encoded(file_tree={b"d": entry})).files[0].path) == info.MAX_DEPTH
    with pytest.raises(BadMessage, match="deeper"):
        parse(encoded(file_tree={b"d": {b"d": entry}}))
    bottomless = b"d9:file tree" + b"d1:d" * 500_000
    with pytest.raises(BadMessage):
        parse(bottomless)


def test_keys_we_do_not_use_are_skipped() -> None:
    made = parse(
        encoded(private=1, source=b"somewhere", files=[{b"length": 5, b"path": [b"a"]}], pieces=bytes(20))
    )
    assert made.size == 5


@settings(max_examples=300)
@given(st.data())
def test_damaged_dictionaries_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    good = bytearray(encoded(file_tree={b"a": file_entry(5), b"d": {b"b": file_entry(0, None)}}))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(good) - 1))
        good[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(BadMessage):
        parse(bytes(good))


def test_names_that_cannot_be_in_one_folder_are_our_users_problem() -> None:
    same = [File(("a",), 1, bytes(32)), File(("a",), 1, bytes(32))]
    with pytest.raises(UsageError):
        info.build("x", same, 16 * KiB)
    with pytest.raises(UsageError):
        info.build("x", [File(("a",), 1, bytes(32)), File(("a", "b"), 2, b"\1" * 32)], 16 * KiB)


def test_thirty_thousand_files_are_read_in_a_moment() -> None:
    files = [File((f"{n // 100:04}", f"{n:06}.bin"), n + 1, n.to_bytes(32, "big")) for n in range(30_000)]
    made = info.build("many", files, MiB)
    begun = time.process_time()
    again = info.parse(made.info, made.infohash)
    assert time.process_time() - begun < 5  # some 0.1 s; a bound against quadratic work only
    assert again.pieces == 30_000 and again.span(29_999).file == 29_999
