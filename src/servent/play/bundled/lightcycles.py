"""Lightcycles: two to eight ride, each draws a wall behind itself, who hits one is out; the last one wins the round. Pure.

All in whole numbers. The arena is one byte a cell with a rim around it, so that nothing is ever looked up beside it; a state
is cheap to keep, for it shares with the one before all that did not change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from servent.play import dice
from servent.play.bundled import lightcycles_bot, lightcycles_looks
from servent.play.games import Button, Choice, Choices, Game, Result, Scene, Standing, places
from servent.play.states import State

LEFT, RIGHT, UP, DOWN, BRAKE = 1, 2, 4, 8, 16
OPPOSITE = {LEFT: RIGHT, RIGHT: LEFT, UP: DOWN, DOWN: UP}
SIZES = {1: (96, 52), 2: (144, 78), 3: (192, 104)}  # columns and rows; all fill 1728 by 936
PART = 600  # parts of a cell; one cell a second is 10 parts a frame
RIM = 255
READY = 150  # frames; three ticks of 50
DISSOLVE = 45  # frames that the wall of a fallen rider still stands
AT_ONCE = 15  # frames within which the last two fall together: a draw, not a prize for the slower one
AFTERWARDS = 120  # frames between two rounds
BRAKES = 90  # frames of braking; they come back at half the rate
QUEUED = 2  # turns pressed ahead, so that a quick U-turn is never swallowed


Row = tuple[Any, ...]  # a Rider as it lies in the state


class Rider(NamedTuple):
    """One rider. In the state it is a plain tuple in this order: bytes know no names."""

    at: int  # index of the cell in whose middle it was last
    way: int  # LEFT, RIGHT, UP or DOWN
    part: int  # of PART: how far it is to the next cell
    speed: int  # parts a frame
    held: int  # buttons of the last frame
    turns: tuple[int, ...]  # pressed and not yet taken
    taken: int  # how many were taken in this round
    brakes: int  # frames of braking left, twice
    fell: int  # frame in which it crashed; -1: it rides


class Lightcycles(Game):
    """See the module. Input: one byte of LEFT, RIGHT, UP, DOWN (one direction is enough) and BRAKE."""

    id = "lightcycles"
    version = 1
    title = "Lightcycles"
    players = (2, 8)
    stand_in: ClassVar[Standing] = "bot"
    buttons = (
        Button("left", 0, ("ArrowLeft", "KeyA", "KeyJ"), "left"),
        Button("right", 1, ("ArrowRight", "KeyD", "KeyL"), "right"),
        Button("up", 2, ("ArrowUp", "KeyW", "KeyI"), "up"),
        Button("down", 3, ("ArrowDown", "KeyS", "KeyK"), "down"),
        Button("brake", 4, ("Space", "ShiftLeft", "Semicolon"), "hold"),
    )
    choices: ClassVar[Mapping[str, Choice]] = {
        "wins": Choice(3, 1, 9, "rounds that win the match"),
        "arena": Choice(2, 1, 3, "1 narrow, 2 wide, 3 huge"),
        "speed": Choice(22, 10, 40, "cells a second; along a wall it becomes more"),
        "slipstream": Choice(1, 0, 1, "1: who rides along a wall gets faster"),
    }

    def start(self, seats: int, seed: int, choices: Choices) -> State:
        state = {
            "frame": 0, "since": 0, "phase": "ready", "round": 0,
            "columns": SIZES[choices["arena"]][0], "rows": SIZES[choices["arena"]][1],
            "base": choices["speed"] * PART // self.fps, "slipstream": choices["slipstream"],
            "target": choices["wins"], "wins": (0,) * seats, "dice": dice.new(seed), "winner": -1,
        }  # fmt: skip
        return _round(state)

    def step(self, state: State, inputs: Sequence[bytes]) -> State:
        phase, frame = state["phase"], state["frame"] + 1
        if phase == "ride":
            return _ride(state, inputs, frame)
        waited = frame - state["since"]
        if phase == "ready" and waited >= READY:
            return {**state, "frame": frame, "since": frame, "phase": "ride"}
        if phase == "over" and waited >= AFTERWARDS:
            if _ended(state):
                return {**state, "frame": frame, "since": frame, "phase": "done"}
            return _round({**state, "frame": frame, "since": frame, "round": state["round"] + 1})
        if phase == "done":
            return {**state, "frame": frame}
        pressed = tuple(
            (*rider[:4], given[0], *rider[5:]) for rider, given in zip(state["riders"], inputs, strict=True)
        )
        return {**state, "frame": frame, "riders": pressed}

    def draw(self, state: State, me: int | None = None) -> Scene:
        return lightcycles_looks.scene(state, me)

    def result(self, state: State) -> Result | None:
        if state["phase"] != "done":
            return None
        wins = state["wins"]
        first = [seat for seat, won in enumerate(wins) if won == max(wins)]
        names = " and ".join(lightcycles_looks.NAMES[seat] for seat in first)
        best = max(wins)
        won = f"{best} round{'' if best == 1 else 's'}"
        words = f"{names} won {won} each" if len(first) > 1 else f"{names} won {won}"
        return Result(places(wins), tuple(wins), words)

    def bot(self, state: State, seat: int) -> bytes:
        return bytes((lightcycles_bot.pressed(state, seat),))


def _ways(wide: int) -> dict[int, int]:
    return {LEFT: -1, RIGHT: 1, UP: -wide, DOWN: wide}


def _round(state: State) -> State:
    """`state` with everybody at the beginning of a new round."""
    columns, rows, seats = state["columns"], state["rows"], len(state["wins"])
    wide = columns + 2
    rim, row = bytes((RIM,)), bytes((RIM,)) + bytes(columns) + bytes((RIM,))
    grid = bytearray(rim * wide + row * rows + rim * wide)
    order, roll = dice.shuffled(state["dice"], range(seats))
    riders: list[Row] = [()] * seats
    for place, seat in enumerate(order):
        east = place % 2  # in turn on the left, looking right, and on the right, looking left
        here = (seats + 1 - east) // 2
        y = rows * (2 * (place // 2) + 1) // (2 * here)
        x = columns - 1 - columns // 8 if east else columns // 8
        at = (y + 1) * wide + x + 1
        grid[at] = seat + 1
        riders[seat] = tuple(Rider(at, LEFT if east else RIGHT, 0, state["base"], 0, (), 0, 2 * BRAKES, -1))
    return {
        **state, "phase": "ready", "grid": bytes(grid), "riders": tuple(riders), "dice": roll, "winner": -1,
        "trails": tuple((rider[0],) for rider in riders),
    }  # fmt: skip


def _ended(state: State) -> bool:
    """Somebody has won, or, since rounds can be drawn for ever, there were twice as many as could be needed."""
    wins, target = state["wins"], state["target"]
    return bool(max(wins) >= target or state["round"] + 1 >= 2 * len(wins) * target)


def _ride(state: State, inputs: Sequence[bytes], frame: int) -> State:
    grid, trails = state["grid"], state["trails"]
    wide, base, slipstream = state["columns"] + 2, state["base"], state["slipstream"]
    ways = _ways(wide)
    riders: list[Row] = list(state["riders"])
    entering: list[tuple[int, int]] = []
    riding = 0
    for seat, (at, way, part, speed, held, turns, taken, brakes, fell) in enumerate(state["riders"]):
        if fell >= 0:
            if frame - fell == DISSOLVE:
                grid = grid.translate(_without(seat))
                trails = (*trails[:seat], (), *trails[seat + 1 :])
            continue
        riding += 1
        now = inputs[seat][0]
        if now & ~held & 15:
            turns = _wished(way, turns, now & ~held)
        step = ways[way]
        beside = wide if step in (1, -1) else 1
        if slipstream and (grid[at + beside] or grid[at - beside]):
            speed = min(speed + 2, base * 7 // 4, PART)
        elif speed > base:
            speed -= 1
        if now & BRAKE and brakes > 1:
            part, brakes = part + speed * 6 // 10, brakes - 2
        else:
            part += speed
            if brakes < 2 * BRAKES and not now & BRAKE:
                brakes += 1
        if part >= PART:
            entering.append((seat, at + step))
        riders[seat] = (at, way, part, speed, now, turns, taken, brakes, fell)
    if entering:
        grid, trails, fallen = _entered(riders, entering, grid, trails, frame)
        riding -= fallen
    after = {**state, "frame": frame, "grid": grid, "riders": tuple(riders), "trails": trails}
    return _judged(after, frame) if riding <= 1 else after


def _wished(way: int, turns: tuple[int, ...], pressed: int) -> tuple[int, ...]:
    """The turns to take, with the newly `pressed` ones behind them: none twice, none into oneself."""
    for one in (LEFT, RIGHT, UP, DOWN):
        last = turns[-1] if turns else way
        if pressed & one and one != last and one != OPPOSITE[last] and len(turns) < QUEUED:
            turns = (*turns, one)
    return turns


def _entered(
    riders: list[Row],
    entering: list[tuple[int, int]],
    grid: bytes,
    trails: tuple[tuple[int, ...], ...],
    frame: int,
) -> tuple[bytes, tuple[tuple[int, ...], ...], int]:
    """Grid, trails and the number of riders fallen, after all of `entering` came to the middle of their next cell at once."""
    cells = [cell for _, cell in entering]
    walls = bytearray(grid)
    fallen = 0
    for seat, cell in entering:
        _, way, part, speed, held, turns, taken, brakes, _ = riders[seat]
        if grid[cell] or cells.count(cell) > 1:
            riders[seat] = (riders[seat][0], way, PART, speed, held, (), taken, brakes, frame)
            fallen += 1
            continue
        walls[cell] = seat + 1
        if turns:
            way, turns, taken = turns[0], turns[1:], taken + 1
            trails = (*trails[:seat], (*trails[seat], cell), *trails[seat + 1 :])
        riders[seat] = (cell, way, part - PART, speed, held, turns, taken, brakes, -1)
    return bytes(walls), trails, fallen


def _judged(state: State, frame: int) -> State:
    """The round is over when nobody rides, or the last one has outlived the others by a moment."""
    falls = [rider[8] for rider in state["riders"]]
    riding = [seat for seat, fell in enumerate(falls) if fell < 0]
    last = max(falls)
    if riding and frame - last < AT_ONCE:
        return state
    wins = tuple(won + (seat in riding) for seat, won in enumerate(state["wins"]))
    winner = riding[0] if riding else -1
    return {**state, "since": frame, "phase": "over", "wins": wins, "winner": winner}


_TABLES = tuple(bytes(0 if byte == seat + 1 else byte for byte in range(256)) for seat in range(8))


def _without(seat: int) -> bytes:
    """A table for `bytes.translate` that takes the wall of `seat` away."""
    return _TABLES[seat]
