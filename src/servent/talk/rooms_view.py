"""Rooms and what happens in them, as the API shows them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from servent.errors import NotFound, UsageError
from servent.identity import PeerId
from servent.talk import history, views
from servent.talk.history import Tally
from servent.talk.records import ID_BYTES
from servent.talk.room_facts import MemberFacts, Moderated, RoomFacts
from servent.trust.lookalikes import skeleton

DEEDS = {
    "kick": "kicked", "ban": "banned", "unban": "unbanned", "mute": "muted", "unmute": "unmuted",
    "moderator": "moderator", "member": "member", "owner": "owner", "invite": "invited", "leave": "left",
    "settings": "changed", "close": "closed",
}  # fmt: skip
FOREVER = float("inf")
Person = Callable[[PeerId], views.Person]


def view(facts: RoomFacts, tally: Tally, network: str, person: Person, warning: str = "") -> views.Room:
    return views.Room(
        id=facts.id.hex(),
        name=facts.name,
        network=network,
        policy=facts.policy,
        topic=facts.topic,
        owner=person(facts.owner),
        standing=facts.standing,
        joined=facts.joined,
        members=facts.members,
        present=facts.present,
        unread=tally.unread,
        mentions=tally.mentions,
        slow=float(facts.slow),
        muted_until=_finite(facts.muted_until),
        silent=tally.silent,
        closed=facts.closed,
        why=facts.why or warning,
    )


def alike(rooms: Iterable[RoomFacts]) -> dict[bytes, str]:
    """Warnings, by room, for those this node is not in whose name looks like that of another."""
    looks: dict[str, list[RoomFacts]] = {}
    for one in rooms:
        looks.setdefault(skeleton(one.name), []).append(one)
    found = {}
    for same in looks.values():
        mine = any(one.joined for one in same)
        for one in same:
            if len(same) > 1 and not one.joined:
                others = "of one that you are in" if mine else "of another"
                found[one.id] = (
                    f"the name of this room looks like that {others}: only the id tells them apart"
                )
    return found


def member(
    facts: MemberFacts, person: Person, presence: Callable[[PeerId], views.Presence]
) -> views.RoomMember:
    return views.RoomMember(
        person=person(facts.peer),
        standing=facts.standing,
        present=facts.present,
        presence=presence(facts.peer),
        muted_until=_finite(facts.until),
        seen=facts.seen,
        reason=facts.reason,
    )


def _finite(until: float | None) -> float | None:
    """JSON knows no infinity: for good is the end of the calendar."""
    return None if until is None else min(until, 253_402_300_799.0)


def found(text: str, rooms: Iterable[RoomFacts]) -> bytes:
    """The room that is meant: by id, or by a name that no other one here has or looks like.

    Raises:
        NotFound, UsageError: none, or more than one.
    """
    text = text.strip().removeprefix("room:").removeprefix("#")
    known = list(rooms)
    by_id = [one.id for one in known if one.id.hex() == text.lower()]
    if by_id:
        return by_id[0]
    named = [one for one in known if one.name.casefold() == text.casefold()]
    mine = [one for one in named if one.joined] or named
    if len(mine) == 1:
        return mine[0].id
    if mine:
        raise UsageError(
            f"{len(mine)} rooms are called {text[:48]!r}",
            advice="Name it by its id: " + ", ".join(one.id.hex() for one in mine[:4]),
        )
    alike = [one.name for one in known if skeleton(one.name) == skeleton(text)] if text else []
    raise NotFound(
        f"no room is called {text[:48]!r}",
        advice=f"Is {alike[0]!r} meant?" if alike else "`servent room ls --all` lists them.",
    )


def event(act: Moderated, conversation: str, person: Person, id: bytes, now: float) -> history.Row | None:
    """An act as a line of the history, in the place where it belongs; None for one that is nobody's business."""
    word = DEEDS.get(act.deed)
    if word is None:
        return None
    text = "" if act.peer is None else person(act.peer).shown
    if act.reason:
        text = f"{text}: {act.reason}" if text else act.reason
    place = f"{act.number:016x}{bytes(act.author)[:8].hex()}{0:010x}"
    return history.Row(conversation, id, bytes(act.author), place, act.time, now, event=word, text=text)


def room_of(conversation: str) -> bytes:
    """The room of a conversation. Raises NotFound."""
    kind, _, id = conversation.partition(":")
    try:
        room = bytes.fromhex(id)
    except ValueError:
        room = b""
    if kind != "room" or len(room) != ID_BYTES:
        raise NotFound(f"{conversation[:80]!r} is no room")
    return room
