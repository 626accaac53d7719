"""One guess at a spoken code: SPAKE2 (Abdalla, Pointcheval 2005), and the keys that come of it.

The only module that knows `spake2`, and loads it with the first code: it costs 1 MB and 20 ms. Pure: the dice are an argument.

Who does not know the words learns nothing from the messages, and has one guess for each run: both sides get the same
key or different ones, and the confirmations show which. The key depends on both messages, the number of the
code and who is the sender, so nothing can be turned around or replayed.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from servent.errors import BadMessage
from servent.share.code_words import SpokenCode

MESSAGE_BYTES = 33
KEY_BYTES = 32
_PREFIX = b"servent/code/1 "
_TAG_BYTES = 16
_MOST_SEALED = 1 << 32  # messages under one key; far below what ChaCha20-Poly1305 bears (RFC 8439)


class Side:
    """Our half of one run. `message` goes to the other side, `finish` takes theirs, once.

    Args:
        dice: fresh random bytes.
    """

    def __init__(
        self, code: SpokenCode, session: bytes, *, sender: bool, dice: Callable[[int], bytes]
    ) -> None:
        from spake2 import SPAKE2_A, SPAKE2_B

        words = "-".join(code.words).encode("ascii")
        number = code.number.to_bytes(4, "big")
        kind = SPAKE2_B if sender else SPAKE2_A
        self._side = kind(
            words, idA=_PREFIX + b"receiver" + number, idB=_PREFIX + b"sender" + number, entropy_f=dice
        )
        self._session = session
        self.message: bytes = self._side.start()

    def finish(self, message: bytes) -> Keys:
        """The keys; only the other side's proof shows whether it has the same.

        Raises:
            BadMessage: what came is no message of the other side.
        """
        from spake2.ed25519_basic import NotOnCurve
        from spake2.spake2 import SPAKEError

        try:
            return Keys(self._side.finish(message), self._session)
        except (SPAKEError, NotOnCurve, ValueError, AssertionError) as wrong:
            raise BadMessage("no message of a code's other side") from wrong


@dataclass(frozen=True, slots=True)
class Keys:
    """What both sides of a run have, if they said the same words. `repr` shows nothing of it."""

    key: bytes = field(repr=False)
    session: bytes

    def proof(self, what: str, *nonces: bytes) -> bytes:
        """32 bytes that only the two sides can make. `what` says by whom and for what."""
        return self._derive(b"proof " + what.encode("ascii"), nonces)

    def holds(self, proof: bytes, what: str, *nonces: bytes) -> bool:
        """Whether `proof` is that proof."""
        return hmac.compare_digest(proof, self.proof(what, *nonces))

    def seal(self, *nonces: bytes, sender: bool) -> Seal:
        """For the messages of one connection, seen from the sender's or the receiver's side."""
        by_sender, by_receiver = (self._derive(b"seal " + who, nonces) for who in (b"sender", b"receiver"))
        return Seal(by_sender, by_receiver) if sender else Seal(by_receiver, by_sender)

    def _derive(self, what: bytes, nonces: tuple[bytes, ...]) -> bytes:
        salt = b"".join((self.session, *nonces))
        return HKDF(SHA256(), KEY_BYTES, salt, _PREFIX + what).derive(self.key)


class Seal:
    """Both directions of one connection: each message under the next number, so none is lost, doubled or swapped."""

    def __init__(self, ours: bytes, theirs: bytes) -> None:
        self._ours, self._theirs = ChaCha20Poly1305(ours), ChaCha20Poly1305(theirs)
        self._sent = self._opened = 0

    def close(self, body: bytes) -> bytes:
        """`body` and 16 bytes more, for the other side alone."""
        if self._sent >= _MOST_SEALED:
            raise BadMessage("too many messages under one key")
        box = self._ours.encrypt(_nonce(self._sent), body, None)
        self._sent += 1
        return box

    def open(self, box: bytes) -> bytes:
        """What the other side closed.

        Raises:
            BadMessage: not the next message of the other side.
        """
        try:
            body = self._theirs.decrypt(_nonce(self._opened), box, None)
        except InvalidTag as wrong:
            raise BadMessage("a sealed message that is not the other side's next") from wrong
        self._opened += 1
        return body


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
