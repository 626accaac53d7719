"""What a room is, judged from its acts: the same for all who have the same acts, in whatever order they came. Pure.

Acts are judged in the order of (number, author, count). What keeps a cheater from slipping something in before it lost its
power is not the number, which it may choose, but how far its chain was known: a hand-over ends the owner's acts at its own
count, a dismissal says up to which act of a moderator the owner knew (`upto`), and kick, ban and mute say up to which message
(`marks`). What was said before and had not come to whoever decided is lost with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from servent.identity import PeerId
from servent.talk.records import KICK, PURGE, Act, Founding, Message, Settings, act_id

EVER = 1 << 62
GRAVITY = ("mute", "leave", "kick", "ban")  # what keeps somebody from speaking, the gravest last


@dataclass(slots=True)
class Span:
    """For which stretch something holds for one peer: a ban, a mute, a kick, or that it was not on the list."""

    deed: str
    author: bytes
    number: int
    time: int
    until: int | None
    marks: dict[bytes, int]
    reason: str = ""
    purge: bool = False
    ended: int = EVER  # number of the act that ended it

    def hides(self, message: Message) -> bool:
        if message.seq <= self.marks.get(message.epoch, 0):
            return False
        if self.until is not None and message.time >= self.until and message.number > self.number:
            return False
        return message.number < self.ended

    def purges(self, message: Message) -> bool:
        return self.purge and message.number < self.number and message.time >= self.time - PURGE

    def holds(self, wall: int) -> bool:
        """Whether it holds at that time, in milliseconds."""
        return self.ended == EVER and (self.until is None or wall < self.until)


class Office(NamedTuple):
    """A moderator's time: acts after `since`, and before `ended` or up to `upto`; messages up to `marks` then."""

    since: int
    ended: int
    upto: int
    marks: dict[bytes, int]


@dataclass(slots=True)
class State:
    """A room as its acts make it. Made by `judge`; never changed afterwards.

    Attributes:
        owners: (number of the act that made them so, who), the founder first.
        offices: times as moderators.
        spans: bans, mutes and kicks.
        listed: numbers of the acts that let a peer in, in a room by invitation.
        keys: (generation, lock), in the order in which they were made.
        valid: ids of the acts that count, in their order.
        closed: number of the act that closed it.
    """

    founding: Founding
    owners: list[tuple[int, PeerId]]
    offices: dict[bytes, list[Office]] = field(default_factory=lambda: defaultdict(list))
    spans: dict[bytes, list[Span]] = field(default_factory=lambda: defaultdict(list))
    listed: dict[bytes, list[int]] = field(default_factory=lambda: defaultdict(list))
    settings: list[tuple[int, Settings]] = field(default_factory=list)
    keys: list[tuple[int, bytes]] = field(default_factory=list)
    valid: list[tuple[bytes, Act]] = field(default_factory=list)
    closed: int = EVER

    @property
    def invite(self) -> bool:
        return self.founding.policy == "invite"

    @property
    def now(self) -> Settings:
        """As they are after all acts."""
        return self.settings[-1][1]

    @property
    def owner(self) -> PeerId:
        return self.owners[-1][1]

    def slow(self, number: int) -> int:
        """Seconds between two messages of one member, at that number."""
        slow = 0
        for since, settings in self.settings:
            if since > number:
                break
            slow = settings.slow
        return slow

    def owned_by(self, peer: bytes, number: int) -> bool:
        """Whether `peer` was the owner at that number."""
        owner = self.owners[0][1]
        for since, one in self.owners[1:]:
            if since >= number:
                break
            owner = one
        return owner == peer

    def moderates(self, peer: bytes) -> bool:
        """Whether `peer` is the owner or a moderator, after all acts."""
        return peer == self.owner or any(office.ended == EVER for office in self.offices.get(peer, ()))

    def moderated(self, message: Message) -> bool:
        """Whether the author of `message` had the power to take others' messages back with it."""
        author, number = message.author, message.number
        return self.owned_by(author, number) or any(
            office.since < number
            and (
                office.ended == EVER
                or (number < office.ended and message.seq <= office.marks.get(message.epoch, 0))
            )
            for office in self.offices.get(author, ())
        )

    def hidden(self, message: Message) -> str:
        """Why nobody takes this message, in a word; "" when it is taken."""
        author = message.author
        if message.number > self.closed:
            return "closed"
        if any(span.hides(message) for span in self.spans.get(author, ())) and not self.owned_by(
            author, message.number
        ):
            return "banned"
        if self.invite and author != self.founding.founder:
            let_in = self.listed.get(author)
            if not let_in or let_in[0] > message.number:
                return "not let in"
        return ""

    def purged(self, message: Message) -> bool:
        return any(span.purges(message) for span in self.spans.get(message.author, ()))

    def member(self, peer: bytes) -> bool:
        """Whether `peer` is on the list of a room by invitation, after all acts. In an open one: is not banned for good."""
        if self.invite and peer != self.founding.founder and peer not in self.listed:
            return False
        return not any(
            span.ended == EVER and (span.until is None or self.invite) and span.deed != "mute"
            for span in self.spans.get(peer, ())
        )

    def stopped(self, peer: bytes, wall: int) -> Span | None:
        """What keeps `peer` from speaking at that time, in milliseconds: of several the gravest, of these the longest."""
        holding = (span for span in self.spans.get(peer, ()) if span.holds(wall))
        return max(holding, key=_weight, default=None)

    def roster(self) -> list[PeerId]:
        """Of a room by invitation: who is let in."""
        return [
            PeerId(peer) for peer in dict.fromkeys([self.founding.founder, *self.listed]) if self.member(peer)
        ]


