"""Open rooms that members of a network told of: what is listed, and when somebody has to tell of one again. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from servent.codec import encode
from servent.errors import BadMessage
from servent.overlay.rates import Rates
from servent.talk.acts import Acts
from servent.talk.records import CLOCK_AHEAD, NEWS_BYTES, Act, Announce, Seal, check

if TYPE_CHECKING:
    import random

MOST_ROOMS = 256  # of one network that are listed; the one not heard of for longest goes
LASTS = 7200.0  # s that a room is listed after it was last told of
EVERY = 1200.0  # s between two words on one room, whoever says them; +-25 %
FIRST = (20.0, 60.0)  # s until the first word on a room that was entered
NEW = (0.5, 1.5)  # s until the first word on one that was founded just now: nobody else can tell of it
PER_MEMBER = (1 / 60, 8.0)  # words a second of one member, and at once
MOST_PROOF = 6  # acts that are kept of a room that we are not in, as of `Announce`
MOST_TOLD = 40  # rooms in one answer to a newcomer


@dataclass(slots=True)
class Listed:
    """A room that was told of. `until`: monotonic seconds."""

    told: Announce
    acts: Acts
    until: float


class Listing:
    """The open rooms of one network."""

    def __init__(self, network: bytes, seal: Seal) -> None:
        self._network, self._seal = network, seal
        self._rates = Rates(*PER_MEMBER)
        self.rooms: OrderedDict[bytes, Listed] = OrderedDict()

    def heard(self, teller: bytes, told: Announce, now: float, wall: int) -> bytes | None:
        """A member tells of a room. Its id when that changes what is listed.

        Raises:
            BadMessage, Forged: no open room of this network, or not signed by its owners.
        """
        if not self._rates.allow(teller, 1.0, now):
            return None
        return self.take(told, now, wall)

    def take(self, told: Announce, now: float, wall: int) -> bytes | None:
        """As `heard`, of one that we asked."""
        founding = told.founding
        if founding.network != self._network or founding.policy != "open":
            raise BadMessage("a room that is not to be told of here")
        if founding.time > wall + CLOCK_AHEAD:
            return None
        acts = Acts(founding, gaps=True)
        before = self.rooms.get(acts.room)
        if before is None or before.told.founding != founding:
            check(founding, self._seal)
        known = list(before.acts.by_id.values()) if before is not None else []
        acts = Acts(founding, known, gaps=True)
        if acts.take(told.acts, self._seal, wall).new:  # only what shows owner and name, or they add up
            acts = Acts(founding, _proof(acts), gaps=True)
        told = announce(acts, told.members)  # who tells less than is known does not make us tell less
        self.rooms[acts.room] = Listed(told, acts, now + LASTS)
        self.rooms.move_to_end(acts.room)
        while len(self.rooms) > MOST_ROOMS:
            self.rooms.popitem(last=False)
        changed = before is None or before.acts.ids != acts.ids or before.told.members != told.members
        return acts.room if changed else None

    def expire(self, now: float) -> list[bytes]:
        gone = [room for room, listed in self.rooms.items() if listed.until <= now]
        for room in gone:
            del self.rooms[room]
        return gone

    def tell(self) -> list[Announce]:
        """Those told of last, for somebody who asks."""
        return [listed.told for listed in reversed(self.rooms.values())][:MOST_TOLD]


class Telling:
    """When this node tells of one room that it is in: `EVERY` s after anybody did. `due`: monotonic seconds."""

    def __init__(self, dice: random.Random, now: float) -> None:
        self._dice = dice
        self.due = now + dice.uniform(*FIRST)

    def soon(self, now: float) -> None:
        """It was founded just now, here."""
        self.due = min(self.due, now + self._dice.uniform(*NEW))

    def told(self, now: float) -> None:
        """Somebody did."""
        self.due = now + EVERY * self._dice.uniform(0.75, 1.25)


def announce(acts: Acts, members: int) -> Announce:
    """What to tell of a room: as many acts as fit, so that its owners are known before its name is."""
    proof = _proof(acts)
    told = Announce(acts.founding, proof, min(members, 1 << 24))
    while proof and len(encode(told)) > NEWS_BYTES:
        proof = proof[:-1]
        told = Announce(acts.founding, proof, min(members, 1 << 24))
    return told


def _proof(acts: Acts) -> list[Act]:
    return acts.of_owners()[:MOST_PROOF]
