"""Names from strangers never leave the folder, and no two files become one."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.blobs import info, names
from servent.blobs.info import File
from servent.blobs.names import safe_part, safe_paths, unique_paths

HOSTILE = st.sampled_from(
    ["..", ".", "", "/", "\\", "~", "CON", "nul.txt", "COM1", "aux. ", "a", "A", "ä", "ä", "ß", "ss", "SS", "a ", "a.",
     "a/../../b", "C:", "\0", "\n", "\u202etxt.exe", "😀" * 80, "x" * 300, "long paths", "a (2)", ".servent-part-1", "-rf"]
)  # fmt: skip
PARTS = HOSTILE | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
PATHS = st.lists(st.lists(PARTS, min_size=1, max_size=6).map(tuple), max_size=25, unique=True)


def key(part: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", part).casefold())


def check_part(part: str) -> None:
    assert part and part not in (".", "..")
    assert not set(part) & set('<>:"/\\|?*\0') and part.isprintable() | (not part.isascii())
    assert not any(ord(letter) < 32 for letter in part)
    assert part == part.rstrip(". ") and len(part.encode()) <= 255
    assert len(unicodedata.normalize("NFD", part).encode()) <= 255 + 12
    assert not PureWindowsPath(part).is_reserved() and not PureWindowsPath(part).drive
    assert len(PurePosixPath(part).parts) == 1 and len(PureWindowsPath(part).parts) == 1


@settings(max_examples=300, deadline=None)
@given(PATHS)
def test_nothing_leaves_the_folder_and_no_two_paths_meet(paths: list[tuple[str, ...]]) -> None:
    prefixes = {path[:end] for path in paths for end in range(1, len(path))}
    paths = [path for path in paths if path not in prefixes]  # a file and a folder cannot share a key
    made = list(unique_paths(paths))
    for path in made:
        for part in path:
            check_part(part)
        assert sum(len(part.encode()) + 1 for part in path) <= names.MAX_PATH_BYTES + 300
    keys = [tuple(map(key, path)) for path in made]
    assert len(set(keys)) == len(keys)
    taken = set(keys)
    assert not any(path[:end] in taken for path in keys for end in range(1, len(path))), "a file is a folder"
    folders = {path[:end] for path in made for end in range(1, len(path))}
    assert len({tuple(map(key, folder)) for folder in folders}) == len(folders)
    assert list(unique_paths(paths)) == made


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_every_name_becomes_a_safe_one_and_stays_it(name: str) -> None:
    safe = safe_part(name)
    check_part(safe)
    assert safe_part(safe) == safe


@pytest.mark.parametrize(
    "name", ["a", "README.md", ".bashrc", "Ferien 2024 (1).jpg", "日本語.txt", "naïve", "a.b.c", "-x", "😀"]
)
def test_good_names_stay_as_they_are(name: str) -> None:
    assert safe_part(name) == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("..", "_"),
        (".", "_"),
        ("", "_"),
        ("a/b", "a_b"),
        ("..\\..\\x", ".._.._x"),
        ("C:evil", "C_evil"),
        ("con", "_con"),
        ("COM1.tar.gz", "_COM1.tar.gz"),
        ("nul .txt", "_nul .txt"),
        ("trail. . ", "trail"),
        ("a\0b", "a_b"),
        ("bell\a", "bell_"),
        ("photo\u202egpj.exe", "photo_gpj.exe"),
        (".servent-part-00", "_.servent-part-00"),
    ],
)
def test_bad_names_become_harmless(name: str, safe: str) -> None:
    assert safe_part(name) == safe


def test_long_names_keep_their_ending_and_their_difference() -> None:
    one, two = safe_part("x" * 300 + "1.jpeg"), safe_part("x" * 300 + "2.jpeg")
    assert one != two and one.endswith(".jpeg") and len(one.encode()) <= 240
    assert len(safe_part("é" * 300).encode()) <= 240


def test_names_that_differ_only_in_case_get_numbers() -> None:
    paths = [("Makefile",), ("makefile",), ("SRC", "a"), ("src", "a"), ("src", "A.txt"), ("src", "a.TXT")]
    assert list(unique_paths(paths)) == [
        ("Makefile",),
        ("makefile (2)",),
        ("SRC", "a"),
        ("src (2)", "a"),
        ("src (2)", "A.txt"),
        ("src (2)", "a (2).TXT"),
    ]


def test_a_path_that_is_too_long_as_a_whole_gets_a_short_one() -> None:
    deep = tuple("d" * 200 for _ in range(60))
    [path, other] = unique_paths([(*deep, "a.txt"), (*deep, "b.txt")])
    assert path[0] == "long paths" and path[-1].endswith("a.txt") and path != other


def test_a_million_clashes_are_not_quadratic() -> None:
    letters = '<>:"|?*\x01\x02\x03'
    paths = [(a + b + c + d,) for a in letters for b in letters for c in letters for d in letters]
    assert len(set(unique_paths(paths))) == len(paths) == 10_000


def test_a_collection_lies_below_its_own_safe_name() -> None:
    made = info.build("../evil", [File(("..", "x"), 1, bytes(32)), File(("y",), 2, b"\1" * 32)], 16384)
    assert safe_paths(made) == [(".._evil", "_", "x"), (".._evil", "y")]
    single = info.build("nul", [File(("nul",), 1, bytes(32))], 16384)
    assert safe_paths(single) == [("_nul",)]
