"""Standing queries: ours, and those that we keep for others."""

from __future__ import annotations

from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.effects import Effect
from servent.overlay.election import Election
from servent.overlay.homes import Homes
from servent.overlay.housing import Housing
from servent.overlay.part import Part


class Watching(Part):
    def __init__(
        self, context: Context, directory: Directory, election: Election, homes: Homes, housing: Housing
    ) -> None:
        self._context, self._directory, self._homes, self._housing = context, directory, homes, housing

    def watch(self, text: str, now: float) -> tuple[int, list[Effect]]:
        return 0, []

    def unwatch(self, watch: int, now: float) -> list[Effect]:
        return []
