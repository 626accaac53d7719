"""Who is told where whom is: members of a network learn of each other through those they share. A core.

So twenty nodes that joined through one inviter all find each other, and nobody outside a network is
named to anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

from servent.identity import PeerId

MOST_MEMBERS = 64  # in one message; wire.Members


@dataclass(frozen=True, slots=True)
class Tell:
    """Send `to` where `about` are, all of them members of `network` like itself."""

    to: PeerId
    network: bytes
    about: tuple[PeerId, ...]


class Gossip:
    """Times are seconds on the caller's monotonic clock.

    Args:
        spacing: seconds between two messages to one peer.
        most_waiting: things kept to be told to one peer; more are left out (it hears them from others).
    """

    def __init__(self, spacing: float = 1.0, most_waiting: int = 1024) -> None:
        self._spacing, self._most = spacing, most_waiting
        self._networks: dict[PeerId, frozenset[bytes]] = {}
        self._waiting: dict[PeerId, dict[tuple[bytes, PeerId], None]] = {}
        self._free_at: dict[PeerId, float] = {}

    def arrived(self, peer: PeerId, networks: frozenset[bytes]) -> None:
        """`peer` is connected and proved these memberships, perhaps more than before."""
        new = networks - self._networks.get(peer, frozenset())
        self._networks[peer] = networks
        for other, theirs in self._networks.items():
            if other != peer:
                for network in new & theirs:
                    self._queue(other, network, peer)
                    self._queue(peer, network, other)

    def moved(self, peer: PeerId) -> None:
        """`peer` is found elsewhere now: whoever shares a network with it is told."""
        mine = self._networks.get(peer, frozenset())
        for other, theirs in self._networks.items():
            if other != peer:
                for network in mine & theirs:
                    self._queue(other, network, peer)

    def left(self, peer: PeerId) -> None:
        """`peer` is no longer connected: it is told nothing, and nobody is told of it."""
        self._networks.pop(peer, None)
        self._waiting.pop(peer, None)
        for other, waiting in list(self._waiting.items()):
            kept = {(network, about): None for network, about in waiting if about != peer}
            if kept:
                self._waiting[other] = kept
            else:
                del self._waiting[other]

    def tick(self, now: float) -> list[Tell]:
        """What to send now: to each peer one message at most."""
        tells = []
        for peer, waiting in list(self._waiting.items()):
            if self._free_at.get(peer, now) > now:
                continue
            network = next(iter(waiting))[0]
            about = [who for which, who in waiting if which == network][:MOST_MEMBERS]
            for who in about:
                del waiting[network, who]
            if not waiting:
                del self._waiting[peer]
            about = [who for who in about if network in self._networks.get(who, ())]
            if about and network in self._networks.get(peer, ()):  # nobody left it while this waited
                self._free_at[peer] = now + self._spacing
                tells.append(Tell(peer, network, tuple(about)))
        self._free_at = {p: at for p, at in self._free_at.items() if at > now}
        return tells

    def next_tick(self) -> float | None:
        return min((self._free_at.get(peer, 0.0) for peer in self._waiting), default=None)

    def _queue(self, to: PeerId, network: bytes, about: PeerId) -> None:
        waiting = self._waiting.setdefault(to, {})
        if len(waiting) < self._most:
            waiting[network, about] = None
