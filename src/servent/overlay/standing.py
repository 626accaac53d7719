"""What we think of supernodes by how they answered us: our own opinion, told to nobody. Pure.

Who says something that its publisher never signed has lied, and is asked nothing for a day. Who lacks what others have may
only be new; it is asked after the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from servent.identity import PeerId

BARRED = 86_400.0  # s; as long as items live
PROVEN = 3600.0  # s that a proof counts for its supernode
LIE = 1.0  # weights of strikes; 1.0 bars. It said what its publisher never signed
UNSHOWN = 0.55  # it does not show what it said
LAPSE = (
    0.36  # it lacks what it must have: one may be bad luck, as when it has just become the nearest to a key
)
HALVED = 6 * 3600.0  # s until a strike counts half
SILENT = 300.0  # s for which one that did not answer is asked after the others
FORGET = 0.8  # of the average share of what others had and it lacked, per answer
MOST = 4096  # supernodes remembered; as many as a complete directory has


@dataclass(slots=True)
class _Opinion:
    barred: float = 0.0
    proven: float = 0.0
    strikes: float = 0.0
    struck: float = 0.0
    lacked: float = 0.0
    silent: float = 0.0


class Standing:
    """At most `MOST` supernodes; the one that was heard of first is forgotten first, lies last."""

    def __init__(self) -> None:
        self._of: dict[bytes, _Opinion] = {}

    def __len__(self) -> int:
        return len(self._of)

    def barred(self, peer: bytes, now: float) -> bool:
        """Whether it is asked nothing now."""
        one = self._of.get(peer)
        return one is not None and one.barred > now

    def proven(self, peer: bytes, now: float) -> bool:
        """Whether it has lately shown, or agreed with another on, what it said."""
        one = self._of.get(peer)
        return one is not None and one.proven > now >= one.barred

    def struck(self, peer: bytes, weight: float, now: float) -> bool:
        """What it said is not so. True when that was once too often, and it is barred."""
        one = self._one(peer, now)
        one.strikes = one.strikes * 0.5 ** ((now - one.struck) / HALVED) + weight
        one.struck, one.proven = now, 0.0
        if one.strikes < 1.0:
            return False
        one.strikes = 0.0
        one.barred = now + BARRED
        return True

    def showed(self, peer: bytes, now: float) -> None:
        """What it said is so."""
        self._one(peer, now).proven = now + PROVEN

    def silent(self, peer: bytes, now: float) -> None:
        """It did not answer in time."""
        self._one(peer, now).silent = now + SILENT

    def compared(self, peer: bytes, share: float, now: float) -> None:
        """It lacked that share (0.0 to 1.0) of what was found where it should have had all."""
        one = self._one(peer, now)
        one.lacked = one.lacked * FORGET + share * (1.0 - FORGET)

    def trusted(self, peers: Iterable[PeerId], now: float) -> list[PeerId]:
        """Those that are asked at all; who answers, and completely, first; else in the order given."""
        fit = [peer for peer in peers if not self.barred(peer, now)]
        if any(peer in self._of for peer in fit):
            fit.sort(key=lambda peer: self._doubtful(peer, now))
        return fit

    def _doubtful(self, peer: bytes, now: float) -> int:
        one = self._of.get(peer)
        return 0 if one is None else round(one.lacked * 4) + 4 * (one.silent > now)

    def _one(self, peer: bytes, now: float) -> _Opinion:
        one = self._of.get(peer)
        if one is None:
            if len(self._of) >= MOST:
                del self._of[
                    next((key for key, old in self._of.items() if old.barred <= now), next(iter(self._of)))
                ]
            one = self._of[peer] = _Opinion()
        return one
