"""Own projects with their apps and work, in the API's words."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path

from servent.api import schema_chains as chains
from servent.api import schema_credit as credit
from servent.api import schema_grid as grid
from servent.api import schema_sky as sky
from servent.api.adapter_grid_base import GridBase, as_struct, ledger_link
from servent.errors import UsageError
from servent.grid import project_views as views


def _app(view: views.GridApp) -> grid.GridApp:
    return as_struct(grid.GridApp, view, module=ledger_link(view.module, f"{view.name}.wasm"))


def _project(view: views.MyProject) -> grid.MyProject:
    return as_struct(
        grid.MyProject,
        view,
        id=view.key,
        apps=[_app(one) for one in view.apps],
        by_state=dict(view.by_state),
        ledger=ledger_link(view.ledger, f"{view.name} ledger"),
    )


def _batch(view: views.Batch) -> grid.Batch:
    return as_struct(grid.Batch, view, id=str(view.id))


class WorkPart(GridBase):
    """The owner's side of `GridFace` over a `Node`."""

    # -- projects

    def my_projects(self) -> list[grid.MyProject]:
        return [_project(one) for one in self._grid.projects.all()]

    def my_project(self, project: str) -> grid.MyProject:
        return _project(self._grid.projects.view(self._own(project)))

    async def create_project(self, new: grid.NewProject) -> grid.MyProject:
        made = await self._grid.new_project(
            new.name,
            about=new.about,
            url=new.url,
            audience=new.audience,
            network=new.network,
            bonus=new.bonus,
            budget=new.budget,
            local=new.local,
        )
        return _project(made)

    async def change_project(self, project: str, change: grid.ProjectChange) -> grid.MyProject:
        made = await self._grid.projects.change(
            self._own(project),
            about=change.about,
            url=change.url,
            audience=change.audience,
            network=change.network,
            bonus=change.bonus,
            budget=change.budget,
            paused=change.paused,
            closed=change.closed,
        )
        return _project(made)

    async def remove_project(self, project: str) -> None:
        await self._grid.remove_project(self._own(project))

    async def invite_volunteer(self, project: str, uses: int) -> grid.GridInvite:
        return grid.GridInvite(link=await self._grid.projects.invite(self._own(project), uses))

    async def add_app(self, project: str, new: grid.NewApp) -> grid.GridApp:
        made = await self._grid.projects.add_app(
            self._own(project),
            new.name,
            Path(new.module),
            abi=new.abi,
            operations=new.operations,
            sample=Path(new.sample) if new.sample else None,
            sample_args=new.sample_args,
            seconds=new.seconds,
            memory_bytes=new.memory_bytes,
            output_bytes=new.output_bytes,
            checkpoint_bytes=new.checkpoint_bytes,
            quorum=new.quorum,
            compare=new.compare,
            comparer=Path(new.comparer) if new.comparer else None,
            canonical_nans=new.canonical_nans,
            about=new.about,
        )
        return _app(made)

    async def retire_app(self, project: str, app: str) -> None:
        await self._grid.projects.retire_app(self._own(project), app)

    # -- batches

    async def submit(self, project: str, batch: grid.NewBatch) -> grid.Batch:
        made = await self._grid.batches.submit(
            self._own(project),
            batch.app,
            paths=[Path(path) for path in batch.paths],
            items=[_item(text, batch.items_base64) for text in batch.items],
            lines=Path(batch.lines) if batch.lines else None,
            args=batch.args,
            title=batch.title,
            priority=batch.priority,
            deadline=batch.deadline,
            expires=batch.expires,
            operations=batch.operations,
            repeat=batch.repeat,
            again=batch.again,
            budget=batch.budget,
            checks=[
                (_item(given, batch.items_base64), _item(answer, batch.items_base64))
                for given, answer in batch.checks
            ],
            to=Path(batch.to) if batch.to else None,
            generations=batch.generations,
        )
        return _batch(made)

    def batches(self, project: str = "") -> list[grid.Batch]:
        found = self._grid.batches.all(self._own(project) if project else None)
        return [_batch(one) for one in sorted(found, key=lambda one: one.id, reverse=True)]

    def batch(self, batch: int) -> grid.Batch:
        return _batch(self._grid.batches.view(batch))

    async def change_batch(self, batch: int, change: grid.BatchChange) -> grid.Batch:
        now = await self._grid.batches.change(
            batch, priority=change.priority, deadline=change.deadline, paused=change.paused
        )
        return _batch(now)

    async def cancel_batch(self, batch: int) -> grid.Batch:
        return _batch(await self._grid.batches.cancel(batch))

    async def forget_batch(self, batch: int) -> None:
        await self._grid.batches.forget(batch)

    async def batch_results(self, batch: int, query: grid.ResultsQuery) -> grid.Results:
        found = await self._grid.batches.results(batch, query.after, query.limit, query.wait)
        return as_struct(grid.Results, found)

    async def result_file(self, batch: int, number: int) -> bytes:
        return await self._grid.batches.output(batch, number)

    async def batch_chains(self, batch: int, query: chains.ChainsQuery) -> chains.ChainPage:
        page = await self._grid.batches.chains.chains(batch, query.after, query.limit)
        shown = [as_struct(chains.Chain, one, copies=self._copies(one.copies)) for one in page.chains]
        return chains.ChainPage(chains=shown, more=page.more)

    async def trajectory(self, batch: int, chain: int) -> chains.Trajectory:
        return as_struct(chains.Trajectory, await self._grid.batches.chains.trajectory(batch, chain))

    async def frames(self, batch: int, unit: int, query: chains.FramesQuery) -> bytes:
        return await self._grid.batches.chains.frames(batch, unit, query.first, query.count, query.every)

    async def sky(self, batch: int, query: sky.SkyQuery) -> sky.Sky:
        return as_struct(sky.Sky, await self._grid.batches.skies.sky(batch, query.most))

    async def collect_results(self, batch: int, to: str) -> credit.Exported:
        files = await self._grid.batches.collect(batch, Path(to))
        return credit.Exported(files=[str(path) for path in files])

    # -- what goes on

    async def units(self, project: str, query: grid.UnitsQuery) -> grid.UnitPage:
        page = await self._grid.projects.units(
            self._own(project), batch=query.batch, state=query.state, after=query.after, limit=query.limit
        )
        return grid.UnitPage(units=[self._unit(one) for one in page.units], more=page.more)

    def _unit(self, view: views.UnitView) -> grid.UnitView:
        return as_struct(grid.UnitView, view, copies=self._copies(view.copies))

    def _copies(self, copies: Sequence[views.CopyView]) -> list[grid.CopyView]:
        return [
            as_struct(grid.CopyView, one, peer_name=one.peer_name or self._called(one.peer)) for one in copies
        ]

    async def volunteers(self, project: str) -> list[grid.Volunteer]:
        found = await self._grid.projects.volunteers(self._own(project))
        return [as_struct(grid.Volunteer, one, name=self._called(one.peer) or one.name) for one in found]

    def throughput(self, project: str) -> grid.Throughput:
        return as_struct(grid.Throughput, self._grid.projects.throughput(self._own(project)))

    async def grid_problems(self, project: str) -> list[grid.ProblemCount]:
        found = await self._grid.projects.problems(self._own(project))
        return [as_struct(grid.ProblemCount, one) for one in found]


def _item(text: str, base64: bool) -> bytes:
    """Raises UsageError."""
    if not base64:
        try:
            return text.encode("utf-8")
        except UnicodeEncodeError:
            raise UsageError("an item is no Unicode text", advice="Give it as base64.") from None
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise UsageError("an item is no base64", advice="Leave `items_base64` away for text.") from wrong
