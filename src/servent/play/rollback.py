"""The frames of one player's game: what is stepped, with which inputs, and what has to be stepped again. Pure.

Whoever holds all inputs of a frame steps it for good. A frame of which some are missing is stepped with guesses, `window` of
them at most; when an input comes that is not what was guessed, the state before that frame is loaded and all are stepped again.
"""

from __future__ import annotations

from servent.play.inputs import KEPT, Inputs
from servent.play.model import Advance, Check, Confirmed, Load, Request, Save, Settings

NEVER = 1 << 62


class Rollback:
    """Steps frames.

    Args:
        inputs: one for each player, filled by somebody else, who calls `came` for each that is new.
        me: the player who sits here; its input for a frame is there when the frame is stepped.

    Attributes:
        frame: how many frames were stepped.
        confirmed: the last frame of which all inputs are known; its state and all before it will never change.
        away: for each player who was or is gone, the frames in which: first, and the one after the last. The last two times.
    """

    def __init__(self, settings: Settings, inputs: list[Inputs], me: int) -> None:
        self.frame, self.confirmed = 0, -1
        self.away: dict[int, list[tuple[int, int]]] = {}
        self.depths: list[int] = [0] * (settings.predicted + 1)  # rollbacks of so many frames
        self.again = 0  # frames that were stepped more than once
        self._inputs, self._me, self._most = inputs, me, settings.predicted
        self._every = settings.check_every
        self._stepped: list[tuple[bytes, ...]] = [()] * KEPT
        self._bad = NEVER
        self._told, self._next_check = -1, settings.check_every

    @property
    def held_up(self) -> bool:
        """Whether the next frame would be one guess too many."""
        return self.frame > self.confirmed + self._most

    def came(self, player: int, frame: int, value: bytes) -> None:
        """The input of `player` for `frame` is now known to be `value`."""
        if frame < self.frame and frame < self._bad and self._stepped[frame & (KEPT - 1)][player] != value:
            self._bad = frame

    def leave(self, player: int, cut: int) -> None:
        """`player` played its last frame: from the one after `cut` on it does nothing, and the inputs say so."""
        times = self.away.setdefault(player, [])
        first = cut + 1
        if times and times[-1][1] >= first:  # back in name only
            first = times.pop()[0]
        times.append((first, NEVER))
        del times[:-2]
        if cut + 1 < self.frame:
            self._bad = min(self._bad, cut + 1)

    def comes_back(self, player: int, at: int) -> None:
        """`player`, who is away, plays again from `at` on, which was not stepped yet."""
        times = self.away[player]
        times[-1] = (times[-1][0], at)

    def enter(self, frame: int) -> None:
        """Begin with the state of `frame`, as somebody who comes later."""
        self.frame, self.confirmed, self._told = frame, frame - 1, frame - 1
        self._next_check = (frame // self._every + 1) * self._every

    def is_away(self, player: int) -> bool:
        """Whether `player` is gone, and nobody knows until when."""
        times = self.away.get(player)
        return times is not None and times[-1][1] == NEVER

    def settle(self) -> list[Request]:
        """What follows from the inputs that came: frames stepped again, frames that are final, checksums that are due."""
        known = [
            inputs.last
            for player, inputs in enumerate(self._inputs)
            if player != self._me and (not self.away or not self.is_away(player))
        ]
        self.confirmed = min(known) if known else self.frame
        requests: list[Request] = []
        if self._bad < self.frame:
            self._roll_back(requests)
        self._bad = NEVER
        while self._told < self.confirmed and self._told + 1 < self.frame:
            self._told += 1
            inputs = self._stepped[self._told & (KEPT - 1)]
            requests.append(Confirmed(self._told, inputs, self._gone(self._told)))
        while self._next_check <= self.confirmed + 1 and self._next_check < self.frame:
            requests.append(Check(self._next_check))
            self._next_check += self._every
        return requests

    def again_from(self, frame: int) -> list[Request]:
        """Step all frames from `frame` on again, as they were stepped: the state was another one than it should."""
        requests: list[Request] = []
        until, self.frame = self.frame, frame
        while self.frame < until:
            self._save(requests)
            requests.append(Advance(self.frame, self._gather(), self._gone(self.frame), again=True))
            self.frame += 1
        return requests

    def step(self) -> list[Request]:
        """The next frame; never when `held_up`, nor before `settle`."""
        requests: list[Request] = []
        self._save(requests)
        requests.append(Advance(self.frame, self._gather(), self._gone(self.frame)))
        self.frame += 1
        return requests

    def _roll_back(self, requests: list[Request]) -> None:
        until, self.frame = self.frame, self._bad
        depth = until - self.frame
        self.depths[min(depth, len(self.depths) - 1)] += 1
        self.again += depth
        requests.append(Load(self.frame))
        while True:
            requests.append(Advance(self.frame, self._gather(), self._gone(self.frame), again=True))
            self.frame += 1
            if self.frame == until:
                return
            self._save(requests)

    def _save(self, requests: list[Request]) -> None:
        """Only what may be loaded, or looked at, is saved: nothing before `confirmed` changes any more."""
        if self.frame > self.confirmed or self.frame % self._every == 0:
            requests.append(Save(self.frame))

    def _gather(self) -> tuple[bytes, ...]:
        frame = self.frame
        inputs = tuple(
            [one._ring[frame & (KEPT - 1)] if frame <= one.last else one.guess for one in self._inputs]
        )
        if self.away and (gone := self._gone(frame)):
            inputs = tuple(
                one.nothing if gone >> player & 1 else value
                for player, (one, value) in enumerate(zip(self._inputs, inputs, strict=True))
            )
        self._stepped[frame & (KEPT - 1)] = inputs
        return inputs

    def _gone(self, frame: int) -> int:
        if not self.away:
            return 0
        return sum(
            1 << player
            for player, times in self.away.items()
            if any(first <= frame < until for first, until in times)
        )
