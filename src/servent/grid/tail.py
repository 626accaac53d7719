"""The last units of a batch: they wait for the slowest hosts, so they are given to fast ones, too. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

SHARE = 0.05  # of a batch is its tail
LEAST = 1  # units, of a small batch
PATIENCE = 1.5  # times the usual time that a unit takes
KEEPS = 0.1  # of the newest turn-around in the mean; a guess


class Late(Struct, frozen=True):
    """An open unit of which all copies are leased. `since`: wall time of the oldest lease that is still out; `seconds` it may take on an average host."""

    unit: int
    since: float
    seconds: float = 0.0


def in_tail(units: int, ended: int, unsent: int) -> bool:
    """Whether a batch of `units`, of which `ended` are over, is at its tail: all that is left is leased, and that is little."""
    open_ = units - ended
    return unsent == 0 and 0 < open_ <= max(LEAST, int(units * SHARE))


def hurry(late: Iterable[Late], usual: float, now: float) -> list[int]:
    """Which of them deserve a copy more (`steps.hurried`): those out for longer than is usual, the longest first.

    Args:
        usual: seconds between lease and result in this project (see `mean`), 0 where nothing came back yet.
    """
    overdue = [(one.since, one.unit) for one in late if now - one.since > PATIENCE * max(usual, one.seconds)]
    return [unit for _, unit in sorted(overdue)]


def fast(trusted: bool, turnaround: float | None, all_hosts: Sequence[float]) -> bool:
    """Whether a spare copy may go to a host: trusted, and as quick as the quicker half.

    Args:
        turnaround: seconds between lease and result of this host, None where nothing is known. all_hosts: the same of those that are known.
    """
    if not trusted or turnaround is None:
        return False
    return turnaround <= sorted(all_hosts)[len(all_hosts) // 2] if all_hosts else True


def mean(before: float | None, seconds: float) -> float:
    """The running mean of a host's, or of a project's, turn-around after one more."""
    return seconds if before is None else before + KEEPS * (seconds - before)
