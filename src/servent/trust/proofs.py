"""What a hello carries to show who is a member or holds a ticket, and to tell a stranger nothing. Pure.

A box is a membership sealed under a key made from the network's secret, the hello's nonce and both peers'
keys. Only a member of that network can open it, and only in the hello it was made for. All boxes have one
size, come in 4, 8 or 16, are filled up with noise and sorted: neither their number nor their length nor
their order tells how many networks somebody is in, beyond that step.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from servent.codec import Decoder, canonical
from servent.errors import BadMessage
from servent.trust.networks import Membership, Stamp

NONCE_BYTES = 32
BOX_BYTES = 512
MAX_BOXES = 16
_STEPS = (4, 8, MAX_BOXES)  # 2 KiB of boxes for nearly everybody
_SEAL_BYTES = 12 + 16  # the cipher's nonce and tag
_PLAIN_BYTES = BOX_BYTES - _SEAL_BYTES
_HELLO = b"servent/hello/1"
_CONTACT = b"servent/contact/1"


class Shown(Struct, frozen=True, array_like=True):
    """The inside of a box: a membership and, where the bearer has one, a witness of it."""

    membership: Membership
    stamp: Stamp | None = None


_shown: Decoder[Shown] = Decoder(Shown, _PLAIN_BYTES)


def box_key(secret: bytes, sender: bytes, receiver: bytes, nonce: bytes) -> bytes:
    """The key for one network in one direction of one hello."""
    info = _HELLO + bytes(sender) + bytes(receiver)
    return HKDF(SHA256(), 32, salt=bytes(nonce), info=info).derive(secret)


def seal(key: bytes, shown: Shown) -> bytes:
    """One box of BOX_BYTES."""
    body = canonical(shown)
    if len(body) > _PLAIN_BYTES - 2:
        raise ValueError(f"a membership of {len(body)} bytes does not fit its box")
    plain = (len(body).to_bytes(2, "big") + body).ljust(_PLAIN_BYTES, b"\0")
    # The nonce is made from the content: a dialer who sends one hello nonce twice gets the same box, or
    # another content under another nonce, never two contents under one.
    nonce = hmac.digest(key, b"nonce" + plain, "sha256")[:12]
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, plain, None)


def unseal(key: bytes, box: bytes) -> Shown | None:
    """What is in `box`, None if it was not sealed with `key`.

    Raises:
        BadMessage: sealed with `key`, so by somebody who knows the network's secret, and yet nonsense.
    """
    if len(box) != BOX_BYTES:
        return None
    try:
        plain = ChaCha20Poly1305(key).decrypt(box[:12], box[12:], None)
    except InvalidTag:
        return None
    size = int.from_bytes(plain[:2], "big")
    if size > _PLAIN_BYTES - 2:
        raise BadMessage("a sealed membership with a wrong length")
    return _shown.decode(plain[2 : 2 + size])


def box_all(
    shown: Iterable[tuple[bytes, Shown]], me: bytes, to: bytes, nonce: bytes, noise: bytes
) -> list[bytes]:
    """Boxes for all of `shown`, (network secret, content) each, with decoys made from `noise` (32 random bytes)."""
    boxes = [seal(box_key(secret, me, to, nonce), content) for secret, content in shown][:MAX_BOXES]
    wanted = next(step for step in _STEPS if step >= len(boxes))
    decoys = hashlib.shake_256(b"servent/decoy/1" + noise).digest((wanted - len(boxes)) * BOX_BYTES)
    boxes += [decoys[i : i + BOX_BYTES] for i in range(0, len(decoys), BOX_BYTES)]
    return sorted(boxes)


def unbox(boxes: Sequence[bytes], secret: bytes, sender: bytes, receiver: bytes, nonce: bytes) -> list[Shown]:
    """Everything in `boxes` that was sealed for this hello under this network's secret.

    Raises:
        BadMessage: as `unseal`.
    """
    key = box_key(secret, sender, receiver, nonce)
    opened = (unseal(key, bytes(box)) for box in boxes[:MAX_BOXES])
    return [shown for shown in opened if shown is not None]


def contact_proof(secret: bytes, me: bytes, to: bytes, nonce: bytes) -> bytes:
    """32 bytes that show `to` that `me` holds a ticket with `secret`, in this hello only."""
    return hmac.digest(secret, _CONTACT + bytes(me) + bytes(to) + bytes(nonce), "sha256")


def contact_proof_holds(secret: bytes, peer: bytes, me: bytes, nonce: bytes, proof: bytes) -> bool:
    """Whether `peer` made `proof` for us with `secret`. Takes the same time either way."""
    return hmac.compare_digest(contact_proof(secret, peer, me, nonce), proof)
