"""Pages of the shared tree are what a plain sort of everything would give, from wherever one looks."""

import random
import sqlite3

import msgspec
import pytest

from servent.errors import NotFound
from servent.share import index, local, rows, shelves
from servent.share.shelves import Ask, Shelf, Shelves
from servent.share.wire import Row, Sort

SHELVES = [Shelf(1, "Music"), Shelf(2, "Empty"), Shelf(3, "Films", partial=True)]


def library() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    for steps in (rows.STEPS, index.STEPS, shelves.STEPS):
        for step in steps:
            db.executescript(step)
    return db


def filled(files: int = 300, folders: int = 40, seed: int = 1) -> tuple[sqlite3.Connection, list[Row]]:
    """Folder 1 with files and folders right in it; the rows as they are, in no order."""
    db, dice = library(), random.Random(seed)
    size = dice.choices(range(50), k=files)  # many equals
    db.execute("INSERT INTO dirs VALUES (1, 1, NULL, '', ?, ?, 5000000000)", (files + 7 * folders, sum(size)))
    db.execute("INSERT INTO dirs VALUES (2, 3, NULL, '', 1, 9, 0)")
    made: list[Row] = []
    for n in range(folders):
        name = f"{dice.choice('aAbB%_')}{n}"
        db.execute("INSERT INTO dirs VALUES (?, 1, 1, ?, 7, ?, ?)", (10 + n, name, n % 5, n * 10**9))
        made.append(Row(name, True, n % 5, 7, modified=float(n)))
    for n in range(files):
        name = f"{dice.choice('aAbBcC_%')}{dice.choice('xyz')} {n}.mp3"
        stamp = dice.randrange(40)
        tags = msgspec.msgpack.encode({"track": n}) if n % 3 == 0 else None
        db.execute(
            "INSERT INTO files (folder, dir, name, size, mtime_ns, inode, kind, root, tags, added) VALUES (1,1,?,?,?,0,1,?,?,0)",
            (name, size[n], stamp * 10**9, n.to_bytes(32, "big") if n % 2 else None, tags),
        )
        made.append(
            Row(
                name, False, size[n], 1, n.to_bytes(32, "big") if n % 2 else b"", 1, float(stamp),
                {"track": n} if tags else {},
            )
        )  # fmt: skip
    return db, made


def key(row: Row, sort: Sort) -> object:
    return {"name": row.name.lower(), "size": row.size, "modified": row.modified}[sort]


@pytest.mark.parametrize("sort", ["name", "size", "modified"])
@pytest.mark.parametrize("down", [False, True])
def test_every_page_of_every_order(sort: Sort, down: bool) -> None:
    db, made = filled()
    tree = Shelves()
    whole = tree.page(db, SHELVES, "Music", Ask(0, 1000, sort, down)).rows
    assert sorted(map(repr, whole)) == sorted(map(repr, made))
    assert [row.folder for row in whole] == [True] * 40 + [False] * 300
    for part in (whole[:40], whole[40:]):
        keys = [key(row, sort) for row in part]
        assert keys == sorted(keys, reverse=down)  # type: ignore[type-var]
    dice = random.Random(3)
    for _ in range(300):  # what is remembered of earlier pages never changes the answer
        offset, limit = dice.randrange(360), dice.randint(1, 60)
        page = tree.page(db, SHELVES, "Music", Ask(offset, limit, sort, down))
        assert page.rows == whole[offset : offset + limit]
        assert (page.total, page.files) == (340, 580)


def test_a_file_that_comes_or_goes_is_seen_on_the_next_page() -> None:
    db, _ = filled(100, 0)
    tree = Shelves()
    for offset in range(0, 100, 10):
        tree.page(db, SHELVES, "Music", Ask(offset, 10))
    (first,) = tree.page(db, SHELVES, "Music", Ask(0, 1)).rows
    db.execute("DELETE FROM files WHERE name = ?", (first.name,))
    db.execute("UPDATE dirs SET files = files - 1 WHERE id = 1")
    whole = Shelves().page(db, SHELVES, "Music", Ask(0, 1000)).rows
    assert len(whole) == 99
    for offset in range(0, 99, 7):
        assert tree.page(db, SHELVES, "Music", Ask(offset, 7)).rows == whole[offset : offset + 7]


