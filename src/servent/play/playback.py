"""Steps a replay's game again: to watch it, forwards and back, and to prove its result. Pure."""

from __future__ import annotations

from typing import NamedTuple

from servent.errors import UsageError
from servent.play.games import Game, Result
from servent.play.replays import Replay, Standing
from servent.play.states import State, checksum

KEYFRAME = 600  # frames between the states that are kept, to go back to


class Playback:
    """Steps a replay's game again, forwards and back. Each 600th state is kept; kept states share what did not change."""

    def __init__(self, replay: Replay, game: Game) -> None:
        """Raises UsageError for another game or version, or choices that the game does not have."""
        header = replay.header
        if (game.id, game.version, game.input_bytes) != (header.game, header.version, header.input_bytes):
            raise UsageError(
                f"this is a replay of {header.game}, version {header.version}, not of {game.id}, version {game.version}"
            )
        self._game, self.replay = game, replay
        choices = game.chosen(len(header.seats), header.choices)
        self.state: State = game.start(len(header.seats), header.seed, choices)
        self.frame = 0
        self._inputs: list[tuple[tuple[bytes, ...], int]] = []
        last: tuple[tuple[bytes, ...], int] = ((), 0)
        for (
            one
        ) in replay.confirmed():  # the same tuple as long as nothing changes: four hours are 8 MB, not 80
            if one.inputs is not last[0] or one.gone != last[1]:
                last = (one.inputs, one.gone)
            self._inputs.append(last)
        self._kept: dict[int, State] = {0: self.state}

    def seek(self, frame: int) -> State:
        """The state of `frame`, or of the last one where that is beyond the end; costs at most 600 frames more than the way."""
        frame = max(0, min(frame, self.replay.frames))
        begin = max(kept for kept in self._kept if kept <= frame)
        if not begin <= self.frame <= frame:
            self.state, self.frame = self._kept[begin], begin
        game, state = self._game, self.state
        stands_in = game.stand_in != "neutral"
        for at in range(self.frame, frame):
            inputs, gone = self._inputs[at]
            if gone and stands_in:
                inputs = tuple(game.stands_in(state, inputs, gone))
            state = game.step(state, inputs)
            if (at + 1) % KEYFRAME == 0:
                self._kept[at + 1] = state
        self.state, self.frame = state, frame
        return state


class Played(NamedTuple):
    """What came out of stepping a replay again. `honest`: the state is the one that the seals at the end vouch for."""

    state: State
    result: Result | None
    honest: bool
    standing: Standing


def played(replay: Replay, game: Game) -> Played:
    """Step all of `replay` again and compare: the proof of a result. Raises UsageError as `Playback`."""
    standing = replay.standing()
    state = Playback(replay, game).seek(replay.frames)
    sums = {seal.sum for seal in standing.seals.values() if seal.frames == replay.frames}
    honest = sums == {checksum(state, floats=game.floats)}
    return Played(state, game.result(state), honest, standing)
