"""Downloads on disk: killed, full, read-only, clashing, tricked, and whole at the end."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from servent.blobs import disk, hashing, info, journal, tree
from servent.blobs.disk import Partial
from servent.blobs.files import own_folder
from servent.blobs.hashing import Cancelled
from servent.blobs.info import Collection
from servent.blobs.scan import unfinished
from servent.blobs.seed import Seed, already_there, holds
from servent.errors import DiskTrouble, UsageError

BLOCK = tree.BLOCK
LENGTH = 4 * BLOCK
SIZES = {
    "empty": 0,
    "one": 1,
    "sub/block": BLOCK,
    "sub/piece": LENGTH,
    "sub/deep/more": LENGTH + 1,
    "big": 9 * LENGTH + 77,
    "sub/none": 0,
}


class Source:
    """A shared folder of a few files, and its pieces."""

    def __init__(self, base: Path) -> None:
        dice = random.Random(5)
        self.folder = base / "src" / "Things"
        for name, size in SIZES.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(dice.randbytes(size))
        (self.folder / "one").chmod(0o755)
        self.shared = hashing.collect(self.folder, LENGTH)
        seed = Seed(self.shared.collection, self.shared.root, self.shared.paths, self.shared.stamps)
        self.pieces = [seed.read_piece(piece) for piece in range(self.shared.collection.pieces)]
        seed.close()

    @property
    def collection(self) -> Collection:
        """Fresh each time, without layers, as it comes from the network."""
        made = info.parse(self.shared.collection.info, self.shared.collection.infohash)
        for root, layer in self.shared.collection.layers.items():
            made.learn(root, layer)
        return made

    def fill(self, partial: Partial, pieces: range | None = None) -> None:
        for piece in pieces or range(len(self.pieces)):
            partial.write_piece(piece, self.pieces[piece])


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


def same_tree(one: Path, two: Path) -> bool:
    """The same files, and none that was fetched may be run, whatever it was at its source."""

    def content(top: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()
        }

    assert not any(path.stat().st_mode & 0o111 for path in one.rglob("*") if path.is_file())
    return content(one) == content(two)


def test_all_pieces_in_any_order_make_the_folder(tmp_path: Path, source: Source) -> None:
    to = tmp_path / "to"
    partial = Partial.open(to, source.collection)
    order = list(range(len(source.pieces)))
    random.Random(1).shuffle(order)
    for piece in order:
        assert not partial.has(piece)
        partial.write_piece(piece, source.pieces[piece])
        assert partial.has(piece) and partial.read_piece(piece) == source.pieces[piece]
    assert partial.complete and partial.done_bytes == source.collection.size
    final = partial.finish()
    assert final == to / "Things" and same_tree(final, source.folder)
    assert os.listdir(to) == ["Things"], "nothing of ours is left behind"
    assert partial.finish() == final


def test_a_single_file_goes_to_its_name(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    path.write_bytes(random.Random(1).randbytes(3 * LENGTH + 1))
    shared = hashing.collect(path, LENGTH)
    seed = Seed(shared.collection, shared.root, shared.paths)
    partial = Partial.open(tmp_path / "to", shared.collection)
    for piece in range(shared.collection.pieces):
        partial.write_piece(piece, seed.read_piece(piece))
    final = partial.finish()
    assert final == tmp_path / "to" / "film.mkv" and final.read_bytes() == path.read_bytes()


def test_a_collection_of_empty_files_is_complete_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "a").touch()
    (tmp_path / "e" / "b").touch()
    partial = Partial.open(tmp_path / "to", hashing.collect(tmp_path / "e").collection)
    assert partial.complete
    assert sorted(os.listdir(partial.finish())) == ["a", "b"]


def test_pieces_in_a_row_are_recorded_together(tmp_path: Path, source: Source) -> None:
    partial = Partial.open(tmp_path / "to", source.collection)
    partial.write_pieces(2, source.pieces[2:7])
    assert [piece for piece in range(20) if partial.has(piece)] == [2, 3, 4, 5, 6]
    assert partial.done_bytes == sum(map(len, source.pieces[2:7]))
    partial.write_pieces(0, source.pieces)
    assert partial.complete and partial.done_bytes == source.collection.size


def test_a_download_goes_on_where_it_was_closed(tmp_path: Path, source: Source) -> None:
    with Partial.open(tmp_path / "to", source.collection) as partial:
        partial.save_layers()
        source.fill(partial, range(8))
        folder, field = partial.folder, partial.bitfield()
    assert unfinished(tmp_path / "to") == [folder]
    again = Partial.resume(folder)
    assert again.collection.missing_layers() == [], "the layers were kept"
    assert (again.resumed, again.suspects, again.bitfield()) == (8, 0, field)
    assert again.done_bytes == sum(map(len, source.pieces[:8]))
    source.fill(again)
    assert same_tree(again.finish(), source.folder)
    assert unfinished(tmp_path / "to") == []


def test_a_folder_that_is_no_download_cannot_be_resumed(tmp_path: Path) -> None:
    (tmp_path / ".servent-part-aa").mkdir()
    with pytest.raises(UsageError):
        Partial.resume(tmp_path / ".servent-part-aa")


def test_two_cannot_fetch_the_same_to_the_same_place(tmp_path: Path, source: Source) -> None:
    with Partial.open(tmp_path, source.collection), pytest.raises(UsageError, match="already"):
        Partial.open(tmp_path, source.collection)
    Partial.open(tmp_path, source.collection).close()


def test_what_is_discarded_is_gone(tmp_path: Path, source: Source) -> None:
    partial = Partial.open(tmp_path / "to", source.collection)
    source.fill(partial, range(5))
    partial.discard()
    assert os.listdir(tmp_path / "to") == []


def test_nothing_is_finished_while_pieces_are_missing(tmp_path: Path, source: Source) -> None:
    with Partial.open(tmp_path / "to", source.collection) as partial:
        source.fill(partial, range(1, len(source.pieces)))
        with pytest.raises(UsageError, match="1 pieces"):
            partial.finish()
        with pytest.raises(LookupError):
            partial.read_piece(0)
        with pytest.raises(ValueError):
            partial.write_piece(0, b"much too long for it")


# -- names that are taken


def test_a_different_folder_of_the_same_name_is_left_alone(tmp_path: Path, source: Source) -> None:
    to = tmp_path / "to"
    (to / "Things").mkdir(parents=True)
    (to / "Things" / "mine").write_text("mine")
    (to / "Things (2)").write_text("also mine")
    partial = Partial.open(to, source.collection)
    source.fill(partial)
    final = partial.finish()
    assert final == to / "Things (3)" and same_tree(final, source.folder)
    assert (to / "Things" / "mine").read_text() == "mine" and os.listdir(to / "Things") == ["mine"]
    assert (to / "Things (2)").read_text() == "also mine"


def test_the_same_folder_is_used_again(tmp_path: Path, source: Source) -> None:
    to = tmp_path / "to"
    shutil.copytree(source.folder, to / "Things")
    (to / "Things" / "a note of mine").write_text("kept")
    assert already_there(source.collection, to) == to / "Things"
    partial = Partial.open(to, source.collection)
    source.fill(partial)
    assert partial.finish() == to / "Things"
    assert os.listdir(to) == ["Things"] and (to / "Things" / "a note of mine").read_text() == "kept"


@pytest.mark.parametrize("name", ["one", "big", "sub/deep/more", "empty"])
def test_one_changed_byte_makes_it_another_folder(tmp_path: Path, source: Source, name: str) -> None:
    to = tmp_path / "to"
    shutil.copytree(source.folder, to / "Things")
    with (to / "Things" / name).open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(b"x" if first != b"x" else b"y")
    assert already_there(source.collection, to) is None


def test_a_different_file_of_the_same_name_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("new")
    shared = hashing.collect(path)
    to = tmp_path / "to"
    to.mkdir()
    (to / "a.txt").write_text("old")
    partial = Partial.open(to, shared.collection)
    partial.write_piece(0, b"new")
    assert partial.finish() == to / "a (2).txt"
    assert ((to / "a.txt").read_text(), (to / "a (2).txt").read_text()) == ("old", "new")


def test_a_link_of_the_same_name_is_left_alone(tmp_path: Path, source: Source) -> None:
    to, elsewhere = tmp_path / "to", tmp_path / "elsewhere"
    to.mkdir()
    elsewhere.mkdir()
    (to / "Things").symlink_to(elsewhere)
    partial = Partial.open(to, source.collection)
    source.fill(partial)
    assert partial.finish() == to / "Things (2)"
    assert os.listdir(elsewhere) == [] and (to / "Things").is_symlink()


# -- tricks with links


def test_links_planted_in_the_staging_folder_lead_nowhere(tmp_path: Path, source: Source) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("untouched")
    with Partial.open(tmp_path / "to", source.collection) as partial:
        data = partial.folder / "data" / "Things"
        data.mkdir()
        (data / "sub").symlink_to(outside)
        (data / "one").symlink_to(outside / "victim")
        (data / "big").symlink_to(outside / "new")
        made = source.collection
        for piece in range(made.pieces):
            with pytest.raises(DiskTrouble):
                partial.write_piece(piece, source.pieces[piece])
            assert not partial.has(piece)
    assert os.listdir(outside) == ["victim"] and (outside / "victim").read_text() == "untouched"


@pytest.mark.parametrize("name", ["", "data", "journal"])
def test_a_staging_folder_that_is_a_link_is_refused(tmp_path: Path, source: Source, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with Partial.open(tmp_path / "to", source.collection) as partial:
        folder = partial.folder
    planted = folder / name if name else folder
    if planted.is_dir():
        shutil.rmtree(planted)
    else:
        planted.unlink()
    planted.symlink_to(outside if name != "journal" else outside / "j")
    with pytest.raises(DiskTrouble):
        Partial.open(tmp_path / "to", source.collection)
    assert os.listdir(outside) == []


# -- disks in trouble


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "full"), (errno.EROFS, "read-only"), (errno.EACCES, "permission"), (errno.EIO, "rror")],
)
def test_a_disk_in_trouble_stops_one_piece_and_loses_none(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    partial = Partial.open(tmp_path / "to", source.collection)
    source.fill(partial, range(6))
    field = partial.bitfield()
    real: Callable[..., Any] = disk.write_at

    def fails(handle: int, data: bytes, offset: int) -> None:
        real(handle, data[: len(data) // 2], offset)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(disk, "write_at", fails)
    for piece in range(6, len(source.pieces)):
        with pytest.raises(DiskTrouble, match=words) as told:
            partial.write_piece(piece, source.pieces[piece])
        assert told.value.advice
    monkeypatch.setattr(disk, "write_at", real)
    assert partial.bitfield() == field
    source.fill(partial)
    assert same_tree(partial.finish(), source.folder)


def test_a_journal_that_cannot_be_written_loses_only_the_piece(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = Partial.open(tmp_path / "to", source.collection)
    source.fill(partial, range(6))
    real: Callable[..., Any] = journal.write_at

    def fails(handle: int, data: bytes, offset: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(journal, "write_at", fails)
    with pytest.raises(DiskTrouble, match="full"):
        partial.write_piece(6, source.pieces[6])
    assert not partial.has(6)
    monkeypatch.setattr(journal, "write_at", real)
    source.fill(partial)
    assert same_tree(partial.finish(), source.folder)


def test_a_real_full_disk_pauses_and_goes_on(tmp_path: Path) -> None:
    """A memory disk of 1 MiB in a mount namespace of its own, where that is allowed."""
    program = tmp_path / "full.py"
    program.write_text(
        textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from servent.blobs import hashing
        from servent.blobs.disk import Partial
        from servent.blobs.seed import Seed
        from servent.errors import DiskTrouble
        small, source = Path(sys.argv[1]), Path(sys.argv[2])
        source.write_bytes(os.urandom(700_000))
        shared = hashing.collect(source, 16384)
        seed = Seed(shared.collection, shared.root, shared.paths)
        (small / "ballast").write_bytes(bytes(700_000))
        try:
            Partial.open(small, shared.collection)
        except DiskTrouble as told:
            print("told at the start:", "free" in str(told))
        partial = Partial.open(small, shared.collection, check_space=False)
        written = 0
        try:
            for piece in range(shared.collection.pieces):
                partial.write_piece(piece, seed.read_piece(piece))
                written += 1
        except DiskTrouble as told:
            print("told when full:", "full" in str(told))
        (small / "ballast").unlink()
        print("nothing lost:", len(partial.have) == written > 5)
        for piece in range(written, shared.collection.pieces):
            partial.write_piece(piece, seed.read_piece(piece))
        print("whole:", partial.recheck(everything=True) == 0 and partial.finish().read_bytes() == source.read_bytes())
        """)
    )
    mount = tmp_path / "small"
    mount.mkdir()
    script = f'mount -t tmpfs -o size=1m tmpfs "{mount}" || exit 77; exec "$@"'
    try:
        ran = subprocess.run(
            [
                "unshare",
                "-rm",
                "sh",
                "-c",
                script,
                "sh",
                sys.executable,
                str(program),
                str(mount),
                str(tmp_path / "f"),
            ],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if ran.returncode == 77 or "unshare" in ran.stderr:
        pytest.skip("no mount namespaces here")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split("\n")[:4] == [
        "told at the start: True",
        "told when full: True",
        "nothing lost: True",
        "whole: True",
    ]


def test_too_little_space_is_said_at_the_start(tmp_path: Path) -> None:
    huge = info.build("huge", [info.File(("huge",), 2**46, bytes(32))], 2**26)
    with pytest.raises(DiskTrouble, match="free"):
        Partial.open(tmp_path, huge)


def test_a_download_folder_that_is_a_file_is_said(tmp_path: Path, source: Source) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskTrouble):
        Partial.open(tmp_path / "file", source.collection)


