"""People, messages and rooms in the API's words: the real node's. Its views have the same fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from servent.api import schema_talk as talk
from servent.api.part import Part
from servent.errors import NotFound, UsageError
from servent.identity import PeerId
from servent.net.ticket import SCHEME
from servent.node import Node
from servent.talk import views

T = TypeVar("T")
MINUTE = 60.0  # s


def _as(kind: type[T], view: object) -> T:
    """A view as the Struct with the same fields."""
    return msgspec.convert(msgspec.to_builtins(view, enc_hook=str), kind)


def _steady(friend: talk.Friend) -> talk.Friend:
    """Without a clock in it, so that a row is told when something has changed: `seen` is of those who are not here."""
    if friend.presence != "offline" or friend.seen is None:
        return msgspec.structs.replace(friend, seen=None)
    return msgspec.structs.replace(friend, seen=friend.seen // MINUTE * MINUTE)


class TalkPart(Part):
    """`TalkFace` over a `Node`."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._talk = node.talk
        self._rows: dict[str, tuple[views.Conversation, talk.Conversation]] = {}  # as they were last made

    def hear(
        self, on_message: Callable[[talk.Message], None], on_notice: Callable[[talk.Notice], None]
    ) -> None:
        told = 0

        def changed(topic: str) -> None:
            nonlocal told
            if topic == "notices":
                for notice in self._talk.notices(told):
                    told = notice.seq
                    on_notice(_as(talk.Notice, notice))

        self._talk.on_message(lambda message: on_message(_as(talk.Message, message)))
        self._talk.on_change(changed)

    # -- friends and presence

    def friends(self) -> list[talk.Friend]:
        return [_steady(one) for one in _as(list[talk.Friend], self._talk.friends())]

    async def ask_friend(self, request: talk.FriendRequest) -> talk.Friend:
        text = request.peer.strip()
        if text.casefold().startswith(SCHEME):
            whom = (await self._node.join(text)).peer
        elif len(text) > 64:
            raise UsageError("this is neither a peer nor a ticket", advice="`servent ticket` makes one.")
        else:
            whom = self._talk.whom(text)
        return _steady(_as(talk.Friend, await self._talk.ask(whom, request.note, request.petname)))

    async def answer_friend(self, peer: str, answer: talk.FriendAnswer) -> None:
        await self._talk.answer(self._talk.whom(peer), answer.answer == "yes", block=answer.block)

    async def change_friend(self, peer: str, change: talk.FriendChange) -> talk.Friend:
        now = await self._talk.change_friend(self._talk.whom(peer), silent=change.silent)
        return _steady(_as(talk.Friend, now))

    async def end_friendship(self, peer: str) -> None:
        await self._talk.end_friendship(self._talk.whom(peer))

    def my_presence(self) -> talk.MyPresence:
        return _as(talk.MyPresence, self._talk.my_presence())

    async def set_presence(self, change: talk.PresenceChange) -> talk.MyPresence:
        now = await self._talk.set_presence(
            presence=change.presence, note=change.note, idle_away=change.idle_away
        )
        return _as(talk.MyPresence, now)

    def touch(self) -> None:
        self._talk.touch()

    # -- conversations

    def conversations(self) -> list[talk.Conversation]:
        known, self._rows = self._rows, {}
        for view in self._talk.conversations():
            row = known.get(view.id)
            if row is None or row[0] != view:  # looked at twice a second, of a thousand few are new
                row = view, _as(talk.Conversation, view)
            self._rows[view.id] = row
        return [row for _, row in self._rows.values()]

    def conversation(self, conversation: str) -> talk.Conversation:
        name = self._talk.conversation_of(conversation)
        for known in self._talk.conversations():
            if known.id == name:
                return _as(talk.Conversation, known)
        kind, _, key = name.partition(":")
        if kind == "room":
            room = next((room for room in self._talk.room_list() if room.id == key), None)
            if room is None:
                raise NotFound("this node is not in that room", advice="`servent room ls --all` lists them.")
            return talk.Conversation(id=name, kind="room", title=room.name, network=room.network)
        person = _as(talk.Person, self._talk.person(PeerId.parse(key)))
        here: talk.Presence = next(
            (one.presence for one in self._talk.friends() if str(one.id) == key), "offline"
        )
        return talk.Conversation(id=name, kind="peer", title=person.shown, person=person, presence=here)

    async def messages(self, conversation: str, query: talk.MessagesQuery) -> talk.Messages:
        found = await self._talk.history(
            self._talk.conversation_of(conversation),
            before=query.before,
            after=query.after,
            limit=query.limit,
        )
        return _as(talk.Messages, found)

    async def send_message(self, conversation: str, message: talk.NewMessage) -> talk.Message:
        made = await self._talk.send(
            self._talk.conversation_of(conversation),
            message.text,
            attachments=tuple(message.attachments),
            reply_to=message.reply_to,
            token=message.token,
        )
        return _as(talk.Message, made)

    async def take_back(self, conversation: str, message: str) -> None:
        await self._talk.take_back(self._talk.conversation_of(conversation), message)

    async def mark_read(self, conversation: str, mark: talk.ReadMark) -> None:
        await self._talk.mark_read(self._talk.conversation_of(conversation), mark.order)

    async def change_conversation(self, conversation: str, change: talk.ConversationChange) -> None:
        await self._talk.change_conversation(self._talk.conversation_of(conversation), silent=change.silent)

    async def forget_messages(self, conversation: str) -> None:
        await self._talk.clear_history(self._talk.conversation_of(conversation))

    async def search_talk(self, query: talk.TalkQuery) -> list[talk.TalkHit]:
        hits = await self._talk.search(
            query.text,
            conversation=self._talk.conversation_of(query.conversation) if query.conversation else "",
            author=self._author(query.author),
            before=query.before,
            limit=query.limit,
        )
        return _as(list[talk.TalkHit], hits)

    def _author(self, text: str) -> PeerId | None:
        if not text:
            return None
        return self._node.peer if text.casefold() == "me" else self._talk.whom(text)

    def notices(self, after: int = 0) -> list[talk.Notice]:
        return _as(list[talk.Notice], self._talk.notices(after))

    def talk_sums(self) -> talk.TalkSums:
        return _as(talk.TalkSums, self._talk.sums())

    # -- rooms

    def rooms(self) -> list[talk.Room]:
        return _as(list[talk.Room], self._talk.room_list())

    async def create_room(self, new: talk.NewRoom) -> talk.Room:
        made = await self._talk.create_room(new.name, network=new.network, policy=new.policy, topic=new.topic)
        return _as(talk.Room, made)

    async def join_room(self, room: str) -> talk.Room:
        return _as(talk.Room, await self._talk.join_room(self._talk.room_of(room)))

    async def leave_room(self, room: str) -> None:
        await self._talk.leave_room(self._talk.room_of(room))

    async def close_room(self, room: str) -> None:
        await self._talk.close_room(self._talk.room_of(room))

    async def change_room(self, room: str, change: talk.RoomChange) -> talk.Room:
        now = await self._talk.change_room(
            self._talk.room_of(room),
            name=change.name,
            topic=change.topic,
            policy=change.policy,
            slow=change.slow,
        )
        return _as(talk.Room, now)

    def room_members(self, room: str) -> list[talk.RoomMember]:
        return _as(list[talk.RoomMember], self._talk.room_members(self._talk.room_of(room)))

    async def invite_to_room(self, room: str, peer: str) -> None:
        await self._talk.invite_to_room(self._talk.room_of(room), self._talk.whom(peer))

    async def moderate(self, room: str, moderation: talk.Moderation) -> None:
        await self._talk.moderate(
            self._talk.room_of(room),
            moderation.action,
            self._talk.whom(moderation.peer),
            seconds=moderation.seconds,
            reason=moderation.reason,
            purge=moderation.purge,
        )
