"""The stable surface, what is about computing: what this machine lends, projects joined, own projects, credit, teams.

The same rules as in `schema`. A project is named by its key (52 letters) or its link, in requests also by its name where only one here has it; an app by its
name (its newest version) or "name/version"; a unit and a batch by their numbers. Credit is in cobblestones, BOINC's unit: 200 are one GFLOPS-day.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.api.schema import ShortName

Preset = Literal["quiet", "when-idle", "everything", "own"]
LendState = Literal["off", "paused", "idle", "working"]  # idle: willing, and nothing to do
GridAudience = Literal["friends", "network", "everyone", "invited"]
Abi = Literal["command", "slice", "python"]
Compare = Literal["bits", "comparer"]
Shows = Literal["", "trajectory", "signals"]
UnitState = Literal["waiting", "running", "checking", "done", "error", "cancelled"]
BatchState = Literal["preparing", "running", "done", "cancelled", "paused"]
ProjectName = Annotated[str, Meta(min_length=1, max_length=2048)]  # a name, a key or a link
AppName = Annotated[str, Meta(min_length=1, max_length=80)]
HoursText = Annotated[str, Meta(max_length=64)]
PathText = Annotated[str, Meta(min_length=1, max_length=4096)]


# -- lending


class Policy(Struct, frozen=True, kw_only=True):
    """What holds now, by the preset or by the own settings (see the section `grid` of the settings)."""

    cores: int = 1
    cpu_percent: int = 100
    idle_minutes: float = 3.0
    on_battery: bool = False
    hours: list[str] = []
    memory_percent: int = 50
    disk_bytes: int = 10_000_000_000
    transfer_bytes_per_day: int = 0
    exclusive: list[str] = []
    fetch_ahead_minutes: float = 10.0


class Slot(Struct, frozen=True, kw_only=True):
    """One lent core and what it does. `fraction` None where the app cannot tell. `eta`: seconds to the end, as it goes now. `pictures`: the app shows some, see `GET /grid/lending/slots/{number}/picture`."""

    number: int
    state: Literal["empty", "starting", "running", "paused"] = "empty"
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
    """`why`: in one line, why nothing is computed, or what is. `paused_until`: of a pause by the person, None for "until resumed" while `state` is
    "paused" and `by_person`. Credits of this identity with all projects: `today`, `recent` (per day, half-life a week), `total`.
    """

    on: bool = False
    state: LendState = "off"
    why: str = ""
    by_person: bool = False
    paused_until: float | None = None
    preset: Preset = "when-idle"
    policy: Policy = Policy()
    machine_cores: int = 1
    machine_memory_bytes: int = 0
    slots: list[Slot] = []
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


class LendChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes, for good. Any key but `on` and `preset` makes the preset "own", which begins with what held before."""

    on: bool | None = None
    preset: Preset | None = None
    cores: Annotated[int, Meta(ge=0, le=4096)] | None = None
    cpu_percent: Annotated[int, Meta(ge=1, le=100)] | None = None
    idle_minutes: Annotated[float, Meta(ge=0, le=1440)] | None = None
    on_battery: bool | None = None
    hours: Annotated[list[HoursText], Meta(max_length=50)] | None = None
    memory_percent: Annotated[int, Meta(ge=1, le=100)] | None = None
    disk_bytes: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    transfer_bytes_per_day: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    exclusive: (
        Annotated[list[Annotated[str, Meta(min_length=1, max_length=128)]], Meta(max_length=100)] | None
    ) = None
    fetch_ahead_minutes: Annotated[float, Meta(ge=0, le=1440)] | None = None


