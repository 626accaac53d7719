"""The first run."""

from __future__ import annotations

from servent.api import schema_getting as getting
from servent.api.context import Context
from servent.api.routing import Routes

routes = Routes("setup")


@routes.add("GET", "/setup", scope="read")
async def setup(ctx: Context) -> getting.Setup:
    """Whether the first-run wizard has been through, and what it suggests."""
    return ctx.node.setup()


@routes.add("POST", "/setup", problems=(503, 507))
async def finish_setup(
    ctx: Context,
    body: getting.SetupDone = getting.SetupDone(),  # noqa: B008
) -> getting.Setup:
    """End the wizard."""
    return await ctx.node.finish_setup(body)
