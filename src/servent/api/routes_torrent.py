"""BitTorrent: what is fetched from there and seeded to it, and .torrent files."""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from pathlib import Path

from servent.api import paths, schema
from servent.api import schema_torrent as bt
from servent.api.context import Context
from servent.api.routing import Routes, pick
from servent.errors import UsageError, WorldError

routes = Routes("torrents")

MAX_FILE = 16 * 1024 * 1024  # bytes of a .torrent


def _find(ctx: Context, wanted: str) -> bt.Torrent:
    return pick(
        ctx.node.torrents(),
        wanted,
        lambda one: (one.id, one.infohash_v1, one.name),
        "torrent",
        "`servent torrent ls` lists them.",
    )


@routes.add("GET", "/torrents/status", scope="read")
async def torrents_status(ctx: Context) -> bt.TorrentStatus:
    """Whether the door to BitTorrent is open, and what goes through it."""
    return ctx.node.torrent_status()


@routes.add("GET", "/torrents", scope="read")
async def torrents(ctx: Context) -> list[bt.Torrent]:
    """What comes from BitTorrent, and what is seeded to it."""
    return ctx.node.torrents()


@routes.add("POST", "/torrents", problems=(404, 503, 507))
async def fetch(ctx: Context, body: bt.TorrentFetch) -> schema.Transfer:
    """Start fetching by a .torrent file: its path, or its bytes."""
    if (body.path is None) == (body.data is None):
        raise UsageError("a .torrent is named by its path, or sent as data", advice="Give either of them.")
    if body.path is not None:
        data = await asyncio.to_thread(_read, await asyncio.to_thread(paths.existing, body.path))
    else:
        assert body.data is not None
        try:
            data = b64decode(body.data, validate=True)
        except (binascii.Error, ValueError) as wrong:
            raise UsageError("the data is no base64") from wrong
    to = None if body.to is None else await asyncio.to_thread(paths.folder, body.to)
    return await ctx.node.fetch_torrent(data, to)


def _read(path: str) -> bytes:
    """Raises UsageError: too large. WorldError: it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as wrong:
        raise WorldError(f"{path} cannot be read: {wrong.strerror}") from wrong
    if len(data) > MAX_FILE:
        raise UsageError(f"{path} is larger than {MAX_FILE} bytes, which no .torrent is")
    return data


@routes.add("POST", "/torrents/seed", problems=(404, 409, 503, 507))
async def seed(ctx: Context, body: bt.TorrentSeed) -> bt.Torrent:
    """Seed a share, or something of the library, to BitTorrent, from where it lies; or no more."""
    if not body.seed:
        found = _find(ctx, body.what)
        await ctx.node.unseed_torrent(found.id)
        return found
    return await ctx.node.seed_torrent(body)


@routes.add("GET", "/torrents/{torrent}", scope="read")
async def one(ctx: Context, torrent: str) -> bt.Torrent:
    """One of them."""
    return _find(ctx, torrent)


@routes.add("GET", "/torrents/{torrent}/peers", scope="read")
async def torrent_peers(ctx: Context, torrent: str) -> list[bt.TorrentPeer]:
    """The BitTorrent peers it is connected to."""
    return await ctx.node.torrent_peers(_find(ctx, torrent).id)


@routes.add("GET", "/torrents/{torrent}/file", scope="read", problems=(507,))
async def file(ctx: Context, torrent: str) -> bt.TorrentFile:
    """A .torrent of something shared, fetched or seeded."""
    return await ctx.node.torrent_file(torrent)
