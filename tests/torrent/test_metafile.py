"""Torrent files: what is written is read again, by us and by libtorrent; what is damaged or hostile is refused in words."""

from __future__ import annotations

import contextlib
import os
from hashlib import sha1, sha256
from pathlib import Path

import libtorrent as lt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.blobs import bencode, info, infov1
from servent.blobs.hashing import Shared, collect
from servent.blobs.seed import Seed
from servent.errors import BadMessage
from servent.torrent import metafile

TRACKERS = (("http://tracker.example/announce", "udp://tracker.example:6969"), ("https://second.example/a",))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    folder = tmp_path_factory.mktemp("shared") / "album"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.bin").write_bytes(os.urandom(700_001))
    (folder / "b.bin").write_bytes(os.urandom(info.SMALLEST_CHOSEN))
    (folder / "deep" / "c.bin").write_bytes(os.urandom(300_000))
    (folder / "empty").write_bytes(b"")
    (folder / "z.txt").write_bytes(b"last")
    return collect(folder)


def sha1_pieces(shared: Shared) -> list[bytes]:
    collection = shared.collection
    seed = Seed(collection, shared.root, shared.paths, shared.stamps)
    last = infov1.last_file(collection)
    found = []
    for piece in range(collection.pieces):
        data = seed.read_piece(piece)
        if collection.span(piece).file != last:
            data += bytes(collection.piece_length - len(data))
        found.append(sha1(data).digest())
    seed.close()
    return found


