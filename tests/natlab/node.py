"""Whole nodes in the lab: `servent up` on every side, driven through the API as a person would drive them.

    python -m tests.natlab.node public FOLDER         two public nodes (one carries a relay), which see addresses
    python -m tests.natlab.node serve FOLDER RELAY    a node that writes its ticket to FOLDER/server.json
    python -m tests.natlab.node dial FOLDER RELAY     a node that joins that ticket, and prints one JSON line

Both sides first join the public nodes' tickets, as people do who met there; then only their own ticket is passed.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from servent.api.client import Client
from servent.errors import ServentError
from tests.natlab.cells import Cell
from tests.natlab.lab import PUB4
from tests.natlab.matrix import RELAY4, RELAY6

READY_TIME = 15.0  # s for a node to print "ready"
DIRECT_WAIT = 1.5  # s to look for a direct path; the promise is one


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
        return [sys.executable, "-m", "tests.natlab.node", role, str(folder), relay, *upnp]


def up(folder: Path, name: str, *options: str) -> Client:
    """Start a node; it dies with its namespace."""
    data = folder / f"{name}-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "servent", "--data-dir", str(data), "up", "--no-web", "--no-lan",
               "--api-port", "0", "--name", name, *options]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ready"):
            return Client.from_data_dir(data)
    raise SystemExit(f"{name} ended before it was ready")


def put(folder: Path, name: str, value: Any) -> None:
    part = folder / f"{name}.part"
    part.write_text(json.dumps(value))
    part.rename(folder / f"{name}.json")


def get(folder: Path, name: str, patience: float = 15.0) -> Any:
    until = time.monotonic() + patience
    while not (folder / f"{name}.json").exists():
        if time.monotonic() > until:
            raise TimeoutError(name)
        time.sleep(0.02)
    return json.loads((folder / f"{name}.json").read_text())


def public(folder: Path) -> None:
    one = up(folder, "one", "--relay-server", "--relay-port", "443", "--relay-url", RELAY4, "--bind",
             f"{PUB4}.1:7001", "--bind", "[2001:db8::1]:7003")  # fmt: skip
    two = up(folder, "two", "--relay", RELAY4, "--bind", f"{PUB4}.2:7002", "--bind", "[2001:db8::2]:7004")
    tickets = [client.ticket(lifetime=3600.0).ticket for client in (one, two)]
    put(folder, "public", {"tickets": tickets})
    while True:
        time.sleep(60)


def start(folder: Path, relay: str, name: str, upnp: bool) -> Client:
    client = up(folder, name, "--relay", relay)
    for ticket in get(folder, "public")["tickets"]:
        with contextlib.suppress(ServentError):
            client.join(ticket)
    until = time.monotonic() + (5.0 if upnp else 1.0)
    while time.monotonic() < until:
        reach = client.status().reach
        if reach.relay and len(reach.observed) and not upnp:
            break
        time.sleep(0.05)
    return client


def serve(folder: Path, relay: str, upnp: bool) -> None:
    client = start(folder, relay, "bob", upnp)
    put(folder, "server", {"id": client.id().id, "ticket": client.ticket(lifetime=3600.0).ticket})
    while True:
        time.sleep(60)


def dial(folder: Path, relay: str, upnp: bool) -> None:
    client = start(folder, relay, "ann", upnp)
    server = get(folder, "server")
    result: dict[str, Any] = {"path": None, "direct_s": None}
    began = time.monotonic()
    try:
        joined = client.join(server["ticket"])
        result["joined"] = joined.connected
        until = began + 10.0
        while time.monotonic() < until:
            bob = next((peer for peer in client.peers() if peer.id == server["id"]), None)
            now = round(time.monotonic() - began, 3)
            if bob is not None and bob.connected:
                if result.get("connect_s") is None:
                    result["connect_s"] = now
                    until = time.monotonic() + DIRECT_WAIT
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


if __name__ == "__main__":
    role, where, *rest = sys.argv[1:]
    if role == "public":
        public(Path(where))
    else:
        {"serve": serve, "dial": dial}[role](Path(where), rest[0], "--upnp" in rest)
