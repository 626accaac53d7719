"""When the next tick is due, so that all play the same frame at the same moment; and how much delay a link asks for. Pure.

Who is ahead ticks a little slower, who is behind a little faster, by amounts that nobody sees. Otherwise the one who began
first would have all its guesses right, and the others all the rollbacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from servent.play.model import MAX_DELAY, Settings, Timing

LATE = 0.1  # s; who slept for longer does not hurry after: the others wait, and slewing does the rest
LOOK_EVERY = 5.0  # s between two looks at the links
QUIET = 1.0  # s without a change of input, in which a new delay is felt least
PATIENCE = 5.0  # s for which quiet is waited for
LEARN = 0.005 / 60  # of a clock's own error, for each frame of lead and tick; settles in some seconds
FORGET = 1 / (20 * 60)  # of what was learnt, each tick: what all learnt at once would hold all back for good
MOST_LEARNT = 0.006  # clocks of computers are wrong by 0.0001; this is for the worst
SPARE = 2  # frames that rollback hides without anybody noticing
MOST_AUTO = 4  # frames; more delay is felt more than rollbacks are seen


class Pace:
    """The ticks of one player.

    Attributes:
        due: when the next tick is; None: no start was set.
        slew: by which share of a period it is longer than usual, negative: shorter.
    """

    def __init__(self, settings: Settings, timing: Timing) -> None:
        self.due: float | None = None
        self.slew = 0.0
        self._fps, self._period, self._timing = settings.fps, 1 / settings.fps, timing
        self._last: float | None = None
        self._error = 0.0  # our clock against the mean of the others'

    def start(self, at: float) -> None:
        """The first tick is at `at`."""
        self.due = at

    def ticked(self, now: float, leads: Sequence[float], learn: bool = True) -> float:
        """A tick was made. Returns how long we had slept.

        The one furthest behind sets the pace; what remains of a lead over all others together is learnt as our clock's error.

        Args:
            leads: frames that we are ahead of each of the others.
            learn: whether these are all of them; else some learn more than others unlearn.
        """
        assert self.due is not None
        timing, slew = self._timing, 0.0
        if leads:
            mean = sum(leads) / len(leads)
            learnt = self._error * (1 - FORGET) + (mean * LEARN if learn and -1 < mean < 1 else 0.0)
            self._error = min(max(learnt, -MOST_LEARNT), MOST_LEARNT)
            slew = max(leads) * timing.slew + self._error
        self.slew = min(max(slew, -timing.slew_least), timing.slew_most)
        slept = now - self.due
        base = now if slept > LATE else self.due
        self.due = base + self._period * (1 + self.slew)
        self._last = now
        return slept

    def past(self, now: float) -> float:
        """The part of a frame that is past since the last tick, 0.0 to 1.0."""
        if self._last is None:
            return 0.0
        return min((now - self._last) * self._fps, 1.0)


class AutoDelay:
    """Chooses the delay that a link needs, and when to change it: by one frame, and while the player does nothing."""

    def __init__(self, settings: Settings, now: float) -> None:
        self._settings = settings
        self._look_at, self._give_up = now + LOOK_EVERY, 0.0
        self._wanted: int | None = None

    def wanted(self, one_way: float) -> int:
        """Frames of delay for a link whose packets take `one_way` seconds, with few exceptions."""
        frames = ceil(one_way * self._settings.fps)
        if self._settings.mode == "lockstep":
            return min(frames + 1, MAX_DELAY)
        return min(max(frames - SPARE, 0), MOST_AUTO)

    def due(self, now: float) -> bool:
        """Whether `look` wants to know the links."""
        return now >= self._look_at

    def look(self, now: float, delay: int, one_way: float | None, changed: float) -> int:
        """The delay from now on.

        Args:
            delay: as it is.
            one_way: seconds to the player who is furthest away, by its 95th percentile.
            changed: when the local input changed.
        """
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self._wanted = None if one_way is None else self.wanted(one_way)
            self._give_up = now + PATIENCE
        if self._wanted is None or self._wanted == delay:
            return delay
        if now - changed < QUIET and now < self._give_up:
            return delay
        wanted, self._wanted = self._wanted, None
        return delay + (1 if wanted > delay else -1)
