"""What strangers write into info dictionaries: read strictly, and nothing leaves the download's folder."""

from __future__ import annotations

import asyncio
import contextlib
from hashlib import sha1
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.blobs import bencode, names
from servent.blobs.listing import describe
from servent.errors import BadMessage
from servent.testing.nodes import nodes
from servent.torrent.session import Session
from servent.torrent.views import Adding
from tests.net.party import until
from tests.torrent.swarm import looped, session

values = st.recursive(
    st.integers(-(10**6), 10**6) | st.binary(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.binary(max_size=8), inner, max_size=3),
    max_leaves=8,
)
parts = st.sampled_from(
    [b"..", b".", b"/", b"a/b", b"", b"\0", b"con", b"a", b"A", b"\xff", b"C:", b"~", b"a" * 300]
)


def listed(made: dict[bytes, bencode.Value]) -> tuple[bytes, bytes]:
    content = bencode.encode(made)
    return content, sha1(content, usedforsecurity=False).digest()


@given(st.dictionaries(st.sampled_from([b"pieces", b"name", b"files", b"length", b"piece length"]), values))
def test_any_dictionary_is_a_list_of_files_or_refused(made: dict[bytes, bencode.Value]) -> None:
    content, infohash = listed(made)
    with contextlib.suppress(BadMessage):
        assert describe(content, infohash).info == content


@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_of_files_or_refused(content: bytes) -> None:
    with contextlib.suppress(BadMessage):
        describe(content, sha1(content, usedforsecurity=False).digest())


@given(parts, st.lists(st.lists(parts, min_size=1, max_size=3), min_size=1, max_size=5))
def test_no_name_leaves_the_folder_and_no_two_files_are_one(name: bytes, paths: list[list[bytes]]) -> None:
    made: dict[bytes, bencode.Value] = {
        b"name": name,
        b"piece length": 16384,
        b"pieces": bytes(20),
        b"files": [{b"length": 1, b"path": list(path)} for path in paths],
    }
    try:
        safe = names.safe_paths(describe(*listed(made)))
    except BadMessage:
        return
    assert len({"/".join(path).casefold() for path in safe}) == len(paths)
    for path in safe:
        assert all(part not in ("", ".", "..") and "/" not in part and "\0" not in part for part in path)


def test_the_infohash_is_held_to() -> None:
    content, infohash = listed({b"name": b"x", b"length": 1, b"piece length": 16384, b"pieces": bytes(20)})
    assert describe(content, infohash).files[0].size == 1
    with pytest.raises(BadMessage, match="does not match"):
        describe(content, bytes(20))


@pytest.mark.parametrize(
    "wrong",
    [
        {b"attr": b"l", b"symlink path": [b"etc", b"passwd"]},
        {b"length": -1},
        {b"length": 2**60},
        {b"path": []},
        {b"path": [b"a"] * 100},
        {b"path": [b"b"]},
        {b"path": [b"b", b"c"]},
    ],
)
def test_links_negative_sizes_and_depths_are_refused(wrong: dict[bytes, bencode.Value]) -> None:
    entry: dict[bytes, bencode.Value] = {b"length": 1, b"path": [b"a"], **wrong}
    made: dict[bytes, bencode.Value] = {
        b"name": b"x",
        b"piece length": 16384,
        b"pieces": bytes(20),
        b"files": [entry, {b"length": 1, b"path": [b"b"]}],
    }
    with pytest.raises(BadMessage):
        describe(*listed(made))


async def offered(own: Session, folder: Path, made: dict[bytes, bencode.Value]) -> str:
    """A peer that has this torrent's description and pretends to have the rest; the link to it."""
    content, infohash = listed(made)
    await own.add(Adding(folder, torrent=b"d4:info" + content + b"e", seed=True))
    return f"magnet:?xt=urn:btih:{infohash.hex()}&x.pe=127.0.0.1:{own.view().port}"


@looped
async def test_path_tricks_of_a_peer_end_inside_the_folder(tmp_path: Path) -> None:
    data = b"owned" * 10
    made: dict[bytes, bencode.Value] = {
        b"name": b"../../evil",
        b"piece length": 16384,
        b"pieces": sha1(data, usedforsecurity=False).digest(),
        b"files": [
            {b"length": 20, b"path": [b"..", b"..", b"..", b"one"]},
            {b"length": 20, b"path": [b"a:b?", b"con"]},
            {b"length": 10, b"path": [b"plain"]},
        ],
    }
    async with session(tmp_path / "seed") as own, nodes(1, tmp_path / "nodes") as (ann,):
        # libtorrent's own seeder would clean the names: what it serves lies where it looks for it.
        link = await offered(own, tmp_path / "files", made)
        (handle,) = own.handles()
        at = 0
        for path, size in zip(await handle.paths(), (20, 20, 10), strict=True):
            place = tmp_path / "files" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data[at : at + size])
            at += size
        handle.recheck()
        before = {path for path in tmp_path.rglob("*") if "nodes" not in path.parts}
        id = (await ann.blobs.fetch(link, tmp_path / "nodes" / "to" / "deep")).id
        await until(lambda: ann.blobs.transfer(id).state in ("complete", "failed", "paused"))
        view = ann.blobs.transfer(id)
        assert view.state == "complete", view.reason
        final = Path(view.path or "")
        assert final.parent == tmp_path / "nodes" / "to" / "deep"
        found = {
            path.relative_to(final).as_posix(): path.read_bytes()
            for path in final.rglob("*")
            if path.is_file()
        }
        assert sorted(found.values(), key=len) == [data[40:], data[:20], data[20:40]]
        assert len(found) == 3 and "plain" in found
        after = {path for path in tmp_path.rglob("*") if "nodes" not in path.parts}
        assert after == before, "nothing was written elsewhere"


@looped
async def test_a_link_inside_a_torrent_is_refused_and_the_node_goes_on(tmp_path: Path) -> None:
    made: dict[bytes, bencode.Value] = {
        b"name": b"album",
        b"piece length": 16384,
        b"pieces": bytes(20),
        b"files": [
            {b"attr": b"l", b"length": 0, b"path": [b"door"], b"symlink path": [b"..", b"etc"]},
            {b"length": 10, b"path": [b"door", b"passwd"]},
        ],
    }
    async with session(tmp_path / "seed") as own, nodes(1, tmp_path / "nodes") as (ann,):
        link = await offered(own, tmp_path / "files", made)
        id = (await ann.blobs.fetch(link)).id
        await until(lambda: ann.blobs.transfer(id).state == "failed")
        assert "symbolic link" in ann.blobs.transfer(id).reason
        await until(lambda: ann.torrent_session.handles() == [])
        await ann.blobs.remove(id)
        await asyncio.sleep(0)
        assert list((tmp_path / "nodes").rglob(".servent-part*")) == []
