"""Meeting points: a member that is alone finds some supernodes of its network by what follows from the network's secret.

`meeting` decides what stands there. Providers of `Rendezvous` store and find it; this reads when a network has nobody left,
and writes when it is our turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import Callable

from servent.errors import BadMessage, NotFound
from servent.identity import PeerId
from servent.net.addresses import only_loopback
from servent.net.book import credible
from servent.net.links import PeerAddress
from servent.net.peers import Peers
from servent.net.rendezvous import Found
from servent.net.rendezvous_service import Rendezvous
from servent.net.seeking import Seeking
from servent.overlay import meeting
from servent.overlay.meeting import Stand
from servent.overlay.pump import Pump
from servent.overlay.records_service import address_of
from servent.overlay.service import Overlay
from servent.tasks import begin
from servent.trust.meeting import PLAIN_MOST, MeetingPoint
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

TURN_EVERY = 60.0  # s between two looks whether it is our turn
FIRST_TURN = (
    20.0  # s after we are in a network, or somewhere else; until then its members may be found otherwise
)
ENOUGH = 3  # neighbours


class MeetingPoints:
    """For all networks of a node. `run` it beside the overlay."""

    def __init__(
        self,
        overlay: Overlay,
        trust: TrustService,
        rendezvous: Rendezvous,
        peers: Peers,
        *,
        dice: random.Random | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._overlay, self._trust, self._rendezvous, self._peers = overlay, trust, rendezvous, peers
        self._dice, self._wall = dice or random.Random(), wall
        self._clock = asyncio.get_running_loop().time
        self._seeking = Seeking(self._dice)
        self._points: dict[bytes, MeetingPoint] = {}
        self._networks: dict[PeerId, bytes] = {}
        self._check_at: dict[bytes, float] = {}  # when to look at what stands there, out of turn
        self._said: dict[bytes, tuple[PeerAddress | None, bool]] = {}  # where we were, whether as a supernode
        self._writing: set[bytes] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._woken = asyncio.Event()
        overlay.on_lonely(self._lonely)

    def ours(self, key: PeerId) -> bool:
        """Whether `key` is the meeting point of a network of ours."""
        return any(point.key == key for point in self._known().values())

    async def run(self) -> None:
        """Until cancelled."""
        turn_at = self._clock() + TURN_EVERY
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                while True:
                    self._woken.clear()
                    now = self._clock()
                    self._note(now)
                    for key in self._seeking.due(now) if self._rendezvous.providers() else ():
                        begin(tasks, self._read(key), f"meeting point {key.short}")
                    turn = now >= turn_at
                    if turn:
                        turn_at = now + TURN_EVERY
                    for network in self._points:
                        if self._rendezvous.providers():
                            self._perhaps_write(network, now, turn, tasks)
                    until = min(turn_at, self._due()) if self._rendezvous.providers() else turn_at
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout_at(max(until, now + 0.2)):
                            await self._woken.wait()
        finally:
            self._tasks = None

    def _due(self) -> float:
        """When something is to be read, or looked at."""
        checks = [at for network, at in self._check_at.items() if network not in self._writing]
        reads = self._seeking.next_tick()
        return min([*checks, float("inf") if reads is None else reads])

    def _known(self) -> dict[bytes, MeetingPoint]:
        for network in self._overlay.members.pumps:
            if network not in self._points:
                try:
                    point = self._trust.meeting_point(network)
                except NotFound:
                    continue
                self._points[network], self._networks[point.key] = point, network
        return self._points

    def _note(self, now: float) -> None:
        """Networks come and go; where we stand changes."""
        pumps = self._overlay.members.pumps
        for network, point in list(self._known().items()):
            if network not in pumps:
                del self._points[network], self._networks[point.key]
                self._said.pop(network, None)
                self._check_at.pop(network, None)
                self._seeking.drop(point.key)
                continue
            mine, writes = self._mine(), pumps[network].member.directory.own is not None
            said = (mine.address if mine is not None else None, writes)
            if mine is not None and self._said.get(network) != said:
                self._said[network] = said
                self._check_at[network] = now + FIRST_TURN * self._dice.uniform(0.5, 1.5)

    def _mine(self) -> Stand | None:
        said = self._rendezvous.word()
        if said.relay is None and not said.addresses:
            return None
        return Stand(said, self._wall() + meeting.LIFETIME)

    # -- reading

    def _lonely(self, network: bytes) -> None:
        point = self._known().get(network)
        if point is not None:
            self._seeking.want(point.key, self._clock())
            self._woken.set()

    async def _read(self, key: PeerId) -> None:
        """Nobody of this network is near: knock at those who stand at its meeting point."""
        network = self._networks.get(key)
        enough = asyncio.Event()
        try:
            if network is None or self._neighbours(network) >= ENOUGH:
                self._seeking.drop(key)
                return
            found = await self._there(self._points[network], enough)
            others = [stand.peer for stand in found if stand.peer != self._peers.peer]
            if self._neighbours(network) and all(self._peers.session(peer) for peer in others):
                self._seeking.drop(key)  # a network may be smaller than three
        finally:
            self._seeking.ended(key, self._clock())
            self._woken.set()

    async def _there(self, point: MeetingPoint, enough: asyncio.Event | None = None) -> list[Stand]:
        """What stands there by all providers; whom we are not connected to is dialed as it comes."""
        found: dict[PeerId, Stand] = {}
        mine = self._rendezvous.word()
        near = mine.addresses[:1] if only_loopback(mine.addresses) else ()

        def heard(one: Found) -> None:
            try:
                stands = meeting.decode(point.open(one.value), self._wall())
            except BadMessage as wrong:
                log.info("a meeting point: %s", wrong)
                return
            for stand in stands:
                if stand.peer not in found or found[stand.peer].expires < stand.expires:
                    found[stand.peer] = stand
                if enough is not None and stand.peer != mine.peer:
                    self._peers.hear(credible(stand.address, near), point.key)
            if enough is not None and self._neighbours(point.network) >= ENOUGH:
                enough.set()

        await self._rendezvous.resolve(point.key, heard, enough=enough)
        return list(found.values())

    def _neighbours(self, network: bytes) -> int:
        pump = self._overlay.members.pumps.get(network)
        return len(pump.member.topics.neighbours()) if pump is not None else 0

    # -- writing

    def _perhaps_write(self, network: bytes, now: float, turn: bool, tasks: asyncio.TaskGroup) -> None:
        pump = self._overlay.members.pumps.get(network)
        if pump is None or network in self._writing:
            return
        writers = self._writers(pump, now)
        check = self._check_at.get(network, float("inf")) <= now
        if check:
            del self._check_at[network]
        mine = writers and turn and meeting.turn(writers, TURN_EVERY, self._dice)
        if writers and (mine or check):
            self._writing.add(network)
            work = self._write(network, writers, bool(mine))
            begin(tasks, work, f"meeting point of {pump.view.name}")

    @staticmethod
    def _writers(pump: Pump, now: float) -> int:
        """How many write in turns, us included; 0: we do not. Where nobody keeps the index, all members do."""
        directory = pump.member.directory
        supernodes = len(directory.records(now))
        if directory.own is not None:
            return max(1, supernodes)
        return 0 if supernodes else max(1, directory.members(now))

    async def _write(self, network: bytes, writers: int, turn: bool) -> None:
        try:
            point, mine = self._points.get(network), self._mine()
            if point is None or mine is None:
                return
            there = await self._there(point)
            pump = self._overlay.members.pumps.get(network)
            if pump is None or not (turn or meeting.wanting(there, mine, writers)):
                return
            known = [
                Stand(
                    address_of(record.peer, only_loopback(mine.address.addresses)),
                    self._wall() + meeting.OTHERS_LIFETIME,
                )
                for record in pump.member.directory.records(self._clock())
            ]
            stands = meeting.merge(mine, known, there, self._dice)
            value = point.close(meeting.encode(stands, PLAIN_MOST), os.urandom(12))
            places = await self._rendezvous.publish(point.identity, value)
            log.debug("the meeting point of %s is in %d places", pump.view.name, places)
            if not places:
                self._check_at.setdefault(network, self._clock() + 5 * TURN_EVERY)
        finally:
            self._writing.discard(network)
