"""The engine does what a session requests: going back and stepping again ends where stepping once would have."""

from __future__ import annotations

import random

import pytest

from servent.errors import UsageError

# GOfrom servent.play.bundled.go import Go
from servent.play.bundled.go import Go
from servent.play.bundled.lightcycles import Lightcycles
from servent.play.engine import KEPT, Engine
from servent.play.model import Advance, Check, Load, Request, Save
from servent.play.states import checksum, same

GAME = Lightcycles()


def presses(frames: int, seats: int = 2) -> list[tuple[bytes, ...]]:
    dice = random.Random(4)
    return [tuple(bytes((dice.choice((0, 0, 1, 2, 4, 8)),)) for _ in range(seats)) for _ in range(frames)]


def test_a_rollback_ends_where_the_true_inputs_lead() -> None:
    true = presses(400)
    straight, rolled = Engine(GAME, 2, 9), Engine(GAME, 2, 9)
    straight.carry_out([Advance(frame, inputs) for frame, inputs in enumerate(true)])
    for frame in range(0, 400, 8):
        guessed: list[Request] = [Save(frame)]
        for ahead in range(frame, frame + 8):
            guessed += [Advance(ahead, (true[ahead][0], b"\0")), Save(ahead + 1)]
        rolled.carry_out(guessed)
        again: list[Request] = [Load(frame)]
        for ahead in range(frame, frame + 8):
            again += [Advance(ahead, true[ahead], again=True), Save(ahead + 1)]
        ((checked, value),) = rolled.carry_out([*again, Check(frame + 8)])
        assert (checked, value) == (frame + 8, checksum(rolled.state))
    assert rolled.frame == straight.frame == 400 and same(rolled.state, straight.state)


def test_a_bot_stands_in_for_whoever_is_gone_the_same_at_everybody() -> None:
    engines = [Engine(GAME, 3, 2), Engine(GAME, 3, 2)]
    alone = Engine(GAME, 3, 2)
    for frame in range(600):
        for engine in engines:
            engine.carry_out([Advance(frame, (b"\0",) * 3, gone=0b010)])
        alone.carry_out([Advance(frame, (b"\0",) * 3)])
    assert same(engines[0].state, engines[1].state)
    assert engines[0].state["riders"][1] != alone.state["riders"][1]
    assert engines[0].state["riders"][0][6] == 0  # nobody turned for those who are there


def test_old_states_are_let_go_and_asking_for_one_is_a_mistake() -> None:
    engine = Engine(GAME, 2, 1)
    for frame in range(100):
        engine.carry_out([Save(frame), Advance(frame, (b"\0", b"\0"))])
    assert engine.saved(99) and engine.saved(100 - KEPT)
    with pytest.raises(KeyError):
        engine.carry_out([Load(99 - KEPT)])


def test_a_snapshot_from_elsewhere_goes_on_as_it_did_there() -> None:
    there, here = Engine(GAME, 2, 1), Engine(GAME, 2, 77)
    there.carry_out([Advance(frame, inputs) for frame, inputs in enumerate(presses(200))])
    here.put(there.state, there.frame)
    for engine in (there, here):
        engine.carry_out([Save(200), Advance(200, (b"\1", b"\4")), Save(201)])
    assert here.frame == 201 and same(here.state, there.state)


def test_a_session_is_told_what_the_game_is() -> None:
    match = GAME.match(5)
    assert (match.players, match.input_bytes, match.mode, match.fps) == (5, 1, "rollback", 60)
    with pytest.raises(UsageError, match="for 2 to 8 players, not for 9"):
        GAME.match(9)
    with pytest.raises(UsageError, match="played in mode turns"):
        Go().match(2)
