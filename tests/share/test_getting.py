"""What was found becomes a transfer: chosen files, folders from peers who have parts, reading while it comes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from servent.api import schema_getting as getting
from servent.api.adapter_getting import GettingPart
from servent.api.guard import MAX_BODY_BYTES
from servent.blobs.magnet import Magnet
from servent.blobs.rows import How
from servent.blobs.views import Limits, TransferView
from servent.errors import NotFound, UsageError
from servent.node import Node
from servent.testing.nodes import gather_in_network, nodes
from tests.share.stock import let_see, root_and_layer, stock
from tests.share.test_content import MB, ended, some_bytes


def folder_of(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return path


def content(path: Path) -> dict[str, bytes]:
    return {str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*") if one.is_file()}


ALBUM = {f"disc {n % 2}/{n:02} track.flac": some_bytes(700_000 + n, n) for n in range(8)} | {"empty.txt": b""}


async def offered(ann: Node, bob: Node, files: Path, name: str = "album") -> str:
    """`ann` shares the folder with `bob`; the id of bob's transfer of all of it, paused."""
    ids = await stock(ann, 1, files)
    let_see(ann, {bob.peer: {1}})
    made = await ann.share.content.offer_folder(bob.peer, 1, ids["."], name)
    return (await bob.blobs.fetch(Magnet(made.infohash), files.parent / "got", How(by_content=True))).id


def test_a_folder_keeps_its_structure_and_is_the_same_whoever_makes_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path / "nodes") as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            one, other = folder_of(tmp_path / "one", ALBUM), folder_of(tmp_path / "two" / "deep", ALBUM)
            id = await offered(ann, cat, one)
            ids = await stock(bob, 5, other.parent)
            let_see(bob, {cat.peer: {5}})
            made = await bob.share.content.offer_folder(cat.peer, 5, ids["deep"], "album")
            assert made.infohash == cat.blobs.transfer(id).infohash and made.left_out == 0
            done = await ended(cat, id)
            assert done.state == "complete" and content(Path(done.path or "")) == ALBUM

    asyncio.run(main())


def test_half_of_a_folder_comes_from_a_peer_who_has_it_under_other_names_in_another_folder(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path / "nodes") as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            big = {name: some_bytes(3 * MB + n, n) for n, name in enumerate(ALBUM)}
            half = {f"sorted/by me/{n}.bin": data for n, data in enumerate(list(big.values())[::2])}
            await stock(bob, 7, folder_of(tmp_path / "bob", half))
            let_see(bob, {cat.peer: {7}})
            for node in (ann, bob):
                await node.blobs.set_limits(Limits(up_bytes_per_s=2 * MB))
            id = await offered(ann, cat, folder_of(tmp_path / "ann", big))
            gave: dict[str, int] = {}
            while (now := cat.blobs.transfer(id)).state not in ("complete", "failed"):
                gave |= {str(source.peer): source.bytes for source in now.sources}
                if gave.get(str(bob.peer), 0) > 2 * MB:
                    for node in (ann, bob):
                        await node.blobs.set_limits(Limits())
                await asyncio.sleep(0.02)
            assert now.state == "complete" and content(Path(now.path or "")) == big
            assert 2 * MB < gave[str(bob.peer)] <= sum(map(len, half.values())) + MB

    asyncio.run(main())


