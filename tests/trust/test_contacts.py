"""Petnames, ids, blocks, tickets."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import NotFound, UsageError
from servent.identity import Identity, PeerId
from servent.trust import contacts as c
from servent.trust.proofs import contact_proof
from tests.trust.people import DAY, T0, seed

ANN, BOB, EVE = (Identity(seed(name)).peer for name in ("ann", "bob", "eve"))


@pytest.fixture
def book() -> c.Contacts:
    made = c.Contacts()
    made.add(ANN, "Ann", True, T0)
    made.add(BOB, "bob b.", False, T0)
    return made


def test_a_contact_is_found_by_petname_by_the_start_of_its_id_and_by_its_id(book: c.Contacts) -> None:
    for text in (
        "Ann",
        "ann",
        " ANN ",
        str(ANN),
        str(ANN).upper(),
        bytes(ANN).hex(),
        ANN.short,
        str(ANN)[:4],
    ):
        assert book.resolve(text) == ANN
    assert book.resolve("bob  b.".replace("  ", " ")) == BOB
    assert book.resolve(str(EVE)) == EVE, "a full id needs no contact"
    assert book.resolve(EVE.short, frozenset({EVE})) == EVE


@pytest.mark.parametrize("text", ["", "an", "nobody", "\u202eAnn?", "x" * 5000, EVE.short, str(ANN)[:3]])
def test_nobody_is_guessed(book: c.Contacts, text: str) -> None:
    with pytest.raises(NotFound) as nobody:
        book.resolve(text)
    assert "whole id" in nobody.value.advice and "servent ticket" in nobody.value.advice


def test_an_ambiguous_id_names_the_choices(book: c.Contacts) -> None:
    start = str(ANN)[:4]
    twin = next(
        peer
        for i in range(1 << 16)
        if str(peer := PeerId(bytes(ANN)[:3] + i.to_bytes(2, "big") + bytes(27))).startswith(start)
    )
    with pytest.raises(UsageError, match="could be 2 peers"):
        book.resolve(start, frozenset({twin}))
    assert book.resolve(str(ANN)[:20], frozenset({twin})) == ANN


def test_petnames_are_unique_and_visible(book: c.Contacts) -> None:
    with pytest.raises(UsageError, match="already"):
        book.set_petname(BOB, "ANN", T0)
    for bad in (
        "",
        "  ",
        "a\x1b[2Jb",
        "\u202eann",
        "a" * 65,
        str(EVE),
        bytes(EVE).hex(),
        "a\u200bnn",
    ):
        with pytest.raises(UsageError):
            book.set_petname(BOB, bad, T0)
    assert book.set_petname(BOB, "Jürgen 李", T0).petname == "Jürgen 李"
    with pytest.raises(NotFound):
        book.resolve("bob b.")
    book.set_petname(ANN, None, T0)
    assert book.set_petname(BOB, "ann", T0).petname == "ann"


def test_a_block_ends_friendship_survives_being_added_and_goes_with_the_entry(book: c.Contacts) -> None:
    book.block(ANN, T0)
    assert book.is_blocked(ANN) and not book.is_friend(ANN)
    book.add(ANN, None, True, T0)
    assert book.is_blocked(ANN) and not book.is_friend(ANN)
    book.remove(ANN)
    assert not book.is_blocked(ANN) and book.get(ANN) is None
    book.block(EVE, T0)
    assert book.is_blocked(EVE), "strangers can be blocked"
    for call in (book.unblock, book.remove):
        with pytest.raises(NotFound):
            call(ANN)


def redeems(book: c.Contacts, peer: PeerId, secret: bytes, now: float = T0) -> bool:
    nonce = seed("nonce")
    return book.redeem(peer, BOB, nonce, contact_proof(secret, peer, BOB, nonce), now) is not None


def test_a_ticket_is_good_for_its_uses_until_it_ends(book: c.Contacts) -> None:
    once, many = seed("once"), seed("many")
    book.issue(once, 1, T0 + DAY, T0)
    book.issue(many, None, T0 + DAY, T0)
    assert redeems(book, ANN, once) and not redeems(book, EVE, once)
    assert redeems(book, ANN, many) and redeems(book, EVE, many)
    assert not redeems(book, ANN, many), "nobody uses it twice"
    third = Identity(seed("third")).peer
    assert not redeems(book, third, many, T0 + DAY + 1)
    assert redeems(book, third, many, T0 + DAY)
    assert book.revoke(many) and not book.revoke(many)
    assert not redeems(book, Identity(seed("fourth")).peer, many)
    assert book.outdated(T0 + DAY + 1) == [once] and book.secrets() == []


def test_the_number_of_open_tickets_is_bounded(book: c.Contacts) -> None:
    for number in range(c.MAX_SECRETS):
        book.issue(seed(str(number)), None, T0 + DAY, T0)
    with pytest.raises(UsageError, match="open already"):
        book.issue(seed("one more"), None, T0 + DAY, T0)
    book.issue(seed("later"), None, T0 + 3 * DAY, T0 + 2 * DAY)
    for uses in (0, -1, c.MAX_SECRET_USERS + 1):
        with pytest.raises(UsageError):
            book.issue(seed("bad"), uses, T0 + DAY, T0 + 2 * DAY)


def test_repr_shows_no_secret(book: c.Contacts) -> None:
    made = book.issue(seed("s"), None, T0 + DAY, T0)
    assert repr(seed("s"))[2:12] not in repr(made)


@given(st.text(max_size=80))
def test_whatever_is_typed_resolves_or_is_refused_politely(text: str) -> None:
    book = c.Contacts()
    book.add(ANN, "ann", True, T0)
    with contextlib.suppress(UsageError):
        assert isinstance(book.resolve(text), PeerId)
    try:
        name = book.set_petname(BOB, text, T0).petname
    except UsageError:
        return
    assert name is not None and name.isprintable() and book.resolve(name) == BOB
