"""How fast a library of many files is looked through: beside libtorrent, and at the second start.

    python -m bench.library [--json] [--files 100000] [--rounds 1] [--dir /dev/shm]

Makes a folder of files as people have them: texts, pictures with a real head, songs with a real tag, and files that say
nothing by their name; 20 kB in the middle, some empty, some of several MB. Then, in one run:

- **first scan**: from `add` to all of it found and fetchable: walking, hashing, reading tags and picture sizes, sniffing, the
  full-text index, and everything committed to library.db. libtorrent beside it only hashes: `create_torrent` (v2) and
  `set_piece_hashes` over the same folder.
- **second start**: from opening the databases to "nothing changed", with a `stat` of every file.

Then `bench.browse`: a peer with a million files.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import libtorrent
from PIL import Image

from bench import browse
from bench.hashing import by_libtorrent
from servent.blobs.info import piece_length_for
from servent.identity import Identity
from servent.share import index, rows
from servent.share.library_service import Library
from servent.store import Store
from servent.trust.service import TrustService

KINDS = (("txt", 0.3), ("pdf", 0.17), ("jpg", 0.3), ("mp3", 0.15), ("zip", 0.05), ("dat", 0.03))


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (640, 480), (9, 99, 199)).save(out, "JPEG")
    return out.getvalue()


def song(title: str, artist: str) -> bytes:
    """An ID3v2.3 tag and ten silent MPEG frames."""

    def frame(name: bytes, text: str) -> bytes:
        body = b"\x00" + text.encode("latin-1")
        return name + len(body).to_bytes(4, "big") + b"\x00\x00" + body

    body = frame(b"TIT2", title) + frame(b"TPE1", artist) + frame(b"TALB", "Album of " + artist)
    size = bytes([len(body) >> 21 & 127, len(body) >> 14 & 127, len(body) >> 7 & 127, len(body) & 127])
    return b"ID3\x03\x00\x00" + size + body + (b"\xff\xfb\x90\x00" + bytes(413)) * 10


def make(folder: Path, count: int) -> int:
    """The files. Returns bytes."""
    dice = random.Random(7)
    noise = os.urandom(8 << 20)
    jpeg = picture()
    total = 0
    names, weights = zip(*KINDS, strict=True)
    for number in range(count):
        below = folder / f"artist {number // 2000:03}" / f"album {number // 50:05}"
        if number % 50 == 0:
            below.mkdir(parents=True)
        ext = dice.choices(names, weights)[0]
        size = 0 if number % 500 == 0 else min(4 << 20, int(dice.lognormvariate(9.3, 1.0)))
        head = (
            jpeg
            if ext == "jpg"
            else song(f"song {number}", f"artist {number // 2000}")
            if ext == "mp3"
            else b""
        )
        at = dice.randrange(len(noise) - (4 << 20))
        data = (head + noise[at : at + max(0, size - len(head))]) if size else b""
        (below / f"{number:06} the name of a thing.{ext}").write_bytes(data)
        total += len(data)
    return total


async def scan(
    folder: Path, data: Path, *, count: int = 0, gentle: bool = True
) -> tuple[float, dict[str, Any]]:
    """Seconds until `count` files are hashed and indexed; 0: until nothing is left to do."""
    store, db = Store(data / "node.db"), Store(data / "library.db")
    db.migrate(rows.ROOM, rows.STEPS)
    db.migrate(index.ROOM, index.STEPS)
    trust = TrustService(store, Identity(bytes(32)), wall=time.time)
    begun = time.perf_counter()
    library = Library(store, db, trust, data, wall=time.time, homes=[], gentle=gentle)
    async with store, db:
        await trust.open()
        await library.open()
        async with asyncio.TaskGroup() as group:
            group.create_task(library.run())
            if count:
                await library.add(folder)
                while True:
                    if library.folders()[0].hashed_files == count:
                        break
                    await asyncio.sleep(0.02)
            else:
                await library.settled()
            took = time.perf_counter() - begun
            (view,) = library.folders()
            await library.close()
    return took, {"files": view.files, "hashed": view.hashed_files, "skipped": view.skipped}


def measure(arguments: argparse.Namespace, base: Path) -> list[dict[str, Any]]:
    folder = base / "shared"
    folder.mkdir()
    size = make(folder, arguments.files)
    time.sleep(2.5)  # files younger than 2 s count as being written
    ours: dict[bool, list[float]] = {True: [], False: []}
    theirs, second = [], []
    for number in range(arguments.rounds):
        for gentle in (False, True):
            data = base / f"data-{number}-{gentle}"
            data.mkdir()
            took, said = asyncio.run(scan(folder, data, count=arguments.files, gentle=gentle))
            assert said["files"] == said["hashed"] == arguments.files, said
            ours[gentle].append(took)
        begun = time.perf_counter()
        by_libtorrent(folder, piece_length_for(size))
        theirs.append(time.perf_counter() - begun)
        took, said = asyncio.run(scan(folder, data))
        assert said["files"] == said["hashed"] == arguments.files, said
        second.append(took)
    other = statistics.median(theirs)
    rival = f"libtorrent {libtorrent.__version__} only hashing them ({other:.2f} s)"
    return [
        *(
            {
                "name": f"first scan of {arguments.files} files, {size / 1e9:.2f} GB, {how}",
                "value": round(statistics.median(ours[gentle]), 2),
                "unit": "s",
                "better": "lower",
                "ratio_to": {rival: round(other / statistics.median(ours[gentle]), 2)},
            }
            for gentle, how in (
                (False, "at libtorrent's priority"),
                (True, "at the lowest priority, as always"),
            )
        ),
        {
            "name": f"second start, nothing changed, {arguments.files} files",
            "value": round(statistics.median(second), 2),
            "unit": "s",
            "better": "lower",
            "ratio_to": {},
        },
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.library", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--dir", default="/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir())
    parser.add_argument("--browse", type=int, default=1_000_000, help="files to browse; 0: leave it out")
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="servent-bench-", dir=arguments.dir))
    try:
        results = measure(arguments, base)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    browsed = None
    if arguments.browse:
        with tempfile.TemporaryDirectory() as place:
            browsed = browse.measure(Path(place), arguments.browse)
    if arguments.json:
        print(json.dumps({"results": results, "browse": browsed}))
        return 0
    for result in results:
        beside = "".join(f", {ratio} x {name}" for name, ratio in result["ratio_to"].items())
        print(f"{result['name']}: {result['value']} {result['unit']}{beside}")
    if browsed is not None:
        browse.show(browsed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
