"""The node itself: who it is, how it is, logging in, settings, stopping."""

from __future__ import annotations

import asyncio
import os

import msgspec

from servent.api import qr, schema, settings
from servent.api.context import Context, memory_bytes
from servent.api.keys import LOGIN_LIFETIME
from servent.api.routing import Routes
from servent.errors import UsageError

routes = Routes("node")


@routes.add("GET", "/ping", scope=None)
async def ping_api(ctx: Context) -> schema.Ping:
    """Whether a node answers here, and its version."""
    return schema.Ping(ctx.version)


@routes.add("GET", "/health", scope="read")
async def health(ctx: Context) -> schema.Health:
    """Whether the node works."""
    return schema.Health(
        ok=not ctx.stopping, version=ctx.version, uptime=ctx.uptime, loop_lag_ms=round(ctx.lag * 1000, 2)
    )


def full_status(ctx: Context) -> schema.Status:
    return msgspec.structs.replace(
        ctx.node.status(),
        api_url=ctx.url,
        web_url=ctx.web_url,
        pid=os.getpid(),
        uptime=round(ctx.uptime, 3),
        loop_lag_ms=round(ctx.lag * 1000, 2),
        memory_bytes=memory_bytes(),
    )


@routes.add("GET", "/status", scope="read")
async def status(ctx: Context) -> schema.Status:
    """One glance at the node."""
    return full_status(ctx)


@routes.add("GET", "/id", scope="read")
async def node_id(ctx: Context) -> schema.NodeId:
    """Who this node is."""
    found = ctx.node.id()
    return msgspec.structs.replace(found, qr_svg=qr.svg(found.uri), qr_text=qr.terminal(found.uri))


@routes.add("POST", "/id/backup", scope="admin")
async def backup_id(ctx: Context, body: schema.Passphrase) -> schema.Backup:
    """The node's key, sealed with a passphrase."""
    return schema.Backup(await ctx.node.backup_id(body.passphrase))


@routes.add("GET", "/doctor", scope="read", problems=(504,))
async def doctor(ctx: Context) -> schema.Doctor:
    """Looks at everything that usually goes wrong, and says what to do about it."""
    from servent.api import checks

    local = await asyncio.to_thread(checks.local, ctx.node.data_dir)
    found = await ctx.node.doctor()
    return msgspec.structs.replace(found, checks=[*local, *found.checks])


@routes.add("GET", "/config", scope="read")
async def config(ctx: Context) -> schema.Config:
    """Every setting, with its value and meaning."""
    return settings.view(ctx.node.data_dir)


@routes.add("PATCH", "/config", scope="admin", problems=(404,))
async def change_config(ctx: Context, body: schema.ConfigChange) -> schema.Config:
    """Change settings in the file; most take effect at the next start. All or none."""
    return await asyncio.to_thread(settings.change, ctx.node.data_dir, body.values)


@routes.add("POST", "/login-link", scope="admin")
async def login_link(ctx: Context) -> schema.LoginLink:
    """An address that opens the page once, without a password."""
    return schema.LoginLink(make_login_link(ctx), LOGIN_LIFETIME)


def make_login_link(ctx: Context) -> str:
    return f"{ctx.url}/login?code={ctx.keys.new_login_code(ctx.wall_clock())}"


@routes.add("GET", "/tokens", scope="admin")
async def tokens(ctx: Context) -> list[schema.Token]:
    """Named tokens, without their secrets."""
    return ctx.keys.tokens()


@routes.add("POST", "/tokens", scope="admin")
async def add_token(ctx: Context, body: schema.NewToken) -> schema.Token:
    """A token for a script or another program; shown once."""
    if not body.name.isprintable():
        raise UsageError("a token's name has printable characters only")
    return ctx.keys.add(body.name, body.scope, ctx.wall_clock())


@routes.add("DELETE", "/tokens/{name}", scope="admin")
async def remove_token(ctx: Context, name: str) -> schema.Done:
    """A named token stops working at once."""
    ctx.keys.remove(name)
    return schema.Done()


@routes.add("POST", "/tokens/rotate", scope="admin")
async def rotate_token(ctx: Context) -> schema.Done:
    """A new admin token in api.token; every session of the page ends."""
    ctx.keys.rotate()
    if ctx.restart_web is not None:
        await ctx.restart_web()
    return schema.Done()


@routes.add("POST", "/web/restart", scope="admin")
async def restart_web(ctx: Context) -> schema.Done:
    """Start the page's process again."""
    if ctx.restart_web is None:
        raise UsageError(
            "this node runs without its page", advice="Start it without `--no-web` to have the page."
        )
    await ctx.restart_web()
    return schema.Done()


@routes.add("POST", "/shutdown", scope="admin")
async def shutdown(ctx: Context) -> schema.Done:
    """Stop the node, cleanly. Transfers continue where they stopped at the next start."""
    asyncio.get_running_loop().call_later(0.05, ctx.stop)  # after the answer is out
    return schema.Done()
