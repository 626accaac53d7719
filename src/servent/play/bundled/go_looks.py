"""How go looks: a wooden board, stones with a shadow and a shine, a panel beside it whose buttons are pressed. Pure."""

from __future__ import annotations

from servent.play.bundled import go_rules
from servent.play.games import Circle, Lattice, Line, Rect, Result, Scene, Shape, Sound, Text
from servent.play.states import State

WIDTH, HEIGHT = 1500, 1080
EDGE, SIDE = 40, 1000  # of the board, from the top and the left
PANEL = 1090  # where the panel begins; it is 360 wide
BACKGROUND, CARD, LIT, PALE, DIM = "#14181d", "#1d232b", "#2b3542", "#eef2f6", "#8b97a5"
WOOD, GRAIN, INK = "#dcb36a", ("#d6ab60", "#e0b972", "#d2a65b"), "#3a2c16"
BUTTONS = {"play": ("pass", "resign"), "mark": ("agree", "play on", "resign"), "done": ()}
LETTERS = "ABCDEFGHJKLMNOPQRST"  # no I, as is usual


def scene(state: State, me: int | None, result: Result | None) -> Scene:
    """What is seen of `state`; with `me` its buttons are shown only when it is that player's turn."""
    size = state["size"]
    step, left = _measures(size)
    shapes = [*_wood(size, step, left), *_stones(state, step, left)]
    if state["phase"] != "play":
        shapes += _area(state, step, left)
    shapes += _panel(state, me, result)
    shapes += _buttons(state, me)
    return Scene(
        WIDTH, HEIGHT, BACKGROUND, tuple(shapes), _sounds(state), Lattice(left, left, step, size, size)
    )


