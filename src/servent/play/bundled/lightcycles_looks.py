"""How lightcycles look and sound: a dark floor, glowing walls, sparks. All follows from the state alone. Pure."""

from __future__ import annotations

from servent.play.games import Circle, Line, Path, Rect, Scene, Shape, Sound, Text
from servent.play.states import State

WIDTH, HEIGHT = 1920, 1080
LEFT_EDGE, TOP_EDGE = 96, 108  # of the arena, which is 1728 by 936
ARENA_WIDTH, ARENA_HEIGHT = 1728, 936
BACKGROUND, FLOOR, RIM, PALE = "#04060c", "#0b1524", "#2f7bff", "#e8f2ff"
COLOURS = (
    "#1fe3ff", "#ff8a1f", "#ff3df0", "#8cff2b", "#ffe83a", "#ff3d55", "#6f83ff", "#f4f7ff",
)  # fmt: skip
NAMES = ("Cyan", "Orange", "Magenta", "Lime", "Yellow", "Red", "Blue", "White")
BLAST = 42  # frames that a crash is seen
SPARKS = ((256, 0), (181, 181), (0, 256), (-181, 181), (-256, 0), (-181, -181), (0, -256), (181, -181))
HEARD = 20  # frames that a sound stays in the scene: longer than any rollback
TICK, READY, DISSOLVE, PART, BRAKES = 50, 150, 45, 600, 180
STEPS = {1: (-1, 0), 2: (1, 0), 4: (0, -1), 8: (0, 1)}


def scene(state: State, me: int | None) -> Scene:
    """What is seen of `state`; `me` has its own rider pointed out, and sees its brakes."""
    shapes: list[Shape] = [*_floor()]
    frame = state["frame"]
    for seat in range(len(state["riders"])):
        shapes += _wall(state, seat)
    for seat, rider in enumerate(state["riders"]):
        if rider[8] < 0:
            shapes += _rider(state, seat, seat == me)
        elif frame - rider[8] < BLAST:
            shapes += _blast(_head(state, seat), frame - rider[8], COLOURS[seat], seat)
    shapes += _scores(state, me)
    shapes += _words(state)
    return Scene(WIDTH, HEIGHT, BACKGROUND, tuple(shapes), _sounds(state))