class GridPause(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`seconds`: None until resumed."""

    seconds: Annotated[float, Meta(gt=0, le=86400 * 30)] | None = None


class GridLogEntry(Struct, frozen=True, kw_only=True):
    """What this machine did, for whom. `kind`: "unit" (computed, with its `outcome`), "credit", "pause", "resume", "join", "leave", "error"."""

    seq: int
    at: float
    kind: str
    project: str = ""
    project_name: str = ""
    app: str = ""
    unit: str = ""
    outcome: str = ""
    seconds: float = 0.0
    credit: float = 0.0
    words: str = ""


class GridLogQuery(Struct, frozen=True, kw_only=True):
    """Newest first; `before`: a `seq`."""

    before: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    project: Annotated[str, Meta(max_length=2048)] = ""


class JoinedProject(Struct, frozen=True, kw_only=True):
    """A project this machine computes for. `state`: "working", "waiting" (`why` says for what), "unreachable", "refused", "paused", "closed".

    `share`: of this machine, against the other projects' shares. `bonus`: as in `NewProject`. `units`, `done`, `eta`: of the whole project, as its coordinator says. `ledger`: a link to its newest published ledger. `id`: the project's key.
    """

    id: str
    name: str
    about: str = ""
    url: str = ""
    link: str = ""
    owner: str = ""
    owner_name: str = ""
    state: str = "waiting"
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


class JoinProject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`link`: `servent-project:…`, or an own project by its name or key. `team`: name or key of one of ours. Lending is turned on where it is off, unless `lend` is false."""

    link: ProjectName
    share: Annotated[float, Meta(gt=0, le=1e6)] = 100.0
    team: Annotated[str, Meta(max_length=64)] = ""
    lend: bool = True


class JoinedChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes; `team` "" leaves it."""

    share: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    team: Annotated[str, Meta(max_length=64)] | None = None
    paused: bool | None = None


# -- own projects


class NewProject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`network`: name or id, where `audience` is "network". `bonus`: k of the quick-return bonus, 0 for none. `budget`: cobblestones it may spend, None for no end.
    `local`: this machine computes for it, too."""

    name: ShortName
    about: Annotated[str, Meta(max_length=2000)] = ""
    url: Annotated[str, Meta(max_length=256)] = ""
    audience: GridAudience = "friends"
    network: Annotated[str, Meta(max_length=64)] = ""
    bonus: Annotated[float, Meta(ge=0, le=100)] = 0.0
    budget: Annotated[float, Meta(gt=0, le=1e15)] | None = None
    local: bool = False


class ProjectChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes. `closed`: for good: nothing is handed out any more. `paused`: until it is false again. `budget`: 0 takes it away."""

    about: Annotated[str, Meta(max_length=2000)] | None = None
    url: Annotated[str, Meta(max_length=256)] | None = None
    audience: GridAudience | None = None
    network: Annotated[str, Meta(max_length=64)] | None = None
    bonus: Annotated[float, Meta(ge=0, le=100)] | None = None
    budget: Annotated[float, Meta(ge=0, le=1e15)] | None = None
    paused: bool | None = None
    closed: bool | None = None


class GridApp(Struct, frozen=True, kw_only=True):
    """A version of an app of an own project."""

    id: str
    name: str
    version: int
    abi: Abi = "command"
    compare: Compare = "bits"
    quorum: int = 2
    operations: float = 0.0
    seconds: float = 0.0
    memory_bytes: int = 0
    output_bytes: int = 0
    checkpoint_bytes: int = 0
    module_bytes: int = 0
    module: str = ""
    about: str = ""
    retired: bool = False
    created: float = 0.0


class NewApp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`module`: a .wasm or .wat file on this machine, checked before it is signed. The same name again is the next version.

    `operations`: floating-point operations of a unit (in FLOP), where it says nothing else: what credit is counted by; None measures it by running `sample` (a file on stdin) with `sample_args`.
    `seconds`, `memory_bytes`, `output_bytes`: limits of a unit. `compare` "comparer" wants `comparer`, a module.
    """

    name: ShortName
    module: PathText
    abi: Abi = "command"
    operations: Annotated[float, Meta(ge=1, le=9e21)] | None = None
    sample: Annotated[str, Meta(max_length=4096)] = ""
    sample_args: Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=32)] = []
    seconds: Annotated[float, Meta(gt=0, le=365 * 86400.0)] = 3600.0
    memory_bytes: Annotated[int, Meta(ge=65536, le=4 * 1024**3)] = 256 * 1024**2
    output_bytes: Annotated[int, Meta(ge=0, le=1024**3)] = 1024**2
    checkpoint_bytes: Annotated[int, Meta(ge=0, le=1024**3)] = 64 * 1024**2
    quorum: Annotated[int, Meta(ge=1, le=8)] = 2
    compare: Compare = "bits"
    comparer: Annotated[str, Meta(max_length=4096)] = ""
    canonical_nans: bool = False
    about: Annotated[str, Meta(max_length=2000)] = ""


