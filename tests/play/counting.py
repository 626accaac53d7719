"""A game that costs nothing and forgets nothing: its state is a hash of all inputs in their order."""

from __future__ import annotations

from collections.abc import Sequence

from servent.play.games import Choices, Game, Result, Scene
from servent.play.states import State


class Counting(Game):
    id = "counting"
    title = "Counting"
    players = (1, 8)

    def start(self, seats: int, seed: int, choices: Choices) -> State:
        return (0, seed & 0xFFFF)

    def step(self, state: State, inputs: Sequence[bytes]) -> State:
        frame, found = state
        for value in inputs:
            found = (found * 31 + int.from_bytes(value, "little") + 1) & 0xFFFFFFFFFFFF
        return (frame + 1, found)

    def draw(self, state: State) -> Scene:
        return Scene(1, 1, "#000000", ())

    def result(self, state: State) -> Result | None:
        return None
