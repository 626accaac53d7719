"""The wish list."""

from __future__ import annotations

import asyncio

import msgspec

from servent.api import paths, schema
from servent.api import schema_share as share
from servent.api.context import Context
from servent.api.routing import Routes, pick

routes = Routes("wishes")


def _find(ctx: Context, wanted: str) -> str:
    """The id of a wish, by it, its words, or a beginning of its id."""
    return pick(
        ctx.node.wishes(), wanted, lambda wish: (wish.id, wish.q), "wish", "`servent wish list` lists them."
    ).id


@routes.add("GET", "/wishes", scope="read")
async def wishes(ctx: Context) -> list[share.Wish]:
    """Queries that keep watching."""
    return ctx.node.wishes()


@routes.add("POST", "/wishes", problems=(404, 507))
async def add_wish(ctx: Context, body: share.NewWish) -> share.Wish:
    """Watch for what matches, and fetch it if `auto`."""
    if body.to is not None:
        body = msgspec.structs.replace(body, to=await asyncio.to_thread(paths.folder, body.to))
    return await ctx.node.add_wish(body)


@routes.add("PATCH", "/wishes/{wish}", problems=(507,))
async def change_wish(ctx: Context, wish: str, body: share.WishChange) -> share.Wish:
    """Change, pause, or mark its matches as seen."""
    if body.to is not None:
        body = msgspec.structs.replace(body, to=await asyncio.to_thread(paths.folder, body.to))
    return await ctx.node.change_wish(_find(ctx, wish), body)


@routes.add("DELETE", "/wishes/{wish}")
async def remove_wish(ctx: Context, wish: str) -> schema.Done:
    """Watch no longer. What was fetched stays."""
    await ctx.node.remove_wish(_find(ctx, wish))
    return schema.Done()


@routes.add("GET", "/wishes/{wish}/matches", scope="read")
async def wish_matches(ctx: Context, wish: str, query: share.Page) -> list[share.WishMatch]:
    """What it found, newest first."""
    return await ctx.node.wish_matches(_find(ctx, wish), query)
