"""Credit: leaderboards, the check of a ledger, statistics for others, teams, and who owes whom in a network."""

from __future__ import annotations

import asyncio
from typing import Annotated

from msgspec import Meta, Struct

from servent.api import paths, schema
from servent.api import schema_credit as credit
from servent.api import schema_grid as grid
from servent.api.context import Context
from servent.api.routes_grid import TROUBLE
from servent.api.routing import Routes

routes = Routes("credit")


class BalanceQuery(Struct, frozen=True, kw_only=True):
    """`network`: name or id; may be left out where this node is in one."""

    network: Annotated[str, Meta(max_length=64)] = ""


@routes.add("GET", "/grid/leaderboards/{project}", scope="read", problems=(503, 507))
async def leaderboard(ctx: Context, project: str, query: credit.BoardQuery) -> credit.Leaderboard:
    """Who gave most to a project, people or teams: today, this week, or ever. Counted from its ledger."""
    return await ctx.node.leaderboard(project, query)


@routes.add("POST", "/grid/audit", problems=TROUBLE)
async def audit(ctx: Context, body: credit.AuditRequest) -> credit.Audit:
    """Check a ledger from its first entry to its last; the project need not be online."""
    if body.link.startswith("/"):
        await asyncio.to_thread(paths.existing, body.link)
    return await ctx.node.audit(body)


@routes.add("POST", "/grid/projects/{project}/export", problems=TROUBLE)
async def export_statistics(ctx: Context, project: str, body: credit.ExportRequest) -> credit.Exported:
    """Write a project's statistics as BOINC's XML files."""
    to = await asyncio.to_thread(paths.folder, body.to)
    return await ctx.node.export_statistics(project, credit.ExportRequest(to=to))


@routes.add("GET", "/grid/teams", scope="read")
async def teams(ctx: Context) -> list[credit.Team]:
    """Teams of this node, and those it is in."""
    return ctx.node.teams()


@routes.add("POST", "/grid/teams", problems=TROUBLE)
async def create_team(ctx: Context, body: credit.NewTeam) -> credit.Team:
    """A new team; this node holds its key, and is its first member."""
    return await ctx.node.create_team(body)


@routes.add("POST", "/grid/teams/join", problems=TROUBLE)
async def join_team(ctx: Context, body: credit.TeamJoin) -> credit.Team:
    """Come into a team by a ticket it made for this node."""
    return await ctx.node.join_team(body)


@routes.add("POST", "/grid/teams/{team}/invite", problems=TROUBLE)
async def invite_to_team(ctx: Context, team: str, body: credit.TeamInvite) -> grid.GridInvite:
    """A ticket into a team of this node, good for one peer."""
    return await ctx.node.invite_to_team(team, body.peer)


@routes.add("DELETE", "/grid/teams/{team}", problems=TROUBLE)
async def leave_team(ctx: Context, team: str) -> schema.Done:
    """Leave a team. Credit earned for it stays with it."""
    await ctx.node.leave_team(team)
    return schema.Done()


@routes.add("GET", "/grid/balances", scope="read", problems=(404, 503, 507))
async def balances(ctx: Context, query: BalanceQuery) -> list[credit.Balance]:
    """Inside a network: what each member earned by lending, and spent on own projects."""
    return await ctx.node.balances(query.network)
