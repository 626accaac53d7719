"""The client's part that is about computing: one method for each of `face_grid`, mostly under the same names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from servent.api import schema
from servent.api.client_http import Http, Later, part
from servent.api.schema import API

if TYPE_CHECKING:
    from servent.api import schema_chains as chains
    from servent.api import schema_credit as credit
    from servent.api import schema_grid as grid
    from servent.api import schema_pictures as pictures
    from servent.api import schema_sky as sky
    from servent.api import schema_wasm as wasm
else:
    chains = Later("servent.api.schema_chains")
    credit = Later("servent.api.schema_credit")
    grid = Later("servent.api.schema_grid")
    pictures = Later("servent.api.schema_pictures")
    sky = Later("servent.api.schema_sky")
    wasm = Later("servent.api.schema_wasm")

ASKING = 60.0  # s for what asks peers before it answers
COMPILING = 300.0  # s that a Python app may need before it runs for the first time; ten on a quiet core
LONG = 6 * 3600.0  # s for what reads and hashes inputs, or checks a whole ledger
PATIENCE = 20.0  # s a question for results waits before it is asked again


def query(what: msgspec.Struct) -> str:
    """A Struct as a query string."""
    return urlencode({key: value for key, value in msgspec.to_builtins(what).items() if value is not None})


class GridClient(Http):
    """Raises as `Client` does. `project`, `app`, `team`: as people name them, see `schema_grid`."""

    # -- lending

    def lending(self) -> grid.Lending:
        return self._get("/grid/lending", grid.Lending)

    def change_lending(self, change: grid.LendChange) -> grid.Lending:
        return self._send("PATCH", "/grid/lending", grid.Lending, change)

    def pause_lending(self, seconds: float | None = None) -> grid.Lending:
        """None: until resumed."""
        return self._send("POST", "/grid/lending/pause", grid.Lending, grid.GridPause(seconds=seconds))

    def resume_lending(self) -> grid.Lending:
        return self._send("POST", "/grid/lending/resume", grid.Lending)

    def slot_picture(self, number: int, after: int = 0) -> pictures.SlotPicture:
        """See `GridFace.slot_picture`."""
        return self._get(f"/grid/lending/slots/{number}/picture?after={after}", pictures.SlotPicture)

    def grid_log(self, *, before: int = 0, limit: int = 100, project: str = "") -> list[grid.GridLogEntry]:
        asked = query(grid.GridLogQuery(before=before, limit=limit, project=project))
        return self._get(f"/grid/log?{asked}", list[grid.GridLogEntry])

    def joined_projects(self) -> list[grid.JoinedProject]:
        return self._get("/grid/joined", list[grid.JoinedProject])

    def look_at_project(self, link: str) -> credit.ProjectPreview:
        request = credit.ProjectLink(link=link)
        return self._send("POST", "/grid/look", credit.ProjectPreview, request, timeout=self._asking)

    def join_project(self, request: grid.JoinProject) -> grid.JoinedProject:
        return self._send("POST", "/grid/joined", grid.JoinedProject, request, timeout=self._asking)

    def change_joined(self, project: str, change: grid.JoinedChange) -> grid.JoinedProject:
        return self._send("PATCH", f"/grid/joined/{part(project)}", grid.JoinedProject, change)

    def leave_project(self, project: str) -> None:
        self._send("DELETE", f"/grid/joined/{part(project)}", schema.Done, timeout=self._asking)

    def try_module(self, request: wasm.BuildRequest) -> wasm.TryOut:
        timeout = request.seconds * 4 + (COMPILING if request.abi == "python" else ASKING)
        return self._send("POST", "/grid/try", wasm.TryOut, request, timeout=timeout)

    @property
    def _asking(self) -> float:
        return max(ASKING, self.timeout)

    # -- own projects

    def my_projects(self) -> list[grid.MyProject]:
        return self._get("/grid/projects", list[grid.MyProject])

    def my_project(self, project: str) -> grid.MyProject:
        return self._get(f"/grid/projects/{part(project)}", grid.MyProject)

    def create_project(self, new: grid.NewProject) -> grid.MyProject:
        return self._send("POST", "/grid/projects", grid.MyProject, new)

    def change_project(self, project: str, change: grid.ProjectChange) -> grid.MyProject:
        return self._send("PATCH", f"/grid/projects/{part(project)}", grid.MyProject, change)

    def remove_project(self, project: str) -> None:
        self._send("DELETE", f"/grid/projects/{part(project)}", schema.Done)

    def invite_volunteer(self, project: str, uses: int = 1) -> grid.GridInvite:
        wish = grid.InviteVolunteer(uses=uses)
        return self._send("POST", f"/grid/projects/{part(project)}/invite", grid.GridInvite, wish)

    def add_app(self, project: str, new: grid.NewApp) -> grid.GridApp:
        """Returns once the module was checked, and its sample computed where the operations are to be measured."""
        timeout = max(ASKING, new.seconds * 4) + ASKING
        return self._send("POST", f"/grid/projects/{part(project)}/apps", grid.GridApp, new, timeout=timeout)

    def retire_app(self, project: str, app: str) -> None:
        self._send("POST", f"/grid/projects/{part(project)}/apps/retire", schema.Done, grid.AppNamed(app=app))

    def units(self, project: str, asked: grid.UnitsQuery) -> grid.UnitPage:
        return self._get(f"/grid/projects/{part(project)}/units?{query(asked)}", grid.UnitPage)

    def volunteers(self, project: str) -> list[grid.Volunteer]:
        return self._get(f"/grid/projects/{part(project)}/hosts", list[grid.Volunteer])

    def throughput(self, project: str) -> grid.Throughput:
        return self._get(f"/grid/projects/{part(project)}/throughput", grid.Throughput)

    def grid_problems(self, project: str) -> list[grid.ProblemCount]:
        return self._get(f"/grid/projects/{part(project)}/problems", list[grid.ProblemCount])

    # -- batches

    def submit(self, project: str, batch: grid.NewBatch) -> grid.Batch:
        """Returns once everything is stored; inputs are hashed by then."""
        return self._send("POST", f"/grid/projects/{part(project)}/batches", grid.Batch, batch, timeout=LONG)

    def batches(self, project: str = "") -> list[grid.Batch]:
        return self._get(f"/grid/batches?{urlencode({'project': project})}", list[grid.Batch])

    def batch(self, batch: str | int) -> grid.Batch:
        return self._get(f"/grid/batches/{part(str(batch))}", grid.Batch)

    def change_batch(self, batch: str | int, change: grid.BatchChange) -> grid.Batch:
        return self._send("PATCH", f"/grid/batches/{part(str(batch))}", grid.Batch, change)

    def cancel_batch(self, batch: str | int) -> grid.Batch:
        return self._send("POST", f"/grid/batches/{part(str(batch))}/cancel", grid.Batch)

    def forget_batch(self, batch: str | int) -> None:
        self._send("DELETE", f"/grid/batches/{part(str(batch))}", schema.Done)

    def batch_results(
        self, batch: str | int, *, after: int = 0, limit: int = 100, wait: float = 0.0
    ) -> grid.Results:
        """Results after one of their `order`; `wait`: seconds to wait for one where there is none."""
        asked = query(grid.ResultsQuery(after=after, limit=limit, wait=wait))
        target = f"/grid/batches/{part(str(batch))}/results?{asked}"
        return self._get(target, grid.Results, timeout=max(self.timeout, wait + 30.0))

    def all_results(
        self, batch: str | int, *, after: int = 0, wait: float = PATIENCE
    ) -> Iterator[grid.UnitResult]:
        """Every result as it comes, each once, until the batch is over. `wait` 0: those that are there."""
        while True:
            page = self.batch_results(batch, after=after, limit=1000, wait=wait)
            yield from page.results
            if page.results:
                after = page.results[-1].order
            if page.ended or (not wait and not page.results):
                return

    def result_file(self, batch: str | int, number: int) -> bytes:
        """The whole output of a unit, by its number in the batch."""
        target = f"{API}/grid/batches/{part(str(batch))}/results/{number}"
        return self.request("GET", target, timeout=LONG).body

    def batch_chains(self, batch: str | int, *, after: int = 0, limit: int = 100) -> chains.ChainPage:
        asked = query(chains.ChainsQuery(after=after, limit=limit))
        return self._get(f"/grid/batches/{part(str(batch))}/chains?{asked}", chains.ChainPage)

    def trajectory(self, batch: str | int, chain: int = 0) -> chains.Trajectory:
        return self._get(f"/grid/batches/{part(str(batch))}/chains/{chain}/trajectory", chains.Trajectory)

    def frames(
        self, batch: str | int, number: int, *, first: int = 0, count: int = 1, every: int = 1
    ) -> bytes:
        """Frames of the generation that is unit `number` of the batch, as the API describes them."""
        asked = query(chains.FramesQuery(first=first, count=count, every=every))
        return self.request("GET", f"{API}/grid/batches/{part(str(batch))}/frames/{number}?{asked}").body

    def sky(self, batch: str | int, most: int = 100) -> sky.Sky:
        return self._get(f"/grid/batches/{part(str(batch))}/sky?most={most}", sky.Sky, timeout=ASKING)

    def collect_results(self, batch: str | int, to: str) -> credit.Exported:
        target = f"/grid/batches/{part(str(batch))}/collect"
        return self._send("POST", target, credit.Exported, grid.CollectTo(to=to), timeout=LONG)

    # -- credit

    def leaderboard(self, project: str, asked: credit.BoardQuery) -> credit.Leaderboard:
        return self._get(
            f"/grid/leaderboards/{part(project)}?{query(asked)}", credit.Leaderboard, timeout=self._asking
        )

    def audit(self, link: str) -> credit.Audit:
        """By a link to a ledger, a project, or the path of a folder."""
        return self._send("POST", "/grid/audit", credit.Audit, credit.AuditRequest(link=link), timeout=LONG)

    def export_statistics(self, project: str, to: str) -> credit.Exported:
        target, wish = f"/grid/projects/{part(project)}/export", credit.ExportRequest(to=to)
        return self._send("POST", target, credit.Exported, wish, timeout=LONG)

    def teams(self) -> list[credit.Team]:
        return self._get("/grid/teams", list[credit.Team])

    def create_team(self, name: str) -> credit.Team:
        return self._send("POST", "/grid/teams", credit.Team, credit.NewTeam(name=name))

    def invite_to_team(self, team: str, peer: str) -> grid.GridInvite:
        wish = credit.TeamInvite(peer=peer)
        return self._send("POST", f"/grid/teams/{part(team)}/invite", grid.GridInvite, wish)

    def join_team(self, ticket: str) -> credit.Team:
        wish = credit.TeamJoin(ticket=ticket)
        return self._send("POST", "/grid/teams/join", credit.Team, wish, timeout=self._asking)

    def leave_team(self, team: str) -> None:
        self._send("DELETE", f"/grid/teams/{part(team)}", schema.Done)

    def balances(self, network: str = "") -> list[credit.Balance]:
        return self._get(f"/grid/balances?{urlencode({'network': network})}", list[credit.Balance])
