"""The supernode's side: leaves, what is kept for them, and what is passed on to keyed supernodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.effects import Effect
from servent.overlay.election import Election
from servent.overlay.part import Part
from servent.overlay.records import PeerRecord, Slice
from servent.overlay.wire import Posting

Kept = Callable[[Slice, Sequence[Posting], float], list[Effect]]


class Housing(Part):
    def __init__(self, context: Context, directory: Directory, election: Election) -> None:
        self._context, self._directory, self._election = context, directory, election
        self.kept: list[Kept] = []

    def leaves(self) -> Mapping[PeerId, PeerRecord]:
        return {}

    def record_of(self, peer: bytes, now: float) -> PeerRecord | None:
        return None

    def retire(self, now: float) -> list[Effect]:
        return []
