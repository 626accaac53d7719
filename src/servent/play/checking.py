"""Plays a game against itself to find what would part two machines. Pure.

The same match is stepped in several ways at once: straight on; from states that went through their bytes and back, as somebody
who joins gets them; and again after going back, as a rollback does. All have to agree in every frame. What differs only
between processes shows when `Report.sums` of two of them are compared (`parted`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from servent.play import dice, hazards
from servent.play.games import Game, Result, Scene
from servent.play.hazards import Hazard
from servent.play.states import NotPlain, State, checksum, difference, pack, unpack

BACK = 8  # frames of a rollback
SUM_EVERY = 60  # frames between two checksums, as in a session
DRAWN = 7  # every so many frames what is drawn is looked through
HELD = 9  # frames that a made-up player holds its buttons on the average: 6.7 changes a second


class Finding(NamedTuple):
    """What is wrong, in which frame (-1: before the first), in words that say what to do."""

    frame: int
    words: str

    def __str__(self) -> str:
        return f"frame {self.frame}: {self.words}" if self.frame >= 0 else self.words


class Report(NamedTuple):
    """What a check came to.

    Attributes:
        findings: at most one of each kind; empty: nothing was found.
        hazards: of reading its source, if that was given.
        frames: how many were stepped; fewer than asked for when the game could not go on.
        sums: frame and checksum, each 60 frames and at the end: equal on all machines.
        most_bytes: of a state.
        rollback: seconds that going back eight frames took, the longest; None without a clock.
        result: of the match, if it ended.
    """

    findings: tuple[Finding, ...]
    hazards: tuple[Hazard, ...]
    frames: int
    sums: tuple[tuple[int, int], ...]
    most_bytes: int
    rollback: float | None
    result: Result | None

    @property
    def good(self) -> bool:
        """Whether nothing wrong was found; what is only doubtful may be."""
        return not self.findings and all(one.level != "wrong" for one in self.hazards)


class _Stop(Exception):
    """The match cannot go on."""


def check(
    game: Game,
    seats: int | None = None,
    *,
    frames: int = 1800,
    seed: int = 1,
    source: str | None = None,
    clock: Callable[[], float] | None = None,
) -> Report:
    """Step a match of `frames` frames, half of its seats by the game's bot, the others by somebody who presses anything.

    Args:
        seats: as many as the game is for at most, if not given.
        source: the text of the game's module.
        clock: seconds, such as `time.perf_counter`; rollbacks are timed with it.
    """
    return _Check(game, game.players[1] if seats is None else seats, seed, clock).run(frames, source)


def parted(one: Report, other: Report) -> int | None:
    """The frame by which two reports of the same match, from two processes, differ; None: they agree."""
    for (frame, mine), (_, theirs) in zip(one.sums, other.sums, strict=False):
        if mine != theirs:
            return frame
    return None if len(one.sums) == len(other.sums) else min(one.frames, other.frames)


def pressed(game: Game, seats: int, seed: int, frames: int) -> list[list[bytes]]:
    """Inputs of people who press anything, for each frame and seat: the same for the same arguments."""
    roll, size = dice.new(seed), game.input_bytes
    held = [game.neutral] * seats
    found = []
    for _ in range(frames):
        for seat in range(seats):
            change, roll = dice.roll(roll, HELD)
            if not change:
                number, roll = dice.roll(roll, 1 << 32)
                bits, roll = dice.roll(roll, 8 * size)
                wild = number.to_bytes(4, "big") * (size // 4 + 1)
                one = (1 << bits).to_bytes(size, "little")
                held[seat] = game.neutral if number % 3 == 0 else one if number % 3 == 1 else wild[:size]
        found.append(list(held))
    return found


class _Check:
    def __init__(self, game: Game, seats: int, seed: int, clock: Callable[[], float] | None) -> None:
        self.game, self.seats, self.seed, self._clock = game, seats, seed, clock
        self._found: dict[str, Finding] = {}
        self._most = 0
        self._slowest: float | None = None if clock is None else 0.0

    def run(self, frames: int, source: str | None) -> Report:
        sums: list[tuple[int, int]] = []
        read = hazards.read(source, floats=self.game.floats) if source is not None else []
        stepped, result = 0, None
        try:
            state, again = self._begin(), self._begin()
            self._same("start", -1, state, again, "`start` gives another state for the same arguments")
            packed, shadow = self._packed(state, -1), state
            past: list[tuple[State, Sequence[bytes], bytes]] = []
            for frame, inputs in enumerate(pressed(self.game, self.seats, self.seed, frames)):
                shadow = unpack(packed, floats=self.game.floats)
                inputs = self._bots(frame, state, shadow, inputs)
                after = self._step(frame, state, inputs)
                self._untouched("step", frame, state, packed, "`step` changes the state it is given")
                there = self._step(frame, shadow, inputs)
                after_packed = self._packed(after, frame)
                self._same(
                    "load", frame, after, there,
                    "the state that was read back from its bytes goes on otherwise (it depends on which objects "
                    "are the same, or on the order in which a dict was filled)",
                )  # fmt: skip
                past.append((state, inputs, after_packed))
                if len(past) == BACK:
                    self._roll_back(frame, past)
                    past.clear()
                state, packed, stepped = after, after_packed, frame + 1
                result = self._seen(frame, state, packed, result)
                if stepped % SUM_EVERY == 0 or stepped == frames:
                    sums.append((stepped, checksum(state, floats=self.game.floats)))
        except _Stop:
            pass
        return Report(
            tuple(self._found.values()), tuple(read), stepped, tuple(sums), self._most, self._slowest, result
        )

    def _find(self, kind: str, frame: int, words: str) -> None:
        self._found.setdefault(kind, Finding(frame, words))

    def _same(self, kind: str, frame: int, one: State, other: State, words: str) -> None:
        if found := difference(one, other):
            self._find(kind, frame, f"{words}: {found}")

    def _untouched(self, kind: str, frame: int, state: State, packed: bytes, words: str) -> None:
        """Whether `state` still has the bytes that it had. A game that changes what it was given cannot be rolled back."""
        if self._packed(state, frame) != packed:
            was = unpack(packed, floats=self.game.floats)
            self._find(kind, frame, f"{words}: {difference(was, state)}. Make the next one: {{**state, …}}")
            raise _Stop

    def _call(self, name: str, frame: int, what: Callable[[], object]) -> object:
        try:
            return what()
        except Exception as wrong:  # anybody's code: whatever it raises is a finding
            self._find(name, frame, f"`{name}` raises {type(wrong).__name__}: {wrong!s:.200}")
            raise _Stop from wrong

    def _begin(self) -> State:
        choices = self._call("chosen", -1, lambda: self.game.chosen(self.seats))
        return self._call("start", -1, lambda: self.game.start(self.seats, self.seed, choices))  # type: ignore[arg-type]

    def _step(self, frame: int, state: State, inputs: Sequence[bytes]) -> State:
        return self._call("step", frame, lambda: self.game.step(state, inputs))

    def _packed(self, state: State, frame: int) -> bytes:
        try:
            packed = pack(state, floats=self.game.floats)
        except NotPlain as wrong:
            self._find("plain", frame, f"{wrong}. {wrong.advice}")
            raise _Stop from wrong
        self._most = max(self._most, len(packed))
        return packed

    def _bots(self, frame: int, state: State, shadow: State, inputs: list[bytes]) -> list[bytes]:
        """Every second seat is the bot's; in mode "turns" whoever has to move, since anything is hardly ever a move."""
        turns = self.game.mode == "turns"
        for seat in range(self.seats):
            if not turns and seat % 2:
                continue
            move = self._call("bot", frame, partial(self.game.bot, state, seat))
            if not isinstance(move, bytes) or len(move) != self.game.input_bytes:
                self._find("bot", frame, f"`bot` gives {move!r:.40}, not {self.game.input_bytes} bytes")
                raise _Stop
            if move != self._call("bot", frame, partial(self.game.bot, shadow, seat)):
                self._find(
                    "bot differs", frame, f"`bot` of seat {seat} does something else for the same state"
                )
            if not turns or frame % 2 == 0:
                inputs[seat] = move
        return inputs

    def _roll_back(self, frame: int, past: list[tuple[State, Sequence[bytes], bytes]]) -> None:
        state, first = past[0][0], frame - len(past) + 1
        began = self._clock() if self._clock else 0.0
        states = []
        for _, inputs, _ in past:
            state = self._step(frame, state, inputs)
            states.append(state)
        if self._clock and self._slowest is not None:
            self._slowest = max(self._slowest, self._clock() - began)
        for index, (again, (_, _, packed)) in enumerate(zip(states, past, strict=True)):
            was = unpack(packed, floats=self.game.floats)
            self._same(
                "again", first + index, was, again, "stepped again from a kept state it comes out otherwise"
            )

    def _seen(self, frame: int, state: State, packed: bytes, before: Result | None) -> Result | None:
        me = None if frame % 3 else frame % self.seats
        scene = self._call("draw", frame, lambda: self.game.draw(state, me))
        result = self._call("result", frame, lambda: self.game.result(state))
        try:
            if type(scene) is not Scene:
                raise msgspec.ValidationError(f"it is a {type(scene).__name__}")
            if frame % DRAWN == 0:
                msgspec.convert(msgspec.to_builtins(scene), Scene)
        except (msgspec.MsgspecError, TypeError, ValueError) as wrong:
            self._find("scene", frame, f"`draw` gives no Scene: {wrong!s:.200}")
        if result is not None and not isinstance(result, Result):
            self._find(
                "result kind", frame, f"`result` gives a {type(result).__name__}, not a Result or None"
            )
            raise _Stop
        if result is not None and {len(result.places), len(result.scores)} != {self.seats}:
            self._find(
                "result size",
                frame,
                f"`result` has not one place and one score for each of {self.seats} seats",
            )
        if before is not None and result != before:
            self._find("result", frame, "`result` changes after the match has ended")
        self._untouched("seeing", frame, state, packed, "`draw`, `result` or `bot` changes the state")
        return result if before is None else before
