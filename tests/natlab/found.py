"""A friend's address changes, and the friend is found again through a supernode.

    python -m tests.natlab.found public FOLDER            a supernode on the public network, which founds the network
    python -m tests.natlab.found friend FOLDER            the friend, who will move
    python -m tests.natlab.found seeker FOLDER SESSION    whoever looks for the friend; prints one JSON line

No relay is there, and nobody but the supernode could tell where the friend is now. SESSION is "kept" when the two are connected
as friends are, "none" when the seeker knows no more than where the
friend was before.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from servent.errors import ServentError
from servent.identity import PeerId
from servent.net import endpoint as iroh_endpoint
from servent.net import ticket as tickets
from servent.net.links import PeerAddress, Stream
from servent.net.session import Session
from servent.net.settings import PeersSettings
from servent.overlay.settings import OverlaySettings, ViewSettings
from servent.testing.light import LightNode
from tests.natlab.lab import PUB4
from tests.natlab.peer import get, put

ECHO = "found/1"
PATIENCE = 60.0  # s after the event until the friend counts as lost


async def echo(session: Session, stream: Stream) -> None:
    while data := await stream.read(1024):
        await stream.write(data)


def node(**options: object) -> LightNode:
    """With one neighbour of its own, the supernode, and no full mesh: as in a network of thousands."""
    alone = OverlaySettings(view=ViewSettings(active=1))
    made = LightNode(
        os.urandom(32),
        iroh_endpoint.bind,
        observed=True,
        settings=alone,
        peers=PeersSettings(mesh=1),
        **options,  # type: ignore[arg-type]
    )
    return made


async def public(folder: Path) -> None:
    one = node(bind=[f"{PUB4}.1:7001"], wishes={"index": "on"})
    async with asyncio.TaskGroup() as tasks:
        await one.start(tasks)
        network = await one.found("lab", "hybrid")
        invitation = await one.trust.invite(network, uses=None)
        ticket = tickets.Ticket(PeerAddress(one.peer, None, (f"{PUB4}.1:7001",)), "super", None, invitation)
        put(folder, "public", {"ticket": tickets.encode(ticket)})


async def enter(one: LightNode, folder: Path) -> None:
    """Be in the network, and attached to its supernode."""
    ticket = tickets.decode((await get(folder, "public"))["ticket"])
    assert ticket.invitation is not None
    network = (await one.trust.accept_invitation(ticket.invitation)).key
    await one.peers.connect(ticket.address)
    async with asyncio.timeout(60.0):
        while not any(shape.network == network and shape.published for shape in one.overlay.shapes()):
            if one.overlay.shapes():
                one.publish(network, f"of {one.peer.short}.mp3")
            await asyncio.sleep(0.1)


async def friend(folder: Path) -> None:
    one = node()
    async with asyncio.TaskGroup() as tasks:
        await one.start(tasks)
        one.peers.serve(ECHO, echo, audience="network")
        await enter(one, folder)
        put(folder, "friend", {"id": str(one.peer), "addresses": list(one.endpoint.address().addresses)})
        seeker = await get(folder, "seeker")
        if seeker["session"] == "kept":
            await one.trust.add_contact(PeerId.parse(seeker["id"]))


async def seeker(folder: Path, kept: str) -> None:
    one = node()
    async with asyncio.TaskGroup() as tasks:
        await one.start(tasks)
        await enter(one, folder)
        told = await get(folder, "friend")
        whom = PeerId.parse(told["id"])
        put(folder, "seeker", {"id": str(one.peer), "session": kept})
        one.peers.remember(PeerAddress(whom, None, tuple(told["addresses"])))
        if kept == "kept":
            await one.trust.add_contact(whom)
        before = await say(one, whom, 30.0)
        put(folder, "ready", {})
        at = float((await get(folder, "happened"))["at"])
        session = one.peers.session(whom)
        if kept == "none" and session is not None:
            session.give_up("none was kept")  # as if it had ended long before
        again = None
        while again is None and time.time() < at + PATIENCE:
            again = await say(one, whom, 2.0 if kept == "kept" else PATIENCE)
        took = None if again is None else time.time() - at
        print(json.dumps({"before": before, "took": took}), flush=True)
        os._exit(0)


async def say(one: LightNode, whom: PeerId, patience: float) -> float | None:
    """An echo from the friend; how long it took, None for no answer."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(patience):
            stream = await one.peers.open(whom, ECHO, patience)
            await stream.write(b"?")
            await stream.read_exactly(1)
            await stream.finish()
    except (ServentError, TimeoutError):
        return None
    return time.monotonic() - began


if __name__ == "__main__":
    role, where, *rest = sys.argv[1:]
    asyncio.run(
        {"public": public, "friend": friend}[role](Path(where))
        if role != "seeker"
        else seeker(Path(where), *rest)
    )
