"""Tickets, peers and grants: who is let in, and who is there."""

from __future__ import annotations

import msgspec

from servent.api import qr, schema
from servent.api.context import Context
from servent.api.routing import Routes

routes = Routes("peers")


@routes.add("POST", "/ticket")
async def ticket(ctx: Context, body: schema.TicketRequest = schema.TicketRequest()) -> schema.Ticket:  # noqa: B008
    """A text that lets whoever holds it connect to this node."""
    made = await ctx.node.ticket(once=body.once, lifetime=body.lifetime)
    return msgspec.structs.replace(made, qr_svg=qr.svg(made.ticket), qr_text=qr.terminal(made.ticket))


@routes.add("POST", "/join", problems=(504, 502))
async def join(ctx: Context, body: schema.JoinRequest) -> schema.Joined:
    """Use a ticket or an invitation that somebody passed on."""
    return await ctx.node.join(body.ticket.strip())


@routes.add("GET", "/peers", scope="read")
async def peers(ctx: Context) -> list[schema.Peer]:
    """Peers that are connected, and contacts that are not."""
    return ctx.node.peers()


@routes.add("POST", "/peers/{peer}/ping", problems=(504,))
async def ping(ctx: Context, peer: str, query: schema.PingQuery) -> schema.PingResult:
    """Measure the way to a peer, connecting first if need be."""
    return await ctx.node.ping(peer, query.count)


@routes.add("PATCH", "/peers/{peer}")
async def change_peer(ctx: Context, peer: str, body: schema.PeerChange) -> schema.Peer:
    """Give a peer a petname, befriend, block or unblock it."""
    return await ctx.node.change_peer(peer, body)


@routes.add("DELETE", "/peers/{peer}")
async def forget_peer(ctx: Context, peer: str) -> schema.Done:
    """Forget a contact and close its connection."""
    await ctx.node.forget_peer(peer)
    return schema.Done()


@routes.add("GET", "/grants", scope="read")
async def grants(ctx: Context) -> list[schema.Grant]:
    """Who may use which service of this node."""
    return ctx.node.grants()


@routes.add("PUT", "/grants", problems=(404,))
async def set_grant(ctx: Context, body: schema.Grant) -> list[schema.Grant]:
    """Say who may use one service."""
    await ctx.node.set_grant(body)
    return ctx.node.grants()


@routes.add("DELETE", "/grants", problems=(404,))
async def unset_grant(ctx: Context, query: schema.GrantQuery) -> list[schema.Grant]:
    """One service is for whom it is by default."""
    await ctx.node.unset_grant(query.service)
    return ctx.node.grants()
