"""Computing, the volunteer's side: what this machine lends, the projects it joined, and what it did for whom."""

from __future__ import annotations

import asyncio

from servent.api import paths, schema
from servent.api import schema_credit as credit
from servent.api import schema_grid as grid
from servent.api import schema_pictures as pictures
from servent.api import schema_wasm as wasm
from servent.api.context import Context
from servent.api.routing import Routes
from servent.errors import NotFound

routes = Routes("grid")

TROUBLE = (400, 404, 409, 502, 503, 504, 507)  # what may stand in the way of whatever changes something


@routes.add("GET", "/grid/lending", scope="read")
async def lending(ctx: Context) -> grid.Lending:
    """What this machine lends now, what each core does, and why nothing is computed where nothing is."""
    return ctx.node.lending()


@routes.add("PATCH", "/grid/lending", problems=TROUBLE)
async def change_lending(ctx: Context, body: grid.LendChange) -> grid.Lending:
    """Lend or not, by a preset or by rules of one's own; takes effect at once and stays."""
    return await ctx.node.change_lending(body)


@routes.add("POST", "/grid/lending/pause", problems=TROUBLE)
async def pause_lending(
    ctx: Context,
    body: grid.GridPause = grid.GridPause(),  # noqa: B008
) -> grid.Lending:
    """Compute nothing for so long, or until resumed. What was begun goes on later from where it is."""
    return await ctx.node.pause_lending(body)


@routes.add("POST", "/grid/lending/resume", problems=TROUBLE)
async def resume_lending(ctx: Context) -> grid.Lending:
    """End a pause."""
    return await ctx.node.resume_lending()


@routes.add("GET", "/grid/lending/slots/{number}/picture", scope="read", problems=(404,))
async def slot_picture(ctx: Context, number: str, query: pictures.PictureQuery) -> pictures.SlotPicture:
    """What the unit on a lent core shows of itself. Asked up to five times a second by who looks; no unit is made to show anything while nobody asks."""
    if not number.isascii() or not number.isdecimal() or not 0 < len(number) <= 5:
        raise NotFound("no core has a number like that", advice="`servent grid status` shows them.")
    return ctx.node.slot_picture(int(number), query)


@routes.add("GET", "/grid/log", scope="read", problems=(404, 507))
async def grid_log(ctx: Context, query: grid.GridLogQuery) -> list[grid.GridLogEntry]:
    """What this machine computed, for whom, and what came of it; newest first."""
    return await ctx.node.grid_log(query)


@routes.add("GET", "/grid/joined", scope="read")
async def joined_projects(ctx: Context) -> list[grid.JoinedProject]:
    """Projects this machine computes for."""
    return ctx.node.joined_projects()


@routes.add("POST", "/grid/look", problems=TROUBLE)
async def look_at_project(ctx: Context, body: credit.ProjectLink) -> credit.ProjectPreview:
    """What a project says of itself, and what it pays for being quick, before anybody joins it. Its coordinator is asked, and sees who asks."""
    return await ctx.node.look_at_project(body)


@routes.add("POST", "/grid/joined", problems=TROUBLE)
async def join_project(ctx: Context, body: grid.JoinProject) -> grid.JoinedProject:
    """Compute for a project from now on."""
    return await ctx.node.join_project(body)


@routes.add("PATCH", "/grid/joined/{project}", problems=TROUBLE)
async def change_joined(ctx: Context, project: str, body: grid.JoinedChange) -> grid.JoinedProject:
    """Its share of this machine, the team its credit counts for, or a pause for it alone."""
    return await ctx.node.change_joined(project, body)


@routes.add("DELETE", "/grid/joined/{project}", problems=TROUBLE)
async def leave_project(ctx: Context, project: str) -> schema.Done:
    """Compute for it no longer. Work that was not begun goes back; credit stays."""
    await ctx.node.leave_project(project)
    return schema.Done()


@routes.add("POST", "/grid/try", problems=TROUBLE)
async def try_module(ctx: Context, body: wasm.BuildRequest) -> wasm.TryOut:
    """Check a module as a volunteer would, and run it once in the sandbox of this machine."""
    for path in (body.module, body.input):
        if path:  # what a module reads it can say again
            await asyncio.to_thread(paths.existing, path)
            await asyncio.to_thread(paths.not_our_own, path, ctx.node.data_dir)
    return await ctx.node.try_module(body)
