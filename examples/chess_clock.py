"""Two friends and one clock: an app of your own on servent.

    python examples/chess_clock.py ./ann                  # prints a ticket, waits for the other player
    python examples/chess_clock.py ./bob 'servent:…'      # joins with it; then Enter ends your move

Moves go over a stream (reliable, in order); the ticking clock over datagrams (fast, may be lost).
"""

import asyncio
import sys
from pathlib import Path

from servent import Node, PeerId

SERVICE = "chess-clock/1"
ALLOWANCE = 300.0  # s each


async def play(node: Node, peer: PeerId, stream, mine: bool) -> None:
    left = {True: ALLOWANCE, False: ALLOWANCE}  # mine: True, theirs: False
    channel = node.channel(peer, SERVICE)
    lines = asyncio.Queue()
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: lines.put_nowait(sys.stdin.readline()))

    async def tick() -> None:
        while min(left.values()) > 0:
            await asyncio.sleep(0.1)
            left[mine] -= 0.1
            if mine:
                channel.send(f"{left[True]:.1f}".encode())
            print(f"\r{'you' if mine else 'they'}: {left[True]:5.1f} s / {left[False]:5.1f} s ", end="", flush=True)

    async def hear_clock() -> None:
        while True:
            left[False] = float(await channel.receive())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tick())
        tasks.create_task(hear_clock())
        while True:
            if mine:
                await lines.get()
                await stream.write(b".")
            else:
                await stream.read_exactly(1)
            mine = not mine


async def main(folder: str, ticket: str | None) -> None:
    async with Node(Path(folder)) as node:
        node.serve(SERVICE, lambda session, stream: play(node, session.peer, stream, mine=False))
        if ticket is None:
            print(await node.ticket())
            await asyncio.Event().wait()
        joined = await node.join(ticket)
        await play(node, joined.peer, await node.open(joined.peer, SERVICE), mine=True)


asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
