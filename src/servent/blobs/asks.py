"""What the swarm core wishes for, and what it shows: plain values."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Ask:
    """Request `count` pieces from `first`."""

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """`source` need not send these pieces any more; if it does, they count as received."""

    source: Hashable
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Ban:
    """`source` sent a wrong piece and has been removed: disconnect it, take nothing from it again."""

    source: Hashable
    reason: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Call `next` for `source`: there is work for it again."""

    source: Hashable


@dataclass(frozen=True, slots=True)
class Complete:
    """Every piece is verified."""


Effect = Cancel | Ban | Wake | Complete


class SourceView(NamedTuple):
    """One source now. `state` is "active", "idle" or "slow"; `done_bytes` what it delivered so far."""

    source: Hashable
    state: str
    pieces: int
    owed_bytes: int
    window_bytes: int
    rate_bytes_per_s: float
    delay: float | None
    done_bytes: int


class SwarmView(NamedTuple):
    pieces: int
    verified: int
    asked: int
    sources: tuple[SourceView, ...]
    endgame: bool
    repeated: int
