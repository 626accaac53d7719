"""A match of one `Game`: carries out what a session requests, and nothing else. Pure.

Whoever has an engine of his own writes these forty lines himself; for a `Game` they are here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from servent.play.games import Choices, Game
from servent.play.model import Advance, Check, Confirmed, Load, Request, Save
from servent.play.states import State, checksum

KEPT = 40  # states; a session loads none older than its window, at most 32, and two


class Engine:
    """The current state of a match, and the last saved ones. A saved state is kept, never copied: `step` changes none.

    Args:
        confirmed: is given each frame that is final, such as `Recorder.add`.

    Attributes:
        state: the current one, of `frame`.
    """

    def __init__(
        self,
        game: Game,
        seats: int,
        seed: int,
        choices: Choices | None = None,
        *,
        confirmed: Callable[[Confirmed], None] | None = None,
    ) -> None:
        """Raises UsageError as `Game.chosen`."""
        self.game, self.seats = game, seats
        self.state = game.start(seats, seed, game.chosen(seats, choices))
        self.frame = 0
        self._saved: dict[int, State] = {0: self.state}
        self._confirmed = confirmed

    def carry_out(self, requests: Iterable[Request | Confirmed]) -> list[tuple[int, int]]:
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
                    self.state = self._step(one)
                    self.frame = one.frame + 1
                case Save():
                    self._save(one.frame)
                case Load():
                    self.state, self.frame = self._saved[one.frame], one.frame
                case Check():
                    sums.append((one.frame, checksum(self._saved[one.frame], floats=self.game.floats)))
                case Confirmed():
                    if self._confirmed is not None:
                        self._confirmed(one)
        return sums

    def put(self, state: State, frame: int) -> None:
        """Go on from a state that came from elsewhere: a snapshot for somebody who joins, or after a desync."""
        self.state, self.frame = state, frame
        self._saved = {frame: state}

    def saved(self, frame: int) -> State:
        """The state saved for `frame`. Raises KeyError when it has been let go."""
        return self._saved[frame]

    def _step(self, one: Advance) -> State:
        return self.game.step(self.state, self.game.stands_in(self.state, one.inputs, one.gone))

    def _save(self, frame: int) -> None:
        self._saved[frame] = self.state
        while len(self._saved) > KEPT:
            del self._saved[next(iter(self._saved))]  # frames come in their order, again ones in their place
