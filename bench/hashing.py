"""How fast a folder is hashed for sharing, beside libtorrent on the same files in the same run.

    python -m bench.hashing [--json] [--rounds 3] [--dir /dev/shm] [--size-mb 1024] [--files 10000]

A random file of 1 GiB; 10,000 files of 20 kB; 2,000 of 100 KiB: BEP 52 roots, piece layers and the encoded
info dictionary, from the memory file system. libtorrent does the same with `create_torrent` (v2 only) and
`set_piece_hashes`; both must come to the same infohash. Then a half-done download of the big file is checked
again as after a crash of the machine. Rounds alternate; each figure is the median.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libtorrent

from servent.blobs import hashing, info
from servent.blobs.disk import Partial
from servent.blobs.seed import Seed

MB = 1_000_000


def make_big(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))


def make_small(folder: Path, count: int, size: int) -> None:
    for number in range(count):
        below = folder / f"{number // 100:04}"
        if number % 100 == 0:
            below.mkdir(parents=True)
        (below / f"{number:06}.bin").write_bytes(os.urandom(size))


def by_libtorrent(path: Path, piece_length: int) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of 2.1: file_storage is deprecated, its successor not in 2.0
        files = libtorrent.file_storage()
        libtorrent.add_files(files, str(path))
        torrent = libtorrent.create_torrent(files, piece_length, libtorrent.create_torrent.v2_only)
        libtorrent.set_piece_hashes(torrent, str(path.parent))
        encoded: bytes = libtorrent.bencode(torrent.generate()[b"info"])
    return hashlib.sha256(encoded).digest()


def by_servent(path: Path, piece_length: int) -> bytes:
    return hashing.collect(path, piece_length).collection.infohash


def timed(job: Callable[[], bytes]) -> tuple[float, bytes]:
    begun = time.perf_counter()
    answer = job()
    return time.perf_counter() - begun, answer


def recheck(big: Path, base: Path) -> float:
    """Seconds to check a whole download again, as after a crash of the machine."""
    shared = hashing.collect(big)
    seed = Seed(shared.collection, shared.root, shared.paths, shared.stamps)
    with Partial.open(base / "to", shared.collection) as partial:
        partial.save_layers()
        for piece in range(shared.collection.pieces):
            partial.write_piece(piece, seed.read_piece(piece))
    seed.close()
    with Partial.open(base / "to", shared.collection, check_space=False) as partial:
        assert partial.complete, "nothing to check"
        begun = time.perf_counter()
        lost = partial.recheck(everything=True)
        took = time.perf_counter() - begun
        assert lost == 0
        partial.discard()
    return took


def measure(arguments: argparse.Namespace, base: Path) -> list[dict[str, Any]]:
    big = base / "big.bin"
    make_big(big, arguments.size_mb << 20)
    make_small(base / "tiny", arguments.files, 20_000)
    make_small(base / "small", arguments.files // 5, 102_400)
    results: list[dict[str, Any]] = []
    for name, path in (
        (f"hash one file of {arguments.size_mb} MiB", big),
        (f"hash {arguments.files} files of 20 kB", base / "tiny"),
        (f"hash {arguments.files // 5} files of 100 KiB", base / "small"),
    ):
        size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*.bin")))
        length = info.piece_length_for(size)
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            took, mine = timed(lambda path=path, length=length: by_servent(path, length))
            ours.append(size / MB / took)
            took, oracle = timed(lambda path=path, length=length: by_libtorrent(path, length))
            theirs.append(size / MB / took)
            assert mine == oracle, f"{name}: not libtorrent's infohash"
        value = statistics.median(ours)
        results.append(
            {
                "name": name,
                "value": round(value, 1),
                "unit": "MB/s",
                "better": "higher",
                "ratio_to": {"libtorrent": round(value / statistics.median(theirs), 3)},
            }
        )
    per_gib = [recheck(big, base) * 1024 / arguments.size_mb for _ in range(arguments.rounds)]
    results.append(
        {
            "name": "check a download again after a crash, per GiB",
            "value": round(statistics.median(per_gib), 3),
            "unit": "s",
            "better": "lower",
            "ratio_to": {},
        }
    )
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.hashing", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", default="/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir())
    parser.add_argument("--size-mb", type=int, default=1024)
    parser.add_argument("--files", type=int, default=10_000)
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="servent-bench-", dir=arguments.dir))
    try:
        results = measure(arguments, base)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    if arguments.json:
        print(json.dumps({"results": results}))
        return 0
    for result in results:
        beside = "".join(f", {ratio:.2f} x {name}" for name, ratio in result["ratio_to"].items())
        print(f"{result['name']}: {result['value']} {result['unit']}{beside}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
