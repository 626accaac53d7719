"""What tests at the door share: sessions on loopback, shares in memory, and a peer that fetches what is seeded."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from servent.blobs.hashing import Shared
from servent.torrent.handle import Handle
from servent.torrent.session import Session
from servent.torrent.views import Adding, SessionSettings, Watcher
from tests.net.party import until

LOOPBACK = SessionSettings(listen=("127.0.0.1",), dht=False, local=False, map_ports=False)
FETCH_TIME = 60.0  # s; ends only what hangs


def looped(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that runs on an event loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **fixtures: Any) -> None:
        asyncio.run(test(*args, **fixtures))

    return run


@asynccontextmanager
async def session(folder: Path, settings: SessionSettings = LOOPBACK) -> AsyncIterator[Session]:
    """An open session that listens on loopback alone."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Session(folder, settings)
    running = asyncio.create_task(made.run())
    try:
        await made.open()
        await until(lambda: made.view().port != 0)
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running])


class Book:
    """Shares, as `Blobs` has them, in memory."""

    def __init__(self, *shares: Shared) -> None:
        self.all = {shared.collection.infohash: shared for shared in shares}

    async def shared(self, infohash: bytes) -> tuple[Shared, Path] | None:
        found = self.all.get(infohash)
        return None if found is None else (found, found.root)

    def has_share(self, infohash: bytes) -> bool:
        return infohash in self.all

    async def keep_share(self, shared: Shared, path: Path) -> None:
        self.all[shared.collection.infohash] = shared


class Done(Watcher):
    """Tells when all is there, and what went wrong."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self.failed: list[int] = []
        self.trouble: list[str] = []

    def on_finished(self) -> None:
        self.done.set()

    def on_hash_failed(self, index: int) -> None:
        self.failed.append(index)

    def on_trouble(self, text: str) -> None:
        self.trouble.append(text)


async def fetch(into: Session, torrent: bytes, folder: Path, port: int, limit: float = FETCH_TIME) -> Handle:
    """Fetch a torrent from the peer on this port of loopback; returns when all is there and written."""
    watcher = Done()
    handle = await into.add(Adding(folder, torrent=torrent, peers=(f"127.0.0.1:{port}",)), watcher)
    async with asyncio.timeout(limit):
        await watcher.done.wait()
        await handle.flush()
    return handle
