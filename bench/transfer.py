"""Moving files between real processes on this machine, side by side with other programs.

    python -m bench.transfer [--json] [--size MB] [--repeat N] [--only WORD …]

Everything lies on the memory file system. Runs are interleaved, servent and every rival in turn, `--repeat`
times; the median counts and all runs are told. servent's nodes are separate processes; the time is from asking for a link until
the verified files are in their place under their own names. Rivals run in a network namespace that has nothing but
loopback, and what they fetched is compared with the source. CPU seconds are those of both sides together.

On a machine where fresh memory is slow (a virtual machine that borrows it from its host) `--warm GB` touches
that much before every single run, for all alike.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import rawiroh, rivals
from bench.processes import Meter, Worker

CAPPED_SOURCES = 3
CAP = 30_000_000  # bytes/s of each
SMALL = ((2_000, 100 * 1024), (10_000, 4 * 1024))


def fill(path: Path, size: int) -> None:
    """A file of random bytes, so that nothing can be squeezed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        while size:
            step = min(size, 1 << 20)
            file.write(os.urandom(step))
            size -= step


def fill_folder(path: Path, files: int, size: int) -> None:
    for number in range(files):
        fill(path / f"{number // 250:03}" / f"{number:05}.bin", size)


def warm(gigabytes: int) -> None:
    """Touch that much memory and let it go."""
    if gigabytes:
        with mmap.mmap(-1, gigabytes << 30) as memory:
            page = b"\1" * (1 << 20)
            for at in range(0, len(memory), 1 << 20):
                memory[at : at + len(page)] = page


class Servent:
    """One run of ours: nodes in processes of their own.

    Args:
        bulk: offer the TCP lane; without it everything goes over QUIC.
    """

    def __init__(self, *, bulk: bool = True, sources: int = 1, cap: float | None = None) -> None:
        self.bulk, self.sources, self.cap = bulk, sources, cap

    def __call__(self, source: Path, target: Path) -> dict[str, Any]:
        folder = target.with_name(target.name + "-nodes")
        shutil.rmtree(folder, ignore_errors=True)
        options = () if self.bulk else ("--no-bulk",)
        names = [f"source{number}" for number in range(self.sources)]
        workers = [Worker("bench.peer", str(folder / name), *options) for name in (*names, "receiver")]
        *senders, receiver = workers
        try:
            for sender in senders:
                receiver.ask("join", ticket=sender.ask("ticket"))
                link = sender.ask("add", path=str(source))
                if self.cap:
                    sender.ask("limits", up=self.cap)
            meter = Meter([worker.pid for worker in workers])
            transfer = receiver.ask("fetch", link=link, to=str(target))
            end = receiver.ask("wait", id=transfer, limit=rivals.LIMIT)
            seconds, cpu, memory = meter.stop()
            if end["state"] != "complete":
                return {"skip": f"{end['state']}: {end['reason']}"}
            if not rivals.same(source, target):
                return {"skip": "what arrived is not what was sent"}
            return rivals.report(seconds, cpu, max(memory), source, "encrypted, verified")
        finally:
            for worker in workers:
                worker.stop()
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(target, ignore_errors=True)


def rival(name: str, **options: Any) -> Callable[[Path, Path], dict[str, Any]]:
    return lambda source, target: rivals.inside(name, source, target, **options)


