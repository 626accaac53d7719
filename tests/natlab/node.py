"""Whole nodes in the lab: `servent up` on every side, driven through the API as a person would drive them.

    python -m tests.natlab.node public FOLDER         two public nodes (one carries a relay), which see addresses
    python -m tests.natlab.node serve FOLDER RELAY    a node that writes its ticket to FOLDER/server.json
    python -m tests.natlab.node dial FOLDER RELAY     a node that joins that ticket, and prints one JSON line; with --direct
        after RELAY it waits for a direct path
    python -m tests.natlab.node share FOLDER RELAY    a node that shares a large file
    python -m tests.natlab.node fetch FOLDER RELAY S WAY   a node that fetches it, and prints its pauses; FOLDER/ready.json
        is there as soon as bytes flow by WAY ("direct", "relayed" or "tcp"); it ends soon after FOLDER/happened.json is
        there and bytes flow again, or S seconds after it

Both sides first join the public nodes' tickets, as people do who met there; then only their own ticket is passed.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from servent.api.client import Client
from servent.errors import ServentError
from tests.natlab.cells import Cell
from tests.natlab.lab import PUB4
from tests.natlab.matrix import RELAY4, RELAY6

BIG_BLOCKS = 128  # MiB of the file that is fetched while the network changes
RATE = (
    4 << 20
)  # bytes per second it goes at: little work, so that a pause is the network's and not the machine's
PAUSE = 0.5  # s; pieces arrive whole, and machines are busy, so that shorter ones are normal
DIRECT_WAIT = 1.5  # s to look for a direct path where none is expected; the promise is one
PATIENCE = 30.0  # s for what should take a moment
WATCHED = 4.0  # s after an event that are watched at least: silence counts as death before that
STEADY = 1.5  # s without a pause that end the watching then


class WholeNode:
    """A `Program` for the matrix: the real thing."""

    def public(self, folder: Path) -> list[str]:
        return [sys.executable, "-m", "tests.natlab.node", "public", str(folder)]

    def serve(self, folder: Path, cell: Cell) -> list[str]:
        return self._node("serve", folder, cell)

    def dial(self, folder: Path, cell: Cell) -> list[str]:
        return self._node("dial", folder, cell)

    def _node(self, role: str, folder: Path, cell: Cell) -> list[str]:
        relay = RELAY6 if cell.v6_only else RELAY4
        upnp = ["--upnp"] if "upnp" in (cell.a if role == "dial" else cell.b) else []
        direct = ["--direct"] if cell.direct and role == "dial" else []
        return [sys.executable, "-m", "tests.natlab.node", role, str(folder), relay, *upnp, *direct]


def up(folder: Path, name: str, *options: str) -> Client:
    """Start a new node; it dies with its namespace."""
    return run(folder / f"{name}-{time.monotonic_ns()}", name, *options)[0]


def run(data: Path, name: str, *options: str) -> tuple[Client, subprocess.Popen[str]]:
    command = [sys.executable, "-m", "servent", "--data-dir", str(data), "up", "--no-web", "--no-lan",
               "--api-port", "0", "--name", name, *options]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ready"):
            return Client.from_data_dir(data), process
    raise SystemExit(f"{name} ended before it was ready")


def put(folder: Path, name: str, value: Any) -> None:
    part = folder / f"{name}.part"
    part.write_text(json.dumps(value))
    part.rename(folder / f"{name}.json")


def get(folder: Path, name: str, patience: float = 60.0) -> Any:
    until = time.monotonic() + patience
    while not (folder / f"{name}.json").exists():
        if time.monotonic() > until:
            raise TimeoutError(name)
        time.sleep(0.02)
    return json.loads((folder / f"{name}.json").read_text())


def public(folder: Path) -> None:
    """Two public nodes. The first carries the relay, is killed when relaykill.json appears, and is back 1 s later."""
    options = ("--relay-server", "--relay-port", "443", "--relay-url", RELAY4, "--bind", f"{PUB4}.1:7001",
               "--bind", "[2001:db8::1]:7003")  # fmt: skip
    one, process = run(folder / "one", "one", *options)
    two = up(folder, "two", "--relay", RELAY4, "--bind", f"{PUB4}.2:7002", "--bind", "[2001:db8::2]:7004")
    tickets = [client.ticket(lifetime=3600.0).ticket for client in (one, two)]
    put(folder, "public", {"tickets": tickets})
    while True:
        time.sleep(0.05)
        if (folder / "relaykill.json").exists():
            process.kill()
            process.wait()
            (folder / "relaykill.json").unlink()
            time.sleep(1.0)
            one, process = run(folder / "one", "one", *options)


def start(folder: Path, relay: str, name: str, upnp: bool) -> Client:
    client = up(folder, name, "--relay", relay)
    for ticket in get(folder, "public")["tickets"]:
        with contextlib.suppress(ServentError):
            client.join(ticket)
    until = time.monotonic() + (PATIENCE if upnp else 1.0)
    while time.monotonic() < until:
        reach = client.status().reach
        if reach.relay and len(reach.observed) and (not upnp or "opened a port" in reach.summary):
            break
        time.sleep(0.05)
    return client


def serve(folder: Path, relay: str, upnp: bool) -> None:
    client = start(folder, relay, "bob", upnp)
    put(folder, "server", {"id": client.id().id, "ticket": client.ticket(lifetime=3600.0).ticket})
    while True:
        time.sleep(60)


def dial(folder: Path, relay: str, upnp: bool, direct: bool) -> None:
    client = start(folder, relay, "ann", upnp)
    server = get(folder, "server")
    result: dict[str, Any] = {"path": None, "direct_s": None}
    began = time.monotonic()
    try:
        joined = client.join(server["ticket"])
        result["joined"] = joined.connected
        until = began + PATIENCE
        while time.monotonic() < until:
            bob = next((peer for peer in client.peers() if peer.id == server["id"]), None)
            now = round(time.monotonic() - began, 3)
            if bob is not None and bob.connected:
                if result.get("connect_s") is None:
                    result["connect_s"] = now
                    until = time.monotonic() + (PATIENCE if direct else DIRECT_WAIT)
                result["path"], result["address"], result["reason"] = bob.path, bob.address, bob.reason
                if bob.path == "direct":
                    result["direct_s"] = now
                    break
            time.sleep(0.02)
        reach = client.status().reach
        result["dialer"] = {"nat": reach.nat, "summary": reach.summary, "addresses": reach.addresses}
    except (ServentError, TimeoutError) as error:
        result["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(result), flush=True)


def share(folder: Path, relay: str) -> None:
    """A node that shares one large file, slowly enough to be disturbed while it is fetched."""
    client = start(folder, relay, "bob", False)
    big = folder / "big.bin"
    block = random.Random(7).randbytes(1 << 20)
    with big.open("wb") as out:
        for number in range(BIG_BLOCKS):
            out.write(number.to_bytes(8, "big") + block[8:])
    limits = client.limits()
    client.set_limits(msgspec.structs.replace(limits, up_bytes_per_s=RATE))
    link = client.add_share(str(big), wait=True).link
    put(
        folder,
        "server",
        {"id": client.id().id, "ticket": client.ticket(lifetime=3600.0).ticket, "link": link},
    )
    while True:
        time.sleep(60)


def fetch(folder: Path, relay: str, seconds: float, way: str) -> None:
    """A node that fetches that file, and the pauses in which nothing arrived; one JSON line."""
    client = start(folder, relay, "ann", False)
    server = get(folder, "server")
    client.join(server["ticket"])
    to = folder / f"got-{time.monotonic_ns()}"  # not what a run before this one left half done
    transfer = client.download(server["link"], str(to))
    wall = last = began = time.time()
    done = 0
    gaps: list[tuple[float, float]] = []
    states: list[tuple[float, str]] = []
    happened: float | None = None
    before = 0  # bytes when it happened
    ready = False
    until = wall + 60.0  # in case nothing ever happens
    while time.time() < until:
        now = client.transfer(transfer.id)
        at = time.time()
        path = next((f"{peer.path} {peer.address}" for peer in client.peers() if peer.id == server["id"]), "")
        lanes = ",".join(sorted({str(source.lane) for source in now.sources}))
        state = f"{now.state} {path} {lanes} {now.reason}"
        if not states or states[-1][1] != state:
            states.append((round(at - wall, 2), state))
        if now.done_bytes > done:
            if at - last > PAUSE:
                gaps.append((round(last - wall, 2), round(at - last, 2)))
                began = at
            last, done = at, now.done_bytes
        if not ready and done > 2 << 20 and way in state:
            put(folder, "ready", {})
            ready = True
        if happened is None and (folder / "happened.json").exists():
            happened = float(get(folder, "happened")["at"])
            until, before = happened + seconds, done
        if now.state == "complete":
            break
        flowing = at - last < PAUSE and at - began > STEADY
        if happened is not None and flowing and at - happened > WATCHED:
            break
        time.sleep(0.02)
    if time.time() - last > PAUSE and now.state != "complete":
        gaps.append((round(last - wall, 2), round(time.time() - last, 2)))
    reach = client.status().reach
    others = [f"{peer.name} {peer.path} {peer.address} {peer.since}" for peer in client.peers()]
    said = {"observed": reach.observed, "announced": reach.addresses, "peers": others}
    print(
        json.dumps(
            {
                "wall": wall,
                "gaps": gaps,
                "paths": states,
                "bytes": done,
                "after": done - before,
                "reach": said,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    role, where, *rest = sys.argv[1:]
    if role == "public":
        public(Path(where))
    elif role == "share":
        share(Path(where), rest[0])
    elif role == "fetch":
        fetch(Path(where), rest[0], float(rest[1]), rest[2])
    elif role == "dial":
        dial(Path(where), rest[0], "--upnp" in rest, "--direct" in rest)
    else:
        serve(Path(where), rest[0], "--upnp" in rest)
