"""A scenario: one TOML file, read strictly. What is wrong in it is said with the file and the key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, structs

from servent.codec import plainly
from servent.errors import UsageError

HERE = Path(__file__).parent
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0, le=2_000_000)]
Seconds = Annotated[float, Meta(ge=0.0, le=7 * 86_400.0)]
Measure = Literal[
    "search",
    "crash",
    "churn",
    "flash",
    "cost",
    "partition",
    "eclipse",
    "hot",
    "switch",
    "fairness",
    "rooms",
    "cheaters",
]


class ScenarioError(UsageError):
    """What is wrong in which file."""


class Mark(Struct, frozen=True, forbid_unknown_fields=True):
    """What a number has to be: at least, at most, or both."""

    least: float | None = None
    most: float | None = None

    def holds(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        low = f">= {self.least:g}" if self.least is not None else ""
        high = f"<= {self.most:g}" if self.most is not None else ""
        return " and ".join(filter(None, (low, high)))


class DelaysIn(Struct, frozen=True, forbid_unknown_fields=True):
    """One way, in seconds, stable for each pair of peers; `loss`: share of messages that never arrive."""

    least: Annotated[float, Meta(ge=0.0, le=5.0)] = 0.02
    most: Annotated[float, Meta(ge=0.0, le=5.0)] = 0.12
    loss: Share = 0.0


class LiarsIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of supernodes that lie and of publishers that offer what they do not have; forgers by number."""

    supernodes: Share = 0.0
    publishers: Share = 0.0
    forgers: Count = 0


class CheatsIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Share of volunteers that cheat, and of their units whose results they make up."""

    hosts: Share = 0.1
    units: Share = 0.2


class Scenario(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One network, what happens to it, and what the numbers must be.

    Attributes:
        measure: which program of `simulations` runs it.
        large: the number of peers that it is measured with on demand, where that takes long.
        ratio: peers per supernode, where supernodes are given, `fewest` of them at least; 0: they are elected.
        settle: until the network is as it would be; `seconds`: of what is measured.
        stay: mean stay of a peer under churn.
        dead: share of the peers that dies before it is measured; `crash`: shares that crash at once, one run each.
        grow: how many times as many there are after the flash crowd.
        questions: asked; `rivals`: of how many the other ways of searching are asked, too.
        units: of work for each volunteer, of whom some cheat (`cheats`).
        marks: by number of peers: those of the largest number that is not above the run's (or the smallest) hold.
        tolerance: by which share a number may be worse than the one kept.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9-]{2,40}$")]
    about: Annotated[str, Meta(min_length=10, max_length=300)]
    measure: Measure
    peers: Annotated[int, Meta(ge=20, le=1_000_000)]
    large: Count = 0
    mode: Literal["server", "hybrid", "p2p"] = "hybrid"
    seeds: Annotated[list[int], Meta(min_length=1, max_length=20)] = msgspec.field(
        default_factory=lambda: [1]
    )
    ratio: Annotated[int, Meta(ge=0, le=1000)] = 100
    fewest: Annotated[int, Meta(ge=1, le=1000)] = 3
    settle: Seconds = 120.0
    seconds: Seconds = 60.0
    stay: Seconds = 0.0
    dead: Share = 0.0
    crash: Annotated[list[Share], Meta(max_length=4)] = []
    grow: Annotated[float, Meta(ge=1.0, le=100.0)] = 1.0
    questions: Count = 0
    rivals: Count = 0
    items: Annotated[int, Meta(ge=0, le=1000)] = 20
    delays: DelaysIn = DelaysIn()
    liars: LiarsIn = LiarsIn()
    cheats: CheatsIn = CheatsIn()
    units: Count = 0
    marks: dict[str, dict[str, Mark]] = {}
    tolerance: Share = 0.1

    def at(self, peers: int | None) -> Scenario:
        """The same with another number of peers."""
        return self if peers is None else structs.replace(self, peers=peers)

    def with_seeds(self, seeds: list[int]) -> Scenario:
        return structs.replace(self, seeds=list(seeds))

    @property
    def holding(self) -> dict[str, Mark]:
        """The marks for this number of peers."""
        if not self.marks:
            return {}
        sizes = sorted(map(int, self.marks))
        return self.marks[str(max((size for size in sizes if size <= self.peers), default=sizes[0]))]


def read(path: Path) -> Scenario:
    """The scenario in a file.

    Raises:
        ScenarioError: names the file and what is wrong.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as wrong:
        raise ScenarioError(f"{path.name}: {wrong}") from wrong
    except (OSError, UnicodeDecodeError) as wrong:
        raise ScenarioError(f"{path.name} cannot be read: {wrong}") from wrong
    try:
        found = msgspec.convert(raw, Scenario)
    except msgspec.ValidationError as wrong:
        raise ScenarioError(f"{path.name}: {plainly(wrong)}") from wrong
    if found.name != path.stem:
        raise ScenarioError(f"{path.name}: name says {found.name!r}, the file {path.stem!r}")
    if found.delays.least > found.delays.most:
        raise ScenarioError(f"{path.name}: delays.least is above delays.most")
    for size, marks in found.marks.items():
        if not size.isdigit():
            raise ScenarioError(f"{path.name}: marks.{size} is no number of peers")
        for name, mark in marks.items():
            if mark.least is None and mark.most is None:
                raise ScenarioError(f"{path.name}: marks.{size}.{name} says neither least nor most")
    return found


def read_all(folder: Path = HERE) -> dict[str, Scenario]:
    """All scenarios of a folder, by name."""
    return {path.stem: read(path) for path in sorted(folder.glob("*.toml"))}
