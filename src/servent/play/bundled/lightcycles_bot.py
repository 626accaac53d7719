"""A rider without a person: looks along its three ways, and where walls are near counts the room behind each. Pure.

It sees the state alone and rolls dice that follow from it, so that everybody who steps a match steps the same bot.
"""

from __future__ import annotations

from servent.play import dice
from servent.play.states import State

LEFT, RIGHT, UP, DOWN = 1, 2, 4, 8
BACK = {LEFT: RIGHT, RIGHT: LEFT, UP: DOWN, DOWN: UP}
ROOM = 160  # cells that are counted at most: some 60 µs in CPython, and only near walls
CLOSE = 3  # cells before a wall at which it turns at the latest; a delayed input needs two
WHIM = 45  # cells that it rides on the average before it turns towards somebody


def pressed(state: State, seat: int) -> int:
    """The buttons that `seat` holds in the next frame."""
    at, way, part, speed, held, turns, _taken, _brakes, fell = state["riders"][seat]
    if state["phase"] != "ride" or fell >= 0 or turns or held or part >= speed:
        return 0  # a button is let go before it is pressed again, and once a cell is often enough
    grid, wide = state["grid"], state["columns"] + 2
    number, roll = dice.roll(dice.new(state["dice"] ^ at << 8 ^ state["frame"] << 24 ^ seat), WHIM)
    nerve, roll = dice.roll(roll, 6)
    ahead = free(grid, wide, at, way)
    sides = [one for one in (LEFT, RIGHT, UP, DOWN) if one not in (way, BACK[way])]
    if ahead > CLOSE + nerve:
        if number or ahead < 2 * CLOSE + nerve:
            return 0
        wanted = _towards(state, seat, sides)
        return wanted if wanted and free(grid, wide, at, wanted) > 3 * CLOSE else 0
    step = {LEFT: -1, RIGHT: 1, UP: -wide, DOWN: wide}
    rooms = [
        (_room(grid, wide, at + step[one]), free(grid, wide, at, one), one == way, one)
        for one in (*sides, way)
        if not grid[at + step[one]]
    ]
    if not rooms:
        return 0
    best = max(rooms)[3]
    return 0 if best == way else best


def free(grid: bytes, wide: int, at: int, way: int) -> int:
    """Cells without a wall from `at` in the direction of `way`. The rim ends them all."""
    if way == LEFT:
        row = grid[at - at % wide : at]
        return len(row) - len(row.rstrip(b"\0"))
    if way == RIGHT:
        row = grid[at + 1 : at - at % wide + wide]
    elif way == UP:
        row = grid[at - wide :: -wide]
    else:
        row = grid[at + wide :: wide]
    return len(row) - len(row.lstrip(b"\0"))


def _room(grid: bytes, wide: int, start: int) -> int:
    """Cells that can be reached from `start`, counted up to ROOM."""
    seen, edge = {start}, [start]
    for cell in edge:  # grows as it is walked
        for other in (cell - 1, cell + 1, cell - wide, cell + wide):
            if not grid[other] and other not in seen:
                seen.add(other)
                edge.append(other)
        if len(edge) >= ROOM:
            return ROOM
    return len(edge)


def _towards(state: State, seat: int, sides: list[int]) -> int:
    """The one of `sides` that leads to the nearest other rider; 0: nobody lies there."""
    wide = state["columns"] + 2
    y, x = divmod(state["riders"][seat][0], wide)
    others = [
        (abs(other[0] % wide - x) + abs(other[0] // wide - y), other[0])
        for index, other in enumerate(state["riders"])
        if index != seat and other[8] < 0
    ]
    if not others:
        return 0
    to_y, to_x = divmod(min(others)[1], wide)
    for one in sides:
        if (one == LEFT and to_x < x) or (one == RIGHT and to_x > x):
            return one
        if (one == UP and to_y < y) or (one == DOWN and to_y > y):
            return one
    return 0
