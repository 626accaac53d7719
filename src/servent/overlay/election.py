"""Whether we carry the index role, and why."""

from __future__ import annotations

from dataclasses import dataclass

from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.effects import Effect
from servent.overlay.part import Part
from servent.overlay.topology import Topology, Wish


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this machine can do, as its shell measured it.

    Attributes:
        addresses: "ip:port" others may reach us at, best first.
        session, average_session: seconds this one lasts, and earlier ones lasted.
        up: bytes per second.
        memory: free bytes. files: descriptors allowed. load: 0.0 to 1.0.
        metered, battery: reasons not to.
        clock_off: seconds our clock differs from that of others; None not known.
    """

    addresses: tuple[str, ...] = ()
    mapped: bool = False
    session: float = 0.0
    average_session: float = 0.0
    up: float = 0.0
    memory: int = 0
    files: int = 0
    load: float = 0.0
    metered: bool = False
    battery: bool = False
    clock_off: float | None = None


class Election(Part):
    def __init__(self, context: Context, directory: Directory, topology: Topology, wish: Wish) -> None:
        self._context, self._directory = context, directory
        self.index = False
        self.retiring = False
        self.why = ""

    def leaves_are(self, leaves: int, now: float) -> list[Effect]:
        return []

    def measured(self, abilities: Abilities, now: float) -> list[Effect]:
        return []

    def shape(self, topology: Topology, wish: Wish, now: float) -> list[Effect]:
        return []

    def close(self, now: float) -> list[Effect]:
        return []
