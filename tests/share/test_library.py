"""The library as a whole: folders looked through, hashed, indexed, moved, paused, restarted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from servent.blobs.canonical import canon
from servent.blobs.hashing import hash_file
from servent.blobs.info import piece_length_for
from servent.errors import Doubtful, NotFound, UsageError
from servent.testing.loop import run
from tests.share.libraries import library


def put(path: Path, data: bytes, age: float = 60.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    then = time.time() - age
    os.utime(path, (then, then + 0.123456))
    return path


def test_what_is_in_a_folder_is_hashed_and_indexed_as_blobs_would(tmp_path: Path) -> None:
    small = put(tmp_path / "s" / "a" / "small.txt", b"hello")
    middle = put(tmp_path / "s" / "a" / "b" / "middle.bin", os.urandom(700_000))
    big = put(tmp_path / "s" / "big.bin", os.urandom(40 << 20))
    put(tmp_path / "s" / "empty", b"")

    async def main() -> None:
        async with library(tmp_path) as lib:
            await lib.library.add(tmp_path / "s")
            await lib.library.settled()
            for path in (small, middle, big):
                length = piece_length_for(path.stat().st_size)
                want = hash_file(path, length)
                ((root, layer, found),) = await lib.rows(
                    "SELECT root, layer, canon FROM files WHERE name = ?", path.name
                )
                assert root == want.root
                assert (layer or b"") == want.layer
                assert found == canon(root, path.stat().st_size)
            (view,) = lib.library.folders()
            assert (view.files, view.hashed_files) == (4, 4)
            assert view.size_bytes == view.hashed_bytes == 5 + 700_000 + (40 << 20)
            assert (view.state, view.reason) == ("watching", "") or "noticed" in view.reason
            assert await lib.rows("SELECT count(*) FROM found WHERE found MATCH 'hello OR small'") == [(1,)]
            await lib.check()

    run(main())


def test_changes_moves_and_deletions_are_noticed_and_moves_are_not_hashed_again(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for number in range(20):
        put(one / f"d{number % 3}" / f"f{number}.bin", os.urandom(1000 + number))
    put(two / "x.bin", b"x")

    async def main() -> None:
        async with library(tmp_path) as lib:
            first = await lib.library.add(one)
            second = await lib.library.add(two)
            await lib.library.settled()
            before = dict(await lib.rows("SELECT name, root FROM files"))
            hashed: list[int] = []
            lib.library.queue._hashing = lambda folder, size: hashed.append(size)
            (one / "d0" / "f0.bin").rename(one / "renamed.bin")
            (one / "d1").rename(one / "moved")
            (one / "d2" / "f2.bin").rename(two / "over.bin")
            put(one / "d2" / "f5.bin", b"changed", age=30)
            (one / "d2" / "f8.bin").unlink()
            await lib.library.rescan(first.id)
            await lib.library.rescan(second.id)
            await lib.library.settled()
            after = dict(await lib.rows("SELECT name, root FROM files"))
            assert hashed == [7]
            assert after["renamed.bin"] == before["f0.bin"]
            assert after["f1.bin"] == before["f1.bin"]
            assert after["over.bin"] == before["f2.bin"]
            assert after["f5.bin"] != before["f5.bin"]
            assert "f8.bin" not in after
            await lib.check()

    run(main())


def test_a_restart_goes_on_where_it_stopped_and_hashes_nothing_twice(tmp_path: Path) -> None:
    for number in range(30):
        put(tmp_path / "s" / f"f{number}.bin", os.urandom(100))
    late = put(tmp_path / "s" / "late.bin", b"late")

    async def main() -> None:
        async with library(tmp_path) as lib:
            view = await lib.library.add(tmp_path / "s")
            await lib.library.settled()
            await lib.library.pause(view.id, True)
            put(late, b"changed", age=10)
            await lib.library.rescan(view.id)
            await lib.library.settled()
            assert "late.bin" not in await lib.names()
            assert lib.library.folder(view.id).state == "paused"
        async with library(tmp_path) as lib:
            hashed: list[int] = []
            lib.library.queue._hashing = lambda folder, size: hashed.append(size)
            await lib.library.settled()
            assert lib.library.folder(view.id).state == "paused"
            await lib.library.pause(view.id, False)
            await lib.library.settled()
            assert hashed == [7]
            assert len(await lib.names()) == 31
            await lib.check()

    run(main())


def test_a_file_that_is_being_written_waits_until_it_is_quiet(tmp_path: Path) -> None:
    path = put(tmp_path / "s" / "growing.bin", b"1", age=0)

    async def main() -> None:
        import asyncio

        async with library(tmp_path) as lib:
            view = await lib.library.add(tmp_path / "s")
            await asyncio.sleep(1.0)
            assert await lib.names() == []
            assert "until nothing writes" in lib.library.folder(view.id).reason
            put(path, b"12", age=-5)  # a clock that goes ahead, and it changed again
            await lib.library.rescan(view.id)
            await asyncio.sleep(1.0)
            assert await lib.names() == []
            await asyncio.sleep(5.0)
            assert await lib.names() == ["growing.bin"]

    run(main())


def test_hidden_files_patterns_and_links(tmp_path: Path) -> None:
    for name in ("a.mp3", "b.tmp", ".hidden", ".git/x", "cache/c.mp3", "keep/d.txt", "half.part", "id_rsa"):
        put(tmp_path / "s" / name, name.encode())
    (tmp_path / "s" / "link").symlink_to("a.mp3")
    (tmp_path / "s" / "out").symlink_to("/etc")
    (tmp_path / "s" / "new\nline").write_bytes(b"x")
    os.mkfifo(tmp_path / "s" / "pipe")

    async def main() -> None:
        async with library(tmp_path) as lib:
            with pytest.raises(Doubtful, match="id_rsa"):
                await lib.library.add(tmp_path / "s", exclude=["*.tmp", "cache/"])
            (tmp_path / "s" / "id_rsa").unlink()
            with pytest.raises(Doubtful, match="hidden"):
                await lib.library.add(tmp_path / "s", exclude=["*.tmp", "cache/"])
            view = await lib.library.add(tmp_path / "s", exclude=["*.tmp", "cache/"], confirm=True)
            put(tmp_path / "s" / "id_rsa", b"later")
            await lib.library.rescan(view.id)
            await lib.library.settled()
            assert await lib.names() == ["a.mp3", "d.txt"]
            view = lib.library.folder(view.id)
            assert view.skipped == 5
            assert any("key" in why for why in view.skipped_why)
            assert any("control" in why for why in view.skipped_why)
            with pytest.raises(Doubtful):
                await lib.library.change(view.id, hidden=True)
            await lib.library.change(view.id, exclude=[], include=["*.mp3", "*.tmp"])
            await lib.library.settled()
            assert await lib.names() == ["a.mp3", "b.tmp", "c.mp3"]
            await lib.library.change(view.id, include=[], hidden=True, confirm=True)
            await lib.library.settled()
            assert await lib.names() == [".hidden", "a.mp3", "b.tmp", "c.mp3", "d.txt", "id_rsa", "x"]
            await lib.check()

    run(main())


def test_a_private_key_under_a_harmless_name_is_held_back_until_it_is_meant(tmp_path: Path) -> None:
    key = b"-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n"
    put(tmp_path / "s" / "notes.txt", key)
    put(tmp_path / "s" / "fine.txt", b"fine")

    async def main() -> None:
        async with library(tmp_path) as lib:
            view = await lib.library.add(tmp_path / "s")
            await lib.library.settled()
            assert await lib.names("1") == ["fine.txt"]
            assert any("private key" in why for why in lib.library.folder(view.id).skipped_why)
            await lib.library.rescan(view.id)
            await lib.library.settled()
            assert await lib.names("1") == ["fine.txt"]
            assert any("private key" in why for why in lib.library.folder(view.id).skipped_why)
            await lib.check()
            await lib.library.change(view.id, confirm=True)
            await lib.library.settled()
            assert await lib.names() == ["fine.txt", "notes.txt"]
            await lib.check()

    run(main())


def test_a_folder_whose_disk_is_away_is_not_served_and_comes_back_by_itself(tmp_path: Path) -> None:
    import asyncio

    put(tmp_path / "s" / "a.bin", b"a")

    async def main() -> None:
        async with library(tmp_path) as lib:
            view = await lib.library.add(tmp_path / "s")
            await lib.library.settled()
            assert lib.library.folders_for(lib.trust.me) == {view.id}
            (tmp_path / "s").rename(tmp_path / "away")
            await asyncio.sleep(20)
            failed = lib.library.folder(view.id)
            assert failed.state == "failed"
            assert "Is its disk connected" in failed.reason
            assert failed.hashed_files == 1
            assert lib.library.folders_for(lib.trust.me) == frozenset()
            (tmp_path / "s").mkdir()  # what an unmounted disk leaves behind
            await asyncio.sleep(20)
            assert "mounted" in lib.library.folder(view.id).reason
            (tmp_path / "s").rmdir()
            (tmp_path / "away").rename(tmp_path / "s")
            await asyncio.sleep(20)
            assert lib.library.folder(view.id).state == "watching"
            assert await lib.names() == ["a.bin"]

    run(main())


def test_folders_do_not_overlap_and_servents_own_is_never_shared(tmp_path: Path) -> None:
    (tmp_path / "s" / "below").mkdir(parents=True)

    async def main() -> None:
        async with library(tmp_path) as lib:
            with pytest.raises(NotFound):
                await lib.library.add(tmp_path / "nowhere")
            with pytest.raises(UsageError, match="belongs to servent"):
                await lib.library.add(tmp_path / "data", confirm=True)
            view = await lib.library.add(tmp_path / "s")
            for path, why in (
                (tmp_path / "s", "already"),
                (tmp_path / "s" / "below", "lies in"),
                (tmp_path, "contains"),
            ):
                with pytest.raises(UsageError, match=why):
                    await lib.library.add(path, confirm=True)
            await lib.library.remove(view.id)
            put(tmp_path / "x.bin", b"x")
            view = await lib.library.add(tmp_path)
            await lib.library.settled()
            assert await lib.names() == ["x.bin"]  # and not data/node.db

    run(main())


def test_a_home_asks_first(tmp_path: Path) -> None:
    home = tmp_path / "home" / "ann"
    home.mkdir(parents=True)

    async def main() -> None:
        async with library(tmp_path, homes=[home]) as lib:
            with pytest.raises(Doubtful, match="is a home directory"):
                await lib.library.add(home)
            with pytest.raises(Doubtful, match="contains the home directory"):
                await lib.library.add(home.parent)
            assert (await lib.library.add(home, confirm=True)).settings.path == str(home)

    run(main())


def test_removed_folders_leave_nothing_and_come_back_without_hashing(tmp_path: Path) -> None:
    import asyncio

    for number in range(10):
        put(tmp_path / "s" / f"f{number}", os.urandom(50))

    async def main() -> None:
        async with library(tmp_path) as lib:
            view = await lib.library.add(tmp_path / "s", name="mine")
            await lib.library.settled()
            await lib.library.remove(view.id)
            await asyncio.sleep(1)
            for table in ("files", "dirs", "folders", "found"):
                assert await lib.rows(f"SELECT count(*) FROM {table}") == [(0,)]
            hashed: list[int] = []
            lib.library.queue._hashing = lambda folder, size: hashed.append(size)
            again = await lib.library.add(tmp_path / "s", name="mine")
            assert again.id != view.id
            await lib.library.settled()
            assert len(await lib.names()) == 10
            assert hashed == []
            await lib.check()

    run(main())
