"""What is said in rooms and about rooms: signed records, what travels as news, and their limits. Pure.

A **room** is named by the hash of its founding record. What a member says is a **message**: signed, numbered in a chain of that
author (each message has the digest of the one before, so one signature over the last covers all before it), and ordered by a
hybrid logical clock (Kulkarni and others 2014): its number is the wall clock in milliseconds, or one more than the highest
number seen. What its owner and moderators decide is an **act**: signed, numbered, judged by all members alike (`state`).
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal, Protocol

from msgspec import Meta, Struct, structs

from servent.codec import Decoder, Hash, Key, Signature, canonical
from servent.errors import UsageError
from servent.trust.naming import clean_name
from servent.trust.networks import Forged

TEXT_CHARACTERS = 4000  # of one message
TEXT_BYTES = (
    3000  # of its text and links together, in UTF-8: with all around it, it fits into news of 4096 bytes
)
MOST_LINKS = 8
LINK_CHARACTERS = 1024
NAME_CHARACTERS = 48
TOPIC_CHARACTERS = 300
REASON_CHARACTERS = 200
MOST_MARKS = 8  # chains of one author that an act tells apart
SLOWEST = 3600  # s between two messages of one member
MESSAGE_BYTES = 3600  # encoded, with its signature
ACT_BYTES = 2560
NEWS_BYTES = 4096  # as overlay.wire.GOSSIP_BYTES
INVITE_BYTES = 3072  # so that a direct message can carry it
CLOCK_AHEAD = (
    300_000  # ms that a number or a time may be ahead of our clock; the same that trust allows two clocks
)
PURGE = 86_400_000  # ms: what somebody wrote in the last day is taken back with a purge
KICK = 60_000  # ms for which nothing of one who was kicked out of an open room is taken
ID_BYTES = 16
NONE = bytes(ID_BYTES)

RoomId = Annotated[bytes, Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
MessageId = Annotated[
    bytes, Meta(min_length=ID_BYTES, max_length=ID_BYTES)
]  # number (8 bytes), digest (8 bytes)
Digest = Annotated[bytes, Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
Epoch = Annotated[bytes, Meta(min_length=8, max_length=8)]
Number = Annotated[int, Meta(ge=1, le=1 << 48)]  # milliseconds since 1970, or one more than was seen
Millis = Annotated[int, Meta(ge=0, le=1 << 48)]  # of a wall clock, since 1970
Count = Annotated[int, Meta(ge=1, le=1 << 40)]
Generation = Annotated[int, Meta(ge=0, le=1 << 20)]
Mark = tuple[Epoch, Annotated[int, Meta(ge=0, le=1 << 40)]]
Policy = Literal["open", "invite"]
Deed = Literal[
    "settings", "owner", "moderator", "member", "invite", "leave",
    "kick", "ban", "unban", "mute", "unmute", "rekey", "close",
]  # fmt: skip


class Seal(Protocol):
    """Makes and checks signatures: `Identity` and `PeerId` in a node, something cheap in a simulation."""

    def sign(self, text: bytes) -> bytes: ...

    def holds(self, key: bytes, signature: bytes, text: bytes) -> bool: ...


class Settings(Struct, frozen=True, array_like=True):
    """What owner and moderators can change. `slow`: seconds between two messages of one member, 0 for no limit."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS)]
    topic: Annotated[str, Meta(max_length=TOPIC_CHARACTERS)] = ""
    slow: Annotated[int, Meta(ge=0, le=SLOWEST)] = 0


class Founding(Struct, frozen=True, array_like=True):
    """How a room began. Signed by its founder, its first owner; the hash of all before the signature names the room.

    Attributes:
        policy: "open" to every member of the network, or by "invite". A room stays what it was founded as: what was said
            among few was said among few.
        lock: of the first room key (`keys.lock_of`), where it is by invitation.
    """

    network: Key
    founder: Key
    nonce: Digest
    time: Number
    policy: Policy
    settings: Settings
    lock: Digest = NONE
    signature: Signature = bytes(64)


class Body(Struct, frozen=True, array_like=True):
    """What a message says. `links`: what `servent get` takes. `reply_to`: the message it answers."""

    text: Annotated[str, Meta(max_length=TEXT_CHARACTERS)] = ""
    links: Annotated[list[Annotated[str, Meta(min_length=1, max_length=LINK_CHARACTERS)]], Meta(max_length=MOST_LINKS)] = []  # fmt: skip
    reply_to: MessageId | None = None


