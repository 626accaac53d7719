"""Looking through a folder, and what tells that one should not be shared."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from servent.share import sensitive, walking
from servent.share.catalog import Pending
from servent.share.folders import FolderSettings, Rules
from servent.share.hash_jobs import Batch, Parts, Quiet, Range, jobs
from servent.share.walking import Walk, bad_name, look_into, printable
from servent.share.watching import reason
from servent.share.writers import are_written

RULES = Rules(FolderSettings(path="/x", name="x"))


def seen(walk: Walk) -> list[str]:
    return sorted("/".join((*one.path, file.name)) for one in walk.listings() for file in one.files)


def test_links_are_not_followed_and_odd_names_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b" / "file")
    for name in (b"bad\xff", "turned\u202egpj.exe".encode(), b"line\nbreak", "fine ü 日本".encode()):
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).write_bytes(b"x")
    walk = Walk(str(tmp_path), RULES)
    assert seen(walk) == ["a/b/file", "fine ü 日本"]
    assert walk.skipped.count == 5
    text = "\n".join(walk.skipped.examples)
    text.encode()
    assert "not Unicode" in text
    assert "control" in text
    assert "links are not followed" in text


def test_too_deep_and_unreadable_folders_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MAX_DEPTH", 3)
    deep = tmp_path / "1" / "2" / "3" / "4"
    deep.mkdir(parents=True)
    (deep / "lost").write_bytes(b"x")
    (tmp_path / "1" / "kept").write_bytes(b"x")
    walk = Walk(str(tmp_path), RULES)
    assert seen(walk) == ["1/kept"]
    assert "deeper" in walk.skipped.examples[0]
    walk = Walk(str(tmp_path / "nowhere"), RULES)
    assert seen(walk) == []
    assert walk.skipped.count == 1


def test_servents_own_folder_is_never_looked_into(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "identity").write_bytes(b"x")
    own = os.stat(tmp_path / "own")
    never = [(own.st_dev, own.st_ino)]
    assert seen(Walk(str(tmp_path), RULES, never=never)) == []
    looked = list(Walk(str(tmp_path), RULES, never=never).look([("own", "identity")]))
    assert all(not listing.files for batch in looked for listing in batch)


def test_a_look_at_single_paths(tmp_path: Path) -> None:
    (tmp_path / "new" / "below").mkdir(parents=True)
    (tmp_path / "new" / "below" / "f").write_bytes(b"x")
    (tmp_path / "single").write_bytes(b"x")
    (tmp_path / "outside").symlink_to("/etc")
    paths = [("new",), ("single",), ("gone",), ("outside", "passwd"), ("new", "below", "f"), ("..", "up")]
    found = [one for batch in Walk(str(tmp_path), RULES).look(paths) for one in batch]
    files = sorted("/".join((*one.path, file.name)) for one in found for file in one.files)
    assert files == ["new/below/f", "single"]
    (top,) = [one for one in found if one.path == ()]
    assert top.asked == {"new", "single", "gone"}
    assert top.folders == {"new"}


def test_names_are_shown_as_text() -> None:
    assert bad_name("fine.txt") == bad_name("日本.txt") == ""
    assert bad_name("a\x00") and bad_name("a\ud800") and bad_name("\u200fx")
    assert printable("a\nb\udcffc") == "a\\nb\\udcffc"


@pytest.mark.parametrize(
    "name",
    ["id_rsa", "ID_ED25519", "wallet.dat", "secrets.kdbx", "logins.json", "key4.db", "server.key", ".env", "passwords.txt",
     "private-key.pem", "x.p12", "identity.key", ".netrc"],
)  # fmt: skip
def test_files_that_look_like_keys(name: str) -> None:
    assert sensitive.is_secret(name)


@pytest.mark.parametrize(
    "name", ["monkey.jpg", "keynote.pdf", "id_rsa.pub", "environment.txt", "wallet.jpg", "cert.pem"]
)
def test_files_that_do_not(name: str) -> None:
    assert not sensitive.is_secret(name)


def test_private_keys_are_known_by_their_first_line() -> None:
    assert sensitive.holds_key(b"-----BEGIN OPENSSH PRIVATE KEY-----\nx")
    assert sensitive.holds_key(b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n")
    assert sensitive.holds_key(b"-----BEGIN PRIVATE KEY-----\n")
    assert not sensitive.holds_key(b"-----BEGIN CERTIFICATE-----\n")
    assert not sensitive.holds_key(b"-----BEGIN PUBLIC KEY-----\n")


@pytest.mark.parametrize(
    "folder", [".ssh", ".gnupg", ".aws", ".mozilla", ".password-store", "keyrings", ".bitcoin"]
)
def test_doubtful_folders_by_name(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir()
    assert sensitive.doubts(tmp_path / folder, [], look_into(tmp_path / folder, RULES), hidden=False)
    assert sensitive.doubts(tmp_path, [], look_into(tmp_path, RULES), hidden=False)


def test_what_the_person_excludes_raises_no_doubt(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / "id_ed25519").touch()
    (tmp_path / "song.mp3").touch()

    def doubts(*exclude: str) -> int:
        rules = Rules(FolderSettings(path=str(tmp_path), name="x", exclude=exclude))
        return len(sensitive.doubts(tmp_path, [], look_into(tmp_path, rules), hidden=False))

    assert doubts() == doubts("*.tmp") == 2
    assert doubts(".*") == 1, "the key"
    assert doubts(".*", "id_*") == 0


def test_a_harmless_folder_raises_no_doubt(tmp_path: Path) -> None:
    for name in ("a.mp3", ".DS_Store", "Thumbs.db", "cover.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert sensitive.doubts(tmp_path, [Path("/home/ann")], look_into(tmp_path, RULES), hidden=False) == []
    for name in ("Documents", "Pictures", "Downloads"):
        (tmp_path / name).mkdir()
    assert "home" in sensitive.doubts(tmp_path, [], look_into(tmp_path, RULES), hidden=False)[0]
    assert "whole file system" in sensitive.doubts(Path("/"), [], sensitive.Look(), hidden=False)[0]


def test_excluding_what_is_doubtful_settles_the_doubt(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "id_rsa").write_bytes(b"x")
    assert sensitive.doubts(tmp_path, [], look_into(tmp_path, RULES), hidden=False)
    rules = Rules(FolderSettings(path="/x", name="x", exclude=("keys/",)))
    assert sensitive.doubts(tmp_path, [], look_into(tmp_path, rules), hidden=False) == []


def test_what_the_system_says_becomes_advice() -> None:
    assert "max_user_watches" in reason("OS file watch limit reached. about [...]")
    assert "max_user_instances" in reason("Too many open files (os error 24)")


def pending(id: int, size: int, mtime: float = 0.0) -> Pending:
    return Pending(id, 1, 1, "f", size, int(mtime * 1e9), id)


def test_small_files_are_batched_and_big_ones_cut() -> None:
    found = list(jobs([pending(n, 1000) for n in range(600)] + [pending(1000, 100 << 20)]))
    batches = [one for one in found if isinstance(one, Batch)]
    ranges = [one for one in found if isinstance(one, Range)]
    assert sorted(len(one.files) for one in batches) == [88, 256, 256]
    assert [one.offset >> 20 for one in ranges] == [0, 32, 64, 96]
    assert sum(one.size for one in ranges) == 100 << 20
    parts = Parts()
    for one in (ranges[1], ranges[3], ranges[0]):
        assert parts.add(one, b"h" * 32, b"head" if not one.offset else b"") is None
    whole = parts.add(ranges[2], b"i" * 32, b"")
    assert whole is not None
    assert whole[1] == b"h" * 64 + b"i" * 32 + b"h" * 32
    assert whole[2] == b"head"


def test_a_file_waits_longer_each_time_it_changed_while_it_was_read() -> None:
    quiet = Quiet(2.0)
    assert quiet.may(pending(1, 10, 0.0), now=0.0, wall=100.0), "long untouched"
    assert not quiet.may(pending(2, 10, 99.0), now=0.0, wall=100.0)
    assert not quiet.may(pending(2, 11, 100.5), now=1.0, wall=101.0), "it changed: two seconds from there"
    assert quiet.may(pending(2, 11, 100.5), now=2.5, wall=102.5)
    quiet.changed(2)
    assert not quiet.may(pending(2, 12, 103.0), now=5.5, wall=105.5), "twice as long now"
    assert quiet.may(pending(2, 12, 103.0), now=7.1, wall=107.1)
    assert not quiet.may(pending(3, 1, 500.0), now=0.0, wall=100.0), "a time in the future"
    assert quiet.may(pending(3, 1, 500.0), now=2.0, wall=102.0), "and nothing changed meanwhile"


def test_a_file_is_quiet_soon_when_nothing_has_it_open_and_late_when_something_has() -> None:
    quiet, film = Quiet(2.0), pending(1, 10, 100.0)
    assert not quiet.doubtful(film, now=0.1, wall=100.1), "it is too young either way"
    assert not quiet.may(film, now=0.1, wall=100.1)
    assert quiet.due() == pytest.approx(0.3)
    assert quiet.doubtful(film, now=0.3, wall=100.31)
    quiet.told(1, True, now=0.3)
    assert not quiet.doubtful(film, now=0.4, wall=100.4), "that was just asked"
    assert not quiet.may(film, now=0.3, wall=100.3)
    for second in (3.0, 6.0, 9.0):
        quiet.told(1, True, now=second)
        assert not quiet.may(film, now=second, wall=100 + second), "its writer pauses"
    quiet.told(1, False, now=9.5)
    assert quiet.may(film, now=9.5, wall=109.5), "it is closed"
    quiet.told(1, True, now=11.0)
    assert quiet.may(film, now=11.0, wall=111.0), "some keep files open for ever"


def test_a_long_copy_is_hashed_as_soon_as_it_ends() -> None:
    quiet = Quiet(2.0)
    for second in range(60):
        quiet.told(1, True, now=float(second))
        assert not quiet.may(pending(1, second, 100.0 + second), now=float(second), wall=100.5 + second)
    quiet.told(1, False, now=60.0)
    assert quiet.may(pending(1, 59, 159.0), now=60.0, wall=160.0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_who_writes_to_a_file_is_seen(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    whole, half = ("in", "whole"), ("half",)
    tmp_path.joinpath(*whole).write_bytes(b"x")
    with open(tmp_path / "half", "wb"):
        assert are_written(str(tmp_path), [whole, half, ("gone",)]) == [False, True, None]
    assert are_written(str(tmp_path), [half]) == [False]
    assert are_written(str(tmp_path / "nowhere"), [half]) == [None]