def v1_info(files: list[tuple[list[bytes], int]] | None = None, **changes: bencode.Value) -> bytes:
    listed = files if files is not None else [([b"a"], 10), ([b"b"], 20)]
    total = sum(size for _, size in listed)
    made: dict[bytes, bencode.Value] = {
        b"files": [{b"length": size, b"path": list(path)} for path, size in listed],
        b"name": b"old",
        b"piece length": 16384,
        b"pieces": bytes(20 * min(9, -(-total // 16384))),
    }
    for key, value in changes.items():
        made[key.encode().replace(b"_", b" ")] = value
    return bencode.encode(made)


def test_a_torrent_of_a_share_has_the_infohash_of_its_link_for_us_and_for_libtorrent(shared: Shared) -> None:
    collection = shared.collection
    data = metafile.encode(
        collection.info,
        collection.layers,
        trackers=TRACKERS,
        web_seeds=["http://mirror.example/files/"],
        comment="ours",
        created_by="servent",
        created=1_700_000_000,
    )
    read = metafile.decode(data)
    assert (read.version, read.v1, read.v2) == ("v2", None, collection.infohash)
    assert read.collection is not None and read.collection.layers == collection.layers
    assert read.trackers == TRACKERS and read.web_seeds == ("http://mirror.example/files/",)
    assert (read.comment, read.created_by, read.private) == ("ours", "servent", False)
    theirs = lt.load_torrent_buffer(data)
    assert theirs.info_hashes.v2.to_bytes() == collection.infohash and not theirs.info_hashes.has_v1()
    assert [*theirs.trackers] == [url for tier in TRACKERS for url in tier]


def test_a_hybrid_of_a_share_is_one_for_libtorrent(shared: Shared) -> None:
    content = infov1.hybrid(shared.collection, sha1_pieces(shared))
    data = metafile.encode(content, shared.collection.layers)
    read = metafile.decode(data)
    assert (read.version, read.v1, read.v2) == ("hybrid", sha1(content).digest(), sha256(content).digest())
    theirs = lt.load_torrent_buffer(data)
    assert (theirs.info_hashes.v1.to_bytes(), theirs.info_hashes.v2.to_bytes()) == (read.v1, read.v2)
    assert read.size == shared.collection.size and read.name == "album"


@pytest.mark.parametrize("kind", ["v2", "hybrid"])
def test_libtorrent_keeps_files_under_the_numbers_we_think(shared: Shared, kind: str) -> None:
    collection = shared.collection
    content = collection.info if kind == "v2" else infov1.hybrid(collection, sha1_pieces(shared))
    theirs = lt.load_torrent_buffer(metafile.encode(content, collection.layers))
    files = theirs.ti.layout() if hasattr(theirs.ti, "layout") else theirs.ti.files()
    paths = [files.file_path(index) for index in infov1.places_of(collection)]
    assert paths == ["/".join(("album", *file.path)) for file in collection.files]


@pytest.mark.parametrize("kind", [lt.create_torrent.v1_only, lt.create_torrent.v2_only, None])
def test_what_libtorrent_writes_is_read(shared: Shared, kind: int | None) -> None:
    files = [
        lt.create_file_entry(os.path.join("album", *file.path), file.size) for file in shared.collection.files
    ]
    made = lt.create_torrent(files, 256 * 1024, *(() if kind is None else (kind,)))
    made.add_url_seed("http://mirror.example/")
    made.add_tracker("http://tracker.example/announce", 0)
    lt.set_piece_hashes(made, str(shared.root.parent))
    data = lt.bencode(made.generate())
    read, theirs = metafile.decode(data), lt.load_torrent_buffer(data)
    assert read.v1 == (theirs.info_hashes.v1.to_bytes() if theirs.info_hashes.has_v1() else None)
    assert read.v2 == (theirs.info_hashes.v2.to_bytes() if theirs.info_hashes.has_v2() else None)
    assert read.size == shared.collection.size
    assert read.web_seeds == ("http://mirror.example/",)
    assert read.trackers == (("http://tracker.example/announce",),)
    again = metafile.encode(
        read.info, read.collection.layers if read.collection else {}, trackers=read.trackers
    )
    assert metafile.decode(again).id == read.id


def refused(content: bytes, layers: dict[bytes, bytes] | None = None) -> str:
    return said(metafile.encode(content, layers or {}))


def said(data: bytes) -> str:
    with pytest.raises(BadMessage) as wrong:
        metafile.decode(data)
    return str(wrong.value)


def test_damaged_and_hostile_torrents_are_refused_in_words(shared: Shared) -> None:
    collection = shared.collection
    layers = collection.layers
    root = next(iter(layers))
    assert "lacks 2" in refused(collection.info)
    assert "does not lead" in refused(collection.info, {**layers, root: bytes(len(layers[root]))})
    assert "of no file" in refused(collection.info, {**layers, bytes(32): bytes(64)})
    assert "piece layer of 0 bytes" in refused(collection.info, {**layers, root: b""})
    assert "bytes of piece hashes" in refused(v1_info(pieces=bytes(40)))
    assert "a file of -1 bytes" in refused(v1_info([([b"a"], -1), ([b"b"], 11)]))
    assert "9223372036854775807" in refused(v1_info([([b"a"], 2**63 - 1)]))
    assert "piece length of 0" in refused(v1_info(piece_length=0))
    assert "piece length of -16384" in refused(v1_info(piece_length=-16384))
    assert "damaged list" in refused(v1_info(length=30))
    assert "damaged list" in refused(v1_info([]))
    linked = bencode.encode(
        {
            b"files": [{b"attr": b"l", b"length": 30, b"path": [b"a"]}],
            b"name": b"old",
            b"piece length": 16384,
            b"pieces": bytes(40),
        }
    )
    assert "symbolic link" in refused(linked)
    assert "name that is" in refused(v1_info(name=b""))
    assert "without pieces" in refused(b"de")
    for data in (b"", b"d", b"de", b"i1e", b"le", b"d4:infoi1ee", b"d4:infodee trailing"):
        assert said(data)
    assert "over the limit" in said(bytes(metafile.MAX_TORRENT_BYTES + 1))
    assert "duplicate" in said(b"d4:info" + v1_info() + b"4:info" + v1_info() + b"e")
    assert "nested deeper" in said(b"d1:a" + b"l" * 1_000_000 + b"e" * 1_000_000 + b"e")
    assert "values" in said(b"d1:al" + b"de" * (bencode.MAX_VALUES + 1) + b"ee")


def test_halves_of_a_hybrid_that_contradict_each_other_are_refused(shared: Shared) -> None:
    made = bencode.decode(infov1.hybrid(shared.collection, sha1_pieces(shared)), 1 << 24)
    assert isinstance(made, dict)
    files = made[b"files"]
    assert isinstance(files, list)
    for change in (
        lambda: [*files[:-1], {**files[-1], b"path": [b"other"]}],
        lambda: [files[0], *files[2:], {b"attr": b"p", b"length": files[1][b"length"], b"path": [b"p"]}],
        lambda: [{**files[0], b"length": files[0][b"length"] - 1}, *files[1:], {**files[-1], b"length": 1}],
    ):
        assert "contradict" in refused(bencode.encode({**made, b"files": change()}), shared.collection.layers)


@pytest.mark.parametrize(
    "path",
    [
        [b"..", b"..", b"etc", b"passwd"],
        [b"/etc/passwd"],
        [b"a/../../b"],
        [b"C:\\x"],
        [b"nul"],
        [b"\xff\xfe"],
    ],
)
def test_no_path_of_a_torrent_leaves_the_folder(path: list[bytes]) -> None:
    read = metafile.decode(metafile.encode(v1_info([(path, 10), ([b"b"], 20)], name=b"../up"), {}))
    for found in metafile.safe_paths(read):
        assert found[0] == ".._up"
        assert not Path(*found).is_absolute() and ".." not in found
        assert all(part not in ("", ".") and "/" not in part and "\\" not in part for part in found)


def test_only_urls_that_something_can_be_asked_of_are_kept() -> None:
    data = bencode.encode(
        {
            b"announce": b"file:///etc/passwd",
            b"announce-list": [
                [b"udp://a.example:1", b"javascript:1"],
                [b"udp://a.example:1"],
                b"http://b.example",
                7,
                [b"http://me:secret@c.example/"],
            ],
            b"info": bencode.decode(v1_info(), 1 << 20),
            b"url-list": [b"http://m.example/x", b"ftp://m.example", b"http://" + b"m" * 3000, 3],
        }
    )
    read = metafile.decode(data)
    assert read.trackers == (("udp://a.example:1",), ("http://b.example",))
    assert read.web_seeds == ("http://m.example/x",)


values = st.recursive(
    st.integers(-(2**70), 2**70) | st.binary(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([b"files", b"length", b"name", b"path", b"pieces", b"piece length", b"attr"])
            | st.sampled_from([b"file tree", b"meta version", b"pieces root", b"", b"private", b"a"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(st.binary(max_size=300) | values.map(lambda value: b"d4:info" + bencode.encode(value) + b"e"))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    try:
        read = metafile.decode(data)
    except BadMessage:
        return
    assert read.info in data and metafile.safe_paths(read)


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_torrent_with_one_byte_changed_is_read_or_refused(at: int, byte: int) -> None:
    sound = metafile.encode(v1_info(), {}, trackers=TRACKERS, web_seeds=["http://m.example/"])
    at %= len(sound)
    with contextlib.suppress(BadMessage):
        metafile.decode(sound[:at] + bytes([byte]) + sound[at + 1 :])
