"""The coordinator's tables, and what stands in their blobs. Pure.

A unit is written at most a few times in its life: into `grid_units` and `grid_queue` when it is added, out of the queue into `grid_active` with its
first lease, and from there into `grid_ended`; what changes meanwhile is one row of `grid_active`. So one commit holds the changes of many units, and
the tables that change all the time stay small. `grid_due` is read, and its rows are deleted, by the ledger.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from servent.grid.manifests import Content
from servent.grid.model import Copy, Unit
from servent.grid.quota import Quota
from servent.grid.replication import Trust
from servent.grid.wire import Checkpoint, Outcome

ROOM = "grid coordinator"

STEPS = (
    """
    CREATE TABLE grid_numbers (written INTEGER NOT NULL, next_unit INTEGER NOT NULL, next_order INTEGER NOT NULL, next_due INTEGER NOT NULL);
    INSERT INTO grid_numbers VALUES (0, 1, 1, 1);
    CREATE TABLE grid_projects (
        number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, body BLOB NOT NULL, signature BLOB NOT NULL, state BLOB NOT NULL
    );
    CREATE TABLE grid_apps (
        number INTEGER PRIMARY KEY, project INTEGER NOT NULL, id BLOB NOT NULL UNIQUE, body BLOB NOT NULL, signature BLOB NOT NULL
    );
    CREATE TABLE grid_batches (batch INTEGER PRIMARY KEY, body BLOB NOT NULL);
    CREATE TABLE grid_also (unit INTEGER NOT NULL, batch INTEGER NOT NULL, PRIMARY KEY (unit, batch)) WITHOUT ROWID;
    CREATE TABLE grid_units (unit INTEGER PRIMARY KEY, batch INTEGER NOT NULL, app INTEGER NOT NULL, spec BLOB NOT NULL);
    CREATE TABLE grid_keys (key BLOB PRIMARY KEY, unit INTEGER NOT NULL, again INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE grid_queue (
        unit INTEGER PRIMARY KEY, paused INTEGER NOT NULL, project INTEGER NOT NULL, rank INTEGER NOT NULL, expires REAL NOT NULL,
        batch INTEGER NOT NULL
    );
    CREATE INDEX grid_queue_order ON grid_queue (paused, project, rank, expires);
    CREATE TABLE grid_active (unit INTEGER PRIMARY KEY, body BLOB NOT NULL);
    CREATE TABLE grid_ended (unit INTEGER PRIMARY KEY, body BLOB NOT NULL);
    CREATE TABLE grid_finals (ord INTEGER PRIMARY KEY, unit INTEGER NOT NULL, batch INTEGER NOT NULL);
    CREATE TABLE grid_outputs (unit INTEGER NOT NULL, digest BLOB NOT NULL, output BLOB NOT NULL, PRIMARY KEY (unit, digest)) WITHOUT ROWID;
    CREATE TABLE grid_due (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, project BLOB NOT NULL, identity BLOB NOT NULL, key BLOB NOT NULL, app BLOB NOT NULL,
        operations INTEGER NOT NULL, mflop INTEGER NOT NULL, price INTEGER NOT NULL, at REAL NOT NULL
    );
    CREATE TABLE grid_hosts (
        project INTEGER NOT NULL, identity BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (project, identity)
    ) WITHOUT ROWID;
    CREATE TABLE grid_unverified (
        project INTEGER NOT NULL, identity BLOB NOT NULL, app INTEGER NOT NULL, at REAL NOT NULL, unit INTEGER NOT NULL,
        PRIMARY KEY (project, identity, app, at, unit)
    ) WITHOUT ROWID;
    CREATE TABLE grid_caught (
        project INTEGER NOT NULL, identity BLOB NOT NULL, app INTEGER NOT NULL, since REAL NOT NULL,
        PRIMARY KEY (project, identity, app)
    ) WITHOUT ROWID;
    CREATE TABLE grid_problems (
        project INTEGER NOT NULL, app INTEGER NOT NULL, outcome TEXT NOT NULL, words TEXT NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (project, app, outcome, words)
    ) WITHOUT ROWID;
    CREATE TABLE grid_minutes (
        project INTEGER NOT NULL, minute INTEGER NOT NULL, done INTEGER NOT NULL, errors INTEGER NOT NULL, PRIMARY KEY (project, minute)
    ) WITHOUT ROWID;
    CREATE TABLE grid_invitations (
        project INTEGER NOT NULL, digest BLOB NOT NULL, uses INTEGER, expires REAL, PRIMARY KEY (project, digest)
    ) WITHOUT ROWID;
    CREATE TABLE grid_invited (
        project INTEGER NOT NULL, identity BLOB NOT NULL, PRIMARY KEY (project, identity)
    ) WITHOUT ROWID;
    """,
)

WITHIN_BYTES = 512  # an output of up to so many bytes stands in the unit's own row


class Spec(Struct, frozen=True, array_like=True):
    """What a volunteer needs of a unit, and what it is worth. `key`: `unit_id`. The rest as in `coordinator_views.Piece`."""

    key: bytes
    seed: bytes
    operations: int
    args: list[str] = []
    stdin: bytes = b""
    content: Content | None = None
    answer: bytes | None = None
    expires: float | None = None


class Side(Struct, array_like=True):
    """What is known of a copy beyond what `transition` looks at. `back`: when its result came. `mflop`, `price`: as credited."""

    back: float = 0.0
    seconds: float = 0.0
    outcome: Outcome | None = None
    words: str = ""
    fraction: float | None = None
    digest: bytes = b""
    content: Content | None = None
    checkpoint: Checkpoint | None = None
    mflop: int = 0
    price: int = 100


class Output(Struct, frozen=True, array_like=True):
    """Of one group. `inline` None and no `content`: it lies in `grid_outputs`."""

    inline: bytes | None = None
    content: Content | None = None
    size: int = 0


class Doc(Struct, frozen=True, array_like=True):
    """A row of `grid_active` or `grid_ended`. `order`: of the newest `Final`, 0 while there is none. `outputs`: by group."""

    unit: Unit
    copies: list[Copy]
    sides: dict[int, Side]
    outputs: dict[bytes, Output]
    batch: int
    app: int
    key: bytes
    operations: int
    order: int = 0
    ended: float = 0.0
    cost: int = 0
    resume: tuple[Checkpoint, tuple[bytes, ...]] | None = None
    revised: bool = False


class ProjectState(Struct, array_like=True):
    """`computed`: copies of which a result came. `spent`: MFLOP that were credited; `paid`: the same times the price."""

    paused: bool = False
    why: str = ""
    units: int = 0
    done: int = 0
    errors: int = 0
    cancelled: int = 0
    computed: int = 0
    failed: int = 0
    invalid: int = 0
    spent: int = 0
    paid: int = 0
    turnaround: float | None = None


class Batch(Struct):
    """All of a batch but its units. `budget`: MFLOP that may be credited for it, None for no end."""

    batch: int
    project: int
    app: int
    units: int = 0
    done: int = 0
    errors: int = 0
    cancelled: int = 0
    priority: int = 0
    deadline: float = 86400.0
    expires: float | None = None
    paused: bool = False
    dropped: bool = False  # cancelled; its units follow
    cost: int = 0
    aside: int = 0  # MFLOP that copies which are out, or back and not judged, may still cost
    operations: int = 0  # of all its units
    budget: int | None = None

    @property
    def open(self) -> int:
        return self.units - self.done - self.errors - self.cancelled


class Standing(Struct, array_like=True):
    """What is thought of a host with one app version."""

    trust: Trust = Trust()
    quota: Quota = Quota()
    valid: int = 0


class Host(Struct, array_like=True):
    """A volunteer of a project. `turnaround`: seconds between lease and result, a running mean. `credit`: MFLOP."""

    name: str = ""
    team: bytes = b""
    cores: int = 0
    memory_bytes: int = 0
    mflops: float = 0.0
    system: str = ""
    seen: float = 0.0
    valid: int = 0
    invalid: int = 0
    errors: int = 0
    expired: int = 0
    credit: int = 0
    turnaround: float | None = None
    apps: dict[int, Standing] = {}


class Trouble(Struct, array_like=True):
    """Errors that are alike. `hosts`: up to 100 of those who had them, the first 8 bytes of each."""

    count: int = 0
    last: float = 0.0
    hosts: list[bytes] = []


encode = Encoder().encode
read_spec: Decoder[Spec] = Decoder(Spec)
read_doc: Decoder[Doc] = Decoder(Doc)
read_project_state: Decoder[ProjectState] = Decoder(ProjectState)
read_batch: Decoder[Batch] = Decoder(Batch)
read_host: Decoder[Host] = Decoder(Host)
read_trouble: Decoder[Trouble] = Decoder(Trouble)
