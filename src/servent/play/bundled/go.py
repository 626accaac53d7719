"""Go: two players, turn by turn, area scoring, no position twice (positional superko). Pure.

An input is two bytes, big-endian: 0 is nothing, 1 to size² a point in rows from the top left, and above that PASS, RESIGN and
PLAY_ON. After two passes the players mark dead stones; both have to agree to the same marks, or play on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from servent.errors import UsageError
from servent.play import dice
from servent.play.bundled import go_bot, go_looks, go_rules
from servent.play.games import Choice, Choices, Game, Result, Scene, places
from servent.play.model import Mode
from servent.play.states import State

PASS, RESIGN, PLAY_ON = 0xFFFF, 0xFFFE, 0xFFFD  # PASS agrees where dead stones are marked
SIDES = ("Black", "White")
MOST_MARKS = 200  # changes of marks before one has to agree or play on


class Go(Game):
    """See the module. Seat 0 is black."""

    id = "go"
    version = 1
    title = "Go"
    players = (2, 2)
    fps = 1
    mode: ClassVar[Mode] = "turns"
    input_bytes = 2
    held = bytes(2)
    choices: ClassVar[Mapping[str, Choice]] = {
        "size": Choice(9, 5, 19, "points on a side: 9, 13 and 19 are usual"),
        "komi": Choice(15, 0, 99, "half points that white is given; with a handicap always one"),
        "handicap": Choice(0, 0, 9, "stones that black has before white begins; 0 or 2 to 9"),
    }

    def chosen(self, seats: int, choices: Choices | None = None) -> dict[str, int]:
        found = super().chosen(seats, choices)
        most = len(go_rules.stars(found["size"]))
        if found["handicap"] == 1 or found["handicap"] > most:
            raise UsageError(
                f"a board of {found['size']} has room for a handicap of {most} stones, from 2 on, not for {found['handicap']}"
                if most
                else f"there is no handicap on a board of {found['size']}"
            )
        return found

    def start(self, seats: int, seed: int, choices: Choices) -> State:
        size, stones = choices["size"], choices["handicap"]
        board = bytearray(go_rules.empty(size))
        for column, row in go_rules.handicap(size, stones):
            board[go_rules.place(row * size + column, size)] = go_rules.BLACK
        return {
            "size": size, "board": bytes(board), "turn": 1 if stones else 0, "phase": "play", "passes": 0,
            "komi": 1 if stones else choices["komi"], "taken": (0, 0), "last": 0, "moves": 0,
            "history": go_rules.position(bytes(board)), "dead": b"", "agreed": -1, "marks": 0,
            "resigned": -1, "dice": dice.new(seed),
        }  # fmt: skip

    def step(self, state: State, inputs: Sequence[bytes]) -> State:
        seat = self.turn(state)
        if seat is None:
            return state
        move = int.from_bytes(inputs[seat], "big")
        if not move or self.refusal(state, seat, inputs[seat]):
            return state
        state = {**state, "moves": state["moves"] + 1}
        if move == RESIGN:
            return {**state, "phase": "done", "resigned": seat}
        after = _marked(state, seat, move) if state["phase"] == "mark" else _moved(state, seat, move)
        if after["moves"] >= 10 * state["size"] ** 2 and after["phase"] != "done":
            return {**after, "phase": "done", "dead": after["dead"] or bytes(len(after["board"]))}
        return after

    def turn(self, state: State) -> int | None:
        return None if state["phase"] == "done" else int(state["turn"])

    def refusal(self, state: State, seat: int, move: bytes) -> str | None:
        number = int.from_bytes(move, "big") if len(move) == 2 else 0
        if state["phase"] == "done":
            return "the game is over"
        if seat != state["turn"]:
            return f"it is {SIDES[state['turn']]}'s turn"
        if number in (PASS, RESIGN):
            return None
        marking, size = state["phase"] == "mark", state["size"]
        if number == PLAY_ON:
            return None if marking else "the game is being played"
        if not 1 <= number <= size * size:
            return "that is no point of the board"
        at = go_rules.place(number - 1, size)
        stone = state["board"][at]
        if marking:
            if not stone:
                return "only stones are marked"
            return "agree now, or play on" if state["marks"] >= MOST_MARKS else None
        if stone:
            return "there is a stone already"
        after = go_rules.played(state["board"], size + 2, at, seat + 1)
        if after is None:
            return "the stone would have no liberty"
        if go_rules.seen(state["history"], go_rules.position(after[0])):
            return "that position was there before"
        return None

    def draw(self, state: State, me: int | None = None) -> Scene:
        return go_looks.scene(state, me, self.result(state))

    def tap(self, state: State, seat: int, x: int, y: int) -> bytes | None:
        found = go_looks.pressed(state, x, y)
        moves = {"pass": PASS, "resign": RESIGN, "play on": PLAY_ON}
        number = moves[found] if isinstance(found, str) else found
        return None if number is None else number.to_bytes(2, "big")

    def bot(self, state: State, seat: int) -> bytes:
        if self.turn(state) != seat:
            return self.neutral
        if state["phase"] == "mark":
            number = PASS if go_bot.agrees(state, seat) else PLAY_ON
        else:
            number = go_bot.best(state, seat) or PASS
        return number.to_bytes(2, "big")

    def result(self, state: State) -> Result | None:
        if state["phase"] != "done":
            return None
        black, white = points(state)
        if state["resigned"] >= 0:
            loser = state["resigned"]
            return Result(
                (2, 1) if loser == 0 else (1, 2),
                (black, white),
                f"{SIDES[1 - loser]} wins: {SIDES[loser]} resigned",
            )
        if black == white:
            return Result((1, 1), (black, white), "a draw")
        ahead = abs(black - white)
        half = "½" if ahead % 2 else ""
        by = f"{ahead // 2 or ''}{half}"
        return Result(
            places((black, white)),
            (black, white),
            f"{SIDES[black < white]} wins by {by} point{'' if ahead <= 2 else 's'}",
        )


def points(state: State) -> tuple[int, int]:
    """Half points of black and of white, komi in them, as the board stands and dead stones are marked."""
    board = go_rules.without(state["board"], state["dead"]) if state["dead"] else state["board"]
    owner = go_rules.area(board, state["size"] + 2)
    return 2 * owner.count(go_rules.BLACK), 2 * owner.count(go_rules.WHITE) + int(state["komi"])


def _moved(state: State, seat: int, move: int) -> State:
    if move == PASS:
        if state["passes"]:
            return {
                **state,
                "passes": 0,
                "phase": "mark",
                "turn": 1 - seat,
                "last": 0,
                "dead": bytes(len(state["board"])),
                "agreed": -1,
                "marks": 0,
            }
        return {**state, "passes": 1, "turn": 1 - seat, "last": 0}
    at = go_rules.place(move - 1, state["size"])
    after = go_rules.played(state["board"], state["size"] + 2, at, seat + 1)
    if after is None:  # refused before
        return state
    board, taken = after
    both = list(state["taken"])
    both[seat] += taken
    return {
        **state, "board": board, "taken": tuple(both), "turn": 1 - seat, "passes": 0, "last": at,
        "history": state["history"] + go_rules.position(board),
    }  # fmt: skip


def _marked(state: State, seat: int, move: int) -> State:
    if move == PLAY_ON:
        return {**state, "phase": "play", "turn": 1 - seat, "dead": b"", "agreed": -1}
    if move == PASS:
        if state["agreed"] == 1 - seat:
            return {**state, "phase": "done"}
        return {**state, "agreed": seat, "turn": 1 - seat}
    board, dead = state["board"], bytearray(state["dead"])
    at = go_rules.place(move - 1, state["size"])
    now = 1 - dead[at]
    for stone in go_rules.alike(board, state["size"] + 2, at):
        dead[stone] = now
    return {**state, "dead": bytes(dead), "agreed": -1, "marks": state["marks"] + 1}
