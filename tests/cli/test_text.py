from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.cli.text import clean, duration, parse_duration, parse_rate, rate, size
from servent.errors import UsageError


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1536, "1.5 kB"),
        (99_940, "99.9 kB"),
        (999_600, "1.0 MB"),
        (5e15, "5.0 PB"),
    ],
)
def test_sizes_read_well(count: float, text: str) -> None:
    assert size(count) == text
    assert rate(count) == text + "/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (93784, "1 d 2 h"), (None, "?"), (-3, "0 s")],
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("10MB/s", 10_000_000),
        ("1.5M", 1_500_000),
        ("800k", 800_000),
        ("2MiB", 2 << 20),
        ("off", None),
        ("0", None),
        ("5 GB/s", 5 * 10**9),
    ],
)
def test_rates_are_typed_as_people_write_them(text: str, count: int | None) -> None:
    assert parse_rate(text) == count


@given(st.text(max_size=20))
def test_anything_typed_is_a_rate_or_an_error_that_helps(text: str) -> None:
    for parse in (parse_rate, parse_duration):
        try:
            found = parse(text)
            assert found is None or found > 0
        except UsageError as wrong:
            assert wrong.advice


def test_never_is_no_duration() -> None:
    assert parse_duration("never") is None
    assert parse_duration("1.5h") == 5400.0


def test_a_peers_words_cannot_steer_the_terminal() -> None:
    evil = "ann\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202etxt.exe\u2066\x7f"
    shown = clean(evil)
    assert shown == "ann\ufffd]0;owned\ufffd\ufffd[2J\ufffd\ufffd31m\ufffdtxt.exe\ufffd\ufffd"
    assert clean("Zoë 日本\tfile\n") == "Zoë 日本\tfile\n"


@given(st.text(max_size=200))
def test_nothing_a_terminal_obeys_gets_through(text: str) -> None:
    assert not [
        letter
        for letter in clean(text)
        if (ord(letter) < 32 and letter not in "\n\t") or 0x7F <= ord(letter) < 0xA0
    ]


def test_joiners_stay_where_they_are_spelling_and_nowhere_else() -> None:
    family, persian = (
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    )
    assert clean(family) == family and clean(persian) == persian
    assert clean("an\u200dn") == "an\ufffdn" and clean("\u200cann") == "\ufffdann"
