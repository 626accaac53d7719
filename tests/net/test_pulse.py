"""Echoes: when a path counts as dead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.net.pulse import Dead, Pulse, PulseSettings
from servent.net.wire import Echo


def run_silent(pulse: Pulse, now: float, received_per_s: float = 0.0) -> float:
    """Let nobody answer until it is called dead; when that was."""
    began = now
    while True:
        now = pulse.next_tick() or now
        wishes = pulse.tick(now, int((now - began) * received_per_s))
        if wishes and isinstance(wishes[0], Dead):
            return now - began


def test_an_answered_echo_is_followed_by_the_next_after_five_seconds() -> None:
    pulse = Pulse(PulseSettings(), now=0.0)
    assert pulse.tick(0.0) == [Echo(1)]
    assert pulse.reply(1, 0.04) == pytest.approx(0.04)
    assert pulse.next_tick() == pytest.approx(5.04)
    assert pulse.rtt == pytest.approx(0.04)


def test_and_after_one_second_while_streams_are_open() -> None:
    pulse = Pulse(PulseSettings(), now=0.0)
    pulse.tick(0.0)
    pulse.reply(1, 0.04, busy=True)
    assert pulse.next_tick() == pytest.approx(1.04)


def test_three_missed_echoes_make_a_path_dead() -> None:
    pulse = Pulse(PulseSettings(), now=0.0)
    pulse.tick(0.0)
    pulse.reply(1, 0.04)
    assert run_silent(pulse, 0.04) == pytest.approx(5.0 + 3 * 0.8)
    assert pulse.next_tick() is None


def test_a_slow_path_is_given_three_round_trips() -> None:
    pulse = Pulse(PulseSettings(), now=0.0)
    pulse.tick(0.0)
    pulse.reply(1, 0.6)
    assert run_silent(pulse, 0.6) == pytest.approx(5.0 + 3 * 1.8)


def test_a_path_full_of_data_lives_though_answers_are_late() -> None:
    pulse = Pulse(PulseSettings(), now=0.0)
    pulse.tick(0.0)
    pulse.reply(1, 0.04)
    assert run_silent(pulse, 0.04, received_per_s=100_000) >= PulseSettings().patience - 1


def test_a_late_answer_saves_the_path() -> None:
    pulse = Pulse(PulseSettings(), now=0.0)
    pulse.tick(0.0)
    assert pulse.tick(0.8) == [Echo(2)]
    assert pulse.tick(1.6) == [Echo(3)] and pulse.silent == 2
    assert pulse.reply(1, 1.7) == pytest.approx(1.7)
    assert pulse.silent == 0


def test_while_the_peer_asks_we_need_not() -> None:
    pulse = Pulse(PulseSettings(), now=0.0)
    pulse.heard(0.0)
    assert pulse.tick(0.0) == [Echo(1)]  # the first one shows the round trip
    pulse.reply(1, 0.04)
    for now in (3.0, 8.0, 13.0):
        pulse.heard(now)
        assert pulse.next_tick() == pytest.approx(now + 6.0)
    assert run_silent(pulse, 13.0) == pytest.approx(6.0 + 3 * 0.8)


def test_the_peers_echo_does_not_excuse_answers_that_are_missing() -> None:
    pulse = Pulse(PulseSettings(), now=0.0)
    pulse.tick(0.0)
    pulse.reply(1, 0.04)
    assert pulse.tick(5.04) == [Echo(2)]
    pulse.heard(5.1)
    assert pulse.next_tick() == pytest.approx(5.84)


def test_an_answer_nobody_asked_for_counts_for_nothing() -> None:
    pulse = Pulse(PulseSettings(), now=0.0)
    pulse.tick(0.0)
    assert pulse.reply(77, 0.1) is None
    assert pulse.rtt is None


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 60), st.booleans()), max_size=60))
def test_tick_at_the_announced_time_always_moves_on(steps: list[tuple[float, int, bool]]) -> None:
    pulse, now = Pulse(PulseSettings(), now=0.0), 0.0
    for wait, number, busy in steps:
        due = pulse.next_tick()
        if due is None:
            return
        now = max(now + wait, due)
        assert pulse.tick(now)
        after = pulse.next_tick()
        assert after is None or after > now
        pulse.reply(number, now, busy)
