"""The rooms that a node is in, and what happens in them: kept on the shelf, told to listeners, said to others."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from servent.errors import NotFound, ServentError, UsageError
from servent.identity import PeerId
from servent.overlay.service import Overlay
from servent.talk import listing
from servent.talk.acts import Acts
from servent.talk.joined import Joined
from servent.talk.keys import Ring
from servent.talk.listing import Listing, Telling
from servent.talk.log import KEPT
from servent.talk.records import Act, Announce, Body, Message, Seal
from servent.talk.room import Changed, Effect, Forget, Keep, KeepActs, Look, Room, Strip, Tell
from servent.talk.room_facts import Moderated
from servent.talk.rooms_callbacks import Callbacks
from servent.talk.shelf import KeptRoom, RoomShelf, Row
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

KEPT_IN_ALL = 100_000  # messages of all rooms together that are known in memory, at 0.7 kB each; each room keeps 1,000 at least


class Keeping:
    """Owns the rooms that a node is in, those it is invited to, and the lists of open ones.

    Attributes:
        rooms, invited, listings: by room, by room, by network.
        look: called when a room wants to compare with another member.
        nudge: set when something is to be done soon.
    """

    def __init__(
        self,
        me: PeerId,
        overlay: Overlay,
        trust: TrustService,
        shelf: RoomShelf,
        seal: Seal,
        dice: random.Random,
        wall: Callable[[], float],
        noise: Callable[[int], bytes],
    ) -> None:
        self.me, self.overlay, self.trust, self.shelf = me, overlay, trust, shelf
        self.seal, self.dice, self.wall, self.noise = seal, dice, wall, noise
        self.clock = asyncio.get_running_loop().time
        self.rooms: dict[bytes, Joined] = {}
        self.invited: dict[bytes, tuple[KeptRoom, Acts]] = {}
        self.listings: dict[bytes, Listing] = {}
        self.tell = Callbacks()
        self.look: Callable[[Joined], None] = lambda joined: None
        self.nudge = asyncio.Event()

    def share(self) -> None:
        """How much each room may keep, as many as there are now."""
        for joined in self.rooms.values():
            joined.core.log.keep(max(1000, min(KEPT, KEPT_IN_ALL // len(self.rooms))))

    # -- what streams need of us (rooms_sync_service.House)

    def joined(self, room: bytes) -> Joined | None:
        return self.rooms.get(room)

    async def load(self, joined: Joined, ids: Iterable[bytes]) -> Mapping[bytes, Message]:
        wanted = list(ids)
        if not wanted:
            return {}
        found = await self.shelf.messages(joined.id, wanted)
        entries = joined.core.log.entries
        by_place = {
            (entries[id].author, entries[id].epoch, entries[id].seq): id for id in wanted if id in entries
        }
        return {
            by_place[one.author, one.epoch, one.seq]: one
            for one in found
            if (one.author, one.epoch, one.seq) in by_place
        }

    def rooms_of(self, network: bytes) -> list[Announce] | None:
        try:
            self.overlay.shape(network)
        except NotFound:
            return None
        now = self.clock()
        mine = [
            listing.announce(one.core.acts, one.facts(now).members)
            for one in self.rooms.values()
            if one.network == network and not one.invite and not one.out
        ]
        others = self.listings[network].tell() if network in self.listings else []
        return [*mine, *others][: 2 * listing.MOST_TOLD]

    async def carry_out(self, joined: Joined, effects: Iterable[Effect]) -> None:
        """What a core wishes, in order. The room's lock is held."""
        rows: list[Row] = []
        room = joined.id
        for effect in effects:
            if rows and not isinstance(effect, Keep):
                await self._append(joined, rows)
                rows = []
            match effect:
                case Keep(id, message, new, own):
                    removed = new and not isinstance(message.body, Body)
                    rows.append(Row(id, message, self.wall(), own, removed, not new))
                case Strip(ids):
                    await self.shelf.strip(room, ids)
                    self.tell.gone(room, ids)
                case Forget(ids):
                    await self.shelf.prune(room, ids)
                case KeepActs(acts, counting):
                    await self.shelf.keep_acts(room, acts)
                    self._acted(joined, counting)
                case Tell():
                    self.say(joined, effect)
                case Look():
                    self.look(joined)
                case Changed():
                    self.tell.changed(room)
        if rows:
            await self._append(joined, rows)

    async def _append(self, joined: Joined, rows: list[Row]) -> None:
        await self.shelf.append(joined.id, rows)
        for row in rows:
            if row.own and not row.cover and row.message.takes is None:
                joined.undelivered.add(row.id)
            if not row.cover:
                self.tell.said(joined.id, row)

    def _acted(self, joined: Joined, counting: Sequence[Act]) -> None:
        for act in counting:
            peer = PeerId(act.peer) if act.peer is not None else None
            self.tell.done(
                Moderated(
                    joined.id, PeerId(act.author), act.deed, peer, act.time / 1000, act.number, act.reason
                )
            )
        put_out = self.put_out(joined, counting)
        if put_out and not joined.out:
            joined.out = put_out
            self.depart(joined)
        self.nudge.set()
        self.tell.changed(joined.id)

    def put_out(self, joined: Joined, counting: Sequence[Act]) -> str:
        """Why we are no longer in the room, in words; "" while we are."""
        state = joined.core.acts.state
        kicked = next((act for act in counting if act.deed == "kick" and act.peer == self.me), None)
        span = state.stopped(self.me, joined.core.wall_ms())
        if span is not None and span.deed == "ban":
            return f"you were banned: {span.reason or 'no reason given'}"
        if span is not None and span.deed == "kick" and (kicked is not None or not state.member(self.me)):
            return f"you were put out: {span.reason or 'no reason given'}"
        return ""

    def say(self, joined: Joined, effect: Tell) -> None:
        topic = joined.meets()
        if not topic or joined.topics.get(topic, 0.0) is not None:
            return  # not entered yet: others get it when they compare
        try:
            self.overlay.say(joined.network, topic, joined.wrapped(effect.said, self.noise(12)))
        except (ServentError, UsageError) as wrong:
            log.debug("not said in %s: %s", joined.id.hex(), wrong)

    async def take_keys(self, joined: Joined, found: Iterable[tuple[int, bytes]]) -> bool:
        locks = joined.core.acts.state.keys
        new = [one for one in found if joined.ring.add(*one, locks)]
        if new:
            joined.kept = KeptRoom(
                joined.id,
                joined.kept.founding,
                True,
                joined.kept.epoch,
                joined.kept.inviter,
                joined.ring.all(),
            )
            await self.shelf.keep_room(joined.kept)
            self.nudge.set()
            self.tell.changed(joined.id)
        return bool(new)

    def make(self, kept: KeptRoom, acts: Iterable[Act], messages: Iterable[Message]) -> Joined:
        now, network = self.clock(), kept.founding.network
        core = Room(
            self.me, kept.founding, self.seal, self.dice, self.wall, now,
            epoch=kept.epoch, belongs=lambda key: self.trust.belongs(network, key), acts=acts, messages=messages,
        )  # fmt: skip
        return Joined(kept, core, Ring(kept.founding.nonce, kept.keys), Telling(self.dice, now))

    def back(self, joined: Joined) -> None:
        """It was let in again."""
        if joined.out and joined.core.acts.state.member(self.me):
            joined.out = ""
            joined.core.entered(self.clock())
            self.nudge.set()

    def depart(self, joined: Joined) -> None:
        for topic in joined.topics:
            self.overlay.leave(joined.network, topic) if self.up(joined.network) else None
        joined.topics.clear()

    def up(self, network: bytes) -> bool:
        return network in self.overlay.members.pumps

    def list_of(self, network: bytes) -> Listing:
        return self.listings.setdefault(network, Listing(network, self.seal))
