"""What tests of the overlay's store and homes are made of: cheap signatures, items, batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from servent.identity import PeerId
from servent.overlay.records import Batch, Item, PeerRecord, Slice, item_hash, signed

NETWORK = bytes(range(32))


class CheapSeal:
    """Signatures that anybody can check and, in tests, anybody could make: a hash of key and text."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, text: bytes) -> bytes:
        return hashlib.sha512(self._key + text).digest()

    def holds(self, key: bytes, signature: bytes, text: bytes) -> bool:
        return hashlib.sha512(key + text).digest() == signature


def peer(number: int) -> PeerId:
    return PeerId(hashlib.sha256(b"peer %d" % number).digest())


def item(name: str, content: int = 0, **fields: object) -> Item:
    """An item of that name; its content follows from the name unless a number is given."""
    root = hashlib.sha256(f"{name} {content}".encode()).digest()
    return Item(root, 1000, 0, name, **fields)  # type: ignore[arg-type]


def sliced(
    publisher: int, items: Sequence[Item], slot: int = 0, seq: int = 1, lifetime: int = 86_400
) -> Slice:
    """A signed batch with all its items."""
    key = peer(publisher)
    batch = Batch(bytes(key), slot, seq, lifetime, [item_hash(one) for one in items])
    return Slice(signed(NETWORK, batch, CheapSeal(key)), dict(enumerate(items)))


def record(number: int, seq: int = 1, address: str = "192.0.2.1:1") -> PeerRecord:
    key = peer(number)
    return signed(NETWORK, PeerRecord(bytes(key), seq, 3600, addresses=[address]), CheapSeal(key))  # type: ignore[no-any-return]
