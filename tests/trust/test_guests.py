"""Guests: let in for one service and nothing else, until the pass is taken back."""

import pytest

from servent.errors import UsageError
from servent.identity import Identity, PeerId
from servent.trust.book import MAX_GUESTS, Book

GUEST = Identity(b"\1" * 32).peer


def book() -> Book:
    made = Book(Identity(b"\2" * 32))
    for service, audience in (("open/1", "everyone"), ("app/1", "nobody"), ("net/1", "network")):
        made.set_default(service, audience)
    return made


def test_a_guest_is_known_and_may_use_what_its_pass_says_and_nothing_for_everyone() -> None:
    trust = book()
    assert not trust.verdict(GUEST).known
    trust.admit("code", GUEST, ["app/1"])
    verdict = trust.verdict(GUEST)
    assert verdict.known and verdict.guest and not verdict.friend
    assert trust.allows(GUEST, "app/1") and trust.only_by_pass(GUEST, "app/1")
    assert not any(
        trust.allows(GUEST, service) for service in ("app/2", "open/1", "net/1", "servent.blobs/1")
    )
    assert trust.dismiss("code") and not trust.dismiss("code")
    assert not trust.verdict(GUEST).known and not trust.allows(GUEST, "app/1")


def test_a_friend_with_a_pass_stays_a_friend_and_a_block_beats_both() -> None:
    trust = book()
    trust.contacts.add(GUEST, None, True, 0.0)
    trust.admit("code", GUEST, ["app/1", "net/1"])
    assert not trust.verdict(GUEST).guest and trust.only_by_pass(GUEST, "app/1")
    assert trust.allows(GUEST, "net/1") and not trust.only_by_pass(GUEST, "net/1")
    trust.contacts.block(GUEST, 0.0)
    assert not trust.verdict(GUEST).known and not trust.allows(GUEST, "app/1")


def test_two_passes_of_one_peer_end_one_by_one_and_their_number_has_an_end() -> None:
    trust = book()
    trust.admit("a", GUEST, ["app/1"])
    trust.admit("b", GUEST, [])
    trust.dismiss("a")
    assert trust.verdict(GUEST).known and not trust.allows(GUEST, "app/1")
    for number in range(MAX_GUESTS - 1):
        trust.admit(str(number), PeerId(number.to_bytes(32, "big")), [])
    with pytest.raises(UsageError):
        trust.admit("one more", GUEST, [])
    trust.admit("b", GUEST, ["app/1"])  # a change of a pass is no new one


def test_a_pass_for_anybody_lets_strangers_in_for_its_services_alone_and_no_blocked_one() -> None:
    trust = Book(Identity(b"m" * 32))
    stranger, blocked = PeerId(b"\x07" * 32), PeerId(b"\x08" * 32)
    trust.contacts.block(blocked, 0.0)
    assert not trust.verdict(stranger).known
    trust.admit("grid", None, ["app/1"])
    assert trust.verdict(stranger).guest and not trust.verdict(blocked).known
    assert trust.allows(stranger, "app/1") and not trust.allows(stranger, "net/1")
    assert trust.only_by_pass(stranger, "app/1") and not trust.allows(blocked, "app/1")
    trust.dismiss("grid")
    assert not trust.verdict(stranger).known
