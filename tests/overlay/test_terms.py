"""Words of items and the keys they are found under."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from servent.overlay.placement import content_key, key_of
from servent.overlay.terms import all_keys, indexable, keyed_words, keys_of, rarest, words_of
from tests.overlay.things import NETWORK, item

NAMES = st.text(min_size=1, max_size=60)


def test_words_come_from_name_tags_and_directory() -> None:
    one = item(
        "Blue_Moon-LiveVersion.mp3",
        where="music/Best of",
        tags={"artist": "Sigur Rós", "year": 1999, "x": "not"},
    )
    assert set(words_of(one)) == {
        "blue", "moon", "liveversion", "live", "version", "mp3", "sigur", "ros", "1999", "music", "best", "of",
    }  # fmt: skip


def test_what_is_too_short_or_too_long_is_no_word() -> None:
    assert words_of(item("a bc " + "x" * 32 + " " + "y" * 33)) == ("bc", "x" * 32)
    assert indexable("\u65e5") and not indexable("a") and not indexable("")


def test_at_most_eight_words_are_keyed_and_none_is_the_ending() -> None:
    one = item("one two three four five six seven eight nine ten.mp3")
    chosen = keyed_words(one)
    assert len(chosen) == 8
    assert "mp3" not in chosen
    assert keyed_words(item("mp3.mp3")) == ["mp3"]


def test_counts_say_what_is_rare_only_when_they_are_of_many() -> None:
    counts = {"common": 40, "seldom": 1, "hit": 0}
    assert rarest(["common", "seldom", "hit"], counts, 5000) == ["hit", "seldom", "common"]
    assert rarest(["common", "seldom", "hit"], counts, 50) == ["common", "seldom", "hit"]
    assert rarest(["2004", "ab", "abc"]) == ["abc", "ab", "2004"]


def test_what_too_many_items_have_is_not_keyed() -> None:
    one = item("common seldom")
    assert keyed_words(one, {"common": 51, "seldom": 50}, 1000) == ["seldom"]
    assert keys_of(NETWORK, one, {"common": 51, "seldom": 51}, 1000) == [content_key(NETWORK, one.content)]


@given(
    NAMES, NAMES, st.dictionaries(st.sampled_from(["title", "artist", "genre"]), NAMES), st.integers(0, 5000)
)
def test_every_key_that_is_chosen_is_a_true_one(
    name: str, where: str, tags: dict[str, str], total: int
) -> None:
    one = item(name, where=where, tags=tags)
    counts = {word: len(word) * 40 for word in words_of(one)}
    true = all_keys(NETWORK, one)
    chosen = keys_of(NETWORK, one, counts, total)
    assert set(chosen) <= true
    assert len(chosen) == len(set(chosen)) <= 9
    assert key_of(NETWORK, "surely not a word of it") not in true
