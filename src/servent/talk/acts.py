"""The acts of one room that this node has: checked, bounded, one for each place of an author's count; and what follows from them. Pure."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from servent.errors import BadMessage
from servent.talk.log import BEHIND, SLOW_SLACK
from servent.talk.records import CLOCK_AHEAD, Act, Founding, Seal, act_id, check, room_id
from servent.talk.state import State, judge

MOST_ACTS = 2000  # of one room; 2 MB at worst
OF_OWNER = 500  # of these, which only the owner fills: to dismiss moderators who filled all others
OF_OFFICE = 1000  # of one author who is or was owner or moderator
OF_MEMBER = 8  # of anybody else in a room by invitation: it may leave
UNWANTED = 512  # ids that were refused, until the next act is taken
ALL = ("owner", "moderator", "member", "close")  # what may change whose messages count


class Taken(NamedTuple):
    """Acts that are new here, those of all acts that count only now, and whose messages are to be weighed anew; None: all."""

    new: list[Act]
    counting: list[Act]
    authors: frozenset[bytes] | None


class Acts:
    """Attributes:
    state: the room as these acts make it.
    ids: sorted.
    twins: acts that took a place in a count that was taken.
    """

    def __init__(self, founding: Founding, acts: Iterable[Act] = (), *, gaps: bool = False) -> None:
        """`acts`: what was kept; they were checked when they came. `gaps`: as of `judge`."""
        self._gaps = gaps
        self.room = room_id(founding)
        self.founding = founding
        self.by_id: dict[bytes, Act] = {}
        self._places: dict[tuple[bytes, int], bytes] = {}
        self._of: Counter[bytes] = Counter()
        self._unwanted: dict[bytes, None] = {}
        self.twins = 0
        self.highest = founding.time
        for act in acts:
            self._add(act_id(act), act)
        self.ids = sorted(self.by_id)
        self.state: State = judge(founding, self.by_id.values(), gaps)

    def take(self, acts: Sequence[Act], seal: Seal, wall: int) -> Taken:
        """Take in what is good of these. Those nobody may sign, or too many of them, are passed over.

        Raises:
            Forged: one that its author did not sign. BadMessage: of another room.
        """
        checked: dict[bytes, Act] = {}
        for act in sorted(acts, key=lambda one: one.number):
            if act.room != self.room:
                raise BadMessage("an act of another room")
            id = act_id(act)
            if id in self.by_id or id in checked or act.number > wall + CLOCK_AHEAD:
                continue
            if not act.number - BEHIND <= act.time <= act.number + SLOW_SLACK:
                continue  # the time says how far back a purge reaches, and until when a kick holds
            # All are checked before any is taken: a forged one beside good ones would leave those without effect.
            check(act, seal)
            checked[id] = act
        new: list[Act] = []
        before = {id for id, _ in self.state.valid}
        for id, act in checked.items():
            if not self._room_for(act):
                self._refuse(id)
                continue
            if (act.author, act.count) in self._places:
                self.twins += 1
                self._refuse(id)
                continue
            self._add(id, act)
            insort(self.ids, id)
            new.append(act)
            if act.deed in ALL or act.deed == "invite":  # it may give power to those that follow
                self.state = judge(self.founding, self.by_id.values(), self._gaps)
        if not new:
            return Taken([], [], frozenset())
        self._unwanted.clear()
        self.state = judge(self.founding, self.by_id.values(), self._gaps)
        counting = [act for id, act in self.state.valid if id not in before]
        every = len(self.state.valid) != len(before) + len(counting)  # something counts no more
        peers = frozenset(one for act in counting for one in (act.peer, act.author) if one is not None)
        return Taken(new, counting, None if every or any(act.deed in ALL for act in counting) else peers)

    def would_count(self, act: Act) -> bool:
        """Whether it would, beside all that there is."""
        id = act_id(act)
        return any(one == id for one, _ in judge(self.founding, [*self.by_id.values(), act]).valid)

    def wants(self, id: bytes) -> bool:
        return id not in self.by_id and id not in self._unwanted and len(self.by_id) < MOST_ACTS

    def next_count(self, author: bytes) -> int:
        return self._of[author] + 1

    def of_owners(self) -> list[Act]:
        """As few as show who owns the room and what it is called, in their order."""
        valid = [act for _, act in self.state.valid]
        chain = [act for act in valid if act.deed == "owner"]
        named = [act for act in valid if act.deed == "settings"]
        return [*chain, *named[-1:]]

    def until_out(self, peer: bytes) -> list[Act]:
        """All acts up to the last that put `peer` out, in their order; none where it was never in, or is not out."""
        numbers = [span.number for span in self.state.spans.get(peer, ()) if span.deed in ("kick", "ban")]
        if not numbers:
            return []
        return [self.by_id[id] for id in self.ids if self.by_id[id].number <= max(numbers)]

    # -- inside

    def _room_for(self, act: Act) -> bool:
        if len(self.by_id) >= MOST_ACTS:
            return False
        author, state = act.author, self.state
        if author != state.owner and len(self.by_id) - self._of[state.owner] >= MOST_ACTS - OF_OWNER:
            return False
        if any(author == owner for _, owner in state.owners) or author in state.offices:
            return self._of[author] < OF_OFFICE
        return act.deed == "leave" and author in state.listed and self._of[author] < OF_MEMBER

    def _refuse(self, id: bytes) -> None:
        while len(self._unwanted) >= UNWANTED:
            del self._unwanted[next(iter(self._unwanted))]
        self._unwanted[id] = None

    def _add(self, id: bytes, act: Act) -> None:
        self.by_id[id] = act
        self._places[act.author, act.count] = id
        self._of[act.author] += 1
        self.highest = max(self.highest, act.number)
