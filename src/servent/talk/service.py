"""The talk room: people, their presence and what they say. Builds its parts, starts and stops them in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from servent.identity import PeerId
from servent.talk import views

Topic = views.Topic


class Talk:
    """Owns everything about talk. `open` it before the network runs, `run` it in a task, `close` it first.

    A conversation is "peer:<id>" or "room:<id>"; `conversation_of` finds it by what people type. Peers come as PeerId:
    `whom` finds them. Every method may raise a ServentError.
    """

    # -- life

    async def open(self) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    def on_change(self, callback: Callable[[Topic], None]) -> None:
        """Call `callback(topic)` on the loop when what the methods of that topic answer has changed."""
        raise NotImplementedError

    def on_message(self, callback: Callable[[views.Message], None]) -> None:
        """Call `callback(message)` for each message that is new, delivered, failed, or was taken back."""
        raise NotImplementedError

    # -- names

    def whom(self, text: str) -> PeerId:
        """A peer by petname, by a name nobody else here looks like, by short or whole id. Raises NotFound, UsageError."""
        raise NotImplementedError

    def conversation_of(self, text: str) -> str:
        """The id of a conversation, by its id, a peer's name, or a room's name. Raises NotFound, UsageError."""
        raise NotImplementedError

    def person(self, peer: PeerId) -> views.Person:
        raise NotImplementedError

    # -- friends

    def friends(self) -> list[views.Friend]:
        """Those who ask first, then friends who are there, then the others, each by name."""
        raise NotImplementedError

    async def ask(self, peer: PeerId, note: str = "", petname: str = "") -> views.Friend:
        """Ask to be friends; yes, where they asked already. What we say yes to holds at once on our side."""
        raise NotImplementedError

    async def answer(self, peer: PeerId, yes: bool, *, block: bool = False) -> None:
        """Answer who asks. No tells them nothing. Raises NotFound when they do not ask."""
        raise NotImplementedError

    async def change_friend(self, peer: PeerId, *, silent: bool | None = None) -> views.Friend:
        raise NotImplementedError

    async def end_friendship(self, peer: PeerId) -> None:
        """On both sides; also takes back a question that was not answered. Raises NotFound."""
        raise NotImplementedError

    # -- presence

    def my_presence(self) -> views.MyPresence:
        raise NotImplementedError

    async def set_presence(
        self,
        *,
        presence: Literal["available", "away", "offline"] | None = None,
        note: str | None = None,
        idle_away: float | None = None,
    ) -> views.MyPresence:
        """Only what is given changes."""
        raise NotImplementedError

    def set_doing(self, text: str) -> None:
        """The match this node's person is in, "" when it is over."""
        raise NotImplementedError

    def touch(self) -> None:
        """The person is here."""
        raise NotImplementedError

    # -- messages

    def conversations(self) -> list[views.Conversation]:
        """The ones with the newest messages first."""
        raise NotImplementedError

    async def history(
        self, conversation: str, *, before: str = "", after: str = "", limit: int = 50
    ) -> views.History:
        raise NotImplementedError

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
        raise NotImplementedError

    async def take_back(self, conversation: str, message: str) -> None:
        raise NotImplementedError

    async def mark_read(self, conversation: str, order: str = "") -> None:
        """Everything up to `order` has been read, "" for everything."""
        raise NotImplementedError

    async def change_conversation(self, conversation: str, *, silent: bool | None = None) -> None:
        raise NotImplementedError

    async def clear_history(self, conversation: str) -> None:
        raise NotImplementedError

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
        raise NotImplementedError

    def notices(self, after: int = 0) -> list[views.Notice]:
        """Those with a higher `seq`, oldest first."""
        raise NotImplementedError

    def sums(self) -> views.TalkSums:
        raise NotImplementedError

    # -- rooms. `room`: an id; `room_of` finds it by name.

    def room_of(self, text: str) -> str:
        raise NotImplementedError

    def room_list(self) -> list[views.Room]:
        """Those this node is in, then invitations, then open ones it has heard of."""
        raise NotImplementedError

    async def create_room(
        self, name: str, *, network: str = "", policy: views.RoomPolicy = "open", topic: str = ""
    ) -> views.Room:
        raise NotImplementedError

    async def join_room(self, room: str) -> views.Room:
        raise NotImplementedError

    async def leave_room(self, room: str) -> None:
        raise NotImplementedError

    async def close_room(self, room: str) -> None:
        """For everybody and for good; only the owner can. `Rooms.shut`."""
        raise NotImplementedError

    async def change_room(
        self,
        room: str,
        *,
        name: str | None = None,
        topic: str | None = None,
        policy: views.RoomPolicy | None = None,
        slow: float | None = None,
    ) -> views.Room:
        raise NotImplementedError

    def room_members(self, room: str) -> list[views.RoomMember]:
        raise NotImplementedError

    async def invite_to_room(self, room: str, peer: PeerId) -> None:
        raise NotImplementedError

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
        raise NotImplementedError
