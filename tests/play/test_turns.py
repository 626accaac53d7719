"""Games in turns: moves are signed and linked, come late, twice and out of order, and nobody plays two games at once."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.codec import Decoder, canonical, encode
from servent.errors import BadMessage, UsageError
from servent.identity import Identity
from servent.play.bundled.go import PASS, RESIGN, Go
from servent.play.bundled.lightcycles import Lightcycles
from servent.play.playback import played
from servent.play.replays import Header, Recorder, Replay, Seal
from servent.play.states import checksum, same
from servent.play.turns import MOST_AHEAD, Forbidden, Forked, Move, Moves, TurnLog, linked, promise, signed

GAME = Go()
WHO = [Identity(bytes((number,)) * 32) for number in (1, 2)]
HEADER = Header(
    game="go", version=1, code=bytes(32), match=bytes(16), seats=tuple(bytes(one.peer) for one in WHO), names=("ann", "bob"),
    seed=1, choices={"size": 5}, input_bytes=2, fps=1, began=0,
)  # fmt: skip


def log(*moves: Move) -> TurnLog:
    return TurnLog(HEADER, GAME, moves)


def does(here: TurnLog, number: int, seat: int | None = None) -> Move:
    seat = here.turn if seat is None else seat
    assert seat is not None
    given = number.to_bytes(2, "big")
    move = Move(len(here.moves), seat, here.head, given, WHO[seat].sign(here.propose(seat, given)))
    assert here.add(move)
    return move


def game(*numbers: int) -> TurnLog:
    here = log()
    for number in numbers:
        does(here, number)
    return here


def forged(here: TurnLog, seat: int, number: int, *, at: int | None = None, by: int | None = None) -> Move:
    """A move with a signature that holds, whatever the rules say; `by`: signed by somebody else."""
    at = len(here.moves) if at is None else at
    before = here.head if at == len(here.moves) else here.moves[at].before
    given = number.to_bytes(2, "big")
    who = WHO[seat if by is None else by]
    return Move(at, seat, before, given, who.sign(promise(linked(before, at, seat, given))))


def test_two_play_and_see_the_same() -> None:
    ann, bob = log(), log()
    for number in (13, 8, 14, PASS, PASS):
        here, there = (ann, bob) if ann.turn == 0 else (bob, ann)
        assert there.add(does(here, number))
    assert same(ann.state, bob.state) and ann.head == bob.head and ann.seen(0) == 5 and ann.seen(1) == 4
    assert ann.state["phase"] == "mark"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 12))
def test_moves_come_in_any_order_and_more_than_once(seed: int, again: int) -> None:
    there = game(13, 8, 14, 9, 12, 7, 18, 3, PASS, PASS)
    dice = Random(seed)
    moves = [*there.moves, *dice.choices(there.moves, k=again)]
    dice.shuffle(moves)
    here = log()
    for move in moves:
        here.add(move)
    assert here.head == there.head and same(here.state, there.state)


def test_who_was_away_is_told_what_came_since() -> None:
    there = game(13, 8, 14, 9)
    here = log(*there.moves[:1])
    message = Decoder[Moves](Moves).decode(encode(there.since(len(here.moves))))
    assert here.take(message) == 3 and here.head == there.head
    assert here.take(there.since(0)) == 0 and there.since(-3) == there.since(0)
    with pytest.raises(Forbidden, match="another match"):
        here.take(Moves(b"x" * 16, ()))


@pytest.mark.parametrize(
    ("seat", "number", "words"),
    [
        (1, 3, "turn of seat 0, not of seat 1"),
        (0, 13, "there is a stone already"),
        (0, 0, "that is no move"),
        (0, 26, "no point of the board"),
    ],
)
def test_a_move_against_the_rules_is_refused_from_us_and_from_others(
    seat: int, number: int, words: str
) -> None:
    here = game(13, 8)
    with pytest.raises(UsageError, match=words):
        here.propose(seat, number.to_bytes(2, "big"))
    with pytest.raises(Forbidden, match=words):
        here.add(forged(here, seat, number))
    assert len(here.moves) == 2


def test_nobody_moves_for_another() -> None:
    here = game(13)
    with pytest.raises(Forbidden, match="not signed by seat 1"):
        here.add(forged(here, 1, 8, by=0))
    with pytest.raises(Forbidden, match="not signed by seat 0"):
        here.add(forged(here, 0, 7, at=0, by=1))


def test_who_signs_two_moves_for_one_turn_is_shown_to_have_done_so() -> None:
    here = game(13, 8, 14)
    with pytest.raises(Forked, match="seat 1 signed two different moves 2") as wrong:
        here.add(forged(here, 1, 9, at=1))
    assert signed(wrong.value.one, HEADER.seats) and signed(wrong.value.other, HEADER.seats)
    assert wrong.value.one != wrong.value.other and wrong.value.seat == 1 and here.moves[1].input == b"\0\x08"


def test_a_move_of_another_game_does_not_fit_into_this_one() -> None:
    here, other = game(13), game(12)
    with pytest.raises(Forbidden, match="follows another game"):
        here.add(forged(other, 1, 8))
    later = TurnLog(
        Header(**{**{n: getattr(HEADER, n) for n in HEADER.__struct_fields__}, "match": b"m" * 16}), GAME
    )
    with pytest.raises(Forbidden, match="follows another game"):
        later.add(here.moves[0])


def test_what_comes_too_early_is_kept_within_bounds_and_does_not_block() -> None:
    there, here = game(13, 8), log()
    bad = forged(game(12, 9), 0, 3)  # well signed, but of another game, and so for a turn that will come
    for number in range(2, 2 + 2 * MOST_AHEAD):
        given = b"\0\x03"
        here.add(
            Move(number, 0, bad.before, given, WHO[0].sign(promise(linked(bad.before, number, 0, given))))
        )
    assert len(here._ahead) == MOST_AHEAD
    assert here.take(there.since(0)) == 2 and here.head == there.head
    does(here, 14)


def test_after_the_end_nobody_moves() -> None:
    here = game(13, RESIGN)
    assert here.turn is None and here.result and here.result.words == "Black wins: White resigned"
    with pytest.raises(Forbidden, match="the game is over"):
        here.add(forged(here, 0, 3))


def test_a_game_in_turns_becomes_a_replay_that_proves_its_result() -> None:
    here = game(13, 8, 14, RESIGN)
    recorder = Recorder(HEADER)
    for one in here.confirmed():
        recorder.add(one)
    sum_ = checksum(here.state)
    for seat, who in enumerate(WHO):
        assert recorder.seal(Seal(seat, 4, sum_, who.sign(recorder.promise(sum_))))
    found = played(Replay.read(recorder.write()), GAME)
    assert found.honest and found.standing.word == "agreed" and found.result == here.result


def test_only_games_in_turns_are_kept_so() -> None:
    with pytest.raises(UsageError, match="match of go, version 1, not of lightcycles"):
        TurnLog(HEADER, Lightcycles())
    fields = {name: getattr(HEADER, name) for name in HEADER.__struct_fields__}
    riding = Header(**{**fields, "game": "lightcycles", "input_bytes": 1, "choices": {}})
    with pytest.raises(UsageError, match="not played in turns"):
        TurnLog(riding, Lightcycles())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_message_is_refused_and_changes_no_game(data: st.DataObject) -> None:
    there, here = game(13, 8, 14), log()
    whole = bytearray(canonical(there.since(0)))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(BadMessage, Forbidden, Forked):
        here.take(Decoder[Moves](Moves).decode(bytes(whole)))
    assert here.moves == there.moves[: len(here.moves)]
