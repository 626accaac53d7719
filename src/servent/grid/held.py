"""What a volunteer holds of a project: a leased task, how far it is, and which of them is next. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from servent.grid.fetching import Stock
from servent.grid.manifests import App, Content
from servent.grid.sandbox.jobs import Moving
from servent.grid.wire import Checkpoint, Progress, Result, Task

# getting: its module and input are fetched. ready -> running -> done: its result waits to be taken. over: nobody wants it any more.
HeldState = Literal["getting", "ready", "running", "done", "over"]


@dataclass(slots=True, eq=False)
class Held:
    """One lease. Times are wall clock but for `saved_at`, monotonic.

    `seconds`: of a core, in runs before this one, as far as their newest snapshot; `saved_seconds`: until the newest of all. `snapshot`: its path, "" for none; `slices`, `digest`, `fraction` are its own.
    `pins`: contents that must stay while it is held. `sent`: the newest checkpoint that was told to the coordinator, published at `sent_at`. `charged`: seconds of this run that its project has used up. `going`: it is being given back. `folder`: it has one of its own.
    """

    project: bytes
    task: Task
    got: float
    until: float
    state: HeldState = "getting"
    app: App | None = None
    module: str = ""
    module_digest: bytes = b""
    input: str = ""
    estimate: float = 1.0
    seconds: float = 0.0
    saved_seconds: float = 0.0
    snapshot: str = ""
    slices: int = 0
    digest: bytes = b""
    fraction: float = 0.0
    saved_at: float | None = None
    sent: Checkpoint | None = None
    sent_at: float = float("-inf")
    moving: Moving | None = None
    charged: float = 0.0
    job: int = 0
    slot: int = 0
    tries: int = 0
    going: bool = False
    folder: bool = False
    pins: list[Content] = field(default_factory=list)
    result: Result | None = None

    @property
    def key(self) -> tuple[bytes, int]:
        return self.project, self.task.lease

    @property
    def begun(self) -> bool:
        """Something would be lost if it went back without a checkpoint."""
        return self.state == "running" or self.seconds > 0 or bool(self.snapshot)

    @property
    def memory_bytes(self) -> int:
        return self.app.limits.memory_bytes if self.app is not None else 0

    @property
    def fraction_now(self) -> float | None:
        """Of the whole unit; None where the app cannot tell."""
        if self.moving is not None and self.moving.fraction is not None:
            return self.moving.fraction
        return self.fraction or None

    def left(self, percent: int) -> float | None:
        """Seconds by the clock until it is done, as it goes now: by its own fraction, else by the estimate."""
        spent = self.seconds + (self.moving.seconds if self.moving is not None else 0.0)
        fraction = self.fraction_now
        whole = spent / fraction if fraction else self.estimate
        return max(0.0, whole - spent) * 100 / max(1, percent)

    def progress(self) -> Progress:
        return Progress(self.task.lease, min(1.0, max(0.0, self.fraction_now or 0.0)), self.sent)


@dataclass(slots=True)
class Store:
    """Everything held, by project; what was begun comes before what was not, else the oldest first."""

    _held: dict[bytes, dict[int, Held]] = field(default_factory=dict)
    _ready: dict[bytes, deque[Held]] = field(default_factory=dict)

    def add(self, held: Held) -> None:
        self._held.setdefault(held.project, {})[held.task.lease] = held

    def remove(self, held: Held) -> None:
        mine = self._held.get(held.project)
        if mine is not None and mine.get(held.task.lease) is held:
            del mine[held.task.lease]
            if not mine:
                del self._held[held.project]

    def get(self, project: bytes, lease: int) -> Held | None:
        return self._held.get(project, {}).get(lease)

    def of(self, project: bytes) -> list[Held]:
        return list(self._held.get(project, {}).values())

    def all(self) -> Iterator[Held]:
        for mine in self._held.values():
            yield from mine.values()

    def __len__(self) -> int:
        return sum(len(mine) for mine in self._held.values())

    def ready(self, held: Held) -> None:
        """It may be computed from now on."""
        held.state = "ready"
        line = self._ready.setdefault(held.project, deque())
        if held.begun:
            line.appendleft(held)
        else:
            line.append(held)

    def with_ready(self) -> list[bytes]:
        """Projects that have something to compute."""
        found = []
        for project, line in list(self._ready.items()):
            while line and (line[0].state != "ready" or line[0].going):
                line.popleft()  # it is over meanwhile
            if line:
                found.append(project)
            else:
                del self._ready[project]
        return found

    def first(self, project: bytes) -> Held:
        """The next of a project named by `with_ready`; it stays until `begin`."""
        return self._ready[project][0]

    def begin(self, held: Held) -> None:
        """`held`, which is the first, is being computed."""
        self._ready[held.project].popleft()
        held.state = "running"

    def stocks(self) -> dict[bytes, Stock]:
        """What is not begun, by project; what runs counts with what is left of it, so that it is followed in time."""
        stocks = {}
        for project, mine in self._held.items():
            units, seconds = 0, 0.0
            for held in mine.values():
                if held.going:
                    continue
                if held.state in ("getting", "ready"):
                    units += 1
                    seconds += max(0.0, held.estimate - held.seconds)
                elif held.state == "running":
                    seconds += held.left(100) or 0.0
            stocks[project] = Stock(units, seconds)
        return stocks
