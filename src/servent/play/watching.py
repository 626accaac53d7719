"""Those who watch: a log of final frames, handed on from one to the next, and a player that keeps up, waits or goes back. Pure.

Who plays feeds one or two who watch, and these feed others: everybody holds the same log, so everybody can hand it on. A log
is all that was since it began, not a ring: who is slow stays behind, and catches up. Watching is as late as the players want
it; those at the root hold frames back for so long, and nobody further down can have them sooner.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

from servent.errors import BadMessage, UsageError
from servent.play.engine import Engine
from servent.play.feeds import MOST, Frames, batch, unfolded
from servent.play.model import Advance, Confirmed, Settings
from servent.play.replays import MOST_FRAMES
from servent.play.states import State

FASTEST = 10  # frames stepped for one that is due
BEHIND = 30  # frames behind the newest that are normal: batches come ten times a second, and lines stutter
KEYFRAME = 600  # frames between states that are kept, to go back to
MOST_DELAY = 30.0  # s
FAN = 2  # whom each feeds

Who = TypeVar("Who", bound=Hashable)


class Log:
    """All final frames from `first` on, as far as they are known.

    Attributes:
        next: the frame after the last one.
    """

    def __init__(self, settings: Settings, first: int = 0) -> None:
        self.settings, self.first, self.next = settings, first, first
        self._frames: list[Confirmed] = []

    def add(self, one: Confirmed) -> None:
        """The next frame. Raises UsageError: it is another one, or the match is longer than four hours."""
        if one.frame != self.next or len(self._frames) >= MOST_FRAMES:
            raise UsageError(f"frame {one.frame} where {self.next} belongs")
        if self._frames and one.inputs == self._frames[-1].inputs:
            one = Confirmed(one.frame, self._frames[-1].inputs, one.gone)  # shared as long as nothing changes
        self._frames.append(one)
        self.next += 1

    def take(self, frames: Frames) -> int:
        """A batch came from whoever feeds us; what we have of it is passed over. Returns how many frames are new.

        Raises:
            BadMessage: it leaves a gap, tells the past otherwise, or is not of this match.
        """
        if frames.first > self.next or frames.first < self.first:
            raise BadMessage("frames of a match with a gap before them")
        found = unfolded(frames, self.settings)
        known = self.next - frames.first
        if found[:known] != self.between(frames.first, min(self.next, frames.first + frames.count)):
            raise BadMessage("frames that were otherwise before")
        if len(self._frames) + len(found) - known > MOST_FRAMES:
            raise BadMessage("a match that never ends")
        for one in found[known:]:
            self.add(one)
        return max(0, len(found) - known)

    def between(self, first: int, until: int) -> list[Confirmed]:
        """The frames from `first` to the one before `until`, as far as they are here."""
        return self._frames[max(first - self.first, 0) : max(until - self.first, 0)]


class Source:
    """Hands a log on. One for all who are fed from here.

    Args:
        delay: seconds that frames are held back, 0 to 30; where the log comes from somebody who does so already, 0.
    """

    def __init__(self, log: Log, delay: float = 0.0) -> None:
        """Raises UsageError: another delay."""
        if not 0 <= delay <= MOST_DELAY:
            raise UsageError(f"a delay of {delay} s; there are 0 to {MOST_DELAY:.0f}")
        self._log, self._delay = log, delay
        self._seen: deque[tuple[float, int]] = deque()
        self.shown = log.first if delay else log.next  # frames before it may be seen

    def tick(self, now: float) -> None:
        """Time passes: look at the log, ten times a second."""
        if not self._delay:
            self.shown = self._log.next
            return
        if not self._seen or self._seen[-1][1] < self._log.next:
            self._seen.append((now, self._log.next))
        while self._seen and now - self._seen[0][0] >= self._delay:
            self.shown = max(self.shown, self._seen.popleft()[1])

    def batch(self, position: int) -> Frames | None:
        """What comes from `position` on, for one who has all before; None: nothing yet.

        Raises:
            UsageError: it was before our log began; a snapshot is needed.
        """
        if position < self._log.first:
            raise UsageError(f"frame {position} is before the beginning of this log, {self._log.first}")
        frames = self._log.between(position, min(self.shown, position + MOST))
        return batch(frames, self.shown, self._log.settings.input_bytes) if frames else None


class Watcher:
    """Plays a log for somebody's eyes.

    Args:
        engine: with the state of the log's first frame.
    """

    def __init__(self, engine: Engine, log: Log) -> None:
        """Raises UsageError: the engine's state is of another frame."""
        if engine.frame != log.first:
            raise UsageError(f"a log from frame {log.first} on, and a state of {engine.frame}")
        self._engine, self._log = engine, log
        self._kept: dict[int, State] = {engine.frame: engine.state}
        self.live = True  # hurries when it is behind; not after going back

    @property
    def frame(self) -> int:
        """The frame whose state is shown."""
        return self._engine.frame

    @property
    def state(self) -> State:
        return self._engine.state

    @property
    def behind(self) -> int:
        """Frames from what is shown to the newest."""
        return self._log.next - self._engine.frame

    def turn(self) -> int:
        """One frame is due. Steps one; more, up to ten, where it is live and behind; none where nothing is here. Returns how many."""
        count = 1
        if self.live and self.behind > BEHIND:
            count = min(FASTEST, 1 + (self.behind - BEHIND) // 6)
        return self._step(self._log.between(self.frame, self.frame + count))

    def seek(self, frame: int) -> int:
        """Show `frame`, or the nearest that is known; from there it goes on at its own speed. Returns the frame shown."""
        frame = max(self._log.first, min(frame, self._log.next))
        begin = max(kept for kept in self._kept if kept <= frame)
        if not begin <= self.frame <= frame:
            self._engine.put(self._kept[begin], begin)
        self._step(self._log.between(self.frame, frame))
        self.live = False
        return self.frame

    def catch_up(self) -> None:
        """Back to now, at up to ten times real speed."""
        self.live = True

    def _step(self, frames: list[Confirmed]) -> int:
        for one in frames:
            self._engine.carry_out([Advance(one.frame, one.inputs, one.gone)])
            if (one.frame + 1) % KEYFRAME == 0:
                self._kept[one.frame + 1] = self._engine.state
        return len(frames)


class Place(NamedTuple, Generic[Who]):
    """Where somebody is in the tree: who feeds it, None for those who play, and how far from them it is."""

    parent: Who | None
    depth: int


class Tree(Generic[Who]):
    """Who feeds whom, as whoever lets people in sees it.

    Args:
        fan: how many each feeds.
        roots: how many are fed by those who play.
    """

    def __init__(self, fan: int = FAN, roots: int = FAN) -> None:
        """Raises UsageError: nobody feeds anybody."""
        if fan < 1 or roots < 1:
            raise UsageError("somebody has to feed somebody")
        self._fan, self._roots = fan, roots
        self._places: dict[Who, Place[Who]] = {}

    def add(self, who: Who) -> Place[Who]:
        """`who` watches: it is fed by whoever is nearest to the match and has room. Who is in keeps its place."""
        if who not in self._places:
            self._places[who] = self._room(frozenset())
        return self._places[who]

    def remove(self, who: Who) -> dict[Who, Place[Who]]:
        """`who` is gone. Returns the new places of those whom it fed; those below them stay with them."""
        if self._places.pop(who, None) is None:
            return {}
        orphans = [
            one for one, place in self._places.items() if place.parent == who and place.parent is not None
        ]
        below = {orphan: self._below(orphan) for orphan in orphans}
        moved = {}
        for orphan in orphans:  # room is found anywhere but below those who have lost theirs
            lost = frozenset().union(*(below[one] for one in orphans if one not in moved))
            self._places[orphan] = moved[orphan] = self._room(lost)
            for one in sorted(below[orphan] - {orphan}, key=lambda one: self._places[one].depth):
                parent = self._places[one].parent
                assert parent is not None
                self._places[one] = Place(parent, self._places[parent].depth + 1)
        return moved

    def _room(self, lost: frozenset[Who]) -> Place[Who]:
        feeds: dict[Who | None, int] = {}
        for who, place in self._places.items():
            if who not in lost:
                feeds[place.parent] = feeds.get(place.parent, 0) + 1
        if feeds.get(None, 0) < self._roots:
            return Place(None, 1)
        depth, _, parent = min(
            (place.depth, index, who)
            for index, (who, place) in enumerate(self._places.items())
            if who not in lost and feeds.get(who, 0) < self._fan
        )
        return Place(parent, depth + 1)

    def _below(self, who: Who) -> frozenset[Who]:
        found, open_ = {who}, [who]
        while open_:
            above = open_.pop()
            children = [
                one for one, place in self._places.items() if place.parent == above and one not in found
            ]
            found.update(children)
            open_ += children
        return frozenset(found)
