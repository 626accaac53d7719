"""Limits by the time of the week: over midnight, over summer time, and said in a sentence."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.blobs import schedule
from servent.blobs.schedule import DAY, Now, Rule, minute_of

BERLIN = ZoneInfo("Europe/Berlin")
ALL = frozenset(range(7))


def local(wall: float) -> datetime:
    return datetime.fromtimestamp(wall, BERLIN)


def wall(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def rule(begin: str, end: str, days: frozenset[int] = ALL, **what: float | bool) -> Rule:
    return Rule(days, minute_of(begin), minute_of(end), **what)  # type: ignore[arg-type]


def test_without_rules_nothing_is_said() -> None:
    assert schedule.now([], wall("2026-03-02T12:00"), local) == Now()


def test_in_the_evening_it_is_paused_until_the_end_of_the_rule() -> None:
    rules = [rule("17:00", "23:00", pause=True)]
    found = schedule.now(rules, wall("2026-03-02T18:30"), local)
    assert found.pause and found.until == wall("2026-03-02T23:00")
    assert found.words == "paused by the schedule until 23:00"
    before = schedule.now(rules, wall("2026-03-02T12:00"), local)
    assert not before.pause and before.words == "" and before.until == wall("2026-03-02T17:00")


def test_over_midnight_the_morning_belongs_to_the_day_before() -> None:
    friday_night = [rule("22:00", "06:00", frozenset({4}), down=1e6)]
    assert schedule.now(friday_night, wall("2026-03-06T23:00"), local).down == 1e6
    assert schedule.now(friday_night, wall("2026-03-07T05:59"), local).down == 1e6
    assert schedule.now(friday_night, wall("2026-03-07T06:00"), local).down is None
    assert schedule.now(friday_night, wall("2026-03-06T05:00"), local).down is None
    sunday_night = [rule("22:00", "06:00", frozenset({6}), down=1e6)]
    assert schedule.now(sunday_night, wall("2026-03-09T03:00"), local).down == 1e6, "Monday morning"


def test_a_rule_with_the_same_begin_and_end_is_a_whole_day() -> None:
    assert schedule.now([rule("08:00", "08:00", up=5e5)], wall("2026-03-02T07:59"), local).up == 5e5


def test_of_two_rules_the_tighter_counts() -> None:
    rules = [rule("08:00", "20:00", up=1e6, down=4e6), rule("12:00", "14:00", up=2e5)]
    found = schedule.now(rules, wall("2026-03-02T13:00"), local)
    assert (found.up, found.down) == (2e5, 4e6)
    assert found.words == "limited by the schedule to up 200 kB/s and down 4 MB/s until 14:00"


def test_a_change_days_ahead_names_the_day() -> None:
    weekend = [rule("00:00", "00:00", frozenset({5, 6}), pause=True)]
    found = schedule.now(weekend, wall("2026-03-07T01:00"), local)
    assert found.words == "paused by the schedule until Monday 00:00"


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        ("2026-03-28T23:00", "2026-03-29T07:00"),  # the night has an hour less
        ("2026-10-24T23:00", "2026-10-25T07:00"),  # and one more
    ],
)
def test_when_summer_time_begins_or_ends_the_clock_on_the_wall_counts(moment: str, until: str) -> None:
    rules = [rule("22:00", "07:00", pause=True)]
    found = schedule.now(rules, wall(moment), local)
    assert found.until == wall(until) and found.words.endswith("until 07:00")


def test_a_begin_in_the_hour_that_does_not_exist_is_when_the_clock_has_jumped() -> None:
    rules = [rule("02:30", "05:00", pause=True)]
    found = schedule.now(rules, wall("2026-03-29T01:30"), local)
    assert found.until == wall("2026-03-29T03:00")
    assert schedule.now(rules, wall("2026-03-29T03:00"), local).pause


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.builds(
            Rule,
            st.frozensets(st.integers(0, 6), min_size=1),
            st.integers(0, DAY - 1),
            st.integers(0, DAY - 1),
            st.sampled_from([None, 1e5, 1e6]),
            st.none(),
            st.booleans(),
        ),
        max_size=4,
    ),
    st.integers(int(wall("2026-03-27T00:00")) // 60, int(wall("2026-04-02T00:00")) // 60),
)
def test_until_is_the_first_minute_at_which_something_else_holds(rules: list[Rule], minute: int) -> None:
    found = schedule.now(rules, minute * 60.0, local)
    at = minute * 60.0
    while at < (found.until or minute * 60.0 + 2 * DAY * 60):
        assert schedule.now(rules, at, local).same == found.same
        at += 60 * 13
    if found.until is not None:
        assert schedule.now(rules, found.until, local).same != found.same
        assert schedule.now(rules, found.until - 60, local).same == found.same