def test_what_is_in_the_own_library_is_copied_and_not_fetched(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await gather_in_network([ann, bob])
            mine = {f"x{n}": data for n, data in enumerate(list(ALBUM.values())[:7])}
            await stock(bob, 1, folder_of(tmp_path / "mine", mine))
            id = await offered(ann, bob, folder_of(tmp_path / "ann", ALBUM))
            done = await ended(bob, id)
            assert done.state == "complete" and content(Path(done.path or "")) == ALBUM
            assert ann.blobs.total("up") < 2 * MB  # 1 of 8 tracks
            # a content that is here already is complete with no peer at all
            root, _ = root_and_layer(ALBUM["disc 1/01 track.flac"])
            view = await bob.share.getting.content(root, 700_001, "a.flac", to=tmp_path / "again")
            assert (await ended(bob, view.id)).path == str(tmp_path / "again" / "a.flac")

    asyncio.run(main())


def test_chosen_files_only_through_a_restart_and_more_of_them_later(tmp_path: Path) -> None:
    async def main() -> None:
        names = sorted(ALBUM)
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await gather_in_network([ann, bob])
            await ann.blobs.set_limits(Limits(up_bytes_per_s=1.5 * MB))
            id = await offered(ann, bob, folder_of(tmp_path / "ann", ALBUM))
            part = GettingPart(bob)
            files = await part.choose_files(id, getting.FileChoice(wanted=[1, 3, 8]))
            assert [one.index for one in files if one.wanted] == [1, 3, 8]
            assert [one.path for one in files] == names
            assert bob.blobs.transfer(id).size_bytes == sum(len(ALBUM[names[n]]) for n in (1, 3, 8))
            while bob.blobs.transfer(id).done_bytes < 300_000:
                await asyncio.sleep(0.02)
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await bob.peers.connect(ann.endpoint.address())
            # Another number: a start forgets the folder that no setting knows, in its own time.
            let_see(ann, {bob.peer: {2}})
            ids = await stock(ann, 2, tmp_path / "ann")
            await ann.share.content.offer_folder(bob.peer, 2, ids["."], "album")
            done = await ended(bob, id)
            assert done.state == "complete" and done.done_bytes == done.size_bytes
            got = Path(done.path or "")
            assert content(got) == {names[n]: ALBUM[names[n]] for n in (1, 3, 8)}
            first = (got / names[1]).stat().st_ino
            part = GettingPart(bob)
            files = await part.choose_files(id, getting.FileChoice(wanted=[0, 1, 3]))
            done = await ended(bob, id)
            assert done.state == "complete" and done.path == str(got)
            assert content(got) == {names[n]: ALBUM[names[n]] for n in (0, 1, 3, 8)}  # nothing is taken away
            assert (got / names[1]).stat().st_ino == first and os.listdir(got.parent) == ["album"]
            files = await part.transfer_files(id, getting.Page())
            assert [one.done_bytes > 0 for one in files[:4]] == [True, True, False, True]
            with pytest.raises(UsageError):
                await part.choose_files(id, getting.FileChoice(wanted=[9]))
            reading = await part.read_transfer(id, 3)
            assert await reading.read(5, 10) == ALBUM[names[3]][5:15]
            await reading.close()
            with pytest.raises(UsageError, match="left out"):
                await part.read_transfer(id, 4)

    asyncio.run(main())


def test_the_choice_changes_while_it_runs_and_what_is_not_wanted_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path / "nodes") as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            names = sorted(ALBUM)
            await ann.blobs.set_limits(Limits(up_bytes_per_s=MB))
            id = await offered(ann, bob, folder_of(tmp_path / "ann", ALBUM))
            while bob.blobs.transfer(id).done_bytes < MB:
                await asyncio.sleep(0.02)
            part = GettingPart(bob)
            await part.choose_files(id, getting.FileChoice(wanted=[0, 7]))
            await ann.blobs.set_limits(Limits())
            done = await ended(bob, id)
            assert done.state == "complete"
            assert content(Path(done.path or "")) == {names[n]: ALBUM[names[n]] for n in (0, 7)}
            # and it serves on what it has: cat gets these two from bob alone
            let_see(ann, {})
            holding = bob.blobs._uploads.holdings[done.infohash]
            assert not holding.complete and len(holding.have) > 0

    asyncio.run(main())


