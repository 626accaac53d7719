"""Pieces out of files that lie anywhere, as long as they are what was hashed."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from servent.blobs import info
from servent.blobs.places import Place, Placed, open_place
from servent.blobs.scan import Changed


def placed(path: Path, data: bytes) -> Place:
    path.write_bytes(data)
    return Place(path, len(data), path.stat().st_mtime_ns)


def two_files(one: bytes, two: bytes) -> info.Collection:
    files = [
        info.File(("a",), len(one), sha256(one).digest()),
        info.File(("b",), len(two), sha256(two).digest()),
    ]
    return info.build("both", files, 16384)


def test_a_place_that_changed_gives_way_to_the_next_and_is_told_of(tmp_path: Path) -> None:
    one, two = b"one", b"two!"
    first, second = placed(tmp_path / "x", one), placed(tmp_path / "y", one)
    lost: list[Place] = []
    source = Placed(two_files(one, two), {0: [first, second]}, lost.append)
    assert source.bitfield() == b"\x80" and source.has(0) and not source.has(1)
    assert source.read_piece(0) == one and lost == []
    (tmp_path / "x").write_bytes(b"owe")
    assert source.read_piece(0) == one and lost == [first]
    (tmp_path / "y").unlink()
    (tmp_path / "y").symlink_to("/dev/zero")
    source.close()
    source = Placed(two_files(one, two), {0: [second], 1: [placed(tmp_path / "z", two)]}, lost.append)
    with pytest.raises(LookupError):
        source.read_piece(0)
    assert lost == [first, second]
    assert source.bitfield() == b"\x40" and source.read_piece(1) == two
    source.close()


def test_what_is_not_offered_is_not_read(tmp_path: Path) -> None:
    source = Placed(two_files(b"one", b"two!"), {})
    with pytest.raises(LookupError):
        source.read_piece(1)
    with pytest.raises(IndexError):
        source.read_piece(2)
    source.close()


def test_a_file_that_changed_is_not_opened(tmp_path: Path) -> None:
    place = placed(tmp_path / "x", b"x")
    (tmp_path / "x").write_bytes(b"xy")
    with pytest.raises(Changed):
        open_place(place)
