"""Who a node is: an Ed25519 key. Pure: files are keyfile.py's business.

A peer's name is its public key, written in z-base-32 (pkarr's alphabet, 52 characters), so that the same
text names the peer in `_iroh.<key>` DNS records; 64 hex digits, iroh's own form, are read as well.
"""

from __future__ import annotations

from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from servent.errors import UsageError

Z32 = "ybndrfg8ejkmcpqxot1uwisza345h769"  # z-base-32, Zooko O'Whielacronx 2002
_Z32_VALUE = {letter: value for value, letter in enumerate(Z32)}
KEY_BYTES = 32
SIGNATURE_BYTES = 64
SHORT_LENGTH = 8  # characters of a short id: 40 bits, enough to tell contacts apart, never to trust


def z32_encode(data: bytes) -> str:
    """z-base-32 without padding: 32 bytes become 52 characters."""
    bits = int.from_bytes(data, "big") << (-len(data) * 8 % 5)
    length = (len(data) * 8 + 4) // 5
    return "".join(Z32[bits >> 5 * (length - 1 - i) & 31] for i in range(length))


def z32_decode(text: str, size: int) -> bytes:
    """The `size` bytes that `text` stands for.

    Raises:
        ValueError: wrong length, a letter outside the alphabet, or non-zero padding bits.
    """
    if len(text) != (size * 8 + 4) // 5:
        raise ValueError(f"{len(text)} characters where {(size * 8 + 4) // 5} belong")
    value = 0
    for letter in text:
        if letter not in _Z32_VALUE:
            raise ValueError(f"{letter!r} is not in the z-base-32 alphabet")
        value = value << 5 | _Z32_VALUE[letter]
    padding = -size * 8 % 5
    if value & ((1 << padding) - 1):
        raise ValueError("stray bits at the end")
    return (value >> padding).to_bytes(size, "big")


class PeerId(bytes):
    """The 32 bytes of a peer's Ed25519 public key. Equal to, and hashed like, the plain bytes.

    Raises:
        ValueError: not 32 bytes.
    """

    __slots__ = ()

    def __new__(cls, key: bytes) -> Self:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a peer id has {KEY_BYTES} bytes, not {len(key)}")
        return super().__new__(cls, key)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the full form: 52 characters of z-base-32 or 64 hex digits.

        Raises:
            UsageError: neither of them.
        """
        text = text.strip()
        try:
            if len(text) == 2 * KEY_BYTES:
                return cls(bytes.fromhex(text))
            return cls(z32_decode(text.lower(), KEY_BYTES))
        except ValueError as wrong:
            raise UsageError(
                f"{text[:70]!r} is no peer id: {wrong}",
                advice="A full id has 52 letters and digits; `servent id` prints your own.",
            ) from wrong

    @property
    def short(self) -> str:
        """The first 8 characters: for people's eyes, never for trust."""
        return str(self)[:SHORT_LENGTH]

    def __str__(self) -> str:
        return z32_encode(self)

    def __repr__(self) -> str:
        return f"PeerId({self.short})"

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether this key made `signature` (64 bytes) over `message`."""
        try:
            Ed25519PublicKey.from_public_bytes(bytes(self)).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class Identity:
    """An Ed25519 key pair from its 32-byte seed. The seed never shows in `repr` or logs."""

    __slots__ = ("_key", "peer", "seed")

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.seed = bytes(seed)
        self.peer = PeerId(self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """64 bytes, RFC 8032. Prefix `message` with what it is for, so that no signature serves twice."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"Identity({self.peer.short})"
