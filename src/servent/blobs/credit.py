"""What peers gave us and took from us, and how much that counts when they want something. A core.

The score is eMule's (`CClientCredits::GetScoreRatio`): the lower of twice the ratio given to taken and of
the square root of the MB given plus 2, from 1 to 10. The root bounds what a single gift buys; the ratio is used up by
taking. Who gave less than 1 MB has a score of 1, and so has every new key: a fresh identity never has more than an
old one that only takes, so changing it gains nothing (Friedman and Resnick, "The Social Cost of Cheap
Pseudonyms", 2001), and a thousand new identities together have no credit either.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import NamedTuple

from servent.identity import PeerId

MOST_CREDITS = 10_000  # peers remembered; beyond, who was not heard of for the longest time is forgotten
LEAST_GIFT = 1_000_000  # bytes; eMule's threshold
MOST_SCORE = 10.0  # eMule's
HALF_LIFE = 30 * 86400.0  # s after which a gift counts half; a guess: a merit of last year is no merit now
MOST_BYTES = 1 << 50  # of one peer, in either direction: what is remembered stays a number that fits


class Credit(NamedTuple):
    gave_bytes: int = 0  # it sent us
    took_bytes: int = 0  # we sent it

    @property
    def score(self) -> float:
        """From 1.0 (nothing, or used up) to 10.0."""
        if self.gave_bytes < LEAST_GIFT:
            return 1.0
        ratio = 2 * self.gave_bytes / max(1, self.took_bytes)
        return max(1.0, min(ratio, sqrt(self.gave_bytes / 1e6 + 2), MOST_SCORE))

    @property
    def giver(self) -> bool:
        """Whether it has credit left."""
        return self.score > 1.0


NOTHING = Credit()


class Credits:
    """Remembers a bounded number of peers. `changed` names those to be written down."""

    def __init__(self, most: int = MOST_CREDITS) -> None:
        self._most = most
        self._credits: dict[PeerId, Credit] = {}  # least recently heard of first
        self.changed: set[PeerId] = set()

    def __len__(self) -> int:
        return len(self._credits)

    def __iter__(self) -> Iterator[PeerId]:
        return iter(self._credits)

    def get(self, peer: PeerId) -> Credit:
        return self._credits.get(peer, NOTHING)

    def set(self, peer: PeerId, credit: Credit) -> None:
        """What is known of `peer` now; it becomes the one heard of last."""
        self._credits.pop(peer, None)
        if len(self._credits) >= self._most:
            self._forget_one()
        gave, took = credit
        self._credits[peer] = Credit(min(gave, MOST_BYTES), min(took, MOST_BYTES))
        self.changed.add(peer)

    def gave(self, peer: PeerId, size: int) -> None:
        """It sent us `size` verified bytes."""
        gave, took = self.get(peer)
        self.set(peer, Credit(gave + size, took))

    def took(self, peer: PeerId, size: int) -> None:
        """We sent it `size` bytes."""
        gave, took = self.get(peer)
        self.set(peer, Credit(gave, took + size))

    def age(self, passed: float) -> None:
        """`passed` seconds of wall clock went by: everything counts less."""
        keep = 0.5 ** (max(0.0, passed) / HALF_LIFE)
        self._credits = {
            peer: Credit(int(gave * keep), int(took * keep)) for peer, (gave, took) in self._credits.items()
        }
        self.changed |= self._credits.keys()

    def _forget_one(self) -> None:
        # Of who only took nothing is lost: it is what a stranger is. So those go first, among the oldest.
        oldest = [peer for peer, _ in zip(self._credits, range(64), strict=False)]
        gone = next((peer for peer in oldest if not self._credits[peer].giver), oldest[0])
        del self._credits[gone]
        self.changed.add(gone)
