"""Links."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.blobs import info, magnet
from servent.blobs.canonical import canon
from servent.blobs.info import File
from servent.blobs.magnet import Magnet, encode, parse_magnet
from servent.errors import UsageError

HASH = bytes(range(32))
HEX = HASH.hex()


def test_a_link_names_its_content_and_whom_to_ask() -> None:
    made = info.build("Ferien & Co", [File(("Ferien & Co",), 1, bytes(32))], 16384)
    link = magnet.magnet(made, ["servent:abc"])
    assert link == f"magnet:?xt=urn:btmh:1220{made.infohash.hex()}&dn=Ferien%20%26%20Co&x.sv=servent:abc"
    assert parse_magnet(link) == Magnet(made.infohash, "Ferien & Co", ("servent:abc",))


@given(
    st.binary(min_size=32, max_size=32),
    st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100), max_size=8),
)
def test_what_is_written_is_read_again(infohash: bytes, name: str | None, contacts: list[str]) -> None:
    link = Magnet(infohash, name, tuple(contacts))
    text = magnet.encode(link)
    assert text.isascii() and "\n" not in text
    assert parse_magnet(text) == link


@pytest.mark.parametrize("text", [HEX, HEX.upper(), "1220" + HEX, f"  {HEX}\n"])
def test_a_bare_infohash_is_a_link_too(text: str) -> None:
    assert parse_magnet(text) == Magnet(HASH)


@pytest.mark.parametrize(
    "text",
    [
        f"magnet:?xt=urn:btmh:1220{HEX}",
        f"MAGNET:?xt=urn:btmh:1220{HEX.upper()}",
        f"magnet:?dn=&xt=urn:btih:{HEX[:40]}&xt=urn:btmh:1220{HEX}&tr=http://tracker/",
        f"magnet:?xt.1=urn:btmh:1220{HEX}",
    ],
)
def test_links_of_others_are_understood(text: str) -> None:
    assert parse_magnet(text).infohash == HASH


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        HEX[:-1],
        HEX[:-1] + "g",
        "magnet:",
        "magnet:?",
        "magnet:?xt=urn:btmh:",
        f"magnet:?xt=urn:btmh:1220{HEX[:-2]}",
        f"magnet:?xt=urn:btmh:1220{HEX}&xt=urn:btmh:1220{'0' * 64}",
        f"magnet:?xt=urn:btmh:1220{HEX}&dn=%FF",
        "magnet:?" + "a=b&" * 300,
        "magnet:?xt=" + "a" * 20_000,
        f"http://example.org/?xt=urn:btmh:1220{HEX}",
    ],
)
def test_what_is_no_link_is_explained(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_magnet(text)
    assert refused.value.advice and len(str(refused.value)) < 300


def test_a_version_1_link_is_named_as_such() -> None:
    with pytest.raises(UsageError, match="version 1"):
        parse_magnet(f"magnet:?xt=urn:btih:{HEX[:40]}")


def test_a_flood_of_contacts_is_cut() -> None:
    many = "".join(f"&x.sv=servent:{n}" for n in range(50)) + "&x.sv=" + "a" * 5000
    assert len(parse_magnet(f"magnet:?xt=urn:btmh:1220{HEX}{many}").contacts) == 8


@given(st.text(max_size=200) | st.text("magnet:?xturnbh0123456789abcdef&=%.", max_size=120))
def test_any_text_is_a_link_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_magnet(text)


def test_a_link_to_one_content_says_its_root_and_size_and_a_lie_about_them_is_passed_over() -> None:
    root = bytes(range(32))
    link = Magnet(canon(root, 70_000), "song.flac", (), (root, 70_000))
    text = encode(link)
    assert parse_magnet(text) == link
    assert parse_magnet(text.replace("xl=70000", "xl=70001")).content is None
    assert parse_magnet(text.replace(root.hex(), bytes(32).hex())).content is None
    assert parse_magnet(text.replace("xl=70000", "xl=99999999999999999999999")).content is None
