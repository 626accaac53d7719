"""What a member may expect of its store. Every store there is has to pass: add yours to `STORES`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Protocol

import pytest

from servent.identity import PeerId
from servent.overlay.effects import Counts, Discard, Effect, Find, Keep, Load
from servent.overlay.items_find import Finder
from servent.overlay.items_rows import STEPS, item_of, load
from servent.overlay.items_writing import Writing
from servent.overlay.placement import key_of
from servent.overlay.records import Item, Slice
from servent.overlay.settings import HomeSettings
from servent.overlay.wire import Posting
from servent.query.language import parse
from servent.testing.shelf import Shelf
from tests.overlay.things import NETWORK, item, peer, sliced

SETTINGS = HomeSettings(per_key=5, per_publisher_key=3)


class Store(Protocol):
    def do(self, effect: Effect) -> tuple[object, ...] | None: ...


class OnDisk:
    """The store of a node, without its service."""

    def __init__(self, settings: HomeSettings) -> None:
        self._settings, self._writing = settings, Writing(settings)
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        for step in STEPS:
            self._db.executescript(step)

    def do(self, effect: Effect) -> tuple[object, ...] | None:
        match effect:
            case Keep() | Discard():
                self._writing.carry_out(self._db, [(NETWORK, effect)], 1000.0)
            case Find(_, limit, query, keys, content):
                rows, more = Finder(self._db, self._settings.per_key).find(
                    NETWORK, limit, query, keys, content
                )
                return [(PeerId(publisher), item_of(body)) for publisher, body in rows], more
            case Counts(_, terms):
                return Finder(self._db).counts(NETWORK, terms)
            case Load():
                return load(self._db, NETWORK, effect)
        return None


STORES: dict[str, Callable[[HomeSettings], Store]] = {"shelf": Shelf, "disk": OnDisk}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest) -> Store:
    return STORES[request.param](SETTINGS)


def key(word: str) -> bytes:
    return key_of(NETWORK, word)


def found(store: Store, **what: object) -> tuple[list[str], bool]:
    if isinstance(what.get("query"), str):
        what["query"] = parse(str(what["query"]))
    answer = store.do(Find(1, what.pop("limit", 50), **what))  # type: ignore[arg-type]
    assert answer is not None
    return sorted(one.name for _, one in answer[0]), bool(answer[1])  # type: ignore[attr-defined]


def posted(one: Slice, *words: str) -> Keep:
    return Keep(one, [Posting(key(word), place) for place in one.items for word in words])


def test_a_home_finds_what_its_leaves_have_by_words(store: Store) -> None:
    store.do(Keep(sliced(1, [item("Blue Moon.mp3"), item("Red Sun.mp3")])))
    store.do(Keep(sliced(2, [item("Blue Velvet.mkv", where="films/old")])))
    assert found(store, query="blue") == (["Blue Moon.mp3", "Blue Velvet.mkv"], False)
    assert found(store, query="blue -moon") == (["Blue Velvet.mkv"], False)
    assert found(store, query="old vel*") == (["Blue Velvet.mkv"], False)
    assert found(store, query="ext:mp3") == (["Blue Moon.mp3", "Red Sun.mp3"], False)
    assert found(store, query="green") == ([], False)
    assert found(store, query="blue", limit=1)[1]


def test_what_is_kept_on_one_side_is_not_found_on_the_other(store: Store) -> None:
    store.do(posted(sliced(1, [item("Blue Moon.mp3")]), "blue"))
    store.do(Keep(sliced(2, [item("Blue Sun.mp3")])))
    assert found(store, query="blue")[0] == ["Blue Sun.mp3"]
    assert found(store, keys=[key("blue")])[0] == ["Blue Moon.mp3"]


def test_all_keys_must_lead_to_an_item(store: Store) -> None:
    one = sliced(1, [item("Blue Moon.mp3"), item("Blue Sun.mp3")])
    store.do(Keep(one, [Posting(key("blue"), 0), Posting(key("blue"), 1), Posting(key("sun"), 1)]))
    assert found(store, keys=[key("blue")])[0] == ["Blue Moon.mp3", "Blue Sun.mp3"]
    assert found(store, keys=[key("blue"), key("sun")])[0] == ["Blue Sun.mp3"]
    assert found(store, keys=[key("moon")])[0] == []


def test_who_has_a_content_is_found_on_both_sides(store: Store) -> None:
    blue = item("Blue Moon.mp3")
    store.do(posted(sliced(1, [blue]), "blue"))
    store.do(Keep(sliced(2, [blue, item("other")])))
    answer = store.do(Find(1, 50, content=blue.content))
    assert answer is not None
    assert sorted(who for who, _ in answer[0]) == sorted([peer(1), peer(2)])  # type: ignore[attr-defined]


def test_a_newer_batch_takes_the_place_of_the_one_before(store: Store) -> None:
    stays, goes, comes = item("stays here"), item("goes away"), item("comes new")
    store.do(Keep(sliced(1, [stays, goes])))
    newer = sliced(1, [comes, stays], seq=2)
    store.do(Keep(Slice(newer.batch, {0: comes})))  # what stays is not said again
    assert found(store, query="goes")[0] == []
    assert found(store, query="stays")[0] == ["stays here"]
    assert found(store, query="comes")[0] == ["comes new"]
    assert store.do(Load(1, peer(1), 0)) == (newer, [])


def test_a_renewed_batch_keeps_its_postings_and_takes_more(store: Store) -> None:
    one, two = item("Blue Moon"), item("Blue Sun")
    store.do(posted(sliced(1, [one, two]), "blue"))
    newer = sliced(1, [two], seq=2)
    store.do(Keep(Slice(newer.batch, {}), keyed=True))
    assert found(store, keys=[key("blue")])[0] == ["Blue Sun"]
    store.do(Keep(newer, [Posting(key("sun"), 0)]))
    assert found(store, keys=[key("blue"), key("sun")])[0] == ["Blue Sun"]
    assert found(store, query="sun")[0] == []
    answer = store.do(Load(1, peer(1), 0, keyed=True))
    assert answer is not None
    assert answer[0] == newer
    assert sorted(answer[1], key=repr) == sorted(  # type: ignore[call-overload]
        [Posting(key("blue"), 0), Posting(key("sun"), 0)], key=repr
    )


def test_a_batch_without_items_is_gone(store: Store) -> None:
    store.do(Keep(sliced(1, [item("Blue Moon")])))
    store.do(Keep(sliced(1, [], seq=2)))
    assert found(store, query="blue")[0] == []
    assert store.do(Load(1, peer(1), 0)) == (None, ())


def test_an_item_that_moves_to_another_batch_is_never_lost(store: Store) -> None:
    moves = item("Blue Moon")
    store.do(Keep(sliced(1, [moves, item("else")], slot=0)))
    store.do(Keep(sliced(1, [moves], slot=1, seq=2)))
    store.do(Keep(sliced(1, [item("else")], slot=0, seq=3)))
    assert found(store, query="blue")[0] == ["Blue Moon"]


@pytest.mark.parametrize(
    ("what", "home", "keyed"),
    [
        ({}, [], []),
        ({"slot": 0}, ["Blue one"], ["Blue one"]),
        ({"keyed": True}, ["Blue one", "Blue zero"], []),
        ({"keyed": False}, [], ["Blue one", "Blue zero"]),
        ({"slot": 1, "keyed": False}, ["Blue zero"], ["Blue one", "Blue zero"]),
    ],
)
def test_what_is_discarded(store: Store, what: dict[str, int], home: list[str], keyed: list[str]) -> None:
    for slot, name in enumerate(["Blue zero", "Blue one"]):
        one = sliced(1, [item(name)], slot=slot)
        store.do(Keep(one))
        store.do(posted(one, "blue"))
    store.do(Keep(sliced(2, [item("Green")])))
    store.do(Discard(peer(1), **what))  # type: ignore[arg-type]
    assert found(store, query="blue")[0] == home
    assert found(store, keys=[key("blue")])[0] == keyed
    assert found(store, query="green")[0] == ["Green"]


def test_a_publisher_and_a_key_have_their_share(store: Store) -> None:
    for publisher in (1, 2, 3):
        store.do(posted(sliced(publisher, [item(f"Blue {publisher} {n}") for n in range(4)]), "blue"))
        if publisher == 1:
            assert len(found(store, keys=[key("blue")])[0]) == 3
            assert not found(store, keys=[key("blue")])[1]
    names, more = found(store, keys=[key("blue")])
    assert len(names) == 5 and more
    store.do(Discard(peer(1)))
    assert len(found(store, keys=[key("blue")])[0]) == 2


def test_words_are_counted_as_a_home(store: Store) -> None:
    store.do(Keep(sliced(1, [item("Blue Moon.mp3"), item("Blue Sun", tags={"artist": "Moon"})])))
    store.do(posted(sliced(2, [item("Blue Sky")]), "blue"))
    assert store.do(Counts(1, ["blue", "moon", "sky", "mp3"])) == ([2, 2, 0, 1], 2)
    store.do(Keep(sliced(3, [item("Blue Sky")])))
    assert store.do(Counts(1, ["blue", "sky"])) == ([3, 1], 3)
    store.do(Discard(peer(1)))
    assert store.do(Counts(1, ["blue", "moon"])) == ([1, 0], 1)


def test_one_item_is_read_back_by_its_content(store: Store) -> None:
    one, two = item("Blue Moon"), item("Red Sun")
    whole = sliced(1, [one, two])
    store.do(Keep(whole))
    assert store.do(Load(1, peer(1), content=two.content)) == (Slice(whole.batch, {1: two}), ())
    assert store.do(Load(1, peer(1), content=bytes(32))) == (None, ())
    store.do(posted(sliced(2, [two]), "sun"))
    answer = store.do(Load(1, peer(2), content=two.content))
    assert answer is not None and isinstance(answer[0], Slice)
    assert list(answer[0].items.values()) == [two]


def test_items_may_be_anything(store: Store) -> None:
    strange = Item(bytes(32), 0, 255, "\u65e5\u672c\u8a9e ~ 🎵", "a/b", {"year": 1999, "title": ""}, 5)
    store.do(Keep(sliced(1, [strange])))
    assert store.do(Load(1, peer(1), 0)) == (sliced(1, [strange]), [])
    assert found(store, query="\u65e5\u672c")[0] == [strange.name]
