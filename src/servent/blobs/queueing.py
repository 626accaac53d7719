"""How transfers share this machine and its line: the section `queue` of the configuration, read and written. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from servent.blobs.schedule import Rule, minute_of
from servent.errors import UsageError
from servent.identity import PeerId

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SETS = {"daily": frozenset(range(7)), "weekdays": frozenset(range(5)), "weekend": frozenset((5, 6))}
PLACEHOLDERS = ("{path}", "{name}", "{size}", "{infohash}")
# Windows hands the words for a batch file to cmd.exe as one text, and makes commands of some letters in it.
READS_CODE = {"-c", "-e", "/c", "/k", "--eval", "--command", "-command", "-encodedcommand", "eval"}


class QueueSettings(Protocol):
    """The section `queue`; see `docs/settings.md`. Rates in bytes per second, 0 for no limit."""

    most_active: int
    schedule: list[str]
    peers: list[str]
    on_complete: str
    alternative: bool
    alternative_up_bytes_per_s: int
    alternative_down_bytes_per_s: int


@dataclass(frozen=True, slots=True)
class PeerRates:
    """Bytes per second, None: as for everybody."""

    up: float | None = None
    down: float | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """`alternative`: these two rates hold in place of the usual ones and of the schedule."""

    most_active: int = 5
    schedule: tuple[Rule, ...] = ()
    peers: Mapping[PeerId, PeerRates] = field(default_factory=dict)
    on_complete: str = ""
    alternative: bool = False
    alternative_up: float | None = 500_000.0
    alternative_down: float | None = 2_000_000.0

    @classmethod
    def of(cls, settings: QueueSettings) -> Queue:
        """Raises UsageError, naming the setting."""
        queue = cls(
            settings.most_active,
            tuple(parse_rule(text) for text in settings.schedule),
            dict(parse_peer(text) for text in settings.peers),
            settings.on_complete,
            settings.alternative,
            settings.alternative_up_bytes_per_s or None,
            settings.alternative_down_bytes_per_s or None,
        )
        command(queue.on_complete)
        return queue

    def written(self) -> dict[str, int | str | bool | list[str]]:
        """As `of` reads it."""
        return {
            "queue.most_active": self.most_active,
            "queue.schedule": [rule_text(rule) for rule in self.schedule],
            "queue.peers": [f"{peer}{_rates(rates.up, rates.down)}" for peer, rates in self.peers.items()],
            "queue.on_complete": self.on_complete,
            "queue.alternative": self.alternative,
            "queue.alternative_up_bytes_per_s": int(self.alternative_up or 0),
            "queue.alternative_down_bytes_per_s": int(self.alternative_down or 0),
        }


def parse_rule(text: str) -> Rule:
    """ "weekdays 08:00-18:00 up=100000 down=1000000", "sat,sun 22:00-06:00 pause". Raises UsageError."""
    try:
        days, times, *words = text.split()
        up, down, pause = _limits(words)
        if up is None and down is None and not pause:
            raise ValueError("it says nothing")
        return replace(_part_of_week(days, times), up=up, down=down, pause=pause)
    except ValueError as wrong:
        raise UsageError(
            f"queue.schedule: {text[:80]!r} is no rule: {wrong}",
            advice='Like "weekdays 08:00-18:00 up=100000", "sat,sun 22:00-06:00 pause" or "daily 00:00-24:00 down=…".',
        ) from None


def parse_hours(hours: Sequence[str], setting: str = "") -> list[Rule]:
    """Parts of the week, as "weekdays 22:00-07:00": rules that pause, for those who ask when something may run.

    Raises:
        UsageError: one is no part of a week; `setting` stands before it.
    """
    rules = []
    for text in hours:
        days, _, times = text.partition(" ")
        try:
            rules.append(replace(_part_of_week(days, times), pause=True))
        except ValueError:
            raise UsageError(
                f"{setting and setting + ': '}{text[:80]!r} is no part of a week",
                advice='Write it as "weekdays 22:00-07:00".',
            ) from None
    return rules


def _part_of_week(days: str, times: str) -> Rule:
    begin, _, end = times.partition("-")
    among = SETS.get(days) or frozenset(DAYS.index(day) for day in days.split(","))
    return Rule(among, minute_of(begin), minute_of(end))


def rule_text(rule: Rule) -> str:
    """As `parse_rule` reads it."""
    named = next((name for name, days in SETS.items() if days == rule.days), None)
    days = named or ",".join(DAYS[day] for day in sorted(rule.days))
    times = "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in (rule.begin, rule.end))
    return f"{days} {times}{_rates(rule.up, rule.down)}{' pause' if rule.pause else ''}"


def parse_peer(text: str) -> tuple[PeerId, PeerRates]:
    """ "PEER up=50000 down=200000". Raises UsageError."""
    id, *words = text.split()
    try:
        up, down, pause = _limits(words)
        if pause or (up is None and down is None):
            raise ValueError("say up=… or down=…")
    except ValueError as wrong:
        raise UsageError(
            f"queue.peers: {text[:120]!r} is no limit: {wrong}", advice='Like "PEER-ID up=50000 down=200000".'
        ) from None
    return PeerId.parse(id), PeerRates(up, down)


def _limits(words: list[str]) -> tuple[float | None, float | None, bool]:
    found: dict[str, float] = {}
    pause = False
    for word in words:
        name, equals, value = word.partition("=")
        if word == "pause":
            pause = True
        elif name in ("up", "down") and equals and value.isdecimal() and 1024 <= int(value) <= 1 << 50:
            found[name] = float(value)
        else:
            raise ValueError(f"{word!r} is neither up=…, down=… (1024 or more) nor pause")
    return found.get("up"), found.get("down"), pause


def _rates(up: float | None, down: float | None) -> str:
    return "".join(f" {name}={rate:.0f}" for name, rate in (("up", up), ("down", down)) if rate is not None)


# the command after a download


def command(template: str) -> list[str]:
    """The words of a command that is run after each download; [] for none.

    Raises:
        UsageError: quotes that do not end; a placeholder where it would be run, not handed over.
    """
    try:
        words = shlex.split(template)
    except ValueError as wrong:
        raise UsageError(f"queue.on_complete: {wrong}", advice="Close the quotes.") from wrong
    batch = bool(words) and words[0].strip().lower().endswith((".bat", ".cmd"))
    for before, word in zip(["", *words], words, strict=False):
        if not any(placeholder in word for placeholder in PLACEHOLDERS):
            continue
        if not before or before.lower() in READS_CODE or batch:
            raise UsageError(
                f"queue.on_complete: {word[:80]!r} would run what others chose as a name",
                advice="Hand it over as a word of its own, or read SERVENT_PATH: sh -c 'mv \"$SERVENT_PATH\" /films'.",
            )
    return words


def filled(words: list[str], *, path: str, name: str, size: int, infohash: str) -> list[str]:
    """The command for one download. No name becomes an option: one that begins with "-" is written "./-…"."""
    values = dict(zip(PLACEHOLDERS, (path, name, str(size), infohash), strict=True))
    return [_fill(word, values) for word in words]


def _fill(word: str, values: Mapping[str, str]) -> str:
    out, rest = "", word
    while rest:  # from left to right, so that a name with "{path}" in it stays what it is
        at = min((rest.find(one) for one in values if one in rest), default=-1)
        if at < 0:
            break
        found = next(one for one in values if rest.startswith(one, at))
        out, rest = out + rest[:at] + values[found], rest[at + len(found) :]
    filled = out + rest
    return f"./{filled}" if filled.startswith("-") and not word.startswith("-") else filled
