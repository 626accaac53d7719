"""How many supernodes are needed. Pure.

Between a share of free places of 20 % and one of 60 % nothing happens. With two homes for every leaf and 512 places that
is one supernode for about 100 to 200 peers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from servent.overlay.records import SupernodeRecord
from servent.overlay.settings import ElectionSettings, OverlaySettings

FILL = 0.6  # share of places that are taken after new supernodes came: the middle of the band
STARVING = 0.05  # share of free places below which leaves find no home
GRANT_EVERY = 15.0  # s for which a supernode counts those it let stand up, whom it may not see yet


def free_share(records: Iterable[SupernodeRecord]) -> float:
    """The share of places for leaves that are free; 1.0 of none."""
    leaves = room = 0
    for one in records:
        if not one.retiring:
            leaves += min(one.leaves, one.room)
            room += one.room
    return 1.0 - leaves / room if room else 1.0


def floor_of(members: int, settings: ElectionSettings) -> int:
    """The fewest supernodes that a network of so many should have."""
    return max(1, min(members, max(settings.floor, members // settings.floor_share)))


def wanted_of(members: int, settings: ElectionSettings) -> int:
    """As many as it takes when nobody else is there yet, or when there are far too many."""
    return max(floor_of(members, settings), ceil(members / settings.target))


def members_of(serving: Sequence[SupernodeRecord], known: int, told: int, settings: OverlaySettings) -> int:
    """How many peers a network seems to have, from what its supernodes say of their leaves.

    Args:
        serving: supernodes that stay; who retires keeps its leaves until they have left, and they count where they are now.
        known: supernodes that are known, `serving` among them.
        told: how many there are, as one of them said to a leaf that knows a few; 0: as many as are known.
    """
    total = told * len(serving) / known if told > known else float(len(serving))
    large = total * settings.election.target >= settings.home.large
    homes = max(1, min(settings.home.homes_large if large else settings.home.homes, round(total)))
    return round(total + total * sum(one.leaves for one in serving) / len(serving) / homes)


def lacking(records: Iterable[SupernodeRecord], members: int, settings: ElectionSettings) -> int:
    """How many supernodes more are needed, as one sees it who knows them all. 0 within the band."""
    serving = [one for one in records if not one.retiring]
    short = floor_of(members, settings) - len(serving)
    room = sum(one.room for one in serving)
    leaves = sum(min(one.leaves, one.room) for one in serving)
    crowded = 0
    if serving and room and 1.0 - leaves / room < settings.few:
        crowded = ceil(leaves / FILL / (room / len(serving))) - len(serving)
    return max(0, short, crowded)


@dataclass(slots=True)
class Grants:
    """Whom we let stand up: our part of those that are lacking, and no more within a quarter of a minute."""

    since: float = 0.0
    given: int = 0

    def allow(self, lack: int, supernodes: int, luck: float, now: float) -> bool:
        """Whether one more may take the role.

        Args:
            supernodes: who are all asked as we are, so that each grants a share.
            luck: 0.0 to 1.0, at random: decides about a part of one.
        """
        if now - self.since >= GRANT_EVERY:
            self.since, self.given = now, 0
        share = (lack - self.given) / max(1, supernodes) if supernodes > 1 else lack - self.given
        if lack <= 0 or share <= 0 or (self.given >= ceil(lack / max(1, supernodes))) or luck > share:
            return False
        self.given += 1
        return True


@dataclass(slots=True)
class Samples:
    """The last supernodes that were looked at, and in how many looks in a row there were too few free places."""

    seen: dict[bytes, tuple[int, int]]  # supernode -> leaves, room
    low: int = 0

    def add(self, record: SupernodeRecord, most: int) -> None:
        self.seen.pop(record.peer.key, None)
        while len(self.seen) >= most:
            del self.seen[next(iter(self.seen))]
        self.seen[record.peer.key] = (min(record.leaves, record.room), record.room)

    @property
    def free(self) -> float:
        room = sum(places for _, places in self.seen.values())
        return 1.0 - sum(leaves for leaves, _ in self.seen.values()) / room if room else 1.0

    def judge(self, few: float) -> None:
        """One more look is done."""
        self.low = self.low + 1 if self.seen and self.free < few else 0
