"""What the parts of a member have in common. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from servent.identity import PeerId
from servent.overlay.effects import Effect

Handler = Callable[[PeerId, Any, float], list[Effect]]


class Part:
    """One concern of a member. `member` hands it the messages that `handlers` names, and tells it of links.

    `now` is monotonic seconds, the same clock for every call. Nothing raises for what a peer sent, but
    BadMessage, which costs the peer (`member` counts it).
    """

    def handlers(self) -> Mapping[type, Handler]:
        """Which messages it takes, by type."""
        return {}

    def up(self, peer: PeerId, now: float) -> list[Effect]:
        """A connection with `peer` is there."""
        return []

    def down(self, peer: PeerId, now: float) -> list[Effect]:
        """There is none any more."""
        return []

    def failed(self, peer: PeerId, now: float) -> list[Effect]:
        """A message could not be delivered, or a connection not made."""
        return []

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        return []

    def next_tick(self) -> float | None:
        """When something is due; None for never."""
        return None
