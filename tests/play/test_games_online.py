"""Lightcycles over a bad network, in virtual time: all see the same match, and what was recorded steps to the same end."""

from __future__ import annotations

from random import Random
from typing import Any

from servent.play.bundled.lightcycles import Lightcycles
from servent.play.engine import Engine
from servent.play.lab import Match, Weather, play
from servent.play.model import Advance, Gone
from servent.play.playback import Playback
from servent.play.replays import Header, Recorder, Replay
from servent.play.states import same

GAME = Lightcycles()
BAD = Weather(rtt=0.1, jitter=0.005, loss=0.05, burst=2, again=0.01, late=0.02)


def bot(state: Any, seat: int, dice: Random) -> bytes:
    return GAME.bot(state, seat)


def test_bots_ride_the_same_match_on_four_machines_of_which_one_leaves_and_is_stood_in_for() -> None:
    match = Match(settings=GAME.match(4), weather=BAD, duration=16.0, leaves={2: 5.0})
    outcome = play(match, Random(8), GAME, bot, choices={"arena": 1, "wins": 1})
    assert outcome.differ == [] and outcome.desyncs == 0 and outcome.checked > 10
    assert any(isinstance(event, Gone) and event.player == 2 for _, event in outcome.players[0].events)
    assert any(player.rollbacks > 0.5 for player in outcome.players)
    gone = [one for one in outcome.final if one.gone]
    assert gone and gone[-1].inputs[2] == b"\0"

    seed = Random(8).getrandbits(64)  # the lab's first throw
    recorder = Recorder(
        Header(
            game="lightcycles",
            version=1,
            code=bytes(32),
            match=bytes(16),
            seats=tuple(bytes((n,)) * 32 for n in range(4)),
            names=("a", "b", "c", "d"),
            seed=seed,
            choices={"arena": 1, "wins": 1},
            input_bytes=1,
            fps=60,
            began=0,
        )
    )
    straight = Engine(GAME, 4, seed, {"arena": 1, "wins": 1})
    taken = -1
    for one in outcome.final:
        recorder.add(one)
        if one.gone and taken < 0:
            taken = straight.state["riders"][2][6]
        straight.carry_out([Advance(one.frame, one.inputs, one.gone)])
    playback = Playback(Replay.read(recorder.write()), GAME)
    assert same(playback.seek(len(outcome.final)), straight.state)
    assert straight.state["riders"][2][6] > taken >= 0  # whoever is gone still turns
