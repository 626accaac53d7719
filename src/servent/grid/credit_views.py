"""What faces see of credit: leaderboards, audits, teams, balances. Values alone; work in MFLOP, keys as bytes."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

Span = Literal["day", "week", "all"]
Board = Literal["people", "teams"]


class Standing(Struct, frozen=True):
    """A line of a leaderboard. `credit`: MFLOP within the span; `recent`: MFLOP per day, half-life seven days. `team`: name of the member's team."""

    rank: int
    key: bytes
    name: str = ""
    team: str = ""
    credit: int = 0
    recent: float = 0.0
    results: int = 0


class Leaderboard(Struct, frozen=True):
    """`rows`: how many lines there are in all. `as_of`: time of the newest entry counted, 0 for none."""

    project: bytes
    name: str
    board: Board
    span: Span
    standings: tuple[Standing, ...] = ()
    rows: int = 0
    as_of: float = 0.0


class Check(Struct, frozen=True):
    """One thing that an audit looks at, and what it found."""

    what: str
    ok: bool
    words: str = ""


class Audited(Struct, frozen=True):
    """What an audit found. `whole`: nothing is wrong but, maybe, that more was paid than there was. `open`: entries to credit that their workers have not agreed to (yet).

    `head`: hash of the newest entry. `proven`: MFLOP that the owner shows it earned elsewhere.
    """

    ok: bool
    project: bytes
    name: str = ""
    entries: int = 0
    countersigned: int = 0
    open: int = 0
    results: int = 0
    credit: int = 0
    paid: int = 0
    workers: int = 0
    first: float = 0.0
    last: float = 0.0
    head: bytes = b""
    checks: tuple[Check, ...] = ()
    standings: tuple[Standing, ...] = ()
    seconds: float = 0.0
    whole: bool = True
    proven: int = 0


class Team(Struct, frozen=True):
    """`mine`: its key is here. `member`: we are in it, until `expires` (wall clock). `members`: as far as this node knows."""

    key: bytes
    name: str
    mine: bool = False
    member: bool = False
    members: int = 0
    expires: float | None = None


class Balance(Struct, frozen=True):
    """Inside a network: what `peer` has earned by lending and spent on its projects, MFLOP, as the ledgers known here say. `line`: how far it may go below 0."""

    peer: bytes
    earned: int = 0
    spent: int = 0
    line: int = 0
    projects: tuple[bytes, ...] = field(default=())

    @property
    def balance(self) -> int:
        return self.earned - self.spent

    @property
    def left(self) -> int:
        """What it may still spend."""
        return max(0, self.balance + self.line)


class Totals(Struct, frozen=True):
    """What one worker has with one project, MFLOP. `today`: since midnight UTC; `recent`: per day, as of now."""

    credit: int = 0
    today: int = 0
    recent: float = 0.0
    results: int = 0


class LedgerLook(Struct, frozen=True):
    """How far a ledger is. `open`: entries that wait for their workers. `infohash`: of the newest published one, b"" for none. `why`: what was wrong, where it is not `sound`."""

    project: bytes
    entries: int = 0
    countersigned: int = 0
    open: int = 0
    infohash: bytes = b""
    last: float = 0.0
    sound: bool = True
    why: str = ""
