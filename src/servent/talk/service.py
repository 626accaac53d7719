"""The talk room: people, their presence and what they say. Builds its parts, starts and stops them in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Literal

from servent.errors import NotFound, ServentError, UsageError
from servent.identity import PeerId
from servent.net.peers import Peers
from servent.net.session import Session
from servent.store import Store
from servent.talk import showing, views
from servent.talk.direct_service import Direct, name_of, peer_of
from servent.talk.friends_service import Friends
from servent.talk.history import Row
from servent.talk.history_service import History
from servent.talk.mail_service import Mail
from servent.talk.notices import Notices
from servent.talk.presence import LINGER
from servent.talk.room_talk_service import MakeRooms, RoomTalk
from servent.talk.settings import Defaults, Settings
from servent.talk.shelf_service import DiskShelf
from servent.tasks import begin
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

FILE = "talk.db"
Topic = views.Topic


class Talk:
    """Owns everything about talk. `open` it before the network runs, `run` it in a task, `close` it first.

    A conversation is "peer:<id>" or "room:<id>"; `conversation_of` finds it by what people type. Peers come as PeerId:
    `whom` finds them. Every method may raise a ServentError.

    Args:
        store: a database of its own (`talk.db`), not open yet; closed by `close`.
        my_name: what others see.
        make_rooms: makes the rooms on the shelf it is given; None for a node without rooms.
        settings: the section `talk` of the configuration.
        shares: whether a peer that is connected has something to browse.
        linger: seconds a friend whose connection is gone is still shown.
    """

    def __init__(
        self,
        peers: Peers,
        trust: TrustService,
        store: Store,
        *,
        my_name: Callable[[], str],
        make_rooms: MakeRooms | None = None,
        settings: Settings | None = None,
        shares: Callable[[Session], bool] = lambda session: False,
        wall: Callable[[], float] = time.time,
        linger: float = LINGER,
    ) -> None:
        self._peers, self._trust, self._store, self._wall, self._my_name = peers, trust, store, wall, my_name
        asked = settings or Defaults()
        self._callbacks: list[Callable[[Topic], None]] = []
        self._message_callbacks: list[Callable[[views.Message], None]] = []
        self._notices = Notices()
        self._tasks: asyncio.TaskGroup | None = None
        self._main: asyncio.Task[None] | None = None
        self._closed = False
        self._history = History(store, wall, lambda: asked.keep_days)
        self._friends = Friends(
            peers,
            trust,
            store,
            my_name=my_name,
            shares=shares,
            stand_again=lambda peer: self._mail.stand_again(peer),
            wake=lambda peer: self._mail.wake(peer),
            unread=lambda peer: self._history.tally(name_of(peer)).unread,
            notify=self._notify,
            told=self._told,
            wall=wall,
            linger=linger,
        )
        self._direct = Direct(
            peers.peer,
            self._history,
            self._friends,
            lambda peer, body, write: self._mail.post(peer, body, write),
            my_name=my_name,
            messages_from=lambda: asked.messages_from,
            on_row=self._row_changed,
            wall=wall,
        )
        self._mail = Mail(peers, store, self._friends, self._direct, wall)
        self._rooms = RoomTalk(
            peers.peer,
            DiskShelf(store, self._history, bytes(peers.peer), my_name),
            self._history,
            make_rooms,
            self._direct,
            trust,
            person=self.person,
            presence=self._friends.presence,
            on_row=self._row_changed,
            notify=self._notify_room,
            told=self._told,
            wall=wall,
        )

    # -- life

    async def open(self) -> None:
        """Load what is remembered. A file that is damaged is moved aside; trust is open already."""
        if (trouble := await self._store.open_or_begin_anew()) is not None:
            log.warning("%s", trouble)
        await self._history.open()
        await self._friends.open()
        await self._mail.open()
        await self._rooms.open()
        self._history.on_change(lambda conversation: self._told("conversations"))
        self._trust.on_change(self._trust_changed)

    async def run(self) -> None:
        """Until cancelled or closed."""
        if self._closed:  # before it began
            return
        async with asyncio.TaskGroup() as tasks:
            self._main = tasks.create_task(self._run(), name="talk")

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._friends.run(), name="friends")
                tasks.create_task(self._mail.run(), name="messages to deliver")
                tasks.create_task(self._history.run(), name="what was said")
                tasks.create_task(self._rooms.run(), name="rooms")
        finally:
            self._tasks = None

    async def close(self) -> None:
        """Say goodbye in rooms, take nothing more, and close the file."""
        self._closed = True
        await self._rooms.close()
        self._mail.close()
        if self._main is not None:
            self._main.cancel()
            await asyncio.wait([self._main])
        await self._store.close()

    def on_change(self, callback: Callable[[Topic], None]) -> None:
        """Call `callback(topic)` on the loop when what the methods of that topic answer has changed."""
        self._callbacks.append(callback)

    def on_message(self, callback: Callable[[views.Message], None]) -> None:
        """Call `callback(message)` for each message that is new, delivered, failed, or was taken back."""
        self._message_callbacks.append(callback)

    def _told(self, topic: Topic) -> None:
        for callback in self._callbacks:
            callback(topic)

    # -- names

    def whom(self, text: str) -> PeerId:
        """A peer by petname, by short or whole id, or by a name that only one here has or looks like.

        Raises:
            NotFound, UsageError: nobody, or more than one.
        """
        text = text.strip()
        try:
            return self._trust.resolve(text, (session.peer for session in self._peers.sessions()))
        except NotFound:
            alike = self._friends.named(text) if text else []
            if len(alike) == 1 and self.person(alike[0]).name.casefold() == text.casefold():
                return alike[0]
            if not alike:
                raise
            some = ", ".join(f"{self.person(peer).shown} ({peer.short})" for peer in alike[:5])
            raise UsageError(f"{text[:40]!r} could be: {some}", advice="Name them by their id.") from None

    def conversation_of(self, text: str) -> str:
        """The id of a conversation, by its id, a peer's name, or a room's name ("#name" is a room for sure).

        Raises:
            NotFound, UsageError: none, or more than one.
        """
        text = text.strip()
        if text.startswith("peer:"):
            return name_of(self.whom(text[5:]))
        if text.startswith(("room:", "#")):
            return self._rooms.conversation(text)
        try:
            room = self._rooms.conversation(text)
        except NotFound:
            return name_of(self.whom(text))
        try:
            peer = self.whom(text)
        except ServentError:
            return room
        raise UsageError(
            f"{text[:40]!r} is a room and a person",
            advice=f"Say #{text[:40]} for the room, {peer.short} for the person.",
        )

    def person(self, peer: PeerId) -> views.Person:
        """How somebody is to be shown."""
        return self._friends.person(peer)

    # -- friends

    def friends(self) -> list[views.Friend]:
        """Those who ask first, then friends who are there, then the others, each by name."""
        return self._friends.friends()

    async def ask(self, peer: PeerId, note: str = "", petname: str = "") -> views.Friend:
        """Ask to be friends; yes, where they asked already. What we say yes to holds at once on our side."""
        return await self._friends.ask(peer, note, petname)

    async def answer(self, peer: PeerId, yes: bool, *, block: bool = False) -> None:
        """Answer who asks. No tells them nothing. Raises NotFound when they do not ask."""
        await self._friends.answer(peer, yes, block=block)

    async def change_friend(self, peer: PeerId, *, silent: bool | None = None) -> views.Friend:
        if silent is not None:
            await self._friends.silence(peer, silent)
        return self._friends.friend(peer)

    async def end_friendship(self, peer: PeerId) -> None:
        """On both sides; also takes back a question that was not answered. Raises NotFound."""
        await self._friends.end(peer)

    # -- presence

    def my_presence(self) -> views.MyPresence:
        return self._friends.my_presence()

    async def set_presence(
        self,
        *,
        presence: Literal["available", "away", "offline"] | None = None,
        note: str | None = None,
        idle_away: float | None = None,
    ) -> views.MyPresence:
        """Only what is given changes."""
        return await self._friends.set_presence(presence, note, idle_away)

    def set_doing(self, text: str) -> None:
        """The match this node's person is in, "" when it is over."""
        self._friends.set_doing(text)

    def touch(self) -> None:
        """The person is here."""
        self._friends.touch()

    # -- messages

    def conversations(self) -> list[views.Conversation]:
        """The ones with the newest messages first."""
        found = []
        for id, tally in self._history.tallies().items():
            if tally.last is None:
                continue
            last = self._message(tally.last)
            if id.startswith("peer:"):
                peer = peer_of(id)
                person = self.person(peer)
                found.append(
                    views.Conversation(
                        id, "peer", person.shown, person, "", tally.unread, tally.mentions, last, tally.silent,
                        self._friends.presence(peer),
                    )
                )  # fmt: skip
            else:
                title, network = self._rooms.title(id)
                found.append(
                    views.Conversation(
                        id, "room", title, None, network, tally.unread, tally.mentions, last, tally.silent
                    )
                )
        return sorted(found, key=lambda one: -(one.last.received if one.last is not None else 0.0))

    async def history(
        self, conversation: str, *, before: str = "", after: str = "", limit: int = 50
    ) -> views.History:
        """A page, oldest first. `before`, `after`: values of `order`."""
        rows, more = await self._history.page(conversation, before, after, max(1, min(limit, 500)))
        return views.History(
            tuple(map(self._message, rows)),
            more,
            self._rooms.catching_up(conversation),
            self._history.tally(conversation).read,
        )

    async def send(
        self,
        conversation: str,
        text: str = "",
        *,
        attachments: tuple[str, ...] = (),
        reply_to: str | None = None,
        token: str = "",
    ) -> views.Message:
        """Returns once it is stored here; it is delivered when it can be. The same `token` within a day is the same message."""
        self.touch()
        if conversation.startswith("room:"):
            return self._message(await self._rooms.say(conversation, text, attachments, reply_to, token))
        peer = peer_of(conversation)
        contact = self._trust.contact(peer)
        if peer == self._peers.peer:
            raise UsageError("that is you")
        if contact is not None and contact.blocked:
            raise UsageError(f"{peer.short} is blocked here", advice="Unblock them first.")
        return self._message(await self._direct.send(peer, text, attachments, reply_to, token))

    async def take_back(self, conversation: str, message: str) -> None:
        """Our own message; a moderator's of anybody in a room. `message`: its id."""
        if conversation.startswith("room:"):
            await self._rooms.take_back(conversation, message)
        else:
            await self._direct.take_back(peer_of(conversation), message)

    async def mark_read(self, conversation: str, order: str = "") -> None:
        """Everything up to `order` has been read, "" for everything."""
        await self._history.mark_read(conversation, order)
        if self._notices.read(conversation):
            self._told("notices")
        self._told("rooms" if conversation.startswith("room:") else "friends")

    async def change_conversation(self, conversation: str, *, silent: bool | None = None) -> None:
        if silent is not None:
            await self._history.set_silent(conversation, silent)

    async def clear_history(self, conversation: str) -> None:
        """Of this node alone."""
        await self._history.clear(conversation)

    async def search(
        self,
        text: str,
        *,
        conversation: str = "",
        author: PeerId | None = None,
        before: float | None = None,
        limit: int = 50,
    ) -> list[views.TalkHit]:
        """Newest first. `conversation`: an id, "" for all."""
        whose = None if author is None else bytes(author)
        hits = await self._history.search(text, conversation, whose, before, max(1, min(limit, 200)))
        return [
            views.TalkHit(self._message(row), self._title(row.conversation), ranges) for row, ranges in hits
        ]

    def notices(self, after: int = 0) -> list[views.Notice]:
        """Those with a higher `seq`, oldest first."""
        return self._notices.after(after)

    def sums(self) -> views.TalkSums:
        tallies = self._history.tallies().values()
        return views.TalkSums(
            sum(one.unread for one in tallies),
            sum(one.mentions for one in tallies),
            self._friends.asking(),
            self._rooms.invitations(),
        )

    # -- rooms. `room`: an id; `room_of` finds it by name.

    def room_of(self, text: str) -> str:
        """Raises NotFound, UsageError."""
        return self._rooms.conversation(text).removeprefix("room:")

    def room_list(self) -> list[views.Room]:
        """Those this node is in, then invitations, then open ones it has heard of."""
        return self._rooms.rooms()

    async def create_room(
        self, name: str, *, network: str = "", policy: views.RoomPolicy = "open", topic: str = ""
    ) -> views.Room:
        """`network`: name or id; "" where this node is in one alone."""
        return await self._rooms.create(name, network, policy, topic)

    async def join_room(self, room: str) -> views.Room:
        return await self._rooms.join(room)

    async def leave_room(self, room: str) -> None:
        """Or say no to an invitation. An owner hands over first, or is the last and closes it."""
        await self._rooms.leave(room)

    async def change_room(
        self,
        room: str,
        *,
        name: str | None = None,
        topic: str | None = None,
        policy: views.RoomPolicy | None = None,
        slow: float | None = None,
    ) -> views.Room:
        """Only what is given changes. A room stays open, or by invitation, as it was founded."""
        return await self._rooms.change(room, name, topic, policy, slow)

    async def close_room(self, room: str) -> None:
        """As its owner: nothing can be said in it any more."""
        await self._rooms.shut(room)

    def room_members(self, room: str) -> list[views.RoomMember]:
        return self._rooms.members(room)

    async def invite_to_room(self, room: str, peer: PeerId) -> None:
        """It reaches them by a direct message, when they are there."""
        await self._rooms.invite(room, peer)

    async def moderate(
        self,
        room: str,
        action: str,
        peer: PeerId,
        *,
        seconds: float | None = None,
        reason: str = "",
        purge: bool = False,
    ) -> None:
        """`action`: one of `schema_talk.RoomAction`."""
        await self._rooms.moderate(room, action, peer, seconds, reason, purge)

    # -- inside

    def _trust_changed(self) -> None:
        """To whom is blocked nothing is delivered."""
        for peer in self._mail.awaited():
            contact = self._trust.contact(peer)
            if contact is not None and contact.blocked:
                self._mail.dropped(peer)
                begin(self._tasks, self._give_up(peer), f"give up messages to {peer.short}")

    async def _give_up(self, peer: PeerId) -> None:
        try:
            await self._direct.give_up(peer, "you blocked them")
        except ServentError as wrong:
            log.warning("messages that are not to be delivered are still kept: %s", wrong)

    def _title(self, conversation: str) -> str:
        if conversation.startswith("peer:"):
            return self.person(peer_of(conversation)).shown
        return self._rooms.title(conversation)[0]

    def _message(self, row: Row) -> views.Message:
        return showing.message(row, self._peers.peer, self._my_name(), self.person)

    def _row_changed(self, row: Row, new: bool) -> None:
        """A message is new here, or another. `new`: somebody else just said it."""
        message = self._message(row)
        for callback in self._message_callbacks:
            callback(message)
        if new and row.author != bytes(self._peers.peer) and row.unread:
            self._notify_message(row, message)

    def _notify_message(self, row: Row, message: views.Message) -> None:
        if self._history.tally(row.conversation).silent and not message.mention:
            return
        kind: views.NoticeKind = "mention" if message.mention else "message"
        text = message.text or ", ".join(one.name or one.link for one in message.attachments)
        self._note(kind, row.conversation, message.author, text)

    def _notify(self, kind: views.NoticeKind, peer: PeerId, text: str) -> None:
        self._note(kind, name_of(peer), self.person(peer), text)

    def _notify_room(self, kind: views.NoticeKind, conversation: str, peer: PeerId | None, text: str) -> None:
        self._note(kind, conversation, None if peer is None else self.person(peer), text)

    def _note(
        self, kind: views.NoticeKind, conversation: str, person: views.Person | None, text: str
    ) -> None:
        self._notices.add(kind, self._wall(), conversation=conversation, person=person, text=text)
        self._told("notices")
