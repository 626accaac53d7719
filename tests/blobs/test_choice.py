"""Which lane the next request takes."""

from __future__ import annotations

from servent.blobs.choice import AGAIN, SAMPLE, SETTLE, TRIAL, Kind, LaneChoice

MB = 1_000_000


def work(choice: LaneChoice, kind: Kind, rate: float, since: float, seconds: float) -> float:
    """The lane delivers at `rate` for so long; when that ends."""
    now = since
    while now < since + seconds:
        choice.arrived(kind, int(rate * 0.05), now)
        now += 0.05
    return now


def test_whichever_is_ready_first_is_used_and_tcp_takes_over() -> None:
    choice = LaneChoice()
    choice.opened("quic", 0.0)
    assert choice.pick(0.0) == "quic"
    choice.opened("tcp", 0.1)
    assert choice.pick(0.1) == "tcp"


def test_when_the_lane_in_use_breaks_the_other_takes_over_at_once() -> None:
    choice = LaneChoice()
    choice.opened("quic", 0.0)
    choice.opened("tcp", 0.1)
    choice.closed("tcp")
    assert choice.pick(0.2) == "quic"


def test_a_slow_tcp_lane_loses_against_a_faster_quic_lane_in_a_trial() -> None:
    choice = LaneChoice()
    choice.opened("quic", 0.0)
    choice.opened("tcp", 0.0)
    now = work(choice, "tcp", 2 * MB, 0.0, SETTLE + SAMPLE)
    assert choice.pick(now) == "quic", "it is tried"
    now = work(choice, "quic", 8 * MB, now, TRIAL + 0.1)
    assert choice.pick(now) == "quic", "and stays"


def test_a_trial_that_shows_no_gain_changes_nothing_and_the_next_one_waits() -> None:
    choice = LaneChoice()
    choice.opened("quic", 0.0)
    choice.opened("tcp", 0.0)
    now = work(choice, "tcp", 8 * MB, 0.0, SETTLE + SAMPLE)
    assert choice.pick(now) == "quic"
    now = work(choice, "quic", 8 * MB, now, TRIAL + 0.1)
    assert choice.pick(now) == "tcp"
    now = work(choice, "tcp", 8 * MB, now, AGAIN - 1)
    assert choice.pick(now) == "tcp"


def test_where_tcp_is_fast_nothing_is_tried() -> None:
    choice = LaneChoice()
    choice.opened("quic", 0.0)
    choice.opened("tcp", 0.0)
    now = work(choice, "tcp", 400 * MB, 0.0, 60.0)
    assert choice.pick(now) == "tcp"


def test_a_pause_is_no_measurement() -> None:
    choice = LaneChoice()
    choice.opened("tcp", 0.0)
    now = work(choice, "tcp", 50 * MB, 0.0, 2.0)
    before = choice.rate("tcp")
    choice.rested("tcp")
    work(choice, "tcp", 50 * MB, now + 100, 2.0)
    after = choice.rate("tcp")
    assert before is not None and after is not None and abs(after - before) < 0.1 * before
