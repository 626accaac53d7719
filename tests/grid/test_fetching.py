"""Whom a volunteer asks for work, and whose work is next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.grid.fetching import (
    FAILS_FIRST,
    FAILS_IN_A_ROW,
    FAILS_MOST,
    FIRST_GUESS,
    LINES,
    MOST_HELD,
    SLOW_FIRST,
    SLOW_MOST,
    Fetching,
    Stock,
    seconds_allowed,
)
from servent.grid.wire import BATCH

A, B = b"a", b"b"


def core(*projects: bytes) -> Fetching:
    fetching = Fetching(lambda: 0.0)
    for project in projects:
        fetching.join(project, 100.0)
        fetching.ready(project, True)
    return fetching


def test_an_empty_store_is_filled_and_a_full_one_is_left() -> None:
    (ask,) = core(A).asks({}, cores=4, ahead=600.0, now=0.0)
    assert (ask.project, ask.most, ask.seconds) == (A, BATCH, 2400.0)
    assert core(A).asks({A: Stock(10, 1300.0)}, cores=4, ahead=600.0, now=0.0) == []
    (more,) = core(A).asks({A: Stock(10, 1000.0)}, cores=4, ahead=600.0, now=0.0)
    assert more.seconds == 1400.0


def test_long_units_are_followed_before_a_core_runs_dry() -> None:
    """Hours of work run, but nothing waits: each core gets one more."""
    (ask,) = core(A).asks({A: Stock(0, 9000.0)}, cores=2, ahead=600.0, now=0.0)
    assert ask.seconds == 1.0


def test_tiny_units_are_asked_for_on_two_lines_and_held_in_bounds() -> None:
    fetching = core(A)
    asked = [ask for _ in range(5) for ask in fetching.asks({A: Stock(0, 0.0)}, 1, 600.0, 0.0)]
    assert [ask.most for ask in asked] == [BATCH] * LINES
    fetching.answered(A, BATCH, 0.0, 0.0)
    fetching.answered(A, BATCH, 0.0, 0.0)
    assert fetching.asks({A: Stock(MOST_HELD, 0.1)}, 1, 600.0, 0.0) == []
    (ask,) = fetching.asks({A: Stock(MOST_HELD - 10, 0.1)}, 1, 600.0, 0.0)
    assert ask.most == 10


def test_whoever_has_nothing_is_asked_again_when_it_says_and_others_take_its_part() -> None:
    fetching = core(A, B)
    assert {ask.project: ask.seconds for ask in fetching.asks({}, 2, 600.0, 0.0)} == {A: 600.0, B: 600.0}
    fetching.answered(A, 0, 120.0, 1.0)
    fetching.answered(B, 10, 0.0, 1.0)
    assert {ask.project: ask.seconds for ask in fetching.asks({}, 2, 600.0, 2.0)} == {B: 1200.0}
    assert fetching.next_ask(2.0) == 121.0
    fetching.answered(B, 10, 0.0, 3.0)
    assert {ask.project for ask in fetching.asks({}, 2, 600.0, 121.0)} == {A, B}


def test_a_contact_that_fails_is_sought_less_and_less_often_and_at_once_after_it_worked() -> None:
    fetching, waits, now = core(A), [], 0.0
    for _ in range(12):
        at = fetching.contact_failed(A, now)
        waits.append(at - now)
        now = at
    assert waits[:3] == [SLOW_FIRST, 2 * SLOW_FIRST, 4 * SLOW_FIRST] and waits[-1] == SLOW_MOST
    fetching.contact_worked(A)
    assert fetching.contact_failed(A, now) - now == SLOW_FIRST
    assert fetching.contact_failed(A, now, retry=77.0) - now == 77.0


def test_what_is_known_of_an_app_gets_better() -> None:
    fetching = core(A)
    assert fetching.estimate(b"app", 1000, 100.0) == 10.0 * FIRST_GUESS
    fetching.finished(A, b"app", 1000, 100.0, 60.0, True, 0.0)
    assert fetching.estimate(b"app", 1000, 100.0) == pytest.approx(60.0)
    for _ in range(30):
        fetching.finished(A, b"app", 1000, 100.0, 30.0, True, 0.0)
    assert fetching.estimate(b"app", 2000, 100.0) == pytest.approx(60.0, rel=0.01)


def test_units_that_fail_one_after_the_other_keep_us_away_for_longer_and_longer() -> None:
    fetching, now, waits = core(A), 0.0, []
    for _ in range(12 * FAILS_IN_A_ROW):
        if fetching.finished(A, b"app", 1, 1.0, 1.0, False, now):
            waits.append(fetching.not_before(A) - now)
            now = fetching.not_before(A)
    assert waits[:2] == [FAILS_FIRST, 2 * FAILS_FIRST] and waits[-1] == FAILS_MOST
    assert fetching.asks({}, 1, 600.0, now - 1.0) == []
    for outcome in [False] * (FAILS_IN_A_ROW - 1) + [True] + [False] * (FAILS_IN_A_ROW - 1):
        assert fetching.finished(A, b"app", 1, 1.0, 1.0, outcome, now) == ""


def test_whoever_had_less_than_its_share_comes_first() -> None:
    fetching = core(A, B)
    fetching.join(B, 300.0)
    done = {A: 0.0, B: 0.0}
    for _ in range(400):
        first = fetching.order([A, B])[0]
        fetching.used(first, 10.0)
        done[first] += 10.0
    assert done[B] == pytest.approx(3 * done[A], rel=0.05)


def test_nobody_saves_up_a_claim_of_more_than_an_hour() -> None:
    fetching = core(A, B)
    fetching.used(A, 1e6)
    run = 0.0
    while fetching.order([A, B])[0] == B:
        fetching.used(B, 10.0)
        run += 10.0
    assert run <= 3600.0 + 20.0


def test_a_new_project_begins_where_the_others_are() -> None:
    fetching = core(A)
    fetching.used(A, 10_000.0)
    fetching.join(B, 100.0)
    fetching.ready(B, True)
    fetching.used(B, 10.0)
    assert fetching.order([A, B])[0] == A


def test_limits_are_longer_on_slow_machines_and_never_shorter_on_fast_ones() -> None:
    assert seconds_allowed(100.0, 80_000.0) == 100.0
    assert seconds_allowed(100.0, 4_000.0) == 200.0
    assert seconds_allowed(100.0, 1.0) == 1000.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from([A, B]), st.integers(0, 500), st.floats(0, 1e5), st.floats(0, 1e4), st.booleans()
        ),
        max_size=40,
    ),
    st.integers(1, 64),
    st.floats(0, 3600),
)
def test_never_more_is_asked_for_than_may_be_held(steps, cores, ahead) -> None:
    fetching, now = core(A, B), 0.0
    for project, units, seconds, passed, answer in steps:
        now += passed
        for ask in fetching.asks({project: Stock(units, seconds)}, cores, ahead, now):
            assert 1 <= ask.most <= BATCH and ask.seconds >= 1.0
            if ask.project == project:
                assert units + ask.most <= MOST_HELD * cores
            if answer:
                fetching.answered(ask.project, units % 3, 5.0, now)
        again = fetching.next_ask(now)
        assert again is None or again > now