def test_a_playback_position_comes_before_the_rest_of_the_film(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await gather_in_network([ann, bob])
            film = some_bytes(80 * MB)
            await stock(ann, 1, folder_of(tmp_path / "ann", {"film.mp4": film}))
            let_see(ann, {bob.peer: {1}})
            await ann.blobs.set_limits(Limits(up_bytes_per_s=10 * MB))
            root, _ = root_and_layer(film)
            part = GettingPart(bob)
            transfer = await part.get(
                getting.NewGet(content=root.hex(), size_bytes=len(film), name="film.mp4")
            )
            while bob.blobs.transfer(transfer.id).done_bytes < 8 * MB:
                await asyncio.sleep(0.02)
            came = []  # bytes that came before those that were asked for
            for at in (0, len(film) - 100_000, 50 * MB, 25 * MB, 51 * MB):
                before = bob.blobs.transfer(transfer.id).done_bytes
                reading = await part.read_transfer(transfer.id, 0)
                data = await reading.read(at, 65536)
                came.append(bob.blobs.transfer(transfer.id).done_bytes - before)
                assert film[at : at + len(data)] == data and data
                await reading.close()
            assert max(came) < 10 * MB, came  # a second's worth; in order it were 17 and more
            assert bob.blobs.transfer(transfer.id).done_bytes < len(film)

    asyncio.run(main())


def test_patterns_choose_before_the_first_byte_and_what_is_blocked_is_left_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await gather_in_network([ann, bob])
            ids = await stock(ann, 1, folder_of(tmp_path / "ann", ALBUM))
            let_see(ann, {bob.peer: {1}})
            made = await ann.share.content.offer_folder(bob.peer, 1, ids["."], "album")

            async def get(folder: str, *patterns: str) -> TransferView:
                how = How(by_content=True, patterns=patterns)
                view = await bob.blobs.fetch(Magnet(made.infohash), tmp_path / folder, how)
                return await ended(bob, view.id)

            few = await get("few", "disc 1/*", "0[02] *")
            assert few.state == "complete" and few.done_bytes == few.size_bytes
            some = {name for name in ALBUM if name.startswith("disc 1/") or name[7:9] in ("00", "02")}
            assert set(content(Path(few.path or ""))) == some
            none = await get("none", "*.wav")
            assert (none.state, none.error) == ("failed", "none of the 9 files matches *.wav")
            assert not content(tmp_path / "none")

            bad = "disc 0/04 track.flac"
            await bob.share.safety.block_content(root_and_layer(ALBUM[bad])[0])
            most = await get("most")
            assert most.state == "complete" and most.wanted_files == 8
            assert set(content(Path(most.path or ""))) == set(ALBUM) - {bad}
            only = await get("only", "04*")
            assert (only.state, only.error) == ("failed", "this content is blocked here")
            assert "unblock" in (only.advice or "")

    asyncio.run(main())


def test_files_are_chosen_by_name_before_it_is_begun(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await gather_in_network([ann, bob])
            shared = await ann.blobs.add(folder_of(tmp_path / "album", ALBUM))
            assert shared.infohash is not None
            view = await bob.blobs.fetch(Magnet(shared.infohash), tmp_path / "got", How(paused=True))
            part = GettingPart(bob)
            assert await part.choose_files(view.id, getting.FileChoice(files=["*.wav"])) == []
            assert await part.choose_files(view.id, getting.FileChoice(files=["disc 1/*"])) == []
            await bob.blobs.resume(view.id)
            done = await ended(bob, view.id)
            assert (done.state, done.wanted_files) == ("complete", 4)
            assert set(content(Path(done.path or ""))) == {
                name for name in ALBUM if name.startswith("disc 1")
            }

    asyncio.run(main())


def test_each_copy_is_read_where_it_lies(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await gather_in_network([ann, bob])
            shared = await ann.blobs.add(folder_of(tmp_path / "album", ALBUM))
            assert shared.infohash is not None
            first, second = [
                await ended(bob, (await bob.blobs.fetch(Magnet(shared.infohash), tmp_path / folder)).id)
                for folder in ("one", "two")
            ]
            some = await bob.blobs.fetch(Magnet(shared.infohash), tmp_path / "three", How(patterns=["*0 *"]))
            part = await ended(bob, some.id)
            assert set(content(Path(part.path or ""))) == {"disc 0/00 track.flac"}
            await bob.share.getting.choose(some.id)  # the others, later: beside it, not once more
            assert (await ended(bob, some.id)).path == part.path
            assert content(tmp_path / "three") == {f"album/{name}": data for name, data in ALBUM.items()}
            track = Path(second.path or "") / "disc 1" / "01 track.flac"
            track.write_bytes(b"x" + track.read_bytes()[1:])
            await bob.blobs.verify(first.id)
            with pytest.raises(UsageError, match="changed since it was fetched"):
                await bob.blobs.verify(second.id)

    asyncio.run(main())


def test_complete_downloads_are_read_again_wherever_they_are_and_moved_into_folders_that_are_made(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await gather_in_network([ann, bob])
            odd = ALBUM | {'why "not"?.txt': b"a name that not every system takes", "aux.txt": b"nor this"}
            shared = await ann.blobs.add(folder_of(tmp_path / "album", odd))
            assert shared.infohash is not None
            private = How(only=[ann.peer])  # as by a code: fetched, and served to nobody
            for folder, how in (("all", How()), ("alone", private)):
                id = (await bob.blobs.fetch(Magnet(shared.infohash), tmp_path / folder, how)).id
                done = await ended(bob, id)
                assert done.state == "complete" and set(content(Path(done.path or ""))) != set(odd)
                await bob.blobs.verify(id)
                (Path(done.path or "") / "a note of mine.txt").write_text("beside them")
                await bob.blobs.verify(id)
                await bob.blobs.move(id, tmp_path / "new" / folder / "deep", "record")
                place = Path(bob.blobs.transfer(id).path or "")
                assert place == tmp_path / "new" / folder / "deep" / "record"
                await bob.blobs.verify(id)
                (place / "disc 1" / "01 track.flac").write_bytes(b"x" + ALBUM["disc 1/01 track.flac"][1:])
                with pytest.raises(UsageError, match="changed since it was fetched"):
                    await bob.blobs.verify(id)
                if folder == "alone":
                    (place / "disc 1" / "01 track.flac").unlink()
                    with pytest.raises(NotFound, match="not there any more"):
                        await bob.blobs.verify(id)
                else:
                    await bob.blobs.remove_share(shared.infohash.hex())

    asyncio.run(main())


def test_the_longest_lists_fit_into_one_request() -> None:
    most = msgspec.inspect.type_info(getting.FileChoice), msgspec.inspect.type_info(getting.ManyTransfers)
    for kind, field, each in ((most[0], "wanted", "10000000"), (most[1], "ids", '"' + 64 * "x" + '"')):
        assert isinstance(kind, msgspec.inspect.StructType)
        found = next(one.type for one in kind.fields if one.name == field)
        lists = found.types if isinstance(found, msgspec.inspect.UnionType) else (found,)
        length = next(one.max_length for one in lists if isinstance(one, msgspec.inspect.ListType))
        assert length is not None and length * (len(each) + 1) + 1000 < MAX_BODY_BYTES
