"""Where a peer is: its newest record, from our own table, our homes, or the supernodes nearest to its key.

All of them are asked at once, and the newest record counts: a friend whose address has changed is found within a round trip
or two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from servent.errors import BadMessage
from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.effects import Effect, Learn, Send, Tell, Where
from servent.overlay.homes import Homes
from servent.overlay.housing import Housing
from servent.overlay.part import Handler, Part
from servent.overlay.placement import STORED, peer_key
from servent.overlay.rates import Rates
from servent.overlay.records import PeerRecord
from servent.overlay.wire import AskPeer, PeerIs

WAIT = 0.7  # s for all who are asked; under a second with the way to the home and back
FOR_OTHERS = 0.45  # s that a home looks for a leaf
MOST = 512  # looked for at once
RATE, BURST = 5.0, 40.0  # of one peer: a node that comes back asks for all its contacts

Then = Callable[[PeerRecord | None, float], list[Effect]]


@dataclass(slots=True)
class _Sought:
    """A peer that is looked for. `then`: who wants to know."""

    peer: PeerId
    ends: float
    best: PeerRecord | None
    then: list[Then]
    waited: set[PeerId] = field(default_factory=set)


class Whereabouts(Part):
    """`AskPeer` and `PeerIs`, both ways."""

    def __init__(self, context: Context, directory: Directory, homes: Homes, housing: Housing) -> None:
        self._context, self._directory, self._homes, self._housing = context, directory, homes, housing
        self._sought: dict[int, _Sought] = {}
        self._number: dict[PeerId, int] = {}
        self._rates = Rates(RATE, BURST)
        self._numbers = count(1)

    def handlers(self) -> Mapping[type, Handler]:
        return {AskPeer: self._asked, PeerIs: self._told}

    def where(self, peer: PeerId, now: float) -> list[Effect]:
        """Look for it; one `Where` follows, and `Learn` for what is newer than what we had."""

        def then(record: PeerRecord | None, now: float) -> list[Effect]:
            return [Tell(Where(peer, record))]

        if peer == self._context.me:
            return then(self._context.record, now)
        return self._seek(peer, then, now + WAIT, now)

    # -- messages

    def _asked(self, peer: PeerId, message: AskPeer, now: float) -> list[Effect]:
        if not self._rates.allow(peer, 1.0, now):
            return [Send(peer, PeerIs(message.number, message.peer))]
        wanted = PeerId(message.peer)
        record = self._here(wanted, now)
        if message.final or wanted in self._housing.leaves() or self._directory.own is None:
            return [Send(peer, PeerIs(message.number, message.peer, record))]

        def then(record: PeerRecord | None, now: float) -> list[Effect]:
            return [Send(peer, PeerIs(message.number, message.peer, record))]

        return self._seek(wanted, then, now + FOR_OTHERS, now)

    def _told(self, peer: PeerId, message: PeerIs, now: float) -> list[Effect]:
        sought = self._sought.get(message.number)
        if sought is None or sought.peer != message.peer or peer not in sought.waited:
            return []
        sought.waited.discard(peer)
        effects: list[Effect] = []
        record = message.record
        if record is not None:
            if record.key != message.peer:
                raise BadMessage("a record of another peer than was asked for")
            if self._context.know(record, now):
                effects.append(Learn(record))
            if sought.best is None or record.seq > sought.best.seq:
                sought.best = self._here(sought.peer, now)
        return effects if sought.waited else effects + self._end(message.number, now)

    def failed(self, peer: PeerId, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for number, sought in list(self._sought.items()):
            if peer in sought.waited:
                sought.waited.discard(peer)
                if not sought.waited:
                    effects += self._end(number, now)
        return effects

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for number, sought in list(self._sought.items()):
            if sought.ends <= now:
                effects += self._end(number, now)
        return effects

    def next_tick(self) -> float | None:
        if not self._sought:
            return None
        return min((sought.ends for sought in self._sought.values()), default=None)

    # -- inside

    def _here(self, peer: PeerId, now: float) -> PeerRecord | None:
        """The newest that is known here."""
        if not self._context.belongs(peer):
            return None
        known, kept = self._context.peers.get(peer, now), self._housing.record_of(peer, now)
        if known is None or (kept is not None and kept.seq > known.seq):
            return kept
        return known

    def _seek(self, peer: PeerId, then: Then, ends: float, now: float) -> list[Effect]:
        number = self._number.get(peer)
        if number is not None:
            sought = self._sought[number]
            if len(sought.then) < MOST:
                sought.then.append(then)
            return []
        best = self._here(peer, now)
        if len(self._sought) >= MOST:
            return then(best, now)
        me, keyed = self._context.me, self._directory.own is not None
        if keyed:
            asked = self._directory.nearest(peer_key(self._context.network, peer), STORED, now)
        else:
            asked = list(self._homes.homes()) or self._directory.random(2, now, [me])
        asked = [one for one in asked if one not in (me, peer)]
        if not asked:
            return then(best, now)
        number = next(self._numbers)
        self._sought[number] = _Sought(peer, ends, best, [then], set(asked))
        self._number[peer] = number
        return [Send(one, AskPeer(number, peer, final=keyed)) for one in asked]

    def _end(self, number: int, now: float) -> list[Effect]:
        sought = self._sought.pop(number)
        del self._number[sought.peer]
        return [effect for then in sought.then for effect in then(sought.best, now)]
