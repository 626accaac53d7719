"""Which workers run, lie frozen, or go: in simulated time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.blobs.queueing import parse_hours
from servent.cluster import working
from servent.cluster.working import RETIRE_SOON, Pausing
from servent.errors import UsageError

MONDAY = datetime(2026, 11, 23, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Lent:
    why: str = ""
    cores: int = 4
    cpu_percent: int = 100
    memory_bytes: int = 8_000_000_000
    crowded: bool = False


def local(wall: float) -> datetime:
    return datetime.fromtimestamp(wall, UTC)


def test_a_pause_freezes_at_once_and_retires_when_it_lasts() -> None:
    pausing = Pausing(retire_after=600.0)
    assert pausing.decide(Lent(), "", [1, 1], now=0.0).wanted == ("run", "run")
    plan = pausing.decide(Lent(why="paused by you", cores=0), "", [1, 1], now=10.0)
    assert plan.wanted == ("freeze", "freeze") and plan.why == "paused by you" and plan.again == 600.0
    assert pausing.decide(Lent(why="paused by you", cores=0), "", [1, 1], now=609.9).wanted == (
        "freeze",
        "freeze",
    )
    assert pausing.decide(Lent(why="paused by you", cores=0), "", [1, 1], now=610.0).wanted == (
        "retire",
        "retire",
    )
    assert pausing.decide(Lent(), "", [1, 1], now=611.0).wanted == ("run", "run")


def test_who_comes_back_soon_begins_the_patience_anew() -> None:
    pausing = Pausing(retire_after=600.0)
    pausing.decide(Lent(why="on battery", cores=0), "", [1], now=0.0)
    pausing.decide(Lent(), "", [1], now=500.0)
    assert pausing.decide(Lent(why="on battery", cores=0), "", [1], now=700.0).wanted == ("freeze",)
    assert pausing.decide(Lent(why="on battery", cores=0), "", [1], now=1200.0).wanted == ("freeze",)


def test_others_that_need_the_memory_get_it_soon() -> None:
    pausing = Pausing(retire_after=600.0)
    crowded = Lent(why="other programs need the memory", cores=0, crowded=True)
    assert pausing.decide(crowded, "", [1], now=0.0).wanted == ("freeze",)
    assert pausing.decide(crowded, "", [1], now=RETIRE_SOON).wanted == ("retire",)


def test_fewer_cores_freeze_some_and_say_so() -> None:
    pausing = Pausing(retire_after=600.0)
    plan = pausing.decide(Lent(cores=2), "", [1, 1, 1, 1], now=0.0)
    assert plan.wanted == ("run", "run", "freeze", "freeze") and "processors" in plan.why
    assert pausing.decide(Lent(cores=1), "", [4, 4], now=1.0).wanted == (
        "run",
        "freeze",
    )  # one works, however few there are


def test_the_hours_of_the_cluster_hold_beside_what_is_lent() -> None:
    hours = ["weekdays 22:00-07:00"]
    assert working.outside(hours, MONDAY + 23 * 3600, local)[0] == ""
    why, again = working.outside(hours, MONDAY + 12 * 3600, local)
    assert why == "outside the hours of its groups; again Mon 22:00" and again == 10 * 3600
    assert Pausing(600.0).decide(Lent(), why, [1], now=0.0).wanted == ("freeze",)
    assert working.outside([], MONDAY, local) == ("", None)
    assert (
        "make no sense" in working.outside(["whenever"], MONDAY, local)[0]
    )  # an owner's, of a newer version perhaps
    with pytest.raises(UsageError):
        parse_hours(["mon 25:00-26:00"])


def test_hours_are_reckoned_anew_only_when_they_or_the_time_change_what_they_say() -> None:
    """An owner may write many, and each member's machine asks every second."""
    asked = 0

    def counted(wall: float) -> datetime:
        nonlocal asked
        asked += 1
        return local(wall)

    hours, night = working.Hours(), ["weekdays 22:00-07:00"]
    begin = MONDAY + 22 * 3600 - 100.0
    said = [hours.outside(night, begin + second, counted) for second in range(200)]
    assert all(one.startswith("outside the hours") for one in said[:100]) and said[100:] == [""] * 100
    once = asked
    assert hours.outside(night, begin + 200, counted) == "" and asked == once
    assert "outside" in hours.outside(["mon 08:00-09:00"], begin + 200, counted), "a new list holds at once"
    assert hours.outside(night, begin + 201, counted) == ""
    assert "outside" in hours.outside(night, begin - 3600, counted), "a clock that is set back"
    assert hours.outside([], begin, counted) == ""
    before = asked
    many = [f"mon {number // 60:02}:{number % 60:02}-23:59" for number in range(working.MOST_HOURS + 1)]
    assert "too many" in hours.outside(many, begin, counted) and asked == before
    assert "too many" not in hours.outside(many[1:], begin, counted)


@given(st.integers(1, 512))
def test_every_core_has_a_thread(cores: int) -> None:
    shape = working.processes(cores)
    assert sum(shape) == cores and min(shape) >= 1
    assert len(shape) == cores if cores <= 4 else len(shape) ** 2 >= cores


@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 16), st.booleans(), st.floats(0, 1000)), min_size=1, max_size=20),
)
def test_never_more_threads_run_than_cores_are_lent(
    threads: list[int], story: list[tuple[int, bool, float]]
) -> None:
    pausing, now = Pausing(600.0), 0.0
    for cores, paused, wait in story:
        now += wait
        plan = pausing.decide(Lent(why="paused" if paused else "", cores=cores), "", threads, now)
        running = [its for its, wanted in zip(threads, plan.wanted, strict=True) if wanted == "run"]
        assert not running if paused else running
        assert len(running) == 1 or sum(running) <= max(1, cores)
        if plan.again is not None:
            assert plan.again > 0
