"""Getting what was found, the order of the queue, many transfers at once, history."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request

from servent.api import paths, schema
from servent.api import schema_getting as getting
from servent.api import schema_share as share
from servent.api.context import Context
from servent.api.routes_files import find_download
from servent.api.routing import ProblemError, Routes
from servent.errors import UsageError

routes = Routes("queue")


@routes.add("POST", "/gets", problems=(404, 502, 504, 507))
async def get(ctx: Context, body: getting.NewGet) -> schema.Transfer:
    """Fetch what a search or a listing showed: one content, or a folder of a peer."""
    if (body.content is None) == (body.peer is None):
        raise UsageError(
            "fetch either one content or a folder of a peer",
            advice="Give `content`, `size_bytes` and `peers`; or `peer` and `path`.",
        )
    to = None if body.to is None else await asyncio.to_thread(paths.folder, body.to)
    return await ctx.node.get(msgspec.structs.replace(body, to=to))


@routes.add("PATCH", "/transfers/{transfer}", problems=(409, 503, 507))
async def change_transfer(ctx: Context, transfer: str, body: getting.TransferChange) -> schema.Transfer:
    """Its priority and place in the queue, where it goes and what it is called."""
    if body.to is not None:
        body = msgspec.structs.replace(body, to=await asyncio.to_thread(paths.folder, body.to))
    return await ctx.node.change_transfer(find_download(ctx, transfer).id, body)


@routes.add("GET", "/transfers/{transfer}/files", scope="read", problems=(400,))
async def transfer_files(ctx: Context, transfer: str, query: share.Page) -> list[getting.TransferFile]:
    """The files inside, and how far each is."""
    return await ctx.node.transfer_files(find_download(ctx, transfer).id, query)


@routes.add("PUT", "/transfers/{transfer}/files", problems=(507,))
async def choose_files(ctx: Context, transfer: str, body: getting.FileChoice) -> list[getting.TransferFile]:
    """Fetch only these files of it."""
    return await ctx.node.choose_files(find_download(ctx, transfer).id, body)


@routes.add("POST", "/transfers/many", problems=(507,))
async def act_on_many(ctx: Context, body: getting.ManyTransfers) -> getting.ManyDone:
    """One action for many transfers; what fails is named, the others go on."""
    return await ctx.node.act_on_many(body)


@routes.add("GET", "/history", scope="read")
async def history(ctx: Context, query: getting.HistoryQuery) -> getting.History:
    """Transfers that ended, newest first."""
    return await ctx.node.history(query)


@routes.add("DELETE", "/history")
async def clear_history(ctx: Context) -> schema.Done:
    """Forget what was moved. The files stay."""
    await ctx.node.clear_history()
    return schema.Done()


@routes.add("GET", "/queue", scope="read")
async def queue(ctx: Context) -> getting.Queue:
    """How transfers share this machine and its line."""
    return ctx.node.queue()


@routes.add("PUT", "/queue", problems=(404, 507))
async def set_queue(ctx: Context, request: Request, body: getting.Queue) -> getting.Queue:
    """Replace all of it; takes effect at once and stays. Another `on_complete` needs a token for `admin`."""
    if body.on_complete != ctx.node.queue().on_complete and request.scope.get("servent_scope") != "admin":
        raise ProblemError(
            schema.Problem(
                type="urn:servent:refused",
                title="this token may not do that",
                status=403,
                detail="a program that is run after each download needs a token for admin",
                advice="Leave `on_complete` as it is, or set it with `servent queue --hook`.",
            )
        )
    return await ctx.node.set_queue(body)
