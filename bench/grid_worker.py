"""A volunteer's end of the wire in a process of its own, for `bench.grid`: it leases, makes a trivial result, and returns it, over real iroh.

python -m bench.grid_worker NUMBER    (started by bench.grid, which writes one JSON line to its stdin and reads one from its stdout)
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections import deque
from typing import Any

from servent.codec import write_frame
from servent.grid import wire
from servent.identity import Identity
from servent.net import endpoint as endpoints
from servent.net import ticket as tickets
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.wire import Profile
from servent.store import Store
from servent.trust.service import TrustService

AHEAD = 3  # batches that are asked for before the earlier ones are answered


def compute(task: wire.Task) -> wire.Result:
    """The trivial unit: the SHA-256 of its input."""
    output = hashlib.sha256(task.stdin + task.seed).digest()
    return wire.Result(
        lease=task.lease, outcome="done", digest=hashlib.sha256(output).digest(), output=output, seconds=0.001
    )


async def work(stream: Stream, project: bytes, most: int, name: str) -> dict[str, Any]:
    """Until there is nothing more. Leases are asked for while results are on their way."""
    await write_frame(stream, wire.Join(project, name=name, cores=1, mflops=1000.0))
    welcome = await wire.read_answer.read(stream)
    assert isinstance(welcome, wire.Welcome), welcome
    leased = returned = idle = 0
    waiting: deque[str] = deque()

    async def ask() -> None:
        waiting.append("lease")
        await write_frame(stream, wire.Lease(most, seconds=1e6))

    for _ in range(AHEAD):
        await ask()
    while waiting:
        waiting.popleft()
        match await wire.read_answer.read(stream):
            case wire.Leased(tasks, wait, why):
                if tasks:
                    idle = 0
                    leased += len(tasks)
                    waiting.append("return")
                    await write_frame(stream, wire.Return([compute(task) for task in tasks]))
                    await ask()
                elif why == "there is no work now":
                    continue
                else:
                    idle += 1
                    await asyncio.sleep(min(wait, 0.05))
                    await ask()
            case wire.Returned(taken, _):
                returned += sum(word == "taken" for word in taken)
            case other:
                raise RuntimeError(str(other))
    return {"leased": leased, "returned": returned}


async def main(number: int) -> None:
    identity = Identity(hashlib.sha256(b"bench worker %d" % number).digest())
    store = Store(None)
    trust = TrustService(store, identity)
    endpoint = await endpoints.bind(identity, bind=["127.0.0.1:0"], relays=[])
    peers = Peers(endpoint, trust, lambda: Profile(name=f"worker {number}"), store=store)
    await store.open()
    await trust.open()
    line = json.loads(await asyncio.to_thread(sys.stdin.readline))
    ticket = tickets.decode(line["ticket"])
    await trust.add_contact(ticket.address.peer, friend=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(peers.run())
        await peers.ready.wait()
        await peers.connect(ticket.address, secret=ticket.secret)
        stream = await peers.open(ticket.address.peer, wire.SERVICE)
        print(json.dumps({"ready": True}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        found = await work(stream, bytes.fromhex(line["project"]), line["most"], f"worker {number}")
        print(json.dumps(found), flush=True)
        await stream.reset()
        await peers.close()
    await endpoint.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
