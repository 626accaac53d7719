"""Questions of others, answered by a supernode."""

from __future__ import annotations

from servent.overlay.asking import Asking
from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.election import Election
from servent.overlay.housing import Housing
from servent.overlay.part import Part


class Answering(Part):
    def __init__(
        self, context: Context, directory: Directory, election: Election, housing: Housing, asking: Asking
    ) -> None:
        self._context, self._directory, self._housing, self._asking = context, directory, housing, asking