class Message(Struct, frozen=True, array_like=True):
    """One message of one author.

    Attributes:
        epoch: of its chain: drawn when the author's memory began, so that one who lost it begins a new chain.
        seq: its place in the chain, from 1.
        before: digest of the message before it in the chain; zeros for the first.
        number: of the room's clock.
        time: the author's wall clock, in milliseconds.
        body: what it says; only the hash of that where it was taken back.
        takes: a message that it takes back, of its author or, by a moderator, of anybody.
        signature: none (64 zeros) where a later message of the chain covers it.
    """

    room: RoomId
    author: Key
    epoch: Epoch
    seq: Count
    before: Digest
    number: Number
    time: Millis
    body: Body | Digest
    takes: MessageId | None = None
    signature: Signature = bytes(64)


class Act(Struct, frozen=True, array_like=True):
    """One decision about a room, of its owner or a moderator; `leave` of anybody about themselves.

    Attributes:
        count: of the acts of that author in that room, from 1, without gaps.
        number: of the room's clock; grows with `count`.
        peer: whom it is about.
        until: when a ban or mute ends, in milliseconds; None for good.
        marks: for kick, ban, mute and member: how far the chains of `peer` were known to the author. What lies beyond is not
            taken, whatever number it claims.
        upto: for member: the last act of the moderator that counts.
        purge: take back what `peer` wrote in the day before `time`.
        settings: for settings.
        generation, lock: for rekey: the key that is used from now on, and what shows that it is this one.
    """

    room: RoomId
    author: Key
    count: Count
    number: Number
    time: Millis
    deed: Deed
    peer: Key | None = None
    until: Millis | None = None
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS)] = ""
    marks: Annotated[list[Mark], Meta(max_length=MOST_MARKS)] = []
    upto: Annotated[int, Meta(ge=0, le=1 << 40)] = 0
    purge: bool = False
    settings: Settings | None = None
    generation: Generation = 0
    lock: Digest = NONE
    signature: Signature = bytes(64)


# -- what travels as news in a room's topic, and in the network's own


class Said(Struct, frozen=True, tag="talk-said", array_like=True):
    """A member to all, at once: a message of its own."""

    message: Message


class Acted(Struct, frozen=True, tag="talk-acted", array_like=True):
    """A member to all, at once: acts of its own, in their order."""

    acts: Annotated[list[Act], Meta(min_length=1, max_length=3)]


class Here(Struct, frozen=True, tag="talk-here", array_like=True):
    """A member to all: it is here, or (`gone`) it leaves. `weight`: it speaks for so many, where many are here."""

    weight: Annotated[int, Meta(ge=1, le=1000)] = 1
    gone: bool = False


class Boxed(Struct, frozen=True, tag="talk-boxed", array_like=True):
    """One of the above in a room by invitation: ChaCha20-Poly1305 under the room's key of that generation."""

    generation: Generation
    nonce: Annotated[bytes, Meta(min_length=12, max_length=12)]
    box: Annotated[bytes, Meta(min_length=16, max_length=NEWS_BYTES)]


class Announce(Struct, frozen=True, tag="talk-room", array_like=True):
    """A member of an open room to the whole network, now and then: there is this room.

    `acts`: of owners, as few as show its name and owner now. `members`: as the sender counts them.
    """

    founding: Founding
    acts: Annotated[list[Act], Meta(max_length=6)] = []
    members: Annotated[int, Meta(ge=0, le=1 << 24)] = 0


class Invite(Struct, frozen=True, array_like=True):
    """What somebody who is let into a room is handed, from peer to peer: in a direct message, and never as news.

    `keys`: (generation, key) of a room by invitation. `acts`: as of `Announce`, and the act that lets the peer in.
    """

    founding: Founding
    acts: Annotated[list[Act], Meta(max_length=8)] = []
    keys: Annotated[list[tuple[Generation, Hash]], Meta(max_length=2)] = []


News = Said | Acted | Here | Announce
news: Decoder[Said | Acted | Here | Boxed | Announce] = Decoder(
    Said | Acted | Here | Boxed | Announce, NEWS_BYTES
)
messages: Decoder[Message] = Decoder(Message, MESSAGE_BYTES)
acts: Decoder[Act] = Decoder(Act, ACT_BYTES)
foundings: Decoder[Founding] = Decoder(Founding, ACT_BYTES)
invites: Decoder[Invite] = Decoder(Invite, INVITE_BYTES)


# -- names and signatures


