"""Limits for parts of the week: which hold now, until when, and that as a sentence. A core: no clock.

Rules are in local wall time, so 22:00 stays 22:00 when summer time begins. The one question asked is "which rules cover
this wall-clock minute?"; how long that minute lasts, or whether it comes twice, makes no difference to the
answer. When the next change comes is found by asking the same of the minutes ahead through the zone itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAY = 24 * 60  # minutes
NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

Local = Callable[[float], datetime]  # wall clock in seconds -> local time; the shell knows the zone


@dataclass(frozen=True, slots=True)
class Rule:
    """`days`: 0 is Monday. `begin`, `end`: minutes of the day; over midnight when `end` is not after `begin`.

    `up`, `down`: bytes per second, None: this rule says nothing about them. `pause`: nothing moves.
    """

    days: frozenset[int]
    begin: int
    end: int
    up: float | None = None
    down: float | None = None
    pause: bool = False

    def covers(self, weekday: int, minute: int) -> bool:
        """Whether it holds at this minute of this day."""
        if self.begin < self.end:
            return weekday in self.days and self.begin <= minute < self.end
        evening = weekday in self.days and minute >= self.begin
        return evening or ((weekday - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True, slots=True)
class Now:
    """What the schedule says. `until`: wall clock when that changes, None: never. `words` is "" when it says nothing."""

    up: float | None = None
    down: float | None = None
    pause: bool = False
    until: float | None = None
    words: str = ""

    @property
    def same(self) -> tuple[float | None, float | None, bool]:
        return self.up, self.down, self.pause


def minute_of(text: str) -> int:
    """ "18:30" as minutes of the day. Raises ValueError."""
    hours, _, minutes = text.partition(":")
    value = int(hours) * 60 + int(minutes)
    if not (0 <= value <= DAY and 0 <= int(minutes) < 60):
        raise ValueError(text)
    return value % DAY


def now(rules: Sequence[Rule], wall: float, local: Local) -> Now:
    """What holds at `wall`. Of several rules that hold at once, the tightest limit counts."""
    current = _at(rules, local(wall))
    if not rules:
        return Now()
    until = _change(rules, current, wall, local)
    up, down, pause = current
    return Now(up, down, pause, until, _words(current, until, wall, local))


def _at(rules: Sequence[Rule], moment: datetime) -> tuple[float | None, float | None, bool]:
    weekday, minute = moment.weekday(), moment.hour * 60 + moment.minute
    holding = [rule for rule in rules if rule.covers(weekday, minute)]
    return (
        min((rule.up for rule in holding if rule.up is not None), default=None),
        min((rule.down for rule in holding if rule.down is not None), default=None),
        any(rule.pause for rule in holding),
    )


def _change(
    rules: Sequence[Rule], current: tuple[float | None, float | None, bool], wall: float, local: Local
) -> float | None:
    """The first minute of the next eight days at which something else holds. Hours without any edge are stepped over."""
    edges = {edge for rule in rules for edge in (rule.begin, rule.end)} | {0}
    at = wall - wall % 60
    end = at + 8 * DAY * 60
    while at < end:
        moment = local(at)
        minute = moment.hour * 60 + moment.minute
        # At most an hour ahead: a jump of the clock in between is then seen when it comes.
        ahead = min(((edge - minute) % DAY or DAY) for edge in edges)
        to_hour = 60 - minute % 60
        at += 60 * min(ahead, to_hour)
        if _at(rules, local(at)) != current:
            return at
    return None


def _words(
    current: tuple[float | None, float | None, bool], until: float | None, wall: float, local: Local
) -> str:
    up, down, pause = current
    when = f" until {_clock(until, wall, local)}" if until is not None else ""
    if pause:
        return f"paused by the schedule{when}"
    limits = limits_words(up, down)
    return f"limited by the schedule to {limits}{when}" if limits else ""


def limits_words(up: float | None, down: float | None) -> str:
    """ "up 200 kB/s and down 4 MB/s"; "" for no limit."""
    limits = (("up", up), ("down", down))
    return " and ".join(f"{name} {_rate(rate)}" for name, rate in limits if rate is not None)


def _clock(until: float, wall: float, local: Local) -> str:
    then, today = local(until), local(wall)
    if until - wall < 20 * 3600 or then.date() == today.date():
        return f"{then:%H:%M}"
    return f"{NAMES[then.weekday()]} {then:%H:%M}"


def _rate(rate: float) -> str:
    for unit, size in (("MB/s", 1e6), ("kB/s", 1e3)):
        if rate >= size:
            return f"{rate / size:.3g} {unit}"
    return f"{rate:.0f} B/s"


def utc(wall: float) -> datetime:
    """A zone without surprises, for tests and simulations."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=wall)
