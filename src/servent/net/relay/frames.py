"""Frames of iroh's relay protocol, versions 1 and 2. One frame is one binary WebSocket message.

The first byte is the kind (a QUIC varint, RFC 9000 section 16; every kind defined so far fits one byte),
the rest depends on it. Sources: iroh-relay's `protos/relay.rs`, `protos/handshake.rs`; checked against
iroh itself in the tests. What is relayed is QUIC: encrypted end to end, opaque here.
"""

from __future__ import annotations

from enum import IntEnum

from blake3 import blake3

from servent.errors import BadMessage
from servent.identity import KEY_BYTES, SIGNATURE_BYTES, PeerId

V2 = "iroh-relay-v2"
V1 = "iroh-relay-v1"
PROTOCOLS = (V2, V1)  # best first

CHALLENGE_BYTES = 16
MAX_PACKET_BYTES = 64 * 1024  # payload of one frame; iroh-relay's MAX_PACKET_SIZE
MAX_FRAME_BYTES = MAX_PACKET_BYTES + 64  # with kind, key, ECN and segment size
_CHALLENGE_CONTEXT = "iroh-relay handshake v1 challenge signature"


class Kind(IntEnum):
    """The first byte of a frame, and who sends it."""

    CHALLENGE = 0  # relay: 16 random bytes to sign
    AUTH = 1  # client: its key and the signature
    CONFIRMS = 2  # relay: you are in
    DENIES = 3  # relay: you are not, and why
    DATAGRAM_IN = 4  # client: key of the receiver, ECN, one datagram
    BATCH_IN = 5  # client: key of the receiver, ECN, segment size, several datagrams
    DATAGRAM_OUT = 6  # relay: key of the sender, ECN, one datagram
    BATCH_OUT = 7  # relay: key of the sender, ECN, segment size, several datagrams
    GONE = 8  # relay: a peer that sent to you has left
    PING = 9  # both: 8 bytes to be sent back
    PONG = 10  # both: those 8 bytes
    HEALTH = 11  # relay, version 1 only: what is wrong, as text
    RESTARTING = 12  # relay: come back in, and try for, milliseconds
    STATUS = 13  # relay, version 2: see `Status`


class Status(IntEnum):
    """What a STATUS frame says."""

    HEALTHY = 0
    REPLACED = 1  # another connection with your key is the one that receives now


_AUTH_BYTES = 1 + KEY_BYTES + 1 + SIGNATURE_BYTES
_DATAGRAM_BYTES = 1 + KEY_BYTES + 1  # kind, key, ECN; at least one byte follows
_PING_BYTES = 1 + 8


def challenge(nonce: bytes) -> bytes:
    """First frame of the relay: sign this."""
    return bytes([Kind.CHALLENGE]) + nonce


def to_sign(nonce: bytes) -> bytes:
    """The 32 bytes a client signs, so that a relay cannot obtain a signature useful elsewhere."""
    return blake3(nonce, derive_key_context=_CHALLENGE_CONTEXT).digest()


def auth(peer: PeerId, signature: bytes) -> bytes:
    """A client's answer to the challenge."""
    return bytes([Kind.AUTH]) + peer + bytes([SIGNATURE_BYTES]) + signature


def read_auth(message: bytes) -> tuple[PeerId, bytes]:
    """Key and signature of an AUTH frame; the signature is not checked here.

    Raises:
        BadMessage: any other frame, or the wrong size.
    """
    if len(message) != _AUTH_BYTES or message[0] != Kind.AUTH or message[1 + KEY_BYTES] != SIGNATURE_BYTES:
        raise BadMessage("a relay client has to prove its key first")
    return PeerId(message[1 : 1 + KEY_BYTES]), bytes(message[2 + KEY_BYTES :])


def check(message: bytes) -> int:
    """The kind of a frame from a client that has proven its key; its size is right for that kind.

    Kinds nobody defined yet are returned as they are: newer clients may send them, they are passed over.

    Raises:
        BadMessage: empty, of the wrong size, or a frame only relays send.
    """
    size = len(message)
    kind = message[0] if size else -1
    if kind in (Kind.DATAGRAM_IN, Kind.BATCH_IN):
        least = _DATAGRAM_BYTES + (2 if kind == Kind.BATCH_IN else 0)
        if least < size <= MAX_FRAME_BYTES:
            return kind
    elif kind in (Kind.PING, Kind.PONG):
        if size == _PING_BYTES:
            return kind
    elif kind > Kind.STATUS:
        return kind
    raise BadMessage(f"relay frame of kind {kind} with {size} bytes")


def onward(message: bytes, sender: PeerId) -> bytes:
    """A client's datagram frame as its receiver gets it: the same bytes with the sender's key."""
    return bytes([message[0] + 2]) + sender + message[1 + KEY_BYTES :]


def receiver(message: bytes) -> bytes:
    """The key a client's datagram frame is for."""
    return message[1 : 1 + KEY_BYTES]


def denies(reason: str) -> bytes:
    """Refusal with a reason of at most 127 bytes of UTF-8 (a longer one is cut)."""
    text = reason.encode()[:127].decode(errors="ignore").encode()
    return bytes([Kind.DENIES, len(text)]) + text


def gone(peer: PeerId) -> bytes:
    return bytes([Kind.GONE]) + peer


def ping(payload: bytes) -> bytes:
    return bytes([Kind.PING]) + payload


def pong(message: bytes) -> bytes:
    """The answer to a PING frame."""
    return bytes([Kind.PONG]) + message[1:]


def status(what: Status, protocol: str) -> bytes:
    """How the connection is, in the words of the protocol version agreed on."""
    if protocol == V1:
        text = "another connection uses the same key" if what is Status.REPLACED else ""
        return bytes([Kind.HEALTH]) + text.encode()
    return bytes([Kind.STATUS, what])


def restarting(reconnect_in: float, try_for: float) -> bytes:
    """Advice for clients of a relay that is going down; both in seconds."""
    waits = (min(0xFFFFFFFF, int(seconds * 1000)).to_bytes(4, "big") for seconds in (reconnect_in, try_for))
    return bytes([Kind.RESTARTING]) + b"".join(waits)
