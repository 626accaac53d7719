"""Bencode: one canonical form, and nothing else gets in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.blobs import bencode
from servent.errors import BadMessage

LIMIT = 10_000
VALUES = st.recursive(
    st.integers(-(10**15), 10**15) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.binary(max_size=8), inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_again(value: bencode.Value) -> None:
    assert bencode.decode(bencode.encode(value), LIMIT) == value


@given(st.binary(max_size=60) | st.text("dlie0123456789:-a", max_size=40).map(str.encode))
def test_any_bytes_are_read_canonically_or_refused(data: bytes) -> None:
    try:
        value = bencode.decode(data, LIMIT)
    except BadMessage:
        return
    assert bencode.encode(value) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"i01e",
        b"i-0e",
        b"i-e",
        b"ie",
        b"i1",
        b"i+1e",
        b"i 1e",
        "i٣e".encode(),
        b"i123456789012345678901234567890e",
        b"01:a",
        b"2:a",
        b"99999999999999999999999:a",
        b"-1:a",
        b"1a",
        b":",
        b"l",
        b"d",
        b"d1:ae",
        b"di1ei2ee",
        b"d1:bi1e1:ai2ee",
        b"d1:ai1e1:ai2ee",
        b"i1ei2e",
        b"x",
        b"l" * 200 + b"e" * 200,
        b"d1:a" * 200 + b"i1e" + b"e" * 200,
    ],
)
def test_what_is_not_canonical_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        bencode.decode(data, LIMIT)


def test_too_much_is_refused_unread() -> None:
    with pytest.raises(BadMessage, match="over the limit"):
        bencode.decode(b"100:" + bytes(100), 50)
