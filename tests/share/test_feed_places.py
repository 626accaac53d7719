"""Versions of a feed on disk."""

from __future__ import annotations

from pathlib import Path

from servent.share import feed_places


def make(path: Path, text: str) -> bytes:
    path.mkdir()
    (path / "one.txt").write_text(text)
    return feed_places.stamps(path)


def clear(path: Path, seen: bytes, sequence: int, keep: int) -> Path | None:
    return feed_places.clear_away(path, seen, feed="abc", sequence=sequence, keep=keep, now=1_700_000_000.0)


def kept(path: Path) -> list[str]:
    return sorted(one.name for one in (path.parent / feed_places.STAGING / "abc" / "versions").iterdir())


def test_old_versions_are_kept_as_many_as_wanted(tmp_path: Path) -> None:
    path = tmp_path / "photos"
    for sequence in range(8, 13):
        assert clear(path, make(path, str(sequence)), sequence, 2) is None
        assert not path.exists()
    assert kept(path) == ["11", "12"]
    assert clear(path, make(path, "last"), 13, 0) is None
    assert kept(path) == []


def test_what_a_person_changed_stays(tmp_path: Path) -> None:
    path = tmp_path / "photos"
    seen = make(path, "one")
    (path / "mine.txt").write_text("my own")
    changed = clear(path, seen, 1, 0)
    assert changed is not None and changed.parent == tmp_path
    assert (changed / "mine.txt").read_text() == "my own"
    make(path, "two")
    again = clear(path, b"", 2, 0)
    assert again is not None and again != changed


def test_nothing_there_is_nothing_to_clear(tmp_path: Path) -> None:
    assert clear(tmp_path / "photos", b"x" * 32, 1, 3) is None
    assert feed_places.stamps(tmp_path / "photos") == b""


def test_a_file_alone_is_a_version_too(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("one")
    seen = feed_places.stamps(path)
    assert seen
    path.write_text("two!")
    assert feed_places.stamps(path) != seen


def test_staging_folders_go_when_they_are_empty(tmp_path: Path) -> None:
    feed_places.staging(tmp_path, "abc", 3).mkdir(parents=True)
    feed_places.sweep(tmp_path, "abc")
    assert not (tmp_path / feed_places.STAGING).exists()
    place = feed_places.staging(tmp_path, "abc", 4)
    place.mkdir(parents=True)
    (place / "part").write_text("x")
    feed_places.sweep(tmp_path, "abc")
    assert (place / "part").exists()
