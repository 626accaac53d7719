"""Who may come to the door, how often, and who stays out for a while. A core: no I/O, no clock.

Peers that we know (their key is proven by TLS) have room of their own, so that a flood of strangers
locks out nobody who belongs here.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from servent.identity import PeerId
from servent.limits import Budget, TokenBucket


@dataclass(frozen=True, slots=True)
class GateSettings:
    """How much comes through the door.

    Attributes:
        strangers: helloes of unknown peers under way at once, and `strangers_per_source` of them.
        acquaintances: helloes of known peers under way at once.
        source_rate, source_burst: new connections per second from one source (IPv4 address, IPv6 /64,
            relay), and how many at once.
        sources: sources remembered.
        ban: seconds that a peer stays out after repeated abuse.
        bans: bans remembered; the oldest is lifted for a new one.
        strikes, strike_refill: faults a peer may commit in a row, and per second in the long run.
    """

    strangers: int = 64
    strangers_per_source: int = 32
    acquaintances: int = 64
    source_rate: float = 4.0
    source_burst: float = 64.0
    sources: int = 4096
    ban: float = 60.0
    bans: int = 4096
    strikes: float = 20.0
    strike_refill: float = 0.2


def source_of(address: str) -> str:
    """What counts as one source: the IPv4 address, the IPv6 /64 (RFC 6177), or the relay as a whole."""
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return address
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))


class Gate:
    """Admits connections before their hello, and keeps count of faults."""

    def __init__(self, settings: GateSettings) -> None:
        self._settings = settings
        self._pending = {False: Budget(settings.strangers), True: Budget(settings.acquaintances)}
        self._sources: dict[str, TokenBucket] = {}
        self._visits: dict[str, int] = {}
        self._banned: dict[PeerId, float] = {}
        self._strikes: dict[PeerId, TokenBucket] = {}

    def admit(self, peer: PeerId, source: str, known: bool, now: float) -> bool:
        """Whether this connection may say hello. If so, call `done` when its hello is over."""
        if self.banned(peer, now):
            return False
        if not known and not self._bucket(source).allow(1, now):
            return False
        if not known and self._visits.get(source, 0) >= self._settings.strangers_per_source:
            return False
        if not self._pending[known].take():
            return False
        if not known:
            self._visits[source] = self._visits.get(source, 0) + 1
        return True

    def done(self, source: str, known: bool) -> None:
        """A hello that was admitted is over, however it ended."""
        self._pending[known].give()
        if not known:
            self._visits[source] -= 1
            if not self._visits[source]:
                del self._visits[source]

    @property
    def pending(self) -> int:
        """Helloes under way."""
        return self._pending[False].used + self._pending[True].used

    def banned(self, peer: PeerId, now: float) -> bool:
        until = self._banned.get(peer)
        if until is not None and until <= now:
            del self._banned[peer]
            until = None
        return until is not None

    def strike(self, peer: PeerId, now: float, weight: float = 1.0) -> bool:
        """Count a fault of `peer`. True: that was one too many, it is banned; close its connection."""
        bucket = self._strikes.get(peer)
        if bucket is None:
            if len(self._strikes) >= self._settings.bans:
                del self._strikes[next(iter(self._strikes))]
            bucket = self._strikes[peer] = TokenBucket(self._settings.strike_refill, self._settings.strikes)
        if bucket.allow(weight, now):
            return False
        del self._strikes[peer]
        if len(self._banned) >= self._settings.bans:
            del self._banned[next(iter(self._banned))]
        self._banned[peer] = now + self._settings.ban
        return True

    def _bucket(self, source: str) -> TokenBucket:
        bucket = self._sources.get(source)
        if bucket is None:
            if (
                len(self._sources) >= self._settings.sources
            ):  # the one seen first: a fresh bucket is no gift worth
                del self._sources[next(iter(self._sources))]
            bucket = TokenBucket(self._settings.source_rate, self._settings.source_burst)
            self._sources[source] = bucket
        return bucket