def text_of(record: Founding | Act) -> bytes:
    """What is signed: the kind of record, and every field but the signature."""
    fields = [getattr(record, name) for name in record.__struct_fields__ if name != "signature"]
    return b"servent/talk " + type(record).__name__.encode() + b"/1\0" + canonical(fields)


def room_id(founding: Founding) -> bytes:
    """The name of the room: 16 bytes."""
    return hashlib.sha256(b"servent/room id/1\0" + text_of(founding)).digest()[:ID_BYTES]


def body_hash(body: Body | bytes) -> bytes:
    """Of what a message says; itself where only that is left."""
    if isinstance(body, bytes):
        return body
    return hashlib.sha256(b"servent/talk Body/1\0" + canonical(body)).digest()[:ID_BYTES]


def digest_of(message: Message) -> bytes:
    """32 bytes that stand for a message, also where its body is gone."""
    fields = [
        message.room, message.author, message.epoch, message.seq, message.before,
        message.number, message.time, message.takes, body_hash(message.body),
    ]  # fmt: skip
    return hashlib.sha256(b"servent/talk Message/1\0" + canonical(fields)).digest()


def link_of(digest: bytes) -> bytes:
    """What the next message of the chain has in `before`."""
    return digest[:ID_BYTES]


def message_id(message: Message, digest: bytes | None = None) -> bytes:
    """16 bytes: number and digest, so that ids sort by time, and those of a stretch of time lie together."""
    return message.number.to_bytes(8, "big") + (digest or digest_of(message))[:8]


def act_id(act: Act) -> bytes:
    """16 bytes, as of messages."""
    return act.number.to_bytes(8, "big") + hashlib.sha256(text_of(act)).digest()[:8]


def order_of(message: Message) -> str:
    """Text that sorts as messages are shown: by number, author, place in its chain. 42 characters."""
    return f"{message.number:016x}{message.author[:8].hex()}{message.seq:010x}"


def signed_text(digest: bytes) -> bytes:
    """What an author signs of a message."""
    return b"servent/talk signed Message/1\0" + digest


def sign_message(message: Message, seal: Seal) -> Message:
    """The same with its signature. Raises UsageError when it says too much."""
    check_size(message.body)
    return structs.replace(message, signature=seal.sign(signed_text(digest_of(message))))


def sign(record: Any, seal: Seal) -> Any:
    """The same founding or act with its signature."""
    return structs.replace(record, signature=seal.sign(text_of(record)))


def check(record: Founding | Act, seal: Seal) -> None:
    """Raises Forged unless its founder or author signed it."""
    key = record.founder if isinstance(record, Founding) else record.author
    if not seal.holds(key, record.signature, text_of(record)):
        raise Forged(f"a forged {type(record).__name__} of a room")


# -- limits in words


def size_of(body: Body) -> int:
    """Bytes of text and links."""
    return len(body.text.encode()) + sum(len(link.encode()) for link in body.links)


def check_size(body: Body | bytes) -> None:
    """Raises UsageError, with the limit in words, when a message is too long to be said at once."""
    if isinstance(body, bytes):
        return
    if len(body.text) > TEXT_CHARACTERS:
        raise UsageError(f"a message has at most {TEXT_CHARACTERS} characters, not {len(body.text)}")
    if len(body.links) > MOST_LINKS:
        raise UsageError(f"a message has at most {MOST_LINKS} links, not {len(body.links)}")
    if any(len(link) > LINK_CHARACTERS for link in body.links):
        raise UsageError(f"a link has at most {LINK_CHARACTERS} characters")
    try:
        size = size_of(body)
    except UnicodeEncodeError:
        raise UsageError("this text holds half of a character") from None
    if size > TEXT_BYTES:
        raise UsageError(
            f"a message in a room has at most {TEXT_BYTES} bytes, its links included, and this one has {size}",
            advice="Most letters take one byte, letters beyond the Latin ones two or three, emoji four. Say it in two messages.",
        )


def clean_settings(name: str, topic: str = "", slow: float = 0.0) -> Settings:
    """As typed, made safe to show. Raises UsageError when nothing is left of the name, or it is out of range."""
    cleaned = clean_name(name)
    if not cleaned or len(cleaned) > NAME_CHARACTERS:
        raise UsageError(f"a room's name has 1 to {NAME_CHARACTERS} characters that can be seen")
    if len(topic) > TOPIC_CHARACTERS:
        raise UsageError(f"a room's topic has at most {TOPIC_CHARACTERS} characters")
    if not 0 <= slow <= SLOWEST:
        raise UsageError(f"slow mode is 0 to {SLOWEST} seconds")
    return Settings(cleaned, topic, round(slow))
