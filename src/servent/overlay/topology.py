"""What the mode of a network changes, all of it: who may carry the index role, and how many there are. Pure.

Nothing else in this room, or above it, knows the difference between the modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from servent.overlay.records import SupernodeRecord
from servent.overlay.settings import HomeSettings
from servent.trust.networks import Mode

Wish = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True)
class Topology:
    """A network's signed settings, as far as they concern its shape.

    Attributes:
        servers: keys that carry the index role in the server mode.
    """

    mode: Mode
    servers: frozenset[bytes] = frozenset()

    def accepts(self, record: SupernodeRecord) -> bool:
        """Whether that peer may be a supernode here at all; what it must prove is the directory's business."""
        return self.mode != "server" or record.peer.key in self.servers

    def role(self, me: bytes, wish: Wish) -> bool | None:
        """Whether we carry the index role: True, False, or None when it is to be elected."""
        if self.mode == "server":
            return me in self.servers and wish != "off"
        if wish == "off":
            return False
        if self.mode == "p2p" or wish == "on":
            return True
        return None

    @property
    def elected(self) -> bool:
        return self.mode == "hybrid"

    def most_items(self, settings: HomeSettings) -> int:
        """Items that one publisher may have at a home."""
        return settings.items_server if self.mode == "server" else settings.items
