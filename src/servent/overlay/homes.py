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

    def distrust(self, peer: PeerId, now: float) -> list[Effect]:
        """`peer` did not answer as a home must: it is one no more for a day; another takes its place."""
        return []

    def sample(self, home: PeerId, now: float, age: float) -> Item | None:
        """An item of our own, at random, that `home` must have had for `age` seconds; None when there is none."""
        return None