def pressed(state: State, x: int, y: int) -> int | str | None:
    """What lies at (`x`, `y`): a point of the board, counted from 1, or the move that a button is for."""
    size = state["size"]
    step, left = _measures(size)
    column, row = (x - left + step // 2) // step, (y - left + step // 2) // step
    if 0 <= column < size and 0 <= row < size:
        return int(row * size + column + 1)
    for index, name in enumerate(BUTTONS[state["phase"]]):
        across, down, wide, high = _button(index)
        if across <= x < across + wide and down <= y < down + high:
            return "pass" if name == "agree" else name
    return None


def _measures(size: int) -> tuple[int, int]:
    """Units between two lines, and from the picture's edge to the first one."""
    step = (SIDE - 90) // size
    return step, EDGE + (SIDE - step * (size - 1)) // 2


def _at(size: int, step: int, left: int, square: int) -> tuple[int, int]:
    row, column = divmod(square, size + 2)
    return left + (column - 1) * step, left + (row - 1) * step


def _wood(size: int, step: int, left: int) -> list[Shape]:
    shapes: list[Shape] = [
        Rect(EDGE - 4, EDGE + 6, SIDE + 12, SIDE + 12, "#0a0c0f"),
        Rect(EDGE, EDGE, SIDE, SIDE, WOOD),
    ]
    across = 0
    for index in range(48):  # the grain: stripes of uneven width, always the same
        across += 9 + index * 37 % 23
        if across > SIDE - 12:
            break
        shapes.append(Rect(EDGE + across, EDGE, 2 + index * 13 % 6, SIDE, GRAIN[index % 3]))
    right = left + step * (size - 1)
    for index in range(size):
        at = left + index * step
        thick = 4 if index in (0, size - 1) else 2
        shapes += [Line(left, at, right, at, INK, thick), Line(at, left, at, right, INK, thick)]
        small = max(16, min(26, step // 3))
        shapes.append(Text(at, EDGE + (left - EDGE - step // 2) // 2 + 2, LETTERS[index], INK, small))
        shapes.append(Text(EDGE + (left - EDGE - step // 2) // 2 + 2, at, str(size - index), INK, small))
    shapes += [
        Circle(left + column * step, left + row * step, max(4, step // 10), INK)
        for column, row in go_rules.stars(size)
    ]
    return shapes


def _stones(state: State, step: int, left: int) -> list[Shape]:
    shapes: list[Shape] = []
    size, radius = state["size"], step * 47 // 100
    for square, stone in enumerate(state["board"]):
        if stone not in (go_rules.BLACK, go_rules.WHITE):
            continue
        x, y = _at(size, step, left, square)
        if state["dead"] and state["dead"][square]:
            shapes.append(Circle(x, y, radius * 3 // 4, ("#7a6a4a", "#eadfc4")[stone - 1], 0))
            shapes.append(Circle(x, y, radius * 3 // 4, INK, 2))
            continue
        shapes.append(Circle(x + step // 22, y + step // 16, radius, "#8a6a34"))  # its shadow
        if stone == go_rules.BLACK:
            layers = ((100, 0, "#0c0d10"), (78, 8, "#191c21"), (46, 22, "#2c3138"), (18, 34, "#59616c"))
        else:
            layers = ((100, 0, "#cfcabf"), (92, 4, "#e8e4da"), (70, 12, "#f5f2ea"), (30, 28, "#ffffff"))
        for share, away, colour in layers:
            shapes.append(
                Circle(x - radius * away // 100, y - radius * away // 100, radius * share // 100, colour)
            )
    if state["last"]:
        x, y = _at(size, step, left, state["last"])
        black = state["board"][state["last"]] == go_rules.BLACK
        shapes.append(Circle(x, y, step // 5, "#ffffff" if black else "#15181c", max(2, step // 20)))
    return shapes


def _area(state: State, step: int, left: int) -> list[Shape]:
    """A small square on each empty point, and on each dead stone, in the colour of whose area it is."""
    size = state["size"]
    board = go_rules.without(state["board"], state["dead"]) if state["dead"] else state["board"]
    owner, half = go_rules.area(board, size + 2), max(4, step // 9)
    shapes: list[Shape] = []
    for square, one in enumerate(owner):
        if one in (go_rules.BLACK, go_rules.WHITE) and board[square] == go_rules.EMPTY:
            x, y = _at(size, step, left, square)
            shapes.append(Rect(x - half, y - half, 2 * half, 2 * half, ("#111317", "#fbf8f0")[one - 1]))
    return shapes


def _panel(state: State, me: int | None, result: Result | None) -> list[Shape]:
    shapes: list[Shape] = []
    for seat, name in enumerate(("Black", "White")):
        top, turn = EDGE + seat * 190, state["turn"] == seat and state["phase"] != "done"
        shapes.append(Rect(PANEL, top, 370, 170, LIT if turn else CARD))
        if turn:
            shapes.append(Rect(PANEL, top, 6, 170, "#5fb3ff"))
        shapes.append(Circle(PANEL + 62, top + 62, 32, ("#08090b", "#f3f0e8")[seat], 0))
        shapes.append(Circle(PANEL + 62, top + 62, 32, DIM, 2))
        shapes.append(Text(PANEL + 116, top + 48, f"{name} · you" if seat == me else name, PALE, 36, "left"))
        took = state["taken"][seat]
        shapes.append(Text(PANEL + 116, top + 92, f"{took} taken", DIM, 26, "left"))
        if seat == 1 and state["komi"]:
            komi = f"{state['komi'] // 2 or ''}{'½' if state['komi'] % 2 else ''}"
            shapes.append(Text(PANEL + 116, top + 130, f"komi {komi}", DIM, 26, "left"))
    shapes += [
        Text(
            PANEL, EDGE + 430 + 44 * index, line, PALE if not index else DIM, 32 if not index else 26, "left"
        )
        for index, line in enumerate(_words(state, me, result))
    ]
    return shapes


def _words(state: State, me: int | None, result: Result | None) -> list[str]:
    name = ("Black", "White")[state["turn"]]
    if result:
        black, white = result.scores
        lines = [result.words[0].upper() + result.words[1:]]
        return lines if state["resigned"] >= 0 else [*lines, f"{_half(black)} to {_half(white)}, by area"]
    mine = state["turn"] == me
    if state["phase"] == "mark":
        who = "You mark" if mine else f"{name} marks"
        return [f"{who} what is dead", "Press a stone, then agree,", "or play on"]
    lines = ["Your move" if mine else f"{name} to move"]
    return [*lines, f"{('White', 'Black')[state['turn']]} passed"] if state["passes"] else lines


def _half(points: int) -> str:
    return f"{points // 2}{'½' if points % 2 else ''}"


def _button(index: int) -> tuple[int, int, int, int]:
    return PANEL, HEIGHT - EDGE - 84 - 100 * index, 370, 84


def _buttons(state: State, me: int | None) -> list[Shape]:
    if me is not None and me != state["turn"]:
        return []
    shapes: list[Shape] = []
    for index, name in enumerate(BUTTONS[state["phase"]]):
        left, top, wide, high = _button(index)
        first = index == 0
        shapes.append(Rect(left, top, wide, high, "#2c6fb0" if first else LIT))
        shapes.append(Text(left + wide // 2, top + high // 2, name.capitalize(), PALE if first else DIM, 32))
    return shapes


def _sounds(state: State) -> tuple[Sound, ...]:
    moves = state["moves"]
    if state["phase"] == "done":
        return (Sound("win", moves),)
    if not state["last"]:
        return ()
    took = sum(state["taken"])
    return (Sound("place", moves), *((Sound("take", took),) if took else ()))
