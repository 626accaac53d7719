"""Tickets, networks, peers and grants: who is let in, and who is there."""

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


@routes.add("GET", "/networks", scope="read")
async def networks(ctx: Context) -> list[schema.Network]:
    """Networks this node is a member of."""
    return ctx.node.networks()


@routes.add("POST", "/networks")
async def create_network(ctx: Context, body: schema.NewNetwork) -> schema.Network:
    """A new network; this node is its admin."""
    return await ctx.node.create_network(body.name, open=body.open)


@routes.add("DELETE", "/networks/{network}")
async def leave_network(ctx: Context, network: str) -> schema.Done:
    """Leave a network."""
    await ctx.node.leave_network(network)
    return schema.Done()


@routes.add("GET", "/networks/{network}/invitations", scope="read")
async def invitations(ctx: Context, network: str) -> list[schema.Invitation]:
    """Invitations this node made, without their texts."""
    return await ctx.node.invitations(network)


@routes.add("POST", "/networks/{network}/invitations", problems=(403,))
async def invite(
    ctx: Context,
    network: str,
    body: schema.InvitationRequest = schema.InvitationRequest(),  # noqa: B008
) -> schema.Invitation:
    """An invitation to pass on; only the network's admin can make one."""
    made = await ctx.node.invite(network, uses=body.uses, lifetime=body.lifetime)
    return msgspec.structs.replace(made, qr_svg=qr.svg(made.invitation), qr_text=qr.terminal(made.invitation))


@routes.add("GET", "/networks/{network}/invitations/{invitation}", scope="read")
async def invitation(ctx: Context, network: str, invitation: str) -> schema.Invitation:
    """One invitation, without its text."""
    from servent.errors import NotFound

    for found in await ctx.node.invitations(network):
        if found.id == invitation:
            return found
    raise NotFound(f"no invitation {invitation!r}", advice="`servent invite --list` shows them.")


@routes.add("DELETE", "/networks/{network}/invitations/{invitation}")
async def revoke_invitation(ctx: Context, network: str, invitation: str) -> schema.Done:
    """An invitation lets nobody in any more."""
    await ctx.node.revoke_invitation(network, invitation)
    return schema.Done()


@routes.add("GET", "/networks/{network}/members", scope="read")
async def members(ctx: Context, network: str) -> list[schema.Member]:
    """Members of a network that this node knows of."""
    return await ctx.node.members(network)


@routes.add("DELETE", "/networks/{network}/members/{peer}")
async def revoke_member(ctx: Context, network: str, peer: str) -> schema.Done:
    """A member is one no longer."""
    await ctx.node.revoke_member(network, peer)
    return schema.Done()


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
