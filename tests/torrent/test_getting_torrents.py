"""Downloads through the door, from libtorrent peers on loopback: version 2, hybrid and version 1, alone and with our own peers."""

from __future__ import annotations

import asyncio
import os
import random
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import libtorrent as lt
import pytest

from servent.api.adapter_holders import HoldersPart
from servent.api.schema_network import HolderQuery
from servent.blobs.hashing import collect
from servent.blobs.rows import How
from servent.blobs.views import Limits, TransferView
from servent.errors import UsageError
from servent.node import Node
from servent.testing.nodes import gather_in_network, nodes
from servent.torrent import metafile
from servent.torrent.session import Session
from servent.torrent.views import Adding
from tests.net.party import until
from tests.torrent.swarm import LOOPBACK, looped, session

MB = 1024 * 1024
KINDS = {
    "v1": lt.create_torrent.v1_only,
    "v2": lt.create_torrent.v2_only,
    "hybrid": 0,
}


def some_bytes(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


ALBUM = {
    "a first.bin": some_bytes(700_001, 1),
    "deep/er/b.bin": some_bytes(2 * MB + 5, 2),
    "deep/empty": b"",
    "run.sh": b"#!/bin/sh\n",
    "z.bin": some_bytes(300_000, 3),
}


def laid_out(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def torrent_of(folder: Path, kind: str, piece: int = 64 * 1024) -> bytes:
    made = lt.create_torrent(lt.list_files(str(folder)), piece, KINDS[kind])
    lt.set_piece_hashes(made, str(folder.parent))
    return bytes(lt.bencode(made.generate()))


def link_of(torrent: bytes, *ports: int) -> str:
    hashes = lt.load_torrent_buffer(torrent).info_hashes
    topics = [f"xt=urn:btih:{hashes.v1}"] * hashes.has_v1() + [
        f"xt=urn:btmh:1220{hashes.v2}"
    ] * hashes.has_v2()
    return "magnet:?" + "&".join([*topics, *(f"x.pe=127.0.0.1:{port}" for port in ports)])


def content(path: Path) -> dict[str, bytes]:
    return {one.relative_to(path).as_posix(): one.read_bytes() for one in path.rglob("*") if one.is_file()}


async def ended(node: Node, id: str, limit: float = 60.0) -> TransferView:
    await until(lambda: node.blobs.transfer(id).state in ("complete", "failed", "paused"), limit)
    return node.blobs.transfer(id)


@asynccontextmanager
async def seeder(
    folder: Path, what: str | bytes, files: Path, *, limit: int = 0
) -> AsyncIterator[tuple[Session, str]]:
    """A BitTorrent peer with everything, and the link to it. `what`: a kind, or a torrent. `limit`: bytes per second that it sends."""
    torrent = what if isinstance(what, bytes) else await asyncio.to_thread(torrent_of, files, what)
    async with session(folder, replace(LOOPBACK, upload_slots=20)) as own:
        await own.add(Adding(files.parent, torrent=torrent, seed=True, up_bytes_per_s=limit))
        yield own, link_of(torrent, own.view().port)


@pytest.mark.parametrize("kind", KINDS)
@looped
async def test_a_torrent_comes_from_bittorrent_peers_and_is_served_here_at_once(
    tmp_path: Path, kind: str
) -> None:
    album = laid_out(tmp_path / "with" / "album", ALBUM)
    (album / "run.sh").chmod(0o755)
    async with (
        seeder(tmp_path / "seed", kind, album) as (_, link),
        nodes(2, tmp_path / "nodes") as (ann, bob),
    ):
        await gather_in_network([ann, bob])
        done = await ended(ann, (await ann.blobs.fetch(link)).id)
        assert done.state == "complete", done.reason
        final = Path(done.path or "")
        assert final.name == "album" and content(final) == ALBUM
        assert not (final / "run.sh").stat().st_mode & stat.S_IXUSR, (
            "a stranger's word makes nothing executable"
        )
        assert [one.name for one in Path(done.path or "").parent.iterdir()] == ["album"], (
            "nothing is left beside it"
        )
        await until(lambda: ann.blobs.shares() != [])
        (share,) = ann.blobs.shares()
        assert share.infohash is not None
        if kind != "v1":
            assert share.infohash == done.infohash and share.infohash.hex() in link
        else:
            await until(lambda: ann.blobs.transfer(done.id).reason.startswith("served here as magnet:"))
            assert share.infohash.hex() in ann.blobs.transfer(done.id).reason
        again = await ended(bob, (await bob.blobs.fetch(ann.blobs.link(share.infohash), tmp_path / "bob")).id)
        assert again.state == "complete" and content(Path(again.path or "")) == ALBUM
        assert done.rate_bytes_per_s >= 0 and ann.torrents.status().received_bytes >= 0


@looped
async def test_both_worlds_bring_one_download_at_once(tmp_path: Path) -> None:
    album = laid_out(tmp_path / "with" / "album", {"film.mkv": some_bytes(24 * MB, 9), "info.txt": b"x"})
    shared = await asyncio.to_thread(collect, album)
    torrent = metafile.encode(shared.collection.info, shared.collection.layers)
    async with (
        seeder(tmp_path / "seed", torrent, album, limit=MB) as (seeds, link),
        nodes(2, tmp_path / "nodes") as (ann, bob),
    ):
        await gather_in_network([ann, bob])
        await ann.blobs.add(album)
        await ann.blobs.set_limits(Limits(up_bytes_per_s=MB))
        id = (await bob.blobs.fetch(link, tmp_path / "bob")).id
        ours = theirs = 0
        async with asyncio.timeout(60):
            while (view := bob.blobs.transfer(id)).state != "complete":
                assert view.state not in ("failed", "paused"), view.reason
                ours = max([ours, *(source.bytes for source in view.sources)])
                theirs = max([theirs, *(one.received_bytes for one in bob.torrents.torrents())])
                if ours > 2 * MB and theirs > 2 * MB:
                    seeds.handles()[0].limit(0, 0)
                    await ann.blobs.set_limits(Limits())
                await asyncio.sleep(0.02)
        assert content(Path(view.path or "")) == content(album)
        assert ours > 2 * MB and theirs > 2 * MB, (ours, theirs)
        assert ours + theirs < 24 * MB + 6 * MB, "hardly anything came twice"


@pytest.mark.parametrize("kind", ["v1", "v2"])
@looped
async def test_a_pause_keeps_what_is_there_and_the_rest_comes_later(tmp_path: Path, kind: str) -> None:
    album = laid_out(tmp_path / "with" / "album", {"film.mkv": some_bytes(5 * MB, 9), "info.txt": b"x"})
    async with (
        seeder(tmp_path / "seed", kind, album, limit=MB) as (seeds, link),
        nodes(1, tmp_path / "nodes") as (ann,),
    ):
        id = (await ann.blobs.fetch(link)).id
        await until(lambda: ann.blobs.transfer(id).done_bytes > MB)
        files = []
        while not any(0 < file.done_bytes <= file.size_bytes for file in files):
            files = await ann.share.getting.files(id, 0, 10)
            await asyncio.sleep(0.05)
        await ann.blobs.pause(id)
        seeds.handles()[0].limit(0, 0)
        assert ann.torrent_session.handles() == []
        before = ann.blobs.transfer(id).done_bytes
        await ann.blobs.resume(id)
        done = await ended(ann, id)
        assert done.state == "complete" and content(Path(done.path or "")) == content(album)
        came = ann.torrents.status().received_bytes
        assert came < 7 * MB and before > MB, "little came twice"


@pytest.mark.parametrize("kind", KINDS)
@looped
async def test_chosen_files_alone_are_fetched(tmp_path: Path, kind: str) -> None:
    album = laid_out(tmp_path / "with" / "album", ALBUM)
    async with (
        seeder(tmp_path / "seed", kind, album) as (_, link),
        nodes(1, tmp_path / "nodes") as (ann,),
    ):
        done = await ended(ann, (await ann.blobs.fetch(link, how=How(patterns=["*first*", "z.bin"]))).id)
        assert done.state == "complete", done.reason
        wanted = {name: data for name, data in ALBUM.items() if "first" in name or name == "z.bin"}
        assert content(Path(done.path or "")) == wanted


@looped
async def test_a_torrent_file_of_version_2_needs_no_tracker_and_nobody_who_tells_its_hashes(
    tmp_path: Path,
) -> None:
    album = laid_out(tmp_path / "with" / "album", ALBUM)
    torrent = torrent_of(album, "v2")
    async with nodes(1, tmp_path / "nodes") as (ann,):
        id = (await ann.torrent_files.fetch(metafile.decode(torrent), torrent)).id
        await until(lambda: ann.blobs.download_of(id)[1] is not None)
        await until(lambda: getattr(ann.blobs.download_of(id)[1], "swarm", None) is not None)
        await until(lambda: ann.torrents.torrents() != [])
        (handle,) = ann.torrent_session.handles()
        async with seeder(tmp_path / "seed", torrent, album) as (own, _):
            handle.connect(f"127.0.0.1:{own.view().port}")
            done = await ended(ann, id)
        assert done.state == "complete" and content(Path(done.path or "")) == ALBUM


@looped
async def test_a_hybrid_named_by_its_version_1_alone_is_fetched_all_the_same(tmp_path: Path) -> None:
    album = laid_out(tmp_path / "with" / "album", ALBUM)
    async with (
        seeder(tmp_path / "seed", "hybrid", album) as (_, link),
        nodes(1, tmp_path / "nodes") as (ann,),
    ):
        old = "&".join(part for part in link.split("&") if "btmh" not in part)
        done = await ended(ann, (await ann.blobs.fetch(old)).id)
        assert done.state == "complete" and content(Path(done.path or "")) == ALBUM


@pytest.mark.parametrize("kind", KINDS)
@looped
async def test_what_was_fetched_is_given_back_and_can_be_moved_and_removed(tmp_path: Path, kind: str) -> None:
    album = laid_out(tmp_path / "with" / "album", ALBUM)
    async with (
        seeder(tmp_path / "seed", kind, album) as (_, link),
        nodes(1, tmp_path / "nodes") as (ann,),
    ):
        id = (await ann.blobs.fetch(link)).id
        done = await ended(ann, id)
        await until(lambda: [one.state for one in ann.torrents.torrents()] == ["seeding"])
        assert [one.version for one in ann.torrents.torrents()] == [kind]
        await ann.blobs.verify(id)
        await ann.blobs.move(id, tmp_path / "elsewhere", "renamed")
        assert content(tmp_path / "elsewhere" / "renamed") == ALBUM
        assert not Path(done.path or "").exists()
        await ann.blobs.remove(id)
        assert content(tmp_path / "elsewhere" / "renamed") == ALBUM


@looped
async def test_the_same_into_two_folders_at_once_comes_to_both(tmp_path: Path) -> None:
    album = laid_out(tmp_path / "with" / "album", ALBUM)
    async with (
        seeder(tmp_path / "seed", "hybrid", album, limit=100_000) as (seeds, link),
        nodes(1, tmp_path / "nodes") as (ann,),
    ):
        ids = [(await ann.blobs.fetch(link, tmp_path / name)).id for name in ("one", "two")]
        await until(lambda: any("does not help" in ann.blobs.transfer(id).reason for id in ids))
        seeds.handles()[0].limit(0, 0)
        for id in ids:
            done = await ended(ann, id)
            assert done.state == "complete" and content(Path(done.path or "")) == ALBUM, done.reason


@looped
async def test_what_was_not_hashed_before_the_node_ended_is_hashed_at_its_next_start(tmp_path: Path) -> None:
    album = laid_out(tmp_path / "with" / "album", ALBUM)
    async with seeder(tmp_path / "seed", "v1", album) as (_, link):
        async with nodes(1, tmp_path / "nodes") as (ann,):
            id = (await ann.blobs.fetch(link)).id
            await ended(ann, id)
            await until(lambda: ann.blobs.transfer(id).reason.startswith("served here"))
            (share,) = ann.blobs.shares()
            await ann.blobs.remove_share(share.id)
            ann.blobs.download_of(id)[0].shared = b""
            await ann.blobs.order(id)
        async with nodes(1, tmp_path / "nodes") as (ann,):
            await until(lambda: [one.infohash for one in ann.blobs.shares()] == [share.infohash])
            await until(lambda: ann.blobs.transfer(id).reason.startswith("served here"))


@looped
async def test_the_limit_holds_for_bittorrent(tmp_path: Path) -> None:
    album = laid_out(tmp_path / "with" / "album", {"film.mkv": some_bytes(2 * MB, 9), "info.txt": b"x"})
    async with (
        seeder(tmp_path / "seed", "v1", album) as (_, link),
        nodes(1, tmp_path / "nodes") as (ann,),
    ):
        await ann.blobs.set_limits(Limits(down_bytes_per_s=MB))
        began = asyncio.get_running_loop().time()
        done = await ended(ann, (await ann.blobs.fetch(link)).id)
        took = asyncio.get_running_loop().time() - began
        assert done.state == "complete" and took > 1.0, took
        assert ann.blobs.total("down") >= 2 * MB


@looped
async def test_what_is_called_the_same_and_is_something_else_stays(tmp_path: Path) -> None:
    album = laid_out(tmp_path / "with" / "album", ALBUM)
    other = laid_out(tmp_path / "to" / "album", {"mine.txt": b"mine"})
    async with (
        seeder(tmp_path / "seed", "v1", album) as (_, link),
        nodes(1, tmp_path / "nodes") as (ann,),
    ):
        done = await ended(ann, (await ann.blobs.fetch(link, tmp_path / "to")).id)
        assert Path(done.path or "").name == "album (2)" and content(Path(done.path or "")) == ALBUM
        assert content(other) == {"mine.txt": b"mine"}


@looped
async def test_without_the_door_a_link_of_version_1_says_what_is_missing(tmp_path: Path) -> None:
    async with nodes(1, tmp_path / "nodes") as (ann,):
        ann.torrents._on = False
        with pytest.raises(UsageError, match="closed"):
            await ann.blobs.fetch(f"magnet:?xt=urn:btih:{os.urandom(20).hex()}")


@looped
async def test_networks_are_not_asked_by_an_infohash_of_version_1(tmp_path: Path) -> None:
    async with nodes(1, tmp_path / "nodes") as (ann,):
        query = HolderQuery(link=f"magnet:?xt=urn:btih:{os.urandom(20).hex()}")
        with pytest.raises(UsageError, match="version 1"):
            await anext(HoldersPart(cast(Any, ann)).who_has(query))


@looped
async def test_while_nobody_has_it_the_row_says_what_is_asked(tmp_path: Path) -> None:
    async with nodes(1, tmp_path / "nodes") as (ann,):
        old = (await ann.blobs.fetch(f"magnet:?xt=urn:btih:{os.urandom(20).hex()}")).id
        new = (
            await ann.blobs.fetch(
                f"magnet:?xt=urn:btmh:1220{os.urandom(32).hex()}&tr=http://127.0.0.1:9/announce"
            )
        ).id
        await until(lambda: "no BitTorrent peer" in ann.blobs.transfer(old).reason)
        await until(lambda: "the link's trackers" in ann.blobs.transfer(new).reason)
        await ann.blobs.cancel(old)
        assert (
            ann.blobs.transfer(old).state == "cancelled"
            and list((tmp_path / "nodes").rglob(".servent-part*")) == []
        )


@pytest.mark.parametrize("kind", KINDS)
@looped
async def test_a_link_that_comes_later_tells_a_running_transfer_who_has_it(tmp_path: Path, kind: str) -> None:
    album = laid_out(tmp_path / "with" / "album", ALBUM)
    torrent = torrent_of(album, kind)
    async with (
        seeder(tmp_path / "seed", torrent, album) as (_, link),
        nodes(1, tmp_path / "nodes") as (ann,),
    ):
        id = (await ann.torrent_files.fetch(metafile.decode(torrent), torrent)).id
        await until(lambda: ann.torrent_session.handles() != [])
        more = "&tr=http://127.0.0.1:9/announce&ws=http://127.0.0.1:9/album"
        if kind == "hybrid":  # by its old name alone
            link = "&".join(part for part in link.split("&") if "btmh" not in part)
        assert (await ann.blobs.fetch(link + more)).id == id, "the transfer that there is"
        done = await ended(ann, id)
        assert done.state == "complete" and content(Path(done.path or "")) == ALBUM, done.reason
        await until(lambda: [one.state for one in ann.torrents.torrents()] == ["seeding"])
        (seen,) = ann.torrents.torrents()
        assert seen.trackers and seen.web_seeds


@looped
async def test_a_transfer_of_our_own_link_learns_that_bittorrent_has_it_too(tmp_path: Path) -> None:
    album = laid_out(tmp_path / "with" / "album", ALBUM)
    async with (
        seeder(tmp_path / "seed", "v2", album) as (_, link),
        nodes(2, tmp_path / "nodes") as (ann, bob),
    ):
        own = f"{link.partition('&')[0]}&x.sv={await bob.ticket()}"  # which has nothing of it
        id = (await ann.blobs.fetch(own)).id
        await until(lambda: ann.blobs.download_of(id)[1] is not None)
        assert ann.torrent_session.handles() == []
        await ann.blobs.fetch(link)
        done = await ended(ann, id)
        assert done.state == "complete" and content(Path(done.path or "")) == ALBUM, done.reason


@looped
async def test_we_ourselves_are_no_peer_that_is_tried(tmp_path: Path) -> None:
    """As the neighbours' answers name us."""
    infohash = os.urandom(20).hex()
    async with nodes(1, tmp_path / "nodes") as (ann,):
        id = (await ann.blobs.fetch(f"magnet:?xt=urn:btih:{infohash}")).id
        await until(lambda: ann.torrent_session.handles() != [])
        (handle,) = ann.torrent_session.handles()
        said = set()
        handle.connect(f"127.0.0.1:{ann.torrent_session.view().port}")

        def tried() -> bool:
            said.add(ann.blobs.transfer(id).reason)
            return handle._ourselves != set()

        await until(tried)
        await until(lambda: ann.blobs.transfer(id).reason == "no BitTorrent peer is known")
        assert (await handle.fresh()).known == 0
