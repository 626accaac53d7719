"""A node that fetches from BitTorrent among liars: what is wrong is not kept, and it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from servent.blobs.hashing import collect
from servent.blobs.magnet import Magnet
from servent.blobs.rows import How
from servent.errors import UsageError
from servent.node import Node
from servent.testing.nodes import quiet_config
from servent.testing.simnet import SimNet
from servent.torrent import metafile
from servent.torrent.views import Adding
from tests.net.party import until
from tests.torrent.liars import WebSeed, bad_peer
from tests.torrent.swarm import LOOPBACK, looped, session
from tests.torrent.test_seeding import album, files_of

ELSEWHERE = replace(LOOPBACK, listen=("127.0.0.5",))  # whoever lies is banned with the address it lied from


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Node]:
    """A whole node, whose own network is simulated, and BitTorrent's is loopback."""
    net = SimNet(seed=1)
    config = quiet_config("ours", folder)
    config.blobs.bulk = False

    async def simulated(identity: Any, **_: Any) -> Any:
        return net.endpoint(identity)

    async with Node(folder / "data", config, open_endpoint=simulated) as node:
        yield node


def v1_of(folder: Path, *seeds: str) -> bytes:
    files = [
        lt.create_file_entry(path.relative_to(folder.parent).as_posix(), path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    made = lt.create_torrent(files, 65536, lt.create_torrent.v1_only)
    lt.set_piece_hashes(made, str(folder.parent))
    for url in seeds:
        made.add_url_seed(url)
    return bytes(lt.bencode(made.generate()))


def v2_of(folder: Path, *seeds: str) -> bytes:
    collection = collect(folder).collection
    return metafile.encode(collection.info, collection.layers, web_seeds=seeds)


async def complete(node: Node, id: str, peer: str = "") -> None:
    """Wait for a transfer, and bring it together with this peer."""
    async with asyncio.timeout(60):
        while node.blobs.transfer(id).state != "complete":
            assert node.blobs.transfer(id).state != "failed", node.blobs.transfer(id)
            for handle in node.torrent_session.handles() if peer else []:
                handle.connect(peer)
            await asyncio.sleep(0.1)


async def fetched(node: Node, torrent: bytes, to: Path, peer: str = "") -> None:
    """By a .torrent; returns once it is complete."""
    view = await node.torrent_files.fetch(metafile.decode(torrent), torrent, to)
    await complete(node, view.id, peer)


@pytest.mark.parametrize("make", [v1_of, v2_of])
@looped
async def test_a_web_seed_alone_is_enough(tmp_path: Path, make: Any) -> None:
    album(tmp_path / "web" / "album")
    with WebSeed(tmp_path / "web") as web:
        async with running(tmp_path / "ours") as node:
            await fetched(node, make(tmp_path / "web" / "album", web.url), tmp_path / "got")
        assert web.asked > 0
    assert files_of(tmp_path / "got" / "album") == files_of(tmp_path / "web" / "album")


@pytest.mark.parametrize("make", [v1_of, v2_of])
@looped
async def test_a_web_seed_that_lies_is_found_out_and_an_honest_peer_finishes(
    tmp_path: Path, make: Any
) -> None:
    folder = album(tmp_path / "album")
    with WebSeed(tmp_path, lies=True) as web:
        torrent = make(folder, web.url)
        async with running(tmp_path / "ours") as node, session(tmp_path / "theirs", ELSEWHERE) as other:
            known = metafile.decode(torrent)
            id = (await node.torrent_files.fetch(known, torrent, tmp_path / "got")).id
            await until(lambda: web.asked > 1)
            assert node.blobs.transfer(id).state != "complete"
            assert files_of(tmp_path / "got") == {} or not (tmp_path / "got" / "album").exists()
            await other.add(Adding(tmp_path, torrent=make(folder), seed=True, upload=True))
            await complete(node, id, f"127.0.0.5:{other.view().port}")
    assert files_of(tmp_path / "got" / "album") == files_of(folder)


@looped
async def test_a_peer_that_sends_rubbish_is_found_out(tmp_path: Path) -> None:
    folder = album(tmp_path / "album")
    torrent = v1_of(folder)
    known = metafile.decode(torrent)
    assert known.v1 is not None and known.plain is not None
    pieces = len(known.plain.pieces) // 20
    async with (
        bad_peer(known.v1, pieces) as liar,
        running(tmp_path / "ours") as node,
        session(tmp_path / "theirs") as other,
    ):
        link = Magnet(known.v1, "album", peers=(f"127.0.0.7:{liar.port}",))
        view = await node.blobs.fetch(link, tmp_path / "got", How(info=known.info))
        await until(lambda: liar.sent > 3)
        await other.add(Adding(tmp_path, torrent=torrent, seed=True, upload=True))
        await complete(node, view.id, f"127.0.0.1:{other.view().port}")
    assert files_of(tmp_path / "got" / "album") == files_of(folder)


@looped
async def test_paths_that_lead_out_stay_inside(tmp_path: Path) -> None:
    """The files are there, under names that lead nowhere else."""
    (tmp_path / "web" / "x").mkdir(parents=True)
    (tmp_path / "web" / "x" / "y").write_bytes(b"z" * 1000)
    data = lt.bdecode(v1_of(tmp_path / "web" / "x"))
    data[b"info"][b"files"][0][b"path"] = [b"..", b"..", b"escaped"]
    data[b"info"][b"name"] = b"../up"
    torrent = bytes(lt.bencode(data))
    async with running(tmp_path / "ours") as node, session(tmp_path / "theirs") as other:
        sane = tmp_path / "web" / "x" / "y"
        await other.add(
            Adding(tmp_path / "none", torrent=torrent, seed=True, upload=True, renamed=((0, str(sane)),))
        )
        await fetched(node, torrent, tmp_path / "got", f"127.0.0.1:{other.view().port}")
    found = [path.relative_to(tmp_path).parts for path in tmp_path.rglob("*") if path.name == "escaped"]
    assert [parts[0] for parts in found] == ["got"] and ".." not in found[0]


@looped
async def test_the_door_can_be_closed(tmp_path: Path) -> None:
    net = SimNet(seed=1)
    config = quiet_config("ours", tmp_path)
    config.torrent.enabled = False

    async def simulated(identity: Any, **_: Any) -> Any:
        return net.endpoint(identity)

    async with Node(tmp_path / "data", config, open_endpoint=simulated) as node:
        share = await node.blobs.add(album(tmp_path / "album"))
        assert share.infohash is not None
        with pytest.raises(UsageError, match="closed"):
            await node.seeding.seed(share.infohash)
        assert not node.torrent_session.is_open
