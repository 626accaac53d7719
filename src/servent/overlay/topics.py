"""Neighbours and news, per topic: the network's own, and rooms."""

from __future__ import annotations

from collections.abc import Iterable

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.effects import Effect
from servent.overlay.part import Part
from servent.overlay.records import PeerRecord


class Topics(Part):
    def __init__(self, context: Context) -> None:
        self._context = context

    def join(self, contacts: Iterable[PeerRecord], now: float) -> list[Effect]:
        return []

    def neighbours(self, topic: str = "") -> list[PeerId]:
        return []

    def enter(self, topic: str, contacts: Iterable[PeerRecord], now: float) -> list[Effect]:
        return []

    def leave(self, topic: str, now: float) -> list[Effect]:
        return []

    def say(self, topic: str, body: bytes, now: float, lifetime: int = 300) -> list[Effect]:
        return []

    def grow(self, supernode: bool, now: float) -> list[Effect]:
        return []

    def anchors(self) -> list[PeerRecord]:
        return []

    def close(self, now: float) -> list[Effect]:
        return []
