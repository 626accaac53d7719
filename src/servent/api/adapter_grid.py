"""Computing in the API's words: not a part of this node yet, and it says so."""

from __future__ import annotations

from typing import NoReturn

from servent.api import schema_credit as credit
from servent.api import schema_grid as grid
from servent.api import schema_wasm as wasm
from servent.api.part import Part
from servent.errors import WorldError


def _none() -> NoReturn:
    raise WorldError("this node does not compute yet")


class GridPart(Part):
    """`GridFace` over a `Node`."""

    def lending(self) -> grid.Lending:
        return grid.Lending(why="this node does not compute yet")

    async def change_lending(self, change: grid.LendChange) -> grid.Lending:
        _none()

    async def pause_lending(self, pause: grid.GridPause) -> grid.Lending:
        _none()

    async def resume_lending(self) -> grid.Lending:
        _none()

    async def grid_log(self, query: grid.GridLogQuery) -> list[grid.GridLogEntry]:
        _none()

    def joined_projects(self) -> list[grid.JoinedProject]:
        return []

    async def join_project(self, request: grid.JoinProject) -> grid.JoinedProject:
        _none()

    async def change_joined(self, project: str, change: grid.JoinedChange) -> grid.JoinedProject:
        _none()

    async def leave_project(self, project: str) -> None:
        _none()

    def my_projects(self) -> list[grid.MyProject]:
        return []

    def my_project(self, project: str) -> grid.MyProject:
        _none()

    async def create_project(self, new: grid.NewProject) -> grid.MyProject:
        _none()

    async def change_project(self, project: str, change: grid.ProjectChange) -> grid.MyProject:
        _none()

    async def remove_project(self, project: str) -> None:
        _none()

    async def invite_volunteer(self, project: str, uses: int) -> grid.GridInvite:
        _none()

    async def add_app(self, project: str, new: grid.NewApp) -> grid.GridApp:
        _none()

    async def retire_app(self, project: str, app: str) -> None:
        _none()

    async def submit(self, project: str, batch: grid.NewBatch) -> grid.Batch:
        _none()

    def batches(self, project: str = "") -> list[grid.Batch]:
        return []

    def batch(self, batch: int) -> grid.Batch:
        _none()

    async def change_batch(self, batch: int, change: grid.BatchChange) -> grid.Batch:
        _none()

    async def cancel_batch(self, batch: int) -> grid.Batch:
        _none()

    async def forget_batch(self, batch: int) -> None:
        _none()

    async def batch_results(self, batch: int, query: grid.ResultsQuery) -> grid.Results:
        _none()

    async def result_file(self, batch: int, number: int) -> bytes:
        _none()

    async def collect_results(self, batch: int, to: str) -> credit.Exported:
        _none()

    async def units(self, project: str, query: grid.UnitsQuery) -> grid.UnitPage:
        _none()

    async def volunteers(self, project: str) -> list[grid.Volunteer]:
        _none()

    def throughput(self, project: str) -> grid.Throughput:
        _none()

    async def grid_problems(self, project: str) -> list[grid.ProblemCount]:
        _none()

    async def try_module(self, request: wasm.BuildRequest) -> wasm.TryOut:
        _none()

    async def leaderboard(self, project: str, query: credit.BoardQuery) -> credit.Leaderboard:
        _none()

    async def audit(self, request: credit.AuditRequest) -> credit.Audit:
        _none()

    async def export_statistics(self, project: str, request: credit.ExportRequest) -> credit.Exported:
        _none()

    def teams(self) -> list[credit.Team]:
        return []

    async def create_team(self, new: credit.NewTeam) -> credit.Team:
        _none()

    async def invite_to_team(self, team: str, peer: str) -> grid.GridInvite:
        _none()

    async def join_team(self, request: credit.TeamJoin) -> credit.Team:
        _none()

    async def leave_team(self, team: str) -> None:
        _none()

    async def balances(self, network: str) -> list[credit.Balance]:
        _none()
