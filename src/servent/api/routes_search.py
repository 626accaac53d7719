"""Finding: search, browse, recommendations."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
from starlette.responses import StreamingResponse

from servent.api import schema_share as share
from servent.api.context import Context
from servent.api.routing import Routes
from servent.errors import ServentError

log = logging.getLogger("servent.api")
routes = Routes("search")


@routes.add("GET", "/search", scope="read", problems=(404,))
async def search(ctx: Context, query: share.SearchQuery) -> StreamingResponse:
    """Hits as they come: one SearchEvent per line (NDJSON), "done" last. Leaving ends the search everywhere."""
    events = ctx.node.search(query)
    try:
        first = await anext(events)  # a query that cannot be understood is a problem, not a stream
    except StopAsyncIteration:
        first = share.SearchEvent(kind="done")
    return StreamingResponse(
        _lines(first, events), media_type="application/x-ndjson", headers={"X-Accel-Buffering": "no"}
    )


async def _lines(first: share.SearchEvent, events: AsyncIterator[share.SearchEvent]) -> AsyncGenerator[bytes]:
    encoder = msgspec.json.Encoder()
    event = first
    async with contextlib.AsyncExitStack() as end:
        if isinstance(events, AsyncGenerator):
            await end.enter_async_context(contextlib.aclosing(events))
        yield encoder.encode(event) + b"\n"
        try:
            async for event in events:
                yield encoder.encode(event) + b"\n"
        except (ServentError, TimeoutError) as wrong:
            event = share.SearchEvent(kind="done", reason=str(wrong) or "it took too long")
            yield encoder.encode(event) + b"\n"
        except Exception:
            log.exception("a search failed")
            event = share.SearchEvent(
                kind="done", reason="the node made a mistake; its log holds the details"
            )
            yield encoder.encode(event) + b"\n"
        if event.kind != "done":
            yield encoder.encode(share.SearchEvent(kind="done")) + b"\n"


@routes.add("GET", "/browse/{peer}", scope="read", problems=(502, 503, 504))
async def browse(ctx: Context, peer: str, query: share.BrowseQuery) -> share.Listing:
    """A part of one folder of what a peer shares with us; "me" is this node."""
    return await ctx.node.browse(peer, query)


@routes.add("GET", "/recommendations", scope="read")
async def recommendations(ctx: Context, query: share.Page) -> list[share.Recommendation]:
    """What peers have who share much of what we have, and we have not."""
    return await ctx.node.recommendations(query)