@pytest.mark.parametrize("sort", ["name", "size", "modified"])
def test_a_filter_takes_letters_as_they_are(sort: Sort) -> None:
    db, made = filled()
    for letters in ("AX", "%", "_", "a1", "nothing"):
        page = Shelves().page(db, SHELVES, "Music", Ask(0, 1000, sort, filter=letters))
        wanted = [row for row in made if letters.lower() in row.name.lower()]
        assert page.total == len(wanted)
        assert sorted(row.name for row in page.rows) == sorted(row.name for row in wanted)
        keys = [key(row, sort) for row in page.rows if not row.folder]
        assert keys == sorted(keys)  # type: ignore[type-var]
        half = Shelves().page(db, SHELVES, "Music", Ask(3, 5, sort, filter=letters))
        assert half.rows == page.rows[3:8]


def test_the_top_is_the_shelves_that_are_shown() -> None:
    db, _ = filled()
    page = Shelves().page(db, SHELVES, "/", Ask())
    assert [(row.name, row.files) for row in page.rows] == [("Empty", 0), ("Films", 1), ("Music", 580)]
    assert page.partial and page.total == 3
    assert [r.name for r in Shelves().page(db, SHELVES, "", Ask(1, 1, "size", True)).rows] == ["Films"]
    assert Shelves().page(db, SHELVES[:1], "", Ask()).total == 1
    assert Shelves().page(db, SHELVES, "Empty", Ask()).rows == []


@pytest.mark.parametrize(
    "path", ["Secret", "Music/none", "Empty/x", "music", "..", "Music/../Films", "Music//", "a/" * 300]
)
def test_paths_that_lead_nowhere_all_read_the_same(path: str) -> None:
    db, _ = filled(3, 1)
    if path == "Music//":  # an ending slash does no harm
        assert Shelves().page(db, SHELVES, path, Ask()).total == 4
        return
    with pytest.raises(NotFound, match="there is no folder"):
        Shelves().page(db, SHELVES, path, Ask())
    with pytest.raises(NotFound, match="there is no folder"):
        Shelves().page(db, SHELVES[1:2], "Music", Ask())


def test_scrolling_reads_rows_not_everything_before_them() -> None:
    db, _ = filled(30_000, 0)
    db.execute("ANALYZE")
    tree = Shelves()
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    tree.page(db, SHELVES, "Music", Ask(0, 1))  # counts
    for offset in range(0, 15_000, 200):
        tree.page(db, SHELVES, "Music", Ask(offset, 200))
    db.set_progress_handler(count, 100)
    tree.page(db, SHELVES, "Music", Ask(15_000, 200))
    near = steps
    Shelves()._ids(db, 1, Ask(15_000, 200), 15_000, 200, 30_000)  # by one who remembers nothing
    assert near * 2 < steps - near


def test_a_sample_goes_around_the_ring_and_shows_only_what_may_be_seen() -> None:
    db, _ = filled(300, 0)  # odd numbers are hashed: 1, 3, … 299
    start = (250).to_bytes(32, "big")
    everything = local.sample(start, SHELVES, 1000)(db)
    numbers = [int.from_bytes(one.content, "big") for one in everything.found]
    assert numbers == [*range(251, 300, 2), *range(1, 250, 2)] and not everything.more
    some = local.sample(start, SHELVES, 30)(db)
    assert [int.from_bytes(one.content, "big") for one in some.found] == numbers[:30] and some.more
    assert local.sample(start, SHELVES[1:], 30)(db).found == []
