"""Words that the screens show: safe, short, and the same everywhere."""

from __future__ import annotations

import base64

import pytest

from servent.web.desk import clean, lasting, picture_of, qr_of, size


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200b", "\x00", "\x1b", "\x85", "\ufeff", "\u2028"])
def test_characters_that_hide_or_turn_text_around_become_visible(mark: str) -> None:
    assert clean(f"report{mark}gnp.exe") == "report\ufffdgnp.exe"


@pytest.mark.parametrize("name", ["Ursula K. Le Guin", "Привет", "日本語", "שלום", "naïve 🙂"])
def test_names_in_any_script_stay_as_they_are(name: str) -> None:
    assert clean(name) == name


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_500, "1.0 MB"),
        (123_000_000, "123 MB"),
        (5e15, "5.0 PB"),
    ],
)
def test_sizes_are_short(count: float, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (10, "less than a minute"),
        (60, "1 minute"),
        (3599, "1 hour"),
        (86399.5, "1 day"),
        (7 * 86400, "7 days"),
    ],
)
def test_spans_are_told_as_people_do(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


def test_a_qr_code_is_a_picture_and_nothing_that_could_act() -> None:
    source = picture_of('<svg onload="alert(1)"></svg>')
    assert source.startswith("data:image/svg+xml;base64,")
    assert b"onload" in base64.b64decode(source.partition(",")[2])
    assert (qr_of("servent:abc") or "").startswith("data:image/svg+xml")
    assert qr_of("x" * 5000) is None
