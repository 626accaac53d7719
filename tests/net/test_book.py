"""The address book: bounded, newest good addresses first, expiring."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.identity import PeerId
from servent.net import book
from servent.net.book import Book, Entry, credible, parse_address, usable_relay
from servent.net.links import PeerAddress

ME, ANN, BOB, EVE = (PeerId(bytes([n]) * 32) for n in range(4))
DAY = 86400.0


def numbered(number: int) -> PeerId:
    return PeerId(number.to_bytes(32, "big"))


def test_what_worked_last_comes_first() -> None:
    it = Book(ME)
    it.told(PeerAddress(ANN, None, ("192.0.2.1:1", "192.0.2.2:1")), now=0)
    it.worked(ANN, "192.0.2.2:1", None, now=10, kept=True)
    it.worked(ANN, "192.0.2.3:1", None, now=20, kept=True)
    assert it.address(ANN, now=30).addresses == ("192.0.2.3:1", "192.0.2.2:1", "192.0.2.1:1")


def test_our_own_address_is_not_news() -> None:
    assert not Book(ME).told(PeerAddress(ME, None, ("192.0.2.1:1",)), now=0)


def test_a_peer_that_moved_leaves_behind_only_what_once_worked() -> None:
    it = Book(ME)
    it.told(PeerAddress(ANN, "https://old.example", ("192.0.2.1:1", "192.0.2.2:1")), now=0)
    it.worked(ANN, "192.0.2.2:1", None, now=1, kept=True)
    assert it.moved(PeerAddress(ANN, "https://new.example", ("192.0.2.9:1",)), now=2)
    assert it.address(ANN, now=3) == PeerAddress(ANN, "https://new.example", ("192.0.2.2:1", "192.0.2.9:1"))
    assert not it.moved(PeerAddress(ANN, "https://new.example", ("192.0.2.9:1",)), now=4)


def test_a_word_that_others_passed_on_leaves_what_the_person_here_gave_until_they_met() -> None:
    it = Book(ME)
    it.moved(PeerAddress(ANN, None, ("192.0.2.1:1",)), now=0, signed=7)
    assert it.given(PeerAddress(ANN, "https://new.example", ("192.0.2.9:1",)), now=1)
    assert it.moved(PeerAddress(ANN, None, ("192.0.2.2:1",)), now=2, signed=8)
    assert it.address(ANN, now=3) == PeerAddress(ANN, "https://new.example", ("192.0.2.9:1", "192.0.2.2:1"))
    it.worked(ANN, "192.0.2.2:1", None, now=4, kept=True)
    assert it.moved(PeerAddress(ANN, None, ("192.0.2.3:1",)), now=5, signed=9)
    assert it.address(ANN, now=6) == PeerAddress(ANN, None, ("192.0.2.2:1", "192.0.2.3:1"))


def test_an_old_word_that_others_pass_on_says_nothing() -> None:
    it = Book(ME)
    assert it.moved(PeerAddress(ANN, "https://new.example", ("192.0.2.9:1",)), now=0, signed=8)
    for number in (8, 7):
        assert not it.moved(PeerAddress(ANN, "https://old.example", ("192.0.2.1:1",)), now=1, signed=number)
    assert it.address(ANN, now=2) == PeerAddress(ANN, "https://new.example", ("192.0.2.9:1",))
    assert it.moved(PeerAddress(ANN, None, ("192.0.2.1:1",)), now=3), "this it said to us"


def test_hearsay_does_not_replace_the_relay_a_peer_named_itself() -> None:
    it = Book(ME)
    it.told(PeerAddress(ANN, "https://true.example"), now=0)
    it.worked(ANN, None, None, now=1, kept=True)
    it.told(PeerAddress(ANN, "https://false.example"), now=2, teller=EVE)
    assert it.address(ANN, now=3).relay == "https://true.example"


def test_a_peer_has_at_most_sixteen_addresses_and_fresh_ones_always_find_room() -> None:
    it = Book(ME)
    for number in range(40):
        it.worked(ANN, f"192.0.2.{number}:1", None, now=number, kept=True)
    it.told(PeerAddress(ANN, None, ("203.0.113.1:1",)), now=50)
    known = it.address(ANN, now=51).addresses
    assert len(known) == 16 and "203.0.113.1:1" in known and known[0] == "192.0.2.39:1"


def test_one_teller_cannot_fill_the_book() -> None:
    it = Book(ME)
    for number in range(10, 3000):
        it.told(PeerAddress(numbered(number), None, ("192.0.2.1:1",)), now=0, teller=EVE)
    assert len(it) == book.MOST_HEARSAY
    assert it.told(PeerAddress(numbered(5000), None, ("192.0.2.1:1",)), now=0, teller=BOB)


def test_a_full_book_forgets_hearsay_before_friends() -> None:
    it = Book(ME)
    it.worked(ANN, "192.0.2.1:1", None, now=0, kept=True)
    for number in range(10, 10 + book.MOST_PEERS + 100):
        it.told(PeerAddress(numbered(number), None, ("192.0.2.1:1",)), now=number)
    assert len(it) == book.MOST_PEERS and ANN in it


def test_hearsay_expires_after_two_days_and_what_worked_after_thirty() -> None:
    it = Book(ME)
    it.told(PeerAddress(BOB, None, ("192.0.2.1:1",)), now=0)
    it.worked(ANN, "192.0.2.1:1", None, now=1, kept=True)
    it.told(PeerAddress(ANN, None, ("192.0.2.2:1",)), now=1)
    assert it.address(BOB, now=2 * DAY).addresses == ()
    assert it.address(ANN, now=3 * DAY).addresses == ("192.0.2.1:1",)
    assert it.address(ANN, now=31 * DAY).addresses == ()
    assert ANN not in it and BOB not in it
    assert it.dirty >= {ANN, BOB}


def test_what_was_saved_long_ago_is_not_loaded() -> None:
    it = Book(ME)
    it.load(ANN, Entry("https://r.example", {"192.0.2.1:1": 5.0}, heard=5.0, met=5.0), now=40 * DAY)
    assert ANN not in it


@pytest.mark.parametrize(
    "text",
    [
        "example.org:80",
        "192.0.2.1",
        "192.0.2.1:0",
        "192.0.2.1:70000",
        "224.0.0.1:5",
        "0.0.0.0:5",
        "255.255.255.255:5",
        "2001:db8::1:443",
        "[192.0.2.1]:5",
        "[ff02::1]:5",
        "[::]:5",
        "",
        ":",
        "192.0.2.1:٣",
        "192.0.2.1:-1",
    ],
)
def test_nobody_is_dialed_at_nonsense(text: str) -> None:
    assert parse_address(text) is None


def test_addresses_of_both_families_are_read() -> None:
    assert parse_address("192.0.2.1:443") == ("192.0.2.1", 443)
    assert parse_address("[2001:db8::1]:443") == ("2001:db8::1", 443)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example",
        "https://user@x.example",
        "https://x.example/path",
        "https://x.example?q",
        "javascript:alert(1)",
        "https://",
        "https://x\n.example",
        "https://" + "x" * 300,
        None,
    ],
)
def test_a_relay_is_a_plain_http_url(url: str | None) -> None:
    assert usable_relay(url) is None


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_none(text: str) -> None:
    parse_address(text)
    usable_relay(text)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([ANN, BOB, EVE]),
            st.lists(st.integers(1, 60), max_size=20),
            st.sampled_from(["told", "moved", "worked", "hearsay"]),
        ),
        max_size=40,
    )
)
def test_whatever_is_said_the_book_keeps_its_bounds(
    words: list[tuple[PeerId, list[int], str]],
) -> None:
    it = Book(ME)
    for now, (peer, hosts, kind) in enumerate(words):
        address = PeerAddress(peer, "https://r.example", tuple(f"192.0.2.{n}:1" for n in hosts))
        match kind:
            case "told":
                it.told(address, now)
            case "moved":
                it.moved(address, now)
            case "hearsay":
                it.told(address, now, teller=BOB)
            case _:
                it.worked(peer, next(iter(address.addresses), None), None, now, kept=True)
        entry = it.get(peer)
        assert entry is not None and len(entry.addresses) <= book.MOST_ADDRESSES
        assert it._told.get(BOB, 0) == sum(it.get(who).teller == BOB for who in it.peers())  # type: ignore[union-attr]
        good = [entry.addresses[text] for text in it.address(peer, now).addresses]
        assert good == sorted(good, reverse=True)


@pytest.mark.parametrize(
    "seen", [[], ["198.51.100.7:443"], ["[2001:db8::1]:443"], ["https://relay.example/", "192.168.1.7:443"]]
)
def test_nobody_elsewhere_sends_us_to_our_own_loopback(seen: list[str]) -> None:
    good = ("192.168.1.4:1", "198.51.100.4:1", "[2001:db8::4]:1")
    bad = ("127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1")
    told = PeerAddress(ANN, "https://relay.example", (*bad, *good))
    assert credible(told, seen) == PeerAddress(ANN, "https://relay.example", good)
    for relay in (
        "http://127.0.0.1:80",
        "http://localhost/",
        "http://x.localhost:3340",
        "http://[::1]:3340/",
        "http://LOCALHOST.:80",
        "http://[::1]",
    ):
        assert credible(PeerAddress(ANN, relay), seen).relay is None, relay
    for relay in ("http://192.0.2.1:3340", "http://[2001:db8::1]", "https://localhost.example/"):
        assert credible(PeerAddress(ANN, relay), seen).relay == relay
    for near in ("127.0.0.1:5", "[::1]:5", "http://127.0.0.1:3340/"):
        assert credible(told, [near]) == told
