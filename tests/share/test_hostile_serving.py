"""No byte of a file leaves that no folder's audience covers, whatever is done to the folder or asked of the node."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from servent.blobs import wire
from servent.blobs.canonical import canon, canonical
from servent.blobs.info import File, build, piece_length_for
from servent.blobs.magnet import Magnet
from servent.blobs.places import Place, Placed
from servent.blobs.rows import How
from servent.blobs.seed import Seed
from servent.blobs.views import Limits
from servent.errors import WorldError
from servent.node import Node
from servent.share import content_service
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimNet
from tests.share.finding import shares
from tests.share.stock import let_see, root_and_layer, stock
from tests.share.test_content import asked, ended, some_bytes, threads_are_done

MB = 1_000_000
OPEN, SECRET = b"o" * 1000, b"s" * 1000


def alike(path: Path, other: Path) -> None:
    """Give `path` the time of `other`: all that `stat` tells of a file of the same size."""
    seen = other.stat()
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def lead_out_by_the_file(shared: Path, secret: Path) -> None:
    (shared / "in" / "one").unlink()
    (shared / "in" / "one").symlink_to(secret / "one")


def lead_out_by_the_folder(shared: Path, secret: Path) -> None:
    (shared / "in").rename(shared / "before")
    (shared / "in").symlink_to(secret)


@pytest.mark.parametrize("lead_out", [lead_out_by_the_file, lead_out_by_the_folder])
def test_a_name_that_becomes_a_link_leads_nobody_out_of_the_folder(tmp_path: Path, lead_out: object) -> None:
    """Who may write in a shared folder makes a file look like a secret one to `stat`, then puts a link in its place."""
    shared, secret = tmp_path / "shared", tmp_path / "secret"
    for folder, data in ((shared / "in", OPEN), (secret, SECRET)):
        folder.mkdir(parents=True)
        (folder / "one").write_bytes(data)
    alike(shared / "in" / "one", secret / "one")
    path = shared / "in" / "one"
    place = Place(path, 1000, path.stat().st_mtime_ns, shared)
    root, layer = root_and_layer(OPEN)
    collection = canonical(root, 1000, layer)
    share = build("shared", [File(("in", "one"), 1000, root)], piece_length_for(1000))
    seed = Seed(share, tmp_path, [("shared", "in", "one")], [place.stamp])
    lost: list[Place] = []
    placed = Placed(collection, {0: [place]}, lost.append)
    assert placed.read_piece(0) == OPEN == seed.read_piece(0) == place.read(0, 1000)
    placed.close()
    seed.close()

    assert callable(lead_out)
    lead_out(shared, secret)
    assert (shared / "in" / "one").read_bytes() == SECRET, "the attack would work"
    placed, seed = (
        Placed(collection, {0: [place]}, lost.append),
        Seed(share, tmp_path, [("shared", "in", "one")], [place.stamp]),
    )
    with pytest.raises(LookupError):
        placed.read_piece(0)
    with pytest.raises(WorldError):
        place.read(0, 1000)
    with pytest.raises(WorldError):
        seed.read_piece(0)
    assert lost == [place]
    placed.close()
    seed.close()


def test_a_share_may_hold_links_that_stay_inside(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(seed=7)) as (ann, bob):
            await gather_in_network([ann, bob])
            folder = tmp_path / "shared"
            (folder / "in").mkdir(parents=True)
            (folder / "in" / "one").write_bytes(OPEN)
            (folder / "two").symlink_to(folder / "in" / "one")
            view = await ann.blobs.add(folder)
            assert view.infohash is not None
            got = await ended(bob, (await bob.blobs.fetch(Magnet(view.infohash), tmp_path / "to")).id)
            assert got.state == "complete" and (tmp_path / "to" / "shared" / "two").read_bytes() == OPEN

    run(main())


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(OPEN)
    place = Place(path, 1000, path.stat().st_mtime_ns, tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(WorldError):
        place.read(0, 10)


def test_who_saw_a_content_in_one_folder_loses_it_with_the_file_in_that_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same content in a folder for the network, once, and in one for friends, many times."""
    monkeypatch.setattr(content_service, "LOOK_EVERY", 0.5)

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(seed=7)) as (ann, bob):
            await gather_in_network([ann, bob])
            data = some_bytes(4 * MB)
            for number in range(20):  # more places than are looked at of one content
                (tmp_path / "friends").mkdir(exist_ok=True)
                (tmp_path / "friends" / f"{number:02}").write_bytes(data)
            (tmp_path / "network").mkdir()
            (tmp_path / "network" / "one").write_bytes(data)
            await stock(ann, 1, tmp_path / "friends")
            await stock(ann, 2, tmp_path / "network")
            let_see(ann, {bob.peer: {2}})
            await ann.blobs.set_limits(Limits(up_bytes_per_s=500_000))
            root, _ = root_and_layer(data)
            view = await bob.share.getting.content(root, len(data), "one", to=tmp_path / "b")
            while bob.blobs.transfer(view.id).done_bytes < MB:
                await asyncio.sleep(0.1)
            (tmp_path / "network" / "one").unlink()
            await stock(ann, 2, tmp_path / "network")
            ann.share.content.changed()
            async with asyncio.timeout(5):
                while ann.blobs._uploads.uploads:
                    await asyncio.sleep(0.1)
            await asyncio.sleep(5)  # what is on its way arrives
            await threads_are_done()
            before = bob.blobs.transfer(view.id).done_bytes
            await asyncio.sleep(20)
            assert bob.blobs.transfer(view.id).done_bytes == before < len(data)
            assert isinstance((await asked(bob, ann, canon(root, len(data))))[0], wire.Refuse)

    run(main())


