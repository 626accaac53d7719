"""The client's part that is about people: one method for each of `face_talk`, mostly under the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from servent.api import schema
from servent.api.client_http import Http, Later, part

if TYPE_CHECKING:
    from servent.api import schema_talk as talk
else:
    talk = Later("servent.api.schema_talk")

ASKING = 60.0  # s for what asks peers before it answers


class TalkClient(Http):
    """Raises as `Client` does. `peer`, `room`, `conversation`: as people name them, see `schema_talk`."""

    # -- friends and presence

    def friends(self) -> list[talk.Friend]:
        return self._get("/friends", list[talk.Friend])

    def ask_friend(self, peer: str, *, note: str = "", petname: str = "") -> talk.Friend:
        """`peer`: a peer, or a ticket of theirs."""
        wish = talk.FriendRequest(peer=peer, note=note, petname=petname)
        return self._send("POST", "/friends", talk.Friend, wish, timeout=max(ASKING, self.timeout))

    def answer_friend(self, peer: str, *, yes: bool, block: bool = False) -> None:
        answer = talk.FriendAnswer(answer="yes" if yes else "no", block=block)
        self._send("POST", f"/friends/{part(peer)}/answer", schema.Done, answer)

    def change_friend(self, peer: str, *, silent: bool | None = None) -> talk.Friend:
        return self._send("PATCH", f"/friends/{part(peer)}", talk.Friend, talk.FriendChange(silent=silent))

    def end_friendship(self, peer: str) -> None:
        self._send("DELETE", f"/friends/{part(peer)}", schema.Done)

    def presence(self) -> talk.MyPresence:
        return self._get("/presence", talk.MyPresence)

    def set_presence(self, change: talk.PresenceChange) -> talk.MyPresence:
        return self._send("PATCH", "/presence", talk.MyPresence, change)

    def touch(self) -> talk.MyPresence:
        """The person is here."""
        return self._send("POST", "/presence/touch", talk.MyPresence)

    # -- conversations

    def conversations(self) -> list[talk.Conversation]:
        return self._get("/conversations", list[talk.Conversation])

    def conversation(self, conversation: str) -> talk.Conversation:
        """By its id, or by what a person calls it."""
        return self._get(f"/conversations/{part(conversation)}", talk.Conversation)

    def messages(
        self, conversation: str, *, before: str = "", after: str = "", limit: int = 50
    ) -> talk.Messages:
        """A page, oldest first: the newest ones, or those next to a value of `order`."""
        query = urlencode({"before": before, "after": after, "limit": limit})
        return self._get(f"/conversations/{part(conversation)}/messages?{query}", talk.Messages)

    def send_message(
        self,
        conversation: str,
        text: str,
        *,
        attachments: list[str] | None = None,
        reply_to: str | None = None,
        token: str = "",
    ) -> talk.Message:
        new = talk.NewMessage(text=text, attachments=attachments or [], reply_to=reply_to, token=token)
        return self._send("POST", f"/conversations/{part(conversation)}/messages", talk.Message, new)

    def take_back(self, conversation: str, message: str) -> None:
        self._send("DELETE", f"/conversations/{part(conversation)}/messages/{part(message)}", schema.Done)

    def mark_read(self, conversation: str, order: str = "") -> None:
        """Up to `order`; "" for everything."""
        self._send(
            "POST", f"/conversations/{part(conversation)}/read", schema.Done, talk.ReadMark(order=order)
        )

    def change_conversation(self, conversation: str, *, silent: bool | None = None) -> None:
        self._send(
            "PATCH",
            f"/conversations/{part(conversation)}",
            schema.Done,
            talk.ConversationChange(silent=silent),
        )

    def forget_messages(self, conversation: str) -> None:
        self._send("DELETE", f"/conversations/{part(conversation)}/messages", schema.Done)

    def search_talk(self, query: talk.TalkQuery) -> list[talk.TalkHit]:
        said = {key: value for key, value in msgspec.to_builtins(query).items() if value is not None}
        return self._get("/talk/search?" + urlencode(said), list[talk.TalkHit])

    def notices(self, after: int = 0) -> list[talk.Notice]:
        return self._get(f"/notices?after={after}", list[talk.Notice])

    def talk_sums(self) -> talk.TalkSums:
        return self._get("/talk", talk.TalkSums)

    # -- rooms

    def rooms(self) -> list[talk.Room]:
        return self._get("/rooms", list[talk.Room])

    def create_room(self, new: talk.NewRoom) -> talk.Room:
        return self._send("POST", "/rooms", talk.Room, new)

    def join_room(self, room: str) -> talk.Room:
        return self._send("POST", f"/rooms/{part(room)}/join", talk.Room, timeout=max(ASKING, self.timeout))

    def leave_room(self, room: str) -> None:
        self._send("POST", f"/rooms/{part(room)}/leave", schema.Done)

    def close_room(self, room: str) -> None:
        self._send("DELETE", f"/rooms/{part(room)}", schema.Done)

    def change_room(self, room: str, change: talk.RoomChange) -> talk.Room:
        return self._send("PATCH", f"/rooms/{part(room)}", talk.Room, change)

    def room_members(self, room: str) -> list[talk.RoomMember]:
        return self._get(f"/rooms/{part(room)}/members", list[talk.RoomMember])

    def invite_to_room(self, room: str, peer: str) -> None:
        self._send("POST", f"/rooms/{part(room)}/invite", schema.Done, talk.RoomInvite(peer=peer))

    def moderate(self, room: str, moderation: talk.Moderation) -> None:
        self._send("POST", f"/rooms/{part(room)}/moderation", schema.Done, moderation)
