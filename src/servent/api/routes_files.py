"""Shares, downloads, transfers and limits."""

from __future__ import annotations

import asyncio

from servent.api import paths, schema
from servent.api.context import Context
from servent.api.routing import Routes
from servent.errors import NotFound, UsageError

routes = Routes("files")


def _find(ctx: Context, wanted: str) -> schema.Transfer:
    """A transfer by its id, or by as much of it as names one alone."""
    found = [transfer for transfer in ctx.node.transfers() if transfer.id.startswith(wanted)]
    exact = [transfer for transfer in found if transfer.id == wanted]
    if len(exact or found) != 1:
        many = "several transfers begin with" if found else "no transfer is called"
        raise NotFound(f"{many} {wanted[:80]!r}", advice="`servent transfers` lists them.")
    return (exact or found)[0]


def _find_share(ctx: Context, wanted: str) -> schema.Share:
    """The same for what is shared."""
    known = ctx.node.shares()
    exact = [share for share in known if wanted in (share.id, share.infohash)]
    found = exact or [share for share in known if share.id.startswith(wanted)]
    if not found and (begun := ctx.node.begun_share(wanted)) is not None:
        return begun
    if len(found) != 1:
        many = "several things shared begin with" if found else "nothing shared is called"
        raise NotFound(f"{many} {wanted[:80]!r}", advice="`servent shares` shows what is.")
    return found[0]


def find_download(ctx: Context, wanted: str) -> schema.Transfer:
    """The same, of those that can be paused, checked or ended."""
    found = _find(ctx, wanted)
    if found.direction == "up":
        raise UsageError(
            f"{found.name} is being sent: whoever fetches it decides",
            advice="`servent shares --remove ID` offers it no longer, `servent contact PEER --block` sends them nothing.",
        )
    return found


@routes.add("GET", "/shares", scope="read")
async def shares(ctx: Context) -> list[schema.Share]:
    """What this node offers."""
    return ctx.node.shares()


@routes.add("POST", "/shares", problems=(404, 503, 507))
async def add_share(ctx: Context, body: schema.NewShare) -> schema.Share:
    """Offer a folder or file; it becomes a link."""
    path = await asyncio.to_thread(paths.existing, body.path)
    await asyncio.to_thread(paths.not_our_own, path, ctx.node.data_dir)
    return await ctx.node.add_share(path, wait=body.wait)


@routes.add("GET", "/shares/{share}", scope="read")
async def share(ctx: Context, share: str) -> schema.Share:
    """One of them."""
    return _find_share(ctx, share)


@routes.add("DELETE", "/shares/{share}")
async def remove_share(ctx: Context, share: str) -> schema.Done:
    """Offer it no longer. The files stay."""
    await ctx.node.remove_share(_find_share(ctx, share).id)
    return schema.Done()


@routes.add("POST", "/downloads", problems=(507,))
async def download(ctx: Context, body: schema.NewDownload) -> schema.Transfer:
    """Start fetching a link; the answer comes before the first byte does."""
    to = None if body.to is None else await asyncio.to_thread(paths.folder, body.to)
    return await ctx.node.download(body.link.strip(), to, body.files)


@routes.add("GET", "/transfers", scope="read")
async def transfers(ctx: Context) -> list[schema.Transfer]:
    """Everything that moves, waits, or has ended lately."""
    return ctx.node.transfers()


@routes.add("GET", "/transfers/{transfer}", scope="read")
async def transfer(ctx: Context, transfer: str) -> schema.Transfer:
    """One of them."""
    return _find(ctx, transfer)


@routes.add("POST", "/transfers/{transfer}/pause")
async def pause(ctx: Context, transfer: str) -> schema.Transfer:
    """Stop moving bytes for now; what is there stays."""
    found = find_download(ctx, transfer).id
    await ctx.node.pause(found)
    return _find(ctx, found)


@routes.add("POST", "/transfers/{transfer}/resume", problems=(507,))
async def resume(ctx: Context, transfer: str) -> schema.Transfer:
    """Go on where it stopped."""
    found = find_download(ctx, transfer).id
    await ctx.node.resume(found)
    return _find(ctx, found)


@routes.add("POST", "/transfers/{transfer}/cancel")
async def cancel(ctx: Context, transfer: str) -> schema.Transfer:
    """End it and remove what was fetched so far."""
    before = find_download(ctx, transfer)
    await ctx.node.cancel(before.id)
    return next((now for now in ctx.node.transfers() if now.id == before.id), before)


@routes.add("POST", "/transfers/{transfer}/verify")
async def verify(ctx: Context, transfer: str) -> schema.Transfer:
    """Read everything from disk again and fetch afresh what is not right."""
    found = find_download(ctx, transfer).id
    await ctx.node.verify(found)
    return _find(ctx, found)


@routes.add("DELETE", "/transfers/{transfer}")
async def remove_transfer(ctx: Context, transfer: str) -> schema.Done:
    """Take it off the list; complete files stay."""
    await ctx.node.remove_transfer(find_download(ctx, transfer).id)
    return schema.Done()


@routes.add("GET", "/limits", scope="read")
async def limits(ctx: Context) -> schema.Limits:
    """Rates and slots; null is no limit."""
    return ctx.node.limits()


@routes.add("PUT", "/limits")
async def set_limits(ctx: Context, body: schema.Limits) -> schema.Limits:
    """Replace all limits; takes effect at once and stays."""
    await ctx.node.set_limits(body)
    return ctx.node.limits()
