"""One side of `bench.torrent`, driven by JSON lines: a whole node of ours, or a plain libtorrent session.

python -m bench.torrent_node ours FOLDER
python -m bench.torrent_node plain
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from bench import rival_libtorrent as plain_side

HOST = "127.0.0.1"


async def ours(folder: Path) -> None:
    """A node without its networks: BitTorrent on loopback alone."""
    from servent.blobs.magnet import Magnet
    from servent.blobs.rows import How
    from servent.node import Node
    from servent.testing.nodes import quiet_config
    from servent.torrent import metafile

    config = quiet_config("bench", folder)
    config.rendezvous.dht = "off"
    config.torrent.seed_ratio = 0.001  # what was fetched is given back at once: the next round begins clean
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Node(folder, config) as node:
        await node.torrent_session.open()
        # Like the plain side: uTP would be tried first, and costs seconds where the other side has none.
        node.torrent_session.raw.apply_settings({"enable_outgoing_utp": False, "enable_incoming_utp": False})
        print(json.dumps({"ready": os.getpid()}), flush=True)
        async for line in reader:
            wish = json.loads(line)
            if wish["do"] == "stop":
                break
            if wish["do"] == "fetch":
                known = metafile.decode(await asyncio.to_thread(Path(wish["torrent"]).read_bytes))
                infohash = known.v2 or known.v1
                assert infohash is not None
                link = Magnet(
                    infohash,
                    known.name,
                    v1=known.v1 if known.v2 is not None else None,
                    peers=(f"{HOST}:{wish['port']}",),
                )
                done = asyncio.Event()
                node.blobs.on_change(done.set)
                view = await node.blobs.fetch(link, Path(wish["folder"]), How(info=known.info))
                while (now := node.blobs.transfer(view.id)).state != "complete":
                    if now.state == "failed":
                        raise RuntimeError(now.error)
                    done.clear()
                    await done.wait()
                answer: Any = now.path
            elif wish["do"] == "seed":
                data = await asyncio.to_thread(Path(wish["torrent"]).read_bytes)
                known = metafile.decode(data)
                if known.v2 is None:
                    paths = [Path(wish["path"])]
                    await node.seeding.seed_files(data, paths, asked=True)
                else:
                    await node.seeding.seed(known.v2)
                answer = node.torrent_session.view().port
            else:  # share
                share = await node.blobs.add(Path(wish["path"]))
                assert share.infohash is not None
                infohash = share.infohash
                if wish["kind"] == "hybrid":
                    infohash = await node.seeding.hybrid(infohash)
                data = await node.seeding.export(infohash)
                await asyncio.to_thread(Path(wish["torrent"]).write_bytes, data)
                answer = infohash.hex()
            print(json.dumps({"ok": answer}), flush=True)


def plain() -> None:
    found = plain_side.session(0)
    found.apply_settings({"listen_interfaces": f"{HOST}:0"})
    plain_side.HOST = HOST
    while not found.listen_port():
        found.wait_for_alert(100)
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        wish = json.loads(line)
        if wish["do"] == "stop":
            break
        if wish["do"] == "seed":
            plain_side.add(found, wish["torrent"], wish["folder"], True)
            answer: Any = found.listen_port()
        elif wish["do"] == "forget":
            for handle in found.get_torrents():
                found.remove_torrent(handle)
            answer = None
        else:
            plain_side.fetch(found, {**wish, "ports": [wish["port"]], "limit": 300.0})
            answer = None
        print(json.dumps({"ok": answer}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "ours":
        asyncio.run(ours(Path(sys.argv[2])))
    else:
        plain()
