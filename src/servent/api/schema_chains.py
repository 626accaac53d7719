"""The stable surface, what is about generations: chains of units, and the films of molecules they make. The same rules as in `schema_grid`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.api.schema_grid import CopyView, UnitState


class ChainsQuery(Struct, frozen=True, kw_only=True):
    """From the chain of this number on."""

    after: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class Chain(Struct, frozen=True, kw_only=True):
    """One input of a batch with generations. `done`: generations that have their result. `state`, `fraction`, `copies`, `why`: of the one that comes next, `unit` its number, 0 while it is not submitted."""

    number: int
    input: str = ""
    done: int = 0
    state: UnitState = "waiting"
    unit: int = 0
    fraction: float | None = None
    copies: list[CopyView] = []
    why: str = ""


class ChainPage(Struct, frozen=True, kw_only=True):
    chains: list[Chain] = []
    more: bool = False


class TrajectoryPart(Struct, frozen=True, kw_only=True):
    """A generation: unit `number` of its batch. `first`: the step of its first frame, `step`: steps done at its end."""

    number: int
    generation: int
    frames: int
    first: int
    step: int


class Trajectory(Struct, frozen=True, kw_only=True):
    """What the generations of a chain show, one after the other: molecules in a periodic box, in reduced units (length sigma, energy epsilon, time tau).

    `box`: its side; `dt`: length of a step; a frame each `every` steps; `began`: the energy at first. `parts`: generations that are there, at most 1,000, evenly.
    `energies`: (step, potential, kinetic) of at most 2,000 frames, evenly.
    """

    chain: int
    input: str = ""
    atoms: int
    box: float
    dt: float
    every: int
    began: float
    generations: int
    done: int
    parts: list[TrajectoryPart] = []
    energies: list[tuple[int, float, float]] = []


class FramesQuery(Struct, frozen=True, kw_only=True):
    """`count` frames of a generation from `first` on, each `every`th; at most 8 MiB of them."""

    first: Annotated[int, Meta(ge=0, le=2**32)] = 0
    count: Annotated[int, Meta(ge=1, le=100_000)] = 1
    every: Annotated[int, Meta(ge=1, le=2**32)] = 1
