"""Boxes open for members, in one hello, and tell nobody else anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage
from servent.identity import Identity
from servent.trust import networks as n
from servent.trust import proofs as p
from tests.trust.people import seed

NET, INVITE = Identity(seed("net")), Identity(seed("invite"))
ANN, BOB, EVE = Identity(seed("ann")).peer, Identity(seed("bob")).peer, Identity(seed("eve")).peer
SECRET, OTHER, NONCE, NOISE = seed("secret"), seed("other"), seed("nonce"), seed("noise")
BIG = 1 << 40
WARRANT = n.make_warrant(NET, INVITE.peer, BIG, 10_000, BIG)
MEMBER = n.make_membership(INVITE, NET.peer, ANN, BIG, WARRANT)
SHOWN = p.Shown(MEMBER, n.make_stamp(Identity(seed("w")), MEMBER, BIG))
BOXES = p.box_all([(SECRET, SHOWN)], ANN, BOB, NONCE, NOISE)


def test_a_member_opens_what_was_meant_for_it() -> None:
    assert p.unbox(BOXES, SECRET, ANN, BOB, NONCE) == [SHOWN]


def test_the_largest_membership_fits_its_box() -> None:
    assert {len(box) for box in BOXES} == {p.BOX_BYTES}


@pytest.mark.parametrize(
    ("secret", "sender", "receiver", "nonce"),
    [
        (OTHER, ANN, BOB, NONCE),
        (SECRET, EVE, BOB, NONCE),
        (SECRET, ANN, EVE, NONCE),
        (SECRET, BOB, ANN, NONCE),
        (SECRET, ANN, BOB, seed("later")),
    ],
    ids=["other network", "other sender", "passed on", "reflected", "replayed"],
)
def test_a_box_opens_in_no_other_hello(secret: bytes, sender: bytes, receiver: bytes, nonce: bytes) -> None:
    assert p.unbox(BOXES, secret, sender, receiver, nonce) == []


@given(st.integers(0, p.BOX_BYTES - 1), st.integers(1, 255))
def test_a_bent_box_does_not_open(at: int, flip: int) -> None:
    key = p.box_key(SECRET, ANN, BOB, NONCE)
    box = bytearray(p.seal(key, SHOWN))
    box[at] ^= flip
    assert p.unseal(key, bytes(box)) is None


@pytest.mark.parametrize("size", [0, 1, p.BOX_BYTES - 1, p.BOX_BYTES + 1])
def test_a_box_of_another_size_is_not_even_tried(size: int) -> None:
    assert p.unseal(p.box_key(SECRET, ANN, BOB, NONCE), bytes(size)) is None


@given(st.binary(max_size=484))
def test_nonsense_sealed_by_a_member_is_a_bad_message(content: bytes) -> None:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    key = p.box_key(SECRET, ANN, BOB, NONCE)
    box = bytes(12) + ChaCha20Poly1305(key).encrypt(bytes(12), content.ljust(484, b"\xff"), None)
    with pytest.raises(BadMessage):
        p.unseal(key, box)


@pytest.mark.parametrize(("networks", "boxes"), [(0, 4), (1, 4), (4, 4), (5, 8), (9, 16), (16, 16), (20, 16)])
def test_the_number_of_boxes_hides_the_number_of_networks(networks: int, boxes: int) -> None:
    shown = [(seed(f"secret {i}"), SHOWN) for i in range(networks)]
    made = p.box_all(shown, ANN, BOB, NONCE, NOISE)
    assert len(made) == boxes and made == sorted(made) and len(set(made)) == boxes


def test_the_same_nonce_twice_never_seals_two_contents_alike() -> None:
    key = p.box_key(SECRET, ANN, BOB, NONCE)
    one, two = p.seal(key, SHOWN), p.seal(key, p.Shown(MEMBER))
    assert one[:12] != two[:12] and p.seal(key, SHOWN) == one


def test_a_contact_proof_holds_for_one_hello_only() -> None:
    proof = p.contact_proof(SECRET, ANN, BOB, NONCE)
    assert p.contact_proof_holds(SECRET, ANN, BOB, NONCE, proof)
    assert not p.contact_proof_holds(OTHER, ANN, BOB, NONCE, proof)
    assert not p.contact_proof_holds(SECRET, EVE, BOB, NONCE, proof)
    assert not p.contact_proof_holds(SECRET, ANN, EVE, NONCE, proof)
    assert not p.contact_proof_holds(SECRET, BOB, ANN, NONCE, proof)
    assert not p.contact_proof_holds(SECRET, ANN, BOB, seed("later"), proof)
    assert not p.contact_proof_holds(SECRET, ANN, BOB, NONCE, proof[:-1])
    assert not p.contact_proof_holds(SECRET, ANN, BOB, NONCE, b"")
