"""The library: folders that are shared."""

from __future__ import annotations

import asyncio
import os

import msgspec

from servent.api import paths, schema
from servent.api import schema_share as share
from servent.api.context import Context
from servent.api.routing import Routes, pick
from servent.errors import UsageError

routes = Routes("library")


def _find(ctx: Context, wanted: str) -> share.Folder:
    """A folder by its id, its name, its path, or a beginning of its id."""
    return pick(
        ctx.node.folders(),
        wanted,
        lambda folder: (folder.id, folder.name, folder.path),
        "shared folder",
        "`servent library` lists them.",
    )


@routes.add("GET", "/library", scope="read")
async def library(ctx: Context) -> share.Library:
    """What is shared, in sums."""
    return ctx.node.library()


@routes.add("GET", "/library/folders", scope="read")
async def folders(ctx: Context) -> list[share.Folder]:
    """Shared folders, and how far they are hashed."""
    return ctx.node.folders()


@routes.add("POST", "/library/folders", problems=(404, 409, 503, 507))
async def add_folder(ctx: Context, body: share.NewFolder) -> share.Folder:
    """Share a folder; 409 names what people rarely mean to share, and `confirm` shares it all the same."""
    if body.path == ctx.node.setup().folder:  # the one that the wizard suggests may be yet to be made
        await asyncio.to_thread(paths.made, body.path)
    path = await asyncio.to_thread(paths.existing, body.path)
    if not await asyncio.to_thread(os.path.isdir, path):
        raise UsageError(
            f"{body.path[:120]!r} is a file",
            advice="Share the folder it is in, or make a link of it with `servent send`.",
        )
    await asyncio.to_thread(paths.not_inside_our_own, path, ctx.node.data_dir)
    return await ctx.node.add_folder(msgspec.structs.replace(body, path=path))


@routes.add("GET", "/library/folders/{folder}", scope="read")
async def folder(ctx: Context, folder: str) -> share.Folder:
    """One of them."""
    return _find(ctx, folder)


@routes.add("PATCH", "/library/folders/{folder}", problems=(409, 507))
async def change_folder(ctx: Context, folder: str, body: share.FolderChange) -> share.Folder:
    """Who may see it, what belongs to it, what others call it."""
    return await ctx.node.change_folder(_find(ctx, folder).id, body)


@routes.add("DELETE", "/library/folders/{folder}")
async def remove_folder(ctx: Context, folder: str) -> schema.Done:
    """Share it no longer. The files stay."""
    await ctx.node.remove_folder(_find(ctx, folder).id)
    return schema.Done()


@routes.add("POST", "/library/folders/{folder}/pause")
async def pause_folder(ctx: Context, folder: str) -> share.Folder:
    """Stop scanning and hashing for now; what is hashed stays shared."""
    return await ctx.node.pause_folder(_find(ctx, folder).id, True)


@routes.add("POST", "/library/folders/{folder}/resume")
async def resume_folder(ctx: Context, folder: str) -> share.Folder:
    """Go on scanning and hashing."""
    return await ctx.node.pause_folder(_find(ctx, folder).id, False)


@routes.add("POST", "/library/folders/{folder}/rescan")
async def rescan_folder(ctx: Context, folder: str) -> share.Folder:
    """Look at all of it again, now."""
    return await ctx.node.rescan_folder(_find(ctx, folder).id)
