"""When our own word on where we are goes out, and when whom is looked up by key. A core: time and dice are arguments.

Both cost others something: a look-up in a public place is some dozens of packets, and tells that place whom we miss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from servent.identity import PeerId

if TYPE_CHECKING:
    import random

SETTLE, SETTLE_MOST = 1.0, 5.0  # s after the last change, and after the first one, until it is told
AGAIN = (2700.0, 3600.0)  # s between two times of the same word; Mainline nodes forget after two hours
RETRY, RETRY_MOST = 30.0, 900.0  # s after nobody took it; doubled each time

FIRST_AGAIN, LONGEST = 2.0, 900.0  # s between two look-ups of one peer that stays away; doubled each time
SPACING, SPACING_MOST = (
    2.0,
    15.0,
)  # s between two look-ups of one peer, whoever asks; doubled while they lead to nothing
AT_ONCE = 8  # look-ups
MOST = 512  # peers that are looked for in the long run
HURRIED = 2.0  # s over which look-ups are spread when our own network has changed


class Publishing:
    """One place that keeps our word. `due`, then `done`."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._changed_at: float | None = None  # the first change that is not told yet
        self._due: float | None = None
        self._failures = 0

    def changed(self, now: float) -> None:
        """What we say is no longer so."""
        if self._changed_at is None:
            self._changed_at = now
        self._failures = 0
        self._due = min(now + SETTLE, self._changed_at + SETTLE_MOST)

    def due(self, now: float) -> bool:
        """Whether it goes out now. True is said once; `done` follows."""
        if self._due is None or now < self._due:
            return False
        self._due = self._changed_at = None
        return True

    def done(self, now: float, places: int) -> None:
        """It is in so many places now."""
        if places:
            self._failures, wait = 0, self._dice.uniform(*AGAIN)
        else:
            wait = min(RETRY_MOST, RETRY * 2.0 ** min(self._failures, 10)) * self._dice.uniform(0.75, 1.25)
            self._failures += 1
        if self._due is None:  # a change that came meanwhile goes first
            self._due = now + wait

    def hurry(self, now: float) -> None:
        """There may be a way again to who was not reached."""
        if self._failures and self._due is not None:
            self._failures = 0
            self._due = min(self._due, now + SETTLE)

    def next_tick(self) -> float | None:
        return self._due


@dataclass(slots=True)
class _Sought:
    due: float
    failures: int = 0


class Seeking:
    """Whom we look for. One who does not appear is looked for ever more rarely."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._sought: dict[PeerId, _Sought] = {}
        self._running: set[PeerId] = set()
        self._rests: dict[PeerId, tuple[float, float]] = {}  # until when, and how long; at most 2 * MOST

    def want(self, peer: PeerId, now: float, after: float = 0.0) -> None:
        """Look `peer` up in `after` seconds, and again, until `drop`. Known already: at the soonest of both times."""
        due = max(now + after, self._rest(peer, now))
        known = self._sought.get(peer)
        if known is None and len(self._sought) < MOST:
            self._sought[peer] = _Sought(due)
        elif known is not None and not known.failures:
            known.due = min(known.due, due)

    def drop(self, peer: PeerId) -> None:
        """It is here, or no longer wanted."""
        self._sought.pop(peer, None)
        self._rests.pop(peer, None)

    def wanted(self) -> list[PeerId]:
        return list(self._sought)

    def may(self, peer: PeerId, now: float) -> bool:
        """Whether somebody who asks for `peer` now gets a look-up of its own; then it has begun."""
        if peer in self._running or len(self._running) >= 4 * AT_ONCE:
            return False
        if now < self._rest(peer, now):
            return False
        self._begin(peer, now)
        return True

    def due(self, now: float) -> list[PeerId]:
        """Whom to look up now; each until `ended`."""
        ready = sorted(
            (one.due, peer)
            for peer, one in self._sought.items()
            if one.due <= now and peer not in self._running
        )
        chosen = [peer for _, peer in ready[: max(0, AT_ONCE - len(self._running))]]
        for peer in chosen:
            self._begin(peer, now)
        return chosen

    def ended(self, peer: PeerId, now: float) -> None:
        """The look-up is over. Who is still wanted is looked up again later, found or not: it may have moved on."""
        self._running.discard(peer)
        one = self._sought.get(peer)
        if one is not None:
            wait = min(LONGEST, FIRST_AGAIN * 2.0 ** min(one.failures, 20))
            one.failures += 1
            one.due = now + wait * self._dice.uniform(0.75, 1.25)

    def hurry(self, now: float) -> None:
        """The network around us is another one, or is back."""
        self._rests = {peer: (min(until, now + SPACING), SPACING) for peer, (until, _) in self._rests.items()}
        for peer, one in self._sought.items():
            one.failures = 0
            soon = max(now, self._rest(peer, now)) + self._dice.uniform(0.0, HURRIED)
            one.due = min(one.due, soon)

    def next_tick(self) -> float | None:
        if len(self._running) >= AT_ONCE:
            return None  # the end of one of them wakes us
        return min((one.due for peer, one in self._sought.items() if peer not in self._running), default=None)

    def _rest(self, peer: PeerId, now: float) -> float:
        """From when on it may be looked up."""
        return self._rests.get(peer, (now, 0.0))[0]

    def _begin(self, peer: PeerId, now: float) -> None:
        self._running.add(peer)
        until, rest = self._rests.pop(peer, (now, 0.0))
        long_ago = now > until + LONGEST
        rest = SPACING if long_ago else min(SPACING_MOST, max(SPACING, 2.0 * rest))
        self._rests[peer] = now + rest, rest
        if len(self._rests) > 2 * MOST:
            del self._rests[next(iter(self._rests))]
