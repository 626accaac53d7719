"""Whom to ask for work, how much and when, and whose work is next on a free core. A core: no clock, no dice.

Projects share the machine by weight, as packets share a line in weighted fair queueing (Demers et al., 1989): each has a virtual time that advances by the
seconds of a core it used, divided by its share (times what it bids, see `credit.price`), and whoever is behind comes first. Nobody saves up a claim while it has no work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from servent.grid.wire import BATCH

FIRST_GUESS = 2.0  # times what a unit takes at peak speed; an FFT takes 6 to 10, but what is too much goes back once it is known
SAME = 1.1  # times; an estimate that changed by less is the same
LEARN = 0.2  # weight of the newest unit in what is known of an app
MOST_CLAIM = 3600.0  # s of a core that a project may be behind the others
MOST_HELD = 256  # units per core that are held, however small they are: a second of the tiniest
REFILL = 0.5  # new work is fetched when less than this part of the wanted store is left
MOST_APPS = 1000  # of which it is known how long their units take here
LINES = 2  # questions for work under way with one project: while one is answered the other is on its way
TOO_MUCH = 4.0  # times what was wanted: what a project hands out beyond goes back at once
SLOW_FIRST, SLOW_MOST = 10.0, 3600.0  # s to stay away after a failed contact, doubled each time
FAILS_IN_A_ROW = 10  # units of one project that ended in an error, after which it is left alone for a while
FAILS_FIRST, FAILS_MOST = 600.0, 86400.0  # s


@dataclass(frozen=True, slots=True)
class Ask:
    """Lease up to `most` units from `project`, for `seconds` of all cores together."""

    project: bytes
    most: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Stock:
    """What is held of a project and not begun: `units`, and the `seconds` of one core they are thought to take."""

    units: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Project:
    share: float
    time: float  # virtual
    price: float = 1.0
    ready: bool = False
    asked: int = 0
    not_before: float = 0.0
    contact_at: float = 0.0
    contacts_failed: int = 0
    units_failed: int = 0
    times_left_alone: int = 0

    @property
    def weight(self) -> float:
        return self.share * self.price


@dataclass(slots=True)
class _App:
    factor: float = FIRST_GUESS
    told: float = FIRST_GUESS
    seen: int = 0


@dataclass(slots=True)
class Fetching:
    """All times are seconds of the caller's monotonic clock.

    Args:
        dice: from 0 to 1, so that volunteers do not come back all at once.
    """

    dice: Callable[[], float]
    _projects: dict[bytes, _Project] = field(default_factory=dict)
    _apps: dict[bytes, _App] = field(default_factory=dict)
    learned: int = 0  # counts up when estimates are worth making anew

    # -- who there is

    def join(self, project: bytes, share: float) -> None:
        """From now on, or with another share. It begins where the others are: it has no claim on what was before."""
        known = self._projects.get(project)
        if known is not None:
            known.share = share
        else:
            self._projects[project] = _Project(share, self._front())

    def bids(self, project: bytes, price: int) -> None:
        """It pays so many percent (`wire.Welcome.price`): its share weighs as many times more."""
        one = self._projects.get(project)
        if one is not None:
            one.price = price / 100

    def leave(self, project: bytes) -> None:
        self._projects.pop(project, None)

    def ready(self, project: bytes, ready: bool) -> None:
        """Whether it can be asked at all: in contact, not paused, not closed."""
        one = self._projects.get(project)
        if one is not None:
            one.ready = ready
            one.asked = one.asked if ready else 0

    # -- what was learned

    def contact_failed(self, project: bytes, now: float, retry: float | None = None) -> float:
        """It could not be reached, or said to come back in `retry` seconds. Returns when to try again."""
        one = self._projects[project]
        wait = min(SLOW_MOST, SLOW_FIRST * 2.0 ** min(one.contacts_failed, 20)) if retry is None else retry
        one.contacts_failed += 1
        one.contact_at = now + wait * (1.0 + 0.5 * self.dice())
        return one.contact_at

    def contact_worked(self, project: bytes) -> None:
        one = self._projects[project]
        one.contacts_failed, one.contact_at = 0, 0.0

    def estimate(self, app: bytes, operations: int, mflops: float) -> float:
        """Seconds of one core that a unit will take here; at least a ten-thousandth."""
        known = self._apps.get(app)
        factor = FIRST_GUESS if known is None else known.factor
        return max(1e-4, operations / max(mflops, 1.0) * factor)

    def finished(
        self,
        project: bytes,
        app: bytes,
        operations: int,
        mflops: float,
        seconds: float,
        well: bool,
        now: float,
    ) -> str:
        """A unit ended after `seconds` of a core. Returns why its project is left alone for a while now, or ""."""
        if well:
            known = self._apps.pop(app, None) or _App()
            self._apps[app] = known
            if len(self._apps) > MOST_APPS:
                del self._apps[next(iter(self._apps))]
            factor = max(seconds, 1e-6) * max(mflops, 1.0) / operations
            known.factor = factor if not known.seen else known.factor + LEARN * (factor - known.factor)
            known.seen += 1
            if not 1 / SAME < known.factor / known.told < SAME:
                known.told = known.factor
                self.learned += 1
        one = self._projects.get(project)
        if one is None:
            return ""
        if well:
            one.units_failed = one.times_left_alone = 0
            return ""
        one.units_failed += 1
        if one.units_failed < FAILS_IN_A_ROW:
            return ""
        one.units_failed = 0
        wait = min(FAILS_MOST, FAILS_FIRST * 2.0 ** min(one.times_left_alone, 20))
        one.times_left_alone += 1
        one.not_before = max(one.not_before, now + wait)
        return f"{FAILS_IN_A_ROW} units in a row ended in an error; it is left alone for {wait / 60:.0f} min"

    def used(self, project: bytes, seconds: float) -> None:
        """A core worked so long for it."""
        one = self._projects.get(project)
        if one is not None:
            one.time += seconds / one.weight
            for other in self._projects.values():  # nobody saves up more than an hour's claim
                other.time = max(other.time, one.time - MOST_CLAIM / other.weight)

    # -- what to do

    def asks(self, stocks: dict[bytes, Stock], cores: int, ahead: float, now: float) -> list[Ask]:
        """Whom to ask now, so that `cores` have work for `ahead` seconds each. Each is to be followed by `answered`."""
        if cores <= 0:
            return []
        open_now = {key: one for key, one in self._projects.items() if one.ready and one.not_before <= now}
        shares = sum(one.weight for one in open_now.values())
        asks = []
        for key, one in sorted(open_now.items(), key=lambda item: item[1].time):
            stock = stocks.get(key, Stock())
            wanted = max(cores * ahead, 1.0) * one.weight / shares
            room = MOST_HELD * cores - stock.units - one.asked * BATCH
            hungry = stock.seconds < wanted * REFILL or stock.units < cores
            if not hungry or room <= 0 or one.asked >= LINES:
                continue
            if (
                one.asked and stock.seconds > cores
            ):  # the second question is for units so small that one answer is soon used up
                continue
            one.asked += 1
            asks.append(Ask(key, min(BATCH, room), max(1.0, wanted - stock.seconds)))
        return asks

    def answered(self, project: bytes, units: int, wait: float, now: float) -> None:
        """An `Ask` came to its end: with so many `units`, or none and the word to ask again in `wait` seconds."""
        one = self._projects.get(project)
        if one is None:
            return
        one.asked = max(0, one.asked - 1)
        if not units:
            one.not_before = max(one.not_before, now + max(1.0, wait) * (1.0 + 0.2 * self.dice()))

    def next_ask(self, now: float) -> float | None:
        """When somebody may be asked who may not now."""
        later = [one.not_before for one in self._projects.values() if one.ready and one.not_before > now]
        return min(later, default=None)

    def not_before(self, project: bytes) -> float:
        one = self._projects.get(project)
        return 0.0 if one is None else max(one.not_before, one.contact_at)

    def too_many(self, stock: Stock, project: bytes, cores: int, ahead: float) -> float:
        """Seconds of what is held of a project that nobody can want here; to be given back."""
        one = self._projects.get(project)
        if one is None:
            return stock.seconds
        most = max(cores * max(ahead, 60.0) * TOO_MUCH, 60.0)
        return max(0.0, stock.seconds - most)

    def order(self, projects: Iterable[bytes]) -> list[bytes]:
        """Whose work comes first on a core that is free now."""
        known = [key for key in projects if key in self._projects]
        return sorted(known, key=lambda key: self._projects[key].time)

    def _front(self) -> float:
        """Where whoever has work is: the least virtual time of those that are ready, else the greatest of all."""
        ready = [one.time for one in self._projects.values() if one.ready]
        return min(ready, default=max((one.time for one in self._projects.values()), default=0.0))


def seconds_allowed(seconds: float, mflops: float) -> float:
    """Seconds of a core of this machine that an app's limit stands for: more on a slow one, up to ten times.

    Args:
        mflops: of one core in the sandbox, as `Slots.measure` has it.
    """
    return seconds * max(1.0, min(10.0, REFERENCE / max(mflops, 1.0)))


REFERENCE = (
    8000.0  # MFLOP/s of a core of the machine that limits are meant for: a desktop of 2015, about; a guess
)
