"""A room that this node is in: its core, its keys, where its members meet, and what waits to be kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from servent.codec import encode
from servent.errors import BadMessage
from servent.identity import PeerId
from servent.talk import keys
from servent.talk.keys import Ring
from servent.talk.listing import Telling
from servent.talk.records import Acted, Announce, Boxed, Here, Said, news
from servent.talk.room import Room
from servent.talk.room_facts import MemberFacts, RoomFacts, Standing
from servent.talk.shelf import KeptRoom

STAYS = 600.0  # s that a node stays where members met before, for those who have not got the new key yet
WAITING = 512  # news that wait to be taken in; what comes then is caught up with


@dataclass(slots=True, eq=False)
class Joined:
    """Attributes:
    topics: where we are, and until when; None for as long as we are in the room.
    waiting: news in the order in which they came.
    lock: one thing at a time, with what it does to the shelf.
    looking: another member is being asked now.
    out: why we are no longer in it, though it is kept; "" while we are.
    near: neighbours in the room, when we last looked.
    undelivered: messages of ours that no other member is known to have.
    """

    kept: KeptRoom
    core: Room
    ring: Ring
    telling: Telling
    topics: dict[str, float | None] = field(default_factory=dict)
    waiting: asyncio.Queue[tuple[PeerId, bytes]] = field(default_factory=lambda: asyncio.Queue(WAITING))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    looking: bool = False
    caught_up: bool = False
    out: str = ""
    near: frozenset[PeerId] = frozenset()
    undelivered: set[bytes] = field(default_factory=set)
    ask_keys_at: float = 0.0

    @property
    def id(self) -> bytes:
        return self.kept.id

    @property
    def network(self) -> bytes:
        return self.kept.founding.network

    @property
    def invite(self) -> bool:
        return self.kept.founding.policy == "invite"

    def meets(self) -> str:
        """Where members meet now, as far as we know."""
        if not self.invite:
            return keys.open_topic(self.id)
        best = self.ring.best(self.core.acts.state.keys)
        return keys.sealed_topic(best[1]) if best is not None else ""

    def lacks_key(self) -> bool:
        return self.invite and not self.out and self.ring.lacks(self.core.acts.state.keys)

    def wrapped(self, said: Said | Acted | Here, nonce: bytes) -> bytes:
        """For the topic. Raises BadMessage where no key is here."""
        if not self.invite:
            return encode(said)
        best = self.ring.best(self.core.acts.state.keys)
        if best is None:
            raise BadMessage("no key of this room is here")
        return encode(keys.seal(said, self.id, bytes(self.core.me), best[0], best[1], nonce))

    def unwrapped(self, author: PeerId, body: bytes) -> Said | Acted | Here:
        """Raises BadMessage."""
        said = news.decode(body)
        if isinstance(said, Boxed):
            return keys.unseal(said, self.id, bytes(author), self.ring.of(said.generation))
        if self.invite or isinstance(said, Announce):
            raise BadMessage("open news in a room by invitation, or of another kind")
        return said

    # -- for people

    def standing(self, peer: bytes) -> Standing:
        state, wall = self.core.acts.state, self.core.wall_ms()
        if peer == state.owner:
            return "owner"
        if state.moderates(peer):
            return "moderator"
        span = state.stopped(peer, wall)
        if span is not None and span.deed == "ban":
            return "banned"
        return "member" if state.member(peer) and (span is None or span.deed == "mute") else "none"

    def facts(self, now: float) -> RoomFacts:
        core, state = self.core, self.core.acts.state
        mute = state.stopped(core.me, core.wall_ms())
        muted = None
        if mute is not None and mute.deed == "mute":
            muted = float("inf") if mute.until is None else mute.until / 1000
        here = core.present.count(now) + (not self.out)
        members = len(state.roster()) if self.invite else len(self._known(now) | {bytes(core.me)})
        return RoomFacts(
            self.id, self.network, state.now.name, state.now.topic, self.kept.founding.policy, state.owner,
            "invited" if not self.kept.joined and self.kept.inviter else self.standing(core.me),
            self.kept.joined and not self.out, members if self.invite else max(members, here), here, float(state.now.slow),
            muted, state.closed < 1 << 61, PeerId(self.kept.inviter) if self.kept.inviter else None,
            self.looking and not self.caught_up, self.why(),
        )  # fmt: skip

    def why(self) -> str:
        if self.out:
            return self.out
        if self.lacks_key():
            return "waiting for the room's new key: a member who has it must be online"
        ahead = self.core.log.refused["ahead of the clock"]
        if ahead > 20:
            return "messages come from the future: is this computer's clock behind?"
        return ""

    def _known(self, now: float) -> set[bytes]:
        return {*self.core.log.of_author, *self.core.present.peers(now)}

    def members(self, now: float) -> list[MemberFacts]:
        core, state, wall = self.core, self.core.acts.state, self.core.wall_ms()
        peers: dict[bytes, None] = dict.fromkeys([state.owner, *state.offices])
        peers.update(dict.fromkeys(state.roster() if self.invite else sorted(self._known(now))))
        peers.update(dict.fromkeys(peer for peer, spans in state.spans.items() if spans))
        if not self.out:
            peers[bytes(core.me)] = None
        newest: dict[bytes, int] = {}
        for (author, _), (seq, _) in core.log.ends.items():
            entry = core.log.chains.get((author, _), {}).get(seq)
            if entry is not None:
                newest[author] = max(newest.get(author, 0), entry.time)
        found = []
        for peer in peers:
            span, standing = state.stopped(peer, wall), self.standing(peer)
            if standing == "none":
                continue
            until = None if span is None else float("inf") if span.until is None else span.until / 1000
            seen = newest.get(peer)
            here = peer == core.me or core.present.here(peer, now)
            if (
                standing == "member"
                and self.invite
                and not here
                and seen is None
                and peer != core.founding.founder
            ):
                standing = "invited"
            found.append(
                MemberFacts(
                    PeerId(peer),
                    standing,
                    here,
                    None if seen is None else seen / 1000,
                    until,
                    span.reason if span else "",
                )
            )
        order = ("owner", "moderator", "member", "invited", "banned", "none")
        return sorted(found, key=lambda one: (order.index(one.standing), not one.present, one.peer))
