"""Frozen pictures of own projects, for faces: field for field what `api.schema_grid` shows. Pure.

Times are wall clock, durations seconds, credit cobblestones (200 are one GFLOPS-day), keys and units in letters; operations in FLOP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from servent.grid.formats import Shows
from servent.grid.manifests import Abi, Audience, Compare
from servent.identity import PeerId

UnitState = Literal["waiting", "running", "checking", "done", "error", "cancelled"]
BatchState = Literal["preparing", "running", "done", "cancelled", "paused"]


def letters(key: bytes) -> str:
    """A key as people see it."""
    return str(PeerId(key))


class GridApp(Struct, frozen=True, kw_only=True):
    """A version of an app of an own project. `id`: hexadecimal; `module`: infohash of its module, hexadecimal."""

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


class MyProject(Struct, frozen=True, kw_only=True):
    """An own project. `by_state`: units by `UnitState`; `throughput`: units a minute, over the last five; `eta` None where nothing moves.

    `spent`: cobblestones granted, `promised`: that open units would cost. `redundancy`: copies computed for each unit done.
    `ledger`: infohash of the newest published one, hexadecimal, "" for none yet; `ledger_open`: entries not countersigned.
    """

    key: str
    name: str
    link: str
    about: str = ""
    url: str = ""
    audience: Audience = "friends"
    network: str = ""
    bonus: float = 0.0
    created: float = 0.0
    paused: bool = False
    closed: bool = False
    why: str = ""
    apps: tuple[GridApp, ...] = ()
    units: int = 0
    by_state: Mapping[str, int] = field(default_factory=dict)
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


class Batch(Struct, frozen=True, kw_only=True):
    """Work that was submitted at once. `to`: the folder results are written to as they come; "" keeps them in the node. `shows`: what kind of results it has, "" for any other."""

    id: int
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


class CopyView(Struct, frozen=True, kw_only=True):
    """One copy of a unit. `peer` in letters; `peer_name` is for the face to add."""

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
    """A unit with its copies. `batch`, `number`: where it stands in its batch."""

    id: int
    name: str
    batch: int
    number: int
    input: str = ""
    state: UnitState = "waiting"
    copies: tuple[CopyView, ...] = ()
    fraction: float | None = None
    operations: float = 0.0
    why: str = ""


class UnitPage(Struct, frozen=True, kw_only=True):
    units: tuple[UnitView, ...] = ()
    more: bool = False


class UnitResult(Struct, frozen=True, kw_only=True):
    """What came of a unit of a batch. `order` counts up as results come, over all batches. `state` "waiting": what was said of it does not hold, another result will come.

    `output`: text, or base64 where it is none, or None where it is too long for a line: then `file` says where it lies.
    """

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


class Results(Struct, frozen=True, kw_only=True):
    """`ended`: the batch is over, and these were the last."""

    results: tuple[UnitResult, ...] = ()
    ended: bool = False


class Volunteer(Struct, frozen=True, kw_only=True):
    """A host of an own project. `trusted`: names of the apps with which its word alone is enough; `left`: copies it may still lease today."""

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
    trusted: tuple[str, ...] = ()
    left: int = 0
    credit: float = 0.0
    recent: float = 0.0


class Throughput(Struct, frozen=True, kw_only=True):
    """Units that ended in each of the last `len(done)` steps of `step` seconds, the oldest first."""

    step: float
    done: tuple[int, ...] = ()
    errors: tuple[int, ...] = ()


class ProblemCount(Struct, frozen=True, kw_only=True):
    """Errors of a project that are alike: how often, when last, at how many hosts."""

    outcome: str
    words: str
    count: int
    last: float
    app: str = ""
    hosts: int = 0


class TryOut(Struct, frozen=True, kw_only=True):
    """What the sandbox made of a module. `outcome`: "done", or what went wrong; `words`: in words."""

    outcome: str
    words: str = ""
    output: str = ""
    base64: bool = False
    size_bytes: int = 0
    digest: str = ""
    seconds: float = 0.0
    slices: int = 0
    memory_bytes: int = 0
