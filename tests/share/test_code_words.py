"""Spoken codes: two lists that sound unlike, and codes read back however they were typed."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import UsageError
from servent.share.code_words import FIRST, NUMBERS, SECOND, SpokenCode, _close, complete, make, parse


def test_each_list_has_256_words_and_no_two_of_all_are_easily_mixed_up() -> None:
    assert len(FIRST) == len(SECOND) == 256
    both = FIRST + SECOND
    assert len({word[:4] for word in both}) == 512
    assert all(word.isascii() and word.isalpha() and word.islower() and 3 <= len(word) <= 11 for word in both)
    close = [pair for pair in itertools.combinations(both, 2) if _close(*pair, 2)]
    assert close == []


@given(st.binary(min_size=6, max_size=6))
def test_every_code_reads_back_the_same_however_it_is_written(noise: bytes) -> None:
    code = make(noise)
    assert 1 <= code.number <= NUMBERS
    first, second = code.words
    for text in (
        str(code),
        str(code).upper(),
        f"  {code.number} {first.title()}  {second} ",
        f"{code.number}{first}-{second}",
        f"{code.number:06d}, {first}; {second}.",
        f"{code.number}-{first[:4]}-{second[:5]}",
    ):
        assert parse(text) == code


def test_slips_are_understood_when_only_one_word_is_meant() -> None:
    assert parse("7 wallnut octopuss") == SpokenCode(7, ("walnut", "octopus"))
    for wrong in (
        "",
        "7",
        "7-walnut",
        "walnut-octopus",
        "7-octopus-walnut",
        "0-walnut-octopus",
        "7-walnut-octopus-x",
    ):
        with pytest.raises(UsageError) as caught:
            parse(wrong)
        assert caught.value.advice
    with pytest.raises(UsageError):
        parse(f"{NUMBERS + 1}-walnut-octopus")


@given(st.text(max_size=300))
def test_whatever_is_typed_is_a_code_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert 1 <= parse(text).number <= NUMBERS
    complete(text)


def test_completion_offers_the_word_that_is_being_typed() -> None:
    assert complete("7-waln") == ["7-walnut"]
    assert complete("7-walnut-oct") == ["7-walnut-octopus"]
    assert complete("7") == complete("x-") == complete("7-walnut-octopus-") == []
    assert len(complete("7-")) == 256


def test_a_code_does_not_show_its_words_in_a_log() -> None:
    assert "walnut" not in repr(SpokenCode(7, ("walnut", "octopus")))
