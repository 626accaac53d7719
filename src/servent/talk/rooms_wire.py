"""What members of rooms ask each other over a stream of `talk-rooms/1`; besides `catchup.Ask` and `Reply`. Pure."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder, Hash, Key
from servent.talk.catchup import FRAME_BYTES, Ask, Reply
from servent.talk.listing import MOST_TOLD
from servent.talk.records import Announce, Generation, RoomId

SERVICE = "talk-rooms/1"


class AskKeys(Struct, frozen=True, tag="talk-ask-keys", array_like=True):
    """A member to another: the newest keys of a room by invitation. Answered by `Keys` where its acts let it in, or `Sorry`."""

    room: RoomId


class Keys(Struct, frozen=True, tag="talk-keys", array_like=True):
    """(generation, key), the newest last. Taken only where a signed act has the lock of it."""

    keys: Annotated[list[tuple[Generation, Hash]], Meta(max_length=4)]


class AskRooms(Struct, frozen=True, tag="talk-ask-rooms", array_like=True):
    """A member of a network to another: which open rooms are there? Answered by `RoomsAre`, or `Sorry`."""

    network: Key


class RoomsAre(Struct, frozen=True, tag="talk-rooms", array_like=True):
    """Rooms that were told of, and those the sender is in."""

    rooms: Annotated[list[Announce], Meta(max_length=2 * MOST_TOLD)]


class Sorry(Struct, frozen=True, tag="talk-sorry", array_like=True):
    """Not here, or not for you: the same for both. `busy`: too much was asked."""

    busy: bool = False


Question = Ask | AskKeys | AskRooms
Answer = Reply | Keys | RoomsAre | Sorry
questions: Decoder[Question] = Decoder(Ask | AskKeys | AskRooms, FRAME_BYTES)
answers: Decoder[Answer] = Decoder(Reply | Keys | RoomsAre | Sorry, FRAME_BYTES)
