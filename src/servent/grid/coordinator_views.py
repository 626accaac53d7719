"""What goes into a coordinator and what others see of it. Values and Protocols only. Times are wall-clock seconds, work is in MFLOP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from servent.errors import WorldError
from servent.grid.manifests import App, Content
from servent.grid.model import CopyState, UnitState
from servent.grid.wire import Membership, Outcome, Receipt
from servent.identity import PeerId


class Piece(Struct, frozen=True, kw_only=True):
    """One unit to be added. `stdin` (up to `INLINE_BYTES`) or `content`, or neither. `seed`: 32 bytes.

    `operations`: None takes the app's. `answer`: SHA-256 of the right output of a spot check, None where nobody knows it. `generation`: counts up
    where the same work shall be done again, see `unit_id`.
    """

    seed: bytes
    args: list[str] = []
    stdin: bytes = b""
    content: Content | None = None
    operations: int | None = None
    answer: bytes | None = None
    generation: int = 0


class Final(Struct, frozen=True, kw_only=True):
    """How a unit ended. `order` counts up as units end, over all projects; a result that is found to be another later ends it again, `revised`.

    `output` of at most `INLINE_BYTES`, or `content`, which is kept by `Outputs` under `output_name`; both None where there is no result.
    `digest`: SHA-256 of the output. `cost`: MFLOP that were credited for it so far.
    """

    order: int
    unit: int
    project: bytes
    batch: int
    state: UnitState
    output: bytes | None = None
    content: Content | None = None
    digest: bytes = b""
    verified: bool = False
    revised: bool = False
    why: str = ""
    at: float = 0.0
    cost: int = 0


class Added(Struct, frozen=True):
    """`known`: its result, where the same unit was done before. `new`: it was not there before."""

    unit: int
    new: bool
    known: Final | None = None


class Due(Struct, frozen=True, kw_only=True):
    """A credit (or, negative, one taken back) that is to go into the ledger: a row of the table `grid_due`, see `coordinator_rows`.

    `seq` counts up; rows that became an entry are deleted by the ledger. `key`: the unit's name (`manifests.unit_id`), `app`: `manifests.app_id`. `operations`: the unit's estimate in MFLOP; `mflop`: credited, with the
    bonus (`credit.granted`); taken back: the same, below 0. `price`: percent (`credit.price`). Each (unit, identity) is credited at most once, and taken back at most once.
    """

    seq: int
    project: bytes
    identity: bytes
    key: bytes
    app: bytes
    operations: int
    mflop: int
    price: int
    at: float


class CopyLook(Struct, frozen=True, kw_only=True):
    """A copy of a unit for people's eyes."""

    lease: int
    state: CopyState
    identity: bytes | None = None
    leased: float | None = None
    until: float | None = None
    seconds: float = 0.0
    fraction: float | None = None
    outcome: Outcome | None = None
    words: str = ""
    mflop: int = 0


class UnitLook(Struct, frozen=True, kw_only=True):
    """`shown`: "waiting", "running", "checking", or how it ended."""

    id: int
    key: bytes
    project: bytes
    app: bytes
    batch: int
    state: UnitState
    shown: str
    operations: int
    args: list[str] = []
    copies: list[CopyLook] = []
    fraction: float | None = None
    why: str = ""


class BatchLook(Struct, frozen=True, kw_only=True):
    """Counts of a batch's own units (those that it shares with an earlier batch count there). `cost`: MFLOP credited, `promised`: that open units would cost."""

    batch: int
    project: bytes
    units: int = 0
    done: int = 0
    errors: int = 0
    cancelled: int = 0
    priority: int = 0
    deadline: float = 0.0
    expires: float | None = None
    paused: bool = False
    cost: int = 0
    promised: int = 0
    eta: float | None = None

    @property
    def open(self) -> int:
        return self.units - self.done - self.errors - self.cancelled


