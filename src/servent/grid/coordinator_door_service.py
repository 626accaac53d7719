"""Volunteers at the door: who may come in, and what is answered to each question; over the network, or from this very process."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from servent.codec import write_frame
from servent.errors import BadMessage, ConnectionLost, NotFound, WorldError
from servent.grid import quota, teams, wire
from servent.grid.coordinator_live import unit_of
from servent.grid.coordinator_rooms import MOST_HOSTS, Room
from servent.grid.manifests import Project
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net.links import Stream
from servent.net.session import Session

if TYPE_CHECKING:
    from servent.grid.coordinator_parts import Parts

log = logging.getLogger(__name__)

FIRST = 30.0  # s in which a visitor says what it came for
AHEAD = 8  # questions of one visitor that are not answered yet
RATE, BURST = 200.0, 500.0  # questions a second of one visitor, and at once
PILED_UP = 50_000  # units that are changed and not written; with more, nobody is let in
RECEIPTS = 8
LATER = 10.0  # s
ENDING = wire.Sorry("this node is going down", LATER)
CROWDED = 3600.0  # s


class Visit:
    """One volunteer's conversation with one project. Transport-free: the network's handler wraps it, the local volunteer calls it directly."""

    def __init__(self, parts: Parts, room: Room, identity: PeerId, local: bool) -> None:
        self._parts, self._room, self._identity, self._local = parts, room, bytes(identity), local
        self._peer = identity
        self._joined = False
        self._bucket = TokenBucket(RATE, BURST)

    async def answer(self, question: wire.Question) -> wire.Answer:
        """Durable before it returns. The first question is `Join`; what breaks the rules is answered by `Sorry`.

        Raises:
            BadMessage: another question than `Join` first.
        """
        parts = self._parts
        if not self._joined and not isinstance(question, wire.Join):
            raise BadMessage("a volunteer that did not say for which project it comes")
        if not self._local and not self._bucket.allow(1, asyncio.get_running_loop().time()):
            return wire.Sorry("too many questions", 1.0)
        if parts.ending():
            return ENDING
        if parts.state.changes.weight > PILED_UP:
            return wire.Sorry("too much at once; come again", LATER)
        try:
            return await self._answer(question)
        except WorldError as wrong:
            log.debug("a volunteer is put off: %s", wrong)
            return wire.Sorry("this project cannot write anything down now", LATER)
        except RuntimeError:
            if parts.ending():  # the database was closed meanwhile
                return ENDING
            raise

    async def _answer(self, question: wire.Question) -> wire.Answer:
        parts, room, identity = self._parts, self._room, self._identity
        if isinstance(question, wire.Join):
            return await self._join(question)
        if not isinstance(question, wire.Return) and (why := self._refused()):
            return wire.Sorry(why, None)
        now = parts.wall()
        match question:
            case wire.Lease():
                if parts.loading.low(room):
                    await parts.loading.fill(room)
                leased = parts.handing.hand(room, identity, question, now, self._local)
                if leased.tasks:
                    await parts.committer.durable()
                return leased
            case wire.Return(results):
                await parts.loading.load({unit_of(result.lease) for result in results})
                taken = [parts.taking.result(room, identity, result, now) for result in results]
                parts.files.look()
                await parts.committer.durable()
                parts.loading.unload({unit_of(result.lease) for result in results})
                return wire.Returned(taken, self._receipts())
            case wire.Renew(progress):
                until = []
                for one in progress:
                    end, checkpoint = parts.taking.renew(room, identity, one, now)
                    until.append(end)
                    if checkpoint is not None:
                        parts.files.checkpoint(one.lease, identity, checkpoint)
                await parts.committer.durable()
                return wire.Renewed(until, self._receipts())
            case wire.Abort(leases, saved):
                newest = {one.lease: one.checkpoint for one in saved}
                for lease in leases:
                    checkpoint = parts.taking.abort(room, identity, lease, newest.get(lease), now)
                    if checkpoint is not None:
                        parts.files.checkpoint(lease, identity, checkpoint)
                await parts.committer.durable()
                return wire.Aborted()
            case wire.Describe(apps):
                found = [parts.state.apps_by_id.get(app) for app in apps]
                ours = [None if app is None or app.room is not room else app for app in found]
                contacts = [
                    [] if app is None else [parts.me, *room.holders(app.manifest.module.infohash, identity)]
                    for app in ours
                ]
                for app in ours:
                    if app is not None:
                        room.holds(app.manifest.module.infohash, identity)
                return wire.Described([None if app is None else app.signed for app in ours], contacts)
            case wire.Countersign(signatures):
                if parts.receipts is None:
                    return wire.Countersigned([False] * len(signatures))
                return wire.Countersigned(await parts.receipts.countersigned(room.key, identity, signatures))
            case wire.Look():
                return wire.Looked(self._welcome(0, now), self._receipts())

    def close(self) -> None:
        """The volunteer went. Its leases stay until they run out."""
        if self._joined:
            self._joined = False
            self._room.here[self._identity] -= 1
            if self._room.here[self._identity] <= 0:
                del self._room.here[self._identity]

    async def _join(self, join: wire.Join) -> wire.Answer:
        parts, room, identity, now = self._parts, self._room, self._identity, self._parts.wall()
        if join.project != room.key:
            return wire.Sorry("this is another project", None)
        if why := self._refused(join.invitation):
            return wire.Sorry(why, None)
        team = None
        if join.team is not None:
            try:
                teams.check(join.team, identity, now)
                team = join.team
            except BadMessage as wrong:
                log.info("%s says it is in a team: %s", self._peer.short, wrong)
        if identity not in room.hosts and len(room.hosts) >= MOST_HOSTS:
            for gone in room.forget_visitors(now):
                parts.state.changes.add("hosts_gone", (room.number, gone))
            if len(room.hosts) >= MOST_HOSTS:
                return wire.Sorry("more volunteers came today than this project can remember", CROWDED)
        host = room.host(identity)
        host.name, host.team = join.name, b"" if team is None else team.team
        host.cores, host.memory_bytes, host.mflops = join.cores, join.memory_bytes, join.mflops
        host.system, host.seen = join.system, now
        parts.state.changes.host(room.number, identity, host)
        if parts.receipts is not None:
            parts.receipts.joined(room.key, identity, join.name, team)
        if not self._joined:
            self._joined = True
            room.here[identity] += 1
            # Once on each line: all that is under way may have to be looked through.
            if join.held is not None and (lost := parts.taking.lost(room, identity, join.held, now)):
                log.info(
                    "%s knows nothing of %d units that it leased; they go to others", self._peer.short, lost
                )
        await parts.committer.durable()
        return self._welcome(join.serial, now)

    def _refused(self, invitation: bytes = b"") -> str:
        """Why this identity may not compute for this project, "" where it may."""
        room, identity, parts = self._room, self._identity, self._parts
        manifest = room.manifest
        if manifest.closed and not room.out[identity]:
            return "the project is closed"
        if self._local or identity in room.invited or parts.welcome(manifest, self._peer):
            return ""
        if invitation and self._by_invitation(invitation):
            return ""
        match manifest.audience:
            case "friends":
                return "this project is for friends of whoever runs it"
            case "network":
                return "this project is for the members of a network"
            case _:
                return "this project is for those who are invited"

    def _by_invitation(self, invitation: bytes) -> bool:
        room, state = self._room, self._parts.state
        digest = hashlib.sha256(invitation).digest()
        uses, expires = room.invitations.get(digest, (0, None))
        if uses == 0 or (expires is not None and expires <= self._parts.wall()):
            return False
        if uses is not None:
            room.invitations[digest] = (uses - 1, expires)
        room.invited.add(self._identity)
        state.changes.add("invited", (room.number, self._identity))
        state.changes.add("invitations_used", (room.number, digest))
        return True

    def _welcome(self, serial: int, now: float) -> wire.Welcome:
        parts, room, identity = self._parts, self._room, self._identity
        left = 0
        for app in room.apps.values():
            standing = room.host(identity).apps.get(app.number)
            left = max(left, quota.FIRST if standing is None else quota.left(standing.quota, now))
        receipts = parts.receipts
        return wire.Welcome(
            manifest=room.signed if serial < room.manifest.serial else None,
            ledger=None if receipts is None else receipts.newest(room.key),
            left=left,
            units=room.state.units,
            done=room.state.done,
            eta=room.eta(now),
            credit=room.host(identity).credit,
            price=parts.price(room),
        )

    def _receipts(self) -> list[wire.Receipt]:
        receipts = self._parts.receipts
        return [] if receipts is None else receipts.waiting(self._room.key, self._identity, RECEIPTS)


async def serve(visit: Callable[[bytes, PeerId], Visit], session: Session, stream: Stream) -> None:
    """A volunteer's stream: questions are answered in their order, several at a time."""
    try:
        async with asyncio.timeout(FIRST):
            first = await wire.read_question.read(stream)
    except TimeoutError:
        raise BadMessage("a volunteer that says nothing") from None
    if not isinstance(first, wire.Join):
        raise BadMessage("a volunteer that did not say for which project it comes")
    try:
        here = visit(first.project, session.peer)
    except NotFound:
        await write_frame(stream, wire.Sorry("no such project here", None))
        return
    answers: asyncio.Queue[asyncio.Task[wire.Answer]] = asyncio.Queue(AHEAD)

    async def say() -> None:
        while True:
            await write_frame(stream, await (await answers.get()))

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(say(), name="answers to a volunteer")
            question: wire.Question = first
            while True:
                await answers.put(group.create_task(here.answer(question), name="question of a volunteer"))
                question = await wire.read_question.read(stream)
    except* ConnectionLost:
        pass  # it went; that is how a visit ends
    finally:
        here.close()


def widest(projects: list[Project]) -> str:
    """The audience that the service needs so that every project can decide for itself."""
    order = {"friends": 1, "network": 2, "everyone": 3, "invited": 3}
    most = max((order[one.audience] for one in projects if not one.closed), default=1)
    return ("", "friends", "network", "everyone")[most]
