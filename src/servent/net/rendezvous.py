"""Ways to find where a peer is by its key alone, and to be found: one interface for all of them.

What is stored is a BEP 44 mutable item: a value under an Ed25519 key, signed, with a sequence number that only grows. Under
a peer's own key it is a pkarr packet (a DNS answer, as iroh writes it), so that other iroh programs can dial our peers; under
a key that only a network's members can derive it is that network's meeting point.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from servent.identity import Identity, PeerId

MOST_VALUE = (
    996  # bytes: BEP 44 allows 1000 bencoded; with 997 libtorrent stores nothing and says nothing (measured)
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a provider found under a key. Its signature has been checked.

    Attributes:
        seq: of two values the larger one is newer; numbers of different providers do not compare.
    """

    key: PeerId
    seq: int
    value: bytes


class Provider(Protocol):
    """One way. It never raises for what the network does: what cannot be reached finds nothing."""

    @property
    def name(self) -> str:
        """For logs and the doctor: "relay", "dht" …"""
        ...

    @property
    def head_start(self) -> float:
        """Seconds that the others get before this one is asked."""
        ...

    async def publish(self, identity: Identity, value: bytes, salt: bytes = b"") -> int:
        """Store `value` (at most MOST_VALUE bytes) under the key of `identity`; returns in how many places it is now."""
        ...

    def resolve(self, key: PeerId, salt: bytes = b"") -> AsyncIterator[Found]:
        """What is stored, as it is found: newer ones after older ones. Ends when there is nothing more to wait for."""
        ...
