"""Rows, sums and index stay one truth, whatever a scan sees."""

from __future__ import annotations

import sqlite3
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from servent.share import catalog, index, rows
from servent.share.catalog_scan import Listing, Tree, apply
from servent.share.changes import Known, Seen, diff, same_content
from tests.share.libraries import check

NAMES = st.sampled_from(["a", "b", "c"])
FILES = st.dictionaries(NAMES, st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(1, 9)), max_size=3)
TREES = st.dictionaries(st.lists(NAMES, max_size=3).map(tuple), FILES, max_size=8)


def database() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    for step in (*rows.STEPS, *index.STEPS):
        db.executescript(step)
    return db


def listings(tree: dict[tuple[str, ...], dict[str, tuple[int, int, int]]]) -> list[Listing]:
    """A whole look at a tree: every folder, and those above it."""
    folders: dict[tuple[str, ...], set[str]] = {(): set()}
    for path in tree:
        for depth in range(len(path)):
            folders.setdefault(path[:depth], set()).add(path[depth])
        folders.setdefault(path, set())
    return [
        Listing(
            path,
            [
                Seen("f" + name, size, time * 1_000_000_000 + 5, inode)
                for name, (size, time, inode) in tree.get(path, {}).items()
            ],
            frozenset(folders[path]),
        )
        for path in sorted(folders, key=len)
    ]


def hash_all(db: sqlite3.Connection, keep: int) -> None:
    """All but every `keep`th."""
    for big in (False, True):
        waiting = catalog.pending(db, 1, big, 0, 1000)
        known = catalog.paths(db, {file.dir for file in waiting}, {})
        found = [
            catalog.Found(file, bytes([file.id % 256]) * 32, b"", 0, {}) for file in waiting if file.id % keep
        ]
        assert len(catalog.hashed(db, found, {1: "shared"}, known)) == len(found)


def sums(db: sqlite3.Connection) -> list[Any]:
    return db.execute("SELECT files, bytes FROM dirs WHERE parent IS NULL").fetchall()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TREES, st.integers(2, 4)), min_size=1, max_size=5), st.booleans())
def test_sums_are_those_of_a_recount_after_any_changes(
    steps: list[tuple[dict[tuple[str, ...], dict[str, tuple[int, int, int]]], int]], one_tree: bool
) -> None:
    db = database()
    tree = Tree(1)
    for number, (wanted, keep) in enumerate(steps):
        apply(db, tree if one_tree else Tree(1), listings(wanted), float(number))
        check(db)
        have = {(name, size) for name, size in db.execute("SELECT name, size FROM files")}
        assert have == {
            ("f" + name, size) for files in wanted.values() for name, (size, _, _) in files.items()
        }
        hash_all(db, keep)
        check(db)
        counted = catalog.folder_sums(db, 1)
        assert counted.waiting == len(
            db.execute("SELECT 1 FROM files WHERE root IS NULL AND size > 0").fetchall()
        )


@settings(max_examples=80, deadline=None)
@given(TREES, TREES, st.sets(st.tuples(st.lists(NAMES, max_size=2).map(tuple), NAMES), max_size=5))
def test_a_look_at_a_few_names_leaves_the_others_alone(
    before: dict[Any, Any], after: dict[Any, Any], asked: set[tuple[tuple[str, ...], str]]
) -> None:
    db = database()
    apply(db, Tree(1), listings(before), 0.0)
    looked = []
    for path, name in asked:
        now = [one for one in listings(after) if one.path == path]
        files = [file for one in now for file in one.files if file.name == "f" + name]
        folders = frozenset(one for found in now for one in found.folders if one == name)
        looked.append(Listing(path, files, folders, 0, frozenset({name, "f" + name})))
    apply(db, Tree(1), looked, 1.0)
    check(db)
    untouched = {
        (path, name): values
        for path, files in before.items()
        for name, values in files.items()
        if (path, name) not in asked and not any(path[: len(p) + 1] == (*p, n) for p, n in asked)
    }
    have = db.execute("SELECT name, size FROM files").fetchall()
    for (_, name), (size, _, _) in untouched.items():
        assert ("f" + name, size) in have


def test_a_removed_folder_leaves_nothing_but_what_it_hashed_to() -> None:
    db = database()
    apply(db, Tree(1), listings({("a",): {"a": (3, 1, 1)}, (): {"b": (4, 1, 2)}}), 0.0)
    catalog.remember_folder(db, 1, "/x", catalog.ScanState())
    hash_all(db, 100)
    catalog.hide(db, 1)
    while catalog.remove_some(db, 1, 5.0):
        continue
    for table in ("files", "dirs", "folders", "found"):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM ghosts").fetchone() == (2,)
    catalog.forget_ghosts(db, 5.0 + catalog.GHOSTS_KEPT + 1)
    assert db.execute("SELECT count(*) FROM ghosts").fetchone() == (0,)


def test_what_changed_while_it_was_hashed_is_not_kept() -> None:
    db = database()
    apply(db, Tree(1), listings({(): {"a": (3, 1, 1)}}), 0.0)
    (file,) = catalog.pending(db, 1, False, 0, 10)
    apply(db, Tree(1), listings({(): {"a": (4, 2, 1)}}), 0.0)
    assert catalog.hashed(db, [catalog.Found(file, b"r" * 32, b"", 0, {})], {}, {}) == []
    check(db)
    assert sums(db) == [(1, 4)]


def test_a_new_name_of_the_folder_is_in_the_index() -> None:
    db = database()
    apply(db, Tree(1), listings({("a",): {"a": (3, 1, 1)}}), 0.0)
    hash_all(db, 100)
    found = "SELECT count(*) FROM found WHERE found MATCH ?"
    assert db.execute(found, ("shared",)).fetchone() == (1,)
    after: int | None = 0
    while after is not None:
        after = catalog.reindex(db, 1, "renamed", after)
    assert db.execute(found, ("shared",)).fetchone() == (0,)
    assert db.execute(found, ("renamed",)).fetchone() == (1,)


def test_the_same_is_told_from_another_in_its_place() -> None:
    half = 1_500_000_000
    assert same_content(1, half, 7, Seen("a", 1, half, 7))
    assert same_content(1, half, 7, Seen("a", 1, half, 8)), "a file system that counts inodes anew"
    assert not same_content(1, 2_000_000_000, 7, Seen("a", 1, 2_000_000_000, 8)), "times in whole seconds"
    assert not same_content(1, half, 7, Seen("a", 2, half, 7))
    delta = diff(
        [Known(1, "a", 1, half, 7), Known(2, "b", 1, half, 8)], [Seen("a", 1, half, 9), Seen("c", 1, half, 8)]
    )
    assert [seen.name for seen in delta.new] == ["c"]
    assert [row.name for row in delta.gone] == ["b"]
    assert delta.moved_inode == [(1, 9)]
    assert not delta.changed
