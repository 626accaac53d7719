"""Who plays, who is waited for, who is gone and since which frame; and clocks, delays and checksums beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.play.checks import KEPT, Checks
from servent.play.inputs import Inputs
from servent.play.model import Desync, Frozen, Gone, Heard, Resumed, Settings, Timing
from servent.play.pace import LOOK_EVERY, PATIENCE, QUIET, AutoDelay, Pace
from servent.play.peers import NONE, Peer
from servent.play.roll import Roll
from servent.play.wire import Packet, Probe, Row, Run

TIMING = Timing()


def roll(players: int = 3, held: int = 0) -> tuple[Roll, list[Inputs]]:
    """Of player 0, to whom all have spoken, and who holds their inputs up to frame `held`."""
    inputs = [Inputs(1) for _ in range(players)]
    for one in inputs:
        for _ in range(held + 1):
            one.add(b"\1")
    found = Roll(inputs, 0, TIMING, 0.0)
    found.begin(0.0)
    for player in range(1, players):
        assert found.heard(player, 0.0) == [Heard(player)]
    return found, inputs


def test_silence_freezes_and_a_word_resumes() -> None:
    found, inputs = roll(2)
    assert found.tick(0.5, 9) == []
    assert found.tick(0.8, 9) == [Frozen(1, 6.0)]
    assert found.tick(0.9, 9) == []
    for _ in range(10):
        inputs[1].add(b"\1")
    assert found.tick(1.0, 9) == [Resumed(1)]


def test_without_any_sign_a_player_is_gone_at_the_last_frame_that_is_held() -> None:
    found, _ = roll(2, held=40)
    assert found.tick(5.9, -1) == []
    assert found.tick(6.0, -1) == [Gone(1, 40)]


def test_whom_another_hears_is_not_gone() -> None:
    found, _ = roll(3)
    for second in range(1, 14):
        found.heard(2, float(second))
        found.told(2, 0, float(second))
        assert found.tick(float(second), -1) == []
    assert found.deaf(13.0) == 0b010


def test_all_who_stay_have_to_hold_the_same_before_somebody_is_cut() -> None:
    found, inputs = roll(3, held=40)
    for second in range(1, 8):
        found.heard(2, float(second))
        found.told(2, 0b010, float(second))
        events = found.tick(float(second), -1)
    assert events == [] and found.dropped == 0b010
    found.rows(2, [Row(2, 0b010, (42,))])
    assert found.tick(7.1, -1) == []  # it holds two more, which it passes on
    inputs[1].add(b"\1")
    inputs[1].add(b"\1")
    assert found.tick(7.2, -1) == [Gone(1, 42)]
    assert found.row_of(2) == [Row(0, 0b010, (42,))]


def test_a_claim_is_followed_by_who_hears_nothing_either_and_turned_on_its_maker_by_who_does() -> None:
    found, _ = roll(3)
    found.rows(2, [Row(2, 0b010, (0,))])
    found.heard(2, 1.5)
    assert found.tick(1.6, -1) == [Gone(1, 0)]
    found, _ = roll(3)
    for tenth in range(1, 60):
        now = tenth / 10
        found.heard(1, now)
        found.heard(2, now)
        if now > 3:
            found.rows(2, [Row(2, 0b010, (0,))])
        found.tick(now, -1)
        if now < 3 + TIMING.quarrel_after:
            assert found.dropped == 0
    assert found.dropped == 0b100


def test_a_goodbye_is_believed_at_once() -> None:
    found, _ = roll(3, held=10)
    found.heard(1, 0.1)
    found.rows(1, [Row(1, 0b010, (10,))])
    found.heard(2, 0.1)
    found.rows(2, [Row(2, 0b010, (10,))])
    assert found.tick(0.1, -1) == [Gone(1, 10)]


def test_what_others_say_of_a_player_whom_we_hear_ourselves_counts_for_nothing() -> None:
    found, _ = roll(3)
    found.heard(1, 5.0)
    found.deaf(5.0)
    found.rows(2, [Row(1, 0b100, (0,))])
    assert not found.told_any


def test_who_is_dropped_by_all_is_out() -> None:
    found, _ = roll(3)
    for player in (1, 2):
        found.heard(player, 1.0)
        found.rows(player, [Row(player, 0b001, (30 + player,))])
    assert found.tick(1.0, -1) == [Gone(0, 31)]
    assert found.out


def test_who_speaks_but_plays_nothing_is_dropped_in_the_end() -> None:
    found, _ = roll(2)
    gone_at = None
    for tenth in range(1, 300):
        found.heard(1, tenth / 10)
        if any(isinstance(event, Gone) for event in found.tick(tenth / 10, 5)):
            gone_at = tenth / 10
    assert gone_at == pytest.approx(18.0, abs=0.2)


# pace


def test_who_is_ahead_ticks_slower_and_who_is_behind_faster_within_bounds() -> None:
    for lead, slew in ((0.0, 0.0), (1.0, 0.02), (9.0, 0.05), (-0.2, -0.004), (-9.0, -0.01)):
        pace = Pace(Settings(players=2), TIMING)
        pace.start(10.0)
        pace.ticked(10.0, [lead])
        assert pace.slew == pytest.approx(slew, abs=2e-4)
        assert pace.due == pytest.approx(10.0 + (1 + pace.slew) / 60)


def test_the_last_of_several_sets_the_pace() -> None:
    pace = Pace(Settings(players=4), TIMING)
    pace.start(0.0)
    pace.ticked(0.0, [-3.0, 2.0, 0.0], learn=False)
    assert pace.slew == pytest.approx(0.04)


def test_a_late_tick_is_made_up_for_and_a_long_sleep_is_not() -> None:
    pace = Pace(Settings(players=1), TIMING)
    pace.start(0.0)
    pace.ticked(0.05, [])
    assert pace.due == pytest.approx(1 / 60)
    assert pace.ticked(5.0, []) == pytest.approx(5 - 1 / 60)
    assert pace.due == pytest.approx(5 + 1 / 60)


def test_delay_is_what_the_way_asks_for_less_two_frames_and_all_of_it_in_lockstep() -> None:
    free, bound = AutoDelay(Settings(players=2), 0.0), AutoDelay(Settings(players=2, mode="lockstep"), 0.0)
    assert [free.wanted(way) for way in (0.0, 0.03, 0.055, 0.09, 0.3)] == [0, 0, 2, 4, 4]
    assert [bound.wanted(way) for way in (0.0, 0.03, 0.055, 0.3)] == [1, 3, 5, 12]


def test_delay_changes_by_one_in_a_quiet_moment_or_after_a_while() -> None:
    auto = AutoDelay(Settings(players=2), 0.0)
    now = LOOK_EVERY
    assert not auto.due(now - 0.1) and auto.due(now)
    assert auto.look(now, 0, 0.09, now - QUIET / 2) == 0
    assert auto.look(now + QUIET, 0, None, now - QUIET / 2) == 1
    assert auto.look(now + QUIET + 0.1, 1, None, 0.0) == 1  # one is enough until the next look
    now += LOOK_EVERY
    for step in range(100):
        at = now + step * PATIENCE / 50
        if auto.look(at, 1, 0.09, at) == 2:
            break
    assert step > 0


# peers


def packet(number: int, frame: int = 1, **parts: object) -> Packet:
    return Packet(number, frame, 0.0, [-1], [Run(1, 0, [])], **parts)  # type: ignore[arg-type]


def test_round_trips_are_measured_by_stamps_even_when_they_turn_over() -> None:
    for begin in (0.0, 6.5, -3.2):
        peer = Peer(1, 0, 2, 30)
        for number in range(20):
            at = begin + number * 0.1
            stamp = peer.clock(at)[0]
            peer.fresh(packet(number, clock=(number, stamp, 150)), at + 0.065)
        assert peer.rtt == pytest.approx(0.05, abs=0.0003)
        assert peer.one_way() == pytest.approx(0.025, abs=0.0003)


def test_old_packets_and_packets_that_come_again_are_not_fresh() -> None:
    peer = Peer(1, 0, 2, 30)
    assert [peer.fresh(packet(number), 0.0) for number in (65534, 65535, 2, 1, 2, 65535, 3)] == [
        True,
        True,
        True,
        False,
        False,
        False,
        True,
    ]
    assert peer.missed == 0 or peer.loss < 0.3


def test_a_lead_that_both_sides_see_is_half_of_the_difference() -> None:
    peer = Peer(1, 0, 2, 30)
    assert peer.ahead is None
    seen = packet(1, 100)
    seen.lead = 3.0
    peer.compare(seen, 104.0, 60)
    assert peer.lead == -4.0 and peer.ahead == 3.5
    seen.deaf = 1
    peer.compare(seen, 104.0, 60)
    assert peer.ahead is None


@given(st.integers(-(1 << 60), 1 << 60), st.integers(-(1 << 60), 1 << 60), st.integers(0, NONE))
def test_no_probe_breaks_a_clock(clock: int, echo: int, held: int) -> None:
    peer = Peer(1, 0, 2, 30)
    peer.probes(Probe(clock, echo, held), 5.0)
    assert peer.rtt is None or 0 <= peer.rtt < 10
    assert 0 <= peer.probe(5.1).held < NONE


# checksums


def test_a_difference_is_told_once_whoever_was_first() -> None:
    checks = Checks(3, 60)
    assert checks.theirs(1, 60, 5) == []
    assert checks.ours(60, 6) == [Desync(1, 60, 6, 5)]
    assert checks.theirs(2, 60, 7) == [Desync(2, 60, 6, 7)]
    assert checks.theirs(2, 60, 7) == [] and checks.ours(120, 1) == []
    assert checks.theirs(1, 120, 2) == []  # still apart
    assert checks.ours(180, 3) == [] and checks.theirs(1, 180, 3) == [] and checks.agreed[1] == 180
    assert checks.ours(240, 4) == [] and checks.theirs(1, 240, 5) == [Desync(1, 240, 4, 5)]


@given(st.lists(st.tuples(st.integers(0, 1 << 32), st.integers(0, 3)), max_size=80))
def test_checksums_of_frames_that_nobody_asked_for_take_no_memory(told: list[tuple[int, int]]) -> None:
    checks = Checks(2, 60)
    for frame, checksum in told:
        checks.theirs(1, frame * 60, checksum)
        checks.theirs(1, frame, checksum)
    assert len(checks._theirs[1]) <= KEPT
