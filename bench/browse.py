"""Browsing a peer that shares a million files, over real iroh on loopback: how soon rows are there, what memory it takes.

    python -m bench.browse [--json] [--files 1000000] [--dir /tmp]

One folder with all the files in it, and one with 1,000 folders of 1,000. Asker and answerer are processes of their own. The
first rows come over a fresh connection from an answerer that has read nothing yet; then the asker scrolls through a
fifth of the list, 500 rows a page, and jumps to 100 random places in all three orders. Resident memory is
compared before the first row, after the first tenth of the scrolling, and at the end. The library is filled without its files on the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from bench.peer import Peer
from bench.processes import ROOT, Worker
from servent.identity import PeerId
from servent.share import asking_service, index, rows, shelves
from servent.share.answering_service import Answers
from servent.share.shelves import Ask, Shelf
from servent.share.wire import Sort
from servent.store import Store

PAGE = 500
FOLDERS = 1000
SHELVES = [Shelf(1, "Flat"), Shelf(2, "Deep")]
SORTS: tuple[Sort, ...] = ("name", "size", "modified")


def library(path: Path) -> Store:
    store = Store(path)
    store.migrate(rows.ROOM, rows.STEPS)
    store.migrate(index.ROOM, index.STEPS)
    store.migrate(shelves.ROOM, shelves.STEPS)
    return store


def fill(db: sqlite3.Connection, files: int) -> None:
    dice = random.Random(3)
    db.execute("INSERT INTO dirs VALUES (1, 1, NULL, '', ?, ?, 0)", (files, files * 1000))
    db.execute("INSERT INTO dirs VALUES (2, 2, NULL, '', ?, ?, 0)", (files, files * 1000))
    each = files // FOLDERS
    db.executemany(
        "INSERT INTO dirs VALUES (?, 2, 2, ?, ?, ?, 0)",
        ((3 + n, f"Folder {n:04}", each, each * 1000) for n in range(FOLDERS)),
    )

    def entries() -> Any:
        for number in range(2 * files):
            folder = 1 + number // files
            directory = 1 if folder == 1 else 3 + (number - files) // each
            root = hashlib.sha256(number.to_bytes(8, "big")).digest()
            name = f"{dice.randrange(10**9):09} some file {number}.dat"
            yield folder, directory, name, dice.randrange(10**9), dice.randrange(10**18), number, root, root

    db.executemany(
        "INSERT INTO files (folder, dir, name, size, mtime_ns, inode, kind, root, canon, layer, added) "
        "VALUES (?,?,?,?,?,?,0,?,?,x'',0)",
        entries(),
    )


async def build(path: Path, files: int) -> None:
    async with library(path) as store:
        await store.write(lambda db: fill(db, files))


def usage() -> dict[str, float]:
    return {
        "rss_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1),
    }


async def requests() -> Any:
    """Lines on stdin, read in a thread."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, '{"do": "stop"}')

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield json.loads(await lines.get())


async def answerer(folder: Path) -> None:
    async with library(folder / "library.db") as store, Peer(folder / "answerer", bulk=False) as peer:
        Answers(peer.peers, store, lambda who: SHELVES)
        print("{}", flush=True)
        async for request in requests():
            match request["do"]:
                case "ticket":
                    print(json.dumps({"ok": await peer.ticket()}), flush=True)
                case "usage":
                    print(json.dumps({"ok": usage()}), flush=True)
                case "stop":
                    return


async def page(peer: Peer, whom: PeerId, path: str, ask: Ask) -> tuple[float, shelves.Page]:
    begun = time.perf_counter()
    found = await asking_service.page(peer.peers, whom, path, ask)
    return (time.perf_counter() - begun) * 1000, found


