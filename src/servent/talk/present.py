"""Who is in a room now: what members say of themselves at entering, leaving, and every ten minutes. Pure.

Where many are here only some of them say so, each for several: a hundred words in ten minutes tell how many there are, and
cost each member less than one message a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

EVERY = 600.0  # s between two words of one member; +-20 %
LASTS = 780.0  # s that a word holds
SPEAKERS = 100  # who say that they are here in `EVERY`, where there are more
FIRST = (3.0, 12.0)  # s until the first word, so that one who enters learns first how many are here
MOST = 2048  # peers that are remembered
MOST_WEIGHT = 1000
TOLD_EVERY = 60.0  # s; what one member says more often is passed over


class Present:
    """Times are seconds on the caller's monotonic clock."""

    def __init__(self, dice: random.Random, now: float) -> None:
        self._dice = dice
        self._until: dict[bytes, tuple[float, int]] = {}  # until when, for how many
        self._hint = (0.0, 0)  # until when it holds, what others counted
        self._said: tuple[float, int] | None = None
        self.due = now + dice.uniform(*FIRST)

    def heard(self, peer: bytes, now: float, weight: int = 1, *, spoke: bool = False) -> bool:
        """It is here. Whether it was not known to be."""
        before = self._until.pop(peer, None)
        here = before is not None and before[0] > now
        if spoke:
            weight = before[1] if here and before is not None else 1
        while len(self._until) >= MOST:
            del self._until[next(iter(self._until))]
        self._until[peer] = (now + LASTS, min(weight, MOST_WEIGHT))
        return not here

    def gone(self, peer: bytes) -> bool:
        return self._until.pop(peer, None) is not None

    def told(self, count: int, now: float) -> None:
        """Another member counts so many."""
        if now >= self._hint[0] or count > self._hint[1]:
            self._hint = (now + LASTS, count)

    def here(self, peer: bytes, now: float) -> bool:
        return self._until.get(peer, (0.0, 0))[0] > now

    def peers(self, now: float) -> list[bytes]:
        return [peer for peer, (until, _) in self._until.items() if until > now]

    def count(self, now: float) -> int:
        """How many are here besides us: exact where they are few."""
        return sum(weight for until, weight in self._until.values() if until > now)

    def tick(self, now: float) -> int:
        """At `due`: for how many we say that we are here; 0: others do."""
        self.due = now + EVERY * self._dice.uniform(0.8, 1.2)
        for peer in [peer for peer, (until, _) in self._until.items() if until <= now]:
            del self._until[peer]
        many = max(self.count(now), self._hint[1] if self._hint[0] > now else 0)
        weight = min(MOST_WEIGHT, max(1, round(many / SPEAKERS)))
        if weight > 1 and self._dice.random() >= 1 / weight:
            return 0
        self._said = (now, weight)
        return weight

    def leaving(self, now: float) -> int:
        """For how many we say that we go; 0 when nobody was told that we are here."""
        if self._said is None or now - self._said[0] > LASTS:
            return 0
        return self._said[1]
