"""Names of others cannot disturb a terminal or a page."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.trust.naming import MAX_NAME, clean_name


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("Ann", "Ann"),
        ("  Jürgen \t\n Müller ", "Jürgen Müller"),
        ("ann\x1b[2J\x07", "ann[2J"),
        ("\u202eevil\u202c", "evil"),
        ("a\u200b\u2066b\u2069\ufeff", "ab"),
        ("\u3164", "?"),
        ("z" + "\u0301\u0302\u0303\u0304\u0305\u0306", "ẑ́̃"),
        ("\u0301", "?"),
        ("李雷 नमस्ते שלום", "李雷 नमस्ते שלום"),
        ("👍 ok", "👍 ok"),
        ("\ud800x", "x"),
        ("a" * 500, "a" * MAX_NAME),
        ("", "?"),
    ],
)
def test_a_name_as_it_is_shown(given_name: str, shown: str) -> None:
    cleaned = clean_name(given_name, "?")
    if given_name.startswith("z"):
        assert len(unicodedata.normalize("NFD", cleaned)) <= 5
    else:
        assert cleaned == shown


@given(st.text(max_size=300))
def test_every_name_becomes_one_short_printable_line(text: str) -> None:
    name = clean_name(text)
    assert len(name) <= MAX_NAME and name == name.strip() and name.isprintable()
    assert clean_name(name) == name
