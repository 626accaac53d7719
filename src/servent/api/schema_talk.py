"""The stable surface, what is about people: friends, presence, rooms, messages, unread, notices.

The same rules as in `schema`. A peer is named by its id, in requests also by petname, name or short id. A conversation is named
"peer:<id>" or "room:<id>"; in requests a peer's name or a room's name will do where it is plain which one is meant.
All texts are plain text: nothing in them is markup, and whoever draws them escapes them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.api.schema import ShortName

TEXT_CHARACTERS = 4000  # of one message, as Discord and Soulseek users know it; the wire's limit is in bytes
Presence = Literal["available", "away", "match", "offline"]
Bond = Literal["friend", "asked", "asking", "none"]  # asked: we asked them; asking: they ask us
Delivery = Literal["received", "waiting", "delivered", "failed"]
RoomPolicy = Literal["open", "invite"]
Standing = Literal["owner", "moderator", "member", "invited", "banned", "none"]
RoomAction = Literal[
    "kick", "ban", "unban", "mute", "unmute", "moderator", "member", "owner"
]  # the last three: what somebody is from now on
NoticeKind = Literal[
    "message", "mention", "friend-asks", "friend-accepted", "friend-online", "invited", "moderated"
]
Message_ = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS)]
ConversationName = Annotated[str, Meta(min_length=1, max_length=200)]
MessageId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
LinkText = Annotated[str, Meta(min_length=1, max_length=2048)]


class Person(Struct, frozen=True, kw_only=True):
    """Somebody as they are to be shown.

    `shown`: the petname if there is one, else the name they gave themselves; `chosen`: it is a petname, so nobody else
    can look like it. `warning`: why not to trust the name, as a sentence: it looks like that of somebody else.
    `mark`: four letters of the id, to be shown beside every name that is not a petname.
    """

    id: str
    short_id: str
    shown: str
    mark: str
    chosen: bool = False
    name: str = ""
    petname: str | None = None
    warning: str = ""
    me: bool = False


class Friend(Struct, frozen=True, kw_only=True):
    """A friend, or somebody who shall be one. `asked`, `note_asked`: when the question was sent or came, and its words.

    `seen`: when they were last connected, of who is not here, to the minute. `doing`: such as the match they are in. `silent`: no notice when they come online.
    """

    id: str
    person: Person
    bond: Bond
    presence: Presence = "offline"
    note: str = ""
    doing: str = ""
    since: float | None = None
    seen: float | None = None
    unread: int = 0
    silent: bool = False
    asked: float | None = None
    note_asked: str = ""
    shares: bool = False


class FriendRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask somebody, by peer or by a ticket of theirs. If they asked already, this is yes."""

    peer: Annotated[str, Meta(min_length=1, max_length=1024)]
    note: Annotated[str, Meta(max_length=200)] = ""
    petname: Annotated[str, Meta(max_length=64)] = ""


class FriendAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`answer` "no" tells them nothing; `block` also keeps them from asking again."""

    answer: Literal["yes", "no"]
    block: bool = False


class FriendChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes."""

    silent: bool | None = None


class MyPresence(Struct, frozen=True, kw_only=True):
    """What friends see of this node's person. `idle_away`: seconds without anybody at the page or the command line after
    which "available" is shown as away, 0 for never; `shown`: what that makes of it now."""

    presence: Presence = "available"
    note: str = ""
    idle_away: float = 600.0
    shown: Presence = "available"
    doing: str = ""


class PresenceChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes. "offline": friends see this node as not there. "match" is set by matches alone."""

    presence: Literal["available", "away", "offline"] | None = None
    note: Annotated[str, Meta(max_length=100)] | None = None
    idle_away: Annotated[float, Meta(ge=0, le=86400)] | None = None


class Attachment(Struct, frozen=True, kw_only=True):
    """A link beside the text: what `servent get` takes. `name` and `size_bytes` as the link says, not verified."""

    link: str
    name: str = ""
    size_bytes: int | None = None


class Message(Struct, frozen=True, kw_only=True):
    """One message. `sent`: by its author's clock; `received`: by ours; `order`: where it stands in its conversation.

    `state`: "waiting" and "delivered" of what we wrote: to a person, stored by their node; in a room, by another member. `removed`: a
    moderator, or its author, took it back; its text is gone. `event`: no text of a person but what the author did:
    "joined", "left", "invited", "kicked", "banned", "unbanned", "muted", "unmuted", "moderator", "member", "owner", "changed",
    "closed"; `text` then says to whom, and why ("bob: shouting").
    `mention`: it names me. `why`: of one that failed, the reason.
    """

    id: str
    conversation: str
    author: Person
    text: str = ""
    attachments: list[Attachment] = []
    sent: float = 0.0
    received: float = 0.0
    order: str = ""
    state: Delivery = "received"
    reply_to: str | None = None
    removed: bool = False
    event: str = ""
    mention: bool = False
    why: str = ""


class NewMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`token`: chosen by the caller; the same one again within a day is the same message, not a second one."""

    text: Annotated[str, Meta(max_length=TEXT_CHARACTERS)] = ""
    attachments: Annotated[list[LinkText], Meta(max_length=8)] = []
    reply_to: MessageId | None = None
    token: Annotated[str, Meta(max_length=64)] = ""


