"""A friend whose address changes, and nothing but a DHT to find them in: no relay, no local network, no third peer.

    python -m tests.natlab.dht nodes FOLDER           eight libtorrent nodes on the public network: the DHT
    python -m tests.natlab.dht friend FOLDER          a whole node on a public address, which will move
    python -m tests.natlab.dht seeker FOLDER TIMES    a whole node behind a router; prints one JSON line

Both know each other's key and two nodes of the DHT, and nothing else. The friend cannot find the seeker: the router lets in
only what was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servent import keyfile
from servent.config import Config, NetSettings, NodeSettings, RendezvousSettings, TorrentSettings
from servent.errors import ServentError
from servent.identity import Identity, PeerId
from servent.net import pkarr
from servent.net.links import Stream
from servent.net.session import Session
from servent.node import Node
from servent.torrent.dht_provider import DhtProvider
from servent.torrent.session import Session as DhtSession
from servent.torrent.views import SessionSettings
from tests.natlab.lab import PUB4, Lab
from tests.natlab.matrix import ROOT
from tests.natlab.peer import get, put

COUNT = 8
# Of private addresses libtorrent makes no node ids. Where the first few nodes learn their public address from each other and
# change their ids for it, others know them under two, and whoever enters then throws them out of its table again and again.
NET = "10.77.0"
FIRST = 101  # the last number of the first one's address
PORT = 6881
EVERYONE = tuple(f"{NET}.{FIRST + number}:{PORT}" for number in range(COUNT))
ENTRY = list(EVERYONE[:2])
ECHO = "dhtlab/1"
PATIENCE = 60.0  # s until a friend counts as lost
FRIEND, SEEKER = Identity(b"\x0a" * 32), Identity(b"\x0b" * 32)


async def nodes(folder: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        all_of_them = []
        for number in range(COUNT):
            place = folder / f"dht{number}"
            place.mkdir()
            one = DhtSession(
                place,
                SessionSettings(
                    listen=(f"{NET}.{FIRST + number}",), port=PORT, dht_nodes=EVERYONE, dht_private=True,
                    dht_serve="on", door=False, local=False, map_ports=False,
                ),
            )  # fmt: skip
            tasks.create_task(one.run())
            await one.open()
            all_of_them.append(one)
        for one in all_of_them:
            assert await one.ready()
        put(folder, "nodes", {})


@contextlib.asynccontextmanager
async def whole(folder: Path, name: str, who: Identity, other: PeerId) -> Any:
    """A node as `servent up` makes it, with the DHT as its only way to find anybody."""
    place = folder / name
    place.mkdir(exist_ok=True)
    config = Config(
        node=NodeSettings(name=name, download_dir=str(place / "got")),
        net=NetSettings(relays=[], lan=False),
        rendezvous=RendezvousSettings(dht="on", relays=False),
        torrent=TorrentSettings(dht_nodes=ENTRY, dht_private=True),
    )
    if not (place / "identity.key").exists():
        keyfile.write_new(place / "identity.key", who)
    async with Node(place, config) as node:
        node.serve(ECHO, echo)
        if node.trust.contact(other) is None:
            await node.trust.add_contact(other, friend=True)
        yield node


async def echo(session: Session, stream: Stream) -> None:
    while data := await stream.read(1024):
        await stream.write(data)


async def friend(folder: Path) -> None:
    async with whole(folder, "friend", FRIEND, SEEKER.peer):
        await asyncio.sleep(300.0)


async def seeker(folder: Path, changes: int) -> None:
    began = time.time()
    took: list[float | None] = []
    async with whole(folder, "seeker", SEEKER, FRIEND.peer) as node:
        met = await until_heard(node, began)
        for number in range(changes):
            put(folder, f"ready{number}", {"met": met})
            at = float((await get(folder, f"happened{number}", 60.0))["at"])
            took.append(await until_heard(node, at))
        found = [found async for found in DhtProvider(node.torrent_session).resolve(FRIEND.peer)]
        stored = pkarr.read(FRIEND.peer, found[-1].value).address.addresses if found else ()
        said = {"met": met, "took": took, "stored": stored, "seq": found[-1].seq if found else 0}
        print(json.dumps(said), flush=True)
        os._exit(0)


async def until_heard(node: Node, since: float) -> float | None:
    """Seconds after `since` until an echo came from the friend; None for none in time. The node finds them by itself."""
    while time.time() < since + PATIENCE:
        session = node.peers.session(FRIEND.peer)
        if session is not None:
            try:
                async with asyncio.timeout(2.0):
                    stream = await session.open(ECHO)
                    await stream.write(b"?")
                    await stream.read_exactly(1)
                    await stream.finish()
                return time.time() - since
            except (ServentError, TimeoutError):
                pass
        await asyncio.sleep(0.02)
    return None


@dataclass(frozen=True)
class Outcome:
    """Seconds: `met` from the seeker's start, `took` from each change; None for never. `stored`: what the DHT says in the end."""

    met: float | None
    took: list[float | None]
    stored: list[str]
    logs: str = ""


def play(prefix: str = "ndht", changes: tuple[str, ...] = ("renumber", "restart")) -> Outcome:
    """One run. "renumber": the friend's address changes while it runs. "restart": it ends, and begins anew at another one."""
    python = [sys.executable, "-m", "tests.natlab.dht"]
    with Lab(prefix) as lab:
        folder = str(lab.folder)
        lab.ip("pub", *(f"addr add {NET}.{FIRST + number}/24 dev br0" for number in range(COUNT)))
        lab.spawn("pub", *python, "nodes", folder, cwd=str(ROOT))
        lab.build("apdf", "pub")
        way = f"route add {NET}.0/24 via {PUB4}.1"
        lab.ip("rA0", way)
        lab.ip("hB", way)
        wait_for(lab, "nodes", None)
        moving = lab.spawn("hB", *python, "friend", folder, cwd=str(ROOT))
        command = [*python, "seeker", folder, str(len(changes))]
        looking = lab.spawn("hA", *command, cwd=str(ROOT), stdout=subprocess.PIPE)
        here, there = f"{PUB4}.20", f"{PUB4}.25"
        for number, change in enumerate(changes):
            wait_for(lab, f"ready{number}", looking)
            if change == "restart":
                moving.kill()
                moving.wait(60)
            at = time.time()
            lab.ip("hB", f"addr del {here}/24 dev eth0", f"addr add {there}/24 dev eth0", way)
            put(lab.folder, f"happened{number}", {"at": at})
            here, there = there, here
            if change == "restart":
                moving = lab.spawn("hB", *python, "friend", folder, cwd=str(ROOT))
        printed, _ = looking.communicate(timeout=PATIENCE + 20.0)
        lines = printed.strip().splitlines()
        said = json.loads(lines[-1]) if lines else {"met": None, "took": [], "stored": []}
        return Outcome(said["met"], said["took"], said["stored"], lab.logs())


def wait_for(lab: Lab, name: str, process: subprocess.Popen[str] | None) -> None:
    until = time.monotonic() + 60.0
    while not (lab.folder / f"{name}.json").exists():
        if time.monotonic() > until or (process is not None and process.poll() is not None):
            raise AssertionError(f"no {name}\n{lab.logs()}")
        time.sleep(0.02)


if __name__ == "__main__":
    role, where, *rest = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("servent.torrent").setLevel(logging.DEBUG)
    match role:
        case "nodes":
            asyncio.run(nodes(Path(where)))
        case "friend":
            asyncio.run(friend(Path(where)))
        case "seeker":
            asyncio.run(seeker(Path(where), int(rest[0])))
