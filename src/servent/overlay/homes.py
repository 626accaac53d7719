"""The leaf's side: our homes, and what we publish at them."""

from __future__ import annotations

from collections.abc import Sequence

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.effects import Effect
from servent.overlay.part import Part
from servent.overlay.records import Item


class Homes(Part):
    def __init__(self, context: Context, directory: Directory) -> None:
        self._context, self._directory = context, directory

    def homes(self) -> tuple[PeerId, ...]:
        return ()

    def publish(self, items: Sequence[Item], now: float) -> list[Effect]:
        return []

    def moved(self, now: float) -> list[Effect]:
        return []

    def close(self, now: float) -> list[Effect]:
        return []
