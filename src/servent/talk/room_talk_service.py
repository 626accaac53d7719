"""Between rooms and the rest of talk: what is said in them becomes history, notices and views, and what people do goes to them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from servent.codec import canonical
from servent.errors import NotFound, ServentError, UsageError
from servent.identity import PeerId
from servent.talk import history, records, rooms_view, views
from servent.talk.direct_service import Direct
from servent.talk.history import Row
from servent.talk.history_service import History
from servent.talk.room_facts import Moderated, RoomFacts
from servent.talk.rooms_service import Rooms
from servent.talk.shelf import RoomShelf
from servent.talk.shelf import Row as Said
from servent.talk.shelf_service import name_of
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

INVITATION = "room-invitation"  # a parcel
MOST_WAITING = 10_000  # things that happened and are not shown yet
MakeRooms = Callable[[RoomShelf], Rooms]


class RoomTalk:
    """Owns the node's `Rooms`. `open` it when its store is open, `run` it in a task, `close` it first.

    Args:
        make: None for a node without rooms.
        on_row, notify, told: of `Talk`.
    """

    def __init__(
        self,
        me: PeerId,
        shelf: RoomShelf,
        records_: History,
        make: MakeRooms | None,
        direct: Direct,
        trust: TrustService,
        *,
        person: Callable[[PeerId], views.Person],
        presence: Callable[[PeerId], views.Presence],
        on_row: Callable[[Row, bool], None],
        notify: Callable[[views.NoticeKind, str, PeerId | None, str], None],
        told: Callable[[views.Topic], None],
        wall: Callable[[], float],
    ) -> None:
        self._me, self._history, self._direct, self._trust, self._wall = me, records_, direct, trust, wall
        self._person, self._presence, self._on_row, self._notify, self._told = (
            person,
            presence,
            on_row,
            notify,
            told,
        )
        self._rooms = make(shelf) if make is not None else None
        self._happened: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(MOST_WAITING)
        self._invited: set[bytes] = set()
        self._saying = asyncio.Lock()

    # -- life

    async def open(self) -> None:
        rooms = self._rooms
        if rooms is None:
            return
        rooms.on_message(lambda room, row: self._later(lambda: self._said(room, row)))
        rooms.on_delivered(lambda room, id: self._later(lambda: self._delivered(room, id)))
        rooms.on_removed(lambda room, ids: self._later(lambda: self._removed(room, ids)))
        rooms.on_act(lambda act: self._later(lambda: self._acted(act)))
        rooms.on_room(self._room_changed)
        self._direct.on_parcel(INVITATION, self._take_invitation)
        await rooms.open()
        self._invited = {one.id for one in rooms.rooms() if _is_invitation(one)}

    async def run(self) -> None:
        """Until cancelled."""
        if self._rooms is None:
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._rooms.run(), name="rooms of networks")
            tasks.create_task(self._show(), name="what happens in rooms")

    async def close(self) -> None:
        if self._rooms is not None:
            await self._rooms.close()

    # -- how things are

    @property
    def _there(self) -> Rooms:
        if self._rooms is None:
            raise UsageError("this node has no rooms")
        return self._rooms

    def rooms(self) -> list[views.Room]:
        rooms = self._rooms.rooms() if self._rooms is not None else []
        warnings = rooms_view.alike(rooms)
        return [self._view(one, warnings.get(one.id, "")) for one in rooms]

    def _view(self, facts: RoomFacts, warning: str = "") -> views.Room:
        tally, network = self._history.tally(name_of(facts.id)), self._network(facts.network)
        return rooms_view.view(facts, tally, network, self._person, warning)

    def _network(self, key: bytes) -> str:
        try:
            return self._trust.network(key).name
        except NotFound:
            return ""

    def invitations(self) -> int:
        return sum(map(_is_invitation, self._rooms.rooms())) if self._rooms is not None else 0

    def title(self, conversation: str) -> tuple[str, str]:
        """Name and network of the room of a conversation."""
        facts = self._facts(conversation)
        if facts is None:
            return f"a room you left ({conversation[5:11]})", ""
        return facts.name, self._network(facts.network)

    def catching_up(self, conversation: str) -> bool:
        facts = self._facts(conversation)
        return facts is not None and facts.catching_up

    def _facts(self, conversation: str) -> RoomFacts | None:
        if self._rooms is None or not conversation.startswith("room:"):
            return None
        try:
            return self._rooms.room(rooms_view.room_of(conversation))
        except NotFound:
            return None

    def conversation(self, text: str) -> str:
        """By id or name. Raises NotFound, UsageError."""
        if text.startswith("room:") and text in self._history.tallies():
            return text
        rooms = self._rooms.rooms() if self._rooms is not None else []
        return name_of(rooms_view.found(text, rooms))

    def members(self, room: str) -> list[views.RoomMember]:
        found = self._there.members(_id(room))
        return [rooms_view.member(one, self._person, self._presence) for one in found]

    # -- what the person here does

    async def create(self, name: str, network: str, policy: views.RoomPolicy, topic: str) -> views.Room:
        if network:
            key = self._trust.network(network).key
        else:
            mine = [one for one in self._trust.networks() if one.member]
            if len(mine) != 1:
                raise UsageError(
                    f"you are in {len(mine)} networks",
                    advice="Say which one the room is for." if mine else "Join one first.",
                )
            key = mine[0].key
        made = await self._there.create(key, name, policy=policy, topic=topic)
        self._told("rooms")
        return self._view(made)

    async def join(self, room: str) -> views.Room:
        """What was said before is there to be read, and does not count as unread."""
        id = _id(room)
        if not self._there.room(id).joined:
            edge = f"{int(self._wall() * 1000):016x}"
            await self._history.mark_read(name_of(id), edge)
        made = await self._there.join(id)
        self._told("rooms")
        return self._view(made)

    async def leave(self, room: str) -> None:
        await self._there.leave(_id(room))
        self._told("rooms")

    async def shut(self, room: str) -> None:
        await self._there.shut(_id(room))
        self._told("rooms")

    async def change(
        self,
        room: str,
        name: str | None,
        topic: str | None,
        policy: views.RoomPolicy | None,
        slow: float | None,
    ) -> views.Room:
        id = _id(room)
        if policy is not None and policy != self._there.room(id).policy:
            raise UsageError(
                "a room stays open, or by invitation, as it was founded",
                advice="What was said among few was said among few. Create another room.",
            )
        made = await self._there.change(id, name=name, topic=topic, slow=slow)
        self._told("rooms")
        return self._view(made)

    async def invite(self, room: str, peer: PeerId) -> None:
        invite = await self._there.invite(_id(room), peer)
        await self._direct.parcel(peer, INVITATION, canonical(invite))

    async def moderate(
        self, room: str, action: str, peer: PeerId, seconds: float | None, reason: str, purge: bool
    ) -> None:
        await self._there.moderate(_id(room), action, peer, seconds=seconds, reason=reason, purge=purge)
        self._told("rooms")

    async def say(
        self, conversation: str, text: str, links: tuple[str, ...], reply_to: str | None, token: str
    ) -> Row:
        """Returns once it is kept. The same token within a day is the same message."""
        room = rooms_view.room_of(conversation)
        answered = None if reply_to is None else bytes.fromhex(reply_to)
        async with self._saying:
            if token:
                known = await self._history.write(
                    conversation, lambda db: history.by_token(db, conversation, token, self._wall())
                )
                if known is not None:
                    return known
            said = await self._there.say(room, text, links=links, reply_to=answered)
            if token:
                await self._history.write(
                    conversation, lambda db: history.set_token(db, conversation, said.id, token)
                )
        return await self._history.get(conversation, said.id)

    async def take_back(self, conversation: str, message: str) -> None:
        await self._there.take_back(rooms_view.room_of(conversation), bytes.fromhex(message))

    # -- what happens

    async def _take_invitation(self, sender: PeerId, data: bytes) -> None:
        facts = await self._there.invited(sender, records.invites.decode(data))
        if facts is not None:
            self._room_changed(facts.id)

    def _room_changed(self, room: bytes) -> None:
        try:
            facts = self._there.room(room)
        except NotFound:
            self._invited.discard(room)
        else:
            if not _is_invitation(facts):
                self._invited.discard(room)
            elif room not in self._invited:
                self._invited.add(room)
                self._notify("invited", name_of(room), facts.inviter, facts.name)
        self._told("rooms")

    def _later(self, work: Callable[[], Awaitable[None]]) -> None:
        """In the order in which it happened. What is too much is not shown as news; the history has it."""
        if not self._happened.full():
            self._happened.put_nowait(work)

    async def _show(self) -> None:
        while True:
            work = await self._happened.get()
            try:
                await work()
            except ServentError as wrong:
                log.info("of a room: %s", wrong)

    async def _said(self, room: bytes, said: Said) -> None:
        if said.message.takes is not None:
            return
        row = await self._history.get(name_of(room), said.id)
        self._on_row(row, not said.own and row.unread)

    async def _delivered(self, room: bytes, id: bytes) -> None:
        conversation = name_of(room)
        row = await self._history.write(
            conversation, lambda db: history.settle(db, conversation, id, history.DELIVERED)
        )
        if row is not None:
            self._on_row(row, False)

    async def _removed(self, room: bytes, ids: Sequence[bytes]) -> None:
        conversation = name_of(room)
        for id in ids:
            try:
                self._on_row(await self._history.get(conversation, id), False)
            except NotFound:
                continue

    async def _acted(self, act: Moderated) -> None:
        conversation = name_of(act.room)
        key = canonical([act.room, bytes(act.author), act.number, act.deed, bytes(act.peer or b"")])
        id = hashlib.sha256(b"servent talk event\0" + key).digest()[:16]
        row = rooms_view.event(act, conversation, self._person, id, self._wall())
        if row is None:
            return
        made = await self._history.write(conversation, lambda db: history.add(db, row))
        if made is None:
            return
        self._on_row(made, False)
        if act.peer == self._me and act.author != self._me:
            self._notify("moderated", conversation, act.author, f"{row.event}: {act.reason}".rstrip(": "))


def _is_invitation(facts: RoomFacts) -> bool:
    return facts.inviter is not None and not facts.joined


def _id(room: str) -> bytes:
    return rooms_view.room_of(room if room.startswith("room:") else f"room:{room}")
