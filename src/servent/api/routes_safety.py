"""Blocks, reports, filters: what this node will have nothing to do with."""

from __future__ import annotations

from servent.api import schema
from servent.api import schema_share as share
from servent.api.context import Context
from servent.api.routing import Routes, pick
from servent.errors import UsageError

routes = Routes("safety")


def _one_of(content: str | None, peer: str | None) -> None:
    if content is None and peer is None:
        raise UsageError("name a content or a peer", advice="Give `content` (64 hex digits), or `peer`.")


@routes.add("GET", "/blocks", scope="read")
async def blocks(ctx: Context) -> list[share.Block]:
    """What is never shown, fetched or served."""
    return ctx.node.blocks()


@routes.add("POST", "/blocks", problems=(404, 507))
async def block(ctx: Context, body: share.NewBlock) -> share.Block:
    """Block one content, or a peer."""
    _one_of(body.content, body.peer)
    if body.content is not None and body.peer is not None:
        raise UsageError("a block is of one content or of one peer", advice="Make two of it.")
    return await ctx.node.block(body)


@routes.add("DELETE", "/blocks/{block}")
async def unblock(ctx: Context, block: str) -> schema.Done:
    """End a block; named by its id, the content or the peer."""
    found = pick(
        ctx.node.blocks(),
        block,
        lambda one: tuple(text for text in (one.id, one.content, one.peer, one.name) if text),
        "block",
        "`servent blocks` lists them.",
    )
    await ctx.node.unblock(found.id)
    return schema.Done()


@routes.add("GET", "/reports", scope="read")
async def reports(ctx: Context) -> list[share.Report]:
    """Reports of ours, and those told to us as the admin of a network."""
    return ctx.node.reports()


@routes.add("POST", "/reports", problems=(404, 507))
async def report(ctx: Context, body: share.NewReport) -> share.Report:
    """Say that something is bad: it is blocked here, and the networks' admins are told."""
    _one_of(body.content, body.peer)
    return await ctx.node.report(body)


@routes.add("GET", "/filters", scope="read")
async def filters(ctx: Context) -> share.Filters:
    """What is never shown."""
    return ctx.node.filters()


@routes.add("PUT", "/filters", problems=(507,))
async def set_filters(ctx: Context, body: share.Filters) -> share.Filters:
    """Replace all filters; takes effect at once and stays."""
    return await ctx.node.set_filters(body)