# -- after crashes


def test_what_the_machine_lost_in_a_crash_is_found_out(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Partial.open(tmp_path / "to", source.collection) as partial:
        partial.save_layers()
        source.fill(partial, range(4))
        partial.checkpoint()
        source.fill(partial, range(4, 12))
        folder = partial.folder
    big = folder / "data" / "Things" / "big"
    content = bytearray(big.read_bytes())
    made = source.collection
    lost = next(piece for piece in range(4, 12) if made.files[made.span(piece).file].path == ("big",))
    content[made.span(lost).offset] ^= 1
    big.write_bytes(content)
    monkeypatch.setattr(journal, "boot_id", lambda: b"another boot    ")
    partial = Partial.resume(folder)
    assert partial.suspects == 8
    seen: list[int] = []
    assert partial.recheck(seen.append) == 1 and not partial.has(lost)
    assert seen[-1] == sum(len(source.pieces[piece]) for piece in range(4, 12))
    assert partial.suspects == 0
    source.fill(partial)
    assert partial.done_bytes == made.size
    assert same_tree(partial.finish(), source.folder)


def test_a_full_check_finds_every_missing_and_every_damaged_file(tmp_path: Path, source: Source) -> None:
    partial = Partial.open(tmp_path / "to", source.collection)
    source.fill(partial)
    data = partial.folder / "data" / "Things"
    (data / "one").unlink()
    (data / "sub" / "block").write_bytes(bytes(BLOCK))
    os.truncate(data / "big", LENGTH)
    lost = partial.recheck(everything=True)
    assert lost == 1 + 1 + 9
    source.fill(partial)
    assert same_tree(partial.finish(), source.folder)


def test_processes_beside_us_find_the_same_damage(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "count_for", lambda size: 2)
    partial = Partial.open(tmp_path / "to", source.collection)
    source.fill(partial)
    data = partial.folder / "data" / "Things"
    with (data / "big").open("r+b") as file:
        file.seek(3 * LENGTH)
        file.write(b"damage")
    os.truncate(data / "sub" / "deep" / "more", LENGTH)
    assert partial.recheck(everything=True) == 2
    source.fill(partial)
    assert same_tree(partial.finish(), source.folder)


def test_a_check_can_be_stopped(tmp_path: Path, source: Source) -> None:
    with Partial.open(tmp_path / "to", source.collection) as partial:
        source.fill(partial)
        with pytest.raises(Cancelled):
            partial.recheck(cancel=lambda: True, everything=True)
        assert partial.complete


def test_a_kill_between_the_last_steps_is_noticed(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = Partial.open(tmp_path / "to", source.collection)
    partial.save_layers()
    source.fill(partial)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # "killed" after the rename
    final = partial.finish()
    monkeypatch.undo()
    again = Partial.resume(partial.folder)
    assert again.final == final and again.finish() == final
    assert os.listdir(tmp_path / "to") == ["Things"] and same_tree(final, source.folder)


KILLED = """
import sys, time
from pathlib import Path
from servent.blobs import hashing
from servent.blobs.disk import Partial
from servent.blobs.files import own_folder
from servent.blobs.seed import Seed
source, to = Path(sys.argv[1]), Path(sys.argv[2])
shared = hashing.collect(source, 65536)
seed = Seed(shared.collection, shared.root, shared.paths)
partial = Partial.open(to, shared.collection)
partial.save_layers()
print("begins", flush=True)
while True:
    for piece in range(shared.collection.pieces):
        if not partial.has(piece):
            partial.write_piece(piece, seed.read_piece(piece))
            time.sleep(0.0005)
    time.sleep(1)
"""


@pytest.mark.slow
def test_a_writer_killed_at_twenty_random_moments_loses_nothing_it_recorded(tmp_path: Path) -> None:
    dice = random.Random(11)
    source = tmp_path / "src"
    for number in range(60):
        path = source / f"{number % 7}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(dice.choice([100, 5000, 65536, 400_000])))
    shared = hashing.collect(source, 65536)
    to = tmp_path / "to"
    had = 0
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(source), str(to)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None and process.stdout.readline() == "begins\n"
        time.sleep(dice.random() * 0.03)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        [folder] = unfinished(to)
        with Partial.resume(folder) as partial:
            assert partial.suspects == 0, "the same boot: nothing to check"
            assert partial.resumed >= had
            had = partial.resumed
            assert partial.recheck(everything=True) == 0, "recorded, and not there"
    seed = Seed(shared.collection, shared.root, shared.paths)
    partial = Partial.resume(folder)
    for piece in range(shared.collection.pieces):
        if not partial.has(piece):
            partial.write_piece(piece, seed.read_piece(piece))
    seed.close()
    assert same_tree(partial.finish(), source)


def test_many_threads_write_and_read_at_once(tmp_path: Path) -> None:
    dice = random.Random(2)
    source = tmp_path / "src"
    source.mkdir()
    for number in range(150):
        (source / f"{number}").write_bytes(dice.randbytes(dice.choice([10, 3 * BLOCK, 70_000])))
    shared = hashing.collect(source, BLOCK)
    made = shared.collection
    seed = Seed(made, shared.root, shared.paths, shared.stamps)
    partial = Partial.open(tmp_path / "to", made)
    wrong: list[object] = []

    def work(number: int) -> None:
        own = random.Random(number)
        order = [piece for piece in range(made.pieces) if piece % 3 != number % 3 or number > 2]
        own.shuffle(order)
        try:
            for piece in order:
                partial.write_piece(piece, seed.read_piece(piece))
                other = own.randrange(made.pieces)
                if partial.has(other) and not made.verify(other, partial.read_piece(other)):
                    wrong.append(other)
        except (DiskTrouble, OSError, LookupError, ValueError, RuntimeError) as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seed.close()
    assert wrong == []
    assert partial.done_bytes == made.size
    assert same_tree(partial.finish(), source)
    assert holds(made, tmp_path / "to", [("src", *path) for path in shared.paths])


def test_a_folder_that_another_part_of_the_node_makes_at_the_same_moment_is_taken(tmp_path: Path) -> None:
    """libtorrent makes the folder it will save in as soon as it knows what there is: between any look and our mkdir."""
    start = threading.Barrier(8)

    def make(_: int) -> None:
        for number in range(200):
            start.wait(10)
            own_folder(tmp_path / str(number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(8)))
    (tmp_path / "link").symlink_to(tmp_path / "0")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(OSError):
            own_folder(tmp_path / name)
