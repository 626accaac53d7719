"""The stable surface, what is about credit: what a project pays, leaderboards, the check of a ledger, teams, balances. The same rules as in `schema_grid`.

Credit is in cobblestones, BOINC's unit: 200 are one GFLOPS-day.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.api.schema import ShortName
from servent.api.schema_grid import GridAudience

Span = Literal["day", "week", "all"]
Board = Literal["people", "teams"]
FolderText = Annotated[str, Meta(min_length=1, max_length=4096)]


class ProjectLink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`servent-project:…`"""

    link: Annotated[str, Meta(min_length=1, max_length=2048)]


class ProjectPreview(Struct, frozen=True, kw_only=True):
    """What a project says of itself before anybody joins it, signed by its key `id`. `bonus`: k of the quick-return bonus: credit times √(k × deadline / time taken), at least 1 and at most 10; 0 for none. `units`, `done`, `eta`: as in `JoinedProject`."""

    id: str
    name: str
    about: str = ""
    url: str = ""
    owner: str = ""
    owner_name: str = ""
    audience: GridAudience = "friends"
    bonus: float = 0.0
    closed: bool = False
    units: int = 0
    done: int = 0
    eta: float | None = None


class Standing(Struct, frozen=True, kw_only=True):
    """A line of a leaderboard."""

    rank: int
    key: str
    name: str = ""
    team: str = ""
    credit: float = 0.0
    recent: float = 0.0
    results: int = 0
    me: bool = False


class BoardQuery(Struct, frozen=True, kw_only=True):
    board: Board = "people"
    span: Span = "all"
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class Leaderboard(Struct, frozen=True, kw_only=True):
    """`rows`: how many there are in all. `as_of`: time of the newest entry it was counted from."""

    project: str
    project_name: str
    board: Board = "people"
    span: Span = "all"
    standings: list[Standing] = []
    rows: int = 0
    as_of: float = 0.0


class AuditRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`link`: of a published ledger, of a project (its newest known ledger), or a folder or file on this machine."""

    link: Annotated[str, Meta(min_length=1, max_length=16384)]


class AuditCheck(Struct, frozen=True, kw_only=True):
    what: str
    ok: bool
    words: str = ""


class Audit(Struct, frozen=True, kw_only=True):
    """`ok`: every check held. `countersigned`: entries their workers agreed to; `open`: that they have not (yet)."""

    ok: bool
    project: str = ""
    project_name: str = ""
    entries: int = 0
    countersigned: int = 0
    open: int = 0
    results: int = 0
    credit: float = 0.0
    workers: int = 0
    first: float = 0.0
    last: float = 0.0
    head: str = ""
    checks: list[AuditCheck] = []
    standings: list[Standing] = []
    seconds: float = 0.0


class Team(Struct, frozen=True, kw_only=True):
    """`mine`: its key is here, so members are let in here. `members`: as far as this node knows."""

    key: str
    name: str
    mine: bool = False
    member: bool = False
    members: int = 0
    expires: float | None = None


class NewTeam(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: ShortName


class TeamInvite(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`peer`: the node that may come in; a ticket is good for it alone."""

    peer: Annotated[str, Meta(min_length=1, max_length=64)]


class TeamJoin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`ticket`: what `invite` gave."""

    ticket: Annotated[str, Meta(min_length=1, max_length=4096)]


class Balance(Struct, frozen=True, kw_only=True):
    """Inside a network: what a peer has earned by lending, and spent on own projects, as the ledgers known here say."""

    peer: str
    name: str = ""
    network: str = ""
    earned: float = 0.0
    spent: float = 0.0
    balance: float = 0.0
    me: bool = False


class ExportRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """BOINC's statistics files (user, team, host, tables) into the folder `to`."""

    to: FolderText


class Exported(Struct, frozen=True, kw_only=True):
    files: list[str] = []
