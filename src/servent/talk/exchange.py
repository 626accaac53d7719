"""One catching up between two members, step by step; whoever drives it moves the bytes and reads the shelf. Pure.

The one who asks: `Asking`, then again and again: load what `load` names, send `frame(loaded)`, give the answer to `took`,
until `over`. The one who is asked: `heard(ask)`, load, `reply(loaded)`; it remembers nothing between two questions.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from servent.talk.catchup import (
    ROUNDS,
    Ask,
    Load,
    Reply,
    Said,
    answer,
    next_ask,
    opening,
    packed,
    reply,
)
from servent.talk.records import Message
from servent.talk.room import Effect, Room


class Asking:
    """Attributes:
    over: both have the same now, or enough was asked.
    differed: whether anything came, or was to be given.
    complete: it ended because nothing differs any more.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._ask = opening(room.log, room.acts, room.log.floor, after=room.complete_to)
        self.load = Load()
        self.over = self.complete = self.differed = False
        self._rounds = 0

    def frame(self, loaded: Mapping[bytes, Message], giving: bool = True) -> Ask:
        """The question, with what the other side lacks, or (`giving`) without."""
        if not giving:
            return structs.replace(self._ask, given=[])
        page = packed(self.load, loaded, self._room.log)
        return structs.replace(self._ask, page=page)

    def took(self, reply: Reply, now: float) -> list[Effect]:
        """The answer to `frame`.

        Raises:
            BadMessage, Forged: nothing of it was taken.
        """
        room = self._room
        self._rounds += 1
        page = room.opened(reply.page) if reply.page is not None else None
        effects = room.take_acts(reply.given, now) if reply.given else []
        room.present.told(reply.here, now)
        strange: list[bytes] = []
        if page is not None:
            more, strange = room.take_page(page)
            effects += more
        self.differed = self.differed or bool(reply.page or reply.given or reply.messages or reply.acts)
        room.complete_to = reply.upto
        found = next_ask(reply, self._ask, room.log, room.acts, strange)
        if found is None or self._rounds >= ROUNDS:
            self.over, self.complete = True, found is None
        else:
            self._ask, said = found
            self.load = said.load
        return effects


def heard(room: Room, ask: Ask, now: float) -> tuple[list[Effect], Said]:
    """Somebody asks: take what came along, and see what it lacks.

    Raises:
        BadMessage, Forged: nothing of it was taken.
    """
    page = room.opened(ask.page) if ask.page is not None else None  # or acts beside a bad one had no effect
    effects = room.take_acts(ask.given, now) if ask.given else []
    if page is not None:
        effects += room.take_page(page)[0]
    return effects, answer(ask, room.log, room.acts, room.behind(now))


def answered(room: Room, said: Said, loaded: Mapping[bytes, Message], now: float) -> Reply:
    """`loaded`: of `said.load.ids`."""
    return reply(said, packed(said.load, loaded, room.log), room.log, room.present.count(now) + 1)
