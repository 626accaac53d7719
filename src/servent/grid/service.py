"""The grid room: lending this machine, projects of one's own, and credit. Builds its parts, starts and stops them in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Literal

from servent.blobs.service import Blobs
from servent.grid import project_views as views
from servent.grid.batches_service import Batches
from servent.grid.contents_service import Contents
from servent.grid.ledger_service import Ledger
from servent.grid.lending_service import Lending
from servent.grid.projects_service import Projects
from servent.grid.settings import Settings
from servent.grid.teams_service import Teams
from servent.identity import Identity
from servent.net.links import PeerAddress
from servent.net.peers import Peers
from servent.store import Store
from servent.trust.service import TrustService

FILE = "grid.db"
FOLDER = "grid"

# lending: this machine's state. joined: projects it computes for. projects: own ones. batches. units: some changed their state.
# credit: the ledger or a leaderboard. teams.
Topic = Literal["lending", "joined", "projects", "batches", "units", "credit", "teams"]


class Grid:
    """Owns everything about computing. `open` it after `blobs`, before the network runs; `run` it in a task; `close` it first.

    Attributes:
        contents, projects, batches, lending, ledger, teams: its parts, for the faces; every method of theirs may raise a ServentError.

    Args:
        store: a database of its own (`grid.db`, durable), not open yet; closed by `close`.
        settings: the section `grid` of the configuration; asked anew each time.
        address: where this node can be reached, for links.
        engaged: why nothing may be computed now ("a match is on"), "" where nothing speaks against it.
    """

    contents: Contents
    projects: Projects
    batches: Batches
    lending: Lending
    ledger: Ledger
    teams: Teams

    def __init__(
        self,
        peers: Peers,
        trust: TrustService,
        blobs: Blobs,
        store: Store,
        data_dir: Path,
        identity: Identity,
        *,
        settings: Callable[[], Settings],
        my_name: Callable[[], str],
        address: Callable[[], PeerAddress],
        engaged: Callable[[], str] = lambda: "",
        wall: Callable[[], float],
    ) -> None:
        raise NotImplementedError

    async def open(self) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        """Until cancelled or closed."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop computing, give nothing out any more, and close the file. Safe twice."""
        raise NotImplementedError

    def on_change(self, callback: Callable[[Topic], None]) -> None:
        """Call `callback(topic)` on the loop when what the parts answer of that topic has changed."""
        raise NotImplementedError

    async def join(self, link: str, *, share: float = 100.0, team: bytes | None = None) -> object:
        """Compute for the project that `link` leads to (or a key, or one of ours by name). A `views.JoinedProject`. Raises UsageError, NotFound."""
        raise NotImplementedError

    def map(
        self, app: str, items: Iterable[bytes | str | Path], *, project: str = ""
    ) -> AsyncIterator[views.UnitResult]:
        """Submit `items` as one batch and give their results as they come."""
        raise NotImplementedError
