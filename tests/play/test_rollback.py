"""Frames that are stepped with guesses and then with what was really done: in the end it is as if nobody had guessed."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.play.inputs import KEPT, Inputs
from servent.play.model import Advance, Check, Confirmed, Load, Request, Save, Settings
from servent.play.rollback import Rollback


class Machine:
    """Carries out requests, strictly: only what was saved is loaded, and each frame follows the one before."""

    def __init__(self, window: int) -> None:
        self.frame, self.state = 0, 0
        self.saved: dict[int, tuple[int, int]] = {}
        self.final: list[Confirmed] = []
        self.window, self.newest = window, 0
        self.sums: dict[int, int] = {}

    def carry_out(self, requests: list[Request]) -> None:
        for one in requests:
            match one:
                case Save(frame):
                    assert frame == self.frame
                    self.saved[frame] = (self.frame, self.state)
                case Load(frame):
                    assert frame >= self.newest - self.window - 2
                    self.frame, self.state = self.saved[frame]
                case Advance(frame, inputs, gone, again):
                    assert frame == self.frame and again == (frame < self.newest)
                    self.state = hash((self.state, inputs, gone))
                    self.frame += 1
                    self.newest = max(self.newest, self.frame)
                case Check(frame):
                    assert frame >= self.newest - self.window - 2
                    self.sums[frame] = self.saved[frame][1]
                case Confirmed(frame):
                    assert frame == len(self.final)
                    self.final.append(one)


@given(
    st.integers(0, 1 << 30), st.sampled_from([1, 2, 5, 8]), st.integers(2, 4), st.sampled_from([b"", b"\x0f"])
)
def test_whatever_comes_late_the_end_is_as_if_it_had_come_in_time(
    seed: int, window: int, players: int, held: bytes
) -> None:
    dice = Random(seed)
    settings = Settings(players=players, window=window, check_every=5)
    done = [[bytes((dice.choice((0, 0, 1, 16)),)) for _ in range(60)] for _ in range(players)]
    inputs = [Inputs(1, held) for _ in range(players)]
    rollback, machine = Rollback(settings, inputs, 0), Machine(window)
    while len(machine.final) < 59:
        for player in range(1, players):
            for _ in range(dice.choice((0, 0, 1, 1, 2, 6))):
                if inputs[player].last < 59:
                    inputs[player].add(done[player][inputs[player].last + 1])
                    frame = inputs[player].last
                    rollback.came(player, frame, done[player][frame])
        machine.carry_out(rollback.settle())
        assert machine.frame == rollback.frame
        if not rollback.held_up and rollback.frame < 60:
            if inputs[0].last < rollback.frame:
                inputs[0].add(done[0][rollback.frame])
            machine.carry_out(rollback.step())
        assert rollback.frame - rollback.confirmed - 1 <= window
    state, states = 0, {0: 0}
    for frame in range(60):
        state = hash((state, tuple(one[frame] for one in done), 0))
        states[frame + 1] = state
    assert [one.inputs for one in machine.final] == list(zip(*done, strict=True))[: len(machine.final)]
    assert machine.sums and machine.sums == {frame: states[frame] for frame in machine.sums}


def test_who_waits_for_all_guesses_nothing() -> None:
    inputs = [Inputs(1), Inputs(1)]
    rollback = Rollback(Settings(players=2, mode="lockstep"), inputs, 0)
    rollback.settle()
    assert rollback.held_up
    inputs[1].add(b"a")
    inputs[0].add(b"b")
    rollback.settle()
    assert not rollback.held_up
    assert rollback.step() == [Save(0), Advance(0, (b"b", b"a"))]
    assert rollback.settle() == [Confirmed(0, (b"b", b"a"))] and rollback.held_up


def test_a_window_of_guesses_and_no_more() -> None:
    inputs = [Inputs(1), Inputs(1)]
    rollback = Rollback(Settings(players=2, window=3), inputs, 0)
    for _ in range(3):
        rollback.settle()
        assert not rollback.held_up
        inputs[0].add(b"x")
        rollback.step()
    rollback.settle()
    assert rollback.held_up


def test_a_rollback_is_made_even_where_no_step_follows() -> None:
    inputs = [Inputs(1), Inputs(1), Inputs(1)]
    rollback = Rollback(Settings(players=3, window=2), inputs, 0)
    for _ in range(2):
        rollback.settle()
        inputs[0].add(b"x")
        rollback.step()
    inputs[1].add(b"y")
    rollback.came(1, 0, b"y")
    requests = rollback.settle()
    assert rollback.held_up  # player 2 said nothing
    assert requests[:2] == [Load(0), Advance(0, (b"x", b"y", b"\0"), again=True)]
    assert requests[2:] == [Save(1), Advance(1, (b"x", b"y", b"\0"), again=True)]
    assert rollback.depths == [0, 0, 1]


def test_who_is_gone_does_nothing_from_the_frame_after_its_last_one() -> None:
    inputs = [Inputs(1), Inputs(1)]
    rollback = Rollback(Settings(players=2), inputs, 0)
    inputs[1].add(b"y")
    for _ in range(4):
        rollback.settle()
        inputs[0].add(b"x")
        rollback.step()
    rollback.leave(1, 0)
    requests = rollback.settle()
    assert requests[0] == Load(1)
    stepped = [one for one in requests if isinstance(one, Advance)]
    assert stepped == [Advance(frame, (b"x", b"\0"), 2, True) for frame in (1, 2, 3)]
    final = [one for one in requests if isinstance(one, Confirmed)]
    assert [one.gone for one in final] == [2, 2, 2]


def test_held_keys_are_expected_to_stay_and_events_to_be_over() -> None:
    inputs = Inputs(2, b"\x0f\x00")
    inputs.add(b"\x13\x01")
    assert inputs.guess == b"\x03\x00"
    assert inputs.joined(b"\x31\x00", b"\x02\x00") == b"\x32\x00"


@pytest.mark.parametrize("last", [3, KEPT - 1, KEPT, KEPT + 7, 3 * KEPT + 1])
def test_a_ring_of_inputs_gives_what_was_put_in(last: int) -> None:
    inputs = Inputs(2)
    for frame in range(last + 1):
        inputs.add(frame.to_bytes(2, "big"))
    for first in (max(0, last - KEPT + 2), max(0, last - 10), last, last + 1):
        expected = [frame.to_bytes(2, "big") for frame in range(first, last + 1)]
        assert list(inputs.between(first, last)) == expected
        assert all(inputs[frame] == frame.to_bytes(2, "big") for frame in range(first, last + 1))
