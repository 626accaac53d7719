"""What of the library and of shares goes out to BitTorrent, over the API's own face: nothing unasked, nothing hashed again."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from base64 import b64decode
from pathlib import Path

import msgspec
import pytest

from servent.api import schema_torrent as bt
from servent.api.adapter import NodeFace
from servent.blobs import shares_service
from servent.errors import Doubtful, NotFound, UsageError
from servent.torrent import metafile
from tests.net.party import until
from tests.torrent.swarm import fetch, looped, session
from tests.torrent.test_hostile_torrents import running
from tests.torrent.test_seeding import album, files_of


@looped
async def test_a_folder_of_the_library_is_seeded_as_it_is_and_asks_when_it_is_for_friends(
    tmp_path: Path,
) -> None:
    folder = album(tmp_path / "music" / "album")
    (tmp_path / "music" / "single.bin").write_bytes(b"1" * 300_000)
    with pytest.MonkeyPatch.context() as patch:

        def never(*_: object) -> None:
            raise AssertionError("it is hashed again")

        patch.setattr(shares_service, "collect", never)
        async with running(tmp_path / "ours") as node, session(tmp_path / "theirs") as other:
            face = NodeFace(node)
            await node.share.library.add(tmp_path / "music", audience="friends")
            await node.share.library.settled()
            wish = bt.TorrentSeed(what=str(folder))
            assert face.torrents() == []
            with pytest.raises(Doubtful, match="your friends only"):
                await face.seed_torrent(wish)
            assert face.torrents() == [] and node.blobs.shares() == []
            made = await face.seed_torrent(msgspec.structs.replace(wish, confirm=True))
            assert (made.name, made.state, made.version) == ("album", "seeding", "v2")
            assert [share.infohash for share in node.blobs.shares()] == [bytes.fromhex(made.id)]
            file = await face.torrent_file(made.id)
            data = b64decode(file.data)
            assert file.name == "album.torrent" and metafile.decode(data).id == made.id
            await fetch(other, data, tmp_path / "got", node.torrent_session.view().port)
            assert files_of(tmp_path / "got" / "album") == files_of(folder)
            single = await face.seed_torrent(
                bt.TorrentSeed(what=str(tmp_path / "music" / "single.bin"), confirm=True)
            )
            data = b64decode((await face.torrent_file(single.id)).data)
            await fetch(other, data, tmp_path / "got", node.torrent_session.view().port)
            assert (tmp_path / "got" / "single.bin").read_bytes() == b"1" * 300_000
            for wrong in (str(tmp_path / "music" / "none"), str(tmp_path), "nothing"):
                with pytest.raises(NotFound):
                    await face.seed_torrent(bt.TorrentSeed(what=wrong, confirm=True))
            # Gone from the library's shares: gone from BitTorrent.
            await node.blobs.remove_share(made.id)
            await until(lambda: node.seeding.view(made.id).reason != "")
            await face.unseed_torrent(single.id)
            assert [one.id for one in face.torrents()] == [made.id]


@looped
async def test_what_is_for_friends_and_networks_asks_before_everybody_sees_it_and_asks_once(
    tmp_path: Path,
) -> None:
    folder = album(tmp_path / "music" / "album")
    async with running(tmp_path / "ours") as node:
        face = NodeFace(node)
        await node.share.library.add(tmp_path / "music")
        await node.share.library.settled()
        wish = bt.TorrentSeed(what=str(folder))
        with pytest.raises(Doubtful, match="your friends and networks only"):
            await face.seed_torrent(wish)
        await node.blobs.add(folder)  # a link to it is not everybody either
        with pytest.raises(Doubtful, match="your friends and networks only"):
            await face.seed_torrent(bt.TorrentSeed(what=str(folder)))
        assert face.torrents() == [] and face.torrent_status().seeding == 0
        made = await face.seed_torrent(msgspec.structs.replace(wish, confirm=True))
        await until(lambda: face.torrent_status().seeding == 1)
        assert not face.torrent_status().dht and face.torrent_status().dht_why
        again = await face.seed_torrent(bt.TorrentSeed(what=made.id))
        assert again.id == made.id


@looped
async def test_what_is_sent_is_seeded_after_a_restart(tmp_path: Path) -> None:
    folder = album(tmp_path / "album")
    async with running(tmp_path / "ours") as node:
        face = NodeFace(node)
        share = await node.blobs.add(folder)
        assert share.infohash is not None
        made = await face.seed_torrent(bt.TorrentSeed(what=share.id[:10], hybrid=True))
        assert made.version == "hybrid" and made.infohash_v1 and made.infohash_v2 != share.id
        again = await face.seed_torrent(bt.TorrentSeed(what=made.id))
        assert again.id == made.id and len(face.torrents()) == 1
        with pytest.raises(UsageError, match="cannot be used"):
            await face.fetch_torrent(b"d4:infode", None)
    async with running(tmp_path / "ours") as node:
        face = NodeFace(node)
        await until(lambda: node.seeding.handle(made.id) is not None)
        assert face.torrents()[0].state == "seeding"
        assert await face.torrent_peers(made.id) == []
        assert face.torrent_status().installed


@looped
async def test_the_nodes_limit_is_for_all_that_is_seeded_together(tmp_path: Path) -> None:
    async with running(tmp_path / "ours") as node, session(tmp_path / "theirs") as other:
        await node.blobs.set_limits(dataclasses.replace(node.blobs.limits(), up_bytes_per_s=400_000.0))
        torrents = []
        for name in ("one.bin", "two.bin"):
            (tmp_path / name).write_bytes(os.urandom(500_000))
            share = await node.blobs.add(tmp_path / name)
            assert share.infohash is not None
            await node.seeding.seed(share.infohash)
            torrents.append(await node.seeding.export(share.infohash))
        port = node.torrent_session.view().port
        began = time.monotonic()
        async with asyncio.TaskGroup() as both:
            for number, torrent in enumerate(torrents):
                both.create_task(fetch(other, torrent, tmp_path / f"got {number}", port))
        assert (
            time.monotonic() - began > 1.2
        )  # two and a half seconds' worth, less what a bucket holds at first
