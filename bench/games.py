"""What the games that come along cost: a rollback of eight frames, a replay's size and speed, a checksum, a picture.

    python -m bench.games [--json] [--rounds 5]

Matches of bots, which never stop turning, for what costs time; people who change what they press 6.7 times a second, made up
by seeded dice, for what a replay weighs. Rollbacks, timed while all still ride, each with its saves, and
replays are measured in seconds of the core, so that neighbours do not count; each figure is the median but where it says otherwise.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from servent.identity import Identity
from servent.play import replays
from servent.play.bundled.go import Go
from servent.play.bundled.lightcycles import Lightcycles
from servent.play.engine import Engine
from servent.play.model import Advance, Confirmed, Load, Request, Save
from servent.play.playback import Playback
from servent.play.replays import Header, Recorder, Replay, Seal
from servent.play.states import checksum, pack

MINUTE = 3600  # frames
GAME = Lightcycles()


def recorder(seats: int) -> Recorder:
    people = [Identity(bytes((seat + 1,)) * 32) for seat in range(seats)]
    return Recorder(
        Header(
            game="lightcycles",
            version=1,
            code=bytes(32),
            match=bytes(16),
            seats=tuple(bytes(one.peer) for one in people),
            names=tuple(f"player {seat}" for seat in range(seats)),
            seed=5,
            choices={},
            input_bytes=1,
            fps=60,
            began=1_700_000_000,
        )
    )


def by_people(seats: int, frames: int) -> list[Confirmed]:
    dice, held, found = random.Random(1), [0] * seats, []
    for frame in range(frames):
        for seat in range(seats):
            if dice.random() < 6.7 / 60:
                held[seat] = 0 if held[seat] else dice.choice((1, 2, 4, 8, 16))
        found.append(Confirmed(frame, tuple(bytes((one,)) for one in held)))
    return found


def by_bots(seats: int, frames: int) -> list[Confirmed]:
    state, found = GAME.start(seats, 5, GAME.chosen(seats)), []
    for frame in range(frames):
        inputs = tuple(GAME.bot(state, seat) for seat in range(seats))
        found.append(Confirmed(frame, inputs))
        state = GAME.step(state, inputs)
    return found


def size(seats: int, frames: list[Confirmed]) -> int:
    """Bytes of a file with a seal of each seat."""
    kept = recorder(seats)
    for one in frames:
        kept.add(one)
    for seat in range(seats):
        kept.seal(Seal(seat, kept.frames, 1, Identity(bytes((seat + 1,)) * 32).sign(kept.promise(1))))
    return len(kept.write())


def took(what: Callable[[], Any], rounds: int, clock: Callable[[], float] = time.perf_counter) -> float:
    times = []
    for _ in range(rounds):
        began = clock()
        what()
        times.append(clock() - began)
    return statistics.median(times)


def replayed(seats: int, rounds: int) -> float:
    kept = recorder(seats)
    for one in by_bots(seats, 3 * MINUTE):
        kept.add(one)
    data = kept.write()
    return 3 * 60 / took(lambda: Playback(Replay.read(data), GAME).seek(3 * MINUTE), rounds, time.thread_time)


def rollbacks(seats: int) -> list[float]:
    """Seconds of each: load, then eight times step and save."""
    times = []
    for seed in range(30):
        engine = Engine(GAME, seats, seed)
        for frame in range(400):
            state = engine.state
            inputs = tuple(GAME.bot(state, seat) for seat in range(seats))
            engine.carry_out([Save(frame)])
            if state["phase"] == "ride" and all(row[8] < 0 for row in state["riders"]) and frame % 10 == 0:
                requests: list[Request] = [Load(frame)]
                for ahead in range(frame, frame + 8):
                    requests += [Advance(ahead, inputs, again=True), Save(ahead + 1)]
                times.append(took(partial(engine.carry_out, requests), 1, time.thread_time))
                engine.carry_out([Load(frame)])
            engine.carry_out([Advance(frame, inputs)])
    return times


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for seats in (2, 8):
        people = by_people(seats, 2 * MINUTE)
        first, both = size(seats, people[:MINUTE]), size(seats, people)
        figures[f"replay_first_minute_bytes_{seats}"] = first
        figures[f"replay_further_minute_bytes_{seats}"] = both - first
        figures[f"replay_times_real_{seats}"] = round(replayed(seats, options.rounds))
        times = rollbacks(seats)
        figures[f"rollback_8_ms_{seats}"] = round(statistics.median(times) * 1e3, 3)
        figures[f"rollback_8_p99_ms_{seats}"] = round(statistics.quantiles(times, n=100)[98] * 1e3, 3)
        engine = Engine(GAME, seats, 5)
        for one in by_bots(seats, 600):
            engine.carry_out([Advance(one.frame, one.inputs)])
        figures[f"state_bytes_{seats}"] = len(pack(engine.state))
        figures[f"checksum_us_{seats}"] = round(took(partial(checksum, engine.state), 200) * 1e6, 1)
        figures[f"draw_us_{seats}"] = round(took(partial(GAME.draw, engine.state, 0), 200) * 1e6, 1)
    go = Go()
    state, moves = go.start(2, 1, go.chosen(2)), []
    while go.result(state) is None:
        began, seat = time.perf_counter(), go.turn(state)
        move = go.bot(state, seat or 0)
        moves.append(time.perf_counter() - began)
        state = go.step(state, [move if one == seat else bytes(2) for one in range(2)])
    figures["go_bot_ms"] = round(statistics.median(moves) * 1e3, 2)
    goals = {
        "rollback_8_p99_ms_8": figures["rollback_8_p99_ms_8"] < 1,
        "replay_times_real_2": figures["replay_times_real_2"] >= 300,
        "replay_times_real_8": figures["replay_times_real_8"] >= 300,
        "replay_further_minute_bytes_2": figures["replay_further_minute_bytes_2"] <= 1100,
    }
    if options.json:
        print(json.dumps({"figures": figures, "goals": goals, "most_file_bytes": replays.MOST_BYTES}))
    else:
        for name, value in figures.items():
            print(
                f"{name:34} {value:>10}  {'' if name not in goals else 'reached' if goals[name] else 'MISSED'}"
            )
    return 0 if all(goals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
