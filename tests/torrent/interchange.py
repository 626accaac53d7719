"""Inside a network namespace of its own: our node and other people's programs fetch from each other.

    python -m tests.torrent.interchange FOLDER [PROGRAM ...]     prints one JSON line: what came over, by program

Everybody has an address of their own in 10.99.0.0/16; a tracker tells them of each other. A seeder announces before who fetches
from it does: some programs ask a tracker only once in five minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from servent.blobs.views import TransferView
from servent.node import Node
from servent.testing.nodes import quiet_config
from servent.testing.simnet import SimNet
from servent.torrent import metafile
from tests.torrent.clients import PROGRAMS, Libtorrent, Program
from tests.torrent.conftest import make_eager
from tests.torrent.tracker import Tracker

OURS = "10.99.0.1"
WAIT = 330.0  # s for everything to come over: whose first try came to nothing asks the tracker again after five minutes
LARGE, SMALL = 3_000_017, 300_000
NAMES = {"v2": "from us", "hybrid": "from us to all"}
KINDS: dict[str, Any] = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only, "hybrid": 0}
PIECE = 256 * 1024


def album(folder: Path, seed: str) -> None:
    dice = random.Random(seed)
    (folder / "deep").mkdir(parents=True)
    (folder / "a large one.bin").write_bytes(dice.randbytes(LARGE))
    (folder / "deep" / "b.bin").write_bytes(dice.randbytes(SMALL))
    (folder / "ü.txt").write_text(seed)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".pad" not in path.parts
    }


def made(folder: Path, kind: str, tracker: str) -> bytes:
    """A torrent as libtorrent makes it."""
    files = [
        lt.create_file_entry(path.relative_to(folder.parent).as_posix(), path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    torrent = lt.create_torrent(files, PIECE, KINDS[kind]) if KINDS[kind] else lt.create_torrent(files, PIECE)
    torrent.add_tracker(tracker, 0)
    lt.set_piece_hashes(torrent, str(folder.parent))
    return bytes(lt.bencode(torrent.generate()))


async def until(what: str, true: Any, limit: float = WAIT) -> bool:
    end = time.monotonic() + limit
    print(f"{time.monotonic() % 1000:.1f} {what}", file=sys.stderr)
    while not true():
        if time.monotonic() > end:
            print(f"not within {limit:.0f} s: {what}", file=sys.stderr)
            return False
        await asyncio.sleep(0.1)
    return True


async def run(folder: Path, programs: list[type[Program]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    config = quiet_config("ours", folder / "ours")
    config.torrent.hosts = [OURS]
    config.rendezvous.dht = "off"
    config.blobs.bulk = False
    net = SimNet(seed=1)

    async def simulated(identity: Any, **_: Any) -> Any:
        return net.endpoint(identity)

    running: list[Program] = []
    with Tracker(OURS, 6969) as tracker:
        async with Node(folder / "ours" / "data", config, open_endpoint=simulated) as node:
            try:
                for number, kind in enumerate(programs):
                    running.append(kind(folder / kind.name, f"10.99.0.{number + 2}"))
                    await asyncio.to_thread(running[-1].start)
                await exchange(folder, node, tracker, running, result)
            finally:
                for program in running:
                    await asyncio.to_thread(program.stop)
    return result


async def exchange(
    folder: Path, node: Node, tracker: Tracker, running: list[Program], result: dict[str, Any]
) -> None:
    # What we seed: shares under their own infohash, one of them as a hybrid.
    ours: dict[str, Path] = {}
    for kind, name in NAMES.items():
        album(folder / name, name)
        share = await node.blobs.add(folder / name)
        assert share.infohash is not None
        infohash = share.infohash if kind == "v2" else await node.seeding.hybrid(share.infohash)
        view = await node.seeding.seed(infohash, trackers=[[tracker.url]])
        assert view.infohash_v2 == infohash.hex() and view.version == kind
        ours[kind] = folder / f"{kind}.torrent"
        ours[kind].write_bytes(await node.seeding.export(infohash))
        await until("we announce", lambda infohash=infohash: tracker.seeds(infohash) > 0)

    # What they seed.
    theirs: dict[tuple[str, str], metafile.Metafile] = {}
    for program in running:
        for kind in program.kinds:
            name = f"{program.name} {kind}"
            album(program.seeding / name, name)
            data = await asyncio.to_thread(made, program.seeding / name, kind, tracker.url)
            path = folder / f"{name}.torrent"
            path.write_bytes(data)
            theirs[program.name, kind] = metafile.decode(data)
            await asyncio.to_thread(program.seed, path)
    # We fetch from them.
    began: dict[tuple[str, str], TransferView] = {}
    for key, known in theirs.items():
        first = known.v1 or known.v2
        assert first is not None
        if await until(f"{key} announces", lambda first=first: tracker.seeds(first) > 0):
            to = folder / "got" / " ".join(key)
            data = (folder / f"{' '.join(key)}.torrent").read_bytes()
            began[key] = await node.torrent_files.fetch(known, data, to)
    # They fetch from us.
    for program in running:
        for kind, path in ours.items():
            if kind in program.fetches:
                await asyncio.to_thread(program.fetch, path)
    # Version 1 from us alone: what we fetched, we seed, and who gave it to us does so no longer.
    old = theirs["libtorrent", "v1"]
    assert old.v1 is not None
    libtorrent = next(program for program in running if isinstance(program, Libtorrent))
    await until("we seed what we fetched", lambda: node.seeding.handle(old.id) is not None)
    await until("we announce it", lambda: tracker.seeds(old.v1 or b"") > 1)
    await asyncio.to_thread(libtorrent.leave, old.id)
    await until("we alone announce it", lambda: tracker.seeds(old.v1 or b"") == 1)
    for program in running:
        if program is not libtorrent:
            await asyncio.to_thread(program.fetch, folder / "libtorrent v1.torrent")

    wanted = {kind: contents(folder / NAMES[kind]) for kind in ours}
    wanted["v1"] = contents(libtorrent.seeding / "libtorrent v1")
    assert all(len(files) == 3 for files in wanted.values())

    def has(program: Program, kind: str) -> bool:
        name = "libtorrent v1" if kind == "v1" else NAMES[kind]
        return (program is libtorrent and kind == "v1") or contents(program.fetching / name) == wanted[kind]

    await until("we have all of theirs", lambda: all(ended(node, view) for view in began.values()))
    await until("they have ours", lambda: all(has(one, kind) for one in running for kind in one.fetches))

    def sent() -> bool:
        return node.seeding.view(old.id).sent_bytes >= old.size  # they also give each other what they got

    await until("what we sent is counted", lambda: sent() or len(running) == 1, 5.0)
    result["ours"] = {"version 1 came from us": node.seeding.view(old.id).sent_bytes >= old.size}
    for program in running:
        hashes = await asyncio.to_thread(program.infohashes)
        said: dict[str, Any] = result.setdefault(program.name, {})
        for kind in program.fetches:
            said[f"they fetched {kind}"] = has(program, kind)
        for kind in program.kinds:
            key = program.name, kind
            view = node.blobs.transfer(began[key].id) if key in began else None
            same = contents(folder / "got" / " ".join(key) / " ".join(key)) == contents(
                program.seeding / " ".join(key)
            )
            said[f"we fetched {kind}"] = same and view is not None and view.state == "complete"
            if not said[f"we fetched {kind}"] and view is not None:
                print(key, view.state, view.reason, view.error, same, file=sys.stderr)
        mine = [theirs[program.name, kind] for kind in program.kinds]
        mine += [metafile.decode(path.read_bytes()) for kind, path in ours.items() if kind in program.fetches]
        both = {one.hex() for known in mine for one in (known.v1, known.v2) if one is not None}
        said["the same infohashes"] = both <= hashes


def ended(node: Node, view: TransferView) -> bool:
    return node.blobs.transfer(view.id).state in ("complete", "failed")


if __name__ == "__main__":
    chosen = [one for one in PROGRAMS if one.name in sys.argv[2:] or one is Libtorrent or len(sys.argv) == 2]
    make_eager(pytest.MonkeyPatch())
    print(json.dumps(asyncio.run(run(Path(sys.argv[1]), chosen))), flush=True)
    os._exit(0)  # libtorrent's own goodbye to trackers is not waited for
