"""Settings of a shared folder: who may see it, which files belong to it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import UsageError
from servent.identity import Identity
from servent.share.folders import FolderSettings, Pattern, Rules, check, may_see

ANN = Identity(b"a" * 32).peer


def rules(**settings: object) -> Rules:
    return Rules(FolderSettings(path="/x", name="x", **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "path", "yes"),
    [
        ("*.tmp", "a.tmp", True),
        ("*.tmp", "deep/down/a.TMP", True),
        ("*.tmp", "a.tmpx", False),
        ("/old", "old", True),
        ("/old", "a/old", False),
        ("notes/*.txt", "notes/a.txt", True),
        ("notes/*.txt", "notes/deep/a.txt", False),
        ("notes/**/*.txt", "notes/deep/er/a.txt", True),
        ("notes/**/*.txt", "notes/a.txt", True),
        ("**/b", "b", True),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("[ab].mp3", "b.mp3", True),
        ("[^ab].mp3", "b.mp3", False),
        ("\\*.mp3", "x.mp3", False),
        ("\\*.mp3", "*.mp3", True),
        ("a?c", "abc", True),
        ("ümlaut*", "Ümlaut.txt", True),
    ],
)
def test_patterns_read_as_in_gitignore(pattern: str, path: str, yes: bool) -> None:
    assert Pattern.parse(pattern).matches(tuple(path.split("/"))) is yes


@pytest.mark.parametrize("text", ["", "!", "/", "a/../b", "x" * 257, "."])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Pattern.parse(text)


@given(st.text(min_size=1, max_size=256), st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_any_text_is_a_pattern_or_refused(text: str, path: list[str]) -> None:
    try:
        pattern = Pattern.parse(text)
    except UsageError:
        return
    assert pattern.matches(tuple(path)) in (True, False)


def test_no_pattern_takes_long() -> None:
    pattern = Pattern.parse("**/" * 20 + "*a" * 80 + "b")
    began = time.process_time()
    assert not pattern.matches(("a" * 200,) * 60)
    assert time.process_time() - began < 5.0


def test_later_patterns_win_and_exclude_beats_include() -> None:
    found = rules(exclude=["*.log", "!keep.log", "cache/"])
    assert not found.wants_file((), "a.log")
    assert found.wants_file(("x",), "keep.log")
    assert not found.wants_folder((), "cache")
    assert found.wants_file((), "cache")
    assert not found.wants(("cache", "a.txt"))
    found = rules(include=["*.mp3", "/docs/"], exclude=["bad*"])
    assert found.wants_file(("a",), "x.mp3")
    assert found.wants_file(("docs", "deep"), "x.txt")
    assert not found.wants_file(("other",), "x.txt")
    assert not found.wants_file((), "bad.mp3")


def test_hidden_files_and_litter_stay_out() -> None:
    assert not rules().wants_file((), ".hidden")
    assert not rules().wants_folder((), ".git")
    assert rules(hidden=True).wants_file((), ".hidden")
    for name in ("a.part", "b.crdownload", "Thumbs.db", "~$letter.docx"):
        assert not rules(hidden=True).wants_file((), name)
    assert not rules(hidden=True).wants_folder((), ".servent-part-abc")


@pytest.mark.parametrize(
    ("audience", "friend", "network", "named"),
    [
        ("nobody", False, False, False),
        ("friends", True, False, False),
        ("network", True, True, False),
        ("peers", False, False, True),
    ],
)
def test_who_may_see_a_folder(audience: str, friend: bool, network: bool, named: bool) -> None:
    settings = FolderSettings(path="/x", name="x", audience=audience, peers=(str(ANN),))  # type: ignore[arg-type]
    other = Identity(b"b" * 32).peer

    def see(peer: object, friend: bool, shares: bool, blocked: bool = False) -> bool:
        return may_see(settings, peer, friend=friend, shares_network=shares, blocked=blocked)  # type: ignore[arg-type]

    assert see(other, True, False) is friend
    assert see(other, False, True) is network
    assert see(ANN, False, False) is named
    assert not see(other, False, False)
    assert not see(ANN, True, True, blocked=True)


def test_settings_that_cannot_hold_are_refused() -> None:
    with pytest.raises(UsageError, match="nobody is named"):
        check(FolderSettings(path="/x", name="x", audience="peers"))
    with pytest.raises(UsageError, match="audience"):
        check(FolderSettings(path="/x", name="x", audience="all"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="patterns"):
        check(FolderSettings(path="/x", name="x", include=("a",) * 101))
