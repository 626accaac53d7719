"""What rooms need of the memory of talk: rooms, acts and messages, which `talk.db` keeps. And one that forgets, for tests."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Protocol

from msgspec import Meta, Struct, structs

from servent.codec import Hash, Key
from servent.talk.records import Act, Body, Epoch, Founding, Generation, Message, act_id, body_hash


class KeptRoom(Struct, frozen=True, array_like=True):
    """What is kept of a room besides its acts and messages. Holds keys: the file is its owner's alone.

    Attributes:
        epoch: of our own chain in it.
        inviter: who invited us, while that is not answered.
        keys: (generation, key) of a room by invitation.
        proof: acts that came with the invitation, while it is not answered.
    """

    id: bytes
    founding: Founding
    joined: bool
    epoch: Epoch
    inviter: Key | None = None
    keys: Annotated[list[tuple[Generation, Hash]], Meta(max_length=64)] = []
    proof: Annotated[list[Act], Meta(max_length=8)] = []


@dataclass(frozen=True, slots=True)
class Row:
    """A message as it is kept: `id` as of `records.message_id`, with what it says or, where that is gone, its hash.

    `removed`: its text was taken back. `own`: this node said it. `received`: wall clock, in seconds. `cover`: nobody is shown
    it; it is kept for its signature, which covers others.
    """

    id: bytes
    message: Message
    received: float
    own: bool = False
    removed: bool = False
    cover: bool = False


class RoomShelf(Protocol):
    """Rooms ask for one thing of one room at a time. Errors of the disk are WorldErrors."""

    async def rooms(self) -> list[KeptRoom]: ...

    async def keep_room(self, room: KeptRoom) -> None:
        """New, or in place of what was kept of it."""
        ...

    async def forget_room(self, room: bytes) -> None:
        """Its row and its acts; whether its messages stay as history is the shelf's business."""
        ...

    async def acts(self, room: bytes) -> list[Act]: ...

    async def keep_acts(self, room: bytes, acts: Sequence[Act]) -> None: ...

    async def load(self, room: bytes) -> list[Message]:
        """All messages of the room that were not pruned, whole, in any order."""
        ...

    async def append(self, room: bytes, rows: Sequence[Row]) -> None:
        """New ones. One whose id is there already gets what it lacked: its signature, or its text."""
        ...

    async def messages(self, room: bytes, ids: Collection[bytes]) -> list[Message]:
        """Whole, those that are there, in any order."""
        ...

    async def strip(self, room: bytes, ids: Collection[bytes]) -> None:
        """Their texts are gone: `body_hash` stays in their place, and they are shown as removed."""
        ...

    async def prune(self, room: bytes, ids: Collection[bytes]) -> None:
        """They are no longer passed on, and `load` gives them no more. Whether they stay as history is the shelf's business."""
        ...


class MemoryShelf:
    """Keeps everything in memory."""

    def __init__(self) -> None:
        self._rooms: dict[bytes, KeptRoom] = {}
        self._acts: dict[bytes, dict[bytes, Act]] = {}
        self.rows: dict[bytes, dict[bytes, Row]] = {}

    async def rooms(self) -> list[KeptRoom]:
        return list(self._rooms.values())

    async def keep_room(self, room: KeptRoom) -> None:
        self._rooms[room.id] = room

    async def forget_room(self, room: bytes) -> None:
        for kept in (self._rooms, self._acts, self.rows):
            kept.pop(room, None)

    async def acts(self, room: bytes) -> list[Act]:
        return list(self._acts.get(room, {}).values())

    async def keep_acts(self, room: bytes, acts: Sequence[Act]) -> None:
        self._acts.setdefault(room, {}).update((act_id(act), act) for act in acts)

    async def load(self, room: bytes) -> list[Message]:
        return [row.message for row in self.rows.get(room, {}).values()]

    async def append(self, room: bytes, rows: Sequence[Row]) -> None:
        kept = self.rows.setdefault(room, {})
        for row in rows:
            before = kept.get(row.id)
            if before is None or (before.cover and not row.cover):
                kept[row.id] = row
            elif not any(before.message.signature):
                signed = structs.replace(before.message, signature=row.message.signature)
                kept[row.id] = replace(before, message=signed)

    async def messages(self, room: bytes, ids: Collection[bytes]) -> list[Message]:
        kept: Mapping[bytes, Row] = self.rows.get(room, {})
        return [kept[id].message for id in ids if id in kept]

    async def strip(self, room: bytes, ids: Collection[bytes]) -> None:
        kept = self.rows.get(room, {})
        for id in ids:
            row = kept.get(id)
            if row is not None and isinstance(row.message.body, Body):
                bare = structs.replace(row.message, body=body_hash(row.message.body))
                kept[id] = Row(id, bare, row.received, row.own, True)

    async def prune(self, room: bytes, ids: Collection[bytes]) -> None:
        kept = self.rows.get(room, {})
        for id in ids:
            kept.pop(id, None)
