"""Turn by turn: a log of signed moves, each linked to the one before it; players may be away for days. Pure.

Only the player whose turn it is may add a move, so nobody waits for agreement, and moves come in whatever order and by whatever
way friends carry them. A signature is under the chain's new end, and so under the whole game up to there: whoever answers
a move has seen it and all before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Hash, Signature, canonical
from servent.errors import Refused, UsageError
from servent.identity import PeerId
from servent.play.games import Game, Result
from servent.play.model import MAX_INPUT_BYTES, MAX_PLAYERS, Confirmed
from servent.play.replays import Header
from servent.play.states import State

MOST_MOVES = 20_000  # of a game; the longest game of go that was recorded has about 400
MOST_AT_ONCE = 500  # moves in one message
MOST_AHEAD = 64  # moves kept whose turn has not come, since one before them is still missing
_BEGINS, _MOVES = b"servent/play/turns/1", b"servent/play/move/1"


class Move(Struct, frozen=True):
    """`seat` did `input` as move `number`, counted from 0, after a game whose chain ended in `before`."""

    number: Annotated[int, Meta(ge=0, lt=MOST_MOVES)]
    seat: Annotated[int, Meta(ge=0, lt=MAX_PLAYERS)]
    before: Hash
    input: Annotated[bytes, Meta(min_length=1, max_length=MAX_INPUT_BYTES)]
    signature: Signature


class Moves(Struct, frozen=True, tag="moves"):
    """Player to player, and by way of friends: moves in their order. Answered, where we have later ones, by those."""

    match: Annotated[bytes, Meta(min_length=16, max_length=16)]
    moves: Annotated[tuple[Move, ...], Meta(max_length=MOST_AT_ONCE)]


class Forbidden(Refused):
    """A move that `seat` may not do, or did not sign; nothing has changed."""

    advice = "The game goes on with the next move that is allowed."

    def __init__(self, words: str) -> None:
        super().__init__(words)


class Forked(Refused):
    """`seat` signed two moves for the same turn. Both together prove it to anybody; the one that came first counts here."""

    advice = (
        "Ask the player which one counts, and begin anew from there, or call the game lost for that seat."
    )

    def __init__(self, one: Move, other: Move) -> None:
        super().__init__(f"seat {one.seat} signed two different moves {one.number + 1}")
        self.seat, self.one, self.other = one.seat, one, other


def linked(before: bytes, number: int, seat: int, input: bytes) -> bytes:
    """The end of the chain after a move: 32 bytes."""
    return sha256(before + canonical((number, seat, input))).digest()


def promise(after: bytes) -> bytes:
    """What the player signs: the chain's end after the move."""
    return _MOVES + after


def signed(move: Move, seats: tuple[bytes, ...]) -> bool:
    """Whether the key of its seat signed `move`: all that it takes to show a `Forked` to somebody else."""
    after = linked(move.before, move.number, move.seat, move.input)
    return move.seat < len(seats) and PeerId(seats[move.seat]).verify(move.signature, promise(after))


