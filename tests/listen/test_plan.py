"""The rules of the search: rates and lengths, parts, operations."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.errors import UsageError
from servent.listen.plan import Search
from tests.listen.desk import SMALL


def test_a_whole_unit_is_what_was_published() -> None:
    search = Search()
    assert search.seconds == pytest.approx(107.37, abs=0.01)
    assert list(search.lengths) == list(range(3, 18))
    assert search.step == pytest.approx(0.00185, rel=0.01)  # Hz/s, a third of a bin of 13.4 s
    assert search.most(17) * search.step == pytest.approx(20, abs=0.01)
    assert search.most(15) * search.step == pytest.approx(50, abs=0.01)
    assert 40_000 < search.pairs < 90_000
    assert search.spike > 24


@pytest.mark.parametrize("length", list(Search().lengths))
def test_between_two_rates_a_signal_drifts_a_third_of_a_bin_at_most(length: int) -> None:
    search = Search()
    width, spectrum = search.rate / 2**length, 2**length / search.rate
    looks_at = min(24.0, search.seconds) if search.spectra(length) >= 64 else spectrum
    assert search.every(length) * search.step * looks_at <= 0.34 * width


@given(parts=st.integers(1, 60))
@settings(max_examples=20, deadline=None)
def test_parts_are_the_whole_and_of_about_equal_work(parts: int) -> None:
    ranges = SMALL.split(parts)
    assert ranges[0][0] == SMALL.first and ranges[-1][1] == SMALL.last
    assert all(before[1] == after[0] for before, after in pairwise(ranges))
    work = [SMALL.operations(*steps) for steps in ranges]
    assert sum(work) == SMALL.operations(SMALL.first, SMALL.last)
    heaviest = max(SMALL.operations(k, k + 1) for k in range(SMALL.first, SMALL.last))
    assert max(work) <= sum(work) / parts + heaviest


def test_no_parts_are_refused() -> None:
    with pytest.raises(UsageError):
        SMALL.split(0)
