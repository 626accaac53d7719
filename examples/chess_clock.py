"""Two friends and one clock: moves go over a stream (reliable), the ticking over datagrams (fast, may be lost).

python examples/chess_clock.py ./ann                  # prints a ticket, waits for the other player
python examples/chess_clock.py ./bob 'servent:…'      # joins with it; then Enter ends your move
"""

import asyncio
import contextlib
import sys
from pathlib import Path

from servent import Node, PeerId, ServentError

SERVICE = "chess-clock/1"


async def play(node: Node, peer: PeerId, stream, mine: bool) -> None:
    left = {True: 300.0, False: 300.0}  # s; mine: True, theirs: False
    channel, lines = node.channel(peer, SERVICE), asyncio.Queue()
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: lines.put_nowait(sys.stdin.readline()))

    async def tick() -> None:
        while min(left.values()) > 0:
            await asyncio.sleep(0.1)
            left[mine] -= 0.1
            if mine:
                channel.send(f"{left[True]:.1f}".encode())
            whose = "you" if mine else "they"
            print(f"\r{whose}: {left[True]:5.1f} s / {left[False]:5.1f} s ", end="", flush=True)
        raise TimeoutError("your time is up" if left[True] <= 0 else "their time is up: you win")

    async def hear() -> None:
        while True:
            left[False] = float(await channel.receive())

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tick())
            tasks.create_task(hear())
            while await (lines.get() if mine else stream.read_exactly(1)):
                if mine:
                    await stream.write(b".")
                mine = not mine
    except* (ServentError, TimeoutError) as over:
        print(f"\n{over.exceptions[0]}", flush=True)


async def main(folder: str, ticket: str | None = None) -> None:
    async with Node(Path(folder)) as node:
        node.serve(SERVICE, lambda session, stream: play(node, session.peer, stream, mine=False))
        if ticket is None:
            print(await node.ticket(), flush=True)
            await asyncio.Event().wait()
        joined = await node.join(ticket)
        await play(node, joined.peer, await node.open(joined.peer, SERVICE), mine=True)


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main(*sys.argv[1:3]))
