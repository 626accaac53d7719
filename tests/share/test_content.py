"""Whole nodes that fetch from each other's libraries by content: several sources, folders, and who may have what."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from servent.blobs import wire
from servent.blobs.canonical import canon, canonical_info
from servent.blobs.magnet import Magnet
from servent.blobs.resolving_service import QUANTUM
from servent.blobs.rows import How
from servent.blobs.views import Limits, TransferView
from servent.codec import write_frame
from servent.errors import NotFound
from servent.node import Node
from servent.share import content_wire, getting_service
from servent.share.assembly import parts_of
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimNet
from tests.share.stock import let_see, root_and_layer, stock

MB = 1_000_000


async def ended(node: Node, id: str, limit: float = 60.0) -> TransferView:
    try:
        async with asyncio.timeout(limit):
            while node.blobs.transfer(id).state not in ("complete", "failed", "paused"):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"still {node.blobs.transfer(id)}") from None
    return node.blobs.transfer(id)


async def threads_are_done() -> None:
    """What came before is hashed and counted, however busy this machine is: threads know no virtual time."""
    for _ in range(5):
        time.sleep(0.05)
        await asyncio.sleep(0.1)


def some_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.real
def test_two_who_call_it_differently_are_both_sources(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path / "nodes") as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            data = some_bytes(16 * MB)
            for node, folder, name in ((ann, "films", "a film.mkv"), (bob, "misc/old", "VID_0001.mkv")):
                (tmp_path / folder).mkdir(parents=True)
                (tmp_path / folder / name).write_bytes(data)
                await stock(node, 1, tmp_path / folder.split("/")[0])
                let_see(node, {cat.peer: {1}})
                await node.blobs.set_limits(Limits(up_bytes_per_s=2 * MB))
            root, _ = root_and_layer(data)
            how = How(called="my film.mkv", info=canonical_info(root, len(data)))
            begun = await cat.blobs.fetch(Magnet(canon(root, len(data))), tmp_path / "cat", how)
            assert begun.name == "my film.mkv" and begun.size_bytes == len(data)
            gave: dict[str, int] = {}
            while (now := cat.blobs.transfer(begun.id)).state not in ("complete", "failed"):
                gave |= {str(source.peer): source.bytes for source in now.sources}
                if min(gave.get(str(node.peer), 0) for node in (ann, bob)) > len(data) // 5:
                    for node in (ann, bob):
                        await node.blobs.set_limits(Limits())
                await asyncio.sleep(0.02)
            assert now.state == "complete" and now.name == "my film.mkv"
            assert (tmp_path / "cat" / "my film.mkv").read_bytes() == data
            assert min(gave[str(ann.peer)], gave[str(bob.peer)]) > len(data) // 5
            assert [share.name for share in cat.blobs.shares()] == ["my film.mkv"]

    asyncio.run(main())


async def asked(fetcher: Node, giver: Node, infohash: bytes) -> tuple[wire.Offer | wire.Refuse, float]:
    """What `giver` answers to a `Want` of `fetcher`, and how long that took."""
    loop = asyncio.get_running_loop()
    stream = await fetcher.peers.open(giver.peer, wire.SERVICE)
    began = loop.time()
    await write_frame(stream, wire.Want(infohash))
    answer = await wire.read_from_server.read(stream)
    took = loop.time() - began
    await stream.reset()
    assert isinstance(answer, wire.Offer | wire.Refuse)
    return answer, took


async def assembled(fetcher: Node, giver: Node, message: content_wire.Assemble) -> tuple[int, float]:
    """The same of an `Assemble`: pieces."""
    loop = asyncio.get_running_loop()
    stream = await fetcher.peers.open(giver.peer, content_wire.SERVICE)
    began = loop.time()
    await write_frame(stream, message)
    answer = await content_wire.read_assembled.read(stream)
    took = loop.time() - began
    await stream.reset()
    return answer.pieces, took


def test_a_link_to_a_content_carries_its_name(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path / "nodes", SimNet()) as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            data = some_bytes(50_000)
            (tmp_path / "films").mkdir()
            (tmp_path / "films" / "VID_1.mkv").write_bytes(data)
            await stock(ann, 1, tmp_path / "films")
            let_see(ann, {cat.peer: {1}})
            root, _ = root_and_layer(data)
            begun = await cat.share.getting.content(
                root, len(data), "my film.mkv", [ann.peer], tmp_path / "cat"
            )
            got = await ended(cat, begun.id)
            again = await ended(bob, (await bob.blobs.fetch(got.link, tmp_path / "bob")).id)
            assert (again.name, again.path) == ("my film.mkv", str(tmp_path / "bob" / "my film.mkv"))
            bare = await ended(
                bob, (await bob.blobs.fetch(Magnet(canon(root, len(data))), tmp_path / "x")).id
            )
            assert bare.path == str(tmp_path / "x" / root.hex())
            evil = Magnet(canon(root, len(data)), "../../.ssh/keys")
            safe = await ended(bob, (await bob.blobs.fetch(evil, tmp_path / "y")).id)
            assert Path(safe.path or "").parent == tmp_path / "y"

    run(main())


def test_who_may_not_see_a_folder_gets_nothing_of_it_by_any_hash(tmp_path: Path) -> None:
    """By content, as a folder, as parts; and cannot tell "not there" from "not for you"."""

    async def main() -> None:
        async with nodes(3, tmp_path / "nodes", SimNet(seed=7)) as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            (tmp_path / "a" / "in").mkdir(parents=True)
            one, two = some_bytes(600_000, 1), some_bytes(50_000, 2)
            (tmp_path / "a" / "one").write_bytes(one)
            (tmp_path / "a" / "in" / "two").write_bytes(two)
            ids = await stock(ann, 1, tmp_path / "a")
            let_see(ann, {bob.peer: {1}})
            root, _ = root_and_layer(one)
            content = canon(root, len(one))
            with pytest.raises(NotFound):
                await ann.share.content.offer_folder(cat.peer, 1, ids["."], "a")
            made = await ann.share.content.offer_folder(bob.peer, 1, ids["."], "a")
            collection, _ = await ann.share.content._make(1, ids["."], "a")
            parts = content_wire.Assemble(bytes(32), collection.piece_length, parts_of(collection))
            nothing = content_wire.Assemble(bytes(32), 1 << 18, [(bytes(32), 5)])

            for infohash in (content, made.infohash):
                yes, _ = await asked(bob, ann, infohash)
                assert isinstance(yes, wire.Offer) and yes.complete
                no, _ = await asked(cat, ann, infohash)
                unknown, _ = await asked(cat, ann, bytes(32))
                assert no == unknown == wire.Refuse("not available here")
                for hash in (infohash, bytes(32)):  # exactly as long, without the network between
                    began = asyncio.get_running_loop().time()
                    assert await ann.blobs._uploads.find(cat.peer, hash) is None
                    assert asyncio.get_running_loop().time() == pytest.approx(began + QUANTUM)
            pieces, _ = await assembled(bob, ann, parts)
            assert pieces == collection.pieces
            for question in (parts, nothing):
                pieces, took = await assembled(cat, ann, question)
                assert pieces == 0 and took >= QUANTUM
            yes, _ = await asked(bob, ann, bytes(32))
            assert isinstance(yes, wire.Offer), "what was put together for bob"
            assert isinstance((await asked(cat, ann, bytes(32)))[0], wire.Refuse), "is for bob alone"

    run(main())


def test_rights_that_are_taken_back_end_what_is_under_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(seed=7)) as (ann, bob):
            await gather_in_network([ann, bob])
            data = some_bytes(4 * MB)
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / "one").write_bytes(data)
            await stock(ann, 1, tmp_path / "a")
            let_see(ann, {bob.peer: {1}})
            await ann.blobs.set_limits(Limits(up_bytes_per_s=500_000))
            root, _ = root_and_layer(data)
            view = await bob.share.getting.content(root, len(data), "one", to=tmp_path / "b")
            while bob.blobs.transfer(view.id).done_bytes < MB:
                await asyncio.sleep(0.1)
            let_see(ann, {})
            await asyncio.sleep(3)
            await threads_are_done()
            before = bob.blobs.transfer(view.id).done_bytes
            await asyncio.sleep(30)
            now = bob.blobs.transfer(view.id)
            assert now.done_bytes == before < len(data) and now.state == "connecting"
            let_see(ann, {bob.peer: {1}})
            assert (await ended(bob, view.id, 120)).state == "complete"

    run(main())


def test_a_file_that_changed_is_not_served_and_the_library_hears_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(seed=7)) as (ann, bob):
            await gather_in_network([ann, bob])
            data = some_bytes(300_000)
            for name in ("a", "b"):
                (tmp_path / name).mkdir()
                (tmp_path / name / "one").write_bytes(data)
            await stock(ann, 1, tmp_path / "a")
            await stock(ann, 2, tmp_path / "b")
            let_see(ann, {bob.peer: {2}})
            heard: list[Path] = []
            ann.share.content.stale = heard.append
            changed = tmp_path / "a" / "one"
            changed.write_bytes(b"!" + data[1:])
            root, _ = root_and_layer(data)
            view = await bob.share.getting.content(root, len(data), "one", to=tmp_path / "to")
            assert (await ended(bob, view.id)).state == "complete", "from the other place"
            assert heard in ([], [changed])
            (tmp_path / "b" / "one").unlink()
            cleared = await bob.share.getting.content(root, len(data), "one", to=tmp_path / "again")
            assert (await ended(bob, cleared.id)).state == "complete", "copied from what was fetched"

    run(main())


def test_a_preview_of_something_big_fetches_what_is_looked_at_and_leaves_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getting_service, "IDLE", 100.0)  # s; half an hour would be 15,000 looks at idle nodes

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(seed=7)) as (ann, bob):
            await gather_in_network([ann, bob])
            data = some_bytes(40 * MB)
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / "film.mp4").write_bytes(data)
            await stock(ann, 1, tmp_path / "a")
            let_see(ann, {bob.peer: {1}})
            root, _ = root_and_layer(data)
            view = await bob.share.getting.content(root, len(data), "film.mp4", preview=True)
            reading = await bob.share.getting.read_transfer(view.id, 0)
            at = 20 * MB
            assert (await reading.read(at, 1000)) == data[at : at + 1000]
            await asyncio.sleep(60)
            assert 16 * MB < bob.blobs.transfer(view.id).done_bytes < 20 * MB, "the read-ahead and no more"
            cache = bob.data_dir / "previews"
            assert len(list(cache.iterdir())) == 1
            await asyncio.sleep(200)
            assert len(bob.blobs.previews()) == 1, "somebody has it open"
            await reading.close()
            await asyncio.sleep(150)
            assert bob.blobs.previews() == [] and list(cache.iterdir()) == []
            assert bob.blobs.shares() == []

    run(main())


def test_previews_share_a_bounded_place(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(seed=7)) as (ann, bob):
            await gather_in_network([ann, bob])
            bob.share.getting._cache_bytes = 1_000_000
            (tmp_path / "a").mkdir()
            files = [some_bytes(400_000, seed) for seed in range(4)]
            for number, data in enumerate(files):
                (tmp_path / "a" / f"{number}.jpg").write_bytes(data)
            await stock(ann, 1, tmp_path / "a")
            let_see(ann, {bob.peer: {1}})
            for data in files:
                view = await bob.share.getting.content(
                    root_and_layer(data)[0], len(data), "x.jpg", preview=True
                )
                assert (await ended(bob, view.id)).state == "complete"
                reading = await bob.share.getting.read_transfer(view.id, 0)
                assert await reading.read(0, 10) == data[:10]
                await reading.close()
            assert len(bob.blobs.previews()) == 2
            assert sum(1 for one in (bob.data_dir / "previews").rglob("*") if one.is_file()) == 2

    run(main())


def test_what_leaves_the_library_is_served_no_longer_though_it_lies_there_still(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(seed=7)) as (ann, bob):
            await gather_in_network([ann, bob])
            data = some_bytes(4 * MB)
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / "one").write_bytes(data)
            ids = await stock(ann, 1, tmp_path / "a")
            let_see(ann, {bob.peer: {1}})
            await ann.blobs.set_limits(Limits(up_bytes_per_s=200_000))
            made = await ann.share.content.offer_folder(bob.peer, 1, ids["."], "a")
            view = await bob.blobs.fetch(Magnet(made.infohash), tmp_path / "b")
            while not bob.blobs.transfer(view.id).done_bytes:
                await asyncio.sleep(0.1)
            await ann.share.library_store.write(lambda db: db.execute("DELETE FROM files"))
            ann.share.content.changed()
            await asyncio.sleep(10)
            await threads_are_done()
            before = bob.blobs.transfer(view.id).done_bytes
            await asyncio.sleep(60)
            assert bob.blobs.transfer(view.id).done_bytes == before < len(data)

    run(main())
