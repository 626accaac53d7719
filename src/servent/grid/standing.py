"""Who did how much: sums out of entries of a ledger, by worker and by team, in all and by the hour. Pure.

Whoever has the ledger counts the same: all times are those of the entries. What a worker earned while it was in a team stays the team's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from servent.grid.credit import recent
from servent.grid.credit_views import Board, Span
from servent.grid.ledger import Entry

HOUR = 3600.0
HOURS: dict[Span, int] = {"day": 24, "week": 7 * 24}  # that count, the one under way included
KEPT_HOURS = 8 * 24


@dataclass(slots=True)
class Score:
    """Sums of one worker or team. `number`: counts from 1 in the order in which they first show in the ledger. Credit in MFLOP,
    and what of it the balance of the project's owner `paid`.

    `recent`: MFLOP per day as of `recent_at`. `team`: of a worker, as of its newest entry. `hours`: credit and results by hour since 1970.
    """

    board: Board
    key: bytes
    number: int
    name: str = ""
    team: bytes = b""
    credit: int = 0
    paid: int = 0
    results: int = 0
    recent: float = 0.0
    recent_at: float = 0.0
    since: float = 0.0
    hours: dict[int, tuple[int, int]] = field(default_factory=dict)

    def count(self, entry: Entry) -> None:
        """Add an entry, or take away what it takes back."""
        sign = 1 if entry.kind == "credit" else -1
        paid = entry.paid if entry.network is not None else 0
        self.add(entry.at, sign * entry.total, sign * entry.results, sign * paid)

    def add(self, at: float, credit: int, results: int, paid: int) -> None:
        """The same in numbers; below 0 where credit is taken back."""
        self.credit += credit
        self.paid += paid
        self.results += results
        self.recent = max(0.0, recent(self.recent, at - self.recent_at, credit))
        self.recent_at = max(self.recent_at, at)
        self.since = self.since or at
        hour = int(at // HOUR)
        had = self.hours.get(hour, (0, 0))
        self.hours[hour] = (had[0] + credit, had[1] + results)


class Tally:
    """The scores of one ledger, made of its entries from the first on, or going on from scores that were kept."""

    def __init__(self) -> None:
        self.people: dict[bytes, Score] = {}
        self.teams: dict[bytes, Score] = {}
        self._members: dict[bytes, set[bytes]] = {}

    def count(self, entry: Entry) -> None:
        """Entries come in the order of the ledger."""
        person = self.people.get(entry.worker)
        if person is None:
            person = self.people[entry.worker] = Score("people", entry.worker, len(self.people) + 1)
        person.name = entry.name or person.name
        person.team = entry.team.team if entry.team is not None else b""
        person.count(entry)
        if entry.team is not None:
            team = self.teams.get(entry.team.team)
            if team is None:
                team = self.teams[entry.team.team] = Score("teams", entry.team.team, len(self.teams) + 1)
            team.name = entry.team.name
            team.count(entry)

    def scores(self) -> Iterable[Score]:
        yield from self.people.values()
        yield from self.teams.values()


def since_hour(span: Span, now: float) -> int:
    """The first hour that counts."""
    return int(now // HOUR) - HOURS[span] + 1


def first_hour(now: float) -> int:
    """Hours before this one are no longer asked for."""
    return int(now // HOUR) - KEPT_HOURS
