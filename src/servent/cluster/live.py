"""What a node knows of one cluster while it runs: its list of members, where its scheduler is, the machines, what the scheduler does. Plain state, one owner each."""

from __future__ import annotations

from dataclasses import dataclass, field

from servent.cluster import rosters
from servent.cluster.rosters import Roster
from servent.cluster.rows import Kept
from servent.cluster.visits import Report, Seen
from servent.errors import BadMessage


@dataclass
class Machine:
    """A member's, as it said last. `at`: wall clock, 0 for never; `here`: it is connected (or it is this one)."""

    report: Report = field(default_factory=Report)
    at: float = 0.0
    here: bool = False


@dataclass
class Live:
    """Attributes:
    kept: what is on the disk.
    roster: the newest that was checked; None before the owner was met.
    scheduler: its address, "" while it does not run or is not known.
    why: in a line, what keeps the cluster from running here; "" where nothing does.
    seen, seen_at: what the scheduler said last, and when (monotonic).
    """

    kept: Kept
    mine: bool
    roster: Roster | None = None
    scheduler: str = ""
    why: str = ""
    refused: bool = False
    seen: Seen = field(default_factory=Seen)
    seen_at: float = 0.0
    restarts: int = 0
    machines: dict[bytes, Machine] = field(default_factory=dict)

    @classmethod
    def of(cls, kept: Kept, me: bytes) -> Live:
        """From the disk. What was damaged there counts as not known."""
        live = cls(kept, kept.owner == me)
        if kept.roster is not None:
            try:
                live.roster = rosters.read(kept.roster, kept.owner, kept.id)
            except BadMessage:
                kept.roster = None
        return live

    @property
    def id(self) -> bytes:
        return self.kept.id

    def machine(self, node: bytes) -> Machine:
        return self.machines.setdefault(bytes(node), Machine())