def test_a_file_that_got_another_content_gives_nobody_the_right_to_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is there and hashed, as before; its content is not."""
    monkeypatch.setattr(content_service, "LOOK_EVERY", 0.5)

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(seed=7)) as (ann, bob):
            await gather_in_network([ann, bob])
            data = some_bytes(50_000)
            for name in ("friends", "network"):
                (tmp_path / name).mkdir()
                (tmp_path / name / "one").write_bytes(data)
            await stock(ann, 1, tmp_path / "friends")
            await stock(ann, 2, tmp_path / "network")
            let_see(ann, {bob.peer: {2}})
            root, _ = root_and_layer(data)
            content = canon(root, len(data))
            assert isinstance((await asked(bob, ann, content))[0], wire.Offer)
            await ann.share.library_store.write(
                lambda db: db.execute(
                    "UPDATE files SET root = ?, canon = ? WHERE folder = 2", (bytes(32), bytes(32))
                )
            )
            ann.share.content.changed()
            await asyncio.sleep(2)
            assert isinstance((await asked(bob, ann, content))[0], wire.Refuse)

    run(main())


def test_nobody_gets_a_hidden_file_by_having_us_fetch_something_that_contains_it(tmp_path: Path) -> None:
    """Who knows no more of it than its hash offers a folder with that hash in it: our own copy must not complete it."""

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(seed=7)) as (ann, eve):
            await gather_in_network([ann, eve])
            data, bait = some_bytes(100_000, 1), some_bytes(100_000, 2)
            for audience in ("nobody", "friends"):
                await shares(
                    ann, tmp_path / audience, {f"{audience}.txt": audience.encode() + data}, audience
                )
            hidden = [audience.encode() + data for audience in ("nobody", "friends")]
            files = [
                File((f"{number}",), len(one), root_and_layer(one)[0])
                for number, one in enumerate([*hidden, bait])
            ]
            trap = build("trap", files, piece_length_for(sum(file.size for file in files)))
            view = await ann.blobs.fetch(Magnet(trap.infohash), tmp_path / "to", How(info=trap.info))
            await asyncio.sleep(20)
            assert ann.blobs.transfer(view.id).done_bytes == 0
            answer, _ = await asked(eve, ann, trap.infohash)
            assert isinstance(answer, wire.Refuse) or not answer.complete
            # what everybody may see anyway is taken from here
            await shares(ann, tmp_path / "network", {"open.txt": bait}, "network")
            await ann.blobs.pause(view.id)
            await ann.blobs.resume(view.id)
            await asyncio.sleep(5)
            assert ann.blobs.transfer(view.id).done_bytes == len(bait)

    run(main())


async def fetching(ann: Node, bob: Node, tmp_path: Path) -> tuple[int, str]:
    """`bob` is in the middle of a file that `ann` shares: her folder, his transfer."""
    data = some_bytes(4 * MB)
    folder = await shares(ann, tmp_path / "a", {"one": data}, "network")
    await ann.blobs.set_limits(Limits(up_bytes_per_s=500_000))
    root, _ = root_and_layer(data)
    view = await bob.share.getting.content(root, len(data), "one", to=tmp_path / "b")
    while bob.blobs.transfer(view.id).done_bytes < MB:
        await asyncio.sleep(0.1)
    return folder, view.id


@pytest.mark.parametrize("way", ["nobody", "renamed too", "removed", "peer blocked", "content blocked"])
def test_what_is_taken_back_is_gone_at_once_not_a_moment_later(tmp_path: Path, way: str) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(seed=7)) as (ann, bob):
            await gather_in_network([ann, bob])
            folder, _ = await fetching(ann, bob, tmp_path)
            [upload] = ann.blobs._uploads.uploads.values()
            match way:
                case "nobody":
                    await ann.share.library.change(folder, audience="nobody")
                case "renamed too":
                    await ann.share.library.change(folder, audience="friends", name="another")
                case "removed":
                    await ann.share.library.remove(folder)
                case "peer blocked":
                    await ann.share.safety.block_peer(bob.peer)
                case "content blocked":
                    assert upload.holding.collection.files[0].root is not None
                    await ann.share.safety.block_content(upload.holding.collection.files[0].root)
            assert not ann.blobs._uploads.uploads and not upload.slot and not upload.key

    run(main())
