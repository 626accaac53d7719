"""Computing: the group `grid` with its commands, each family of them in a module of its own."""

from __future__ import annotations

from servent.cli import (
    grid_chains,
    grid_cluster,
    grid_credit,
    grid_lend,
    grid_looks,
    grid_projects,
    grid_try,
    grid_work,
)
from servent.cli.grid_group import grid

__all__ = [
    "grid",
    "grid_chains",
    "grid_cluster",
    "grid_credit",
    "grid_lend",
    "grid_looks",
    "grid_projects",
    "grid_try",
    "grid_work",
]
