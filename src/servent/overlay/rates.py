"""How often each peer may do something: one number for each, of few peers. Pure.

As `limits.TokenBucket`, for many at once (the generic cell rate algorithm, ITU-T I.371): what is kept is the time when all that
was taken is paid back. A limit that all peers share would let one of them take it from the others.
"""

from __future__ import annotations

MOST = 4096  # peers remembered; the one that did nothing for longest is forgotten


class Rates:
    """Args:
    rate: units a second of each peer.
    burst: most units at once.
    """

    __slots__ = ("_burst", "_paid", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._paid: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._paid)

    def allow(self, peer: bytes, amount: float, now: float) -> bool:
        """Take so much of what `peer` has left, if it has so much."""
        before = max(self._paid.pop(peer, now), now)
        paid = before + amount / self._rate
        fits = paid - now <= self._burst / self._rate + 1e-6
        self._set(peer, paid if fits else before)
        return fits

    def has(self, peer: bytes, amount: float, now: float) -> bool:
        """Whether so much is left; nothing is taken."""
        return (
            max(self._paid.get(peer, now) - now, 0.0) + amount / self._rate <= self._burst / self._rate + 1e-6
        )

    def charge(self, peer: bytes, amount: float, now: float) -> None:
        """Take so much, of what it will have if need be: it was spent already."""
        self._set(peer, max(self._paid.pop(peer, now), now) + amount / self._rate)

    def _set(self, peer: bytes, paid: float) -> None:
        while len(self._paid) >= MOST:
            del self._paid[next(iter(self._paid))]
        self._paid[peer] = paid