class TurnLog:
    """A game in turns as one player has it.

    Attributes:
        state: after all moves that are here.
        head: the end of the chain.
        moves: in their order.
    """

    def __init__(self, header: Header, game: Game, moves: Iterable[Move] = ()) -> None:
        """Begin, or go on with moves that were kept.

        Raises:
            UsageError: not this game, not a game in turns, or not for so many.
            Forbidden, Forked: the moves that were kept are no game.
        """
        if (game.id, game.version, game.input_bytes) != (header.game, header.version, header.input_bytes):
            raise UsageError(f"this is a match of {header.game}, version {header.version}, not of {game.id}")
        if game.mode != "turns":
            raise UsageError(f"{game.title} is not played in turns")
        self.header, self._game = header, game
        choices = game.chosen(len(header.seats), header.choices)
        self.state: State = game.start(len(header.seats), header.seed, choices)
        self.head = sha256(_BEGINS + canonical(header)).digest()
        self.moves: list[Move] = []
        self._ahead: dict[int, Move] = {}
        for move in moves:
            self.add(move)

    @property
    def turn(self) -> int | None:
        """Whose move it is; None: nobody's, the game is over."""
        return self._game.turn(self.state) if len(self.moves) < MOST_MOVES else None

    @property
    def result(self) -> Result | None:
        return self._game.result(self.state)

    def propose(self, seat: int, input: bytes) -> bytes:
        """What `seat` is to sign to do `input` now; then `Move(len(log.moves), seat, log.head, input, signature)` is added.

        Raises:
            UsageError: it may not, and why, in words for the player.
        """
        if why := self._refusal(seat, input):
            raise UsageError(why)
        return promise(linked(self.head, len(self.moves), seat, input))

    def add(self, move: Move) -> bool:
        """Take a move in, whoever brought it.

        Returns:
            Whether the game went on by it. Not by one that is here already, nor by one that comes too early: that
            is kept, up to 64 of them, until the one before it comes.

        Raises:
            Forbidden: it is against the rules, or not signed by its seat.
            Forked: its seat had signed another move for the same turn.
        """
        if move.number < len(self.moves):
            self._compare(move)
            return False
        if not signed(move, self.header.seats):
            raise Forbidden(f"move {move.number + 1} is not signed by seat {move.seat}")
        if move.number > len(self.moves):
            if len(self._ahead) < MOST_AHEAD:
                self._ahead.setdefault(move.number, move)
            return False
        self._go_on(move)
        while early := self._ahead.pop(len(self.moves), None):
            try:
                self._go_on(early)
            except Forbidden:  # who brought it is long gone; the right one may still come
                break
        return True

    def take(self, message: Moves) -> int:
        """All moves of a message, up to the first that is wrong; how many the game went on by. Raises as `add`."""
        if message.match != self.header.match:
            raise Forbidden("these are moves of another match")
        before = len(self.moves)
        for move in message.moves:
            self.add(move)
        return len(self.moves) - before

    def since(self, number: int) -> Moves:
        """Moves from `number` on, as many as fit into a message: for somebody who was away."""
        number = max(0, number)
        return Moves(self.header.match, tuple(self.moves[number : number + MOST_AT_ONCE]))

    def seen(self, seat: int) -> int:
        """Up to how many moves `seat` has vouched for by its own latest one."""
        return next((move.number + 1 for move in reversed(self.moves) if move.seat == seat), 0)

    def confirmed(self) -> Iterator[Confirmed]:
        """The game as frames of a replay: one for each move, in which the others do nothing."""
        nothing = self._game.neutral
        for move in self.moves:
            inputs = tuple(
                move.input if seat == move.seat else nothing for seat in range(len(self.header.seats))
            )
            yield Confirmed(move.number, inputs)

    def _refusal(self, seat: int, input: bytes) -> str | None:
        turn = self.turn
        if turn is None:
            return "the game is over"
        if seat != turn:
            return f"it is the turn of seat {turn}, not of seat {seat}"
        if len(input) != self._game.input_bytes or input == self._game.neutral:
            return "that is no move"
        return self._game.refusal(self.state, seat, input)

    def _go_on(self, move: Move) -> None:
        if move.before != self.head:
            raise Forbidden(f"move {move.number + 1} follows another game than the one that is here")
        if why := self._refusal(move.seat, move.input):
            raise Forbidden(f"move {move.number + 1} of seat {move.seat}: {why}")
        nothing = self._game.neutral
        inputs = [move.input if seat == move.seat else nothing for seat in range(len(self.header.seats))]
        self.state = self._game.step(self.state, inputs)
        self.head = linked(self.head, move.number, move.seat, move.input)
        self.moves.append(move)

    def _compare(self, move: Move) -> None:
        """A move of a turn that is over: the same again is no harm; another one by the same seat is a fork, if it signed it."""
        held = self.moves[move.number]
        if (move.seat, move.before, move.input) == (held.seat, held.before, held.input):
            return
        if not signed(move, self.header.seats):
            raise Forbidden(f"move {move.number + 1} is not signed by seat {move.seat}")
        if move.seat == held.seat and move.before == held.before:
            raise Forked(held, move)
        raise Forbidden(f"move {move.number + 1} follows another game than the one that is here")
