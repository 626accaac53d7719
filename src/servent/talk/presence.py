"""Who is here, and how: this node's person, and the friends. Cores: `now` is the caller's monotonic clock in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.talk.views import Presence
from servent.talk.wire import Here

LINGER = 8.0  # s a friend whose connection is gone is still shown: most are back within that, see net.pulse
HEARD_RATE, HEARD_BURST = 0.5, 20.0  # changes per second that are taken of one friend
MOST_HEARD = 10_000
Chosen = Literal["available", "away", "offline"]


class Mine:
    """How this node's person is. `idle_away`: seconds without a touch that make "available" away, 0 for never."""

    def __init__(
        self, now: float, presence: Chosen = "available", note: str = "", idle_away: float = 600.0
    ) -> None:
        self.presence: Chosen = presence
        self.note, self.idle_away = note, idle_away
        self.doing = ""
        self._touched = now

    def touch(self, now: float) -> None:
        self._touched = now

    def shown(self, now: float) -> Presence:
        """What friends see."""
        if self.presence == "offline":
            return "offline"
        if self.doing:
            return "match"
        if self.presence == "available" and self.idle_away and now >= self._touched + self.idle_away:
            return "away"
        return self.presence

    def here(self, now: float) -> Here:
        """The same as friends are told it; nothing else is told when it is "offline"."""
        shown = self.shown(now)
        return Here("offline") if shown == "offline" else Here(shown, self.note, self.doing)

    def next_tick(self, now: float) -> float | None:
        """When it changes by itself."""
        if self.presence != "available" or not self.idle_away or self.doing:
            return None
        at = self._touched + self.idle_away
        return at if at > now else None


@dataclass(slots=True)
class _Friend:
    here: Here
    bucket: TokenBucket
    leaves: float | None = None


OFFLINE = Here("offline")


class Others:
    """How the friends are, by their own words over their own connections."""

    def __init__(self, linger: float = LINGER) -> None:
        self._linger = linger
        self._friends: dict[PeerId, _Friend] = {}

    def of(self, peer: PeerId) -> Here:
        friend = self._friends.get(peer)
        return OFFLINE if friend is None else friend.here

    def heard(self, peer: PeerId, here: Here, now: float) -> tuple[Here, Here] | None:
        """A friend says how it is. What was before and is now, or None when nothing changed, or it changes too often."""
        friend = self._friends.get(peer)
        if friend is None:
            if here.presence == "offline" or len(self._friends) >= MOST_HEARD:
                return None
            friend = self._friends[peer] = _Friend(OFFLINE, TokenBucket(HEARD_RATE, HEARD_BURST))
        friend.leaves = None
        if here == friend.here:
            return None
        if not friend.bucket.allow(1, now) and here.presence != "offline":  # who wants to be unseen is
            return None
        before, friend.here = friend.here, here
        return before, here

    def gone(self, peer: PeerId, now: float) -> None:
        """Its connection is over: offline, unless it says something new soon."""
        friend = self._friends.get(peer)
        if friend is not None and friend.leaves is None:
            friend.leaves = now + self._linger

    def forget(self, peer: PeerId) -> bool:
        """It is no friend any more. Whether it was shown as there."""
        friend = self._friends.pop(peer, None)
        return friend is not None and friend.here.presence != "offline"

    def tick(self, now: float) -> list[PeerId]:
        """Who is offline from now on."""
        gone = [
            peer
            for peer, friend in self._friends.items()
            if friend.leaves is not None and friend.leaves <= now
        ]
        return [peer for peer in gone if self.forget(peer)]

    def next_tick(self) -> float | None:
        return min(
            (friend.leaves for friend in self._friends.values() if friend.leaves is not None), default=None
        )