def raw_iroh(streams: int) -> Callable[[Path, Path], dict[str, Any]]:
    """Raw iroh streams with hash and file, between two Python processes."""

    def run(source: Path, target: Path) -> dict[str, Any]:
        folder = target.with_name(target.name + "-raw")
        folder.mkdir(exist_ok=True)
        try:
            (folder / "source").unlink(missing_ok=True)
            os.link(source, folder / "source")
            size = source.stat().st_size
            found = rawiroh.measure(size, streams, "raw", "file", folder)
            seconds = size / 1e6 / found["rate"]
            return rivals.report(
                seconds, found["cpu"] * size / (1 << 30), found["memory"], source, "encrypted, hashed"
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return run


Runner = Callable[[Path, Path], dict[str, Any]]


def round_of(
    title: str, runners: dict[str, Runner], source: Path, target: Path, options: argparse.Namespace
) -> dict[str, list[dict[str, Any]]]:
    """Every runner in turn, `repeat` times."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in runners}
    for number in range(options.repeat):
        for name, run in runners.items():
            warm(options.warm)
            try:
                one = run(source, target)
            except (RuntimeError, TimeoutError, OSError) as wrong:
                one = {"skip": f"failed: {wrong}"}
            found[name].append(one)
            told = (
                one.get("skip") or f"{one['seconds']:.2f} s, {one['bytes'] / 1e6 / one['seconds']:.0f} MB/s"
            )
            print(f"{title}: {name} ({number + 1}): {told}", file=sys.stderr, flush=True)
    return found


def results_of(
    title: str, found: dict[str, list[dict[str, Any]]], ours: list[str], files: int = 0
) -> list[dict[str, Any]]:
    """Medians, with the ratio of ours to every other."""
    rates: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for name, runs in found.items():
        good = [run for run in runs if "skip" not in run]
        if not good:
            rows.append({"name": f"{title}: {name}", "skipped": runs[0]["skip"]})
            continue
        each = [(files if files else run["bytes"] / 1e6) / run["seconds"] for run in good]
        rates[name] = statistics.median(each)
        rows.append(
            {
                "name": f"{title}: {name}",
                "value": round(rates[name], 1),
                "unit": "files/s" if files else "MB/s",
                "better": "higher",
                "ratio_to": {},
                "runs": [round(value, 1) for value in each],
                "note": good[0]["note"],
            }
        )
        cpu = statistics.median(run["cpu"] * (1 << 30) / run["bytes"] for run in good)
        memory = max(run["peak_rss_mb"] for run in good)
        for what, value, unit in (("CPU", cpu, "s/GiB"), ("memory of the larger side", memory, "MB")):
            rows.append(
                {
                    "name": f"{title}: {name}: {what}",
                    "value": round(value, 2),
                    "unit": unit,
                    "better": "lower",
                    "ratio_to": {},
                }
            )
    for row in rows:
        name = row["name"].removeprefix(f"{title}: ")
        if name in ours and "value" in row:
            row["ratio_to"] = {
                other: round(rates[name] / rate, 3) for other, rate in rates.items() if other != name
            }
    return [row for row in rows if "value" in row] + [row for row in rows if "skipped" in row]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the single file")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--warm", type=int, default=0, help="GiB of memory to touch before each run")
    parser.add_argument("--only", nargs="+", choices=("single", "sources", "small"), help="parts to run")
    parser.add_argument("--without-rivals", action="store_true")
    options = parser.parse_args()
    parts = options.only or ("single", "sources", "small")
    others = () if options.without_rivals else rivals.NAMES
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="servent-bench-", dir=memory) as name:
        folder = Path(name)
        target = folder / "target"
        if "single" in parts:
            source = folder / "single" / "one.bin"
            fill(source, options.size << 20)
            runners: dict[str, Runner] = {"servent": Servent(), "servent, QUIC only": Servent(bulk=False)}
            runners |= {f"raw iroh, {count} streams": raw_iroh(count) for count in (1, 4, 8)}
            runners |= {name: rival(name) for name in others}
            title = f"one source, {options.size} MiB"
            found = round_of(title, runners, source, target, options)
            results += results_of(title, found, ["servent", "servent, QUIC only"])
            shutil.rmtree(source.parent)
        if "sources" in parts:
            source = folder / "sources" / "one.bin"
            fill(source, min(options.size, 512) << 20)
            runners = {"servent": Servent(sources=CAPPED_SOURCES, cap=CAP)}
            runners |= {
                name: rival(name, sources=CAPPED_SOURCES, up=CAP)
                for name in others
                if name == "libtorrent v2"
            }
            title = f"{CAPPED_SOURCES} sources of 30 MB/s"
            results += results_of(title, round_of(title, runners, source, target, options), ["servent"])
            shutil.rmtree(source.parent)
        if "small" in parts:
            for files, size in SMALL:
                source = folder / "small"
                fill_folder(source, files, size)
                runners = {"servent": Servent()} | {name: rival(name) for name in others if name != "aria2"}
                title = f"{files} files of {size // 1024} KiB"
                found = round_of(title, runners, source, target, options)
                results += results_of(title, found, ["servent"], files)
                shutil.rmtree(source)
    told = {"bench": "transfer", "cores": os.cpu_count(), "load": os.getloadavg(), "results": results}
    if options.json:
        print(json.dumps(told))
        return
    for row in results:
        figure = row.get("skipped") or f"{row['value']:10.1f} {row['unit']}"
        print(f"{row['name']:60} {figure} {row.get('ratio_to') or ''}")


if __name__ == "__main__":
    main()