class MyProject(Struct, frozen=True, kw_only=True):
    """An own project. Counts of units by state; `throughput`: units a minute, over the last five. `eta`: seconds, None where nothing moves.

    `spent`: cobblestones granted, `promised`: that open units would cost; `budget` None for no end. `redundancy`: copies computed for each unit done. `id`: its key.
    """

    id: str
    name: str
    link: str
    about: str = ""
    url: str = ""
    audience: GridAudience = "friends"
    network: str = ""
    bonus: float = 0.0
    created: float = 0.0
    paused: bool = False
    closed: bool = False
    why: str = ""
    apps: list[GridApp] = []
    units: int = 0
    by_state: dict[str, int] = {}
    throughput: float = 0.0
    eta: float | None = None
    hosts: int = 0
    hosts_now: int = 0
    redundancy: float = 0.0
    errors: int = 0
    invalid: int = 0
    spent: float = 0.0
    promised: float = 0.0
    budget: float | None = None
    ledger: str = ""
    ledger_entries: int = 0
    ledger_open: int = 0
    local: bool = False


class NewBatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Work for an app: one unit for each file of `paths` (folders: each file in them), and one for each of `items` (their text, on stdin).

    `args` for all of them; "{name}" and "{number}" stand for the input's name and number. `budget`: cobblestones this batch may cost at most. `priority`: higher first; a bid,
    where projects of one network compete. `deadline`: seconds a volunteer has. `expires`: seconds after which what is not done is given up.
    `repeat`: the same work `repeat` times with different seeds. `again`: compute also what is known already. `checks`: items whose answer is known, to catch cheaters.
    `lines`: a file of text, each line of it an item; "" for none. `generations`: so many units in a row for each input, the result of one is the input of the next; "{generation}" in `args` counts
    them from 0; unit n of a batch of c inputs is generation n // c of input n % c.
    """

    app: AppName
    paths: Annotated[list[PathText], Meta(max_length=100_000)] = []
    items: Annotated[list[Annotated[str, Meta(max_length=16384)]], Meta(max_length=100_000)] = []
    items_base64: bool = False
    lines: Annotated[str, Meta(max_length=4096)] = ""
    args: Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=32)] = []
    title: Annotated[str, Meta(max_length=100)] = ""
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    deadline: Annotated[float, Meta(gt=0, le=365 * 86400.0)] = 86400.0
    expires: Annotated[float, Meta(gt=0, le=365 * 86400.0)] | None = None
    operations: Annotated[float, Meta(ge=1, le=9e21)] | None = None
    repeat: Annotated[int, Meta(ge=1, le=10_000_000)] = 1
    again: bool = False
    budget: Annotated[float, Meta(gt=0, le=1e15)] | None = None
    checks: Annotated[list[tuple[Annotated[str, Meta(max_length=16384)], str]], Meta(max_length=1000)] = []
    to: Annotated[str, Meta(max_length=4096)] = ""
    generations: Annotated[int, Meta(ge=1, le=1_000_000)] = 1


class Batch(Struct, frozen=True, kw_only=True):
    """`id`: its number. `to`: the folder results are written to as they come; "" keeps them in the node. `units`: of all `generations`; those that cannot begin count as cancelled. `shows`: what its results are that can be looked at, "" for any other."""

    id: str
    project: str
    project_name: str
    app: str
    title: str = ""
    state: BatchState = "running"
    created: float = 0.0
    units: int = 0
    done: int = 0
    errors: int = 0
    cancelled: int = 0
    priority: int = 0
    deadline: float = 0.0
    expires: float | None = None
    eta: float | None = None
    cost: float = 0.0
    budget: float | None = None
    to: str = ""
    why: str = ""
    generations: int = 1
    shows: Shows = ""


class BatchChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    priority: Annotated[int, Meta(ge=-1000, le=1000)] | None = None
    deadline: Annotated[float, Meta(gt=0, le=365 * 86400.0)] | None = None
    paused: bool | None = None


class CopyView(Struct, frozen=True, kw_only=True):
    peer: str = ""
    peer_name: str = ""
    state: str = "unsent"
    leased: float | None = None
    until: float | None = None
    seconds: float = 0.0
    fraction: float | None = None
    words: str = ""
    credit: float = 0.0


class UnitView(Struct, frozen=True, kw_only=True):
    """A unit with its copies in words. `batch`, `number`: where it stands in its batch."""

    id: int
    name: str
    batch: int
    number: int
    input: str = ""
    state: UnitState = "waiting"
    copies: list[CopyView] = []
    fraction: float | None = None
    operations: float = 0.0
    why: str = ""


class UnitsQuery(Struct, frozen=True, kw_only=True):
    """`state`: only those; `after`: a unit's id. By id."""

    batch: Annotated[int, Meta(ge=0)] = 0
    state: Annotated[str, Meta(max_length=20)] = ""
    after: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class UnitPage(Struct, frozen=True, kw_only=True):
    units: list[UnitView] = []
    more: bool = False


