"""The store on disk against the one in memory, and as a service: kills, damage, leases, hostile texts."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.codec import canonical
from servent.overlay import items_readers
from servent.overlay.effects import Counts, Discard, Find, Keep, Load
from servent.overlay.items_cache import Answers, Kept
from servent.overlay.items_find import Finder
from servent.overlay.items_rows import STEPS, item_of
from servent.overlay.items_service import FILE, Items
from servent.overlay.items_writing import Writing
from servent.overlay.records import Item, Slice
from servent.overlay.settings import HomeSettings
from servent.overlay.wire import Posting
from servent.query.language import QueryError, parse
from servent.testing.shelf import Shelf
from tests.overlay.test_store_promises import OnDisk, key
from tests.overlay.things import NETWORK, item, peer, sliced

SETTINGS = HomeSettings(per_key=6, per_publisher_key=3)
WORDS = ("blue", "moon", "red", "Sun", "TrackList", "Don't", "älter", "日本", "x7", "live")
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
things = st.builds(
    lambda name, ending, size, kind, where, tags: Item(
        bytes(31) + bytes([len(name)]), size, kind, f"{name}.{ending}", where, tags
    ),
    texts,
    st.sampled_from(("mp3", "flac", "TXT", "x")),
    st.sampled_from((0, 7, 8, 1000, 3_000_000, 2**40)),
    st.sampled_from((0, 1, 2, 6, 7, 255)),
    st.one_of(st.just(""), texts),
    st.fixed_dictionaries({}, optional={"artist": texts, "title": texts, "year": st.just(1999)}),
)
asked = st.one_of(
    texts,
    st.builds(
        "{} {}".format, texts, st.sampled_from(("type:audio", "ext:mp3", "size:>1mb", "-red", "-ext:txt"))
    ),
    st.sampled_from(
        (
            "type:other",
            '"blue moon"',
            "bl*",
            "tr* red",
            "artist:moon",
            "size:7..8",
            "-type:audio size:<2kb",
            "live -日本",
        )
    ),
)
wishes = st.lists(
    st.tuples(st.sampled_from(("keep", "part", "post", "renew", "discard")), st.integers(1, 3), st.integers(0, 1),
              st.lists(things, max_size=6)),
    max_size=12,
)  # fmt: skip


def named(found: list[tuple[bytes, Item]]) -> list[tuple[bytes, bytes]]:
    return sorted((bytes(who), canonical(one)) for who, one in found)


def test_a_full_index_takes_nothing_more_for_homes_of_others_but_still_from_leaves() -> None:
    disk = OnDisk(HomeSettings(disk=400_000))
    for who in range(1, 200):
        whole = sliced(who, [item(f"posted {who} {number} " + "x" * 150) for number in range(20)], 0, 0)
        disk.do(Keep(whole, [Posting(key("posted"), place) for place in whole.items]))
    found, _ = disk.do(Find(1, 5000, keys=[key("posted")])) or ([], False)
    assert 0 < len(found) < 20 * 199
    for who in range(300, 303):
        disk.do(Keep(sliced(who, [item(f"leaf {who}")], 0, 0)))
    found, _ = disk.do(Find(1, 500, parse("leaf"))) or ([], False)
    assert len(found) == 3
    for who in range(1, 150):  # what is taken back makes room again
        disk.do(Discard(peer(who), None, None))
    disk.do(Keep(sliced(500, [item("posted later")], 0, 0), [Posting(key("later"), 0)]))
    found, _ = disk.do(Find(1, 500, keys=[key("later")])) or ([], False)
    assert len(found) == 1


@settings(max_examples=60, deadline=None)
@given(wishes, st.lists(asked, min_size=1, max_size=4))
def test_on_disk_as_in_memory(steps: list[tuple[str, int, int, list[Item]]], queries: list[str]) -> None:
    disk, shelf = OnDisk(SETTINGS), Shelf(SETTINGS)
    for seq, (what, who, slot, some) in enumerate(steps):
        whole = sliced(who, some, slot, seq)
        effects: dict[str, Keep | Discard] = {
            "keep": Keep(whole),
            "part": Keep(Slice(whole.batch, dict(list(whole.items.items())[::2]))),
            "post": Keep(
                whole, [Posting(key(word), place) for place in whole.items for word in WORDS[: 1 + place]]
            ),
            "renew": Keep(Slice(whole.batch, {}), keyed=True),
            "discard": Discard(peer(who), slot if seq % 2 else None, (None, True, False)[seq % 3]),
        }
        disk.do(effects[what])
        shelf.do(effects[what])
    for text in queries:
        try:
            query = parse(text)
        except QueryError:
            continue
        ours, theirs = (one.do(Find(1, 500, query)) for one in (disk, shelf))
        assert ours is not None and theirs is not None
        assert named(ours[0]) == named(theirs[0])  # type: ignore[arg-type]
        assert not ours[1]
    for keys in ([key("blue")], [key("moon"), key("blue")], [key("red"), key("Sun")], [key("never")]):
        ours, theirs = (one.do(Find(1, 500, keys=keys)) for one in (disk, shelf))
        assert ours is not None and theirs is not None
        assert named(ours[0]) == named(theirs[0])  # type: ignore[arg-type]
        assert ours[1] == theirs[1]
    counted = Counts(1, ["blue", "moon", "tracklist", "track", "日", "älter", "alter", "mp3"])
    assert disk.do(counted) == shelf.do(counted)
    for who in (1, 2, 3):
        for slot in (0, 1):
            for keyed in (False, True):
                wish = Load(1, peer(who), slot, keyed=keyed)
                ours, theirs = disk.do(wish), shelf.do(wish)
                assert ours is not None and theirs is not None
                assert (ours[0], list(ours[1])) == (theirs[0], list(theirs[1]))  # type: ignore[call-overload]


def test_of_very_many_the_best_are_said() -> None:
    disk = OnDisk(HomeSettings())
    long = [item(f"blue something else that nobody looks for {n} moon") for n in range(120)]
    tagged = [item(f"b{n}", tags={"artist": "moon", "title": "blue"}) for n in range(120)]
    good = [item("blue moon"), item("Blue Moon 2.mp3"), item("moon blue")]
    disk.do(Keep(sliced(1, long)))
    disk.do(Keep(sliced(2, tagged)))
    disk.do(Keep(sliced(3, good)))
    answer = disk.do(Find(1, 10, parse("blue moon")))
    assert answer is not None and answer[1]
    names = [one.name for _, one in answer[0]]  # type: ignore[attr-defined]
    assert len(names) == 10
    assert names[:2] == ["blue moon", "Blue Moon 2.mp3"]
    assert "moon blue" in names
    assert not any(name.startswith("b1") for name in names)


def test_sizes_that_the_index_has_only_roughly_are_exact() -> None:
    disk = OnDisk(HomeSettings())
    some = [Item(bytes(32), 1000 + n, 0, f"blue {n}") for n in range(120)]
    disk.do(Keep(sliced(1, some)))
    answer = disk.do(Find(1, 50, parse("blue size:1100..1102")))
    assert answer is not None
    assert sorted(one.size for _, one in answer[0]) == [1100, 1101, 1102]  # type: ignore[attr-defined]


def test_what_nothing_can_be_meant_by_is_kept_and_asked_like_anything() -> None:
    disk = OnDisk(HomeSettings())
    strange = [
        Item(
            bytes(32),
            2**53,
            255,
            "\ue001 \ue042 blue\x00\ue100.flac",
            "/" * 200,
            {"title": "'); DROP TABLE items; --"},
        ),
        Item(
            bytes(32),
            0,
            1,
            '" OR found MATCH "x" NEAR( * : ^ {name}',
            "..\\..",
            {"artist": "\ud7ff\U0010ffff" * 60},
        ),
        Item(bytes(32), 1, 1, "W" * 200, "a" * 200, {f"t{n}": "b" * 120 for n in range(8)}),
    ]
    disk.do(Keep(sliced(1, strange)))
    for text in (
        'blue"',
        "drop table",
        "x OR y NOT z",
        "near",
        "name:x",
        "W" * 200,
        "\ue042 blue",
        "a" * 300,
        "'';--",
    ):
        with contextlib.suppress(QueryError):
            disk.do(Find(1, 50, parse(text)))
    assert disk.do(Find(1, 5, parse("type:audio")))[0] != []  # type: ignore[index]
    answer = disk.do(Find(1, 5, parse("drop table")))
    assert answer is not None and answer[0] == [(peer(1), strange[0])]
    disk.do(Discard(peer(1)))
    assert disk.do(Counts(1, ["blue", "drop"])) == ([0, 0], 0)
    assert disk.do(Find(1, 5, parse("type:audio"))) == ([], False)


def test_a_network_knows_nothing_of_another() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    for step in STEPS:
        db.executescript(step)
    writing, other = Writing(), b"o" * 32
    one = sliced(1, [item("Blue Moon")])
    writing.carry_out(db, [(NETWORK, Keep(one)), (NETWORK, Keep(one, [Posting(key("blue"), 0)]))], 0.0)
    for network, expected in ((NETWORK, 1), (other, 0)):
        assert len(Finder(db).find(network, 5, parse("blue")).rows) == expected
        assert len(Finder(db).find(network, 5, keys=[key("blue")]).rows) == expected
        assert len(Finder(db).find(network, 5, content=item("Blue Moon").content).rows) == expected
        assert Finder(db).counts(network, ["blue"])[0] == [expected]
    writing.carry_out(db, [(other, Keep(one)), (NETWORK, Discard(peer(1)))], 0.0)
    assert len(Finder(db).find(other, 5, parse("blue")).rows) == 1
    assert Finder(db).find(NETWORK, 5, parse("blue")).rows == []


def test_a_lease_counts_from_first_sight_and_ends() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    for step in STEPS:
        db.executescript(step)
    writing = Writing()
    one = sliced(1, [item("Blue Moon")], lifetime=100)
    both = [(NETWORK, Keep(one)), (NETWORK, Keep(one, [Posting(key("blue"), 0)]))]
    writing.carry_out(db, both, 0.0)
    writing.carry_out(db, both, 50.0)  # the same again makes it no longer
    writing.carry_out(db, [(NETWORK, Keep(sliced(2, [item("Blue Sun")], lifetime=100)))], 50.0)
    writing.sweep(db, 99.0)
    assert len(Finder(db).find(NETWORK, 5, parse("blue")).rows) == 2
    writing.sweep(db, 100.0)
    assert [item_of(body).name for _, body in Finder(db).find(NETWORK, 5, parse("blue")).rows] == ["Blue Sun"]
    assert Finder(db).find(NETWORK, 5, keys=[key("blue")]).rows == []
    writing.sweep(db, 150.0)
    for table in ("items", "gone", "words", "keys", "postings", "batches", "publishers"):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_a_renewed_batch_lives_on_and_is_not_indexed_again() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    for step in STEPS:
        db.executescript(step)
    writing, some = Writing(), [item(f"Blue {n}") for n in range(20)]
    writing.carry_out(db, [(NETWORK, Keep(sliced(1, some, lifetime=100)))], 0.0)
    newer = sliced(1, some[::-1], seq=2, lifetime=100)
    _, words = writing.carry_out(db, [(NETWORK, Keep(newer))], 90.0)
    assert words == set()
    writing.sweep(db, 150.0)
    assert len(Finder(db).find(NETWORK, 50, parse("blue")).rows) == 20


def test_much_is_taken_out_of_the_index_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servent.overlay.items_writing.CLEANED", 50)
    db = sqlite3.connect(":memory:", isolation_level=None)
    for step in STEPS:
        db.executescript(step)
    writing = Writing()
    writing.carry_out(db, [(NETWORK, Keep(sliced(1, [item(f"Blue {n}") for n in range(120)])))], 0.0)
    left, _ = writing.carry_out(db, [(NETWORK, Discard(peer(1)))], 0.0)
    assert left
    assert Finder(db).find(NETWORK, 50, parse("blue")).rows == []  # from the first moment
    writing.carry_out(
        db, [(NETWORK, Keep(sliced(2, [item("Blue new")])))], 0.0
    )  # its id is none of the old ones
    while writing.sweep(db, 0.0)[0]:
        continue
    assert Finder(db).counts(NETWORK, ["blue"]) == ([1], 1)
    assert db.execute("SELECT count(*) FROM found WHERE found MATCH 'blue'").fetchone() == (1,)


def test_an_index_in_many_pieces_becomes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servent.overlay.items_writing.PIECES", 1)
    db = sqlite3.connect(":memory:", isolation_level=None)
    for step in STEPS:
        db.executescript(step)
    writing = Writing()
    for number in range(40):
        writing.carry_out(
            db, [(NETWORK, Keep(sliced(number, [item(f"Blue {number} {n}") for n in range(9)])))], 0.0
        )
    pieces = "SELECT count(DISTINCT segid) FROM found_idx"
    assert db.execute(pieces).fetchone() > (1,)
    steps = 0
    while writing.sweep(db, 1.0)[0]:
        steps += 1
        assert steps < 50
    assert db.execute(pieces).fetchone() == (1,)
    assert len(Finder(db).find(NETWORK, 500, parse("blue")).rows) == 360
    assert not writing.sweep(db, 1.0)[0]


def many(disk: OnDisk) -> list[Item]:
    """Items with frequent and rare words, in all kinds and sizes."""
    dice, some = random.Random(5), []
    for number in range(2560):
        words = dice.choices(WORDS, (8, 5, 3, 2, 2, 1, 1, 1, 1, 1), k=dice.randint(1, 4))
        name = f"{' '.join(words)} {number % 97}.{dice.choice(('mp3', 'mkv', 'txt'))}"
        content = number.to_bytes(32, "big")
        some.append(
            Item(content, int(10 ** dice.uniform(1, 9)), dice.randint(0, 6), name, dice.choice(WORDS))
        )
    for slot in range(20):
        disk.do(Keep(sliced(slot % 3, some[slot * 128 : slot * 128 + 128], slot)))
    return some


QUESTIONS = (
    "blue type:audio", "blue moon size:<2kb", "x7 ext:mkv", "type:image size:>100mb", "bl* -moon type:video",
    "live size:1kb..2kb", "ext:txt -type:audio", '"blue moon" 7', "älter track", "mo* bl* re* type:other", "-ext:mp3 red",
)  # fmt: skip


@pytest.mark.parametrize("cost", [0, 60, 10**9])
def test_however_a_question_is_planned_the_answers_are_the_same(
    cost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servent.overlay.items_find.ROW_COST", cost)
    disk = OnDisk(HomeSettings())
    some = many(disk)
    for text in QUESTIONS:
        query = parse(text)
        right = {
            one.content for one in some if query.relevance(one.name, one.kind, one.size, one.where, one.tags)
        }
        for limit in (500, 10):
            answer = disk.do(Find(1, limit, query))
            assert answer is not None
            found = {one.content for _, one in answer[0]}  # type: ignore[attr-defined]
            assert found <= right
            assert len(found) == min(limit, len(right)), text
            assert answer[1] == (len(right) > limit)


def test_a_question_that_would_run_through_too_much_looks_through_a_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = OnDisk(HomeSettings())
    many(disk)
    monkeypatch.setattr("servent.overlay.items_find.MOST_ENTRIES", 800)
    monkeypatch.setattr("servent.overlay.items_find.STEP_ENTRIES", 50)
    answer = disk.do(Find(1, 500, parse("blue moon")))
    assert answer is not None and answer[1]
    assert 0 < len(answer[0]) < 500  # type: ignore[arg-type]


def test_words_in_names_are_counted_apart() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    for step in STEPS:
        db.executescript(step)
    writing = Writing()
    some = [item("Blue Moon", where="blue/red"), item("Red Sun", where="blue")]
    writing.carry_out(db, [(NETWORK, Keep(sliced(1, some)))], 0.0)
    counted = "SELECT word, items, named FROM words WHERE word IN ('blue', 'red') ORDER BY word"
    assert db.execute(counted).fetchall() == [("blue", 2, 1), ("red", 2, 1)]
    writing.carry_out(db, [(NETWORK, Keep(sliced(1, some[1:], seq=2)))], 0.0)
    assert db.execute(counted).fetchall() == [("blue", 1, 0), ("red", 1, 1)]


def test_a_word_that_is_in_every_directory_and_in_hardly_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servent.overlay.items_find.STEP_ENTRIES", 10)
    disk = OnDisk(HomeSettings())
    disk.do(Keep(sliced(1, [item(f"Moon {n}", where="music") for n in range(120)])))
    disk.do(Keep(sliced(2, [item("Moon music", where="music")])))
    answer = disk.do(Find(1, 10, parse("music moon music")))
    assert answer is not None and len(answer[0]) == 10 and answer[1]  # type: ignore[arg-type]


# -- answers that are remembered


def test_an_answer_is_forgotten_when_something_with_its_word_changes() -> None:
    answers = Answers()
    for name, word in (("a", "blue"), ("b", "red"), ("c", "")):
        answers.put(name, Kept(b"", False, word), answers.moment)
    answers.changed({"blue", "x"})
    assert answers.get("a") is None and answers.get("b") is not None and answers.get("c") is None


def test_an_answer_that_was_on_its_way_during_a_change_is_not_remembered() -> None:
    answers = Answers()
    asked_at = answers.moment
    answers.changed({"blue"})
    answers.put("a", Kept(b"", False, "blue"), asked_at)
    answers.put("b", Kept(b"", False, "red"), asked_at)
    assert answers.get("a") is None and answers.get("b") is not None


def test_answers_take_no_more_room_than_they_may() -> None:
    answers = Answers(10_000)
    for number in range(100):
        answers.put(number, Kept(bytes(1000), False, str(number)), answers.moment)
    assert 0 < len(answers) <= 10 and answers.get(99) is not None and answers.get(0) is None


# -- the service


def alive(story: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(story)
    def test(**fixtures: object) -> None:
        asyncio.run(story(**fixtures))

    return test


@contextlib.asynccontextmanager
async def running(path: Path | None, **more: object) -> AsyncIterator[Items]:
    items = Items(path, **more)  # type: ignore[arg-type]
    await items.open()
    task = asyncio.create_task(items.run())
    try:
        yield items
    finally:
        task.cancel()
        await asyncio.wait([task])
        await items.close()


async def names(items: Items, text: str, limit: int = 50) -> list[str]:
    found, _ = await items.find(NETWORK, Find(1, limit, parse(text)))
    return sorted(one.name for _, one in found)


async def readers_there(items: Items, number: int = 1) -> None:
    async with asyncio.timeout(60):
        while len(items.readers) < number:
            items.readers.want(number)
            await asyncio.sleep(0.02)


@alive
async def test_what_is_kept_is_found_at_once_also_when_it_was_asked_before(tmp_path: Path) -> None:
    async with running(tmp_path / FILE) as items:
        assert await names(items, "blue") == []
        await asyncio.gather(*(items.keep(NETWORK, Keep(sliced(n, [item(f"Blue {n}")]))) for n in range(100)))
        assert len(await names(items, "blue", 200)) == 100
        assert await names(items, "blue 7") == ["Blue 7"]
        assert await names(items, "blue 7") == ["Blue 7"]
        assert items.answers.hits == 1
        await items.discard(NETWORK, Discard(peer(7)))
        assert await names(items, "blue 7") == []
        assert await items.count(NETWORK, Counts(1, ["blue"])) == ([99], 99)
        assert await items.totals(NETWORK) == (99, 0, 0)
        loaded, _ = await items.load(NETWORK, Load(1, peer(8), 0))
        assert loaded == sliced(8, [item("Blue 8")])
    assert not list(tmp_path.glob("*.damaged*"))


@alive
async def test_many_ask_the_same_at_once_and_the_first_goes_away(tmp_path: Path) -> None:
    async with running(tmp_path / FILE) as items:
        await items.keep(NETWORK, Keep(sliced(1, [item("Blue")])))
        asking = [asyncio.create_task(names(items, "blue")) for _ in range(5)]
        await asyncio.sleep(0)
        asking[0].cancel()
        assert await asyncio.gather(*asking[1:]) == [["Blue"]] * 4


@alive
async def test_a_batch_is_read_back_after_all_that_was_to_be_kept_before(tmp_path: Path) -> None:
    async with running(tmp_path / FILE) as items:
        for seq in range(30):
            one = sliced(1, [item(f"Blue {seq}")], seq=seq)
            keeping = asyncio.create_task(items.keep(NETWORK, Keep(one)))
            await asyncio.sleep(0)
            loaded, _ = await items.load(NETWORK, Load(1, peer(1), 0))
            assert loaded == one
            await keeping


@alive
async def test_readers_answer_as_the_store_does_and_see_what_is_new(tmp_path: Path) -> None:
    async with running(tmp_path / FILE, readers=2) as items:
        await items.keep(NETWORK, Keep(sliced(1, [item("Blue Moon"), item("Blue Sun", tags={"year": 1999})])))
        await items.keep(NETWORK, Keep(sliced(1, [item("Blue Sky")]), [Posting(key("sky"), 0)]))
        here = await items.find(NETWORK, Find(1, 50, parse("blue")))
        await readers_there(items, 2)
        items.answers.clear()
        assert await items.find(NETWORK, Find(1, 50, parse("blue"))) == here
        assert [one.name for _, one in (await items.find(NETWORK, Find(1, 5, keys=[key("sky")])))[0]] == [
            "Blue Sky"
        ]
        assert len((await items.find(NETWORK, Find(1, 5, content=item("Blue Sky").content)))[0]) == 1
        assert await items.count(NETWORK, Counts(1, ["blue", "sun"])) == ([2, 1], 2)
        for number in range(20):
            await items.keep(NETWORK, Keep(sliced(2, [item(f"Green {number}")], seq=number)))
            assert await names(items, "green") == [f"Green {number}"]


@alive
async def test_an_idle_node_has_no_readers_and_a_busy_one_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items_readers, "IDLE", 0.2)
    async with running(tmp_path / FILE, readers=1) as items:
        await items.keep(NETWORK, Keep(sliced(1, [item("Blue Moon")])))
        await names(items, "blue")
        assert not len(items.readers) and not items.readers.wanted
        await asyncio.gather(*(names(items, f"blue {n}") for n in range(100)))
        async with asyncio.timeout(60):
            while not len(items.readers):
                await asyncio.sleep(0.02)
        assert await names(items, "blue") == ["Blue Moon"]
        async with asyncio.timeout(60):
            while len(items.readers):
                await asyncio.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
@alive
async def test_a_reader_that_is_killed_costs_no_answer(tmp_path: Path) -> None:
    async with running(tmp_path / FILE, readers=2) as items:
        await items.keep(NETWORK, Keep(sliced(1, [item(f"Blue {n} x") for n in range(100)])))
        await readers_there(items, 2)
        asking = [asyncio.create_task(names(items, f"blue {n}")) for n in range(100)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for pid in items.readers.pids:
            os.kill(pid, signal.SIGKILL)
        for number, found in enumerate(await asyncio.gather(*asking)):
            assert found == [f"Blue {number} x"]
        await readers_there(items, 1)
        items.answers.clear()
        assert await names(items, "blue 5") == ["Blue 5 x"]


WRITER = """
    import asyncio, sys
    from pathlib import Path
    from tests.overlay.things import NETWORK, item, sliced
    from servent.overlay.effects import Keep
    from servent.overlay.items_service import Items

    async def main():
        items = Items(Path(sys.argv[1]))
        await items.open()
        asyncio.create_task(items.run())
        async def keep(number):
            await items.keep(NETWORK, Keep(sliced(number, [item(f"Blue {number} {n}") for n in range(20)])))
            print(number, flush=True)
        await asyncio.gather(*(keep(number) for number in range(5000)))

    asyncio.run(main())
