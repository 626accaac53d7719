"""The journal: whole after any kill, honest after a crash of the machine."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servent.blobs import journal as module
from servent.blobs.journal import Journal

HASH = bytes(32)
BOOT, NEXT_BOOT = b"a" * 16, b"b" * 16


def opened(path: Path, boot: bytes = BOOT, infohash: bytes = HASH) -> Journal:
    return Journal(path / "journal", infohash, 100, boot)


def test_what_was_recorded_is_there_again(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.add(3)
    one.add(10, 5)
    one.close()
    two = opened(tmp_path)
    assert list(two.have) == [3, 10, 11, 12, 13, 14] and not two.suspect
    two.add(99)
    two.close()
    assert 99 in opened(tmp_path).have


@pytest.mark.parametrize("cut", range(1, 37))
def test_a_torn_tail_is_written_over(tmp_path: Path, cut: int) -> None:
    one = opened(tmp_path)
    for piece in range(3):
        one.add(piece)
    one.close()
    path = tmp_path / "journal"
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    two = opened(tmp_path)
    kept = 3 - (cut + 11) // 12
    assert list(two.have) == list(range(kept))
    two.add(50)
    two.close()
    assert list(opened(tmp_path).have) == [*range(kept), 50]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_never_invents_a_piece(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "journal"
    path.unlink(missing_ok=True)
    one = opened(tmp_path)
    one.add(1)
    one.add(20, 10)
    one.add(40)
    one.close()
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + 4] = data.draw(st.binary(min_size=1, max_size=6))
    path.write_bytes(content)
    two = opened(tmp_path)
    assert set(two.have) <= {1, *range(20, 30), 40}
    two.close()


def test_after_a_crash_of_the_machine_what_was_not_synced_is_suspect(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.add(1)
    one.checkpoint(one.mark())
    one.add(2)
    one.close()
    two = opened(tmp_path, NEXT_BOOT)
    assert list(two.have) == [1, 2] and list(two.suspect) == [2]
    two.close()
    again = opened(tmp_path, NEXT_BOOT)
    assert list(again.suspect) == [2], "still suspect until it was looked at"
    again.lost(again.suspect)
    again.close()
    three = opened(tmp_path, NEXT_BOOT)
    assert list(three.have) == [1] and not three.suspect


def test_what_came_while_the_disk_was_synced_is_not_vouched_for(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.add(1)
    mark = one.mark()
    one.add(2)
    one.checkpoint(mark)
    one.add(3)
    assert list(one.sure) == [1]
    one.close()
    two = opened(tmp_path, NEXT_BOOT)
    assert list(two.suspect) == [2, 3]
    two.lost(two.suspect)
    two.close()
    three = opened(tmp_path, b"c" * 16)
    assert list(three.have) == [1] and not three.suspect, "once vouched for, always"


def test_what_is_added_before_the_check_is_suspect_too_and_that_is_safe(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.add(1)
    one.close()
    two = opened(tmp_path, NEXT_BOOT)
    two.add(5)
    two.close()
    three = opened(tmp_path, NEXT_BOOT)
    assert set(three.suspect) >= {1}
    assert set(three.have) == {1, 5}


def test_a_journal_of_another_collection_says_nothing(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.add(1)
    one.close()
    assert not opened(tmp_path, infohash=b"\1" * 32).have


def test_only_one_process_has_it(tmp_path: Path) -> None:
    one = opened(tmp_path)
    with pytest.raises(BlockingIOError):
        opened(tmp_path)
    one.lost(one.suspect)  # replaces the file: the lock goes with it
    with pytest.raises(BlockingIOError):
        opened(tmp_path)
    one.close()
    opened(tmp_path).close()


def test_a_full_disk_records_nothing_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = opened(tmp_path)
    one.add(1)
    real: Callable[..., Any] = module.write_at

    def half(handle: int, data: bytes, offset: int) -> None:
        real(handle, data[: len(data) // 2], offset)
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(module, "write_at", half)
    with pytest.raises(OSError):
        one.add(2)
    assert 2 not in one.have
    monkeypatch.setattr(module, "write_at", real)
    one.add(3)
    one.close()
    assert list(opened(tmp_path).have) == [1, 3]
