"""Whole matches on a bad network in virtual time: everybody ends with the same game, or knows why not."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.play import lab
from servent.play.lab import Dark, Match, Outcome, Weather
from servent.play.model import Desync, Event, Frozen, Gone, Heard, Resumed, Settings, Timing
from servent.play.states import State
from tests.play.counting import Counting

ALWAYS = 1e9
BAD = Weather(rtt=0.1, loss=0.05)
SOON = Timing(gone_after=2.5)  # in place of 6 s, so that there is less to simulate


def play(match: Match, seed: int = 1) -> Outcome:
    outcome = lab.play(match, Random(seed), Counting())
    assert not outcome.differ and not outcome.desyncs
    return outcome


def happened(outcome: Outcome, player: int) -> list[Event]:
    return [event for _, event in outcome.players[player].events if not isinstance(event, Heard)]


def when(outcome: Outcome, player: int, kind: type[Event]) -> float:
    return next(at for at, event in outcome.players[player].events if isinstance(event, kind))


@pytest.mark.parametrize(("delay", "depth"), [(0, 5), (2, 3)])
def test_a_tenth_of_a_second_and_a_loss_of_five_in_a_hundred_are_not_felt(delay: int, depth: int) -> None:
    outcome = play(Match(settings=Settings(players=2, delay=delay), duration=20, weather=BAD))
    assert outcome.fps >= 59.8
    assert all(player.deeper[depth] < 0.1 and player.stalls < 0.1 for player in outcome.players)
    assert outcome.asymmetry < 0.1
    assert outcome.checked >= 18


def test_the_same_seed_is_the_same_match() -> None:
    match = Match(settings=Settings(players=3), duration=3, weather=BAD, drift=0.002, apart=0.1)
    first = play(match, 7).players
    assert first == play(match, 7).players
    assert first != play(match, 8).players


def test_a_dead_link_between_two_of_four_hurts_nobody() -> None:
    dark = (Dark(5, ALWAYS, 0, 1),)
    outcome = play(Match(settings=Settings(players=4), duration=12, weather=Weather(rtt=0.06), dark=dark))
    assert outcome.fps >= 59.5
    assert not [event for player in range(4) for event in happened(outcome, player)]


@pytest.mark.parametrize("both_ways", [True, False])
def test_a_link_that_never_worked_hurts_nobody(both_ways: bool) -> None:
    dark = (Dark(-2, ALWAYS, 0, 1, both_ways),)
    outcome = play(Match(settings=Settings(players=3), duration=10, weather=Weather(rtt=0.06), dark=dark))
    assert outcome.fps >= 59


def test_three_hundred_milliseconds_and_bursts_slow_the_match_and_break_nothing() -> None:
    weather = Weather(rtt=0.3, loss=0.2, burst=4)
    outcome = play(Match(settings=Settings(players=2, delay=2), duration=20, weather=weather))
    assert 35 < outcome.fps < 60


def test_clocks_that_run_unevenly_and_a_late_start_are_made_up_for() -> None:
    match = Match(settings=Settings(players=2), duration=30, weather=BAD, drift=0.004, apart=0.2)
    outcome = play(match, 3)
    assert outcome.asymmetry < 0.3
    leads = [seat.ahead for player in outcome.players for seat in player.view.seats]
    assert all(lead is not None and abs(lead) < 0.2 for lead in leads)


def test_lockstep_needs_the_delay_of_one_way_and_finds_it_itself() -> None:
    one = Settings(players=2, mode="lockstep", auto_delay=True)
    outcome = play(Match(settings=one, duration=20, weather=Weather(rtt=0.1, loss=0.01)))
    assert all(player.delay == 5 and player.again == 0 for player in outcome.players)
    assert outcome.fps > 59
    late = Settings(players=2, mode="lockstep", delay=1)
    assert play(Match(settings=late, duration=5, weather=Weather(rtt=0.1))).fps < 40


def test_delay_follows_the_link() -> None:
    near = play(Match(settings=Settings(players=2, auto_delay=True), duration=3, weather=Weather(rtt=0.02)))
    far = play(Match(settings=Settings(players=2, auto_delay=True), duration=3, weather=Weather(rtt=0.2)))
    assert [player.delay for player in near.players] == [0, 0]
    assert [player.delay for player in far.players] == [4, 4]


def test_five_seconds_of_darkness_are_outlived() -> None:
    dark = (Dark(5, 10, 0),)
    outcome = play(Match(settings=Settings(players=3), duration=14, weather=BAD, dark=dark))
    assert happened(outcome, 0)[-1] in (Resumed(1), Resumed(2))
    frozen = [event for event in happened(outcome, 1) if isinstance(event, Frozen)]
    assert [event.player for event in frozen] == [0]
    assert 0.7 < when(outcome, 1, Frozen) - 5 < 1.2
    assert all(player.view.frame > 60 * 8 for player in outcome.players)


def test_who_falls_silent_is_gone_for_all_at_the_same_frame_and_the_others_go_on() -> None:
    outcome = play(Match(settings=Settings(players=4), duration=9, weather=BAD, stops={2: 2}, timing=SOON))
    gone = [[one for one in happened(outcome, player) if isinstance(one, Gone)] for player in (0, 1, 3)]
    assert gone[0] == gone[1] == gone[2] == [Gone(2, gone[0][0].frame)]
    assert 4.5 < when(outcome, 0, Gone) < 6.5
    assert all(outcome.players[player].view.frame > 60 * 4 for player in (0, 1, 3))


def test_who_says_goodbye_holds_nobody_up() -> None:
    outcome = play(Match(settings=Settings(players=3), duration=10, weather=BAD, leaves={1: 5}))
    assert when(outcome, 0, Gone) - 5 < 0.5
    assert max(outcome.players[player].longest_stall for player in (0, 2)) < 20


def test_the_last_one_plays_on_alone() -> None:
    outcome = play(Match(settings=Settings(players=2), duration=8, weather=BAD, stops={1: 2}, timing=SOON))
    assert outcome.players[0].view.frame > 60 * 4
    assert isinstance(happened(outcome, 0)[-1], Gone)


def test_two_go_while_a_link_between_those_who_stay_is_dead() -> None:
    dark = (Dark(1, ALWAYS, 0, 1),)
    match = Match(
        settings=Settings(players=5), duration=10, weather=BAD, stops={3: 3.0, 4: 3.4}, dark=dark, timing=SOON
    )
    outcome = play(match)
    gone = [{one for one in happened(outcome, player) if isinstance(one, Gone)} for player in (0, 1, 2)]
    assert gone[0] == gone[1] == gone[2] and {one.player for one in gone[0]} == {3, 4}
    assert all(outcome.players[player].view.frame > 60 * 4 for player in (0, 1, 2))


def test_who_was_away_for_too_long_learns_that_the_others_go_on_without() -> None:
    dark = (Dark(1, 6, 0),)
    match = Match(settings=Settings(players=3), duration=9, weather=BAD, dark=dark, timing=SOON)
    outcome = lab.play(match, Random(1), Counting())
    assert any(isinstance(event, Gone) and event.player == 0 for event in happened(outcome, 0))
    assert outcome.players[0].view.out
    assert not outcome.differ  # the two who stayed are of one mind
    assert outcome.players[1].view.frame > 60 * 3


class Forgetful(Counting):
    """Not deterministic: what it does depends on how often it was asked."""

    calls = 0

    def step(self, state: State, inputs: object) -> State:
        type(self).calls += 1
        return (state[0] + 1, self.calls)


def test_games_that_are_not_the_same_are_told_of_once() -> None:
    match = Match(settings=Settings(players=2), duration=5, weather=BAD)
    outcome = lab.play(match, Random(1), Forgetful())
    assert outcome.desyncs == 2
    first = next(event for event in happened(outcome, 0) if isinstance(event, Desync))
    assert first.frame == 60 and first.mine != first.theirs


@settings(max_examples=15, derandomize=True)
@given(
    seed=st.integers(0, 1 << 30),
    players=st.integers(2, 4),
    delay=st.integers(0, 4),
    window=st.sampled_from([1, 4, 8]),
    lockstep=st.booleans(),
    size=st.sampled_from([1, 5]),
    weather=st.builds(
        Weather,
        rtt=st.sampled_from([0.0, 0.05, 0.2]),
        loss=st.sampled_from([0.0, 0.1, 0.3]),
        burst=st.sampled_from([1.0, 4.0]),
        again=st.sampled_from([0.0, 0.2]),
        late=st.sampled_from([0.0, 0.3]),
    ),
    dark=st.lists(
        st.builds(Dark, st.floats(1, 3), st.floats(1, 5), st.integers(0, 3), st.none() | st.integers(0, 3)),
        max_size=2,
    ),
    stop=st.none() | st.floats(0, 4),
    apart=st.sampled_from([0.0, 0.3]),
)
def test_on_any_network_all_end_with_the_same_game(
    seed: int,
    players: int,
    delay: int,
    window: int,
    lockstep: bool,
    size: int,
    weather: Weather,
    dark: list[Dark],
    stop: float | None,
    apart: float,
) -> None:
    one = Settings(
        players=players,
        input_bytes=size,
        delay=delay,
        window=window,
        mode="lockstep" if lockstep else "rollback",
        auto_delay=lockstep,
        check_every=10,
    )
    press = lab.people()
    match = Match(
        settings=one,
        duration=5 if stop is None else 8 if not dark else 13,
        weather=weather,
        dark=tuple(dark),
        stops={} if stop is None else {players - 1: stop},
        apart=apart,
        drift=0.002,
        timing=SOON if stop is not None and not dark else Timing(),
    )
    game = Counting()
    outcome = lab.play(
        match, Random(seed), game, lambda state, seat, dice: press(state, seat, dice) + bytes(size - 1)
    )
    assert not outcome.differ and not outcome.desyncs
    staying = outcome.players if stop is None else outcome.players[:-1]
    assert all(player.view.frame > 5 for player in staying)
    assert (
        len({frozenset(e for e in happened(outcome, p.player) if isinstance(e, Gone)) for p in staying}) == 1
    )
