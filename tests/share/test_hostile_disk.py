"""A shared folder in which somebody else may write, and files that are made to harm whoever looks at them."""

from __future__ import annotations

import asyncio
import os
import stat
import struct
import zlib
from pathlib import Path

import pytest

from bench.library import song
from servent.blobs.queueing import command, filled
from servent.errors import UsageError
from servent.share import hash_child
from servent.share.hash_child import Answer
from servent.share.metadata import Metadata
from servent.testing.loop import run
from servent.testing.nodes import nodes
from servent.testing.simnet import SimNet
from tests.share.libraries import library

VIEW = memoryview(bytearray(hash_child.READ))


def hashed(root: Path, path: str, size: int, stamp: int) -> list[Answer]:
    whole: tuple[object, ...] = (path.encode(), size, stamp, 1 << 18, 1, 1, "", "one", "", {})
    return [
        *hash_child.answer(("files", os.fsencode(root), [whole]), VIEW),
        *hash_child.answer(("range", os.fsencode(root), path.encode(), 0, size, 1 << 18, size, stamp), VIEW),
    ]


def by_the_file(shared: Path, secret: Path) -> None:
    (shared / "in" / "one.mp3").unlink()
    (shared / "in" / "one.mp3").symlink_to(secret / "one.mp3")


def by_the_folder(shared: Path, secret: Path) -> None:
    (shared / "in").rename(shared / "before")
    (shared / "in").symlink_to(secret)


@pytest.mark.parametrize("lead_out", [by_the_file, by_the_folder])
def test_between_looking_and_hashing_nobody_leads_out_of_the_folder(tmp_path: Path, lead_out: object) -> None:
    shared, secret = tmp_path / "shared", tmp_path / "secret"
    for folder, title in ((shared / "in", "Harmless"), (secret, "Secret!!")):
        folder.mkdir(parents=True)
        (folder / "one.mp3").write_bytes(song(title, "Somebody"))
    path, other = shared / "in" / "one.mp3", secret / "one.mp3"
    os.utime(path, ns=(0, other.stat().st_mtime_ns))
    size, stamp = other.stat().st_size, other.stat().st_mtime_ns
    assert path.stat().st_size == size
    reader = Metadata()
    try:
        job = [("in/one.mp3", "one.mp3")]
        assert [one.state for one in hashed(shared, "in/one.mp3", size, stamp)] == [0, 0]
        assert reader.read(job, str(shared))[0].tags["title"] == "Harmless"
        assert callable(lead_out)
        lead_out(shared, secret)
        assert path.read_bytes() == other.read_bytes(), "the attack would work"
        for one in hashed(shared, "in/one.mp3", size, stamp):
            assert one.state > 0 and not one.root and not one.layer and not one.head
        assert reader.read(job, str(shared))[0].tags == {}
    finally:
        reader.close()


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*one) for one in chunks) + chunk(b"IEND", b"")


def test_files_that_grow_when_they_are_read_have_no_tags_and_cost_nothing(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(200 << 20), 9)  # 200 MB in 200 kB
    files = {
        "text.png": png(10, 10, (b"zTXt", b"Comment\0\0" + bomb), (b"iTXt", b"a\0\1\0\0\0" + bomb)),
        "profile.png": png(10, 10, (b"iCCP", b"x\0\0" + bomb)),
        "huge.png": png(2**31 - 1, 2**31 - 1),
        "frames.gif": b"GIF89a\xff\xff\xff\xff\xf7\0\0" + bytes(768) + b"!\xff\x0bNETSCAPE2.0" * 10_000,
        "long.mp3": b"ID3\x04\0\0" + b"\x7f" * 4 + b"TIT2\x7f\x7f\x7f\x7f\0\0\3" + b"A" * 2_000_000,
        "loop.mp4": struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4s", 0, b"moov") * 50_000,
        "deep.mp4": b"".join(struct.pack(">I4s", 8 * (20_000 - n), b"moov") for n in range(20_000)),
        "page.ogg": b"OggS\0\2" + b"\xff" * 20 + b"\xff" + b"\xff" * 255 + b"\1vorbis" * 1000,
        "none.flac": b"fLaC" + b"\4\xff\xff\xff" + b"\xff\xff\xff\xff" * 1000,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "good.mp3").write_bytes(song("Title", "Artist"))
    reader = Metadata(limit=15.0)
    try:
        found = reader.read([(name, name) for name in [*files, "good.mp3"]], str(tmp_path))
    finally:
        reader.close()
    for name, one in zip(files, found, strict=False):
        assert all(len(text) <= 200 for text in one.tags.values() if isinstance(text, str)), name
    assert found[-1].tags["title"] == "Title"


def test_pipes_devices_and_circles_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "in").mkdir(parents=True)
    (shared / "one.txt").write_bytes(b"one")
    os.mkfifo(shared / "pipe.txt")
    (shared / "null.txt").symlink_to("/dev/zero")
    (shared / "in" / "round").symlink_to(shared)
    (shared / "out").symlink_to("/etc")
    os.link(shared / "one.txt", shared / "twice.txt")  # a hard link is a file like any other

    async def main() -> None:
        async with library(tmp_path, quiet=0.0) as lib:
            view = await lib.library.add(shared)
            await lib.library.settled()
            assert await lib.names() == ["one.txt", "twice.txt"]
            assert lib.library.folder(view.id).skipped == 4

    asyncio.run(main())


def test_what_lies_in_the_data_directory_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Also where the folder itself was made by somebody who let everybody in."""
    os.umask(os.umask(0o022))
    (tmp_path / "nodes" / "node-0").mkdir(parents=True, mode=0o755)

    async def main() -> None:
        async with nodes(1, tmp_path / "nodes", SimNet(1)) as (ann,):
            await asyncio.sleep(1)
            view = await ann.share.getting.content(bytes(32), 1000, "x", preview=True)
            async with asyncio.timeout(10):
                while not ann.blobs.download_of(view.id)[0].touched:
                    await asyncio.sleep(0.1)
            await asyncio.sleep(2)
            for path in ann.data_dir.iterdir():
                if (
                    path.name.startswith(("library.db", "node.db", "servent.db", "previews"))
                    or path.suffix == ".key"
                ):
                    assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path.name
            assert (ann.data_dir / "previews").is_dir() and (ann.data_dir / "library.db").is_file()

    run(main())


@pytest.mark.parametrize(
    "name", ["-rf", "--output=/etc/passwd", "-", "$(id)", "`id`", "a b", "{path}", "; id"]
)
def test_no_name_is_an_option_or_a_command(name: str) -> None:
    words = filled(
        command("notify {name} --size={size} {path}"), path="/d/x", name=name, size=1, infohash="ab"
    )
    assert len(words) == 4 and not words[1].startswith("-") and words[1].endswith(name)


@pytest.mark.parametrize("script", ["done.bat", "C:\\\\tools\\\\done.CMD", "'done.bat '"])
def test_a_batch_file_is_given_no_names(script: str) -> None:
    """Windows hands its words to cmd.exe as one text, in which a name with & or % is a command."""
    with pytest.raises(UsageError, match="would run"):
        command(f"{script} {{name}}")
    assert command(script), "it may read SERVENT_NAME"