def _weight(span: Span) -> tuple[int, int]:
    return GRAVITY.index(span.deed), EVER if span.until is None else span.until


def judge(founding: Founding, acts: Iterable[Act], gaps: bool = False) -> State:
    """All acts at once. They are known to be signed, of this room, and one for each (author, count).

    Args:
        gaps: they are known to be a choice, for somebody who is not in the room: good enough to show it.
    """
    ordered = _ordered(acts, gaps)
    state = State(founding, [(founding.time, PeerId(founding.founder))])
    state.settings.append((0, founding.settings))
    if founding.policy == "invite":
        state.keys.append((0, founding.lock))
    counting = _owners(state, ordered)
    for id, act in ordered:
        if id in counting or _deeds(state, act):
            state.valid.append((id, act))
            if act.deed == "settings" and act.settings is not None:
                state.settings.append((act.number, act.settings))
    return state


def _ordered(acts: Iterable[Act], gaps: bool) -> list[tuple[bytes, Act]]:
    """In the order in which they are judged. Of each author those without a gap, as long as their numbers grow: who holds an
    act back, to come out with it when it has no power any more, holds back all that follow."""
    chains: dict[bytes, dict[int, Act]] = defaultdict(dict)
    for act in acts:
        chains[act.author][act.count] = act
    kept = []
    for chain in chains.values():
        number = 0
        for place, count in enumerate(sorted(chain), 1):
            act = chain[count]
            if act.number <= number or (count != place and not gaps):
                break
            number = act.number
            kept.append(act)
    kept.sort(key=lambda act: (act.number, act.author, act.count))
    return [(act_id(act), act) for act in kept]


def _owners(state: State, ordered: Sequence[tuple[bytes, Act]]) -> set[bytes]:
    """What owners alone decide: who owns, who moderates, the end. Does not hang on anything that moderators do."""
    counting: set[bytes] = set()
    for id, act in ordered:
        owner, peer = state.owner, act.peer
        if act.author != owner or act.number <= state.owners[-1][0] or act.number > state.closed:
            continue
        if act.deed == "close":
            state.closed = act.number
        elif peer is None or peer == owner:
            continue
        elif act.deed == "owner":
            _dismiss(state, peer, act.number, EVER, {})
            state.owners.append((act.number, PeerId(peer)))
            state.offices[owner].append(
                Office(act.number, EVER, 0, {})
            )  # until the new one decides otherwise
        elif act.deed == "moderator":
            if not any(office.ended == EVER for office in state.offices[peer]):
                state.offices[peer].append(Office(act.number, EVER, 0, {}))
        elif act.deed == "member":
            _dismiss(state, peer, act.number, act.upto, dict(act.marks))
        else:
            continue
        counting.add(id)
    return counting


def _dismiss(state: State, peer: bytes, number: int, upto: int, marks: dict[bytes, int]) -> None:
    state.offices[peer] = [
        Office(office.since, number, upto, marks) if office.ended == EVER else office
        for office in state.offices[peer]
    ]


def _rules(state: State, act: Act) -> bool:
    """Whether the author of `act` was owner or moderator when it was made."""
    if act.number > state.closed:
        return False
    if state.owned_by(act.author, act.number):
        return True
    return any(
        office.since < act.number
        and (office.ended == EVER or (act.number < office.ended and act.count <= office.upto))
        for office in state.offices.get(act.author, ())
    )


def _protected(state: State, peer: bytes, act: Act) -> bool:
    """Owners are touched by nobody, moderators by nobody while they are it."""
    return state.owned_by(peer, act.number) or any(
        office.since < act.number < office.ended for office in state.offices.get(peer, ())
    )


def _deeds(state: State, act: Act) -> bool:
    """What moderators can do, too. Whether the act counts."""
    peer = act.peer
    if act.deed == "leave":
        return (
            act.author in state.listed and not state.owned_by(act.author, act.number) and _leave(state, act)
        )
    if act.deed in ("owner", "moderator", "member", "close") or not _rules(state, act):
        return False
    if act.deed == "settings":
        return act.settings is not None
    if act.deed == "rekey":
        if not state.invite or act.generation > state.keys[-1][0] + 16:
            return False
        state.keys.append((act.generation, act.lock))
        state.keys.sort()
        return True
    if peer is None:
        return False
    spans = state.spans[peer]
    if act.deed in ("kick", "ban", "mute"):
        if _protected(state, peer, act):
            return False
        until = act.until
        if act.deed == "kick":
            until = None if state.invite else act.time + KICK
        marks = dict(act.marks)
        spans.append(Span(act.deed, act.author, act.number, act.time, until, marks, act.reason, act.purge))
        return True
    if act.deed in ("unban", "unmute"):
        _end(spans, {"ban"} if act.deed == "unban" else {"mute"}, act.number)
        return True
    if act.deed == "invite" and state.invite:
        if any(span.deed == "ban" and span.holds(act.time) for span in spans):
            return False
        _end(spans, {"kick", "ban", "leave"}, act.number)
        state.listed[peer].append(act.number)
        return True
    return False


def _leave(state: State, act: Act) -> bool:
    state.spans[act.author].append(Span("leave", act.author, act.number, act.time, None, dict(act.marks)))
    return True


def _end(spans: list[Span], deeds: set[str], number: int) -> None:
    for span in spans:
        if span.deed in deeds and span.ended == EVER:
            span.ended = number
