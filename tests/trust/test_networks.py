"""Signed records: nothing forged, swapped or bent is believed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.codec import canonical
from servent.errors import BadMessage
from servent.identity import Identity
from servent.trust import networks as n
from tests.trust.people import T0, seed

NET, OTHER = Identity(seed("net")), Identity(seed("other net"))
INVITE, ANN, EVE = Identity(seed("invite")), Identity(seed("ann")), Identity(seed("eve"))
SECRET = seed("secret")
NOW = int(T0)
SETTINGS = n.make_settings(NET, "home", "p2p", "invitation", n.lock_of(SECRET), 1)
OPEN = n.make_settings(NET, "home", "p2p", "open", n.lock_of(SECRET), 1)
WARRANT = n.make_warrant(NET, INVITE.peer, 2, 1, NOW + 60)
MEMBER = n.make_membership(INVITE, NET.peer, ANN.peer, NOW, WARRANT)


def test_the_chain_from_network_over_invitation_to_member_holds() -> None:
    n.check_settings(SETTINGS)
    n.check_warrant(WARRANT)
    n.check_membership(MEMBER, SETTINGS)
    n.check_stamp(MEMBER, n.make_stamp(EVE, MEMBER, NOW))
    n.check_revocation(n.make_revocation(NET, "member", ANN.peer, 3, NOW))
    n.check_invitation(n.Invitation(SETTINGS, SECRET, WARRANT, INVITE.seed))


@pytest.mark.parametrize(
    "change",
    [
        {"member": bytes(EVE.peer)},
        {"network": bytes(OTHER.peer)},
        {"joined": NOW - 1},
        {"warrant": None},
        {"warrant": n.make_warrant(OTHER, INVITE.peer, 2, 1, NOW + 60)},
        {"warrant": n.make_warrant(NET, EVE.peer, 2, 1, NOW + 60)},
        {"warrant": msgspec.structs.replace(WARRANT, expires=None)},
        {"warrant": msgspec.structs.replace(WARRANT, uses=None)},
        {"warrant": msgspec.structs.replace(WARRANT, serial=99)},
        {"signature": bytes(64)},
    ],
)
def test_a_membership_with_anything_changed_is_forged(change: dict[str, object]) -> None:
    with pytest.raises(n.Forged):
        n.check_membership(msgspec.structs.replace(MEMBER, **change), SETTINGS)


def test_nobody_can_found_a_membership_for_themselves() -> None:
    own = n.make_membership(EVE, NET.peer, EVE.peer, NOW)
    with pytest.raises(n.Forged):
        n.check_membership(own, SETTINGS)
    n.check_membership(own, OPEN)
    with pytest.raises(n.Forged):
        n.check_membership(n.make_membership(EVE, NET.peer, ANN.peer, NOW), OPEN)


def test_an_invitation_signed_by_a_member_is_worth_nothing() -> None:
    fake = n.Warrant(bytes(NET.peer), bytes(EVE.peer), 2, None, None, EVE.sign(b"whatever"))
    with pytest.raises(n.Forged):
        n.check_membership(n.make_membership(EVE, NET.peer, EVE.peer, NOW, fake), SETTINGS)


def test_a_signature_for_one_purpose_serves_no_other() -> None:
    gone = n.make_revocation(NET, "member", ANN.peer, 3, NOW)
    for what in ("invitation",):
        with pytest.raises(n.Forged):
            n.check_revocation(msgspec.structs.replace(gone, what=what))
    with pytest.raises(n.Forged):
        n.check_settings(msgspec.structs.replace(SETTINGS, signature=WARRANT.signature))
    stamp = n.make_stamp(EVE, MEMBER, NOW)
    with pytest.raises(n.Forged):
        n.check_stamp(MEMBER, msgspec.structs.replace(stamp, seen=NOW - 1))
    with pytest.raises(n.Forged):
        n.check_stamp(msgspec.structs.replace(MEMBER, member=bytes(EVE.peer)), stamp)


@pytest.mark.parametrize(
    "change",
    [
        {"secret": seed("another secret")},
        {"seed": EVE.seed},
        {"seed": None},
        {"warrant": None},
        {"warrant": None, "seed": None},
        {"warrant": n.make_warrant(OTHER, INVITE.peer, 2, 1, NOW + 60)},
        {"settings": msgspec.structs.replace(SETTINGS, name="bank")},
        {"settings": msgspec.structs.replace(SETTINGS, policy="open")},
    ],
)
def test_an_invitation_with_anything_changed_is_forged(change: dict[str, object]) -> None:
    whole = n.Invitation(SETTINGS, SECRET, WARRANT, INVITE.seed)
    with pytest.raises(n.Forged):
        n.check_invitation(msgspec.structs.replace(whole, **change))


def test_repr_shows_no_secret() -> None:
    text = repr(n.Invitation(SETTINGS, SECRET, WARRANT, INVITE.seed))
    for secret in (SECRET, INVITE.seed):
        assert repr(secret)[2:12] not in text and secret.hex() not in text


RECORDS = [
    canonical(record)
    for record in (
        SETTINGS,
        n.make_revocation(NET, "member", ANN.peer, 3, NOW),
        n.Admission(MEMBER, n.make_stamp(NET, MEMBER, NOW)),
    )
]


def believed(body: bytes) -> n.Record | None:
    try:
        record = n.records.decode(body)
        match record:
            case n.Settings():
                n.check_settings(record)
            case n.Revocation():
                n.check_revocation(record)
            case n.Admission():
                n.check_membership(record.membership, SETTINGS)
                n.check_stamp(record.membership, record.stamp)
    except BadMessage:
        return None
    return record


@given(st.sampled_from(RECORDS), st.integers(0, 4000), st.integers(1, 255))
def test_a_bent_record_is_refused_or_means_the_same(body: bytes, at: int, flip: int) -> None:
    bent = bytearray(body)
    bent[at % len(bent)] ^= flip
    record = believed(bytes(bent))
    assert record is None or canonical(record) == body


@given(st.sampled_from(RECORDS), st.integers(0, 4000))
def test_a_truncated_record_is_refused(body: bytes, length: int) -> None:
    assert believed(body[: length % len(body)]) is None


@given(st.binary(max_size=3000))
def test_noise_is_refused(body: bytes) -> None:
    assert believed(body) is None


def test_an_overlong_record_is_refused_by_its_size() -> None:
    with pytest.raises(BadMessage, match="over the limit"):
        n.records.decode(bytes(n.MAX_RECORD_BYTES + 1))


def test_the_founder_and_the_servers_are_signed_with_the_settings() -> None:
    made = n.make_settings(NET, "home", "server", "invitation", n.lock_of(SECRET), 2, ANN.peer, [ANN.peer])
    n.check_settings(made)
    again = n.records.decode(canonical(made))
    assert isinstance(again, n.Settings)
    n.check_settings(again)
    assert again.servers == [bytes(ANN.peer)]
    for bent in (
        {"servers": [bytes(EVE.peer)]},
        {"servers": []},
        {"founder": bytes(EVE.peer)},
        {"founder": None},
    ):
        with pytest.raises(n.Forged):
            n.check_settings(msgspec.structs.replace(made, **bent))


def test_settings_from_before_servers_were_said_stay_good() -> None:
    old = msgspec.msgpack.decode(canonical(SETTINGS))[:8]
    again = n.records.decode(canonical(old))
    assert isinstance(again, n.Settings)
    assert (again.servers, again.founder) == ([], None)
    n.check_settings(again)


def test_more_servers_than_eight_are_no_settings() -> None:
    keys = [bytes(Identity(seed(f"server {number}")).peer) for number in range(9)]
    made = n.make_settings(NET, "home", "server", "invitation", n.lock_of(SECRET), 2, ANN.peer, keys)
    with pytest.raises(BadMessage):
        n.records.decode(canonical(made))
