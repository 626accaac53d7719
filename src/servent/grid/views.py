"""Frozen pictures of what this machine lends, for faces: field for field what `api.schema_grid` shows. Pure.

Times are wall clock, durations seconds, credit cobblestones (200 are one GFLOPS-day), keys and units in letters.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from servent.grid.settings import Preset

LendState = Literal["off", "paused", "idle", "working"]  # idle: willing, and nothing to do
SlotState = Literal["empty", "starting", "running", "paused"]
JoinedState = Literal["working", "waiting", "unreachable", "refused", "paused", "closed"]
LogKind = Literal["unit", "credit", "pause", "resume", "join", "leave", "error"]


class Policy(Struct, frozen=True, kw_only=True):
    """What holds now, by the preset or by the own settings."""

    cores: int = 1
    cpu_percent: int = 100
    idle_minutes: float = 3.0
    on_battery: bool = False
    hours: tuple[str, ...] = ()
    memory_percent: int = 50
    disk_bytes: int = 10_000_000_000
    transfer_bytes_per_day: int = 0
    exclusive: tuple[str, ...] = ()
    fetch_ahead_minutes: float = 10.0


class Slot(Struct, frozen=True, kw_only=True):
    """One lent core and what it does. `fraction` None where the app cannot tell. `eta`: seconds to the end, as it goes now. `pictures`: the app shows some."""

    number: int
    state: SlotState = "empty"
    project: str = ""
    project_name: str = ""
    app: str = ""
    unit: str = ""
    fraction: float | None = None
    slices: int = 0
    seconds: float = 0.0
    eta: float | None = None
    memory_bytes: int = 0
    checkpoint_age: float | None = None
    pictures: bool = False


class Lending(Struct, frozen=True, kw_only=True):
    """`why`: in one line, why nothing is computed, or what is. `paused_until`: of a pause by the person, None for "until resumed"."""

    on: bool = False
    state: LendState = "off"
    why: str = ""
    by_person: bool = False
    paused_until: float | None = None
    preset: Preset = "when-idle"
    policy: Policy = field(default_factory=Policy)
    machine_cores: int = 1
    machine_memory_bytes: int = 0
    slots: tuple[Slot, ...] = ()
    queued: int = 0
    queued_seconds: float = 0.0
    to_return: int = 0
    disk_used_bytes: int = 0
    transferred_today_bytes: int = 0
    mflops: float = 0.0
    today: float = 0.0
    recent: float = 0.0
    total: float = 0.0
    units_today: int = 0


class GridLogEntry(Struct, frozen=True, kw_only=True):
    """What this machine did, for whom. `seq` counts up."""

    seq: int
    at: float
    kind: LogKind
    project: str = ""
    project_name: str = ""
    app: str = ""
    unit: str = ""
    outcome: str = ""
    seconds: float = 0.0
    credit: float = 0.0
    words: str = ""


class ProjectPreview(Struct, frozen=True, kw_only=True):
    """What a project says of itself to whoever has its link. `key`, `owner`: in letters. `bonus`: k of `credit.bonus`. `units`, `done`, `eta`: of the whole project."""

    key: str
    name: str
    about: str = ""
    url: str = ""
    owner: str = ""
    audience: str = "friends"
    bonus: float = 0.0
    closed: bool = False
    units: int = 0
    done: int = 0
    eta: float | None = None


class JoinedProject(Struct, frozen=True, kw_only=True):
    """A project this machine computes for. `bonus`: k of `credit.bonus`. `units`, `done`, `eta`: of the whole project, as its coordinator says.

    `owner_name` and `ledger` as a link are for the face to add: here `owner` is a key, `ledger` the infohash in hexadecimal letters.
    """

    key: str
    name: str
    about: str = ""
    url: str = ""
    link: str = ""
    owner: str = ""
    owner_name: str = ""
    state: JoinedState = "waiting"
    why: str = ""
    share: float = 100.0
    team: str = ""
    mine: bool = False
    bonus: float = 0.0
    units: int = 0
    done: int = 0
    eta: float | None = None
    leased: int = 0
    returned: int = 0
    valid: int = 0
    invalid: int = 0
    errors: int = 0
    today: float = 0.0
    recent: float = 0.0
    total: float = 0.0
    ledger: str = ""
