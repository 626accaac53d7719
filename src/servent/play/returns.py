"""At which frame somebody comes into a match that runs: agreed on without a word more than inputs. Pure.

Who welcomes a player puts a *mark* on one of his own inputs: "this seat is back soon". Everybody needs that input before its frame
is final, so when that frame is final everybody has the same marks, in the same order, and the same idea of who is gone. Then the
mark is weighed, and a seat that may come back does so a second and a half after it, in a frame that nobody can have stepped yet. Nobody
waits for an answer; a mark that its sender did not live to send exists for nobody.
"""

from __future__ import annotations

from servent.play.inputs import KEPT
from servent.play.model import MAX_DELAY, Settings
from servent.play.rollback import Rollback
from servent.play.wire import Run


class Returns:
    """The marks that are known, and what came of them.

    Attributes:
        ahead: frames from a mark to the return: one and a half seconds, and more than anybody steps with guesses.
        until: before this frame no other mark counts: seats come back one at a time.
    """

    def __init__(self, settings: Settings, me: int) -> None:
        self._me = me
        self._settled = settings.predicted + MAX_DELAY + 2  # frames in which all know who is gone
        self.ahead = max(settings.fps * 3 // 2, 2 * self._settled)
        self.until = 0
        self._marks: dict[tuple[int, int], int] = {}  # frame, by whom: which seat
        self._weighed = -1
        self._wanted: int | None = None
        self._asked = -1

    def welcome(self, seat: int | None) -> None:
        """Mark one of our next inputs; again, should another mark come first. None: no more."""
        self._wanted = seat

    def pressed(self, frame: int, rollback: Rollback) -> None:
        """Our input of `frame` is made: the moment for a mark."""
        seat = self._wanted
        if seat is None or frame <= self._asked or not self._may(seat, frame, rollback):
            return
        self._marks[frame, self._me] = seat
        self._asked = frame + self.ahead

    def came(self, run: Run, first: int, last: int) -> None:
        """Of `run` the frames from `first` to `last` were new."""
        for frame, seat in run.marks:
            if first <= frame <= last:
                self._marks[frame, run.player] = seat

    def of(self, player: int, first: int, last: int) -> tuple[tuple[int, int], ...]:
        """The marks of `player` in these frames, for a packet."""
        if not self._marks:
            return ()
        return tuple(
            (frame, seat)
            for (frame, by), seat in sorted(self._marks.items())
            if by == player and first <= frame <= last
        )

    def weigh(self, confirmed: int, rollback: Rollback) -> list[tuple[int, int]]:
        """Frames up to `confirmed` are final: which seats come back, and at which frames."""
        if not self._marks:
            self._weighed = confirmed
            return []
        found = []
        for (frame, _), seat in sorted(self._marks.items()):
            if self._weighed < frame <= confirmed and self._may(seat, frame, rollback):
                self.until = frame + self.ahead
                found.append((seat, self.until))
                if seat == self._wanted:
                    self._wanted = None
        self._weighed = max(confirmed, self._weighed)
        for old in [key for key in self._marks if key[0] < confirmed - KEPT]:
            del self._marks[old]
        return found

    def enter(self, frame: int, at: int) -> None:
        """We come in ourselves: what was marked before our first frame is known by then."""
        self._weighed, self.until = frame - 1, at

    def _may(self, seat: int, frame: int, rollback: Rollback) -> bool:
        return (
            frame >= (self.until + self._settled if self.until else 0)
            and rollback.is_away(seat)
            and frame >= rollback.away[seat][-1][0] + self._settled
        )
