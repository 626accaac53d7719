"""How a peer behaved towards us, as one number, and whom we refuse because of it. Pure.

What is good for counts little and fades, what is bad counts much (after GossipSub 1.1's scoring, Vyzovitis et al. 2020). A score is our own opinion; it is never passed on.
"""

from __future__ import annotations

from math import exp, log
from typing import Final

FIRST = 1.0  # somebody told us some news first
FIRST_MOST = 20.0
TIME_MOST = 10.0  # a point for each minute as a neighbour
FORGED = -100.0  # a signature that does not hold, or a message that is none
PROMISED = -5.0  # news was announced and never came
RATE = -2.0  # more than anyone needs
FADING: Final = -log(0.99) / 10.0  # 1 % in 10 s

NO_NEWS = -20.0  # below it, no gossip is taken from a peer
DROP = -50.0  # below it, it is no neighbour for `REFUSED`
BAN = -100.0  # below it, it and its address block are refused for `BANNED`
REFUSED = 600.0  # s
BANNED = 86_400.0  # s
MOST = 2048  # peers with a score, and as many refused


class Scores:
    """Of all peers that did something worth a score. Times are seconds on the caller's clock."""

    __slots__ = ("_kept", "_refused")

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[float, float]] = {}  # points, at
        self._refused: dict[bytes | str, float] = {}  # keys, and blocks: until when

    def of(self, peer: bytes, now: float, since: float | None = None) -> float:
        """Points of `peer`; `since`: a neighbour since then."""
        points = 0.0 if since is None else min(TIME_MOST, (now - since) / 60.0)
        kept = self._kept.get(peer)
        return points if kept is None else points + kept[0] * exp(FADING * (kept[1] - now))

    def add(self, peer: bytes, points: float, now: float, block: str = "") -> bool:
        """Take it down. True when `peer` is refused from now on because of it; `block`: its address block if that is known."""
        before = self.of(peer, now)
        after = min(FIRST_MOST, before + points) if points > 0 else before + points
        self._kept.pop(peer, None)
        if len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]  # nothing was heard of it for longest
        self._kept[peer] = (after, now)
        if points > 0 or after >= DROP:
            return False
        self._refuse(peer, now + (BANNED if after < BAN else REFUSED))
        if after < BAN and block:
            self._refuse(block, now + BANNED)
        return True

    def refuses(self, peer: bytes, now: float, block: str = "") -> bool:
        """Whether nothing is wanted of `peer` now, or of anyone in `block`."""
        if not self._refused:
            return False
        return self._refused.get(peer, now) > now or (block != "" and self._refused.get(block, now) > now)

    def expire(self, now: float) -> None:
        """Forget what no longer says anything; now and then."""
        if self._kept:
            self._kept = {peer: kept for peer, kept in self._kept.items() if abs(self.of(peer, now)) >= 0.5}
        if self._refused:
            self._refused = {what: until for what, until in self._refused.items() if until > now}

    def _refuse(self, what: bytes | str, until: float) -> None:
        if what not in self._refused and len(self._refused) >= MOST:
            del self._refused[next(iter(self._refused))]
        self._refused[what] = max(until, self._refused.get(what, 0.0))
