"""Folders hashed for sharing: libtorrent, written by others from the same text, must agree to the byte."""

from __future__ import annotations

import os
import random
import socket
import warnings
from collections.abc import Callable
from pathlib import Path

import libtorrent
import pytest

from servent.blobs import hashing, helpers, tree
from servent.blobs.hashing import Cancelled
from servent.blobs.scan import Changed, scan
from servent.blobs.seed import Seed
from servent.errors import DiskTrouble, NotFound, UsageError

BLOCK = tree.BLOCK
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def by_libtorrent(path: Path, piece_length: int) -> tuple[bytes, dict[bytes, bytes]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of 2.1: file_storage is deprecated, its successor not in 2.0
        files = libtorrent.file_storage()
        libtorrent.add_files(files, str(path))
        torrent = libtorrent.create_torrent(files, piece_length, libtorrent.create_torrent.v2_only)
        libtorrent.set_piece_hashes(torrent, str(path.parent))
        made = torrent.generate()
        return libtorrent.bencode(made[b"info"]), dict(made[b"piece layers"])


def agrees(path: Path, piece_length: int) -> None:
    shared = hashing.collect(path, piece_length)
    encoded, layers = by_libtorrent(path, piece_length)
    assert shared.collection.info == encoded
    assert shared.collection.layers == layers
    assert shared.collection.missing_layers() == []
    for root, layer in layers.items():
        shared.collection.learn(root, layer)


@pytest.mark.parametrize(
    "size",
    [
        1,
        BLOCK - 1,
        BLOCK,
        BLOCK + 1,
        3 * BLOCK,
        4 * BLOCK - 1,
        4 * BLOCK,
        4 * BLOCK + 1,
        8 * BLOCK,
        9 * BLOCK + 5,
    ],
)
@pytest.mark.parametrize("piece_length", [BLOCK, 4 * BLOCK])
def test_one_file_has_the_infohash_libtorrent_gives_it(tmp_path: Path, size: int, piece_length: int) -> None:
    path = tmp_path / "Ünïcode file.bin"
    path.write_bytes(random.Random(size).randbytes(size))
    agrees(path, piece_length)


@pytest.mark.parametrize("seed", range(20))
def test_a_folder_has_the_infohash_libtorrent_gives_it(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    top = tmp_path / "Föld ér"
    for number in range(dice.randrange(1, 25)):
        folder = top.joinpath(
            *(dice.choice(["a", "b", "Ü", "a.b", "日本", "a b", ".hid"]) for _ in range(dice.randrange(4)))
        )
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / dice.choice([f"{number}", f"z{number}.txt", f"é{number}", f".{number}"])
        size = dice.choice([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 4 * BLOCK, 4 * BLOCK + 1, 200_000, 1_000_003])
        path.write_bytes(dice.randbytes(size))
        path.chmod(dice.choice([0o644, 0o644, 0o755]))
    (top / "empty folder").mkdir()
    (top / "twin 1").write_bytes(b"same" * 30_000)
    (top / "twin 2").write_bytes(b"same" * 30_000)
    agrees(top, dice.choice([BLOCK, 2 * BLOCK, 4 * BLOCK, 64 * BLOCK]))


def test_a_big_file_in_many_jobs_is_put_together_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "CHUNK", 4 * BLOCK)
    monkeypatch.setattr(hashing, "READ", 2 * BLOCK)
    path = tmp_path / "big"
    path.write_bytes(random.Random(1).randbytes(101 * BLOCK + 7))
    encoded, _ = by_libtorrent(path, BLOCK * 2)
    for threads in (None, 1, 2, 8):
        assert hashing.collect(path, 2 * BLOCK, threads=threads).collection.info == encoded
    root, layer = hashing.hash_file(path, 2 * BLOCK)
    assert root is not None and tree.verify_layer(root, layer, 101 * BLOCK + 7, 2 * BLOCK)


def test_processes_beside_us_come_to_the_same_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helpers, "count_for", lambda size: 3)
    monkeypatch.setattr(hashing, "count_for", lambda size: 3)
    monkeypatch.setattr(hashing, "CHUNK", 4 * BLOCK)
    dice = random.Random(1)
    for number, size in enumerate([0, 5, BLOCK, 37 * BLOCK + 9, 4 * BLOCK, 90 * BLOCK]):
        (tmp_path / f"Ü {number}").write_bytes(dice.randbytes(size))
    agrees(tmp_path, 2 * BLOCK)


