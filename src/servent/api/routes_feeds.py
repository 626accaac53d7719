"""Feeds: names for the newest version of something, ours and followed ones."""

from __future__ import annotations

import asyncio

import msgspec

from servent.api import paths, schema
from servent.api import schema_share as share
from servent.api.context import Context
from servent.api.routing import Routes, pick

routes = Routes("feeds")


def _find(ctx: Context, wanted: str) -> str:
    """The id of a feed, by it, its name, or a beginning of its id."""
    return pick(
        ctx.node.feeds(), wanted, lambda feed: (feed.id, feed.name), "feed", "`servent feeds` lists them."
    ).id


@routes.add("GET", "/feeds", scope="read")
async def feeds(ctx: Context) -> list[share.Feed]:
    """Feeds of ours, and those we follow."""
    return ctx.node.feeds()


@routes.add("POST", "/feeds/published", problems=(404, 409, 503, 507))
async def publish(ctx: Context, body: share.NewFeed) -> share.Feed:
    """Give a file or folder a name that always points to its newest version."""
    path = await asyncio.to_thread(paths.existing, body.path)
    await asyncio.to_thread(paths.not_our_own, path, ctx.node.data_dir)
    return await ctx.node.publish(msgspec.structs.replace(body, path=path))


@routes.add("POST", "/feeds/followed", problems=(404, 502, 504, 507))
async def follow(ctx: Context, body: share.FollowRequest) -> share.Feed:
    """Follow somebody's feed by its link."""
    to = None if body.to is None else await asyncio.to_thread(paths.folder, body.to)
    return await ctx.node.follow(msgspec.structs.replace(body, link=body.link.strip(), to=to))


@routes.add("PATCH", "/feeds/{feed}", problems=(507,))
async def change_feed(ctx: Context, feed: str, body: share.FeedChange) -> share.Feed:
    """Pause it, watch its files, fetch by itself, keep old versions."""
    return await ctx.node.change_feed(_find(ctx, feed), body)


@routes.add("DELETE", "/feeds/{feed}")
async def remove_feed(ctx: Context, feed: str) -> schema.Done:
    """Publish or follow it no longer. The files stay."""
    await ctx.node.remove_feed(_find(ctx, feed))
    return schema.Done()


@routes.add("POST", "/feeds/{feed}/check", problems=(502, 503, 504))
async def check_feed(ctx: Context, feed: str) -> share.Feed:
    """Ask for a newer version, now."""
    return await ctx.node.check_feed(_find(ctx, feed))


@routes.add("POST", "/feeds/{feed}/publish", problems=(400, 503, 507))
async def publish_again(ctx: Context, feed: str) -> share.Feed:
    """Look at the files now, and publish a version if they changed."""
    return await ctx.node.publish_again(_find(ctx, feed))
