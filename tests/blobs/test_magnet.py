"""Links."""

from __future__ import annotations

import base64
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
        f"magnet:?xt=urn:btih:{HEX[:38]}",
        f"magnet:?xt=urn:btih:{HEX[:40]}&xt=urn:btih:{HEX[1:41]}",
        f"http://example.org/?xt=urn:btmh:1220{HEX}",
    ],
)
def test_what_is_no_link_is_explained(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_magnet(text)
    assert refused.value.advice and len(str(refused.value)) < 300


V1 = bytes(range(20))


@pytest.mark.parametrize(
    "kind", [f"btih:{HEX[:38]}", f"btih:{HEX[:39]}x", f"btmh:1220{HEX[:58]}", f"btmh:{HEX[:40]}"]
)
def test_a_damaged_infohash_is_answered_with_how_both_kinds_of_links_look(kind: str) -> None:
    with pytest.raises(UsageError, match="damaged") as refused:
        parse_magnet(f"magnet:?xt=urn:{kind}")
    assert "btih: and 40 hex" in refused.value.advice and "btmh:1220 and 64 hex" in refused.value.advice


@pytest.mark.parametrize("text", [V1.hex(), V1.hex().upper(), base64.b32encode(V1).decode()])
def test_a_link_of_version_1_names_20_bytes(text: str) -> None:
    assert parse_magnet(f"magnet:?xt=urn:btih:{text}&dn=x") == Magnet(V1, "x")


def test_a_hybrid_link_names_both_versions_with_trackers_and_peers_of_its_world() -> None:
    link = Magnet(
        HASH,
        "film",
        v1=V1,
        trackers=("udp://tracker.example:80/announce", "http://t.example/a?k=1&b=2"),
        peers=("192.0.2.7:6881", "[2001:db8::1]:80"),
        web_seeds=("https://mirror.example/film",),
    )
    assert parse_magnet(encode(link)) == link and link.foreign


@pytest.mark.parametrize(
    "extra",
    [
        "tr=ftp://x/",
        "tr=http://user:secret@x/",
        "tr=http://",
        "tr=http://[::1",
        "tr=" + "http://x/" + "a" * 600,
        "ws=file:///etc/passwd",
        "x.pe=localhost:80",
        "x.pe=10.0.0.1",
        "x.pe=10.0.0.1:0",
        "x.pe=10.0.0.1:65536",
        "x.pe=10.0.0.1:+80",
        "x.pe=::1:80",
        "x.pe=[10.0.0.1:80",
        "x.pe=[fe80::1%25eth0]:80",
        "x.pe=224.0.0.1:80",
        "x.pe=0.0.0.0:80",
    ],
)
def test_malformed_trackers_web_seeds_and_peers_are_left_out(extra: str) -> None:
    link = parse_magnet(f"magnet:?xt=urn:btih:{V1.hex()}&{extra}")
    assert link == Magnet(V1)


def test_a_flood_of_trackers_and_peers_is_cut() -> None:
    many = "".join(f"&tr=http://t{n}.example/&x.pe=10.0.0.1:{n + 1}&ws=http://w/{n}" for n in range(60))
    link = parse_magnet(f"magnet:?xt=urn:btih:{V1.hex()}{many}")
    assert (len(link.trackers), len(link.peers), len(link.web_seeds)) == (32, 32, 32)


def test_a_link_to_somebody_of_ours_is_no_business_of_bittorrents_world() -> None:
    assert not parse_magnet(f"magnet:?xt=urn:btmh:1220{HEX}&x.sv=servent:abc").foreign
    assert not Magnet(canon(HASH, 1), "x", (), (HASH, 1)).foreign
    assert parse_magnet(HEX).foreign
    assert parse_magnet(f"magnet:?xt=urn:btmh:1220{HEX}&x.sv=servent:abc&tr=http://t/").foreign


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
