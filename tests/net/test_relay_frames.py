import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage
from servent.identity import Identity, PeerId
from servent.net.relay import frames
from servent.net.relay.frames import Kind, Status

ANN = Identity(bytes(31) + b"\x01")
BOB = Identity(bytes(31) + b"\x02")


def test_a_key_is_proven_by_signing_the_challenge() -> None:
    nonce = bytes(range(16))
    peer, signature = frames.read_auth(frames.auth(ANN.peer, ANN.sign(frames.to_sign(nonce))))
    assert peer == ANN.peer
    assert peer.verify(signature, frames.to_sign(nonce))
    assert not peer.verify(signature, frames.to_sign(bytes(16)))


def test_the_bytes_to_sign_stay_as_they_are() -> None:
    """blake3's derive_key with iroh-relay's context string; iroh itself agrees in test_relay_server."""
    assert (
        frames.to_sign(bytes(16)).hex() == "8105e7bd9963194e6d6d80225a3f1b071da3b6e65edcd12531e16233f33de9d6"
    )


def test_a_datagram_goes_on_with_its_senders_key_and_nothing_else_changed() -> None:
    for kind in (Kind.DATAGRAM_IN, Kind.BATCH_IN):
        message = bytes([kind]) + BOB.peer + b"\x02" + b"\x04\xb0" + b"payload"
        assert frames.receiver(message) == BOB.peer
        assert frames.onward(message, ANN.peer) == bytes([kind + 2]) + ANN.peer + message[33:]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_a_bad_message(message: bytes) -> None:
    try:
        kind = frames.check(message)
    except BadMessage:
        return
    assert message[0] == kind
    assert kind in (Kind.DATAGRAM_IN, Kind.BATCH_IN, Kind.PING, Kind.PONG) or kind > Kind.STATUS


@given(st.binary(max_size=200))
def test_any_bytes_are_a_proof_or_a_bad_message(message: bytes) -> None:
    try:
        peer, signature = frames.read_auth(message)
    except BadMessage:
        return
    assert frames.auth(peer, signature) == message


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 6, 7, 8, 11, 12, 13])
def test_frames_only_relays_send_are_refused(kind: int) -> None:
    with pytest.raises(BadMessage):
        frames.check(bytes([kind]) + bytes(60))


@pytest.mark.parametrize(
    "message",
    [b"", b"\x04", bytes([4]) + bytes(33), bytes([5]) + bytes(35), bytes([9]) + bytes(7), bytes([10]) + bytes(9),
     bytes([4]) + bytes(frames.MAX_FRAME_BYTES)],
)  # fmt: skip
def test_frames_of_the_wrong_size_are_refused(message: bytes) -> None:
    with pytest.raises(BadMessage):
        frames.check(message)


def test_each_protocol_version_hears_of_its_replacement_in_its_own_words() -> None:
    assert frames.status(Status.REPLACED, frames.V2) == b"\x0d\x01"
    assert frames.status(Status.HEALTHY, frames.V2) == b"\x0d\x00"
    assert frames.status(Status.REPLACED, frames.V1)[0] == Kind.HEALTH


def test_a_refusal_fits_its_length_byte_whatever_the_reason() -> None:
    assert frames.denies("no") == b"\x03\x02no"
    long = frames.denies("ü" * 100)
    assert len(long) == 2 + long[1] and long[1] <= 127
    long[2:].decode()


def test_restarting_speaks_milliseconds() -> None:
    assert frames.restarting(1.0, 5.0) == b"\x0c\x00\x00\x03\xe8\x00\x00\x13\x88"


def test_a_peer_id_is_the_key_on_the_wire() -> None:
    assert isinstance(frames.read_auth(frames.auth(ANN.peer, bytes(64)))[0], PeerId)
