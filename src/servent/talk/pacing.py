"""When a member of a room compares with another: soon after something was missed, often while there is talk, else seldom. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

FIRST = (0.2, 1.0)  # s after entering, or after a neighbour came, or after a gap was seen
EVERY = 30.0  # s; +-30 %
MOST = 300.0  # s while nothing is said and nothing differs; doubled each time
RETRY = 5.0  # s after one that came to nothing; doubled up to `MOST`


class Pacing:
    """Attributes: `due`: when to compare next, in the caller's monotonic seconds."""

    def __init__(self, dice: random.Random, now: float) -> None:
        self._dice = dice
        self._wait, self._retry = EVERY, RETRY
        self.due = now + dice.uniform(*FIRST)

    def soon(self, now: float, after: float = 0.0) -> None:
        """Something was missed, or a neighbour came."""
        self._retry = RETRY
        self.due = min(self.due, now + after + self._dice.uniform(*FIRST))

    def talk(self, now: float) -> None:
        """Something was said: look again within the usual time."""
        self._wait = EVERY
        self.due = min(self.due, now + self._jittered(EVERY))

    def begun(self, now: float) -> None:
        """One is under way."""
        self.due = now + 2 * EVERY

    def done(self, differed: bool, now: float) -> None:
        self._retry = RETRY
        self._wait = EVERY if differed else min(MOST, 2 * self._wait)
        self.due = now + self._jittered(EVERY if differed else self._wait)

    def failed(self, now: float) -> None:
        """Nobody could be asked, or the answer broke off."""
        self.due = now + self._jittered(self._retry)
        self._retry = min(MOST, 2 * self._retry)

    def _jittered(self, wait: float) -> float:
        return wait * self._dice.uniform(0.7, 1.3)
