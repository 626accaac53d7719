"""Pulls bytes without end while the network under it changes, and keeps count of every pause.

    python -m tests.natlab.pull FOLDER RELAY WAY SECONDS

WAY says what it does when nothing arrives for SILENCE: "wait" for iroh to notice, "redial" over the same relay
connection, "again" with a fresh relay connection under the same URL, "alias" with a fresh one under another URL of the
same relay, "fresh" with a second endpoint of the same key, "add" only tells iroh the alias and waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from servent.errors import ServentError
from servent.identity import Identity, PeerId
from servent.net.endpoint import bind
from servent.net.fresh import break_relay_links
from servent.net.links import Connection, Endpoint, PeerAddress, Stream
from tests.natlab.peer import OBSERVERS, Me, get, selected

SILENCE = float(os.environ.get("NATLAB_SILENCE", "2.0"))  # s without a byte that count as a dead path
PAUSE = 0.1  # s; shorter ones are not counted


async def hint(endpoint: Any) -> None:
    """Tell iroh that the network may have changed (its binding's watcher does that in a loop; once is enough)."""
    import iroh

    iroh.iroh_ffi.uniffi_set_event_loop(asyncio.get_running_loop())

    class Once(iroh.NetworkChangeCallback):  # type: ignore[misc]
        async def on_change(self) -> None:
            told.set()

    told = asyncio.Event()
    inner = endpoint._iroh() if callable(endpoint._iroh) else endpoint._iroh
    handle = inner.watch_network_change(Once())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            await told.wait()
    handle.stop()


class Puller:
    def __init__(self, folder: Path, relay: str, way: str) -> None:
        self.folder, self.relay, self.way = folder, relay, way
        self.identity = Identity(os.urandom(32))
        self.gaps: list[tuple[float, float]] = []
        self.paths: list[tuple[float, str]] = []
        self.moves: list[tuple[float, str]] = []
        self.received = 0
        self.last = self.began = time.time()
        self.tries = 0

    def at(self) -> float:
        return round(time.time() - self.began, 2)

    async def run(self, seconds: float) -> dict[str, Any]:
        endpoint: Endpoint = await bind(self.identity, relays=[self.relay])
        me = Me(endpoint, self.folder)
        await me.start(False, tuple(OBSERVERS)[:2])
        self.server = await get(self.folder, "server")
        self.began = time.time()
        until = self.began + seconds
        self.me = me
        connection = await endpoint.connect(self.address(self.relay), 10.0)
        self.last = time.time()
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self.watch(), name="paths")
            self.tasks = tasks
            self.observing = tasks.create_task(self.reobserve(), name="observers")
            self.connection = connection
            while time.time() < until:
                try:
                    await self.pull(until)
                except (ServentError, TimeoutError) as error:
                    self.moves.append((self.at(), f"{type(error).__name__} {str(error)[:60]}"))
                    await self.recover(until)
            watching.cancel()
            self.observing.cancel()
        if time.time() - self.last > PAUSE:
            self.gaps.append((round(self.last - self.began, 2), round(time.time() - self.last, 2)))
        return {
            "wall": self.began,
            "gaps": self.gaps,
            "paths": self.paths,
            "moves": self.moves,
            "bytes": self.received,
        }

    def address(self, relay: str) -> PeerAddress:
        return PeerAddress(PeerId.parse(self.server["id"]), relay, ())

    async def pull(self, until: float) -> None:
        stream: Stream = await self.connection.open()
        await stream.write((1 << 40).to_bytes(8, "big"))
        try:
            while time.time() < until:
                async with asyncio.timeout(SILENCE if self.way != "wait" else 60.0):
                    data = await stream.read(1 << 16)
                now = time.time()
                if now - self.last > PAUSE:
                    self.gaps.append((round(self.last - self.began, 2), round(now - self.last, 2)))
                self.last = now
                self.received += len(data)
                await asyncio.sleep(0.004)
        finally:
            await stream.reset()

    async def recover(self, until: float) -> None:
        old = self.connection
        if self.way.startswith("close"):
            await old.close(0, "silent")
        while time.time() < until:
            self.tries += 1
            try:
                fresh = await self.dial()
            except ServentError as error:
                self.moves.append((self.at(), f"dial: {str(error)[:60]}"))
                continue
            self.moves.append((self.at(), "dialed"))
            self.connection = fresh
            if fresh is not old:
                await old.close(0, "replaced")
            self.observing.cancel()
            self.observing = self.tasks.create_task(self.reobserve(), name="observers")
            return

    async def dial(self) -> Connection:
        endpoint = self.me.endpoint
        way = self.way.removeprefix("close-")
        if way in ("redial", "wait"):
            return await endpoint.connect(self.address(self.relay), 2.0)
        if way == "hint":
            await hint(endpoint)
            return await endpoint.connect(self.address(self.relay), 2.0)
        if way == "cut":
            self.moves.append((self.at(), f"broke {break_relay_links([self.relay])} relay links"))
            return await endpoint.connect(self.address(self.relay), 2.0)
        if way == "again":
            await endpoint.use_relays([])
            await endpoint.use_relays([self.relay])
            return await endpoint.connect(self.address(self.relay), 2.0)
        if way == "alias":
            return await endpoint.connect(self.address(f"{self.relay}/again{self.tries}"), 2.0)
        if way == "add":
            with contextlib.suppress(ServentError):
                await endpoint.connect(self.address(f"{self.relay}/again{self.tries}"), 2.0)
            return self.connection
        if way == "fresh":
            endpoint = await bind(self.identity, relays=[self.relay])
            self.me.endpoint = endpoint
            return await endpoint.connect(self.address(self.relay), 3.0)
        raise ValueError(self.way)

    async def reobserve(self) -> None:
        """Ask again whenever our own addresses change, and at once."""
        known = None
        while True:
            now = tuple(self.me.endpoint.local_addresses())
            if now != known:
                known = now
                self.me.reach.local(now, asyncio.get_running_loop().time())
                for name in tuple(OBSERVERS)[:2]:
                    try:
                        await self.me.ask(name, 1.0)
                    except (ServentError, TimeoutError) as error:
                        self.moves.append((self.at(), f"ask {name}: {error}"))
                self.moves.append((self.at(), f"announced {self.me.reach.view().addresses}"))
            await asyncio.sleep(0.1)

    async def watch(self) -> None:
        before = ""
        while True:
            chosen = [p for p in self.connection.paths() if p.selected]
            now = (
                f"{chosen[0].kind} {chosen[0].address}"
                if chosen
                else f"none of {len(self.connection.paths())}"
            )
            if now != before:
                self.paths.append((self.at(), now))
                before = now
            ready = self.folder / "ready.json"
            settled = selected(self.connection) == "direct" or time.time() - self.began > 2.0
            if self.received and settled and not ready.exists():
                ready.write_text("{}")
            await asyncio.sleep(0.02)


async def main() -> None:
    folder, relay, way, seconds = sys.argv[1:5]
    print(json.dumps(await Puller(Path(folder), relay, way).run(float(seconds))), flush=True)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
