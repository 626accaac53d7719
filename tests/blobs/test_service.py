"""Whole nodes that send each other folders: what a person sees, and what is on disk afterwards."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from servent.blobs.disk import Partial
from servent.blobs.magnet import Magnet
from servent.blobs.views import Limits, TransferView
from servent.errors import DiskTrouble, NotFound, UsageError
from servent.node import Node
from servent.testing.nodes import gather_in_network, nodes

MB = 1_000_000


@asynccontextmanager
async def party(count: int, folder: Path, *, bulk: bool = True) -> AsyncIterator[list[Node]]:
    async with nodes(count, folder, bulk=bulk) as members:
        await gather_in_network(members)
        yield members


def tree_of(folder: Path, files: int, size: int, seed: int = 1) -> Path:
    dice = random.Random(seed)
    root = folder / f"things {seed}"
    for number in range(files):
        path = root / f"{number % 7}" / f"file {number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(size))
    (root / "empty").touch()
    return root


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


async def until(true: Callable[[], object], limit: float = 60.0) -> None:
    async with asyncio.timeout(limit):
        while not true():
            await asyncio.sleep(0.02)


async def ended(node: Node, id: str, limit: float = 60.0) -> TransferView:
    try:
        await until(lambda: node.blobs.transfer(id).state in ("complete", "failed", "paused"), limit)
    except TimeoutError:
        raise AssertionError(f"still {node.blobs.transfer(id)}") from None
    return node.blobs.transfer(id)


async def shared(node: Node, path: Path) -> str:
    view = await node.blobs.add(path)
    assert view.state == "ready" and view.infohash is not None
    return node.blobs.link(view.infohash)


@pytest.mark.parametrize("bulk", [True, False], ids=["tcp", "quic"])
def test_a_folder_arrives_byte_for_byte_and_is_served_on(tmp_path: Path, bulk: bool) -> None:
    async def main() -> None:
        async with party(3, tmp_path, bulk=bulk) as (ann, bob, cat):
            source = tree_of(tmp_path, 60, 40_000)
            link = await shared(ann, source)
            done = await ended(bob, (await bob.blobs.fetch(link, tmp_path / "bob")).id)
            assert done.state == "complete" and done.done_bytes == done.size_bytes and done.error is None
            assert content(Path(done.path or "")) == content(source)
            assert [share.name for share in bob.blobs.shares()] == [source.name]
            await ann.blobs.remove_share(ann.blobs.shares()[0].id)
            again = await ended(cat, (await cat.blobs.fetch(link, tmp_path / "cat")).id)
            assert again.state == "complete"
            assert content(tmp_path / "cat" / source.name) == content(source)

    asyncio.run(main())


def test_a_file_of_many_pieces_takes_the_tcp_lane_where_it_can(tmp_path: Path) -> None:
    async def main() -> None:
        async with party(2, tmp_path) as (ann, bob):
            source = tmp_path / "film.bin"
            source.write_bytes(os.urandom(30 * MB))
            link = await shared(ann, source)
            await ann.blobs.set_limits(Limits(up_bytes_per_s=4 * MB))
            id = (await bob.blobs.fetch(link, tmp_path / "bob")).id
            await until(lambda: [s.lane for s in bob.blobs.transfer(id).sources] == ["tcp"])
            up = next(view for view in ann.blobs.transfers() if view.direction == "up")
            assert up.sources[0].peer == bob.peer
            await ann.blobs.set_limits(Limits())
            assert (await ended(bob, id)).state == "complete"
            assert (tmp_path / "bob" / "film.bin").read_bytes() == source.read_bytes()

    asyncio.run(main())


def test_when_the_tcp_lane_breaks_in_mid_transfer_quic_goes_on_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with party(2, tmp_path) as (ann, bob):
            source = tmp_path / "film.bin"
            source.write_bytes(os.urandom(24 * MB))
            link = await shared(ann, source)
            await ann.blobs.set_limits(Limits(up_bytes_per_s=3 * MB))
            id = (await bob.blobs.fetch(link, tmp_path / "bob")).id
            await until(lambda: [s.lane for s in bob.blobs.transfer(id).sources] == ["tcp"])
            listener = ann.blobs._listener
            assert listener is not None
            listener.close()
            before = bob.blobs.transfer(id).done_bytes
            await until(lambda: bob.blobs.transfer(id).done_bytes > before + 2 * MB)
            assert bob.blobs.transfer(id).sources[0].lane == "quic"
            await ann.blobs.set_limits(Limits())
            assert (await ended(bob, id)).state == "complete"
            assert (tmp_path / "bob" / "film.bin").read_bytes() == source.read_bytes()

    asyncio.run(main())


def test_limits_hold_on_both_lanes(tmp_path: Path) -> None:
    async def main(bulk: bool, folder: Path) -> float:
        folder.mkdir()
        async with party(2, folder, bulk=bulk) as (ann, bob):
            source = folder / "film.bin"
            source.write_bytes(os.urandom(8 * MB))
            link = await shared(ann, source)
            await bob.blobs.set_limits(Limits(down_bytes_per_s=4 * MB))
            began = time.monotonic()
            done = await ended(bob, (await bob.blobs.fetch(link, folder / "bob")).id)
            assert done.state == "complete"
            return time.monotonic() - began

    for number, bulk in enumerate((True, False)):
        took = asyncio.run(main(bulk, tmp_path / str(number)))
        assert took > 1.4, "8 MB at 4 MB/s, less what a quarter of a second may save up"


def test_pause_resume_cancel_and_their_words(tmp_path: Path) -> None:
    async def main() -> None:
        async with party(2, tmp_path) as (ann, bob):
            source = tmp_path / "film.bin"
            source.write_bytes(os.urandom(12 * MB))
            link = await shared(ann, source)
            await ann.blobs.set_limits(Limits(up_bytes_per_s=3 * MB))
            to = tmp_path / "bob"
            id = (await bob.blobs.fetch(link, to)).id
            assert (await bob.blobs.fetch(link, to)).id == id, "the same is not fetched twice"
            await until(lambda: bob.blobs.transfer(id).done_bytes > MB)
            await bob.blobs.pause(id)
            paused = bob.blobs.transfer(id)
            assert paused.state == "paused" and paused.reason == "you paused it"
            await asyncio.sleep(0.3)
            assert bob.blobs.transfer(id).done_bytes == paused.done_bytes
            await bob.blobs.resume(id)
            await until(lambda: bob.blobs.transfer(id).done_bytes > paused.done_bytes)
            await bob.blobs.cancel(id)
            assert bob.blobs.transfer(id).state == "cancelled"
            assert list(to.iterdir()) == [], "what was fetched is deleted"
            await bob.blobs.remove(id)
            with pytest.raises(NotFound):
                bob.blobs.transfer(id)

    asyncio.run(main())


def test_a_full_disk_pauses_with_a_message_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with party(2, tmp_path) as (ann, bob):
            source = tmp_path / "film.bin"
            source.write_bytes(os.urandom(8 * MB))
            link = await shared(ann, source)
            write, room = Partial.write_pieces, [3]

            def fills_up(self: Partial, first: int, datas: list[memoryview]) -> None:
                room[0] -= 1
                if room[0] < 0:
                    raise DiskTrouble("the disk is full: film.bin could not be written")
                write(self, first, datas)

            monkeypatch.setattr(Partial, "write_pieces", fills_up)
            id = (await bob.blobs.fetch(link, tmp_path / "bob")).id
            paused = await ended(bob, id)
            assert paused.state == "paused" and "disk is full" in paused.reason
            assert paused.error and paused.advice and paused.done_bytes > 0
            monkeypatch.setattr(Partial, "write_pieces", write)
            await bob.blobs.resume(id)
            assert (await ended(bob, id)).state == "complete"
            assert (tmp_path / "bob" / "film.bin").read_bytes() == source.read_bytes()

    asyncio.run(main())


def test_transfers_and_shares_outlive_a_restart(tmp_path: Path) -> None:
    source = tree_of(tmp_path, 5, 1_500_000)

    async def first() -> tuple[str, int]:
        async with party(2, tmp_path) as (ann, bob):
            link = await shared(ann, source)
            await ann.blobs.set_limits(Limits(up_bytes_per_s=2 * MB))
            id = (await bob.blobs.fetch(link, tmp_path / "bob")).id
            await until(lambda: bob.blobs.transfer(id).done_bytes > 2 * MB)
            return id, bob.blobs.transfer(id).done_bytes

    async def second(id: str, done: int) -> None:
        async with nodes(2, tmp_path) as (ann, bob):
            assert [share.name for share in ann.blobs.shares()] == [source.name]
            await bob.peers.connect(ann.endpoint.address())
            await until(lambda: bob.blobs.transfer(id).done_bytes >= done)
            await ann.blobs.set_limits(Limits())
            assert (await ended(bob, id)).state == "complete"
            assert content(tmp_path / "bob" / source.name) == content(source)

    asyncio.run(second(*asyncio.run(first())))


def test_a_stranger_to_the_content_and_the_unknown_are_told_apart_for_the_asker_only(tmp_path: Path) -> None:
    async def main() -> None:
        async with party(2, tmp_path) as (_, bob):
            id = (await bob.blobs.fetch(Magnet(os.urandom(32), "nobody has it"), tmp_path / "bob")).id
            await until(lambda: "offers it" in bob.blobs.transfer(id).reason)
            view = bob.blobs.transfer(id)
            assert view.state == "connecting" and "asking again in" in view.reason

    asyncio.run(main())


def test_what_lies_there_already_is_not_fetched_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with party(2, tmp_path) as (ann, bob):
            source = tree_of(tmp_path, 8, 300_000)
            link = await shared(ann, source)
            to = tmp_path / "bob"
            assert (await ended(bob, (await bob.blobs.fetch(link, to)).id)).state == "complete"
            before = bob.blobs.total("down")
            again = await ended(bob, (await bob.blobs.fetch(link, to)).id)
            assert again.state == "complete" and again.path == str(to / source.name)
            other = await ended(bob, (await bob.blobs.fetch(link, tmp_path / "copy")).id)
            assert other.state == "complete"
            assert content(tmp_path / "copy" / source.name) == content(source)
            assert bob.blobs.total("down") == before

    asyncio.run(main())


def test_who_finds_no_slot_is_told_its_place_and_gets_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with party(3, tmp_path) as (ann, bob, cat):
            source = tmp_path / "film.bin"
            source.write_bytes(os.urandom(4 * MB))
            other = tmp_path / "song.bin"
            other.write_bytes(os.urandom(MB))
            links = [await shared(ann, path) for path in (source, other)]
            await ann.blobs.set_limits(Limits(up_bytes_per_s=500_000, upload_slots=1))
            first = (await bob.blobs.fetch(links[0], tmp_path / "bob")).id
            await until(lambda: bob.blobs.transfer(first).state == "active")
            second = (await cat.blobs.fetch(links[1], tmp_path / "cat")).id
            await until(lambda: any(s.position == 1 for s in cat.blobs.transfer(second).sources))
            view = cat.blobs.transfer(second)
            assert view.state == "queued" and "place 1 of 1" in view.reason
            await ann.blobs.set_limits(Limits(upload_slots=1))
            assert (await ended(cat, second)).state == "complete"
            assert (await ended(bob, first)).state == "complete"

    asyncio.run(main())


def test_a_downloader_serves_what_it_has(tmp_path: Path) -> None:
    async def main() -> None:
        async with party(3, tmp_path) as (ann, bob, cat):
            source = tmp_path / "film.bin"
            source.write_bytes(os.urandom(16 * MB))
            link = await shared(ann, source)
            await until(lambda: bob.peers.session(cat.peer) and cat.peers.session(bob.peer))
            await ann.trust.block(cat.peer)
            await ann.blobs.set_limits(Limits(up_bytes_per_s=2 * MB))
            first = (await bob.blobs.fetch(link, tmp_path / "bob")).id
            second = (await cat.blobs.fetch(link, tmp_path / "cat")).id
            await until(lambda: cat.blobs.transfer(second).done_bytes > MB)
            assert bob.blobs.transfer(first).state == "active", (
                "what bob gives he does not have in full himself"
            )
            await ann.blobs.set_limits(Limits())
            assert (await ended(bob, first)).state == (await ended(cat, second)).state == "complete"
            assert bob.blobs.total("up") >= 16 * MB, "cat had it all from bob"

    asyncio.run(main())


def test_a_link_finds_whom_it_names_but_makes_nobody_a_contact(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path) as (ann, bob):
            view = await ann.blobs.add(tree_of(tmp_path, 3, 50_000))
            assert view.infohash is not None
            link = ann.blobs.link(view.infohash, [await ann.ticket()])
            assert "x.sv=servent:" in link
            id = (await bob.blobs.fetch(link, tmp_path / "bob")).id
            await until(lambda: "have to join first" in bob.blobs.transfer(id).reason)
            assert bob.trust.contacts() == []
            for one, other in ((ann, bob), (bob, ann)):
                await one.trust.add_contact(other.peer, friend=True)
            assert (await ended(bob, id)).state == "complete", "the link's addresses were enough"

    asyncio.run(main())


def test_a_share_whose_files_changed_says_so_and_is_served_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with party(2, tmp_path) as (ann, bob):
            source = tree_of(tmp_path, 3, 300_000)
            link = await shared(ann, source)
            victim = source / "0" / "file 0.bin"
            victim.write_bytes(os.urandom(300_000))
            id = (await bob.blobs.fetch(link, tmp_path / "bob")).id
            await until(lambda: ann.blobs.shares()[0].state == "failed")
            assert "changed" in ann.blobs.shares()[0].reason
            assert bob.blobs.transfer(id).state != "complete"

    asyncio.run(main())


def test_bad_wishes_are_refused_with_words(tmp_path: Path) -> None:
    async def main() -> None:
        async with party(1, tmp_path) as (ann,):
            with pytest.raises(UsageError):
                await ann.blobs.fetch("http://example.org/film")
            with pytest.raises(NotFound):
                await ann.blobs.add(tmp_path / "nothing")
            with pytest.raises(NotFound):
                await ann.blobs.pause("nothing")
            with pytest.raises(NotFound):
                ann.blobs.link(bytes(32))
            with pytest.raises(UsageError):
                await ann.blobs.set_limits(Limits(up_bytes_per_s=0))

    asyncio.run(main())
