"""What work is worth: BOINC's cobblestones, the quick-return bonus, the price of a bid, the recent average. Pure.

Inside, work is counted in whole MFLOP (millions of floating-point operations), claimed from the estimate of the unit and never from what a volunteer's machine says of itself.
"""

from __future__ import annotations

import math

MFLOP_PER_COBBLESTONE = (
    432_000  # 200 cobblestones are one GFLOPS-day: 86,400e9 FLOP / 200 (BOINC, COBBLESTONE_SCALE)
)
HALF_LIFE = 7 * 86400.0  # s; of the recent average, as BOINC's (credit.h: CREDIT_HALF_LIFE)
BONUS_MOST = 10.0  # times the estimate, at most; Folding@home has no ceiling, an auditor wants one
PRICE_MOST = 1100  # percent, of priority 1000
CORE_MFLOPS = (
    200_000.0  # MFLOP/s; nearly twice what one AVX-512 core does with fused multiply-adds alone (109 GFLOP/s)
)
MOST = 2**53  # MFLOP: no single credit is above


def cobblestones(mflop: float) -> float:
    """What people are shown."""
    return mflop / MFLOP_PER_COBBLESTONE


def from_cobblestones(credits: float) -> int:
    """MFLOP, at least 1 where `credits` is above 0."""
    return max(1, round(credits * MFLOP_PER_COBBLESTONE)) if credits > 0 else 0


def bonus(k: float, deadline: float, elapsed: float) -> float:
    """Folding@home's quick-return bonus max(1, sqrt(k * deadline / elapsed)), at most `BONUS_MOST`.

    Args:
        k: of the project's manifest, 0 for none. deadline: seconds that the lease gave at first. elapsed: seconds from lease to return.
    """
    if k <= 0 or deadline <= 0:
        return 1.0
    if elapsed * BONUS_MOST * BONUS_MOST <= k * deadline:
        return BONUS_MOST
    return max(1.0, math.sqrt(k * deadline / elapsed))


def granted(operations: int, k: float = 0.0, deadline: float = 0.0, elapsed: float = 0.0) -> int:
    """MFLOP credited for a valid result of a unit of so many `operations` (MFLOP)."""
    return min(MOST, math.floor(operations * bonus(k, deadline, elapsed)))


def most_granted(operations: int, k: float) -> int:
    """The most that `granted` can give: what an auditor allows, and a budget sets aside."""
    return min(MOST, math.floor(operations * BONUS_MOST)) if k > 0 else operations


def most_operations(seconds: float) -> int:
    """MFLOP that a unit may claim whose app allows so many seconds of a core: more than any core can do is a lie."""
    return max(1, min(MOST, math.floor(seconds * CORE_MFLOPS)))


def price(priority: int, mutual: bool) -> int:
    """Percent of the credit that the owner's balance pays: the bid. 100 for whoever waits its turn, 1100 for priority 1000.

    Only where projects of one network compete for what their owners have earned (`mutual`); credit itself stays what the work was.
    """
    return 100 + max(0, min(priority, 1000)) if mutual else 100


def paid(credit: int, percent: int) -> int:
    """MFLOP that move from the owner's balance to the worker's for one result."""
    return credit * percent // 100


def decayed(average: float, elapsed: float) -> float:
    """A recent average (MFLOP per day) after `elapsed` seconds in which nothing came."""
    return average * math.exp2(-elapsed / HALF_LIFE) if elapsed > 0 else average


def recent(average: float, elapsed: float, credit: float) -> float:
    """The recent average, MFLOP per day, after `credit` MFLOP more, `elapsed` seconds after the last time.

    What comes in steadily at r per day makes it r in the long run; each credit weighs half after seven days, as BOINC's `update_average`.
    """
    return decayed(average, elapsed) + credit * math.log(2) / (HALF_LIFE / 86400.0)
