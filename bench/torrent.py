"""What the door to BitTorrent costs: a file through our node, against plain libtorrent on both sides, in the same run.

    python -m bench.torrent [--json] [--size MB] [--rounds N] [--kind v1|v2|hybrid …] [--way fetch|seed …]

Two processes on loopback and the memory file system, TCP, not encrypted where libtorrent does not wish it. `fetch`: a plain libtorrent session seeds, and
our node or another plain session fetches by the same .torrent; `seed`: our node or a plain session seeds, and a plain
session fetches. Turns alternate, each round begins with the other; the time is from the question until the verified file is
written and in its place, without hashing what is seeded. The ratio is that of the medians. CPU seconds are those of both sides
together. Every fetched file is compared with the source.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench.processes import Meter, Worker
from bench.transfer import fill

KINDS, WAYS = ("v1", "v2", "hybrid"), ("fetch", "seed")
GOAL = 0.9  # of plain libtorrent


def one(way: str, who: str, torrent: Path, source: Path, folder: Path) -> dict[str, float]:
    """One fetch; `who` is on the side that is measured, plain libtorrent on the other."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "got").mkdir(parents=True)
    measured = ("ours", str(folder / "node")) if who == "ours" else ("plain",)
    with Worker("bench.torrent_node", *measured) as one_side, Worker("bench.torrent_node", "plain") as other:
        seeder, fetcher = (other, one_side) if way == "fetch" else (one_side, other)
        if seeder is one_side and who == "ours":
            if "v1" not in torrent.name:
                seeder.ask(
                    "share", path=str(source), kind=torrent.name.partition(" ")[0], torrent=str(folder / "t")
                )
                assert (folder / "t").read_bytes() == torrent.read_bytes(), "the same files, another torrent"
            port = seeder.ask("seed", torrent=str(torrent), path=str(source))
        else:
            port = seeder.ask("seed", torrent=str(torrent), folder=str(source.parent))
        meter = Meter([one_side.pid, other.pid])
        fetcher.ask("fetch", torrent=str(torrent), folder=str(folder / "got"), port=port)
        seconds, cpu, _ = meter.stop()
    assert filecmp.cmp(source, folder / "got" / source.name, shallow=False), "another file came"
    shutil.rmtree(folder)
    return {"MB/s": source.stat().st_size / seconds / 1e6, "cpu_s": cpu}


def torrents(source: Path, folder: Path, kinds: list[str]) -> dict[str, Path]:
    """v2 and hybrid as our node makes them, v1 as libtorrent does."""
    from bench.rival_libtorrent import make

    made = {kind: folder / f"{kind} {source.name}.torrent" for kind in kinds}
    with Worker("bench.torrent_node", "ours", str(folder / "maker")) as maker:
        for kind, path in made.items():
            if kind == "v1":
                path.write_bytes(make(source, "v1", None))
            else:
                maker.ask("share", path=str(source), kind=kind, torrent=str(path))
    return made


def measure(size: int, rounds: int, kinds: list[str], ways: list[str]) -> list[dict[str, Any]]:
    found = []
    place = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=place, prefix="bench-torrent-") as text:
        folder = Path(text)
        source = folder / "source" / "file.bin"
        fill(source, size)
        for kind, torrent in torrents(source, folder, kinds).items():
            for way in ways:
                runs: dict[str, list[dict[str, float]]] = {"ours": [], "plain": []}
                for number in range(rounds):
                    for who in ("ours", "plain") if number % 2 else ("plain", "ours"):
                        runs[who].append(one(way, who, torrent, source, folder / "run"))
                middle = {who: statistics.median(run["MB/s"] for run in runs[who]) for who in runs}
                found.append(
                    {
                        "kind": kind,
                        "way": way,
                        "size_bytes": size,
                        "ours_mb_s": round(middle["ours"], 1),
                        "plain_mb_s": round(middle["plain"], 1),
                        "ratio": round(middle["ours"] / middle["plain"], 3),
                        "ours_cpu_s": round(statistics.median(run["cpu_s"] for run in runs["ours"]), 2),
                        "plain_cpu_s": round(statistics.median(run["cpu_s"] for run in runs["plain"]), 2),
                        "ours_all": [round(run["MB/s"], 1) for run in runs["ours"]],
                        "plain_all": [round(run["MB/s"], 1) for run in runs["plain"]],
                    }
                )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size", type=int, default=1024, metavar="MB", help="MiB of the file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--way", action="append", choices=WAYS)
    given = parser.parse_args()
    found = measure(given.size << 20, given.rounds, given.kind or list(KINDS), given.way or list(WAYS))
    if given.json:
        print(json.dumps({"bench": "torrent", "goal": GOAL, "results": found}))
    else:
        for row in found:
            print(
                f"{row['kind']:7}{row['way']:6} ours {row['ours_mb_s']:7} MB/s {row['ours_cpu_s']:6} CPU s"
                f"   plain {row['plain_mb_s']:7} MB/s {row['plain_cpu_s']:6} CPU s   ratio {row['ratio']}"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
