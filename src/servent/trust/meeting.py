"""Where the members of a network meet when none of them knows where another is: a key and a seal that both follow from its secret. Pure.

Only who knows the secret can find the place, write there, or read what stands there. Who stores it sees a key, 996 bytes of
noise, and the addresses of those who bring and fetch them. A member who was removed knows the secret still.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from servent.errors import BadMessage
from servent.identity import Identity, PeerId

SEALED_BYTES = 996  # always, whatever is in it: what a BEP 44 item holds
_NONCE, _TAG = 12, 16
PLAIN_MOST = SEALED_BYTES - _NONCE - _TAG - 2
_PLACE = b"servent/meeting/1 place"
_SEAL = b"servent/meeting/1 seal"


class MeetingPoint:
    """The place of one network. Its secret cannot be had from it."""

    __slots__ = ("_seal", "identity", "network")

    def __init__(self, network: bytes, secret: bytes) -> None:
        self.network = bytes(network)
        self.identity = Identity(_derive(secret, _PLACE, network))
        self._seal = ChaCha20Poly1305(_derive(secret, _SEAL, network))

    @property
    def key(self) -> PeerId:
        """Under which the record is stored."""
        return self.identity.peer

    def close(self, plain: bytes, nonce: bytes) -> bytes:
        """`plain`, at most PLAIN_MOST bytes, sealed. `nonce`: 12 fresh random bytes; members share the key."""
        if len(plain) > PLAIN_MOST:
            raise ValueError(f"{len(plain)} bytes do not fit a meeting point")
        padded = (len(plain).to_bytes(2, "big") + plain).ljust(PLAIN_MOST + 2, b"\0")
        return nonce + self._seal.encrypt(nonce, padded, self.network)

    def open(self, sealed: bytes) -> bytes:
        """What a member wrote.

        Raises:
            BadMessage: it was not written by somebody who knows the secret.
        """
        if len(sealed) != SEALED_BYTES:
            raise BadMessage("nothing that a member wrote")
        try:
            padded = self._seal.decrypt(sealed[:_NONCE], sealed[_NONCE:], self.network)
        except InvalidTag:
            raise BadMessage("nothing that a member wrote") from None
        size = int.from_bytes(padded[:2], "big")
        if size > PLAIN_MOST:
            raise BadMessage("a meeting point with a wrong length")
        return padded[2 : 2 + size]

    def __repr__(self) -> str:
        return f"MeetingPoint({self.key.short})"


def _derive(secret: bytes, what: bytes, network: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=bytes(network), info=what).derive(secret)
