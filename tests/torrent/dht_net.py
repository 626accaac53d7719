"""A DHT of our own in one process: real libtorrent sessions on 127.0.0.x, which know each other and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from servent.torrent.session import Session
from servent.torrent.views import SessionSettings

QUIET = SessionSettings(
    dht_private=True, local=False, map_ports=False, door=False, listen=("127.0.0.1",), dht_nodes=()
)
PATIENCE = 60.0  # s for all of them to know each other


@dataclass
class Net:
    folder: Path
    tasks: asyncio.TaskGroup
    sessions: list[Session] = field(default_factory=list)
    entries: tuple[str, ...] = ()
    runs: list[asyncio.Task[None]] = field(default_factory=list)
    _made: int = 0

    async def start(self, settings: SessionSettings, name: str = "") -> Session:
        """One more session, which runs until the net ends."""
        self._made += 1
        folder = self.folder / (name or f"node{self._made}")
        folder.mkdir(exist_ok=True)
        session = Session(folder, settings)
        self.runs.append(self.tasks.create_task(session.run()))
        await session.open()
        return session

    async def join(self, **changes: object) -> Session:
        """A session that takes part as a servent node does: it asks, and does not answer."""
        settings = replace(QUIET, listen=(f"127.0.0.{100 + self._made}",), dht_nodes=self.entries, **changes)  # type: ignore[arg-type]
        session = await self.start(settings)
        assert await session.ready()
        return session


@asynccontextmanager
async def private_dht(folder: Path, count: int) -> AsyncIterator[Net]:
    """`count` nodes that answer, on 127.0.0.2 and so on; ports are any free ones."""
    async with asyncio.TaskGroup() as tasks:
        net = Net(folder, tasks)
        for number in range(count):
            settings = replace(QUIET, listen=(f"127.0.0.{number + 2}",), dht_serve="on")
            net.sessions.append(await net.start(settings))
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while not all(session.view().port for session in net.sessions) and loop.time() < until:
            await asyncio.sleep(0.01)
        addresses = tuple(f"127.0.0.{n + 2}:{one.view().port}" for n, one in enumerate(net.sessions))
        net.entries = addresses[:2]
        for session in net.sessions:
            await session.configure(replace(session.settings, dht_nodes=addresses))
        for session in net.sessions:
            while session.view().dht_nodes < count - 1 and loop.time() < until:
                assert await session.ready()
                await asyncio.sleep(0.05)
        try:
            yield net
        finally:
            for run in net.runs:
                run.cancel()
