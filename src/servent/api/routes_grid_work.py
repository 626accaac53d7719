"""Computing, the owner's side: own projects, their apps, batches of work with their units, and results."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct
from starlette.responses import Response

from servent.api import paths, schema
from servent.api import schema_chains as chains
from servent.api import schema_credit as credit
from servent.api import schema_grid as grid
from servent.api import schema_sky as sky
from servent.api.context import Context
from servent.api.routes_grid import TROUBLE
from servent.api.routing import Routes
from servent.errors import NotFound, UsageError

routes = Routes("grid work")

MOST_NUMBER = 2**53


class BatchesQuery(Struct, frozen=True, kw_only=True):
    """`project`: only of that one."""

    project: Annotated[str, Meta(max_length=256)] = ""


def number(text: str, what: str = "batch") -> int:
    """A number in a path. Raises NotFound: it is none."""
    if not text.isascii() or not text.isdecimal() or len(text) > 16 or int(text) > MOST_NUMBER:
        raise NotFound(
            f"no {what} has a number like {text[:40]!r}", advice="`servent grid batches` lists them."
        )
    return int(text)


# -- projects and apps


@routes.add("GET", "/grid/projects", scope="read")
async def my_projects(ctx: Context) -> list[grid.MyProject]:
    """Projects of this node, with their apps and how far they are."""
    return ctx.node.my_projects()


@routes.add("POST", "/grid/projects", problems=TROUBLE)
async def create_project(ctx: Context, body: grid.NewProject) -> grid.MyProject:
    """A new project: a key of its own, and a link to pass on."""
    return await ctx.node.create_project(body)


@routes.add("GET", "/grid/projects/{project}", scope="read")
async def my_project(ctx: Context, project: str) -> grid.MyProject:
    """One of them, by its name or key."""
    return ctx.node.my_project(project)


@routes.add("PATCH", "/grid/projects/{project}", problems=TROUBLE)
async def change_project(ctx: Context, project: str, body: grid.ProjectChange) -> grid.MyProject:
    """Its words, who may lend to it, its budget; pause it, or close it for good."""
    return await ctx.node.change_project(project, body)


@routes.add("DELETE", "/grid/projects/{project}", problems=TROUBLE)
async def remove_project(ctx: Context, project: str) -> schema.Done:
    """Forget a closed project with all its units. Its published ledger stays."""
    await ctx.node.remove_project(project)
    return schema.Done()


@routes.add("POST", "/grid/projects/{project}/invite", problems=TROUBLE)
async def invite_volunteer(
    ctx: Context,
    project: str,
    body: grid.InviteVolunteer = grid.InviteVolunteer(),  # noqa: B008
) -> grid.GridInvite:
    """A link that lets so many identities lend to a project of the invited."""
    return await ctx.node.invite_volunteer(project, body.uses)


@routes.add("GET", "/grid/projects/{project}/apps", scope="read")
async def apps(ctx: Context, project: str) -> list[grid.GridApp]:
    """Its apps, every version."""
    return ctx.node.my_project(project).apps


@routes.add("POST", "/grid/projects/{project}/apps", problems=TROUBLE)
async def add_app(ctx: Context, project: str, body: grid.NewApp) -> grid.GridApp:
    """Check a module, sign it, and have it ready for volunteers; the same name again is its next version."""
    for path in (body.module, body.sample, body.comparer):
        if path:
            await asyncio.to_thread(paths.existing, path)
            await asyncio.to_thread(paths.not_our_own, path, ctx.node.data_dir)
    if (body.compare == "comparer") != bool(body.comparer):
        raise UsageError(
            "a comparer module is named just where results are compared by one",
            advice="Give both `compare` and `comparer`, or neither.",
        )
    return await ctx.node.add_app(project, body)


@routes.add("POST", "/grid/projects/{project}/apps/retire", problems=TROUBLE)
async def retire_app(ctx: Context, project: str, body: grid.AppNamed) -> schema.Done:
    """Hand out no more work for a version of an app."""
    await ctx.node.retire_app(project, body.app)
    return schema.Done()


@routes.add("GET", "/grid/projects/{project}/units", scope="read", problems=(507,))
async def units(ctx: Context, project: str, query: grid.UnitsQuery) -> grid.UnitPage:
    """Units with their copies: who computes them, and what came of it."""
    return await ctx.node.units(project, query)


@routes.add("GET", "/grid/projects/{project}/hosts", scope="read", problems=(507,))
async def volunteers(ctx: Context, project: str) -> list[grid.Volunteer]:
    """Who lends to it, and how well."""
    return await ctx.node.volunteers(project)


@routes.add("GET", "/grid/projects/{project}/throughput", scope="read", problems=(507,))
async def throughput(ctx: Context, project: str) -> grid.Throughput:
    """Units done over the last hours, for a chart."""
    return ctx.node.throughput(project)


@routes.add("GET", "/grid/projects/{project}/problems", scope="read", problems=(507,))
async def grid_problems(ctx: Context, project: str) -> list[grid.ProblemCount]:
    """What went wrong at volunteers, those that are alike together."""
    return await ctx.node.grid_problems(project)


# -- batches and results


@routes.add("POST", "/grid/projects/{project}/batches", problems=TROUBLE)
async def submit(ctx: Context, project: str, body: grid.NewBatch) -> grid.Batch:
    """Work for an app. Everything is stored durably when this returns."""
    if not (body.paths or body.items or body.lines or body.checks or body.repeat > 1 or body.generations > 1):
        raise UsageError(
            "there is no work in this batch", advice="Give files, items, or how often to repeat."
        )
    await asyncio.to_thread(_look_at, body, ctx.node.data_dir)
    return await ctx.node.submit(project, body)


def _look_at(batch: grid.NewBatch, data_dir: Path) -> None:
    """Raises ServentError where a path cannot be an input, or would give the node's own key away."""
    for path in (*batch.paths, *([batch.lines] if batch.lines else ())):
        paths.existing(path)
        paths.not_our_own(path, data_dir)
    if batch.to:
        paths.folder(batch.to)


