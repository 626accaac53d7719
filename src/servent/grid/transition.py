"""The one place that decides what becomes of a unit. Pure: the same unit, copies and time give the same decision, always.

The rules are BOINC's transitioner and validator put into one function (read in its source, 2026-08), with groups in place of pairwise
comparison and with a unit that one trusted host may answer alone (BOINC's adaptive replication).
"""

from __future__ import annotations

from collections.abc import Sequence

from servent.grid.model import Copy, Decision, Unit


def transition(unit: Unit, copies: Sequence[Copy], now: float) -> Decision:
    """What is to be done now. Applying the decision and calling again at the same time changes nothing.

    Args:
        copies: all copies of the unit that ever were.
        now: wall clock, seconds.
    """
    raise NotImplementedError


def eligible(unit: Unit, copies: Sequence[Copy], identity: bytes) -> bool:
    """Whether a copy of this unit may go to `identity`: never two copies on one, nor on whoever computed a part of another."""
    raise NotImplementedError


def cancelled(unit: Unit, copies: Sequence[Copy], now: float) -> Decision:
    """The owner wants it no more."""
    raise NotImplementedError


def reopened(unit: Unit, copies: Sequence[Copy], now: float) -> Decision:
    """Its only result is of a host that was caught: as many as `quorum` must agree now, and that host's word counts as one."""
    raise NotImplementedError
