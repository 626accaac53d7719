"""What we think of peers that publish or pass on: forged batches, false keys and things that nobody has cost. Pure.

Our own opinion only; nobody is told. Whoever's score reaches 100 is refused for a day, and what is kept of it goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from servent.limits import TokenBucket
from servent.overlay.records import Item

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

FORGED = 25.0  # a batch whose signature does not hold, or an item that is not in it
FALSE_KEY = 10.0  # an item under the key of a word that it does not have
UNPROVEN = 40.0  # it could be asked, and did not have what it publishes
GREEDY = 2.0  # more, or faster, than it may
LIMIT = 100.0
DECAY = 1 / 60  # a second
REFUSED = 86_400.0  # s
MOST = 8192  # remembered
CHECKS = 30.0  # spot checks a minute


@dataclass(slots=True)
class _Opinion:
    score: float
    at: float
    refused: float = 0.0  # until when


class Publishers:
    """Scores by key. Times are seconds on the caller's clock.

    Args:
        spot_check: one in so many new items is asked for.
    """

    def __init__(self, dice: random.Random, spot_check: int = 20) -> None:
        self._dice, self._spot_check = dice, spot_check
        self._of: dict[bytes, _Opinion] = {}
        self._checks = TokenBucket(CHECKS / 60.0, CHECKS)

    def refused(self, peer: bytes, now: float) -> bool:
        """Whether nothing of it is taken now."""
        known = self._of.get(peer)
        return known is not None and known.refused > now

    def score(self, peer: bytes, now: float) -> float:
        """0 for nothing wrong, 100 for refused."""
        known = self._of.get(peer)
        if known is None:
            return 0.0
        return LIMIT if known.refused > now else max(0.0, known.score - (now - known.at) * DECAY)

    def wrong(self, peer: bytes, weight: float, now: float) -> bool:
        """It did something wrong. True when it is refused from now on: then forget what is kept of it."""
        known = self._of.get(peer)
        score = self.score(peer, now) + weight
        if known is None:
            if len(self._of) >= MOST:
                self._forget(now)
            known = self._of[peer] = _Opinion(score, now)
        was = known.refused > now
        known.score, known.at = score, now
        if score >= LIMIT and not was:
            known.refused, known.score = now + REFUSED, 0.0
            return True
        return False

    def sample(self, items: Sequence[Item], now: float) -> list[Item]:
        """Which of these new items to ask their publisher for: one in `spot_check`, and few a minute in all."""
        count, rest = divmod(len(items), self._spot_check)
        count += self._dice.random() * self._spot_check < rest
        while count and not self._checks.allow(count, now):
            count -= 1
        return self._dice.sample(items, count) if count else []

    def _forget(self, now: float) -> None:
        """Those with the least against them go first."""
        ordered = sorted(self._of, key=lambda one: (self._of[one].refused > now, self.score(one, now)))
        for peer in ordered[: MOST // 8]:
            del self._of[peer]