class Conversation(Struct, frozen=True, kw_only=True):
    """`unread`, `mentions`: after the mark that `read` set. `last`: the newest message. `silent`: no notices, unless named."""

    id: str
    kind: Literal["peer", "room"]
    title: str
    person: Person | None = None
    network: str = ""
    unread: int = 0
    mentions: int = 0
    last: Message | None = None
    silent: bool = False
    presence: Presence = "offline"


class MessagesQuery(Struct, frozen=True, kw_only=True):
    """A page of a conversation, oldest first: the `limit` messages before `before` or after `after` (values of `order`)."""

    before: Annotated[str, Meta(max_length=64)] = ""
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class Messages(Struct, frozen=True, kw_only=True):
    """`more`: there are older ones. `catching_up`: members are being asked for what was missed."""

    messages: list[Message]
    more: bool = False
    catching_up: bool = False
    read_order: str = ""


class TalkQuery(Struct, frozen=True, kw_only=True):
    """Search the own history: words, all of them, "phrases", -without."""

    text: Annotated[str, Meta(min_length=1, max_length=500)]
    conversation: Annotated[str, Meta(max_length=200)] = ""
    author: Annotated[str, Meta(max_length=64)] = ""
    before: float | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class TalkHit(Struct, frozen=True, kw_only=True):
    """`ranges`: [from, to) in characters of the text that matched."""

    message: Message
    title: str
    ranges: list[tuple[int, int]] = []


class ReadMark(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything up to this `order` has been read; "" for everything."""

    order: Annotated[str, Meta(max_length=64)] = ""


class ConversationChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    silent: bool | None = None


class Room(Struct, frozen=True, kw_only=True):
    """A room of a network. `members`: who is in it; `present`: of these, seen here now. `standing`: what I am in it.

    `listed`: open rooms that a member of the network told us of and we are not in have `joined` false. `slow`: seconds between two messages of
    one member, 0 for no limit. `muted_until`: until when I am muted.
    """

    id: str
    name: str
    network: str
    policy: RoomPolicy = "open"
    topic: str = ""
    owner: Person | None = None
    standing: Standing = "none"
    joined: bool = False
    members: int = 0
    present: int = 0
    unread: int = 0
    mentions: int = 0
    slow: float = 0.0
    muted_until: float | None = None
    silent: bool = False
    closed: bool = False
    why: str = ""


class NewRoom(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`network`: name or id; "" where this node is in one alone."""

    name: Annotated[str, Meta(min_length=1, max_length=48)]
    network: Annotated[str, Meta(max_length=64)] = ""
    policy: RoomPolicy = "open"
    topic: Annotated[str, Meta(max_length=300)] = ""


class RoomChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes; owner and moderators can."""

    name: Annotated[str, Meta(min_length=1, max_length=48)] | None = None
    topic: Annotated[str, Meta(max_length=300)] | None = None
    policy: RoomPolicy | None = None
    slow: Annotated[float, Meta(ge=0, le=3600)] | None = None


class RoomMember(Struct, frozen=True, kw_only=True):
    person: Person
    standing: Standing = "member"
    present: bool = False
    presence: Presence = "offline"
    muted_until: float | None = None
    seen: float | None = None
    reason: str = ""


class RoomInvite(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    peer: ShortName


class Moderation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`seconds`: of a mute or a ban, None for good. `purge`: also take back what they wrote in the last day."""

    action: RoomAction
    peer: ShortName
    seconds: Annotated[float, Meta(gt=0, le=10 * 365 * 86400.0)] | None = None
    reason: Annotated[str, Meta(max_length=200)] = ""
    purge: bool = False


class Notice(Struct, frozen=True, kw_only=True):
    """Something a person wants to hear of now. `seq` counts up; notices are kept in memory, the last 200 of them."""

    seq: int
    kind: NoticeKind
    at: float
    conversation: str = ""
    person: Person | None = None
    text: str = ""


class TalkSums(Struct, frozen=True, kw_only=True):
    """For the badge: messages unread, those that name me or are to me alone, questions of would-be friends, invitations."""

    unread: int = 0
    mentions: int = 0
    asking: int = 0
    invitations: int = 0
