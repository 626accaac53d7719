"""What this node seeds to BitTorrent: from where it lies, under its own infohash, and no longer than it may."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import libtorrent as lt
import pytest

from servent.blobs import hashing
from servent.blobs.hashing import collect
from servent.errors import NotFound, ServentError, UsageError
from servent.store import Store
from servent.torrent import metafile
from servent.torrent.door_views import Fetched
from servent.torrent.seeding_rows import Enough, Row
from servent.torrent.seeding_service import Seeding
from servent.torrent.session import Session
from servent.torrent.views import Adding
from tests.net.party import until
from tests.torrent.swarm import Book, Done, fetch, looped, session


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".pad" not in path.parts
    }


def album(folder: Path) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "a.bin").write_bytes(os.urandom(700_001))
    (folder / "deep" / "c.bin").write_bytes(os.urandom(300_000))
    (folder / "empty").write_bytes(b"")
    (folder / "z.txt").write_bytes(b"last")
    return folder


@asynccontextmanager
async def seeding(
    own: Session, book: Book, where: Path, enough: Enough | None = None
) -> AsyncIterator[Seeding]:
    store = Store(where / "node.db")
    made = Seeding(lambda: own, book, store, where / "none", enough=enough or Enough())
    async with store:
        await made.open()
        running = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            running.cancel()
            await asyncio.wait([running])
            await made.close()
            for view in made.views():
                if (handle := made.handle(view.id)) is not None:
                    await own.remove(handle)


@pytest.fixture
def no_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it is hashed again")

    for name in ("collect", "hash_file", "verify_file_pieces"):
        if hasattr(hashing, name):
            monkeypatch.setattr(hashing, name, never)


@looped
async def test_a_share_is_seeded_under_its_own_infohash_from_where_it_lies(tmp_path: Path) -> None:
    shared = collect(album(tmp_path / "album"))
    infohash = shared.collection.infohash
    async with (
        session(tmp_path / "ours") as own,
        session(tmp_path / "theirs") as other,
        seeding(own, Book(shared), tmp_path) as seeds,
    ):
        view = await seeds.seed(infohash, trackers=[["http://127.0.0.1:9/announce"]])
        assert (view.id, view.infohash_v2, view.infohash_v1) == (infohash.hex(), infohash.hex(), "")
        assert (view.state, view.reason, view.share) == ("seeding", "", infohash.hex())
        assert view.magnet.startswith(f"magnet:?xt=urn:btmh:1220{infohash.hex()}&dn=album&tr=http")
        torrent = await seeds.export(infohash, comment="for you")
        assert metafile.decode(torrent).trackers == (("http://127.0.0.1:9/announce",),)
        handle = await fetch(other, torrent, tmp_path / "got", own.view().port)
        assert handle.infohash_v2 == infohash
        assert files_of(tmp_path / "got" / "album") == files_of(tmp_path / "album")
        await until(lambda: seeds.view(view.id).sent_bytes >= shared.collection.size)
        assert not (tmp_path / "none").exists()


@looped
async def test_what_is_seeded_goes_on_after_a_restart_and_counts_on(tmp_path: Path) -> None:
    shared = collect(album(tmp_path / "album"))
    infohash = shared.collection.infohash
    book = Book(shared)
    async with session(tmp_path / "ours") as own, session(tmp_path / "theirs") as other:
        async with seeding(own, book, tmp_path) as seeds:
            await seeds.seed(infohash, web_seeds=["http://127.0.0.1:9/x/"])
            await fetch(other, await seeds.export(infohash), tmp_path / "got", own.view().port)
            await until(lambda: seeds.view(infohash.hex()).sent_bytes >= shared.collection.size)
            sent = seeds.view(infohash.hex()).sent_bytes
        assert own.handles() == []
        async with seeding(own, book, tmp_path) as again:
            await until(lambda: again.handle(infohash.hex()) is not None)
            view = again.view(infohash.hex())
            assert view.reason == "" and view.web_seeds == ("http://127.0.0.1:9/x/",)
            assert view.sent_bytes >= sent
            await again.unseed(infohash.hex())
        async with seeding(own, book, tmp_path) as last:
            assert last.views() == []


@looped
async def test_a_file_that_changed_is_never_written_and_no_longer_seeded(tmp_path: Path) -> None:
    """Its size and time are what they were: only the bytes tell, when libtorrent looks at a piece it is asked for."""
    shared = collect(album(tmp_path / "album"))
    infohash = shared.collection.infohash
    whole = files_of(tmp_path / "album")
    async with (
        session(tmp_path / "ours") as own,
        session(tmp_path / "theirs") as other,
        seeding(own, Book(shared), tmp_path) as seeds,
    ):
        await seeds.seed(infohash)
        torrent = await seeds.export(infohash)
        victim = tmp_path / "album" / "a.bin"
        seen = victim.stat()
        with victim.open("r+b") as file:
            file.write(b"something else")
        os.utime(victim, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        changed = victim.read_bytes()
        done, here = Done(), f"127.0.0.1:{own.view().port}"
        await other.add(Adding(tmp_path / "got", torrent=torrent, peers=(here,)), done)
        await until(lambda: seeds.view(infohash.hex()).reason != "")
        assert not done.done.is_set()
        assert seeds.handle(infohash.hex()) is None
        assert "changed" in seeds.view(infohash.hex()).reason
        assert victim.read_bytes() == changed != whole["a.bin"]


@looped
async def test_a_share_that_changed_or_left_is_seeded_no_longer(tmp_path: Path) -> None:
    one, two = collect(album(tmp_path / "one")), collect(album(tmp_path / "two"))
    book = Book(one, two)
    async with session(tmp_path / "ours") as own, seeding(own, book, tmp_path) as seeds:
        for shared in (one, two):
            await seeds.seed(shared.collection.infohash)
        (tmp_path / "one" / "z.txt").write_bytes(b"more than it was")
        del book.all[two.collection.infohash]
        seeds.shares_changed()
        await until(lambda: all(view.reason for view in seeds.views()))
        assert "changed" in seeds.view(one.collection.infohash.hex()).reason
        assert "not shared" in seeds.view(two.collection.infohash.hex()).reason
        assert own.handles() == []
        with pytest.raises(UsageError, match=r"z\.txt changed"):
            await seeds.seed(one.collection.infohash)
        with pytest.raises(NotFound):
            await seeds.seed(two.collection.infohash)


@looped
async def test_a_hybrid_of_a_share_has_one_infohash_in_both_worlds(tmp_path: Path) -> None:
    shared = collect(album(tmp_path / "album"))
    book = Book(shared)
    async with (
        session(tmp_path / "ours") as own,
        session(tmp_path / "theirs") as other,
        seeding(own, book, tmp_path) as seeds,
    ):
        made = await seeds.hybrid(shared.collection.infohash)
        assert made != shared.collection.infohash and made in book.all
        assert await seeds.hybrid(made) == made
        view = await seeds.seed(made)
        assert view.version == "hybrid" and view.infohash_v2 == made.hex() and view.infohash_v1
        torrent = await seeds.export(made)
        assert metafile.decode(torrent).v2 == made
        handle = await fetch(other, torrent, tmp_path / "got", own.view().port)
        assert (handle.infohash_v1, handle.infohash_v2) == (bytes.fromhex(view.infohash_v1), made)
        assert files_of(tmp_path / "got" / "album") == files_of(tmp_path / "album")


@looped
async def test_a_single_file_is_seeded_too_also_as_a_hybrid(tmp_path: Path) -> None:
    (tmp_path / "film.mkv").write_bytes(os.urandom(600_000))
    shared = collect(tmp_path / "film.mkv")
    async with (
        session(tmp_path / "ours") as own,
        session(tmp_path / "theirs") as other,
        seeding(own, Book(shared), tmp_path) as seeds,
    ):
        made = await seeds.hybrid(shared.collection.infohash)
        await seeds.seed(made)
        await fetch(other, await seeds.export(made), tmp_path / "got", own.view().port)
        assert (tmp_path / "got" / "film.mkv").read_bytes() == (tmp_path / "film.mkv").read_bytes()


@looped
async def test_what_was_fetched_is_given_back_and_then_enough(tmp_path: Path) -> None:
    shared = collect(album(tmp_path / "album"))
    infohash = shared.collection.infohash
    async with (
        session(tmp_path / "ours") as own,
        session(tmp_path / "theirs") as other,
        seeding(own, Book(shared), tmp_path, Enough(ratio=1.0)) as seeds,
    ):
        await seeds.seed(infohash, asked=False)
        await fetch(other, await seeds.export(infohash), tmp_path / "got", own.view().port)
        await until(lambda: seeds.view(infohash.hex()).sent_bytes >= shared.collection.size)
        seeds.shares_changed()
        await until(lambda: seeds.handle(infohash.hex()) is None)
        assert "given back 1 times" in seeds.view(infohash.hex()).reason


def test_enough_is_enough_only_for_what_nobody_asked_to_seed() -> None:
    row = Row("ab", "x", False, since=1000.0)
    enough = Enough(ratio=2.0, time=3600.0)
    assert enough.reached(row, 100, 199, 1001.0) == ""
    assert "2 times" in enough.reached(row, 100, 200, 1001.0)
    assert "1 hours" in enough.reached(row, 100, 0, 4600.0)
    assert Enough(ratio=0, time=0).reached(row, 100, 10**9, 10**9) == ""
    row.asked = True
    assert enough.reached(row, 100, 10**9, 10**9) == ""


@looped
async def test_urls_that_cannot_be_used_are_refused_and_nothing_is_seeded(tmp_path: Path) -> None:
    shared = collect(album(tmp_path / "album"))
    async with session(tmp_path / "ours") as own, seeding(own, Book(shared), tmp_path) as seeds:
        for wrong in ({"trackers": [["file:///etc/passwd"]]}, {"web_seeds": ["udp://a.example:1"]}):
            with pytest.raises(UsageError, match="cannot be used"):
                await seeds.seed(shared.collection.infohash, **wrong)
        assert seeds.views() == [] and own.handles() == []


@looped
async def test_a_schedule_that_says_pause_holds_seeding_too(tmp_path: Path) -> None:
    shared = collect(album(tmp_path / "album"))
    infohash = shared.collection.infohash
    async with (
        session(tmp_path / "ours") as own,
        session(tmp_path / "theirs") as other,
        seeding(own, Book(shared), tmp_path) as seeds,
    ):
        await seeds.seed(infohash)
        seeds.hold("nothing moves on Monday")
        assert seeds.view(infohash.hex()).reason == "nothing moves on Monday"
        handle = seeds.handle(infohash.hex())
        assert handle is not None and (await handle.fresh()).paused
        seeds.hold("")
        await fetch(other, await seeds.export(infohash), tmp_path / "got", own.view().port)
        assert files_of(tmp_path / "got" / "album") == files_of(tmp_path / "album")


@looped
async def test_limits_hold_for_what_is_seeded(tmp_path: Path) -> None:
    (tmp_path / "film.mkv").write_bytes(os.urandom(450_000))
    shared = collect(tmp_path / "film.mkv")
    async with (
        session(tmp_path / "ours") as own,
        session(tmp_path / "theirs") as other,
        seeding(own, Book(shared), tmp_path) as seeds,
    ):
        seeds.limit(300_000)
        await seeds.seed(shared.collection.infohash)
        began = time.monotonic()
        torrent = await seeds.export(shared.collection.infohash)
        await fetch(other, torrent, tmp_path / "got", own.view().port)
        assert (
            time.monotonic() - began > 0.6
        )  # a second and a half's worth, less what a bucket holds at first


@looped
async def test_a_node_without_libtorrent_says_so(tmp_path: Path) -> None:
    shared = collect(album(tmp_path / "album"))
    store = Store(tmp_path / "node.db")

    def none() -> Session:
        raise ServentError("libtorrent is not installed")

    seeds = Seeding(none, Book(shared), store, tmp_path / "none")
    async with store:
        await seeds.open()
        with pytest.raises(ServentError, match="not installed"):
            await seeds.seed(shared.collection.infohash)
        assert seeds.views() == []


@looped
async def test_what_came_through_the_door_goes_on_being_seeded(tmp_path: Path) -> None:
    """Version 1, which no share of ours can hold, and version 2, which is a share by then."""
    shared = collect(album(tmp_path / "album"))
    files = [lt.create_file_entry("old/a.bin", 700_001), lt.create_file_entry("old/z.txt", 4)]
    made = lt.create_torrent(files, 65536, lt.create_torrent.v1_only)
    (tmp_path / "old").symlink_to(tmp_path / "album")
    lt.set_piece_hashes(made, str(tmp_path))
    old = lt.bencode(made.generate())
    paths = (tmp_path / "album" / "a.bin", tmp_path / "album" / "z.txt")
    infohash = shared.collection.infohash
    async with (
        session(tmp_path / "ours") as own,
        session(tmp_path / "theirs") as other,
        seeding(own, Book(shared), tmp_path) as seeds,
    ):
        v1 = metafile.decode(old).v1
        await seeds.take(
            Fetched(
                transfer="1",
                name="old",
                torrent=old,
                infohash_v1=v1,
                infohash_v2=None,
                share=None,
                paths=paths,
                uploaded_bytes=5,
            )
        )
        await seeds.take(
            Fetched(
                transfer="2",
                name="album",
                torrent=b"",
                infohash_v1=None,
                infohash_v2=infohash,
                share=infohash,
                paths=(),
                uploaded_bytes=7,
            )
        )
        assert {view.name: view.sent_bytes for view in seeds.views()} == {"old": 5, "album": 7}
        await seeds.take(
            Fetched(
                transfer="3",
                name="part",
                torrent=old,
                infohash_v1=v1,
                infohash_v2=None,
                share=None,
                paths=(paths[0], None),
            )
        )
        (tmp_path / "empty").write_bytes(b"")
        await seeds.take(
            Fetched(
                transfer="4",
                name="wrong",
                torrent=old,
                infohash_v1=v1,
                infohash_v2=None,
                share=None,
                paths=(paths[0], tmp_path / "empty"),
            )
        )
        assert len(seeds.views()) == 2
        await fetch(other, old, tmp_path / "got", own.view().port)
        assert (tmp_path / "got" / "old" / "a.bin").read_bytes() == paths[0].read_bytes()
