"""What the coordinator and the ledger know of own projects, as faces show it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

from servent.errors import NotFound
from servent.grid import looks
from servent.grid import project_views as views
from servent.grid.coordinator_service import Coordinator
from servent.grid.credit_views import Board, Leaderboard, Span
from servent.grid.manifests import Abi
from servent.grid.trying_service import Trying

STANDINGS = 500  # volunteers of whom the recent average and the team's name are shown

Names = Callable[[Sequence[int]], Awaitable[dict[int, tuple[int, int, str]]]]


class Boards(Protocol):
    """What is asked of `ledger_service.Ledger`."""

    async def leaderboard(
        self, project: bytes, board: Board = "people", span: Span = "all", offset: int = 0, limit: int = 50
    ) -> Leaderboard: ...


class Showing:
    """Base of `projects_service.Projects`. `names`: batch, number and input's name of units; set once batches are there."""

    def __init__(self, coordinator: Coordinator, boards: Boards, trying: Trying) -> None:
        self._coordinator, self._boards, self._trying = coordinator, boards, trying
        self.names: Names

    def app_label(self, id: bytes, key: bytes) -> str:
        """An app as "name/version"."""
        raise NotImplementedError

    async def units(
        self, key: bytes, *, batch: int = 0, state: str = "", after: int = 0, limit: int = 100
    ) -> views.UnitPage:
        """By number. `state`: as `UnitView.state`, "" for all. Raises NotFound."""
        found = await self._coordinator.units(key, batch=batch, state=state, after=after, limit=limit + 1)
        names = await self.names([one.id for one in found])
        shown = tuple(looks.unit_view(one, names.get(one.id)) for one in found[:limit])
        return views.UnitPage(units=shown, more=len(found) > limit)

    async def volunteers(self, key: bytes) -> list[views.Volunteer]:
        """Those who gave most first. Raises NotFound."""
        hosts = self._coordinator.hosts(key)
        try:
            board = await self._boards.leaderboard(key, limit=STANDINGS)
            standings = {one.key: one for one in board.standings}
        except NotFound:
            standings = {}
        found = []
        for host in sorted(hosts, key=lambda one: (-one.credit, one.identity)):
            standing = standings.get(host.identity)
            team, recent = (standing.team, standing.recent) if standing is not None else ("", 0.0)
            found.append(looks.volunteer(host, lambda app: self.app_label(app, key), team, recent))
        return found

    def throughput(self, key: bytes) -> views.Throughput:
        """Of the last hour, by minutes. Raises NotFound."""
        return looks.throughput(self._coordinator.history(key))

    async def problems(self, key: bytes) -> list[views.ProblemCount]:
        """The most frequent first. Raises NotFound."""
        found = self._coordinator.problems(key)
        return looks.problems(found, {one.app: self.app_label(one.app, key) for one in found})

    async def try_module(
        self,
        module: Path,
        *,
        abi: Abi = "command",
        args: Sequence[str] = (),
        input: Path | None = None,
        seconds: float = 60.0,
        memory_bytes: int = 256 * 1024**2,
    ) -> views.TryOut:
        """Check a module as a volunteer would, and run it once in the sandbox. Raises NotFound, UsageError, DiskTrouble."""
        return await self._trying.try_out(
            module, abi=abi, args=args, input=input, seconds=seconds, memory_bytes=memory_bytes
        )
