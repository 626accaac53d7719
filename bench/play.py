"""Matches on simulated bad networks, and what they cost: `python -m bench.play [--seeds 100] [--seconds 60] [--jobs N] [--only two-0 …] [--json]`.

Each seed is another match: other moments of loss, other keys pressed. A row gives the worst of all seeds and their mean. The
players press or let go of a key 6.7 times a second (of a game of lightcycles), which is what people were measured to do.
Times are CPU seconds, so that a busy machine changes little.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from random import Random
from typing import TextIO

from servent.play import lab
from servent.play.bundled.lightcycles import Lightcycles
from servent.play.engine import Engine
from servent.play.lab import Dark, Match, Weather
from servent.play.model import Advance, Load, Request, Save, Settings
from servent.play.playback import Playback
from servent.play.replays import Header, Recorder, Replay

ALWAYS = 1e9
KEYS = 5
COUNTDOWN = 150  # frames before anybody rides
BAD = Weather(rtt=0.1, loss=0.05)
FAR = Weather(rtt=0.3, loss=0.2, burst=4)
# gschup/ggrs 0.13, from its source: it stalls at 8 predicted frames, says so after 0.5 s of silence, drops a player after 2 s
# of it or with 128 inputs not acknowledged, and publishes no figures under loss
GGRS = {"window": 8, "notified_after_s": 0.5, "dropped_after_s": 2.0, "pending_inputs": 128, "figures": None}


def match_of(row: str, seconds: float) -> Match:
    """The match of a row."""
    two, four = partial(Settings, players=2), partial(Settings, players=4)
    match row:
        case "two-0" | "two-2" | "two-auto":
            delay = 2 if row == "two-2" else 0
            settings = two(delay=delay, auto_delay=row == "two-auto")
            return Match(settings=settings, duration=seconds, weather=BAD)
        case "near":
            return Match(settings=two(), duration=seconds, weather=Weather(rtt=0.03, loss=0.01))
        case "drift":
            return Match(settings=two(delay=2), duration=seconds, weather=BAD, drift=0.003, apart=0.2)
        case "lossy":
            return Match(settings=two(delay=2), duration=seconds, weather=Weather(rtt=0.1, loss=0.2))
        case "bursts-0" | "bursts-2":
            return Match(settings=two(delay=int(row[-1])), duration=seconds, weather=FAR)
        case "lockstep":
            settings = two(mode="lockstep", auto_delay=True)
            return Match(settings=settings, duration=seconds, weather=Weather(rtt=0.1, loss=0.02))
        case "dark":
            return Match(
                settings=two(delay=2),
                duration=seconds,
                weather=BAD,
                dark=(Dark(seconds / 2, seconds / 2 + 5, 0),),
            )
        case "dead-link" | "four":
            dark = (Dark(0, ALWAYS, 0, 1),) if row == "dead-link" else ()
            return Match(settings=four(delay=2), duration=seconds / 2, weather=BAD, dark=dark)
        case "eight":
            return Match(settings=Settings(players=8, delay=2), duration=seconds / 4, weather=BAD)
    raise ValueError(row)


ROWS = {
    "two-0": "2 players, 100 ms, 5 % loss, delay 0",
    "two-2": "2 players, 100 ms, 5 % loss, delay 2",
    "two-auto": "2 players, 100 ms, 5 % loss, delay chosen by the session",
    "near": "2 players, 30 ms, 1 % loss, delay 0",
    "drift": "2 players, 100 ms, 5 % loss, delay 2, clocks 0.3 % wrong, starts 200 ms apart",
    "lossy": "2 players, 100 ms, 20 % loss, delay 2",
    "lockstep": "2 players, 100 ms, 2 % loss, lockstep with the delay it chooses",
    "bursts-0": "2 players, 300 ms, 20 % loss in bursts of 4, delay 0",
    "bursts-2": "2 players, 300 ms, 20 % loss in bursts of 4, delay 2",
    "dark": "2 players, 100 ms, 5 % loss, delay 2, nothing passes for 5 s",
    "four": "4 players, 100 ms, 5 % loss, delay 2 (half of the time)",
    "dead-link": "4 players, 100 ms, 5 % loss, delay 2, no packet passes between two of them (half of the time)",
    "eight": "8 players, 100 ms, 5 % loss, delay 2 (a quarter of the time)",
}


def one_match(row: str, seconds: float, seed: int) -> dict[str, float]:
    began = time.process_time()
    outcome = lab.play(match_of(row, seconds), Random(seed), Lightcycles(), lab.people(KEYS))
    cpu = time.process_time() - began
    players = outcome.players

    def deeper(frames: int) -> float:
        return max(player.deeper[frames] if frames < len(player.deeper) else 0.0 for player in players)

    return {
        "fps": outcome.fps,
        "stalls_per_s": max(player.stalls for player in players),
        "longest_stall_frames": max(player.longest_stall for player in players),
        "rollbacks_per_s": statistics.mean(player.rollbacks for player in players),
        "depth": statistics.mean(player.depth for player in players),
        "deeper_than_3_per_s": deeper(3),
        "deeper_than_5_per_s": deeper(5),
        "asymmetry": outcome.asymmetry,
        "again_per_frame": statistics.mean(player.again for player in players),
        "delay": max(player.delay for player in players),
        "payload_bytes_per_s": max(player.bytes_out for player in players),
        "packets_per_s": max(player.packets_out for player in players),
        "largest_packet": max(player.largest for player in players),
        "checked": outcome.checked,
        "desyncs": outcome.desyncs + len(outcome.differ),
        "gone": sum(seat.gone for player in players for seat in player.view.seats),
        "cpu_s": cpu,
    }


LEAST = {"fps", "checked"}  # of which the smallest is the worst


def row_of(name: str, matches: list[dict[str, float]]) -> dict[str, object]:
    """The mean of all matches, the worst, and sums of what must not happen at all."""
    keys = matches[0].keys() - {"desyncs", "gone", "checked"}
    return {
        "row": name,
        "words": ROWS[name],
        "matches": len(matches),
        "mean": {key: round(statistics.mean(one[key] for one in matches), 4) for key in sorted(keys)},
        "worst": {
            key: round((min if key in LEAST else max)(one[key] for one in matches), 4) for key in sorted(keys)
        },
        "checked": sum(one["checked"] for one in matches),
        "desyncs": sum(one["desyncs"] for one in matches),
        "gone": sum(one["gone"] for one in matches),
        **({"ggrs": GGRS} if name.startswith("bursts") else {}),
    }


def rollback_cost(rounds: int = 900) -> dict[str, float]:
    """Eight frames of lightcycles with eight bots, again and again from different moments of the first rounds: milliseconds of CPU."""
    game, times = Lightcycles(), []
    engine = Engine(game, 8, 7)
    for frame in range(rounds):
        requests: list[Request] = []
        values = [tuple(game.bot(engine.state, seat) for seat in range(8))] * 8
        for ahead in range(8):
            requests += (Save(frame + ahead), Advance(frame + ahead, values[ahead]))
        engine.carry_out(requests)
        again: list[Request] = [Load(frame)]
        for ahead in range(8):
            again += (Advance(frame + ahead, values[ahead], 0, True), Save(frame + ahead + 1))
        began = time.process_time()
        engine.carry_out(again)
        if frame >= COUNTDOWN:
            times.append((time.process_time() - began) * 1000)
        engine.carry_out([Load(frame + 1)])
    times.sort()
    return {
        "frames": 8,
        "players": 8,
        "median_ms": round(statistics.median(times), 4),
        "p99_ms": round(times[int(len(times) * 0.99)], 4),
    }


def replay_cost(seconds: float) -> dict[str, float]:
    """A match of two, written down and stepped again."""
    outcome = lab.play(
        Match(settings=Settings(players=2), duration=seconds, weather=BAD),
        Random(1),
        Lightcycles(),
        lab.people(KEYS),
    )
    seats = tuple(bytes((seat,)) * 32 for seat in range(2))
    header = Header(
        game=Lightcycles.id,
        version=Lightcycles.version,
        code=bytes(32),
        match=bytes(16),
        seats=seats,
        names=("ann", "bob"),
        seed=1,
        choices=Lightcycles().chosen(2),
        input_bytes=1,
        fps=60,
        began=0,
    )
    recorder = Recorder(header)
    for confirmed in outcome.final:
        recorder.add(confirmed)
    data = recorder.write()
    began = time.process_time()
    Playback(Replay.read(data), Lightcycles()).seek(recorder.frames)
    took = time.process_time() - began
    return {
        "bytes_per_minute": round(len(data) / recorder.frames * 3600),
        "times_real_time": round(recorder.frames / 60 / took),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each match")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", nargs="*", choices=[*ROWS, "cost"], default=[*ROWS, "cost"])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found: list[dict[str, object]] = []
    with ProcessPoolExecutor(given.jobs) as pool:
        for name in given.only:
            if name == "cost":
                continue
            matches = list(pool.map(partial(one_match, name, given.seconds), range(given.seeds)))
            found.append(row_of(name, matches))
            show(found[-1], sys.stderr if given.json else sys.stdout)
    cost: dict[str, object] = {}
    if "cost" in given.only:
        took = [one_match("two-0", 60.0, seed)["cpu_s"] for seed in range(8)]
        cost = {
            "rollback": rollback_cost(),
            "match_minute_cpu_s": {"best": round(min(took), 3), "median": round(statistics.median(took), 3)},
            "replay": replay_cost(60.0),
        }
        if not given.json:
            print(json.dumps(cost, indent=1))
    if given.json:
        print(json.dumps({"rows": found, "cost": cost}, indent=1))


def show(row: dict[str, object], where: TextIO) -> None:
    mean, worst = row["mean"], row["worst"]
    assert isinstance(mean, dict) and isinstance(worst, dict)
    print(
        f"{row['words']}: {mean['fps']:.2f} fps (worst {worst['fps']:.2f}), {mean['stalls_per_s']:.2f} stalls/s, "
        f"{mean['rollbacks_per_s']:.1f} rollbacks/s of {mean['depth']:.2f} frames, deeper than 3: {mean['deeper_than_3_per_s']:.3f}/s "
        f"(worst {worst['deeper_than_3_per_s']:.2f}), than 5: {mean['deeper_than_5_per_s']:.3f}/s (worst {worst['deeper_than_5_per_s']:.2f}), "
        f"asymmetry {mean['asymmetry']:.3f} (worst {worst['asymmetry']:.3f}), {mean['payload_bytes_per_s']:.0f} B/s up, "
        f"{row['checked']} checksums compared, {row['desyncs']} desyncs, {mean['cpu_s']:.2f} CPU s a match",
        file=where,
        flush=True,
    )
    if "ggrs" in row:
        print(f"  beside: GGRS {json.dumps(row['ggrs'])}", file=where, flush=True)


if __name__ == "__main__":
    main()
