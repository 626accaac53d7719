"""Which downloads run now, and who waits at which place. A core: no I/O, no clock.

`most_active` downloads move at once, by priority and then by their order. As in qBittorrent ("do not count slow
torrents"), one that has got nothing for a minute, because nobody connected has it or it stands in somebody's
queue, goes on looking but does not use up a place; so that not thousands look at once there is an end to that,
too, and who has looked in vain the longest makes room for who has not looked yet. What a person is looking
at (previews, files played while they come, what was put to the foreground) runs at once and takes nobody's place.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

QUIET = 60.0  # s without a byte after which a download uses up no place; qBittorrent's default
LOOKERS = 30  # quiet downloads that go on looking, at most; each asks every connected peer
LOOK = 180.0  # s of looking after which others may look instead
LEAST_RUN = 15.0  # s a download runs before one further up the list takes its place
PLACES = 500  # waiting downloads that are told their place


@dataclass(frozen=True, slots=True)
class Start:
    id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """It waits again; `tried`: it only made room for others to look for sources."""

    id: str
    tried: bool = False


@dataclass(slots=True)
class _Wanted:
    id: str
    level: int
    order: float
    at_once: bool
    since: float | None = None  # it runs
    moved: float = 0.0
    total: int = 0
    busy: bool = False
    tried: bool = False

    @property
    def rank(self) -> tuple[bool, int, float]:
        return self.tried, self.level, self.order


class Turns:
    """Owns which of the downloads that are wanted run."""

    def __init__(self, most_active: int = 5) -> None:
        self.most_active = most_active
        self.held = False
        self._wanted: dict[str, _Wanted] = {}
        self._running: dict[str, _Wanted] = {}
        self._waiting: list[_Wanted] | None = []  # in order; None: to be sorted again
        self._places: dict[str, int] = {}

    def want(self, id: str, level: int, order: float, *, at_once: bool = False) -> None:
        """It shall run when its turn comes. `level`: 0 is the highest priority. Again to change any of that."""
        one = self._wanted.get(id)
        if one is None:
            one = self._wanted[id] = _Wanted(id, level, order, at_once)
            waiting = self._waiting
            if waiting is not None and (not waiting or waiting[-1].rank <= one.rank):
                if len(waiting) < PLACES:
                    self._places[id] = len(waiting)
                waiting.append(one)  # the usual case, and thousands may come at once
                return
        else:
            one.level, one.order, one.at_once, one.tried = level, order, at_once, False
        self._waiting = None

    def drop(self, id: str) -> None:
        """It is complete, paused or gone."""
        if self._wanted.pop(id, None) is not None and self._running.pop(id, None) is None:
            self._waiting = None

    def moved(self, id: str, total: int, now: float, *, busy: bool = False) -> None:
        """What it has got in all; `busy`: it works on what is here, which counts as moving."""
        one = self._running.get(id)
        if one is not None:
            if total != one.total or busy:
                one.total, one.moved = total, now
            one.busy = busy

    def active(self, now: float) -> int:
        """How many use up a place now."""
        return sum(self._counts(one, now) for one in self._running.values())

    def looking(self, now: float) -> int:
        """How many run and use up no place, since nobody sends them anything."""
        return sum(not one.at_once and not self._counts(one, now) for one in self._running.values())

    def running(self, id: str) -> bool:
        return id in self._running

    @property
    def count_waiting(self) -> int:
        return len(self._wanted) - len(self._running)

    def place(self, id: str) -> int | None:
        """Its place among those that wait, 0 is next; None: it runs, is not wanted, or is beyond the first 500."""
        self._sorted()
        return self._places.get(id)

    def first(self) -> float:
        """An order that is before all."""
        return min((one.order for one in self._wanted.values()), default=0.0) - 1.0

    def order_at(self, id: str, level: int, place: int) -> float:
        """An order that puts `id` at `place` among those of its level that wait or run."""
        peers = sorted(one.order for one in self._wanted.values() if one.level == level and one.id != id)
        if not peers:
            return 0.0
        if place <= 0:
            return peers[0] - 1.0
        if place >= len(peers):
            return peers[-1] + 1.0
        return (peers[place - 1] + peers[place]) / 2

    def tick(self, now: float) -> list[Start | Stop]:
        """What to start and to stop now; taken as done."""
        done: list[Start | Stop] = []
        if self.held:
            done += [self._stop(one) for one in list(self._running.values()) if not one.at_once]
        done += [self._start(one, now) for one in self._wanted.values() if one.at_once and one.since is None]
        if self.held:
            return done
        counted = [one for one in self._running.values() if self._counts(one, now)]
        while len(counted) > self.most_active:
            last = max(counted, key=lambda one: one.rank)
            if now - (last.since or 0.0) < LEAST_RUN:
                break
            counted.remove(last)
            done.append(self._stop(last))
        waiting = self._sorted()
        started: list[_Wanted] = []
        for one in waiting:
            if len(counted) >= self.most_active:
                last = max(counted, key=lambda other: other.rank)
                settled = now - (last.since or 0.0) >= LEAST_RUN
                if last.rank <= one.rank or not (settled or last.level > one.level):
                    break
                counted.remove(last)
                done.append(self._stop(last))
            lookers = [other for other in self._running.values() if not self._counts(other, now)]
            if len([other for other in lookers if not other.at_once]) >= LOOKERS:
                longest = min(
                    (other for other in lookers if not other.at_once), key=lambda other: other.moved
                )
                if now - max(longest.moved, longest.since or 0.0) < LOOK:
                    break
                longest.tried = True
                done.append(self._stop(longest, tried=True))
            started.append(one)
            counted.append(one)
            done.append(self._start(one, now))
        return done

    def next_tick(self, now: float) -> float | None:
        """When time alone changes something: a running one becomes quiet, or ran long enough."""
        if self.held or self.count_waiting == 0:
            return None
        ends = [inf]
        for one in self._running.values():
            began = one.since or 0.0
            own = (one.moved + QUIET, began + LEAST_RUN, max(one.moved, began) + LOOK)
            ends += [end for end in own if end > now]
        soonest = min(ends)
        return None if soonest == inf else soonest

    # -- inside

    def _counts(self, one: _Wanted, now: float) -> bool:
        return not one.at_once and (one.busy or now - one.moved < QUIET)

    def _start(self, one: _Wanted, now: float) -> Start:
        one.since = one.moved = now
        one.tried = False
        self._running[one.id] = one
        self._waiting = None
        return Start(one.id)

    def _stop(self, one: _Wanted, *, tried: bool = False) -> Stop:
        del self._running[one.id]
        one.since, one.busy = None, False
        self._waiting = None
        return Stop(one.id, tried)

    def _sorted(self) -> list[_Wanted]:
        if self._waiting is None:
            self._waiting = sorted(
                (one for one in self._wanted.values() if one.since is None), key=lambda one: one.rank
            )
            self._places = {one.id: place for place, one in enumerate(self._waiting[:PLACES])}
        return self._waiting
