"""The controller of background transfers, on a line that is a bucket with a queue."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.blobs.ledbat import CEILING, FLOOR, TICK, Ledbat

STEP = 0.005  # s
QUEUE = 0.4  # s of a router's buffer


@dataclass
class Line:
    """What became of a run: the share of the line that we used, and everybody's added delay in s."""

    core: Ledbat
    used: float = 0.0
    delays: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.delays)


def drive(
    rate: float,
    seconds: float,
    *,
    rtt: float = 0.02,
    noise: float = 0.001,
    others: Callable[[float], float] = lambda now: 0.0,
    core: Ledbat | None = None,
    begin: float = 0.0,
    wanted: Callable[[float], float] = lambda now: CEILING,
) -> Line:
    """Send as the controller says over a line of `rate` bytes per second with `QUEUE` s of queue."""
    dice = random.Random(7)
    core = core or Ledbat(begin)
    found = Line(core)
    queue = moved = delivered = 0.0
    now, next_tick, next_probe = begin, begin + TICK, begin
    sending = core.view().rate
    flying: list[tuple[float, float, float]] = []
    while now < begin + seconds:
        ours, theirs = min(sending, wanted(now)), others(now)
        out = min(queue / STEP + ours + theirs, rate)
        queue = max(0.0, min(queue + (ours + theirs - rate) * STEP, QUEUE * rate))
        moved += ours * STEP
        delivered += out * STEP * (ours / (ours + theirs) if ours + theirs else 0.0)
        if now >= next_probe:
            next_probe = now + TICK / 2
            wait = queue / rate
            flying.append((now + rtt + wait, wait + rtt / 2 + dice.expovariate(1 / noise), now))
        while flying and flying[0][0] <= now:
            _, late, departed = flying.pop(0)
            core.probe("peer", late, departed, now)
        if now >= next_tick:
            next_tick += TICK
            sending = core.tick(now, moved, frozenset(["peer"]))
            moved = 0.0
            found.rates.append(sending)
        found.delays.append(queue / rate)
        now += STEP
    found.used = delivered / (rate * seconds)
    return found


@pytest.mark.parametrize("rate", [125_000.0, 2.5e6, 25e6])
@pytest.mark.parametrize("rtt", [0.01, 0.1])
def test_it_fills_the_line_and_nobody_waits(rate: float, rtt: float) -> None:
    line = drive(rate, 120, rtt=rtt)
    assert line.used > 0.93
    assert line.median < 0.03
    late = line.delays[int(10 / STEP) :]  # after the start
    assert sorted(late)[int(0.99 * len(late))] < 0.12


def test_it_gives_way_to_others_and_comes_back() -> None:
    line = drive(2.5e6, 90, others=lambda now: 1.5e6 if 30 < now < 60 else 0.0)
    during, after = line.rates[450:600], line.rates[750:]
    assert 0.5e6 < statistics.median(during) < 1.2e6  # the others have 1.5 of 2.5
    assert statistics.median(after) > 2.2e6
    assert line.median < 0.03


def test_a_line_that_others_fill_is_left_to_them() -> None:
    line = drive(2.5e6, 60, others=lambda now: 4e6 if now > 20 else 0.0)
    assert line.rates[-1] < 0.1 * 2.5e6
    assert line.rates[-1] >= FLOOR  # and nobody starves


def test_something_real_time_is_given_way_at_once() -> None:
    core = drive(2.5e6, 30).core
    before = core.view().rate
    core.yields(True)
    assert core.view().rate < 0.3 * before
    line = drive(2.5e6, 30, core=core, begin=30.0)
    assert line.median < 0.012
    core.yields(False)
    assert drive(2.5e6, 30, core=core, begin=60.0).used > 0.85


def test_a_transfer_that_is_slow_by_itself_does_not_make_it_think_the_line_is_fast() -> None:
    line = drive(2.5e6, 60, wanted=lambda now: 0.3e6 if now < 40 else CEILING)
    assert line.rates[380] < 2.5e6
    late = line.delays[int(45 / STEP) :]
    assert statistics.median(late) < 0.03


def test_a_path_that_changes_is_measured_anew() -> None:
    core = drive(2.5e6, 30, rtt=0.02).core
    core.forget("peer")
    line = drive(2.5e6, 60, rtt=0.2, core=core, begin=30.0)
    assert line.used > 0.85  # the longer way is no queue


def test_without_an_answer_it_slows_down_to_the_floor() -> None:
    core = Ledbat(0.0)
    now, rate = 0.0, 0.0
    for _ in range(600):
        now += TICK
        rate = core.tick(now, 50_000, frozenset(["peer"]))
    assert rate == FLOOR


def test_what_comes_to_us_is_free_until_the_queue_is_long() -> None:
    core = Ledbat(0.0, receiving=True)
    assert core.tick(TICK, 1_000_000, frozenset(["peer"])) == CEILING
    now = TICK
    for _ in range(20):
        core.probe("peer", 0.010, now, now)
        now += TICK
        assert core.tick(now, 250_000, frozenset(["peer"])) == CEILING
    for _ in range(20):
        core.probe("peer", 0.310, now, now)
        now += TICK
        rate = core.tick(now, 250_000, frozenset(["peer"]))
    assert rate < 2.0e6  # 2.5 MB/s came


@given(
    st.lists(
        st.tuples(
            st.floats(0, 2),
            st.floats(-10, 10, allow_nan=False),
            st.floats(-1, 3),
            st.integers(0, 10**9),
            st.booleans(),
        ),
        max_size=60,
    ),
    st.booleans(),
)
def test_whatever_it_is_told_the_rate_stays_sane(
    steps: list[tuple[float, float, float, int, bool]], receiving: bool
) -> None:
    core, now = Ledbat(0.0, receiving=receiving), 0.0
    for passed, delay, ago, moved, realtime in steps:
        now += passed
        core.probe("peer", delay, now - ago, now)
        core.yields(realtime)
        assert FLOOR <= core.tick(now, moved, frozenset(["peer", "another"])) <= CEILING
        assert core.view().why
