"""What a player remembers of the last ten seconds: all inputs, and the states that were compared. Pure.

Somebody who joins, a report of a desync and a way back out of it all begin with one of these states and the inputs since.
"""

from __future__ import annotations

from collections import deque

from servent.play.model import Confirmed, Settings
from servent.play.states import State

SECONDS = 10
MOST_STATES = 12  # a state of each second, and some


class Recent:
    """The last `SECONDS` of a match.

    Give `add` each `Confirmed` (as `Engine`'s `confirmed`), and `keep` the state of each `Check`.
    """

    def __init__(self, settings: Settings, seconds: int = SECONDS) -> None:
        self._frames: deque[Confirmed] = deque(maxlen=settings.fps * seconds)
        self._states: dict[int, State] = {}

    @property
    def next(self) -> int:
        """The frame after the last one that is final; 0 before the first."""
        return self._frames[-1].frame + 1 if self._frames else 0

    @property
    def newest(self) -> int | None:
        """The last frame whose state is kept; None: none is yet."""
        return max(self._states, default=None)

    def add(self, one: Confirmed) -> None:
        """The next final frame. After a jump, as when somebody joins, all begins anew."""
        if one.frame != self.next:
            self._frames.clear()
            self._states = {at: state for at, state in self._states.items() if at == one.frame}
        self._frames.append(one)

    def keep(self, frame: int, state: State) -> None:
        """The final state of `frame`, which is not to be changed any more."""
        self._states[frame] = state
        while len(self._states) > MOST_STATES:
            del self._states[min(self._states)]

    def drop(self) -> None:
        """No state of ours is worth anything: they were wrong."""
        self._states.clear()

    def state(self, frame: int) -> State | None:
        """The state of `frame`; None: it is not kept (a state itself may be None, but then there is nothing to compare)."""
        return self._states.get(frame)

    def since(self, frame: int) -> list[Confirmed] | None:
        """All final frames from `frame` on; None: some of them are forgotten already."""
        if frame == self.next:
            return []
        if not self._frames or not self._frames[0].frame <= frame < self.next:
            return None
        return [one for one in self._frames if one.frame >= frame]

    def last(self) -> list[Confirmed]:
        """All final frames that are remembered."""
        return list(self._frames)