def mixed(one: str, other: str, share: int) -> str:
    """A colour `share` of 256 on the way from `one` to `other`."""
    pairs = [(int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{(a * (256 - share) + b * share) >> 8:02x}" for a, b in pairs)


def _middle(state: State, cell: int) -> tuple[int, int]:
    side = ARENA_WIDTH // state["columns"]
    y, x = divmod(cell, state["columns"] + 2)
    return LEFT_EDGE + (x - 1) * side + side // 2, TOP_EDGE + (y - 1) * side + side // 2


def _head(state: State, seat: int) -> tuple[int, int]:
    """Where a rider is, between the middles of two cells."""
    at, way, part = state["riders"][seat][:3]
    side = ARENA_WIDTH // state["columns"]
    x, y = _middle(state, at)
    across, down = STEPS[way]
    return x + across * side * part // PART, y + down * side * part // PART


def _floor() -> list[Shape]:
    right, bottom = LEFT_EDGE + ARENA_WIDTH, TOP_EDGE + ARENA_HEIGHT
    shapes: list[Shape] = [Line(x, TOP_EDGE, x, bottom, FLOOR, 2) for x in range(LEFT_EDGE + 72, right, 72)]
    shapes += [Line(LEFT_EDGE, y, right, y, FLOOR, 2) for y in range(TOP_EDGE + 72, bottom, 72)]
    corners = (LEFT_EDGE, TOP_EDGE, right, TOP_EDGE, right, bottom, LEFT_EDGE, bottom, LEFT_EDGE, TOP_EDGE)
    shapes.append(Path(corners, RIM, 6, 24))
    shapes.append(Path(corners, PALE, 2))
    return shapes


def _wall(state: State, seat: int) -> list[Shape]:
    """A wall: a wide glow, and a pale thread in its middle; it fades as it dissolves."""
    trail, rider = state["trails"][seat], state["riders"][seat]
    if not trail or state["phase"] == "ready":
        return []
    fallen = state["frame"] - rider[8] if rider[8] >= 0 else 0
    fade = min(256, fallen * 256 // DISSOLVE) if len(state["riders"]) > 2 else 0
    side = ARENA_WIDTH // state["columns"]
    points: list[int] = []
    for cell in trail:
        points += _middle(state, cell)
    points += _head(state, seat)
    colour = mixed(COLOURS[seat], BACKGROUND, fade)
    pale = mixed(mixed(COLOURS[seat], "#ffffff", 170), BACKGROUND, fade)
    glow = 2 * side * (256 - fade) // 256
    return [
        Path(tuple(points), colour, max(3, side * 5 // 8), glow),
        Path(tuple(points), pale, max(1, side // 6)),
    ]


def _rider(state: State, seat: int, mine: bool) -> list[Shape]:
    x, y = _head(state, seat)
    rider, side, colour = state["riders"][seat], ARENA_WIDTH // state["columns"], COLOURS[seat]
    across, down = STEPS[rider[1]]
    quick = max(0, (rider[3] - state["base"]) * 256 // max(1, state["base"]))  # of 192 or so, along a wall
    shapes: list[Shape] = [
        Circle(x, y, side * 7 // 8, colour, 0, 3 * side + quick * side // 48),
        Line(x, y, x + across * side * 3 // 2, y + down * side * 3 // 2, "#ffffff", max(2, side // 2), side),
    ]
    if quick > 24:  # sparks fly off to both sides
        bright = mixed(colour, "#ffffff", 128)
        for turn in (-1, 1):
            length = side + quick * side // 96 + (state["frame"] * 7 + seat * 5 + turn) % 5 * side // 5
            to_x = x - across * length + turn * down * length // 2
            to_y = y - down * length + turn * across * length // 2
            shapes.append(Line(x, y, to_x, to_y, bright, 2, side))
    if state["phase"] == "ready":
        beat = (state["frame"] - state["since"]) % TICK
        shapes.append(Circle(x, y, 2 * side + beat * side // 12, mixed(colour, BACKGROUND, beat * 5), 3))
        if mine:
            shapes.append(Text(x, y - 4 * side, "you", PALE, 34))
    return shapes


def _blast(at: tuple[int, int], age: int, colour: str, seat: int) -> list[Shape]:
    """A crash: a flash, a ring that grows, and shards that fly."""
    x, y = at
    fade = age * 256 // BLAST
    shapes: list[Shape] = []
    if age < 8:
        shapes.append(Circle(x, y, 40 - 4 * age, "#ffffff", 0, 90 - 8 * age))
    shapes.append(
        Circle(x, y, 12 + age * 4, mixed(colour, BACKGROUND, fade), max(1, 9 - age // 5), 30 - age // 2)
    )
    paint = mixed(mixed(colour, "#ffffff", 100), BACKGROUND, fade)
    for index, (across, down) in enumerate(SPARKS):
        far = age * (5 + (index * 5 + seat * 3) % 4) - age * age // 24
        near = max(0, far - 22)
        shapes.append(
            Line(
                x + across * near // 256,
                y + down * near // 256,
                x + across * far // 256,
                y + down * far // 256,
                paint,
                4,
                12,
            )
        )
    return shapes


def _scores(state: State, me: int | None) -> list[Shape]:
    """Above the arena: each rider's name and the rounds it has won; below it the brakes of whoever looks."""
    seats = len(state["riders"])
    room = ARENA_WIDTH // seats
    shapes: list[Shape] = []
    for seat, won in enumerate(state["wins"]):
        x = LEFT_EDGE + room * seat + room // 2
        out = state["riders"][seat][8] >= 0
        colour = mixed(COLOURS[seat], BACKGROUND, 150) if out else COLOURS[seat]
        name = f"{NAMES[seat]} · you" if seat == me else NAMES[seat]
        shapes.append(Text(x, 38, name, colour, 30))
        left = x - (state["target"] - 1) * 10
        for pip in range(state["target"]):
            filled = pip < won
            shapes.append(
                Circle(left + pip * 20, 72, 6, COLOURS[seat], 0 if filled else 2, 10 if filled else 0)
            )
    if me is not None and 0 <= me < seats:
        left, long = WIDTH // 2 - 150, 300 * state["riders"][me][7] // BRAKES
        shapes.append(Rect(left, HEIGHT - 22, 300, 6, FLOOR))
        shapes.append(Rect(left, HEIGHT - 22, long, 6, COLOURS[me]))
    return shapes


def _words(state: State) -> list[Shape]:
    x, y, waited = WIDTH // 2, TOP_EDGE + ARENA_HEIGHT // 2, state["frame"] - state["since"]
    if state["phase"] == "ready":
        left = 3 - waited // TICK
        size = 300 - waited % TICK * 3
        fade = waited % TICK * 4
        return [
            Text(x, y, str(max(1, left)), mixed(PALE, BACKGROUND, fade), size),
            Text(x, y + 260, f"round {state['round'] + 1}", mixed(RIM, PALE, 80), 44),
        ]
    if state["phase"] == "ride":
        return [Text(x, y, "GO", mixed(PALE, BACKGROUND, waited * 8), 300)] if waited < 32 else []
    winner = state["winner"]
    if state["phase"] == "done":
        best = max(state["wins"])
        first = [seat for seat, won in enumerate(state["wins"]) if won == best]
        words = " and ".join(NAMES[seat] for seat in first)
        colour = COLOURS[first[0]]
        return [
            Text(x, y - 20, words, colour, 160),
            Text(x, y + 110, "wins the match" if len(first) == 1 else "share the match", PALE, 56),
        ]
    if winner < 0:
        return [Text(x, y, "nobody", PALE, 140)]
    return [Text(x, y, NAMES[winner], COLOURS[winner], 140)]


def _sounds(state: State) -> tuple[Sound, ...]:
    """What happened within the last moment. A key names round, seat and event, so that none is heard twice."""
    frame, waited, number = state["frame"], state["frame"] - state["since"], state["round"]
    found: list[Sound] = []
    if state["phase"] == "ready":
        found.append(Sound("tick", number * 4 + waited // TICK))
    if state["phase"] == "ride":
        if waited < HEARD:
            found.append(Sound("start", number))
        found += [
            Sound("turn", (number << 20) + (rider[6] << 3) + seat)
            for seat, rider in enumerate(state["riders"])
            if rider[6] and rider[8] < 0
        ]
    found += [
        Sound("crash", (number << 3) + seat)
        for seat, rider in enumerate(state["riders"])
        if rider[8] >= 0 and frame - rider[8] < HEARD
    ]
    if state["phase"] in ("over", "done") and state["winner"] >= 0 and waited < HEARD:
        found.append(Sound("win", number if state["phase"] == "over" else -1))
    return tuple(found)
