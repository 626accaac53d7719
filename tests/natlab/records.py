"""A friend whose address changes, and nothing but the records that a relay keeps to find them by: it carries no packet of theirs.

    python -m tests.natlab.records friend FOLDER            a whole node on a public address, which will move
    python -m tests.natlab.records seeker FOLDER CHANGES    a whole node behind a router; prints one JSON line

Both know each other's key and the relay, and nothing else. Beside them runs `servent relay` on the public network.
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
from collections.abc import AsyncIterator
from pathlib import Path

from servent import keyfile
from servent.config import Config, NetSettings, NodeSettings, RendezvousSettings, TorrentSettings
from servent.identity import Identity, PeerId
from servent.node import Node
from tests.natlab.dht import ECHO, FRIEND, PATIENCE, SEEKER, Outcome, echo, until_heard, wait_for
from tests.natlab.lab import PUB4, Lab
from tests.natlab.matrix import ROOT
from tests.natlab.peer import get, put

RELAY = f"http://{PUB4}.1:3340"


@contextlib.asynccontextmanager
async def whole(folder: Path, name: str, who: Identity, other: PeerId) -> AsyncIterator[Node]:
    place = folder / name
    place.mkdir(exist_ok=True)
    config = Config(
        node=NodeSettings(name=name, download_dir=str(place / "got")),
        net=NetSettings(relays=[], lan=False),
        rendezvous=RendezvousSettings(dht="off", relays=False, servers=[RELAY]),
        torrent=TorrentSettings(enabled=False),
    )
    if not (place / "identity.key").exists():
        keyfile.write_new(place / "identity.key", who)
    async with Node(place, config) as node:
        node.serve(ECHO, echo)
        if node.trust.contact(other) is None:
            await node.trust.add_contact(other, friend=True)
        yield node


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
        seen = await node.rendezvous.find(FRIEND.peer)
        said = {"met": met, "took": took, "stored": seen.address.addresses if seen else ()}
        print(json.dumps(said), flush=True)
        os._exit(0)


def play(prefix: str = "nrec", changes: tuple[str, ...] = ("renumber", "restart")) -> Outcome:
    """One run, as `dht.play`."""
    python = [sys.executable, "-m", "tests.natlab.records"]
    with Lab(prefix) as lab:
        folder = str(lab.folder)
        relay = [sys.executable, "-m", "servent", "relay", "--host", f"{PUB4}.1", "--port", "3340"]
        lab.spawn("pub", *relay, cwd=str(ROOT))
        lab.build("apdf", "pub")
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
            lab.ip("hB", f"addr del {here}/24 dev eth0", f"addr add {there}/24 dev eth0")
            put(lab.folder, f"happened{number}", {"at": at})
            here, there = there, here
            if change == "restart":
                moving = lab.spawn("hB", *python, "friend", folder, cwd=str(ROOT))
        printed, _ = looking.communicate(timeout=PATIENCE + 20.0)
        lines = printed.strip().splitlines()
        said = json.loads(lines[-1]) if lines else {"met": None, "took": [], "stored": []}
        return Outcome(said["met"], said["took"], said["stored"], lab.logs())


if __name__ == "__main__":
    role, where, *rest = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(friend(Path(where)) if role == "friend" else seeker(Path(where), int(rest[0])))
