"""What the parts of a coordinator share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from servent.grid import credit
from servent.grid.coordinator_commit_service import Committer
from servent.grid.coordinator_files_service import Files
from servent.grid.coordinator_handing import Handing
from servent.grid.coordinator_loading_service import Loading
from servent.grid.coordinator_rooms import Room
from servent.grid.coordinator_state import State
from servent.grid.coordinator_taking import Taking
from servent.grid.coordinator_views import Receipts
from servent.grid.manifests import Project
from servent.identity import PeerId


@dataclass(frozen=True, slots=True)
class Parts:
    """`welcome`: whether a project's audience includes a peer. `ending`: nothing more is read or written."""

    me: bytes
    state: State
    handing: Handing
    taking: Taking
    loading: Loading
    committer: Committer
    files: Files
    receipts: Receipts | None
    welcome: Callable[[Project, PeerId], bool]
    wall: Callable[[], float]
    ending: Callable[[], bool] = lambda: False

    def price(self, room: Room) -> int:
        """Percent: the highest bid among a project's open work."""
        if not room.mutual:
            return 100
        bids = [
            batch.priority
            for batch in self.state.batches.values()
            if batch.project == room.number and batch.open and not batch.paused
        ]
        return credit.price(max(bids, default=0), True)
