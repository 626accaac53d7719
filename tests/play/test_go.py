"""Go: the rules against a second, naive writing of them, dead stones and results, and a bot that ends its games."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.errors import UsageError
from servent.play.bundled import go_rules
from servent.play.bundled.go import MOST_MARKS, PASS, PLAY_ON, RESIGN, Go, points
from servent.play.games import Scene, Text
from servent.play.states import checksum, pack, unpack

GAME = Go()
Board = dict[tuple[int, int], int]  # column, row: colour of the stones there


def begun(**choices: int) -> Any:
    return GAME.start(2, 1, GAME.chosen(2, choices))


def move(state: Any, number: int) -> Any:
    """`state` after the player whose turn it is did `number`, which has to be allowed."""
    seat, given = GAME.turn(state), number.to_bytes(2, "big")
    assert seat is not None and GAME.refusal(state, seat, given) is None
    return GAME.step(state, [given if one == seat else bytes(2) for one in range(2)])


def at(state: Any, column: int, row: int) -> int:
    return row * int(state["size"]) + column + 1


def refused(state: Any, number: int) -> str | None:
    seat = GAME.turn(state)
    given = number.to_bytes(2, "big")
    why = GAME.refusal(state, 0 if seat is None else seat, given)
    if why:
        assert GAME.step(state, [given, given]) == state
    return why


def picture(text: str) -> Any:
    """A game on the board that `text` shows: X is black, O white."""
    rows = text.split()
    state = begun(size=len(rows), komi=1)
    board = bytearray(state["board"])
    for row, line in enumerate(rows):
        for column, sign in enumerate(line):
            board[go_rules.place(row * len(rows) + column, len(rows))] = ".XO".index(sign)
    return {**state, "board": bytes(board), "history": go_rules.position(bytes(board))}


def shown(state: Any) -> list[str]:
    size = state["size"]
    return [
        "".join(".XO"[state["board"][go_rules.place(row * size + column, size)]] for column in range(size))
        for row in range(size)
    ]


def naive(board: Board, size: int, spot: tuple[int, int], colour: int) -> Board | None:
    """The rules once more, without any cleverness: the board after a stone, or None where it may not lie."""
    after = dict(board)
    after[spot] = colour

    def beside(one: tuple[int, int]) -> list[tuple[int, int]]:
        x, y = one
        return [
            (a, b)
            for a, b in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1))
            if 0 <= a < size and 0 <= b < size
        ]

    def breathless(which: int) -> list[tuple[int, int]]:
        alive = {
            one for one, stone in after.items() if stone == which and any(o not in after for o in beside(one))
        }
        while more := {
            one
            for one, stone in after.items()
            if stone == which and one not in alive and alive & set(beside(one))
        }:
            alive |= more
        return [one for one, stone in after.items() if stone == which and one not in alive]

    for one in breathless(3 - colour):
        del after[one]
    return None if breathless(colour) else after


@settings(max_examples=30, deadline=None)
@given(st.integers(5, 7), st.lists(st.integers(0, 48), min_size=20, max_size=90))
def test_captures_suicide_and_superko_are_what_a_naive_referee_says(size: int, tries: list[int]) -> None:
    state = begun(size=size)
    board: Board = {}
    before = [board]
    for one in tries:
        point = one % (size * size)
        spot = (point % size, point // size)
        expected = None if spot in board else naive(board, size, spot, state["turn"] + 1)
        if expected is None or expected in before:
            assert refused(state, point + 1)
        else:
            state, board = move(state, point + 1), expected
            before.append(board)
        assert {
            (column, row): ".XO".index(sign)
            for row, line in enumerate(shown(state))
            for column, sign in enumerate(line)
            if sign != "."
        } == board
        assert pack(unpack(pack(state))) == pack(state)


def test_a_ko_is_not_taken_back_at_once_but_after_a_threat() -> None:
    state = picture(".XO.. XO.O. .XO.. ..... .....")
    state = move(state, at(state, 2, 1))
    assert shown(state)[1] == "X.XO." and state["taken"] == (1, 0)
    assert refused(state, at(state, 1, 1)) == "that position was there before"
    state = move(move(state, at(state, 4, 4)), at(state, 0, 4))
    assert shown(move(state, at(state, 1, 1)))[1] == "XO.O."


def test_a_position_of_several_moves_ago_is_refused_too() -> None:
    """Sending two, returning one: no ko, and yet the position would come again."""
    state = picture(".X.X. OOX.. ..X.. ..... .....")
    state = move(state, at(state, 0, 0))
    state = move(state, at(state, 2, 0))
    assert state["taken"] == (0, 2)
    assert refused(state, at(state, 1, 0)) == "that position was there before"
    history = state["history"]
    assert len(history) == 3 * go_rules.HASH_BYTES
    assert all(go_rules.seen(history, history[i : i + 16]) for i in (0, 16, 32))
    assert not go_rules.seen(history, history[8:24])  # only whole ones count


def test_a_stone_without_liberty_is_refused_unless_it_takes() -> None:
    state = picture(".X... X.... ..... ..... .....")
    state = move(state, PASS)
    assert refused(state, at(state, 0, 0)) == "the stone would have no liberty"
    state = {**picture(".XO.. XO... O.... ..... ....."), "turn": 1}
    assert shown(move(state, at(state, 0, 0)))[:2] == ["O.O..", ".O..."]


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "there is a stone already"), (26, "no point"), (0xFFFC, "no point"), (PLAY_ON, "being played")],
)
def test_a_move_that_cannot_be_is_refused_in_words(number: int, words: str) -> None:
    state = move(begun(size=5), 1)
    assert words in (refused(state, number) or "")
    assert "Black's turn" in (GAME.refusal(begun(), 1, b"\0\1") or "")
    assert "no point" in (GAME.refusal(begun(), 0, b"") or "")


def test_area_is_stones_and_what_only_they_surround() -> None:
    state = picture(".X.O. .X.O. .X.OO .X.O. .X.O.")
    owner = go_rules.area(state["board"], 7)
    assert (owner.count(1), owner.count(2)) == (10, 10)
    assert points(state) == (20, 21)


def test_dead_stones_are_marked_by_one_and_agreed_to_by_both() -> None:
    state = picture(".X.O. OX.O. .X.O. .X.OX .X.O.")
    state = move(move(state, PASS), PASS)
    assert state["phase"] == "mark" and GAME.result(state) is None and refused(state, at(state, 0, 0))
    state = move(state, at(state, 0, 1))
    state = move(state, PASS)
    assert GAME.turn(state) == 1
    state = move(state, at(state, 4, 3))  # changed: black has to agree anew
    state = move(move(state, PASS), PASS)
    result = GAME.result(state)
    assert result and result.words == "White wins by ½ point" and result.scores == (20, 21)
    assert result.places == (2, 1) and GAME.turn(state) is None and refused(state, PASS) == "the game is over"


def test_who_does_not_agree_plays_on() -> None:
    state = move(move(begun(size=5), PASS), PASS)
    state = move(state, PLAY_ON)
    assert state["phase"] == "play" and GAME.turn(state) == 1 and state["passes"] == 0
    state = move(state, 13)
    assert shown(state)[2] == "..O.."


def test_marks_are_not_changed_for_ever() -> None:
    state = move(move(move(begun(size=5), 1), PASS), PASS)
    for _ in range(MOST_MARKS):
        state = move(state, 1)
    assert refused(state, 1) == "agree now, or play on"
    while not GAME.result(state):  # somebody who always plays on
        state = move(state, PLAY_ON if state["phase"] == "mark" else PASS)
    assert state["moves"] == 250


def test_who_resigns_loses_whatever_lies_on_the_board() -> None:
    state = move(move(begun(), 41), RESIGN)
    result = GAME.result(state)
    assert result and result.words == "Black wins: White resigned" and result.places == (1, 2)


@pytest.mark.parametrize(("size", "stones"), [(9, 2), (9, 5), (13, 6), (19, 7), (19, 8), (19, 9), (8, 4)])
def test_a_handicap_lies_on_the_marked_points_and_white_begins(size: int, stones: int) -> None:
    state = begun(size=size, handicap=stones)
    assert state["board"].count(1) == stones and GAME.turn(state) == 1 and state["komi"] == 1
    marked = {go_rules.place(row * size + column, size) for column, row in go_rules.stars(size)}
    assert {square for square, stone in enumerate(state["board"]) if stone == 1} <= marked


@pytest.mark.parametrize(("size", "stones"), [(9, 1), (5, 2), (8, 5)])
def test_a_handicap_for_which_there_is_no_room_is_refused(size: int, stones: int) -> None:
    with pytest.raises(UsageError, match="handicap"):
        GAME.chosen(2, {"size": size, "handicap": stones})


@pytest.mark.parametrize("size", [5, 9, 13, 19])
def test_each_point_is_pressed_where_it_is_drawn_and_so_are_the_buttons(size: int) -> None:
    state = begun(size=size)
    lattice = GAME.draw(state, 0).lattice
    assert lattice and (lattice.columns, lattice.rows) == (size, size)
    for row in range(size):
        for column in range(size):
            x, y = lattice.x + column * lattice.step, lattice.y + row * lattice.step
            assert GAME.tap(state, 0, x + 5, y - 5) == (row * size + column + 1).to_bytes(2, "big")
    where = {
        one.text: (one.x, one.y)
        for one in GAME.draw(state, 0).shapes
        if isinstance(one, Text) and one.x > 1200
    }
    assert GAME.tap(state, 0, *where["Pass"]) == PASS.to_bytes(2, "big")
    assert GAME.tap(state, 0, *where["Resign"]) == RESIGN.to_bytes(2, "big")
    assert GAME.tap(state, 0, 1499, 500) is None
    assert "Pass" not in {one.text for one in GAME.draw(state, 1).shapes if isinstance(one, Text)}


def test_two_bots_end_their_game_and_each_machine_sees_the_same() -> None:
    state = begun(size=9)
    while not GAME.result(state):
        seat = GAME.turn(state)
        assert seat is not None and GAME.bot(state, 1 - seat) == bytes(2)
        number = int.from_bytes(GAME.bot(state, seat), "big")
        assert refused(state, number) is None
        scene = GAME.draw(state, seat)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(scene), type=Scene) == scene
        state = move(state, number)
    assert 30 < state["moves"] < 300 and sum(points(state)) > 2 * 60
    assert f"{checksum(state):x}" == "399997689fe05a84"  # found with CPython 3.11


def test_a_bot_takes_what_stands_in_danger_and_saves_its_own() -> None:
    state = picture("..... ..X.. .XOX. ..... .....")
    assert GAME.bot(state, 0) == at(state, 2, 3).to_bytes(2, "big")
    state = picture("....... ....... ...O... ..OXO.. ....... ....... .......")
    assert GAME.bot(state, 0) == at(state, 3, 4).to_bytes(2, "big")


def test_a_bot_does_not_let_a_living_chain_be_called_dead() -> None:
    state = picture(".X.XO XXXXO OOOOO ..... .....")
    state = move(move(state, PASS), PASS)
    alive = move(move(move(state, PASS), at(state, 1, 0)), PASS)
    assert GAME.turn(alive) == 0 and GAME.bot(alive, 0) == PLAY_ON.to_bytes(2, "big")
    assert GAME.bot(move(state, PASS), 1) == PASS.to_bytes(2, "big")
    state = move(move(picture("..... .OOO. .OXO. .O.O. .OOO."), PASS), PASS)
    doomed = move(move(move(state, PASS), at(state, 2, 2)), PASS)
    assert GAME.turn(doomed) == 0 and GAME.bot(doomed, 0) == PASS.to_bytes(2, "big")
