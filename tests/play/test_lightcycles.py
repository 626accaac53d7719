"""Lightcycles: who falls when, that nothing is swallowed, and that everybody steps the same match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.errors import UsageError
from servent.play.bundled import lightcycles_bot
from servent.play.bundled.lightcycles import (
    AT_ONCE,
    BRAKE,
    DISSOLVE,
    DOWN,
    LEFT,
    PART,
    RIGHT,
    UP,
    Lightcycles,
    Rider,
)
from servent.play.games import Scene
from servent.play.states import checksum, pack, unpack

GAME = Lightcycles()


def begun(seats: int = 2, **choices: int) -> Any:
    """A match in the first frame of riding."""
    state = GAME.start(seats, 1, GAME.chosen(seats, choices))
    while state["phase"] == "ready":
        state = GAME.step(state, [b"\0"] * seats)
    return state


def on(state: Any, frames: int = 1, **pressed: int) -> Any:
    """`frames` later; `p0=UP`: seat 0 holds that, the others nothing."""
    for _ in range(frames):
        state = GAME.step(state, [bytes((pressed.get(f"p{seat}", 0),)) for seat in range(len(state["wins"]))])
    return state


def rider(state: Any, seat: int) -> Rider:
    return Rider(*state["riders"][seat])


def placed(state: Any, *riders: tuple[int, int, int]) -> Any:
    """`state` with riders at column, row (from 0) and way, in the middle of their cells, on an empty floor."""
    wide = state["columns"] + 2
    grid = bytearray(byte if byte == 255 else 0 for byte in state["grid"])
    rows = []
    for seat, (column, row, way) in enumerate(riders):
        at = (row + 1) * wide + column + 1
        grid[at] = seat + 1
        rows.append(tuple(rider(state, seat)._replace(at=at, way=way, part=0)))
    return {**state, "grid": bytes(grid), "riders": tuple(rows), "trails": tuple((row[0],) for row in rows)}


def until_over(state: Any, **pressed: int) -> Any:
    while state["phase"] == "ride":
        state = on(state, **pressed)
    return state


def test_a_match_begins_with_three_ticks_and_goes() -> None:
    state = GAME.start(2, 1, GAME.chosen(2))
    assert state["phase"] == "ready" and GAME.draw(state).sounds[0].name == "tick"
    assert on(state, 149)["phase"] == "ready" and on(state, 150)["phase"] == "ride"


def test_who_rides_into_the_rim_falls_and_the_other_one_wins() -> None:
    state = placed(begun(), (1, 10, LEFT), (50, 30, LEFT))
    state = until_over(state)
    assert rider(state, 0).fell >= 0 > rider(state, 1).fell
    assert state["winner"] == 1 and state["wins"] == (0, 1)


def test_a_rider_falls_at_its_own_wall_too() -> None:
    state = placed(begun(), (20, 20, RIGHT), (60, 60, LEFT))
    for way in (UP, 0, LEFT, 0, DOWN, 0):
        state = on(state, 4, p0=way)
    state = until_over(state)
    assert rider(state, 0).fell >= 0 and state["winner"] == 1


@pytest.mark.parametrize("gap", [6, 7])
def test_two_who_meet_head_on_both_fall(gap: int) -> None:
    state = until_over(placed(begun(), (20, 20, RIGHT), (20 + gap, 20, LEFT)))
    assert rider(state, 0).fell == rider(state, 1).fell
    assert rider(state, 1).at - rider(state, 0).at == (2 if gap == 6 else 1)  # nobody is in the other's cell
    assert state["winner"] == -1 and state["wins"] == (0, 0)


def test_the_slower_of_two_who_meet_gets_no_prize_for_that() -> None:
    state = placed(begun(), (20, 20, RIGHT), (27, 20, LEFT))
    ahead = tuple(rider(state, 0)._replace(part=PART // 2))
    state = until_over({**state, "riders": (ahead, state["riders"][1])})
    falls = sorted(one[8] for one in state["riders"])
    assert 0 < falls[1] - falls[0] < AT_ONCE and state["winner"] == -1


def test_a_quick_u_turn_is_never_swallowed() -> None:
    state = placed(begun(), (20, 20, RIGHT), (60, 60, LEFT))
    state = on(on(state, 1, p0=UP), 1, p0=UP | LEFT)  # both within one cell
    assert rider(state, 0).turns == (UP, LEFT)
    state = on(state, 10)
    assert rider(state, 0).way == LEFT and rider(state, 0).taken == 2 and len(state["trails"][0]) == 3


def test_nobody_turns_into_the_wall_behind() -> None:
    state = placed(begun(), (20, 20, RIGHT), (60, 60, LEFT))
    assert rider(on(state, 1, p0=LEFT), 0).turns == ()
    assert rider(on(on(state, 1, p0=UP), 1, p0=DOWN), 0).turns == (UP,)


def test_a_held_button_turns_once() -> None:
    state = placed(begun(), (20, 20, RIGHT), (60, 60, LEFT))
    state = on(on(state, 6, p0=UP), 1, p0=UP | LEFT)
    state = on(state, 6, p0=UP | LEFT)
    assert rider(state, 0).way == LEFT and rider(state, 0).taken == 2


def test_brakes_slow_down_as_long_as_they_last() -> None:
    state = placed(begun(), (4, 20, RIGHT), (4, 60, RIGHT))
    state = on(state, 60, p0=BRAKE)
    assert rider(state, 0).at % 146 < rider(state, 1).at % 146
    state = on(state, 40, p0=BRAKE)
    assert rider(state, 0).brakes <= 1
    before = rider(state, 0)
    after = rider(on(state, p0=BRAKE), 0)
    assert (after.part - before.part) % PART == before.speed


def test_along_a_wall_one_is_faster_unless_that_was_not_chosen() -> None:
    for slipstream in (0, 1):
        state = placed(begun(slipstream=slipstream), (4, 0, RIGHT), (4, 60, RIGHT))
        state = on(state, 100)
        assert (rider(state, 0).speed > rider(state, 1).speed) == bool(slipstream)
        assert rider(state, 1).speed == state["base"]


def test_the_wall_of_the_fallen_dissolves_and_others_ride_through() -> None:
    state = placed(begun(3), (1, 10, LEFT), (50, 30, LEFT), (50, 50, LEFT))
    while rider(state, 0).fell < 0:
        state = on(state)
    assert 1 in state["grid"]
    state = on(state, DISSOLVE)
    assert 1 not in state["grid"] and 2 in state["grid"] and state["trails"][0] == ()
    assert state["phase"] == "ride"


def test_a_match_in_which_nobody_ever_wins_ends_all_the_same() -> None:
    state = begun(wins=1)
    for _ in range(20_000):
        if GAME.result(state):
            break
        state = on(state)
    result = GAME.result(state)
    assert result and result.places == (1, 1) and state["round"] == 3


def test_eight_bots_play_to_the_end_and_each_machine_sees_the_same() -> None:
    state = GAME.start(8, 7, GAME.chosen(8, {"wins": 1, "arena": 1}))
    while not GAME.result(state):
        state = GAME.step(state, [GAME.bot(state, seat) for seat in range(8)])
    result = GAME.result(state)
    assert (
        result and result.places.count(1) == 1 and max(result.scores) == 1 and "won 1 round" in result.words
    )
    assert f"{checksum(state):x}" == "90fb985f5dc7e0c8"  # found with CPython 3.11


def test_a_bot_lives_longer_than_nobody() -> None:
    longer = 0
    for seed in range(6):
        state = GAME.start(3, seed, GAME.chosen(3, {"wins": 1}))
        while state["phase"] != "over":
            state = GAME.step(state, [GAME.bot(state, 0), b"\0", b"\0"])
        falls = [row[8] for row in state["riders"]]
        longer += falls[0] < 0 or falls[0] > max(falls[1:])
    assert longer >= 5


@pytest.mark.parametrize("way", [LEFT, RIGHT, UP, DOWN])
def test_a_bot_sees_how_far_it_is_to_the_next_wall(way: int) -> None:
    state = placed(begun(), (40, 30, way), (100, 60, LEFT))
    at, wide = rider(state, 0).at, state["columns"] + 2
    step = {LEFT: -1, RIGHT: 1, UP: -wide, DOWN: wide}[way]
    steps, cell = 0, at + step
    while not state["grid"][cell]:
        steps, cell = steps + 1, cell + step
    assert lightcycles_bot.free(state["grid"], wide, at, way) == steps > 5


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 8),
    st.integers(0, 2**64),
    st.lists(st.binary(min_size=8, max_size=8), max_size=120),
    st.integers(1, 3),
)
def test_any_presses_are_a_match_and_a_state_read_back_goes_on_alike(
    seats: int, seed: int, presses: Sequence[bytes], arena: int
) -> None:
    state = GAME.start(seats, seed, GAME.chosen(seats, {"arena": arena, "speed": 40}))
    while state["phase"] == "ready":
        state = GAME.step(state, [b"\0"] * seats)
    for pressed in presses:
        inputs = [pressed[seat : seat + 1] for seat in range(seats)]
        before = pack(state)
        after = GAME.step(state, inputs)
        GAME.draw(state, 0)
        assert pack(state) == before
        assert pack(GAME.step(unpack(before), inputs)) == pack(after)
        state = after
        assert state["grid"].count(255) == 2 * (state["columns"] + state["rows"] + 2)


def test_what_is_drawn_is_within_its_types_from_first_to_last_frame() -> None:
    state = GAME.start(4, 3, GAME.chosen(4, {"wins": 1, "arena": 1}))
    heard: set[tuple[str, int]] = set()
    while not GAME.result(state):
        if state["frame"] % 7 == 0:
            scene = GAME.draw(state, 2)
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(scene), type=Scene) == scene
            heard |= {(sound.name, sound.key) for sound in scene.sounds}
        state = GAME.step(state, [GAME.bot(state, seat) for seat in range(4)])
    assert {name for name, _ in heard} == {"tick", "start", "turn", "crash", "win"}
    assert any(getattr(shape, "text", "") == "wins the match" for shape in GAME.draw(state).shapes)


@pytest.mark.parametrize(
    ("seats", "choices", "words"),
    [
        (1, {}, "for 2 to 8 players, not for 1"),
        (2, {"wins": 10}, "wins is a whole number from 1 to 9, not 10"),
        (2, {"wins": True}, "not True"),
        (2, {"gravity": 1}, "has no choice gravity"),
    ],
)
def test_what_cannot_be_chosen_is_named(seats: int, choices: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        GAME.chosen(seats, choices)
