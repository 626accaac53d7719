"""What work is worth, in BOINC's numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.grid import credit
from servent.grid.credit import cobblestones, from_cobblestones


def test_two_hundred_cobblestones_are_a_gigaflops_day() -> None:
    day = 86_400 * 1000  # MFLOP at 1 GFLOP/s
    assert cobblestones(day) == 200
    assert from_cobblestones(200) == day
    assert cobblestones(3_100_000) == pytest.approx(7.18, abs=0.01)  # one unit of SETI@home


def test_the_bonus_is_folding_at_homes_with_a_ceiling() -> None:
    assert credit.bonus(0.0, 86400, 1) == 1.0, "no bonus where the project grants none"
    assert credit.bonus(0.75, 86400, 86400) == 1.0, "never below the estimate"
    assert credit.bonus(0.75, 86400, 864) == pytest.approx(math.sqrt(75))
    assert credit.bonus(0.75, 86400, 0) == credit.BONUS_MOST


@given(st.integers(1, 2**53), st.floats(0, 100), st.floats(0, 1e9), st.floats(0, 1e9))
def test_what_is_granted_is_what_an_auditor_allows(
    operations: int, k: float, deadline: float, elapsed: float
) -> None:
    granted = credit.granted(operations, k, deadline, elapsed)
    assert min(operations, credit.MOST) <= granted <= credit.most_granted(operations, k) <= credit.MOST


def test_a_bid_is_paid_by_whoever_bids_and_is_no_credit() -> None:
    assert [credit.price(p, True) for p in (-5, 0, 150, 5000)] == [100, 100, 250, credit.PRICE_MOST]
    assert credit.price(500, False) == 100
    assert credit.paid(1001, 250) == 2502


def test_the_average_halves_in_seven_days_and_finds_a_steady_rate() -> None:
    assert credit.decayed(100.0, 7 * 86400) == pytest.approx(50)
    assert credit.decayed(100.0, -5) == 100
    average = 0.0
    for _ in range(24 * 90):
        average = credit.recent(average, 3600.0, 1000 / 24)
    assert average == pytest.approx(1000, rel=0.01)
