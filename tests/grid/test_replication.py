"""Trust in hosts, what they may take in a day, and the tail of a batch."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.grid import quota, replication, tail
from servent.grid.quota import DAY, Quota
from servent.grid.replication import (
    ENOUGH,
    FIRST,
    NOBODY,
    Trust,
    alone,
    check_chance,
    fits,
    judged,
    needed,
    reissue_since,
    words,
)
from tests.grid.desk import RIGHT, WRONG, Desk, who

WORDS = st.sampled_from(["valid", "valid", "valid", "invalid", "expired", "failed"])


def after(trust: Trust, *verdicts: str, now: float = 0.0) -> Trust:
    for verdict in verdicts:
        trust = judged(trust, verdict, now)  # type: ignore[arg-type]
    return trust


def test_ten_in_a_row_and_a_host_may_answer_alone_nine_of_ten_times() -> None:
    nine = after(NOBODY, *["valid"] * 9)
    assert not alone(nine, 0.999999) and check_chance(nine) == 1.0
    ten = judged(nine, "valid", 0.0)
    assert check_chance(ten) == pytest.approx(0.1)
    assert alone(ten, 0.1) and not alone(ten, 0.0999)


def test_the_longer_it_is_right_the_less_it_is_checked_but_never_less_than_two_in_a_hundred() -> None:
    assert check_chance(after(NOBODY, *["valid"] * 25)) == pytest.approx(0.04)
    assert check_chance(after(NOBODY, *["valid"] * 5000)) == 0.02


def test_one_wrong_result_and_the_row_begins_anew_and_has_to_be_twice_as_long() -> None:
    caught = after(after(NOBODY, *["valid"] * 50), "invalid", now=500.0)
    assert caught == Trust(0, 1, 500.0) and needed(caught) == 2 * FIRST
    assert not replication.trusted(after(caught, *["valid"] * 19))
    assert replication.trusted(after(caught, *["valid"] * 20))


def test_a_strike_is_forgotten_after_a_long_time_of_being_right() -> None:
    assert after(NOBODY, "invalid", *["valid"] * 199).strikes == 1
    assert after(NOBODY, "invalid", *["valid"] * 200).strikes == 0


def test_being_slow_is_not_lying() -> None:
    trust = after(NOBODY, *["valid"] * 20)
    assert after(trust, "expired", "failed") == trust


def test_what_is_computed_again_goes_back_to_the_begin_of_the_row_a_week_at_most() -> None:
    trust = Trust(30, 1, 1000.0)
    assert reissue_since(trust, 5000.0) == 1000.0
    assert reissue_since(trust, 1000.0 + 30 * DAY) == 1000.0 + 23 * DAY


@given(st.lists(WORDS, max_size=300), st.floats(0, 1, exclude_max=True))
def test_nobody_is_trusted_who_was_not_right_ten_times_in_a_row(said: list[str], dice: float) -> None:
    trust = after(NOBODY, *said)
    told = [word for word in said if word in ("valid", "invalid")]
    row = next((place for place, word in enumerate(reversed(told)) if word == "invalid"), len(told))
    assert trust.row == row and 0 <= trust.strikes <= said.count("invalid")
    assert not alone(trust, dice) or row >= FIRST
    assert 0.02 <= check_chance(trust) <= 1.0


def test_in_the_long_run_an_honest_host_is_checked_little() -> None:
    dice, trust, checked = random.Random(1), NOBODY, 0
    for _ in range(5000):
        if not alone(trust, dice.random()):
            checked += 1
            trust = judged(trust, "valid", 0.0)
    assert 0.02 < checked / 5000 < 0.05


# -- quotas


def test_a_new_identity_gets_little_and_trebles_it_by_being_right() -> None:
    new = Quota()
    assert quota.left(new, 50.0) == quota.FIRST
    used = quota.leased(new, quota.FIRST, 50.0)
    assert quota.left(used, 60.0) == 0
    assert quota.left(quota.credited(used, quota.FIRST), 60.0) == 2 * quota.FIRST
    assert quota.left(used, DAY + 1.0) == quota.FIRST, "a new day"


def test_what_goes_wrong_halves_it_once_for_each_misfortune() -> None:
    shut = Quota()
    for second in range(50):
        shut = quota.blamed(shut, 1000.0 + second)
    assert shut.daily == quota.FIRST // 2, "a laptop that was closed"
    for minute in range(1, 20):
        shut = quota.blamed(shut, 1000.0 + 61.0 * minute)
    assert shut.daily == 1, "and never less"


def test_what_is_given_back_was_not_taken() -> None:
    used = quota.leased(Quota(), 64, 10.0)
    assert quota.left(quota.given_back(used, 64, 20.0), 20.0) == quota.FIRST
    assert quota.given_back(used, 64, DAY + 20.0) == used, "yesterday's is forgotten anyway"


def test_who_only_takes_and_gives_back_comes_to_an_end() -> None:
    one, times = Quota(), 0
    while quota.left(one, 10.0):
        one = quota.given_back(quota.leased(one, 1, 10.0), 1, 10.0)
        times += 1
        assert times < 10_000
    assert times == 2 * quota.FIRST + quota.FREE
    assert quota.left(one, DAY + 10.0) == quota.FIRST


def test_the_wait_ends_with_the_day() -> None:
    full = quota.leased(Quota(), quota.FIRST, 1000.0)
    assert quota.left(full, 1000.0 + quota.wait(1000.0)) == quota.FIRST


@given(
    st.lists(st.tuples(st.sampled_from("lgcb"), st.integers(1, 10_000), st.floats(0, 5 * DAY)), max_size=60)
)
def test_a_quota_stays_within_its_bounds(happened: list[tuple[str, int, float]]) -> None:
    one, now = Quota(), 0.0
    for what, number, seconds in happened:
        now += seconds / 60
        before = quota.left(one, now)
        if what == "l":
            one = quota.leased(one, min(number, before), now)
            assert quota.left(one, now) == before - min(number, before)
        elif what == "g":
            one = quota.given_back(one, number, now)
        elif what == "c":
            one = quota.credited(one, number)
            assert quota.left(one, now) >= before
        else:
            one = quota.blamed(one, now)
            assert quota.left(one, now) <= before
        assert 1 <= one.daily <= quota.MOST and 0 <= quota.left(one, now) <= one.daily


# -- the tail


def test_a_tail_is_the_last_twentieth_once_all_is_handed_out() -> None:
    assert tail.in_tail(1000, 950, 0)
    assert not tail.in_tail(1000, 949, 0), "too much is left"
    assert not tail.in_tail(1000, 990, 1), "somebody can take the next unit instead"
    assert not tail.in_tail(1000, 1000, 0), "all is done"
    assert tail.in_tail(3, 2, 0), "of a small batch the last one"


def test_who_is_out_for_longer_than_usual_is_helped_the_longest_first() -> None:
    late = [tail.Late(1, 90.0), tail.Late(2, 0.0), tail.Late(3, 60.0), tail.Late(4, 0.0, 80.0)]
    assert tail.hurry(late, usual=20.0, now=100.0) == [2, 3]
    assert tail.hurry(late, usual=20.0, now=121.0) == [2, 4, 3, 1]


def test_a_spare_copy_goes_to_a_trusted_host_of_the_quicker_half() -> None:
    known = [10.0, 20.0, 30.0, 40.0]
    assert tail.fast(True, 30.0, known) and not tail.fast(True, 31.0, known)
    assert not tail.fast(False, 1.0, known) and not tail.fast(True, None, known)


def test_the_mean_follows_what_is_new() -> None:
    seen: float | None = None
    for seconds in [100.0] * 5 + [10.0] * 100:
        seen = tail.mean(seen, seconds)
    assert seen == pytest.approx(10.0, rel=0.01)


# -- who may vouch for whom


def test_two_strangers_do_not_vouch_for_each_other_where_others_can() -> None:
    old = after(NOBODY, *["valid"] * FIRST)
    assert not fits(NOBODY, [NOBODY], disputed=False, around=ENOUGH)
    assert fits(NOBODY, [old], disputed=False, around=ENOUGH)
    assert fits(old, [NOBODY], disputed=False, around=ENOUGH)
    assert fits(NOBODY, [NOBODY], disputed=False, around=ENOUGH - 1), "a small project has to begin somehow"


def test_what_is_disputed_is_settled_by_hosts_that_are_trusted() -> None:
    desk = Desk()
    desk.give(desk.lease("ann"), RIGHT)
    assert words(desk.all) == ([who("ann")], False)
    desk.give(desk.lease("eve"), WRONG)
    assert words(desk.all) == ([who("ann"), who("eve")], True)
    old = after(NOBODY, *["valid"] * FIRST)
    assert not fits(NOBODY, [old, NOBODY], disputed=True, around=ENOUGH)
    assert fits(old, [old, NOBODY], disputed=True, around=ENOUGH)


def test_what_a_caught_host_answered_alone_is_disputed() -> None:
    desk = Desk()
    desk.give(desk.lease("eve", alone=True), WRONG)
    desk.reopen()
    assert words(desk.all) == ([who("eve")], True)