"""


@alive
async def test_a_killed_node_has_kept_what_it_said(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path / FILE)], stdout=subprocess.PIPE, cwd=root
    )  # fmt: skip
    assert process.stdout is not None
    lines = [await asyncio.to_thread(process.stdout.readline) for _ in range(150)]
    process.kill()
    rest = await asyncio.to_thread(process.stdout.read)
    process.wait()
    process.stdout.close()
    said = {int(line) for line in [*lines, *rest.splitlines()] if line.strip()}
    async with running(tmp_path / FILE) as items:
        home, _, _ = await items.totals(NETWORK)
        assert home >= 20 * len(said) and home % 20 == 0  # each batch whole or not at all
        for number in list(said)[::20]:
            assert len(await names(items, f'"blue {number}"')) >= 20
        counted, total = await items.count(NETWORK, Counts(1, ["blue"]))
        assert counted == [home] and total == home
        await items.keep(NETWORK, Keep(sliced(9999, [item("Green")])))
        assert await names(items, "green") == ["Green"]
    assert not list(tmp_path.glob("*.damaged*"))


@alive
async def test_a_damaged_file_is_moved_aside_at_the_start(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all, " * 500)
    async with running(tmp_path / FILE) as items:
        await items.keep(NETWORK, Keep(sliced(1, [item("Blue Moon")])))
        assert await names(items, "blue") == ["Blue Moon"]
    assert list(tmp_path.glob(f"{FILE}.damaged-*"))


@alive
async def test_damage_that_shows_while_it_runs_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / FILE
    async with running(path) as items:
        some = [item(f"Blue {n} {'y' * 100}") for n in range(128)]
        for number in range(10):
            await items.keep(NETWORK, Keep(sliced(number, some)))
    whole = path.read_bytes()
    items = Items(path)
    await items.open()
    task = asyncio.create_task(items.run())
    path.write_bytes(whole[:8192] + os.urandom(len(whole) - 8192))  # the disk fails
    try:
        async with asyncio.timeout(60):
            while not list(tmp_path.glob(f"{FILE}.damaged-*")):
                for number in range(20):
                    with contextlib.suppress(Exception):
                        await items.find(NETWORK, Find(1, 50, parse(f"blue {number}")))
                    with contextlib.suppress(Exception):
                        await items.keep(NETWORK, Keep(sliced(number, [item(f"Red {number}")], seq=2)))
                await asyncio.sleep(0.05)
        await items.keep(NETWORK, Keep(sliced(1, [item("Green")])))
        assert await names(items, "green") == ["Green"]
    finally:
        task.cancel()
        await asyncio.wait([task])
        await items.close()


@alive
async def test_a_bug_of_one_wish_costs_that_wish_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Keep(Slice(sliced(2, [item("Red")]).batch, {0: "no item"}))  # type: ignore[dict-item]
    async with running(tmp_path / FILE) as items:
        results = await asyncio.gather(
            items.keep(NETWORK, Keep(sliced(1, [item("Blue")]))),
            items.keep(NETWORK, broken),
            items.keep(NETWORK, Keep(sliced(3, [item("Green")]))),
            return_exceptions=True,
        )
        assert [isinstance(one, Exception) for one in results] == [False, True, False]
        assert await names(items, "blue") == ["Blue"] and await names(items, "green") == ["Green"]
    assert "bug" in caplog.text


@alive
async def test_who_brings_more_than_can_be_written_waits(tmp_path: Path) -> None:
    items = Items(tmp_path / FILE)
    await items.open()  # and nobody writes
    waiting = [
        asyncio.create_task(items.keep(NETWORK, Keep(sliced(n, [item(f"Blue {n}")])))) for n in range(600)
    ]
    await asyncio.sleep(0.05)
    assert items.crowded
    task = asyncio.create_task(items.run())
    await asyncio.gather(*waiting)
    assert not items.crowded
    assert (await items.totals(NETWORK))[0] == 600
    task.cancel()
    await asyncio.wait([task])
    await items.close()


@alive
async def test_leases_end_while_the_node_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servent.overlay.items_service.SWEEP_EVERY", 0.01)
    wall = 0.0
    async with running(None, wall=lambda: wall) as items:
        await items.keep(NETWORK, Keep(sliced(1, [item("Blue")], lifetime=30)))
        assert await names(items, "blue") == ["Blue"]
        items._wall_at_start = 31.0  # the time that has gone by
        async with asyncio.timeout(60):
            while await names(items, "blue"):
                await asyncio.sleep(0.01)
