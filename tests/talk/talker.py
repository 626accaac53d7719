"""A whole node in a process of its own that can be killed, driven by JSON lines as `bench.peer` is.

python -m tests.talk.talker DIR NAME IP:PORT
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from servent.errors import ServentError
from servent.node import Node
from servent.testing.nodes import quiet_config


async def answer(node: Node, request: dict[str, Any]) -> Any:
    match request:
        case {"do": "ticket"}:
            return await node.ticket()
        case {"do": "join", "ticket": ticket}:
            return str((await node.join(ticket)).peer)
        case {"do": "friends"}:
            return [friend.bond for friend in node.talk.friends()]
        case {"do": "say", "to": peer, "text": text, "token": token}:
            return (await node.talk.send(f"peer:{peer}", text, token=token)).id
        case {"do": "said", "with": peer}:
            page = await node.talk.history(f"peer:{peer}", limit=500)
            return [[one.author.me, one.text, one.state] for one in page.messages]
    raise ValueError(request)


async def main(folder: Path, name: str, bind: str) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    config = quiet_config(name, folder)
    config.net.bind = [bind]
    config.torrent.enabled = False
    config.rendezvous.dht = "off"
    async with Node(folder, config) as node:
        print(json.dumps({"ready": str(node.peer), "pid": os.getpid()}), flush=True)
        while line := await reader.readline():
            request = json.loads(line)
            if request["do"] == "stop":
                break
            try:
                reply: Any = {"ok": await answer(node, request)}
            except ServentError as wrong:
                reply = {"error": str(wrong)}
            print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
