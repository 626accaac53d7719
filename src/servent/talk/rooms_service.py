"""Rooms: those of this node, what is said in them, and what was missed. The face of it all for the rest of talk.

One room does one thing at a time, together with what that writes to the shelf. News wait in a bounded queue per room; what does
not fit is caught up with later. Whom to ask is one of the neighbours in the room's topic, else somebody who was seen there.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Sequence

from servent.errors import NotFound, UsageError
from servent.identity import Identity, PeerId
from servent.net.peers import Peers
from servent.overlay.records_service import NodeSeal
from servent.overlay.service import Overlay
from servent.talk import keys
from servent.talk.acts import Acts
from servent.talk.joined import Joined
from servent.talk.records import (
    NONE,
    Act,
    Body,
    Deed,
    Founding,
    Invite,
    Policy,
    check,
    clean_settings,
    room_id,
    sign,
)
from servent.talk.room import Keep, Tell
from servent.talk.room_facts import MemberFacts, Moderated, RoomFacts
from servent.talk.rooms_hosting_service import Hosting
from servent.talk.rooms_keeping_service import Keeping
from servent.talk.rooms_sync_service import Sync
from servent.talk.shelf import KeptRoom, RoomShelf, Row
from servent.talk.state import Span
from servent.trust.networks import Forged
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

MOST_ROOMS = 48  # joined, of all networks; a topic of the overlay each, two while a key changes
MOST_INVITATIONS = 64  # not answered
MOST_OF_ONE = 8  # of these, of one peer: else anybody drives out those of all others
NETWORK_UP = 2.0  # s that somebody waits who makes a room in a network that they entered just now


class Rooms:
    """Make it on a running loop, after the overlay; `open` it when the store is open, `run` it in a task, `close` it first.

    A room is named by its 16 bytes. Whatever changes waits until it is kept.

    Args:
        noise: bytes that nobody guesses, for keys.
        dice, wall: tests give their own.
    """

    def __init__(
        self,
        peers: Peers,
        overlay: Overlay,
        trust: TrustService,
        identity: Identity,
        shelf: RoomShelf,
        *,
        dice: random.Random | None = None,
        wall: Callable[[], float] = time.time,
        noise: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.me = identity.peer
        self._k = Keeping(
            self.me, overlay, trust, shelf, NodeSeal(identity), dice or random.Random(), wall, noise
        )
        self._sync = Sync(peers, self._k, trust.belongs)
        self._hosting = Hosting(self._k, peers, self._sync)
        self._closed = False

    # -- life

    async def open(self) -> None:
        """Load all rooms; they are entered as their networks come up."""
        for kept in await self._k.shelf.rooms():
            if kept.joined:
                acts = await self._k.shelf.acts(kept.id)
                joined = self._k.make(kept, acts, await self._k.shelf.load(kept.id))
                joined.out = self._k.put_out(joined, [])
                self._k.rooms[kept.id] = joined
            else:
                self._k.invited[kept.id] = (kept, Acts(kept.founding, kept.proof, gaps=True))
        self._k.share()
        self._sync.open()

    async def run(self) -> None:
        """Until cancelled or closed."""
        await self._hosting.run()

    async def close(self) -> None:
        """Say in every room that we go. Safe twice."""
        if self._closed:
            return
        self._closed = True
        self._sync.close()
        now = self._k.clock()
        for joined in self._k.rooms.values():
            for effect in joined.core.leaving(now):
                if isinstance(effect, Tell):
                    self._k.say(joined, effect)
        self._hosting.stop()

    # -- callbacks, on the loop

    def on_message(self, callback: Callable[[bytes, Row], None]) -> None:
        """Call `callback(room, row)` for each message that is new here, our own too, after the shelf has it."""
        self._k.tell.message.append(callback)

    def on_removed(self, callback: Callable[[bytes, Sequence[bytes]], None]) -> None:
        """Call `callback(room, ids)` when messages were taken back."""
        self._k.tell.removed.append(callback)

    def on_delivered(self, callback: Callable[[bytes, bytes], None]) -> None:
        """Call `callback(room, id)` when another member is known to have a message of ours."""
        self._k.tell.delivered.append(callback)

    def on_act(self, callback: Callable[[Moderated], None]) -> None:
        """Call `callback(act)` for each new act that counts, in a room we are in."""
        self._k.tell.act.append(callback)

    def on_room(self, callback: Callable[[bytes], None]) -> None:
        """Call `callback(room)` when `room(room)` or `members(room)` may be another; a few times a second at most."""
        self._k.tell.room.append(callback)

    # -- how things are

    def rooms(self) -> list[RoomFacts]:
        """Those we are in, then invitations, then open ones we heard of; each by name."""
        now = self._k.clock()
        mine = sorted((one.facts(now) for one in self._k.rooms.values()), key=_by_name)
        invited = sorted((self._invitation(*one) for one in self._k.invited.values()), key=_by_name)
        known = {one.id for one in (*mine, *invited)}
        listed = [
            self._listed(network, room)
            for network, one in self._k.listings.items()
            for room in one.rooms
            if room not in known
        ]
        return [*mine, *invited, *sorted(listed, key=_by_name)]

    def room(self, room: bytes) -> RoomFacts:
        """Raises NotFound."""
        if (joined := self._k.rooms.get(room)) is not None:
            return joined.facts(self._k.clock())
        if room in self._k.invited:
            return self._invitation(*self._k.invited[room])
        for network, one in self._k.listings.items():
            if room in one.rooms:
                return self._listed(network, room)
        raise NotFound("no such room is known here", advice="`servent room ls` lists those that are.")

    def members(self, room: bytes) -> list[MemberFacts]:
        """Owner, moderators, members, those invited, those banned. Raises NotFound."""
        return self._in(room).members(self._k.clock())

    def _invitation(self, kept: KeptRoom, acts: Acts) -> RoomFacts:
        state = acts.state
        inviter = PeerId(kept.inviter) if kept.inviter else None
        return RoomFacts(
            kept.id, kept.founding.network, state.now.name, state.now.topic, kept.founding.policy, state.owner,
            "invited", False, len(state.roster()), 0, float(state.now.slow), inviter=inviter,
        )  # fmt: skip

    def _listed(self, network: bytes, room: bytes) -> RoomFacts:
        one = self._k.listings[network].rooms[room]
        state = one.acts.state
        return RoomFacts(
            room, network, state.now.name, state.now.topic, "open", state.owner, "none", False,
            one.told.members, one.told.members, float(state.now.slow), closed=state.closed < 1 << 61,
        )  # fmt: skip

    # -- what the person here does. All raise NotFound; UsageError says why it cannot be.

    async def create(
        self, network: bytes, name: str, *, policy: Policy = "open", topic: str = ""
    ) -> RoomFacts:
        """Found a room and be in it."""
        settings = clean_settings(name, topic)
        await self._network_up(network)
        self._room_for_one()
        nonce, key = self._k.noise(16), self._k.noise(keys.KEY_BYTES)
        lock = keys.lock_of(nonce, 0, key) if policy == "invite" else NONE
        founding: Founding = sign(
            Founding(network, bytes(self.me), nonce, int(self._k.wall() * 1000), policy, settings, lock),
            self._k.seal,
        )
        ring = [(0, key)] if policy == "invite" else []
        kept = KeptRoom(room_id(founding), founding, True, self._k.noise(8), keys=ring)
        made = await self._enter(kept, [])
        self._k.rooms[made.id].telling.soon(self._k.clock())
        self._k.nudge.set()
        return made

    async def _network_up(self, network: bytes) -> None:
        """A network that was entered this very moment has its member a moment later. Raises NotFound."""
        for _ in range(20):
            if self._k.up(network):
                break
            await asyncio.sleep(NETWORK_UP / 20)
        self._k.overlay.shape(network)

    @staticmethod
    def _back(span: Span | None, now: int) -> str:
        """When who was put out may come back, in words. `now`: ms of the wall clock."""
        if span is None or span.until is None:
            return "A moderator of the room can let you in again."
        seconds = max(1, -(-(span.until - now) // 1000))
        if seconds > 90:
            return f"You may come back in {-(-seconds // 60)} minutes, or when a moderator lets you in."
        return f"You may come back in {seconds} {'second' if seconds == 1 else 'seconds'}, or when a moderator lets you in."

    async def join(self, room: bytes) -> RoomFacts:
        """Enter an open room we heard of, or say yes to an invitation."""
        joined = self._k.rooms.get(room)
        if joined is not None:
            if joined.out:
                await self._hosting.try_again(joined)
                span = joined.core.acts.state.stopped(self.me, joined.core.wall_ms())
                if not joined.core.acts.state.member(self.me) or (span is not None and span.deed != "mute"):
                    raise UsageError(joined.out, advice=self._back(span, joined.core.wall_ms()))
                joined.out = ""
                joined.core.entered(self._k.clock())
                self._k.nudge.set()
            return joined.facts(self._k.clock())
        self._room_for_one()
        if room in self._k.invited:
            kept, acts = self._k.invited[room]
            self._k.overlay.shape(kept.founding.network)
            made = KeptRoom(kept.id, kept.founding, True, self._k.noise(8), kept.inviter, kept.keys)
            facts = await self._enter(made, list(acts.by_id.values()))
            self._k.invited.pop(room, None)
            return facts
        for one in self._k.listings.values():
            if (listed := one.rooms.get(room)) is not None:
                made = KeptRoom(room, listed.told.founding, True, self._k.noise(8))
                return await self._enter(made, list(listed.acts.by_id.values()))
        raise NotFound("no such room is known here", advice="`servent room ls` lists those that are.")

    async def leave(self, room: bytes) -> None:
        """Or say no to an invitation. UsageError: the owner hands over or closes the room first."""
        if room in self._k.invited:
            del self._k.invited[room]
            await self._k.shelf.forget_room(room)
            self._k.tell.changed(room)
            return
        joined = self._in(room)
        state, now = joined.core.acts.state, self._k.clock()
        if state.owner == self.me and state.closed > 1 << 61 and not joined.out:
            raise UsageError(
                "this room is yours",
                advice="Hand it over to somebody who stays, or close it, before you leave.",
            )
        async with joined.lock:
            if joined.invite and not joined.out and state.owner != self.me:
                _, effects = joined.core.act("leave", now)
                await self._k.carry_out(joined, effects)
            await self._k.carry_out(joined, joined.core.leaving(now))
            self._k.depart(joined)
            del self._k.rooms[room]
            self._k.share()
            await self._k.shelf.forget_room(room)
        self._k.tell.changed(room)

    async def shut(self, room: bytes) -> None:
        """As the owner: nothing can be said in it any more."""
        await self._act(self._in(room), "close")

    async def change(
        self, room: bytes, *, name: str | None = None, topic: str | None = None, slow: float | None = None
    ) -> RoomFacts:
        """Only what is given changes."""
        joined = self._in(room)
        now = joined.core.acts.state.now
        settings = clean_settings(
            now.name if name is None else name,
            now.topic if topic is None else topic,
            now.slow if slow is None else slow,
        )
        if settings != now:
            await self._act(joined, "settings", settings=settings)
        return joined.facts(self._k.clock())

    async def say(
        self, room: bytes, text: str, *, links: Sequence[str] = (), reply_to: bytes | None = None
    ) -> Row:
        """Returns once it is kept. UsageError: too long, too fast, muted, banned, closed."""
        if not text.strip() and not links:
            raise UsageError("there is nothing to say in that")
        return await self._speak(self._in(room), Body(text, list(links), reply_to), None)

    async def take_back(self, room: bytes, message: bytes) -> None:
        """Our own message, or as a moderator anybody's."""
        joined = self._in(room)
        entry = joined.core.log.entries.get(message)
        if entry is None:
            raise NotFound("that message is not here, or too old to be taken back")
        if entry.author != self.me and not joined.core.acts.state.moderates(self.me):
            raise UsageError("only its author, or a moderator, can take a message back")
        if not entry.removed:
            await self._speak(joined, Body(), message)

    async def moderate(
        self,
        room: bytes,
        deed: str,
        peer: PeerId,
        *,
        seconds: float | None = None,
        reason: str = "",
        purge: bool = False,
    ) -> None:
        """`deed`: kick, ban, unban, mute, unmute, moderator, member or owner (the last three: what somebody is from now on)."""
        if deed not in ("kick", "ban", "unban", "mute", "unmute", "moderator", "member", "owner"):
            raise UsageError(f"{deed!r} is nothing that can be done to a member")
        joined = self._in(room)
        if deed == "owner" and joined.invite and not joined.core.acts.state.member(peer):
            raise UsageError("a room is handed over to somebody who is in it")
        until = None if seconds is None else joined.core.wall_ms() + int(seconds * 1000)
        timed = until if deed in ("ban", "mute") else None
        await self._act(joined, deed, peer=peer, until=timed, reason=reason[:200], purge=purge)  # type: ignore[arg-type]
        if joined.invite and deed in ("kick", "ban"):
            await self._new_key(joined)

    async def invite(self, room: bytes, peer: PeerId) -> Invite:
        """Let somebody in; what is returned is to be handed to them, by a direct message and no other way."""
        joined = self._in(room)
        core = joined.core
        if not self._k.trust.belongs(joined.network, peer):
            raise UsageError("only members of the room's network can be invited")
        if joined.invite and not (core.acts.state.member(peer) and peer in core.acts.state.listed):
            await self._act(joined, "invite", peer=peer)
        proof = core.acts.of_owners()
        best = joined.ring.best(core.acts.state.keys)
        proof += [act for _, act in core.acts.state.valid if act.deed == "rekey"][-1:]
        proof += [act for _, act in core.acts.state.valid if act.deed == "invite" and act.peer == peer][-1:]
        return Invite(joined.kept.founding, proof[-8:], [best] if best is not None and joined.invite else [])

    async def invited(self, sender: PeerId, invite: Invite) -> RoomFacts | None:
        """`sender` handed us that. None when there is nothing new in it. Raises Forged, BadMessage."""
        founding = invite.founding
        check(founding, self._k.seal)
        room = room_id(founding)
        if not (
            self._k.trust.belongs(founding.network, sender)
            and self._k.trust.belongs(founding.network, self.me)
        ):
            raise Forged("an invitation to a room of another network")
        joined = self._k.rooms.get(room)
        if joined is not None:
            async with joined.lock:
                await self._k.carry_out(joined, joined.core.take_acts(invite.acts, self._k.clock()))
                await self._k.take_keys(joined, invite.keys)
            self._k.back(joined)
            return joined.facts(self._k.clock())
        acts = Acts(founding, gaps=True)
        for _ in range(2):  # who is given power by one act may have signed another
            acts.take(invite.acts, self._k.seal, int(self._k.wall() * 1000))
        if founding.policy == "invite" and not any(
            keys.lock_of(founding.nonce, *one) in _locks(acts, invite) for one in invite.keys
        ):
            raise Forged("an invitation without the room's key")
        kept = KeptRoom(
            room,
            founding,
            False,
            self._k.noise(8),
            bytes(sender),
            list(invite.keys),
            list(acts.by_id.values()),
        )
        of_sender = sum(one.inviter == sender for one, _ in self._k.invited.values())
        if of_sender >= MOST_OF_ONE and room not in self._k.invited:
            raise UsageError(f"{of_sender} invitations of {sender.short} wait for an answer")
        while len(self._k.invited) >= MOST_INVITATIONS and room not in self._k.invited:
            oldest = next(iter(self._k.invited))
            del self._k.invited[oldest]
            await self._k.shelf.forget_room(oldest)
        new = room not in self._k.invited
        self._k.invited[room] = (kept, acts)
        await self._k.shelf.keep_room(kept)
        self._k.tell.changed(room)
        return self.room(room) if new else None

    async def _speak(self, joined: Joined, body: Body, takes: bytes | None) -> Row:
        if joined.out:
            raise UsageError(joined.out)
        async with joined.lock:
            message, effects = joined.core.say(body, self._k.clock(), takes)
            await self._k.carry_out(joined, effects)
        self._k.nudge.set()
        keep = next(effect for effect in effects if isinstance(effect, Keep))
        return Row(keep.id, message, self._k.wall(), True)

    async def _act(self, joined: Joined, deed: Deed, **more: object) -> None:
        if joined.out:
            raise UsageError(joined.out)
        async with joined.lock:
            _, effects = joined.core.act(deed, self._k.clock(), **more)  # type: ignore[arg-type]
            await self._k.carry_out(joined, effects)

    async def _new_key(self, joined: Joined) -> None:
        """Somebody was put out: what is said from now on they cannot read."""
        key = self._k.noise(keys.KEY_BYTES)
        generation = joined.core.acts.state.keys[-1][0] + 1
        lock = keys.lock_of(joined.kept.founding.nonce, generation, key)
        await self._act(joined, "rekey", generation=generation, lock=lock)
        async with joined.lock:
            await self._k.take_keys(joined, [(generation, key)])

    def _in(self, room: bytes) -> Joined:
        joined = self._k.rooms.get(room)
        if joined is None:
            raise NotFound("this node is not in that room", advice="`servent room join` enters one.")
        return joined

    def _room_for_one(self) -> None:
        if len(self._k.rooms) >= MOST_ROOMS:
            raise UsageError(f"a node is in at most {MOST_ROOMS} rooms", advice="Leave one first.")

    async def _enter(self, kept: KeptRoom, acts: Sequence[Act]) -> RoomFacts:
        joined = self._k.make(kept, acts, [])
        await self._k.shelf.keep_room(kept)
        if acts:
            await self._k.shelf.keep_acts(kept.id, acts)
        self._k.rooms[kept.id] = joined
        self._k.share()
        self._hosting.begin(joined)
        self._hosting.tick()
        self._k.nudge.set()
        self._k.tell.changed(kept.id)
        return joined.facts(self._k.clock())


def _by_name(facts: RoomFacts) -> tuple[str, bytes]:
    return facts.name.casefold(), facts.id


def _locks(acts: Acts, invite: Invite) -> set[bytes]:
    """Of the keys that the room's acts name, as far as they came along."""
    return {lock for _, lock in acts.state.keys} | {
        act.lock for act in invite.acts if act.deed == "rekey" and act in acts.by_id.values()
    }
