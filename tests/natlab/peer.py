"""The program that runs inside the lab's namespaces, on the endpoint and reach floors alone.

    python -m tests.natlab.peer public FOLDER           relay and observers, for the public network
    python -m tests.natlab.peer serve FOLDER RELAY      accepts connections, echoes, sends bytes
    python -m tests.natlab.peer dial FOLDER RELAY       connects to the server, measures, prints one JSON line

Programs find each other through small JSON files in FOLDER, as people would pass a ticket along.
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

from servent.errors import ServentError, WorldError
from servent.identity import Identity, PeerId
from servent.net.endpoint import bind
from servent.net.links import Connection, Endpoint, PeerAddress, Stream
from servent.net.reach import Announce, Effect, Reach
from servent.net.relay.server import RelayServer
from servent.net.relay.settings import RelaySettings
from tests.natlab.lab import PUB4

OBSERVERS = {"obs1": f"{PUB4}.1:7001", "obs2": f"{PUB4}.2:7002", "obs6": "[2001:db8:0::1]:7003"}
DIRECT_WAIT = 1.3  # s to look for a direct path; the promise is one


def put(folder: Path, name: str, value: Any) -> None:
    (folder / f"{name}.tmp").write_text(json.dumps(value))
    os.replace(folder / f"{name}.tmp", folder / f"{name}.json")


async def get(folder: Path, name: str, patience: float = 60.0) -> Any:
    async with asyncio.timeout(patience):
        while not (folder / f"{name}.json").exists():
            await asyncio.sleep(0.01)
    return json.loads((folder / f"{name}.json").read_text())


def selected(connection: Connection) -> str | None:
    """The kind of path in use, and None once the connection is gone."""
    return next((path.kind for path in connection.paths() if path.selected), None)


def seen_address(connection: Connection) -> str | None:
    direct = [path for path in connection.paths() if path.kind == "direct"]
    chosen = [path for path in direct if path.selected] or direct
    return chosen[0].address if chosen else None


async def observe(connection: Connection) -> None:
    """Tell the peer the address we see, again whenever it changes, and answer its echoes."""

    async def echo(stream: Stream) -> None:
        while data := await stream.read(64):
            await stream.write(b"e%d\n" % len(data))

    async def tell(stream: Stream) -> None:
        last = None
        while True:
            now = seen_address(connection)
            if now != last and now is not None:
                await stream.write(f"a{now}\n".encode())
                last = now
            await asyncio.sleep(0.02 if last is None else 0.2)

    try:
        stream = await connection.accept()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(echo(stream))
            tasks.create_task(tell(stream))
    except* ServentError:
        pass  # the peer is gone; the lab takes them down all the time


async def keep_relay(folder: Path, ready: asyncio.Event) -> None:
    """A relay that dies when FOLDER/relaykill.json appears, and is back a second later."""
    while True:
        relay = RelayServer(RelaySettings(port=443, rate_bytes_per_s=None))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(relay.run(), name="relay")
            await relay.ready.wait()
            ready.set()
            while not (folder / "relaykill.json").exists():
                await asyncio.sleep(0.05)
            await relay.close()
        (folder / "relaykill.json").unlink()
        await asyncio.sleep(1.0)


async def public(folder: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        ready = asyncio.Event()
        tasks.create_task(keep_relay(folder, ready), name="relay")
        await ready.wait()

        async def observer(name: str, where: str) -> None:
            endpoint = await bind(Identity(os.urandom(32)), bind=[where])
            put(folder, name, {"id": str(endpoint.peer), "address": where})
            while True:
                tasks.create_task(observe(await endpoint.accept()))

        for name, where in OBSERVERS.items():
            tasks.create_task(observer(name, where), name=name)
        for name in OBSERVERS:
            await get(folder, name)
        put(folder, "public", {})


class Me:
    """One peer: its endpoint, and reach fed by the observers."""

    def __init__(self, endpoint: Endpoint, folder: Path) -> None:
        self.endpoint, self.folder = endpoint, folder
        self.reach = Reach()
        self.asked = asyncio.Event()

    async def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Announce):
                await self.endpoint.announce(effect.addresses)

    async def ask(self, name: str, patience: float = 1.6) -> None:
        """Have one observer say what it sees; afterwards it goes on to tell changes."""
        told = await get(self.folder, name)
        loop = asyncio.get_running_loop()
        try:
            where = PeerAddress(PeerId.parse(told["id"]), None, (told["address"],))
            connection = await self.endpoint.connect(where, patience)
        except ServentError:
            return
        stream = await connection.open()
        await stream.write(b"?")
        self._keep = [*getattr(self, "_keep", []), connection]
        line = b""
        while not line.startswith(b"a"):
            line = await read_line(stream)
        await self.do(self.reach.observed(name, told["address"], line[1:].decode(), loop.time()))

    async def start(self, upnp: bool, families: tuple[str, ...]) -> None:
        loop = asyncio.get_running_loop()
        self.reach.local(self.endpoint.local_addresses(), loop.time())
        async with asyncio.TaskGroup() as tasks:
            for name in families:
                tasks.create_task(self.ask(name))
        if upnp:
            until = loop.time() + 5.0
            while loop.time() < until and not self.mapped():
                await asyncio.sleep(0.05)
        self.reach.mapped(self.mapped())

    def mapped(self) -> list[str]:
        known = {*self.endpoint.local_addresses(), *self.reach.view().addresses}
        return [a for a in self.endpoint.address().addresses if a not in known]


async def read_line(stream: Stream) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += await stream.read_exactly(1)
    return line[:-1]


async def start(folder: Path, relay: str, upnp: bool) -> Me:
    endpoint = await bind(Identity(os.urandom(32)), relays=[relay])
    me = Me(endpoint, folder)
    local = endpoint.local_addresses()
    families = ["obs1", "obs2"] if any(not a.startswith("[") for a in local) else []
    families += ["obs6"] if any(a.startswith("[2") for a in local) else []
    await me.start(upnp, tuple(families))
    async with asyncio.timeout(60):
        while endpoint.address().relay is None:
            await asyncio.sleep(0.01)
    return me


def report(me: Me) -> dict[str, Any]:
    view = me.reach.view()
    return {"nat": view.nat, "nat4": view.ipv4.kind, "nat6": view.ipv6.kind, "announced": view.addresses,
            "mapped": view.mapped, "summary": view.summary}  # fmt: skip


async def serve_stream(stream: Stream) -> None:
    with contextlib.suppress(ServentError):
        size = int.from_bytes(await stream.read_exactly(8), "big")
        block = bytes(1 << 18)
        while size > 0:
            await stream.write(block[: min(size, len(block))])
            size -= len(block)
        await stream.finish()


async def serve(folder: Path, relay: str, upnp: bool) -> None:
    me = await start(folder, relay, upnp)
    put(folder, "server", {"id": str(me.endpoint.peer), "relay": relay, "reach": report(me)})

    async def host(connection: Connection) -> None:
        with contextlib.suppress(ServentError):
            while True:
                tasks.create_task(serve_stream(await connection.accept()))

    latest: dict[PeerId, Connection] = {}
    async with asyncio.TaskGroup() as tasks:
        while True:
            connection = await me.endpoint.accept()
            old = latest.get(connection.peer)
            latest[connection.peer] = connection
            tasks.create_task(host(connection))
            if old is not None and "KEEP_OLD" not in os.environ:
                await old.close(0, "replaced")


async def fetch(connection: Connection, size: int) -> float:
    began = time.perf_counter()
    stream = await connection.open()
    await stream.write(size.to_bytes(8, "big"))
    await stream.finish()
    while await stream.read(1 << 18):
        pass
    return time.perf_counter() - began


async def dial(folder: Path, relay: str, upnp: bool) -> None:
    me = await start(folder, relay, upnp)
    server = await get(folder, "server")
    result: dict[str, Any] = {"dialer": report(me), "server": server["reach"], "path": None, "direct_s": None}
    began = time.perf_counter()
    try:
        connection = await me.endpoint.connect(PeerAddress(PeerId.parse(server["id"]), server["relay"]), 10.0)
        result["connect_s"] = round(time.perf_counter() - began, 4)
        await fetch(connection, 1)
        result["first_reply_s"] = round(time.perf_counter() - began, 4)
        connected = time.perf_counter()
        while time.perf_counter() - connected < DIRECT_WAIT and selected(connection) != "direct":
            await asyncio.sleep(0.005)
        if selected(connection) == "direct":
            result["direct_s"] = round(time.perf_counter() - began, 4)
        result["rtt_ms"] = round(min([await fetch(connection, 1) for _ in range(5)]) * 1000, 2)
        result["mb_per_s"] = round(2.0 / await fetch(connection, 2_000_000), 1)
        result["path"] = selected(connection)
    except (ServentError, TimeoutError) as error:
        result["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(result), flush=True)


async def main() -> None:
    role, folder, *rest = sys.argv[1:]
    upnp = "--upnp" in rest
    if role == "public":
        await public(Path(folder))
    elif role == "serve":
        await serve(Path(folder), rest[0], upnp)
    elif role == "dial":
        await dial(Path(folder), rest[0], upnp)
    else:
        raise WorldError(f"no role {role}")


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        runner.run(main())
        sys.stdout.flush()
        os._exit(0)  # the lab measures; iroh's goodbyes would cost each cell seconds
