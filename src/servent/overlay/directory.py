"""Which supernodes there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.effects import Effect
from servent.overlay.part import Part
from servent.overlay.records import SupernodeRecord
from servent.overlay.topology import Topology


class Directory(Part):
    def __init__(self, context: Context, topology: Topology) -> None:
        self._context, self.topology = context, topology
        self.changed: list[Callable[[float], list[Effect]]] = []
        self.own: SupernodeRecord | None = None

    def records(self, now: float) -> Sequence[SupernodeRecord]:
        return []

    def get(self, key: bytes, now: float) -> SupernodeRecord | None:
        return None

    def nearest(self, key: bytes, count: int, now: float, *, storing: bool = False) -> list[PeerId]:
        return []

    def random(self, count: int, now: float, leave_out: Sequence[bytes] = ()) -> list[PeerId]:
        return []

    def put(self, record: SupernodeRecord, now: float) -> bool:
        return False

    def members(self, now: float) -> int:
        return 0

    def shape(self, topology: Topology, now: float) -> list[Effect]:
        return []

    def serve(self, record: SupernodeRecord, now: float) -> list[Effect]:
        return []

    def retire(self, now: float) -> list[Effect]:
        return []