async def asker(folder: Path, files: int) -> None:
    async with Peer(folder / "asker", bulk=False) as peer:
        print("{}", flush=True)
        whom: PeerId | None = None
        dice = random.Random(5)
        async for request in requests():
            answer: Any = None
            match request["do"]:
                case "join":
                    await peer.join(request["ticket"])
                    whom = peer.peers.sessions()[0].peer
                case "first":
                    assert whom is not None
                    took, found = await page(peer, whom, request["path"], Ask(limit=200))
                    assert found.total in (files, FOLDERS) and len(found.rows) == 200
                    answer = took
                case "scroll":
                    assert whom is not None
                    times = []
                    for offset in range(request["from"], request["to"], PAGE):
                        took, found = await page(peer, whom, "Flat", Ask(offset, PAGE))
                        assert len(found.rows) == PAGE
                        times.append(took)
                    answer = times
                case "jump":
                    assert whom is not None
                    times = []
                    for number in range(request["times"]):
                        ask = Ask(dice.randrange(files - PAGE), 200, SORTS[number % 3], number % 2 == 1)
                        took, found = await page(peer, whom, "Flat", ask)
                        assert len(found.rows) == 200
                        times.append(took)
                    answer = times
                case "usage":
                    answer = usage()
                case "stop":
                    return
            print(json.dumps({"ok": answer}), flush=True)


def spread(times: Sequence[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[max(0, int(len(ordered) * 0.99) - 1)], 1),
        "max_ms": round(ordered[-1], 1),
    }


def measure(base: Path, files: int = 1_000_000) -> dict[str, Any]:
    """Fill a library below `base` and browse it. Also the browse part of `bench.library`."""
    subprocess.run(
        [sys.executable, "-m", "bench.browse", "--role", "build", "--dir", str(base), "--files", str(files)],
        check=True,
        cwd=ROOT,
    )
    role = ("--dir", str(base), "--files", str(files), "--role")
    with Worker("bench.browse", *role, "answer") as there, Worker("bench.browse", *role, "ask") as here:
        here.ask("join", ticket=there.ask("ticket"))
        memory = {"before": (here.ask("usage")["rss_mb"], there.ask("usage")["rss_mb"])}
        figures: dict[str, Any] = {
            "files": files,
            "first_rows_flat_ms": round(here.ask("first", path="Flat"), 1),
            "first_rows_deep_ms": round(here.ask("first", path="Deep"), 1),
        }
        tenth = files // 50 // PAGE * PAGE
        times = here.ask("scroll", **{"from": 0, "to": tenth})
        memory["a tenth scrolled"] = (here.ask("usage")["rss_mb"], there.ask("usage")["rss_mb"])
        times += here.ask("scroll", **{"from": tenth, "to": files // 5})
        figures["scrolled_pages"] = len(times)
        figures["scroll"] = spread(times)
        memory["all scrolled"] = (here.ask("usage")["rss_mb"], there.ask("usage")["rss_mb"])
        figures["jump"] = spread(here.ask("jump", times=100))
        memory["jumped"] = (here.ask("usage")["rss_mb"], there.ask("usage")["rss_mb"])
        figures["memory_mb"] = {when: {"asker": a, "answerer": b} for when, (a, b) in memory.items()}
    return figures


def show(figures: dict[str, Any]) -> None:
    print(f"{figures['files']:,} files: first rows {figures['first_rows_flat_ms']} ms flat, ", end="")
    print(f"{figures['first_rows_deep_ms']} ms in folders")
    for what in ("scroll", "jump"):
        one = figures[what]
        print(f"  {what:7} p50 {one['p50_ms']} ms  p99 {one['p99_ms']} ms  max {one['max_ms']} ms")
    for when, one in figures["memory_mb"].items():
        print(f"  memory {when:16} asker {one['asker']:.0f} MB, answerer {one['answerer']:.0f} MB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--role", choices=("build", "answer", "ask"))
    chosen = parser.parse_args()
    match chosen.role:
        case "build":
            asyncio.run(build(chosen.dir / "library.db", chosen.files))
            return 0
        case "answer":
            asyncio.run(answerer(chosen.dir))
            return 0
        case "ask":
            asyncio.run(asker(chosen.dir, chosen.files))
            return 0
    with tempfile.TemporaryDirectory(dir=chosen.dir) as base:
        figures = measure(Path(base), chosen.files)
    print(json.dumps(figures, indent=1)) if chosen.json else show(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
