"""Hostile publishers, holders and neighbours against a whole node: what is here stays as it is, and goes on."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from servent.api.adapter_files import transfer_of
from servent.blobs.delay import ask
from servent.blobs.download_service import Download
from servent.blobs.magnet import Magnet
from servent.blobs.rows import How
from servent.codec import write_frame
from servent.errors import NotFound, ServentError
from servent.net.links import Stream
from servent.net.session import Session
from servent.node import Node
from servent.share import feed_record, feed_wire, getting_service
from servent.share import wire as sharing
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimNet
from tests.share.finding import met, shares
from tests.share.stock import root_and_layer
from tests.share.test_content import ended, some_bytes

NAMES = (
    "..", ".", "../../evil.txt", "/etc/evil", "C:\\evil.txt", "a/../../evil.txt", "con", "x\0y", ".bashrc", "~", "-rf",
    "evil \u202etxt.exe", "\x1b[2Jevil", "evil\r\nname", "e" * 255, ".servent-part-evil", "\udcff"[:0] or "_",
)  # fmt: skip


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".servent" not in str(path)
    }


def publish(eve: Node, feeds: dict[str, list[bytes]]) -> None:
    """Tell whoever asks of these versions, one after the other, whatever they hold."""
    waiting = asyncio.Queue[bytes]()
    for name, versions in feeds.items():
        for number, infohash in enumerate(versions, 1):
            record = feed_record.sign(eve.identity, name, number, infohash, size=1, files=1, published=1)
            waiting.put_nowait(feed_record.encode(record))

    async def tell(session: Session, stream: Stream) -> None:
        await feed_wire.read_follow.read(stream)
        while True:
            await asyncio.sleep(10)
            await write_frame(stream, feed_wire.Newest(await waiting.get()))

    eve.peers.withdraw(feed_wire.SERVICE)
    eve.peers.serve(feed_wire.SERVICE, tell, audience="network")


def test_a_feed_neither_ends_nor_moves_what_the_follower_shares(tmp_path: Path) -> None:
    """The publisher says that its newest version is what the follower shares itself, and then another one."""

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(5)) as (ann, eve):
            await gather_in_network([ann, eve])
            mine, to = tmp_path / "mine", tmp_path / "to"
            (mine / "in").mkdir(parents=True)
            (mine / "in" / "one").write_bytes(some_bytes(50_000))
            before = everything(mine)
            share = await ann.blobs.add(mine)
            assert share.infohash is not None
            (tmp_path / "news").write_bytes(b"news")
            other = await eve.blobs.add(tmp_path / "news")
            assert other.infohash is not None
            publish(eve, {"news": [share.infohash, other.infohash]})
            link = feed_record.link(eve.peer, "news")
            await ann.share.feeds.follow(link, to)
            async with asyncio.timeout(60):
                while ann.share.feeds.feeds()[0].have < 2:
                    await asyncio.sleep(0.1)
            assert (to / "news").read_bytes() == b"news"
            assert everything(mine) == before
            kept = [(one.path, one.state) for one in ann.blobs.shares() if one.infohash == share.infohash]
            assert kept == [(str(mine), "ready")]

    run(main())


def test_a_feed_called_like_something_that_is_there_moves_it_aside(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(5)) as (ann, eve):
            await gather_in_network([ann, eve])
            (tmp_path / "news").write_bytes(b"news")
            other = await eve.blobs.add(tmp_path / "news")
            assert other.infohash is not None
            to = tmp_path / "to"
            (to / "Documents").mkdir(parents=True)
            (to / "Documents" / "mine.txt").write_text("mine")
            names = ("Documents", "..", "a/../../x", ".bashrc", "-rf", "CON", "documents")
            publish(eve, {name: [other.infohash] for name in names})
            for name in names:
                await ann.share.feeds.follow(feed_record.link(eve.peer, name), to)
            async with asyncio.timeout(300):
                while sum(one.have for one in ann.share.feeds.feeds()) < len(names):
                    await asyncio.sleep(0.5)
            assert {path.name for path in tmp_path.iterdir()} == {"nodes", "news", "to"}
            mine = [path for path in to.rglob("mine.txt")]
            assert mine and all(path.read_text() == "mine" for path in mine)

    run(main())


def test_no_name_of_a_stranger_leads_out_or_overwrites(tmp_path: Path) -> None:
    """What a hit, a link or a folder is called, for a file and for the terminal."""

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(5)) as (ann, eve):
            await gather_in_network([ann, eve])
            data = some_bytes(5_000)
            folder = await shares(eve, tmp_path / "eve", {"one.bin": data})
            to = tmp_path / "down" / "to"
            to.mkdir(parents=True)
            (to / ".bashrc").write_text("mine")
            root, _ = root_and_layer(data)
            made = await eve.share.content.offer_folder(
                ann.peer, folder, (await eve.share.library_store.read(_top)), "x"
            )
            for name in NAMES:
                view = await ann.share.getting.content(root, len(data), name, to=to)
                assert transfer_of(view).name.isprintable()
                assert (await ended(ann, view.id)).state == "complete"
                for called in (name, ""):
                    how = How(called=called, by_content=True)
                    view = await ann.blobs.fetch(Magnet(made.infohash, name), to, how)
                    assert transfer_of(view).name.isprintable()
                    await ended(ann, view.id)
            assert (to / ".bashrc").read_text() == "mine"
            assert [path.name for path in (tmp_path / "down").iterdir()] == ["to"]
            for path in to.rglob("*"):
                assert path.name.isprintable() and not path.is_symlink()
                assert path.is_dir() or path.name == ".bashrc" or path.read_bytes() == data
                assert path.is_dir() or not path.stat().st_mode & 0o111

    run(main())


def _top(db: object) -> int:
    [(top,)] = db.execute("SELECT id FROM dirs WHERE parent IS NULL")  # type: ignore[attr-defined]
    return int(top)


def test_who_leaves_while_it_is_told_no_does_not_take_the_node_along(tmp_path: Path) -> None:
    """What a service does in `except*` is cancelled when the peer goes; that must stay a cancellation."""

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(5)) as (ann, eve):
            await gather_in_network([ann, eve])
            begun = asyncio.Event()

            async def clumsy(session: Session, stream: Stream) -> None:
                try:
                    raise ExceptionGroup("", [NotFound("x")])
                except* NotFound:
                    begun.set()
                    await asyncio.sleep(60)

            ann.peers.serve("clumsy/1", clumsy, audience="everyone")
            await eve.peers.open(ann.peer, "clumsy/1")
            await begun.wait()
            await eve.peers.close()
            await asyncio.sleep(5)
            await ann.share.getting.content(bytes(32), 5, "x")  # it runs on

    run(main())


def test_a_download_that_is_paused_while_it_ends_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = asyncio.Event()
    settle = Download._settle

    async def slowly(self: Download) -> None:
        ending.set()
        await asyncio.sleep(5)
        await settle(self)

    monkeypatch.setattr(Download, "_settle", slowly)

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(5)) as (ann, eve):
            await gather_in_network([ann, eve])
            data = some_bytes(5_000)
            await shares(eve, tmp_path / "eve", {"one.bin": data})
            root, _ = root_and_layer(data)
            view = await ann.share.getting.content(root, len(data), "one.bin", to=tmp_path / "to")
            await ending.wait()
            await ann.blobs.pause(view.id)
            assert ann.blobs.transfer(view.id).state == "paused"
            await ann.blobs.resume(view.id)
            assert (await ended(ann, view.id)).state == "complete"

    run(main())


def test_peers_that_come_and_go_leave_nothing_behind_in_who_is_asked_for_feeds(tmp_path: Path) -> None:
    """A peer that tells nothing is asked again after minutes; one that has left is not waited for so long."""

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(5)) as (ann, eve):
            await gather_in_network([ann, eve])
            eve.peers.withdraw(feed_wire.SERVICE)
            await ann.share.feeds.follow(feed_record.link(eve.peer, "news"), tmp_path / "to")
            await asyncio.sleep(300)
            assert set(ann.share.feeds._news._asking) == {eve.peer}
            await eve.peers.close()
            await asyncio.sleep(10)
            assert not ann.share.feeds._news._asking

    run(main())


@pytest.mark.parametrize("size", [2**53, 2**53 - 1, 2**46, 2**40])
def test_sizes_that_cannot_be_are_refused_at_once(tmp_path: Path, size: int) -> None:
    async def main() -> None:
        async with nodes(1, tmp_path / "nodes", SimNet(5)) as (ann,):
            began = time.process_time()
            for preview in (False, True):
                try:
                    view = await ann.share.getting.content(bytes(32), size, "big", preview=preview)
                    await asyncio.sleep(3)
                    now = ann.blobs.transfer(view.id)
                    assert now.done_bytes == 0
                except ServentError as no:
                    assert str(no)
            assert time.process_time() - began < 20  # hashing them would take hours

    run(main())


def test_previews_that_grow_stay_within_their_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room is made for what is there; ten begun at once are nothing then, and all of it later."""
    monkeypatch.setattr(getting_service, "SWEEP_EVERY", 1.0)

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(5)) as (ann, eve):
            await gather_in_network([ann, eve])
            ann.share.getting._cache_bytes = 1_000_000
            files = {f"{number}.mp4": some_bytes(400_000, number) for number in range(10)}
            await shares(eve, tmp_path / "eve", files)
            for name, data in files.items():
                root, _ = root_and_layer(data)
                await ann.share.getting.content(root, len(data), name, preview=True)
            await asyncio.sleep(30)
            left = everything(ann.data_dir / "previews")
            assert 0 < sum(map(len, left.values())) <= 1_000_000
            assert "9.mp4" in {os.path.basename(path) for path in left}

    run(main())


def test_datagrams_nobody_asked_for_slow_nothing_down(tmp_path: Path) -> None:
    """Something real-time on the line makes background transfers give way; a peer cannot pretend that there is."""

    async def main() -> None:
        async with nodes(3, tmp_path / "nodes", SimNet(5)) as (ann, eve, bob):
            await gather_in_network([ann, eve, bob])
            await met([ann, eve, bob])
            session = eve.peers.session(ann.peer)
            assert session is not None
            for _ in range(30):
                for service in (sharing.SERVICE, feed_wire.SERVICE, "servent.delay/1", "game/1"):
                    for number in range(10):
                        session.channel(service).send(ask(number, 1) + b"x" * (service == "game/1"))
                await asyncio.sleep(0.1)
                assert not ann.blobs.polite.view().realtime
            theirs = bob.peers.session(ann.peer)
            mine = ann.peers.session(bob.peer)
            assert theirs is not None and mine is not None
            mine.channel(sharing.SERVICE)  # an app of ours that listens
            for _ in range(10):
                for _ in range(20):
                    theirs.channel(sharing.SERVICE).send(b"voice")
                await asyncio.sleep(0.1)
            assert ann.blobs.polite.view().realtime

    run(main())
