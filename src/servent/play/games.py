"""What the author of a game writes, and what comes out of it as plain data: shapes, sounds, results. Pure.

A game is four functions without memory. `step` never changes the state it is given: it returns the next one. A session keeps
old states by keeping them, which costs nothing; going back eight frames costs eight calls of `step`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from servent.errors import UsageError
from servent.play.model import Mode, Settings
from servent.play.states import State

Colour = Annotated[str, Meta(pattern="^#[0-9a-f]{6}$")]
Choices = Mapping[str, int]
Standing = Literal["neutral", "bot"]


class Choice(Struct, frozen=True):
    """One thing that players agree on before a match: always a whole number. `why` is for people."""

    default: int
    least: int
    most: int
    why: str


class Button(Struct, frozen=True):
    """One bit of an input, held as long as its key is: bit 0 is the lowest of the first byte.

    `keys` are names as of `KeyboardEvent.code`: the n-th is for the n-th person at one keyboard, and who is alone there has
    them all. `touch`: the stroke of a finger that presses it; "hold" is a place to rest a thumb on.
    """

    name: str
    bit: int
    keys: tuple[str, ...]
    touch: Literal["left", "right", "up", "down", "hold", ""] = ""


class Rect(Struct, frozen=True, tag="rect"):
    """A filled rectangle; all lengths in units of the scene, x to the right, y down."""

    x: int
    y: int
    width: int
    height: int
    colour: Colour


class Circle(Struct, frozen=True, tag="circle"):
    """A disc, or a ring of `line` units if that is not 0. `glow`: units of light around it."""

    x: int
    y: int
    radius: int
    colour: Colour
    line: int = 0
    glow: int = 0


class Line(Struct, frozen=True, tag="line"):
    """A stroke from (`x`, `y`) to (`to_x`, `to_y`)."""

    x: int
    y: int
    to_x: int
    to_y: int
    colour: Colour
    width: int = 1
    glow: int = 0


class Path(Struct, frozen=True, tag="path"):
    """A stroke through many points: x, y, x, y, … Its corners and ends are round."""

    points: tuple[int, ...]
    colour: Colour
    width: int = 1
    glow: int = 0


class Text(Struct, frozen=True, tag="text"):
    """One line of text, around (`x`, `y`) as `align` says, `size` units high."""

    x: int
    y: int
    text: str
    colour: Colour
    size: int
    align: Literal["left", "centre", "right"] = "centre"


class Cells(Struct, frozen=True, tag="cells"):
    """A board of squares, row after row, one byte a square; 0 is empty, n is `colours[n - 1]`."""

    x: int
    y: int
    columns: int
    cell: int  # units that one square is wide and high
    squares: bytes
    colours: tuple[Colour, ...]
    glow: int = 0


class Sound(Struct, frozen=True, tag="sound"):
    """Something that is heard once, at the frame in which the scene first has it: `key` tells two alike apart."""

    name: Literal["start", "turn", "crash", "win", "place", "take", "tick"]
    key: int


Shape = Rect | Circle | Line | Path | Text | Cells


class Lattice(Struct, frozen=True):
    """Where a pointer moved by keys stops: `columns` by `rows` points, `step` units apart, the first at (`x`, `y`)."""

    x: int
    y: int
    step: int
    columns: int
    rows: int


class Scene(Struct, frozen=True):
    """What is to be seen and heard of a state. The page scales `width` by `height` units to its canvas."""

    width: int
    height: int
    background: Colour
    shapes: tuple[Shape, ...]
    sounds: tuple[Sound, ...] = ()
    lattice: Lattice | None = None


class Result(Struct, frozen=True):
    """How a match ended: for each seat its place (1 is best, equals share one), its score, and why in words."""

    places: tuple[int, ...]
    scores: tuple[int, ...]
    words: str


class Game(ABC):
    """A game. One instance serves many matches at once, so it keeps nothing; everything is in the state.

    A state is plain data (`servent.play.states`), without floats unless `mode` is "authority". An input is
    `input_bytes` bytes for each seat and frame. All of `start`, `step` and `result` give the same for the same arguments,
    on every machine: no clock, no dice but `servent.play.dice`, no sets in an order that matters.
    """

    id: ClassVar[str]
    version: ClassVar[int] = 1
    title: ClassVar[str]
    players: ClassVar[tuple[int, int]] = (2, 2)  # fewest, most
    fps: ClassVar[int] = 60
    mode: ClassVar[Mode] = "rollback"
    input_bytes: ClassVar[int] = 1
    held: ClassVar[bytes] = b""  # bits expected to stay as they were; empty: all (`model.Settings`)
    stand_in: ClassVar[Standing] = "neutral"  # who plays for a seat whose player is gone
    buttons: ClassVar[tuple[Button, ...]] = ()
    choices: ClassVar[Mapping[str, Choice]] = {}

    @abstractmethod
    def start(self, seats: int, seed: int, choices: Choices) -> State:
        """The state before the first frame. `choices` has been through `chosen`."""

    @abstractmethod
    def step(self, state: State, inputs: Sequence[bytes]) -> State:
        """The state one frame later. Never changes `state`; any bytes of the right length are an input."""

    @abstractmethod
    def draw(self, state: State, me: int | None = None) -> Scene:
        """What is to be seen of `state`, by the player in seat `me` or by all; never changes it."""

    @abstractmethod
    def result(self, state: State) -> Result | None:
        """How it ended; None: it goes on."""

    def bot(self, state: State, seat: int) -> bytes:
        """What a seat without a player does next. By default: nothing."""
        return self.neutral

    def stands_in(self, state: State, inputs: Sequence[bytes], gone: int) -> Sequence[bytes]:
        """`inputs` with what the bot does for those who are gone (bits of `gone`), if the game wants it to.

        A bot sees the state alone, so that everybody steps the same.
        """
        if not gone or self.stand_in == "neutral":
            return inputs
        return [self.bot(state, seat) if gone >> seat & 1 else one for seat, one in enumerate(inputs)]

    def turn(self, state: State) -> int | None:
        """In mode "turns": whose move it is; None: nobody's, it is over."""
        return None

    def refusal(self, state: State, seat: int, move: bytes) -> str | None:
        """In mode "turns": why `seat` may not do `move` now, in words for its player; None: it may."""
        return None

    def tap(self, state: State, seat: int, x: int, y: int) -> bytes | None:
        """The input that `seat` means by pressing at (`x`, `y`) of the scene; None: none."""
        return None

    @property
    def neutral(self) -> bytes:
        """The input of a seat that does nothing, and of one whose player is gone."""
        return bytes(self.input_bytes)

    @property
    def floats(self) -> bool:
        """Whether states may hold floats."""
        return self.mode == "authority"

    def match(self, seats: int) -> Settings:
        """What a `Session` of this game is to be made with.

        Raises:
            UsageError: not for so many seats, or not played in frames of a session.
        """
        self.chosen(seats)
        if self.mode != "rollback" and self.mode != "lockstep":
            raise UsageError(f"{self.title} is played in mode {self.mode}, not in frames of a session")
        return Settings(
            players=seats, input_bytes=self.input_bytes, mode=self.mode, fps=self.fps, held=self.held
        )

    def chosen(self, seats: int, choices: Choices | None = None) -> dict[str, int]:
        """`choices` with defaults for what is missing: what `start` is given.

        Raises:
            UsageError: not for so many seats, or a choice that the game does not have, or out of its range.
        """
        fewest, most = self.players
        if not fewest <= seats <= most:
            people = f"{fewest} to {most}" if fewest < most else str(fewest)
            raise UsageError(f"{self.title} is for {people} players, not for {seats}")
        given = dict(choices or {})
        if unknown := sorted(given.keys() - self.choices.keys()):
            raise UsageError(f"{self.title} has no choice {', '.join(unknown)}")
        found = {name: given.get(name, one.default) for name, one in self.choices.items()}
        for name, value in found.items():
            one = self.choices[name]
            if type(value) is not int or not one.least <= value <= one.most:
                raise UsageError(
                    f"{name} is a whole number from {one.least} to {one.most}, not {value!r:.40}"
                )
        return found


def places(scores: Sequence[int]) -> tuple[int, ...]:
    """For each score its place: 1 for the highest; equals share the better place."""
    return tuple(1 + sum(other > score for other in scores) for score in scores)
