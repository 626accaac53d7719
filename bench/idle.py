"""What a node costs while nothing happens, and what a command costs.

Starts `servent up --no-web` on a fresh data directory, lets it settle, then reads CPU time and memory of
its process from /proc for `--seconds`; beside it, in the same run, a bare asyncio process with one iroh
endpoint (the floor below which no node of ours can go) and a bare interpreter for the command line. Modules
are compiled before, as an installed servent's are: where that happens at each start, memory and commands suffer.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
FLOOR = """
import asyncio, sys
from iroh import Endpoint, EndpointOptions, RelayMode, preset_minimal
async def main():
    endpoint = await Endpoint.bind(EndpointOptions(preset=preset_minimal(), relay_mode=RelayMode.disabled()))
    print("ready", flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("no VmRSS")


def watch(command: list[str], settle: float, seconds: float) -> tuple[float, float]:
    """Returns MB resident and the share of one core used over `seconds`."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith("ready"):
                    break
            time.sleep(settle)
            before = cpu_seconds(process.pid)
            time.sleep(seconds)
            return resident_mb(process.pid), (cpu_seconds(process.pid) - before) / seconds
        finally:
            process.terminate()


def command_times(data_dir: str, times: int) -> tuple[list[float], list[float]]:
    """Milliseconds of `servent status` and of an interpreter that does nothing, in turn."""
    ours, bare = [], []
    servent = [str(Path(sys.executable).with_name("servent")), "--data-dir", data_dir, "status"]
    for _ in range(times):
        for command, into in ((servent, ours), ([sys.executable, "-c", ""], bare)):
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            into.append((time.perf_counter() - began) * 1000)
    return ours, bare


def measure(seconds: float, times: int) -> dict[str, Any]:
    ours = find_spec("servent")
    assert ours is not None and ours.origin is not None
    compileall.compile_dir(Path(ours.origin).parent, quiet=2)
    with tempfile.TemporaryDirectory(prefix="servent-bench-") as folder:
        servent = [sys.executable, "-m", "servent", "--data-dir", folder]
        up = [*servent, "up", "--no-web", "--api-port", "0", "--no-relay"]
        memory, cpu = watch(up, settle=5, seconds=seconds)
        floor_memory, floor_cpu = watch([sys.executable, "-c", FLOOR], settle=2, seconds=min(10.0, seconds))
        with subprocess.Popen(up, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as node:
            assert node.stdout is not None
            try:
                for line in node.stdout:
                    if line.startswith("ready"):
                        break
                commands, bare = command_times(folder, times)
            finally:
                node.terminate()
    return {
        "results": [
            row("idle node, resident memory", memory, "MB", {"iroh endpoint alone": memory / floor_memory}),
            row("idle node, processor", cpu * 100, "% of a core", {}),
            row("iroh endpoint alone, resident memory", floor_memory, "MB", {}),
            row("iroh endpoint alone, processor", floor_cpu * 100, "% of a core", {}),
            row(
                "servent status",
                (mid := statistics.median(commands)),
                "ms",
                {"bare interpreter": mid / statistics.median(bare)},
            ),
            row("bare interpreter", statistics.median(bare), "ms", {}),
        ],
        "settings": {"seconds": seconds, "commands": times},
    }


def row(name: str, value: float, unit: str, ratio_to: dict[str, float]) -> dict[str, Any]:
    ratios = {other: round(ratio, 3) for other, ratio in ratio_to.items()}
    return {"name": name, "value": round(value, 3), "unit": unit, "better": "lower", "ratio_to": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to watch the idle node")
    parser.add_argument("--times", type=int, default=15, help="how many commands to time")
    options = parser.parse_args()
    report = measure(options.seconds, options.times)
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        for result in report["results"]:
            ratios = ", ".join(f"{ratio} x {other}" for other, ratio in result["ratio_to"].items())
            print(f"{result['name']:<40} {result['value']:>10} {result['unit']:<12} {ratios}")


if __name__ == "__main__":
    main()
