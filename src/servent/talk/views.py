"""Frozen pictures of people, conversations and rooms, for the API. Times are wall clock, in seconds."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from servent.identity import PeerId

Presence = Literal["available", "away", "match", "offline"]
Bond = Literal["friend", "asked", "asking", "none"]  # asked: we asked them; asking: they ask us
Delivery = Literal["received", "waiting", "delivered", "failed"]
RoomPolicy = Literal["open", "invite"]
Standing = Literal["owner", "moderator", "member", "invited", "banned", "none"]
Topic = Literal["friends", "presence", "conversations", "rooms", "notices"]
NoticeKind = Literal[
    "message", "mention", "friend-asks", "friend-accepted", "friend-online", "invited", "moderated"
]


class Person(Struct, frozen=True):
    """Somebody as they are to be shown.

    Attributes:
        shown: the petname if there is one, else the name they gave themselves, made safe to show.
        mark: four letters of the id, to be shown beside every name that is not chosen.
        chosen: `shown` is a petname of mine, so nobody else can look like it.
        warning: why not to trust the name, as a sentence; "" when nothing is wrong with it.
    """

    id: PeerId
    short_id: str
    shown: str
    mark: str
    chosen: bool = False
    name: str = ""
    petname: str | None = None
    warning: str = ""
    me: bool = False


class Friend(Struct, frozen=True):
    """A friend, or somebody who shall be one.

    Attributes:
        since: when both sides had said yes, None before.
        seen: when they were last connected; now for who is.
        asked, note_asked: when the question was sent or came, and its words.
        shares: whether they have something to browse.
    """

    id: PeerId
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


class MyPresence(Struct, frozen=True):
    """What friends see of this node's person; `presence` is what was chosen, `shown` what idling makes of it."""

    presence: Presence = "available"
    note: str = ""
    idle_away: float = 600.0
    shown: Presence = "available"
    doing: str = ""


class Attachment(Struct, frozen=True):
    """A link beside the text. `name` and `size_bytes` as the link says, not verified."""

    link: str
    name: str = ""
    size_bytes: int | None = None


class Message(Struct, frozen=True):
    """One message, or an event of a room. `id`: 32 hex digits. `order`: sorts as text within its conversation.

    Attributes:
        why: of a message that failed, the reason in words.
    """

    id: str
    conversation: str
    author: Person
    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    sent: float = 0.0
    received: float = 0.0
    order: str = ""
    state: Delivery = "received"
    reply_to: str | None = None
    removed: bool = False
    event: str = ""
    mention: bool = False
    why: str = ""


class Conversation(Struct, frozen=True):
    """`id`: "peer:<id>" or "room:<id>". `unread`, `mentions`: after the read mark."""

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


class History(Struct, frozen=True):
    """A page, oldest first. `more`: there are older ones. `read_order`: everything up to it has been read."""

    messages: tuple[Message, ...]
    more: bool = False
    catching_up: bool = False
    read_order: str = ""


class TalkHit(Struct, frozen=True):
    """A message that a search found. `ranges`: [from, to) in characters of its text."""

    message: Message
    title: str
    ranges: tuple[tuple[int, int], ...] = ()


class Room(Struct, frozen=True):
    """A room of a network, as `schema_talk.Room` says it."""

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


class RoomMember(Struct, frozen=True):
    """Somebody in a room, or banned from it."""

    person: Person
    standing: Standing = "member"
    present: bool = False
    presence: Presence = "offline"
    muted_until: float | None = None
    seen: float | None = None
    reason: str = ""


class Notice(Struct, frozen=True):
    """Something a person wants to hear of now. `seq` counts up; the last 200 are kept, in memory."""

    seq: int
    kind: NoticeKind
    at: float
    conversation: str = ""
    person: Person | None = None
    text: str = ""


class TalkSums(Struct, frozen=True):
    """For the badge: messages unread, those that name me or are to me alone, questions, invitations."""

    unread: int = 0
    mentions: int = 0
    asking: int = 0
    invitations: int = 0
