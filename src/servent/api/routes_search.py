"""Finding: search, browse, recommendations."""

from __future__ import annotations

from starlette.responses import StreamingResponse

from servent.api import ndjson
from servent.api import schema_share as share
from servent.api.context import Context
from servent.api.routing import Routes

routes = Routes("search")


@routes.add("GET", "/search", scope="read", problems=(404,))
async def search(ctx: Context, query: share.SearchQuery) -> StreamingResponse:
    """Hits as they come: one SearchEvent per line (NDJSON), "done" last. Leaving ends the search everywhere."""
    return await ndjson.stream(
        ctx.node.search(query), lambda reason: share.SearchEvent(kind="done", reason=reason)
    )


@routes.add("GET", "/browse/{peer}", scope="read", problems=(502, 503, 504))
async def browse(ctx: Context, peer: str, query: share.BrowseQuery) -> share.Listing:
    """A part of one folder of what a peer shares with us; "me" is this node."""
    return await ctx.node.browse(peer, query)


@routes.add("GET", "/recommendations", scope="read")
async def recommendations(ctx: Context, query: share.Page) -> list[share.Recommendation]:
    """What peers have who share much of what we have, and we have not."""
    return await ctx.node.recommendations(query)
