"""How large our networks are, as far as their members are heard of; decides who is stayed connected to. A core.

A network of a few dozen is a full mesh: everybody hears everything at once. In a larger one that would cost every member a
connection to every other, so there the overlay names whom it needs.
"""

from __future__ import annotations

from collections.abc import Iterable

from servent.identity import PeerId


class Crowd:
    """Times are seconds on the caller's monotonic clock.

    Args:
        mesh: networks up to this size, us included, are a full mesh.
        seen_for: how long a member counts that was heard of.
    """

    def __init__(self, mesh: int, seen_for: float) -> None:
        self._mesh, self._seen_for = mesh, seen_for
        self._heard: dict[bytes, dict[PeerId, float]] = {}
        self._told: dict[bytes, dict[str, int]] = {}
        self._held: dict[PeerId, set[str]] = {}

    def hold(self, peer: PeerId, wanted: bool, by: str) -> None:
        """Whether `by`, such as the overlay, needs a connection with `peer`. It is held as long as anybody does."""
        reasons = self._held.setdefault(peer, set())
        if wanted:
            reasons.add(by)
        else:
            reasons.discard(by)
        if not reasons:
            del self._held[peer]

    def holds(self, peer: PeerId) -> bool:
        return peer in self._held

    def heard(self, peer: PeerId, networks: Iterable[bytes], now: float) -> None:
        """`peer` is in these networks, it showed us or somebody says."""
        for network in networks:
            known = self._heard.setdefault(network, {})
            known.pop(peer, None)
            while len(known) >= 4 * self._mesh:
                del known[next(iter(known))]
            known[peer] = now

    def counted(self, network: bytes, members: int, by: str) -> None:
        """How many members `by` counts, us included; the newest word of each source holds, and the largest counts."""
        self._told.setdefault(network, {})[by] = members

    def left(self, networks: Iterable[bytes]) -> set[PeerId]:
        """We are in these networks no more. Whom we heard of in them alone."""
        gone: set[PeerId] = set()
        for network in networks:
            gone |= self._heard.pop(network, {}).keys()
            self._told.pop(network, None)
        return gone.difference(*self._heard.values())

    def large(self, network: bytes, now: float) -> bool:
        """Whether this network is more than a full mesh can carry."""
        known = self._heard.get(network, {})
        while known and next(iter(known.values())) < now - self._seen_for:
            del known[next(iter(known))]
        return max(len(known) + 1, *self._told.get(network, {}).values(), 0) > self._mesh

    def wants(self, peer: PeerId, now: float) -> bool:
        """Whether to stay connected to a peer that is no friend: it is held, or somewhere in a full mesh with us."""
        if peer in self._held:
            return True
        shared = [network for network, known in self._heard.items() if peer in known]
        return not shared or any(not self.large(network, now) for network in shared)
