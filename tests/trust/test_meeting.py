"""The meeting point of a network: found, written and read by who knows the secret, and by nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage, NotFound
from servent.identity import Identity
from servent.store import Store
from servent.testing import loop
from servent.trust.meeting import PLAIN_MOST, SEALED_BYTES, MeetingPoint
from servent.trust.service import TrustService

NETWORK, SECRET = bytes([1]) * 32, bytes([2]) * 32
NONCE = bytes(range(12))


def test_members_derive_the_same_place_and_read_each_other() -> None:
    one, other = MeetingPoint(NETWORK, SECRET), MeetingPoint(NETWORK, SECRET)
    assert one.key == other.key
    sealed = one.close(b"twelve supernodes", NONCE)
    assert len(sealed) == SEALED_BYTES and other.open(sealed) == b"twelve supernodes"
    assert one.close(b"", NONCE)[12:] != sealed[12:]
    assert len(one.close(bytes(PLAIN_MOST), NONCE)) == SEALED_BYTES
    with pytest.raises(ValueError):
        one.close(bytes(PLAIN_MOST + 1), NONCE)


def test_nothing_shows_how_many_there_are_or_whose_it_is() -> None:
    point = MeetingPoint(NETWORK, SECRET)
    few, many = point.close(b"x", NONCE), point.close(b"x" * PLAIN_MOST, bytes(12))
    assert len(few) == len(many) == 996
    for shown in (few, many, bytes(point.key), repr(point).encode()):
        assert NETWORK[:8] not in shown and SECRET[:8] not in shown
    assert SECRET.hex() not in repr(point) and point.identity.seed.hex() not in repr(point)


def test_who_knows_the_key_of_the_network_but_not_its_secret_finds_and_reads_nothing() -> None:
    point = MeetingPoint(NETWORK, SECRET)
    sealed = point.close(b"supernodes", NONCE)
    for network, secret in ((NETWORK, bytes(32)), (NETWORK, NETWORK), (bytes(32), SECRET)):
        stranger = MeetingPoint(network, secret)
        assert stranger.key != point.key
        with pytest.raises(BadMessage):
            stranger.open(sealed)


@given(st.integers(0, SEALED_BYTES - 1), st.integers(1, 255))
def test_what_was_changed_on_the_way_is_not_read(at: int, change: int) -> None:
    point = MeetingPoint(NETWORK, SECRET)
    sealed = bytearray(point.close(b"supernodes", NONCE))
    sealed[at] ^= change
    with pytest.raises(BadMessage):
        point.open(bytes(sealed))


@given(st.binary(max_size=1100))
def test_whatever_stands_there_is_refused_unless_a_member_wrote_it(value: bytes) -> None:
    with pytest.raises(BadMessage):
        MeetingPoint(NETWORK, SECRET).open(value)


def test_trust_gives_the_place_of_our_own_networks_and_of_no_other() -> None:
    async def story() -> None:
        first, second = Store(None), Store(None)
        ann, eve = (TrustService(store, Identity(bytes([n]) * 32)) for n, store in ((1, first), (2, second)))
        async with first, second:
            await ann.open()
            await eve.open()
            club = (await ann.create_network("club")).key
            own = (await eve.create_network("club")).key
            place = ann.meeting_point(club)
            assert place.key not in (club, own, ann.me, eve.meeting_point(own).key)
            with pytest.raises(NotFound):
                eve.meeting_point(club)  # she has heard of its key, from whoever told her
            with pytest.raises(BadMessage):
                eve.meeting_point(own).open(place.close(b"here we are", NONCE))
            invitation = await ann.invite(club)
            await eve.accept_invitation(invitation)
            assert eve.meeting_point(club).open(place.close(b"here we are", NONCE)) == b"here we are"

    loop.run(story())
