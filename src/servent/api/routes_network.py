"""Networks: their settings, members, invitations and shape; roles of this node; who has what, and where a peer is."""

from __future__ import annotations

import msgspec
from starlette.responses import StreamingResponse

from servent.api import ndjson, qr, schema
from servent.api import schema_network as network
from servent.api.context import Context
from servent.api.routing import Routes
from servent.errors import NotFound

routes = Routes("networks")


@routes.add("GET", "/networks", scope="read")
async def networks(ctx: Context) -> list[network.Network]:
    """Networks this node is a member of."""
    return ctx.node.networks()


@routes.add("POST", "/networks")
async def create_network(ctx: Context, body: network.NewNetwork) -> network.Network:
    """A new network; this node is its admin."""
    return await ctx.node.create_network(body.name, open=body.open, mode=body.mode)


@routes.add("DELETE", "/networks/{name}")
async def leave_network(ctx: Context, name: str) -> schema.Done:
    """Leave a network."""
    await ctx.node.leave_network(name)
    return schema.Done()


@routes.add("GET", "/networks/{name}/invitations", scope="read")
async def invitations(ctx: Context, name: str) -> list[network.Invitation]:
    """Invitations this node made, without their texts."""
    return await ctx.node.invitations(name)


@routes.add("POST", "/networks/{name}/invitations", problems=(403,))
async def invite(
    ctx: Context,
    name: str,
    body: network.InvitationRequest = network.InvitationRequest(),  # noqa: B008
) -> network.Invitation:
    """An invitation to pass on; only the network's admin can make one."""
    made = await ctx.node.invite(name, uses=body.uses, lifetime=body.lifetime)
    return msgspec.structs.replace(made, qr_svg=qr.svg(made.invitation), qr_text=qr.terminal(made.invitation))


@routes.add("GET", "/networks/{name}/invitations/{invitation}", scope="read")
async def invitation(ctx: Context, name: str, invitation: str) -> network.Invitation:
    """One invitation, without its text."""
    for found in await ctx.node.invitations(name):
        if found.id == invitation:
            return found
    raise NotFound(f"no invitation {invitation!r}", advice="`servent invite --list` shows them.")


@routes.add("DELETE", "/networks/{name}/invitations/{invitation}")
async def revoke_invitation(ctx: Context, name: str, invitation: str) -> schema.Done:
    """An invitation lets nobody in any more."""
    await ctx.node.revoke_invitation(name, invitation)
    return schema.Done()


@routes.add("GET", "/networks/{name}/members", scope="read")
async def members(ctx: Context, name: str) -> list[network.Member]:
    """Members of a network that this node knows of."""
    return await ctx.node.members(name)


@routes.add("DELETE", "/networks/{name}/members/{peer}")
async def revoke_member(ctx: Context, name: str, peer: str) -> schema.Done:
    """A member is one no longer."""
    await ctx.node.revoke_member(name, peer)
    return schema.Done()


@routes.add("POST", "/networks/{name}/mode", problems=(403,))
async def set_mode(ctx: Context, name: str, body: network.ModeChange) -> network.Network:
    """Switch how a network is organised, while it runs; only its founder can."""
    return await ctx.node.set_mode(name, body)


@routes.add("GET", "/networks/{name}/shape", scope="read")
async def shape(ctx: Context, name: str) -> network.NetworkShape:
    """How a network looks from here: neighbours, homes, leaves, supernodes, and what goes over it."""
    return ctx.node.shape(name)


@routes.add("GET", "/roles", scope="read")
async def roles(ctx: Context) -> list[schema.Role]:
    """What this node does for others, and why or why not."""
    return ctx.node.roles()


@routes.add("PUT", "/roles")
async def set_role(ctx: Context, body: network.RoleChange) -> list[schema.Role]:
    """Say whether this node is to carry a role."""
    await ctx.node.set_role(body)
    return ctx.node.roles()


@routes.add("GET", "/who-has", scope="read", problems=(404,))
async def who_has(ctx: Context, query: network.HolderQuery) -> StreamingResponse:
    """Who has a content, as answers come: one HolderEvent per line (NDJSON), "done" last. Leaving ends it."""
    return await ndjson.stream(
        ctx.node.who_has(query), lambda reason: network.HolderEvent(kind="done", reason=reason)
    )


@routes.add("GET", "/where/{peer}", scope="read", problems=(504,))
async def where(ctx: Context, peer: str) -> network.Whereabouts:
    """Where a peer is now, by the newest record that its networks know of it."""
    return await ctx.node.where(peer)
