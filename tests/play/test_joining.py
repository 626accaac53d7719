"""Into a match that runs: the others do not notice, and from its frame on the one who came plays as they do."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.codec import canonical
from servent.errors import BadMessage, UsageError
from servent.play import lab_joins
from servent.play.engine import Engine
from servent.play.feeds import batch
from servent.play.joining import Guest, Message, Ready, Seated, Seats, read
from servent.play.lab import TAG, Dark, Match, Outcome, Weather
from servent.play.lab_joins import Comes, Joined
from servent.play.model import Back, Confirmed, Contradicted, Gone, Settings, Timing
from servent.play.snapshots import Snapshot
from tests.play.counting import Counting

BAD = Weather(rtt=0.1, loss=0.05)
SOON = Timing(gone_after=2.0)


def play(match: Match, *comes: Comes, seed: int = 1) -> tuple[Outcome, list[Joined]]:
    outcome, joined = lab_joins.play(match, Random(seed), Counting(), comes)
    assert not outcome.differ and not outcome.desyncs
    return outcome, joined


def backs(outcome: Outcome) -> list[list[Back]]:
    return [[event for _, event in one.events if isinstance(event, Back)] for one in outcome.players]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("weather", [BAD, Weather(rtt=0.2, loss=0.2, burst=4)])
def test_back_to_its_seat(weather: Weather, seed: int) -> None:
    match = Match(settings=Settings(players=3), duration=10, weather=weather, stops={2: 1.0}, timing=SOON)
    outcome, (joined,) = play(match, Comes(2, 5.0, 0), seed=seed)
    assert joined.plays < 3.0
    came = backs(outcome)
    assert came[0] == came[1] and len(came[0]) == 1
    assert outcome.players[2].view.frame > came[0][0].frame + 60
    assert outcome.checked >= 1


def test_those_who_play_do_not_stop_for_it() -> None:
    match = Match(settings=Settings(players=4), duration=7, weather=BAD, leaves={2: 1.0})
    outcome, (joined,) = play(match, Comes(2, 3.0, 1))
    assert joined.plays < 3.0
    assert all(one.longest_stall < 30 for one in outcome.players)  # half a second, with the goodbye
    assert outcome.fps > 55


def test_the_other_one_of_two_plays_on_alone_until_it_is_back() -> None:
    match = Match(
        settings=Settings(players=2, delay=2), duration=7, weather=BAD, leaves={0: 1.0}, drift=0.002
    )
    outcome, (joined,) = play(match, Comes(0, 3.0, 1))
    assert joined.plays < 3.0 and backs(outcome)[1]
    assert outcome.players[1].longest_stall < 30


def test_late_into_free_seats_two_at_once() -> None:
    match = Match(settings=Settings(players=4, free=0b1100), duration=9, weather=BAD)
    outcome, joined = play(match, Comes(2, 2.0, 0), Comes(3, 2.1, 1))
    first, second = sorted(one.plays + 2 for one in joined)
    assert first < 5.0 and second < 7.0  # seats come back one at a time
    seen = [one.view for one in outcome.players]
    assert all(view.frame > 60 * 7 for view in seen)
    assert all(not seat.gone and not seat.deaf for view in seen for seat in view.seats)
    assert all(one.longest_stall < 30 for one in outcome.players)


def test_a_free_seat_that_nobody_takes_holds_nobody_up() -> None:
    match = Match(settings=Settings(players=3, free=0b010), duration=3, weather=BAD)
    outcome, _ = play(match)
    assert outcome.fps > 59 and outcome.players[1].view.frame == 0


def test_a_guest_that_does_not_reach_one_of_them_plays_all_the_same() -> None:
    dark = (Dark(0, 1e9, 2, 1),)
    match = Match(settings=Settings(players=3, free=0b100), duration=7, weather=BAD, dark=dark)
    outcome, (joined,) = play(match, Comes(2, 2.0, 0))
    assert joined.plays < 3.0
    assert all(one.longest_stall < 30 for one in outcome.players)
    assert not [
        one for player in outcome.players for _, one in player.events if isinstance(one, Contradicted)
    ]


def test_a_guest_that_falls_silent_is_waited_for_no_longer_than_is_said() -> None:
    """It is gone just when all know its frame: they stop at most for the time that one who returns is given, not for six seconds."""
    match = Match(settings=Settings(players=3), duration=9, weather=BAD, leaves={2: 1.0})
    outcome, (joined,) = play(match, Comes(2, 3.0, 0, gives_up=3.3))
    assert joined.plays > 100 and backs(outcome)[0] == backs(outcome)[1] != []
    for one in outcome.players[:2]:
        assert 30 < one.longest_stall < 60 * (Timing().return_within + 0.7)
        assert [event for _, event in one.events if isinstance(event, Gone)][-1].frame == backs(outcome)[0][
            0
        ].frame - 1
        assert one.view.frame > 60 * 6


def test_a_host_that_goes_takes_nobody_with_it() -> None:
    match = Match(settings=Settings(players=4), duration=9, weather=BAD, leaves={3: 1.0, 0: 3.5})
    outcome, _ = play(match, Comes(3, 3.0, 0))
    assert backs(outcome)[1] == backs(outcome)[2]
    assert all(one.view.frame > 60 * 6 for one in outcome.players[1:3])


@settings(max_examples=6, derandomize=True)
@given(
    seed=st.integers(0, 1 << 30),
    players=st.integers(2, 4),
    delay=st.integers(0, 4),
    window=st.sampled_from([2, 8]),
    lockstep=st.booleans(),
    weather=st.builds(
        Weather,
        rtt=st.sampled_from([0.0, 0.05, 0.2]),
        loss=st.sampled_from([0.0, 0.1, 0.3]),
        again=st.sampled_from([0.0, 0.2]),
        late=st.sampled_from([0.0, 0.3]),
    ),
    at=st.floats(1.5, 3),
)
def test_on_any_network_it_plays_the_same_game(
    seed: int, players: int, delay: int, window: int, lockstep: bool, weather: Weather, at: float
) -> None:
    one = Settings(
        players=players,
        delay=delay,
        window=window,
        mode="lockstep" if lockstep else "rollback",
        auto_delay=lockstep,
    )
    match = Match(settings=one, duration=8, weather=weather, leaves={players - 1: 0.7}, drift=0.002)
    outcome, (joined,) = play(match, Comes(players - 1, at, 0), seed=seed)
    if joined.plays < 7:  # a match that crawls takes longer
        assert abs(outcome.players[-1].view.frame - outcome.players[0].view.frame) < 60
        assert not [one for _, one in outcome.players[0].events if isinstance(one, Contradicted)]


def test_seats_are_kept_for_their_players_and_then_free() -> None:
    ann, ben, eve = bytes(32), bytes([1]) * 32, bytes([2]) * 32
    seats = Seats(Settings(players=3, keep=60, free=0b100), [ann, ben, None])
    assert seats.seat(ann, 0.0) is None and seats.seat(eve, 0.0) == 2
    seats.sits(2, eve)
    assert seats.free(0.0) == []
    seats.happened(Gone(1, 500), 10.0)
    other = bytes([3]) * 32
    assert seats.seat(ben, 69.0) == 1 and seats.seat(other, 69.0) is None
    assert seats.seat(other, 70.0) == 1 and seats.free(70.0) == [1]
    seats.happened(Back(1, 900), 71.0)
    assert seats.free(200.0) == [] and seats.seat(ben, 200.0) is None


def test_a_host_that_lies_is_refused() -> None:
    frames = [Confirmed(n, (b"\0", b"\0")) for n in range(5, 9)]
    snapshot = list(Snapshot((5, 1), 5).messages())
    fine = [*snapshot, batch(frames, 9, 1)]
    wrong: list[list[Message]] = [
        [Ready(5)],
        [snapshot[1]],
        [batch(frames, 9, 1)],
        [snapshot[0], snapshot[0]],
        [*snapshot, batch(frames[1:], 9, 1)],
        [*fine, batch(frames, 9, 1)],
        [*fine, Seated(8, (b"\0", b"\0"), 70)],
        [*fine, Seated(9, (b"\0",), 70)],
        [*fine, Seated(9, (b"\0", b"\0\0"), 70)],
        [*fine, Seated(9, (b"\0", b"\0"), 8)],
        [*fine, Seated(9, (b"\0", b"\0"), 1 << 30)],
        [*fine, Seated(9, (b"\0", b"\0"), 70, ((1, 3),))],
        [*fine, Seated(9, (b"\0", b"\0"), 70, ((0, 9),))],
    ]
    for messages in wrong:
        guest = Guest(Engine(Counting(), 2, 1), Settings(players=2), 1)
        for message in messages[:-1]:
            guest.receive(read(canonical(message)))
        with pytest.raises(BadMessage):
            guest.receive(read(canonical(messages[-1])))
    guest = Guest(Engine(Counting(), 2, 1), Settings(players=2), 1)
    for message in [*fine, Seated(9, (b"\0", b"\0"), 70, ((0, 8),))]:
        guest.receive(message)
    with pytest.raises(UsageError):
        guest.session(TAG, 0.0)
    assert [one.frame for one in guest.work()] == [5, 6, 7, 8] and guest.seated
    assert guest.session(TAG, 0.0).frame == 9
