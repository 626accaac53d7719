"""Handing something over by a short spoken code."""

from __future__ import annotations

import asyncio

import msgspec

from servent.api import paths, schema
from servent.api import schema_share as share
from servent.api.context import Context
from servent.api.routing import Routes, pick
from servent.share import code_words

routes = Routes("codes")


@routes.add("GET", "/codes", scope="control")
async def codes(ctx: Context) -> list[share.Code]:
    """Hand-overs under way and lately ended. Whoever reads a code can use it: `read` does not suffice."""
    return ctx.node.codes()


@routes.add("POST", "/codes", problems=(404, 503, 507))
async def make_code(ctx: Context, body: share.NewCode) -> share.Code:
    """Offer a file or folder to whoever says the code."""
    path = await asyncio.to_thread(paths.existing, body.path)
    await asyncio.to_thread(paths.not_our_own, path, ctx.node.data_dir)
    return await ctx.node.make_code(msgspec.structs.replace(body, path=path))


@routes.add("GET", "/codes/complete", scope="read")
async def complete_code(ctx: Context, query: share.CodeText) -> list[str]:
    """What a code that is typed so far may go on with, for a prompt's completion."""
    return code_words.complete(query.text)


@routes.add("POST", "/codes/receive", problems=(404, 502, 503, 504, 507))
async def receive(ctx: Context, body: share.ReceiveRequest) -> share.Code:
    """Say a code, and fetch what is offered under it."""
    to = None if body.to is None else await asyncio.to_thread(paths.folder, body.to)
    return await ctx.node.receive(msgspec.structs.replace(body, code=body.code.strip(), to=to))


@routes.add("DELETE", "/codes/{code}")
async def cancel_code(ctx: Context, code: str) -> schema.Done:
    """The code is worth nothing any more; named by the hand-over's id."""
    found = pick(ctx.node.codes(), code, lambda one: (one.id,), "hand-over", "It may have ended.")
    await ctx.node.cancel_code(found.id)
    return schema.Done()
