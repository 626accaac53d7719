"""A match of one `Game`: carries out what a session requests, and nothing else. Pure.

Whoever has an engine of his own writes these forty lines himself; for a `Game` they are here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from servent.play.games import Choices, Game
from servent.play.model import Advance, Check, Load, Request, Save
from servent.play.states import State, checksum

KEPT = 40  # states; a session loads none older than its window, at most 32, and two


class Engine:
    """The current state of a match, and the last saved ones. A saved state is kept, never copied: `step` changes none.

    Attributes:
        state: the current one, of `frame`.
    """

    def __init__(self, game: Game, seats: int, seed: int, choices: Choices | None = None) -> None:
        """Raises UsageError as `Game.chosen`."""
        self.game, self.seats = game, seats
        self.state = game.start(seats, seed, game.chosen(seats, choices))
        self.frame = 0
        self._saved: dict[int, State] = {0: self.state}

    def carry_out(self, requests: Iterable[Request]) -> list[tuple[int, int]]:
        """Do all of `requests` in their order.

        Returns:
            Frame and checksum for each `Check`, to be told to `Session.checked`.

        Raises:
            KeyError: a frame is loaded or checked that was not saved, or has been let go: a bug of the session's.
            NotPlain: the game's state holds what has no bytes.
        """
        sums = []
        for one in requests:
            match one:
                case Advance():
                    self.state = self.game.step(self.state, self.inputs(one.inputs, one.gone))
                    self.frame = one.frame + 1
                case Save():
                    self._save(one.frame)
                case Load():
                    self.state, self.frame = self._saved[one.frame], one.frame
                case Check():
                    sums.append((one.frame, checksum(self._saved[one.frame], floats=self.game.floats)))
        return sums

    def inputs(self, given: Sequence[bytes], gone: int) -> Sequence[bytes]:
        """What the game is given: for a player who is gone (bit in `gone`) its bot, if the game wants one to stand in.

        A bot sees the state alone, so that everybody steps the same.
        """
        if not gone or self.game.stand_in == "neutral":
            return given
        game, state = self.game, self.state
        return [game.bot(state, seat) if gone >> seat & 1 else one for seat, one in enumerate(given)]

    def put(self, state: State, frame: int) -> None:
        """Go on from a state that came from elsewhere: a snapshot for somebody who joins, or after a desync."""
        self.state, self.frame = state, frame
        self._saved = {frame: state}

    def saved(self, frame: int) -> State:
        """The state saved for `frame`. Raises KeyError when it has been let go."""
        return self._saved[frame]

    def _save(self, frame: int) -> None:
        self._saved[frame] = self.state
        while len(self._saved) > KEPT:
            del self._saved[next(iter(self._saved))]  # frames come in their order, again ones in their place
