"""Frozen pictures of chains of generations, for faces: field for field what `api.schema_chains` shows. Pure."""

from __future__ import annotations

from msgspec import Struct

from servent.grid.project_views import CopyView, UnitState


class Chain(Struct, frozen=True, kw_only=True):
    """One input of a batch with generations. `done`: generations that have their result; `state`, `fraction`, `copies`, `why`: of the one that comes next."""

    number: int
    input: str = ""
    done: int = 0
    state: UnitState = "waiting"
    unit: int = 0
    fraction: float | None = None
    copies: tuple[CopyView, ...] = ()
    why: str = ""


class ChainPage(Struct, frozen=True, kw_only=True):
    chains: tuple[Chain, ...] = ()
    more: bool = False


class TrajectoryPart(Struct, frozen=True, kw_only=True):
    """A generation: unit `number` of its batch. `first`: the step of its first frame, `step`: steps done at its end."""

    number: int
    generation: int
    frames: int
    first: int
    step: int


class Trajectory(Struct, frozen=True, kw_only=True):
    """`box`: its side in sigma; `dt`: a step in tau; a frame each `every` steps; `began`: the energy at first. `energies`: (step, potential, kinetic) in epsilon, of at most 2,000 frames."""

    chain: int
    input: str = ""
    atoms: int
    box: float
    dt: float
    every: int
    began: float
    generations: int
    done: int
    parts: tuple[TrajectoryPart, ...] = ()
    energies: tuple[tuple[int, float, float], ...] = ()
