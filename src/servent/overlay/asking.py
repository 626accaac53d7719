"""Our own questions: where they go, and what comes back."""

from __future__ import annotations

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.effects import Effect
from servent.overlay.homes import Homes
from servent.overlay.housing import Housing
from servent.overlay.part import Part


class Asking(Part):
    def __init__(self, context: Context, directory: Directory, homes: Homes, housing: Housing) -> None:
        self._context, self._directory, self._homes, self._housing = context, directory, homes, housing

    def search(
        self, text: str, now: float, *, limit: int = 50, budget: int | None = None
    ) -> tuple[int, list[Effect]]:
        return 0, []

    def who_has(self, content: bytes, now: float, *, limit: int = 50) -> tuple[int, list[Effect]]:
        return 0, []

    def cancel(self, search: int, now: float) -> list[Effect]:
        return []

    def where(self, peer: PeerId, now: float) -> list[Effect]:
        return []
