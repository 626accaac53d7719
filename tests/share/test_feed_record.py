"""What a publisher signs, and links to feeds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage, UsageError
from servent.identity import Identity
from servent.share import feed_record

ANN = Identity(b"\x01" * 32)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=15)


def record(name: str = "photos", sequence: int = 1) -> feed_record.Record:
    return feed_record.sign(ANN, name, sequence, b"\xab" * 32, size=10**9, files=12, published=1_700_000_000)


@given(
    NAMES,
    st.integers(1, 2**53),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**53),
    st.integers(0, 10**6),
)
def test_what_is_signed_is_read_again(
    name: str, sequence: int, infohash: bytes, size: int, files: int
) -> None:
    made = feed_record.sign(ANN, name, sequence, infohash, size=size, files=files, published=1)
    assert feed_record.decode(feed_record.encode(made)) == made


def test_the_signature_is_that_of_bep_44() -> None:
    made = record("foobar", 1)
    value = feed_record.encode(made).partition(b"1:v")[2][:-1]
    assert ANN.peer.verify(made.signature, b"4:salt6:foobar3:seqi1e1:v" + value)


@given(st.data())
def test_a_single_changed_byte_is_noticed(data: st.DataObject) -> None:
    good = bytearray(feed_record.encode(record()))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadMessage):
        feed_record.decode(bytes(good))


@given(st.binary(max_size=1500))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        feed_record.decode(data)


def test_one_form_only() -> None:
    good = feed_record.encode(record())
    with pytest.raises(BadMessage):
        feed_record.decode(good + b"e")
    with pytest.raises(BadMessage):
        feed_record.decode(good.replace(b"seqi1e", b"seqi01e"))


@given(NAMES, st.lists(st.text("abcdef:", min_size=1, max_size=30), max_size=10))
def test_links(name: str, contacts: list[str]) -> None:
    found = feed_record.parse_link(feed_record.link(ANN.peer, name, contacts))
    assert found == (ANN.peer, name, tuple(contacts[: feed_record.MOST_CONTACTS]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://example.org",
        "magnet:?xt=urn:btmh:1220" + "ab" * 32,
        "magnet:?xs=urn:btpk:00&s=61",
        "magnet:?xs=urn:btpk:" + "00" * 32,
        "magnet:?xs=urn:btpk:" + "00" * 32 + "&s=0a",
        "magnet:?xs=urn:btpk:" + "00" * 32 + "&s=" + "61" * 65,
        "magnet:?xs=urn:btpk:" + "00" * 32 + "&xs=urn:btpk:" + "01" * 32 + "&s=61",
        "magnet:?" + "x" * 20000,
    ],
)
def test_other_links_are_refused_with_a_reason(text: str) -> None:
    with pytest.raises(UsageError) as wrong:
        feed_record.parse_link(text)
    assert str(wrong.value)


@pytest.mark.parametrize("name", ["", "a" * 65, "ü" * 33, "a\nb", "a\u202eb"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(UsageError):
        feed_record.salt_of(name)
