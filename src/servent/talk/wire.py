"""The messages of "servent.talk/1": one stream for what its opener has to say to one peer. Sizes stand in the types.

The opener says `Stand`, then `Here` (to a friend alone) and any number of `Say`; the other side answers each `Stand` with `Stood`
and each `Say` with `Stored` or `Declined`, in order. Either side may have such a stream to the other; an answer never needs one.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.codec import Decoder

SERVICE = "servent.talk/1"

FRAME_BYTES = 64 * 1024
TEXT_CHARACTERS = 4000
TEXT_BYTES = 4 * TEXT_CHARACTERS  # of UTF-8
ATTACHMENTS = 8
LINK_CHARACTERS = 2048
PARCEL_BYTES = 32 * 1024
ID_BYTES = 16

Chain = Annotated[bytes, Meta(min_length=16, max_length=16)]  # random; names one outbox of one sender
Seq = Annotated[int, Meta(ge=1, le=2**53)]
Id = Annotated[bytes, Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
Link = Annotated[str, Meta(min_length=1, max_length=LINK_CHARACTERS)]
Wall = Annotated[float, Meta(ge=0, le=1e11)]  # seconds since 1970 by the sender's clock


class Stand(Struct, frozen=True, tag="stand"):
    """First on every stream: whether the sender wants to be friends. Answered by `Stood`, whatever the receiver thinks of it.

    `asked` and `note` belong to the question: when it was first put, by the sender's clock. The same question again is one.
    """

    friend: bool
    asked: Wall = 0.0
    note: Annotated[str, Meta(max_length=200)] = ""


class Stood(Struct, frozen=True, tag="stood"):
    """`Stand` was taken down. Says nothing of what came of it."""


class Here(Struct, frozen=True, tag="here"):
    """To friends on both sides: how the person is. Not answered. Good until the session ends or the next one comes."""

    presence: Literal["available", "away", "match", "offline"]
    note: Annotated[str, Meta(max_length=100)] = ""
    doing: Annotated[str, Meta(max_length=100)] = ""


class Text(Struct, frozen=True, tag="text"):
    """What a person wrote. Attachments are links."""

    text: Annotated[str, Meta(max_length=TEXT_CHARACTERS)] = ""
    attachments: Annotated[list[Link], Meta(max_length=ATTACHMENTS)] = []
    reply_to: Id | None = None


class TakeBack(Struct, frozen=True, tag="take-back"):
    """The sender's own message of this id (see `message_id`) is to be shown no more."""

    id: Id


class Parcel(Struct, frozen=True, tag="parcel"):
    """For another part of the talk room, such as an invitation to a room. Never shown as it is."""

    kind: Annotated[str, Meta(min_length=1, max_length=32)]
    data: Annotated[bytes, Meta(max_length=PARCEL_BYTES)]


Body = Text | TakeBack | Parcel


class Say(Struct, frozen=True, tag="say"):
    """One body of the sender's outbox to this peer, in the order of `seq`. Sent again until it is answered."""

    chain: Chain
    seq: Seq
    sent: Wall
    body: Body


class Stored(Struct, frozen=True, tag="stored"):
    """Written to the receiver's disk, now or earlier."""

    chain: Chain
    seq: Seq


class Declined(Struct, frozen=True, tag="declined"):
    """Not taken, and not to be sent again. `reason`: words for the person who wrote it."""

    chain: Chain
    seq: Seq
    reason: Annotated[str, Meta(max_length=200)] = ""


read_told: Decoder[Stand | Here | Say] = Decoder(Stand | Here | Say, FRAME_BYTES)
read_answer: Decoder[Stood | Stored | Declined] = Decoder(Stood | Stored | Declined, 1024)


def message_id(author: bytes, chain: bytes, seq: int) -> bytes:
    """16 bytes: both sides compute it, so nobody can give two messages one id, or take that of somebody else's."""
    return hashlib.sha256(b"servent talk message\0" + author + chain + seq.to_bytes(8, "big")).digest()[
        :ID_BYTES
    ]
