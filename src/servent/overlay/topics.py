"""Neighbours and news, per topic: the network's own, which is named "", and rooms. Pure.

Each topic has views and a tree of its own. A topic we are not in is declined. A room whose members we do not know is asked
for in the network's own topic: those in it who have room for a neighbour answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from servent.codec import encode
from servent.errors import BadMessage, UsageError
from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.effects import Bootstrap, Effect, Heard, Hold, Release, Send, Tell
from servent.overlay.guard import Guard
from servent.overlay.part import Handler, Part
from servent.overlay.plumtree import Plumtree
from servent.overlay.records import PeerRecord, peer_records
from servent.overlay.score import DROP, FORGED
from servent.overlay.view import View
from servent.overlay.wire import (
    Accept,
    Ask,
    Decline,
    Gossip,
    Graft,
    Have,
    Join,
    Leave,
    Prune,
    Shuffle,
    Shuffled,
    Walk,
)

SWEEP_EVERY = 60.0  # s
CALL = b"servent/room/1\0"  # opens news that asks for the members of a room: then its topic, then our record


class Room:
    """One topic: its views, and its tree over them."""

    __slots__ = ("name", "tree", "view")

    def __init__(self, context: Context, guard: Guard, name: str) -> None:
        self.name = name
        topic = context.topic(name)
        self.view = View(context, guard, topic, name == "", lambda peer, up: self.tree.neighbour(peer, up))
        self.tree = Plumtree(context, guard, topic, self.view.active)

    def next_tick(self) -> float | None:
        view, tree = self.view.next_tick(), self.tree.next_tick()
        if view is None or tree is None:
            return tree if view is None else view
        return min(view, tree)


class Topics(Part):
    """Attributes: `guard`: what holds for all topics together."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.guard = Guard(context)
        self._own = Room(context, self.guard, "")
        self._rooms: dict[bytes, Room] = {self._own.view.topic: self._own}
        self._sweep_at: float | None = None
        self._wrong: list[PeerId] = []  # to be parted from at `_wrong_at`
        self._wrong_at: float | None = None
        self._supernode = False

    # -- what its node wants

    def join(self, contacts: Iterable[PeerRecord], now: float) -> list[Effect]:
        """Peers to begin at, or to know more; whose records are checked here. Forged ones are passed over."""
        return self._after(self._own, self._own.view.join(self._good(contacts, now), now), now)

    def neighbours(self, topic: str = "") -> list[PeerId]:
        """Of a topic; none of one that we are not in."""
        room = self._rooms.get(self._context.topic(topic))
        return list(room.view.active) if room is not None else []

    def enter(self, topic: str, contacts: Iterable[PeerRecord], now: float) -> list[Effect]:
        """Be in a room, too. `contacts`: peers that may be in it; the room is asked for in the network as well.

        Raises:
            UsageError: in too many already.
        """
        name = self._context.topic(topic)
        room = self._rooms.get(name)
        if room is None:
            if len(self._rooms) >= self._context.settings.view.topics:
                raise UsageError(
                    f"a node is in at most {self._context.settings.view.topics - 1} rooms of a network"
                )
            room = self._rooms[name] = Room(self._context, self.guard, topic)
        return self._after(room, room.view.join(self._good(contacts, now), now), now)

    def leave(self, topic: str, now: float) -> list[Effect]:
        """Out of a room; nobody leaves the network's own topic but by `close`."""
        room = self._rooms.get(self._context.topic(topic))
        if room is None or room is self._own:
            return []
        effects = self._after(room, room.view.close(now), now)
        del self._rooms[room.view.topic]
        return effects

    def say(self, topic: str, body: bytes, now: float, lifetime: int = 300) -> list[Effect]:
        """News to all in a topic.

        Raises:
            UsageError: we are not in it; too long; too much at once.
        """
        room = self._rooms.get(self._context.topic(topic))
        if room is None:
            raise UsageError(f"this node is not in the room {topic!r}")
        return self._after(room, room.tree.say(body, lifetime, now), now)

    def grow(self, supernode: bool, now: float) -> list[Effect]:
        """As many neighbours as suit a supernode, or a leaf."""
        if supernode == self._supernode:
            return []
        self._supernode = supernode
        view = self._context.settings.view
        sizes = (view.active_super, view.passive_super) if supernode else (view.active, view.passive)
        return self._after(self._own, self._own.view.grow(*sizes, now), now)

    def anchors(self) -> list[PeerRecord]:
        """The neighbours that have been good for longest, best first: where to begin after a restart."""
        view = self._own.view
        good = [one for peer, one in view.active.items() if self.guard.scores.of(peer, one.since) >= 0]
        good.sort(key=lambda one: (not one.mine, one.since))
        return [one.record for one in good[: self._context.settings.view.anchors]]

    def known(self) -> list[PeerRecord]:
        """Records of the passive view, to be kept beside the anchors."""
        return [one.record for one in self._own.view.reserve.entries.values()]

    def wrong(self, peer: PeerId, now: float) -> None:
        """It sent what is forged or no message at all; the next `tick` parts from it when that was once too often."""
        entry = self._own.view.active.get(peer)
        if self.guard.scores.add(peer, FORGED, now, entry.place.block if entry is not None else ""):
            self._wrong.append(peer)
            self._wrong_at = now

    def refuses(self, peer: bytes, now: float) -> bool:
        """Whether its behaviour is such that nothing is wanted of it."""
        return self.guard.scores.refuses(peer, now)

    def close(self, now: float) -> list[Effect]:
        return [
            effect for room in self._rooms.values() for effect in self._after(room, room.view.close(now), now)
        ]

    # -- messages

    def handlers(self) -> Mapping[type, Handler]:
        kinds = (Join, Walk, Ask, Accept, Decline, Leave, Shuffle, Shuffled, Gossip, Have, Graft, Prune)
        return dict.fromkeys(kinds, self._take)

    def _take(self, peer: PeerId, message: Any, now: float) -> list[Effect]:
        room = self._rooms.get(message.topic)
        if room is None:
            return [Send(peer, Decline(message.topic))] if isinstance(message, Join | Ask) else []
        if self.guard.scores.refuses(peer, now):
            return [Send(peer, Decline(message.topic))] if isinstance(message, Join | Ask) else []
        view, tree = room.view, room.tree
        match message:
            case Gossip() | Have() | Graft() | Prune() if peer not in view.active:
                effects: list[Effect] = [] if peer in view.pending else [Send(peer, Leave(message.topic))]
            case Gossip():
                effects = self._calls(room, tree.on_gossip(peer, message, now), now)
            case Have():
                effects = tree.on_have(peer, message, now)
            case Graft():
                effects = tree.on_graft(peer, message, now)
            case Prune():
                tree.on_prune(peer)
                return []
            case Shuffle():
                effects = view.on_shuffle(peer, message, now)
            case Shuffled():
                effects = view.on_shuffled(peer, message, now)
            case Walk():
                effects = view.on_walk(peer, message, now)
            case Join():
                effects = view.on_join(peer, message, now)
            case Ask():
                effects = view.on_ask(peer, message, now)
            case Accept():
                effects = view.on_accept(peer, message, now)
            case Decline():
                effects = view.on_decline(peer, message, now)
            case _:
                effects = view.on_leave(peer, message, now)
        return self._after(room, effects, now)

    # -- links and time

    def up(self, peer: PeerId, now: float) -> list[Effect]:
        self.guard.links.add(peer)
        for room in self._rooms.values():
            room.view.up(peer, now)
        return []

    def down(self, peer: PeerId, now: float) -> list[Effect]:
        self.guard.links.discard(peer)
        return self.failed(peer, now)

    def failed(self, peer: PeerId, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for room in list(self._rooms.values()):
            effects += self._after(room, room.view.down(peer, now), now)
        return effects

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        wrong, self._wrong, self._wrong_at = self._wrong, [], None
        for room in list(self._rooms.values()):
            for peer in wrong:
                effects += self._after(room, room.view.expel(peer, now), now)
            due = room.tree.next_tick()
            if due is not None and due <= now:
                effects += self._after(room, room.tree.tick(now), now)
                self._shun(room, now)
            due = room.view.next_tick()
            if due is not None and due <= now:
                effects += self._after(room, room.view.tick(now), now)
        if self._sweep_at is None or self._sweep_at <= now:
            self._sweep_at = now + SWEEP_EVERY
            self.guard.expire(now)
            self._context.peers.expire(now)
            for room in self._rooms.values():
                room.tree.sweep(now)
                self._shun(room, now)
        return effects

    def next_tick(self) -> float | None:
        if self._wrong_at is not None:
            return self._wrong_at
        if len(self._rooms) == 1:
            return self._own.next_tick()
        return min(
            (due for room in self._rooms.values() if (due := room.next_tick()) is not None), default=None
        )

    # -- inside

    def _good(self, contacts: Iterable[PeerRecord], now: float) -> list[PeerRecord]:
        good = []
        for record in contacts:
            try:
                self._context.know(record, now)
            except BadMessage:
                continue
            good.append(record)
        return good

    def _shun(self, room: Room, now: float) -> None:
        """Neighbours that proved useless or worse go at the next tick."""
        for peer, entry in room.view.active.items():
            if self.guard.scores.of(peer, now, entry.since) < DROP and peer not in self._wrong:
                self._wrong.append(peer)
                self._wrong_at = now

    def _after(self, room: Room, effects: list[Effect], now: float) -> list[Effect]:
        """What one topic wants, seen from all of them."""
        if len(self._rooms) == 1:
            return effects
        passed: list[Effect] = []
        for effect in effects:
            match effect:
                case Hold(peer) | Release(peer) if self._elsewhere(room, peer):
                    continue  # another topic holds it
                case Bootstrap() if room is not self._own:
                    passed += self._call(room, now)
                case _:
                    passed.append(effect)
        return passed

    def _elsewhere(self, room: Room, peer: PeerId) -> bool:
        return any(peer in other.view.active for other in self._rooms.values() if other is not room)

    def _call(self, room: Room, now: float) -> list[Effect]:
        """Ask the network who is in that room."""
        try:
            return self._own.tree.say(CALL + room.view.topic + encode(self._context.record), 60, now)
        except UsageError:
            return []

    def _calls(self, room: Room, effects: list[Effect], now: float) -> list[Effect]:
        """Who looks for the members of a room speaks to us, not to our node."""
        if room is not self._own or not effects:
            return effects
        match effects[0]:
            case Tell(Heard(author=author, body=body)) if body.startswith(CALL):
                return [*effects[1:], *self._called(author, body, now)]
        return effects

    def _called(self, author: PeerId, body: bytes, now: float) -> list[Effect]:
        """Somebody looks for the members of a room."""
        room = self._rooms.get(body[len(CALL) : len(CALL) + 16])
        if room is None:
            return []
        try:
            record = peer_records.decode(body[len(CALL) + 16 :])
            if record.key != author:
                return []
            return self._after(room, room.view.meet(record, now), now)
        except BadMessage:
            return []