def test_when_a_process_beside_us_dies_the_work_is_done_here(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(random.Random(1).randbytes(20 * BLOCK))
    with helpers.Helpers(1) as pool:
        first = pool.hash_range(path, 0, 4 * BLOCK, BLOCK)
        assert first is not None and first.layer == tree.hash_blocks(path.read_bytes()[: 4 * BLOCK])
        assert pool.hash_range(path, 0, 21 * BLOCK, BLOCK) is None, "the file is shorter"
        with pytest.raises(FileNotFoundError):
            pool.hash_range(tmp_path / "nothing", 0, 1, BLOCK)
        pool._all[0].kill()
        pool._all[0].wait()
        with pytest.raises(helpers.HelperLost):
            pool.hash_range(path, 0, 4 * BLOCK, BLOCK)
        shared = hashing.collect(path, BLOCK)
        with path.open("rb") as file:
            good = hashing.verify_file_pieces(file.fileno(), shared.collection, range(20), path, pool)
        assert good == list(range(20))


def test_no_process_is_started_for_little(tmp_path: Path) -> None:
    assert helpers.count_for(helpers.WORTH - 1) == 0
    pool = helpers.Helpers(2)
    pool.hash_range(Path(__file__), 0, 1, BLOCK)
    [process] = pool._all
    pool.close()
    assert process.poll() is not None, "and it ends with its pool"
    pool.close()


def test_progress_ends_at_the_size(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / str(number)).write_bytes(bytes(number))
    seen: list[int] = []
    hashing.collect(tmp_path, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == sum(range(300))


def test_hashing_stops_when_it_is_told_to(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(20 * 2**30)
    with pytest.raises(Cancelled):
        hashing.collect(tmp_path, cancel=lambda: True)


def change_size(path: Path) -> None:
    path.write_bytes(b"longer")


def change_time(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def change_kind(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [change_size, change_time, Path.unlink, change_kind])
def test_a_file_that_changes_meanwhile_is_an_error_that_names_it(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    (tmp_path / "a").write_bytes(b"aa")
    (tmp_path / "b").write_bytes(bytes(2 * 1024 * 1024))
    found = scan(tmp_path)
    change(tmp_path / "a")
    with pytest.raises((Changed, DiskTrouble), match=r"\ba\b"):
        hashing.collect_scan(found)


def test_a_big_file_that_shrinks_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(bytes(2 * 1024 * 1024))
    found = scan(tmp_path)
    (tmp_path / "b").write_bytes(bytes(1024 * 1024))
    with pytest.raises(Changed, match="b changed"):
        hashing.collect_scan(found)


def test_links_inside_are_files_and_links_outside_are_left_out(tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_text("secret")
    top = tmp_path / "top"
    (top / "sub").mkdir(parents=True)
    (top / "file").write_text("content")
    (top / "inside").symlink_to("file")
    (top / "outside").symlink_to(outside)
    (top / "climbs").symlink_to("../secret")
    (top / "folder").symlink_to("sub")
    (top / "loop").symlink_to("loop")
    (top / "up").symlink_to("..")
    found = scan(top)
    assert [file.name for file in found.files] == ["file", "inside"]
    assert {name for name, _ in found.skipped} == {"outside", "climbs", "folder", "loop", "up"}
    shared = hashing.collect(top)
    assert shared.collection.files[0].root == shared.collection.files[1].root


def test_what_is_no_file_is_left_out_and_named(tmp_path: Path) -> None:
    top = tmp_path / "t"
    top.mkdir()
    (top / "file").touch()
    os.mkfifo(top / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(top / "sock"))
        found = scan(top)
    assert [file.name for file in found.files] == ["file"]
    assert sorted(name for name, _ in found.skipped) == ["pipe", "sock"]


def test_hidden_files_are_shared_and_half_done_downloads_are_not(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").touch()
    (tmp_path / ".servent-part-0011").mkdir()
    (tmp_path / ".servent-part-0011" / "journal").touch()
    assert [file.name for file in scan(tmp_path).files] == [".git/config"]


def test_what_cannot_be_shared_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        scan(tmp_path / "nothing")
    with pytest.raises(UsageError, match="no files"):
        scan(tmp_path)
    with pytest.raises(UsageError, match="neither"):
        scan(Path("/dev/null"))
    with pytest.raises(UsageError):
        scan(Path("/"))


def test_a_name_that_is_not_unicode_is_named(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"bad\xff")).touch()
    except OSError:
        pytest.skip("this file system takes only Unicode names")
    with pytest.raises(UsageError, match="bad"):
        scan(tmp_path)


@pytest.mark.skipif(ROOT, reason="root may read everything")
def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "private").touch(mode=0)
    with pytest.raises(DiskTrouble, match="private"):
        hashing.collect(tmp_path)


def test_a_shared_folder_gives_every_piece(tmp_path: Path) -> None:
    dice = random.Random(3)
    for number, size in enumerate([0, 1, BLOCK, 4 * BLOCK, 9 * BLOCK + 1]):
        (tmp_path / f"{number}").write_bytes(dice.randbytes(size))
    shared = hashing.collect(tmp_path, 4 * BLOCK)
    made = shared.collection
    seed = Seed(made, shared.root, shared.paths, shared.stamps)
    assert seed.bitfield() == b"\xfc" and made.pieces == 6
    for piece in range(made.pieces):
        data = seed.read_piece(piece)
        assert made.verify(piece, data)
        view = memoryview(bytearray(10))
        assert seed.read_into(piece, view, 0) == min(10, len(data))
        assert bytes(view[: len(data)]) == data[:10]
    with pytest.raises(IndexError):
        seed.read_piece(6)
    seed.close()
    seed.close()


@pytest.mark.parametrize("change", [change_size, change_time, Path.unlink])
def test_a_shared_file_that_changed_is_not_served(tmp_path: Path, change: Callable[[Path], object]) -> None:
    (tmp_path / "a").write_bytes(b"first")
    shared = hashing.collect(tmp_path)
    with_open_file = Seed(shared.collection, shared.root, shared.paths, shared.stamps)
    fresh = Seed(shared.collection, shared.root, shared.paths, shared.stamps)
    assert with_open_file.read_piece(0) == b"first"
    change(tmp_path / "a")
    with pytest.raises((Changed, DiskTrouble), match="a"):
        fresh.read_piece(0)
    if change is not Path.unlink:
        with pytest.raises(Changed):
            with_open_file.read_piece(0)
    with_open_file.close()
    fresh.close()