@routes.add("GET", "/grid/batches", scope="read", problems=(404,))
async def batches(ctx: Context, query: BatchesQuery) -> list[grid.Batch]:
    """Batches of own projects, the newest first."""
    return ctx.node.batches(query.project)


@routes.add("GET", "/grid/batches/{batch}", scope="read")
async def batch(ctx: Context, batch: str) -> grid.Batch:
    """One of them, by its number."""
    return ctx.node.batch(number(batch))


@routes.add("PATCH", "/grid/batches/{batch}", problems=TROUBLE)
async def change_batch(ctx: Context, batch: str, body: grid.BatchChange) -> grid.Batch:
    """Its priority, its deadline, or a pause."""
    return await ctx.node.change_batch(number(batch), body)


@routes.add("DELETE", "/grid/batches/{batch}", problems=TROUBLE)
async def forget_batch(ctx: Context, batch: str) -> schema.Done:
    """Forget a batch that is over, with the results the node still keeps."""
    await ctx.node.forget_batch(number(batch))
    return schema.Done()


@routes.add("POST", "/grid/batches/{batch}/cancel", problems=TROUBLE)
async def cancel_batch(ctx: Context, batch: str) -> grid.Batch:
    """Give up what is not done. Volunteers are told to stop."""
    return await ctx.node.cancel_batch(number(batch))


@routes.add("GET", "/grid/batches/{batch}/results", problems=(507,))
async def batch_results(ctx: Context, batch: str, query: grid.ResultsQuery) -> grid.Results:
    """Results in the order in which they came, each once; `wait` waits for the next."""
    return await ctx.node.batch_results(number(batch), query)


@routes.add("GET", "/grid/batches/{batch}/results/{unit}", problems=(503, 507))
async def result_file(ctx: Context, batch: str, unit: str) -> Response:
    """The whole output of a unit of a batch, by its number there."""
    data = await ctx.node.result_file(number(batch), number(unit, "unit"))
    return Response(
        data,
        media_type="application/octet-stream",
        headers={"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"},
    )


@routes.add("GET", "/grid/batches/{batch}/sky", scope="read", problems=(404, 503, 507))
async def batch_sky(ctx: Context, batch: str, query: sky.SkyQuery) -> sky.Sky:
    """What was found in results that are signals, ranked, with what each plot needs. 400 where they are something else."""
    return await ctx.node.sky(number(batch), query)


@routes.add("GET", "/grid/batches/{batch}/chains", scope="read", problems=(404, 507))
async def batch_chains(ctx: Context, batch: str, query: chains.ChainsQuery) -> chains.ChainPage:
    """How far each chain of a batch with generations is, and who computes it."""
    return await ctx.node.batch_chains(number(batch), query)


@routes.add("GET", "/grid/batches/{batch}/chains/{chain}/trajectory", problems=(503, 507))
async def trajectory(ctx: Context, batch: str, chain: str) -> chains.Trajectory:
    """What the results of a chain show, where they are states of molecules: its generations, and how the energy goes."""
    return await ctx.node.trajectory(number(batch), number(chain, "chain"))


@routes.add("GET", "/grid/batches/{batch}/frames/{unit}", problems=(503, 507))
async def frames(ctx: Context, batch: str, unit: str, query: chains.FramesQuery) -> Response:
    """Frames of one generation, each: potential and kinetic energy (f64), then x, y, z of each atom in 65536ths of the side (u16), little-endian."""
    data = await ctx.node.frames(number(batch), number(unit, "unit"), query)
    return Response(
        data, media_type="application/octet-stream", headers={"X-Content-Type-Options": "nosniff"}
    )


@routes.add("POST", "/grid/batches/{batch}/collect", problems=TROUBLE)
async def collect_results(ctx: Context, batch: str, body: grid.CollectTo) -> credit.Exported:
    """Write all results that are there into a folder, as files."""
    to = await asyncio.to_thread(paths.folder, body.to)
    return await ctx.node.collect_results(number(batch), to)
