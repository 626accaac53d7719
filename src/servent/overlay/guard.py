"""What keeps one person with many keys from filling our views: address blocks, sources, rates. Pure.

A peer's block is the one of the first public address that its record names. No limit holds for a block that we are in
ourselves: in an office, a lab or a network of nothing but relayed peers all others are there too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.placement import block_of, wide_block
from servent.overlay.records import PeerRecord
from servent.overlay.score import Scores

MOST_RATES = 1024  # counters of peers and blocks


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer is, as far as limits go. Both "" without a public address: known through a relay, or in a local network."""

    block: str = ""
    wide: str = ""


NOWHERE = Place()


@dataclass(slots=True)
class Entry:
    """A peer in a view.

    Attributes:
        source: who told us of it; empty: a provider, the person here, or the peer itself.
        since: when it became a neighbour, or came into the passive view.
        mine: a neighbour that we chose and dialled ourselves.
        tried: when it was last asked to be a neighbour.
        failures: dials that failed since it was last reached.
    """

    record: PeerRecord
    place: Place
    source: bytes
    since: float
    mine: bool = False
    tried: float = -1e9
    failures: int = 0

    @property
    def key(self) -> PeerId:
        return PeerId(self.record.key)


@lru_cache(65_536)
def _place(address: str) -> Place | None:
    block = block_of(address)
    return None if block in ("", "private") else Place(block, wide_block(block))


def place_of(record: PeerRecord) -> Place:
    for address in record.addresses:
        place = _place(address)
        if place is not None:
            return place
    return NOWHERE


class Guard:
    """One per member, for all its views.

    Attributes:
        links: peers that a connection is there with.
    """

    __slots__ = ("_context", "_own", "_rates", "_record", "links", "scores")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._record: PeerRecord | None = None
        self._own: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
        self._rates: dict[tuple[str, bytes | str], float] = {}
        self.links: set[bytes] = set()
        self.scores = Scores()

    def crowding(
        self, entries: Iterable[tuple[PeerId, Entry]], place: Place, diverse: bool, passive: bool = False
    ) -> list[PeerId]:
        """Those of `entries` with whom one more at `place` would be too many; empty when there is room.

        `diverse`: peers of enough wide blocks are known to have one neighbour of each only.
        """
        blocks, wides = self._ours()
        settings = self._context.settings.view
        if not place.block:
            if "" in blocks or passive:
                return []
            return self._over([peer for peer, one in entries if not one.place.block], settings.relayed)
        if place.block in blocks:
            return []
        block, wide = place.block, place.wide  # who shares the block shares the wide one
        near = [(peer, one.place.block) for peer, one in entries if one.place.wide == wide]
        if not near:
            return []
        same = [peer for peer, other in near if other == block]
        crowd = self._over(same, settings.per_block_passive if passive else settings.per_block)
        if crowd or wide in wides or (passive and not diverse):
            return crowd
        most = settings.per_wide_passive if passive else 1 if diverse else settings.per_wide
        return self._over([peer for peer, _ in near], most)

    def in_the_way(
        self, active: Mapping[PeerId, Entry], place: Place, mine: bool, most: int, diverse: bool, now: float
    ) -> list[PeerId]:
        """Neighbours to part from before one more at `place` is taken; empty when there is room.

        Of two at random the one worth less: always the least would be the newest, and newcomers would only know each other.
        `mine`: it is our own choice. At most half of the neighbours, rounded up, are not, and those we chose stay while there
        are others.
        """
        rest = dict(active)
        leave: list[PeerId] = []
        while True:
            pool = self.crowding(rest.items(), place, diverse)
            if not pool:
                others = [peer for peer, one in rest.items() if not one.mine]
                if not mine and len(others) >= most - most // 2:
                    pool = others
                elif len(rest) >= most:
                    pool = others or list(rest)
            if not pool:
                return leave
            two = self._context.dice.sample(pool, min(2, len(pool)))
            victim = min(two, key=lambda peer: self.scores.of(peer, now, rest[peer].since))
            del rest[victim]
            leave.append(victim)

    def too_many(self, active: Mapping[PeerId, Entry], diverse: bool) -> PeerId | None:
        """A neighbour that is one too many of its block: it came while few others were known."""
        for peer, entry in active.items():
            rest = ((other, one) for other, one in active.items() if other != peer)
            if self.crowding(rest, entry.place, diverse):
                return peer
        return None

    def teller(self, peer: PeerId, now: float) -> bytes | str:
        """Under what the rate of what `peer` tells us counts: its wide block, where that counts."""
        record = self._context.peers.get(peer, now)
        place = place_of(record) if record is not None else NOWHERE
        return place.wide if place.block and self.counts(place) else peer

    def counts(self, place: Place) -> bool:
        """Whether limits hold for that place at all."""
        blocks, _ = self._ours()
        return place.block not in blocks

    def may(
        self, what: str, who: bytes | str, per_minute: float, now: float, burst: float | None = None
    ) -> bool:
        """Whether `who` may do `what` once more; `burst` is a minute's worth unless told.

        As ATM's generic cell rate algorithm (ITU-T I.371): one number, the time when all that was taken is paid back.
        """
        step = 60.0 / per_minute
        paid = max(self._rates.get((what, who), now), now) + step
        if paid - now > (per_minute if burst is None else burst) * step + 1e-6:
            return False
        if len(self._rates) >= MOST_RATES and (what, who) not in self._rates:
            del self._rates[next(iter(self._rates))]
        self._rates[what, who] = paid
        return True

    def refuses(self, record: PeerRecord, now: float) -> bool:
        return self.scores.refuses(record.key, now, place_of(record).block)

    def expire(self, now: float) -> None:
        """Forget what is over; now and then."""
        self.scores.expire(now)
        self._rates = {key: paid for key, paid in self._rates.items() if paid > now}

    @staticmethod
    def _over(same: list[PeerId], most: int) -> list[PeerId]:
        return same if len(same) >= most else []

    def _ours(self) -> tuple[frozenset[str], frozenset[str]]:
        """Blocks and wide blocks that we are in; "" when we have no public address."""
        record = self._context.record
        if record is not self._record:
            self._record = record
            places = [place for address in record.addresses if (place := _place(address)) is not None] or [
                NOWHERE
            ]
            self._own = (frozenset(one.block for one in places), frozenset(one.wide for one in places))
        return self._own
