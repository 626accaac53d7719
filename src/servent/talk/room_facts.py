"""Frozen pictures of rooms and of who is in them, as `Rooms` gives them to the rest of talk. Times are wall clock, in seconds.

Names, topics and reasons were written by others: they are made safe to show here, and nowhere later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from servent.identity import PeerId
from servent.talk.records import Policy
from servent.talk.texts import one_line
from servent.trust.naming import clean_name

Standing = Literal["owner", "moderator", "member", "invited", "banned", "none"]


@dataclass(frozen=True, slots=True)
class RoomFacts:
    """A room: one this node is in, one it was invited to, or an open one it heard of.

    Attributes:
        id: 16 bytes; as text, their 32 hex digits.
        standing: what this node's person is in it.
        members: who belongs to it: on the list of a room by invitation, seen lately in an open one.
        present: of these, here now; an estimate where many are.
        inviter: who handed us the invitation, while it is not answered.
        catching_up: members are being asked for what was missed.
        why: what is wrong with it, in words; "" for nothing.
    """

    id: bytes
    network: bytes
    name: str
    topic: str
    policy: Policy
    owner: PeerId
    standing: Standing
    joined: bool
    members: int = 0
    present: int = 0
    slow: float = 0.0
    muted_until: float | None = None
    closed: bool = False
    inviter: PeerId | None = None
    catching_up: bool = False
    why: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", clean_name(self.name, self.id.hex()[:8]))
        object.__setattr__(self, "topic", one_line(self.topic))
        object.__setattr__(self, "why", one_line(self.why))


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """Somebody in a room, invited to it, or banned from it. `until`: when the mute or ban ends, inf for never."""

    peer: PeerId
    standing: Standing
    present: bool = False
    seen: float | None = None
    until: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", one_line(self.reason))


@dataclass(frozen=True, slots=True)
class Moderated:
    """An act that counts, to be shown as an event. `deed` as in `records.Act`; `peer`: whom it is about."""

    room: bytes
    author: PeerId
    deed: str
    peer: PeerId | None
    time: float
    number: int
    reason: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", one_line(self.reason))