class UnitResult(Struct, frozen=True, kw_only=True):
    """What came of a unit of a batch, as a line of JSON. `order`: counts up as results come; ask for those after it. `output`: text, or base64 where it is none; `file`: where it was written, or what is too long for a line."""

    order: int
    unit: int
    number: int
    input: str = ""
    state: UnitState = "done"
    output: str | None = None
    base64: bool = False
    file: str = ""
    size_bytes: int = 0
    digest: str = ""
    verified: bool = False
    revised: bool = False
    why: str = ""
    generation: int = 0


class ResultsQuery(Struct, frozen=True, kw_only=True):
    """Results in the order in which they came. `wait`: seconds to wait for one more where there is none."""

    after: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    wait: Annotated[float, Meta(ge=0, le=60)] = 0.0


class Results(Struct, frozen=True, kw_only=True):
    """`ended`: the batch is over, and these were the last."""

    results: list[UnitResult] = []
    ended: bool = False


class Volunteer(Struct, frozen=True, kw_only=True):
    """A host of an own project. `trusted`: with which apps its word alone is enough. `left`: what it may still lease today."""

    peer: str
    name: str = ""
    team: str = ""
    connected: bool = False
    seen: float = 0.0
    cores: int = 0
    mflops: float = 0.0
    leased: int = 0
    valid: int = 0
    invalid: int = 0
    errors: int = 0
    expired: int = 0
    trusted: list[str] = []
    left: int = 0
    credit: float = 0.0
    recent: float = 0.0


class Throughput(Struct, frozen=True, kw_only=True):
    """Units done in each of the last `len(done)` steps of `step` seconds, the oldest first."""

    step: float
    done: list[int] = []
    errors: list[int] = []


class ProblemCount(Struct, frozen=True, kw_only=True):
    """Errors of a project that are alike: how often, when last, at whom."""

    outcome: str
    words: str
    count: int
    last: float
    app: str = ""
    hosts: int = 0


class GridInvite(Struct, frozen=True, kw_only=True):
    """A line to pass on: of a project for `join`, of a team for its own `join`."""

    link: str


class InviteVolunteer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For so many identities."""

    uses: Annotated[int, Meta(ge=1, le=100_000)] = 1


class AppNamed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An app by its name (the newest version), "name/version" or id."""

    app: AppName


class CollectTo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder on this machine; it is made where it is missing."""

    to: PathText
