"""Keeps rooms going: where their members meet, when something is due, what comes in, whom to ask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any

from servent.codec import encode
from servent.errors import PeerError, ServentError
from servent.identity import PeerId
from servent.net.peers import Peers
from servent.talk import listing
from servent.talk.joined import STAYS, Joined
from servent.talk.records import Announce, news, room_id
from servent.talk.room import Effect
from servent.talk.rooms_keeping_service import Keeping
from servent.talk.rooms_sync_service import Sync
from servent.tasks import begin

log = logging.getLogger(__name__)

ENTER_AGAIN = 5.0  # s until a room of a network that is not up is tried again
KEYS_AGAIN = 10.0  # s until another member is asked for a key
LIST_EVERY = 600.0  # s between two questions for open rooms
LIST_FIRST = 8.0  # s after a network came up
ASKED_FOR_KEYS = 3  # members in one go
GREET_EVERY = 5.0  # s between two looks for new neighbours in a room
LONGEST = 30.0  # s between two looks at the clock


class Hosting:
    """Runs what `Keeping` keeps."""

    def __init__(self, keeping: Keeping, peers: Peers, sync: Sync) -> None:
        self._k, self._peers, self._sync = keeping, peers, sync
        self._list_at: dict[bytes, float] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._stop = asyncio.Event()
        keeping.look = self._look
        keeping.overlay.on_heard(self._heard)

    async def run(self) -> None:
        """Until cancelled or stopped."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for joined in list(self._k.rooms.values()):
                    self.begin(joined)
                while not self._stop.is_set():
                    self._k.nudge.clear()
                    due = self.tick()
                    try:
                        async with asyncio.timeout(max(0.02, due - self._k.clock())):
                            await self._k.nudge.wait()
                    except TimeoutError:
                        continue
                raise _Stop
        except* _Stop:
            log.debug("rooms closed")
        finally:
            self._tasks = None

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> bool:
        """`work` in a task of its own. False, and it never runs, when rooms are closing."""
        return begin(self._tasks, self._guard(work, name), name, inside=work) is not None

    async def _guard(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except Exception:
            log.exception("%s failed", name)

    def stop(self) -> None:
        self._stop.set()
        self._k.nudge.set()

    def begin(self, joined: Joined) -> None:
        """Listen to what comes in."""
        self._begin(self._listen(joined), f"room {joined.id.hex()[:8]}")

    def tick(self) -> float:
        """Do what is due; when to come back."""
        now, due = self._k.clock(), self._k.clock() + LONGEST
        for joined in list(self._k.rooms.values()):
            if joined.out:
                continue
            if not self._k.up(joined.network):
                joined.topics.clear()
                due = min(due, now + ENTER_AGAIN)
                continue
            self._meet(joined, now)
            self._greet(joined, now)
            if joined.core.next_tick() <= now and not joined.lock.locked():
                self._begin(self._ticked(joined), f"tick of room {joined.id.hex()[:8]}")
            if joined.lacks_key() and joined.ask_keys_at <= now:
                joined.ask_keys_at = now + KEYS_AGAIN * self._k.dice.uniform(0.7, 1.3)
                self._begin(self._ask_keys(joined), f"key of room {joined.id.hex()[:8]}")
            if not joined.invite and joined.telling.due <= now:
                self._announce(joined, now)
            due = min(due, max(joined.core.next_tick(), now + 0.05), joined.telling.due, now + GREET_EVERY)
        for network in list(self._k.overlay.members.pumps):
            if self._list_at.setdefault(network, now + LIST_FIRST) <= now:
                self._list_at[network] = now + LIST_EVERY * self._k.dice.uniform(0.75, 1.25)
                self._begin(self._ask_rooms(network), "open rooms")
            due = min(due, self._list_at[network])
        for network, one in list(self._k.listings.items()):
            if not self._k.up(network):
                del self._k.listings[network]
            for room in one.expire(now):
                self._k.tell.changed(room)
        return due

    def _meet(self, joined: Joined, now: float) -> None:
        """Be where the members are; and for a while where they were."""
        topic = joined.meets()
        if topic and joined.topics.get(topic, 0.0) is not None:
            try:
                self._k.overlay.enter(joined.network, topic)
            except ServentError as wrong:
                log.info("room %s is not entered: %s", joined.id.hex()[:8], wrong)
                return
            for other in joined.topics:
                joined.topics[other] = joined.topics[other] or now + STAYS
            joined.topics[topic] = None
            joined.core.entered(now)
        for other, until in list(joined.topics.items()):
            if until is not None and until <= now:
                self._k.overlay.leave(joined.network, other)
                del joined.topics[other]

    def _greet(self, joined: Joined, now: float) -> None:
        """With a new neighbour we compare soon."""
        near = frozenset(self._k.overlay.room_neighbours(joined.network, joined.meets()))
        if near - joined.near:
            joined.core.pacing.soon(now)
        joined.near = near

    async def _ticked(self, joined: Joined) -> None:
        async with joined.lock:
            await self._safely(joined, joined.core.tick(self._k.clock()))
        self._k.nudge.set()

    async def _safely(self, joined: Joined, effects: Iterable[Effect]) -> None:
        try:
            await self._k.carry_out(joined, effects)
        except ServentError as wrong:
            log.warning("room %s: %s", joined.id.hex()[:8], wrong)

    def _heard(self, network: bytes, topic: str, author: PeerId, body: bytes) -> None:
        if not topic:
            self._told_of(network, author, body)
            return
        for joined in self._k.rooms.values():
            if joined.network == network and topic in joined.topics:
                if not joined.waiting.full():
                    joined.waiting.put_nowait((author, body))
                return

    async def _listen(self, joined: Joined) -> None:
        """News of one room, one after the other."""
        while not self._stop.is_set():
            author, body = await joined.waiting.get()
            if self._k.rooms.get(joined.id) is not joined:
                return
            async with joined.lock:
                try:
                    effects = joined.core.heard(author, joined.unwrapped(author, body), self._k.clock())
                except PeerError as wrong:
                    log.debug("room %s, of %s: %s", joined.id.hex()[:8], author.short, wrong)
                    joined.core.dropped[type(wrong).__name__] += 1
                    continue
                except Exception:
                    log.exception("news of room %s", joined.id.hex()[:8])
                    continue
                await self._safely(joined, effects)
            self._k.nudge.set()

    def _told_of(self, network: bytes, author: PeerId, body: bytes) -> None:
        try:
            said = news.decode(body)
        except PeerError:
            return  # other rooms of the house use the network's own topic, too
        if not isinstance(said, Announce):
            return
        now = self._k.clock()
        joined = self._k.rooms.get(room_id(said.founding))
        if joined is not None:
            joined.telling.told(now)
            return
        try:
            changed = self._k.list_of(network).heard(author, said, now, int(self._k.wall() * 1000))
        except PeerError as wrong:
            log.debug("a room told of by %s: %s", author.short, wrong)
            return
        if changed is not None:
            self._k.tell.changed(changed)

    def _announce(self, joined: Joined, now: float) -> None:
        joined.telling.told(now)
        told = listing.announce(joined.core.acts, joined.facts(now).members)
        try:
            self._k.overlay.say(joined.network, "", encode(told))
        except ServentError as wrong:
            log.debug("room %s is not told of: %s", joined.id.hex()[:8], wrong)

    def _look(self, joined: Joined) -> None:
        others = self._others(joined)
        if not others or joined.looking:
            joined.core.pacing.failed(self._k.clock())
            return
        joined.looking = True
        if self._begin(self._looked(joined, others[0]), f"compare room {joined.id.hex()[:8]}") is False:
            joined.looking = False

    async def try_again(self, joined: Joined) -> None:
        """We were put out: perhaps others have let us in again, and we did not hear of it."""
        for peer in self._others(joined)[:ASKED_FOR_KEYS]:
            try:
                await self._sync.look(joined, peer)
            except (ServentError, TimeoutError) as wrong:
                log.debug("%s does not let us into room %s: %s", peer.short, joined.id.hex()[:8], wrong)
            else:
                return

    def _others(self, joined: Joined) -> list[PeerId]:
        """Whom to ask: a neighbour in the room; else somebody of it who is connected, else anybody of it."""
        near = (
            self._k.overlay.room_neighbours(joined.network, joined.meets())
            if self._k.up(joined.network)
            else []
        )
        self._k.dice.shuffle(near)
        if near:  # a key may be known to who is no member, or we may not have heard yet that it is one
            return sorted(near, key=lambda one: not joined.core.may_hear(one))
        state = joined.core.acts.state
        known = {
            *joined.core.present.peers(self._k.clock()),
            *joined.core.log.of_author,
            *state.offices,
            state.owner,
        }
        known |= set(state.roster()) if joined.invite else set()
        if joined.kept.inviter:
            known.add(joined.kept.inviter)
        members = [PeerId(one) for one in sorted(known) if one != self._k.me and joined.core.may_hear(one)]
        self._k.dice.shuffle(members)
        return sorted(members, key=lambda one: self._peers.session(one) is None)

    async def _looked(self, joined: Joined, peer: PeerId) -> None:
        pacing = joined.core.pacing
        shared = list(joined.undelivered)
        try:
            differed = await self._sync.look(joined, peer)
        except (ServentError, TimeoutError) as wrong:
            log.debug("room %s was not compared with %s: %s", joined.id.hex()[:8], peer.short, wrong)
            pacing.failed(self._k.clock())
        else:
            pacing.done(differed, self._k.clock())
            joined.caught_up = True
            for id in shared:
                joined.undelivered.discard(id)
                self._k.tell.arrived(joined.id, id)
        finally:
            joined.looking = False
            self._k.tell.changed(joined.id)
            self._k.nudge.set()

    async def _ask_keys(self, joined: Joined) -> None:
        """Somebody was put out while we were not told the new key: any member who has it hands it on."""
        state = joined.core.acts.state
        makers = [PeerId(act.author) for _, act in state.valid if act.deed == "rekey"][-1:]
        asked = [peer for peer in dict.fromkeys([*makers, *self._others(joined)]) if peer != self._k.me]
        for peer in asked[:ASKED_FOR_KEYS]:
            try:
                found = await self._sync.ask_keys(joined, peer)
            except (ServentError, TimeoutError) as wrong:
                log.debug("%s gave no key of room %s: %s", peer.short, joined.id.hex()[:8], wrong)
                continue
            async with joined.lock:
                if await self._k.take_keys(joined, found) and not joined.lacks_key():
                    return

    async def _ask_rooms(self, network: bytes) -> None:
        near = self._k.overlay.neighbours(network) if self._k.up(network) else []
        if not near:
            self._list_at[network] = self._k.clock() + ENTER_AGAIN
            return
        try:
            rooms = await self._sync.ask_rooms(network, self._k.dice.choice(near))
        except (ServentError, TimeoutError) as wrong:
            log.debug("nobody told of open rooms: %s", wrong)
            self._list_at[network] = self._k.clock() + 6 * ENTER_AGAIN
            return
        now, wall = self._k.clock(), int(self._k.wall() * 1000)
        for told in rooms:
            if room_id(told.founding) in self._k.rooms:
                continue
            try:
                changed = self._k.list_of(network).take(told, now, wall)
            except PeerError as wrong:
                log.debug("a room that was told of: %s", wrong)
                continue
            if changed is not None:
                self._k.tell.changed(changed)


class _Stop(Exception):
    """Ends the TaskGroup of `run`."""