class ProjectLook(Struct, frozen=True, kw_only=True):
    """`by_state`: units by "waiting", "running", "checking", "done", "error", "cancelled". `throughput`: units a minute over the last five. `redundancy`: copies computed for each unit done."""

    key: bytes
    units: int = 0
    by_state: dict[str, int] = {}
    throughput: float = 0.0
    eta: float | None = None
    hosts: int = 0
    hosts_now: int = 0
    redundancy: float = 0.0
    errors: int = 0
    invalid: int = 0
    spent: int = 0
    promised: int = 0
    paused: bool = False
    closed: bool = False
    why: str = ""


class HostLook(Struct, frozen=True, kw_only=True):
    """A volunteer of a project. `trusted`: ids of the apps with which its word alone is enough. `left`: copies it may still lease today. `team`: key, or b""."""

    identity: bytes
    name: str = ""
    team: bytes = b""
    connected: bool = False
    seen: float = 0.0
    cores: int = 0
    mflops: float = 0.0
    leased: int = 0
    valid: int = 0
    invalid: int = 0
    errors: int = 0
    expired: int = 0
    trusted: list[bytes] = []
    left: int = 0
    credit: int = 0


class Problem(Struct, frozen=True, kw_only=True):
    """Errors that are alike."""

    app: bytes
    outcome: Outcome
    words: str
    count: int
    last: float
    hosts: int


class History(Struct, frozen=True, kw_only=True):
    """Units that ended in each of the last steps of `step` seconds, the oldest first."""

    step: float
    done: list[int] = []
    errors: list[int] = []


class Outputs(Protocol):
    """Where files of volunteers come from, and stay: what the coordinator needs of `Contents`."""

    async def fetch(
        self,
        content: Content,
        contacts: Sequence[bytes] = (),
        *,
        project: bytes = b"",
        keep: str = "",
        most_bytes: int = 2**53,
        timeout: float = 600.0,
    ) -> Path:
        """The file, verified by its root, of one of `contacts` or whoever else has it. It stays, and is served, until `release(keep)`.

        Raises:
            ServentError: it could not be had, or is larger than `most_bytes`.
        """
        ...

    def release(self, keep: str) -> None:
        """It may go. Never raises, also where nothing is kept under that name."""
        ...


def output_name(unit: int, digest: bytes) -> str:
    """Under which an output that is a content is kept, for whoever collects it to release."""
    return f"output {unit} {digest.hex()}"


def checkpoint_name(unit: int, content: Content) -> str:
    return f"checkpoint {unit} {content.infohash.hex()}"


class Receipts(Protocol):
    """What the coordinator needs of the ledger. Called on the loop, in memory."""

    def joined(self, project: bytes, identity: bytes, name: str, team: Membership | None) -> None:
        """What a volunteer said of itself in its `Join`; its entries say the same from now on. `team` was checked (`teams.check`)."""
        ...

    def credited(self, project: bytes, identity: bytes) -> int:
        """MFLOP that the ledger has for it, without what is only due."""
        ...

    def limit(self, project: bytes) -> int | None:
        """MFLOP that a project may pay in all (see `budgets.Purse`), None for no end. It moves with what its owner earns."""
        ...

    def waiting(self, project: bytes, identity: bytes, most: int) -> list[Receipt]:
        """Entries that `identity` has not countersigned yet, at most `most`; the same one not again within a minute."""
        ...

    async def countersigned(
        self, project: bytes, identity: bytes, signatures: Sequence[tuple[int, bytes]]
    ) -> list[bool]:
        """Durable when it returns."""
        ...

    def newest(self, project: bytes) -> bytes | None:
        """Infohash of the newest published ledger."""
        ...


class Asking(Protocol):
    """What the coordinator needs of trust."""

    def friend(self, peer: PeerId) -> bool: ...

    def member(self, network: bytes, peer: PeerId) -> bool: ...


class ComparerFailed(WorldError):
    """A comparer ended with neither yes nor no: it cannot read one of the two."""

    advice = "Let it exit with 1 for whatever it does not understand: `servent grid try` runs it."


# Whether two results (each inline bytes or a path) of an app agree, by its comparer in the sandbox. Raises ComparerFailed; ServentError where it cannot be told now.
Compare = Callable[[App, bytes | Path, bytes | Path], Awaitable[bool]]
