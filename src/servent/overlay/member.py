"""One peer in one network: the parts put together. A core: driven by a node's shell and by simulations alike.

It does nothing itself but hand messages and times to its parts, and count what peers do wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from servent.errors import BadMessage
from servent.identity import PeerId
from servent.overlay.answering import Answering
from servent.overlay.asking import Asking
from servent.overlay.canaries import Canaries
from servent.overlay.context import STRANGER, Context
from servent.overlay.directory import Directory
from servent.overlay.effects import Effect
from servent.overlay.election import Abilities, Election
from servent.overlay.homes import Homes
from servent.overlay.housing import Housing
from servent.overlay.keying import Keying
from servent.overlay.part import Handler, Part
from servent.overlay.publishers import Publishers
from servent.overlay.records import PeerRecord
from servent.overlay.storing import Storing
from servent.overlay.topics import Topics
from servent.overlay.topology import Topology, Wish
from servent.overlay.watching import Watching
from servent.overlay.whereabouts import Whereabouts
from servent.overlay.wire import Message


class Member:
    """Inputs are methods, outputs are effects, time is monotonic seconds.

    Attributes:
        faults: what each peer did wrong, as weights since the start; whoever drives it bans.
    """

    def __init__(self, context: Context, topology: Topology, wish: Wish = "auto") -> None:
        self.context = context
        self.topology, self.wish = topology, wish
        self.topics = Topics(context)
        self.directory = Directory(context, topology)
        self.election = Election(context, self.directory, topology, wish)
        publishers = Publishers(context.dice, context.settings.home.spot_check)
        self.storing = Storing(context, self.directory, publishers)
        self.keying = Keying(context, self.directory, self.storing)
        self.homes = Homes(context, self.directory, self.keying)
        self.housing = Housing(
            context, self.directory, self.election, self.homes, self.storing, self.keying, publishers
        )
        self.directory.leaves = self.housing.leaves
        self.whereabouts = Whereabouts(context, self.directory, self.homes, self.housing)
        self.asking = Asking(context, self.directory, self.homes, self.housing, self.whereabouts)
        self.answering = Answering(context, self.directory, self.election, self.housing, self.asking)
        self.watching = Watching(
            context, self.directory, self.election, self.homes, self.housing, self.asking
        )
        self.canaries = Canaries(context, self.directory, self.homes, self.housing, self.asking)
        self.parts: tuple[Part, ...] = (
            self.topics,
            self.directory,
            self.election,
            self.storing,
            self.keying,
            self.homes,
            self.housing,
            self.whereabouts,
            self.asking,
            self.answering,
            self.watching,
            self.canaries,
        )
        self._handlers: dict[type, Handler] = {}
        for part in self.parts:
            for kind, handler in part.handlers().items():
                if kind in self._handlers:
                    raise ValueError(f"two parts take {kind.__name__}")
                self._handlers[kind] = handler
        # Only those that have something to say are asked: it is done after every message.
        self._timed = tuple(part for part in self.parts if type(part).next_tick is not Part.next_tick)
        self._dues = tuple(part.next_tick for part in self._timed)
        self._ups = tuple(part.up for part in self.parts if type(part).up is not Part.up)
        self._downs = tuple(part.down for part in self.parts if type(part).down is not Part.down)
        self._fails = tuple(part.failed for part in self.parts if type(part).failed is not Part.failed)
        self.faults = context.faults
        self._index = False

    # -- what happens

    def receive(self, peer: PeerId, message: Message, now: float) -> list[Effect]:
        """A message of a member of this network that TLS proved to be `peer`."""
        handler = self._handlers.get(type(message))
        if handler is None:
            return []
        try:
            return self._settled(handler(peer, message, now), now)
        except BadMessage as wrong:
            self.faults.append((peer, str(wrong)))
            if str(wrong) != STRANGER:  # whoever passed it on may not have heard yet who left
                self.topics.wrong(peer, now)
            return []

    def up(self, peer: PeerId, now: float) -> list[Effect]:
        return [effect for up in self._ups for effect in up(peer, now)]

    def down(self, peer: PeerId, now: float) -> list[Effect]:
        return [effect for down in self._downs for effect in down(peer, now)]

    def failed(self, peer: PeerId, now: float) -> list[Effect]:
        return [effect for failed in self._fails for effect in failed(peer, now)]

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for part in self._timed:
            due = part.next_tick()
            if due is not None and due <= now:
                effects += part.tick(now)
        return self._settled(effects, now)

    def next_tick(self) -> float | None:
        soonest: float | None = None
        for due_at in self._dues:
            due = due_at()
            if due is not None and (soonest is None or due < soonest):
                soonest = due
        return soonest

    def answered(self, token: int, *answer: object, now: float) -> list[Effect]:
        """What the driver found for an effect with a token: `Find` (found, more), `Counts` (counts, total),

        `Load` (slice, postings), `Prove` (ok,), `DialBack` (address,).
        """
        return self.context.answered(token, *answer, now)

    # -- what its node tells it

    def join(self, contacts: Iterable[PeerRecord], now: float) -> list[Effect]:
        """Peers to begin at, checked."""
        return self.topics.join(contacts, now)

    def moved(self, record: PeerRecord, now: float) -> list[Effect]:
        """Our own record, newly signed: we are reached elsewhere, or do something else for others."""
        self.context.record = record
        return [*self.directory.state(now), *self.homes.moved(now)]

    def measured(self, abilities: Abilities, now: float) -> list[Effect]:
        """What this machine can do; now and then."""
        return self._settled(self.election.measured(abilities, now), now)

    def shape(self, topology: Topology, wish: Wish, now: float) -> list[Effect]:
        """The settings of the network, or the wish of the person here, are others now. Nothing is lost by it."""
        self.topology, self.wish = topology, wish
        effects = [*self.directory.shape(topology, now), *self.election.shape(topology, wish, now)]
        return self._settled(effects, now)

    def close(self, now: float) -> Sequence[Effect]:
        """Say goodbye. Nothing is called after it."""
        parts = self.housing, self.election, self.homes, self.topics
        return [effect for part in parts for effect in part.close(now)]

    def _settled(self, effects: list[Effect], now: float) -> list[Effect]:
        """A supernode has more neighbours than a leaf."""
        if self.election.index is not self._index:
            self._index = self.election.index
            return [*effects, *self.topics.grow(self._index, now)]
        return effects
