"""A Python function, from its source to a stranger's verified result; and how much slower it runs there than in CPython.

    python -m bench.python_apps [--units 200] [--rounds 3] [--json]

The function (`bench/python_app.py`) is built, added to a project of a node of its own, sent over real iroh to two nodes that know nothing of that node but the project's link, each with a core and
nothing compiled before, and computed by both (quorum 2). `first` is the time from handing in one unit until its result is back: for that both fetch the component, compile it, compute and
agree. `units` small ones follow. The slowdown is seconds of the thread in the sandbox to those of this Python, of the same function in turns; the results must be the same. Needs `componentize-py`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import servent
from bench import python_app
from servent.api import grid_python, wasm_build
from servent.api import schema_grid as grid
from servent.api import schema_wasm as wasm
from servent.api.client import Client

SIZES = {"loop": 3_000_000, "floats": 1_000_000, "objects": 60, "words": 600_000}


@contextlib.contextmanager
def up(folder: Path, name: str) -> Iterator[Client]:
    """A node in a process of its own, which talks on loopback and needs no relay."""
    command = [sys.executable, "-m", "servent", "--data-dir", str(folder), "up", "--name", name]
    process = subprocess.Popen(
        [*command, "--no-web", "--api-port", "0", "--no-lan", "--no-relay"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        assert any(line.startswith("ready") for line in process.stdout), f"{name} did not start"
        yield Client.from_data_dir(folder)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()


def timed(found: dict[str, Any], name: str, began: float) -> None:
    found[name] = round(time.monotonic() - began, 2)
    print(f"{name}: {found[name]}", file=sys.stderr, flush=True)


def slowdown(client: Client, module: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Of each kind of work: median seconds in the sandbox and here, and the median of their ratios."""
    said = {}
    for kind, size in SIZES.items():
        item = {"kind": kind, "size": size}
        path = folder / "item.json"
        path.write_text(json.dumps(item))
        there, here = [], []
        for _ in range(rounds):
            request = wasm.BuildRequest(module=str(module), abi="python", input=str(path), seconds=300.0)
            made = client.try_module(request)
            began = time.thread_time()
            wanted = python_app.work(item)
            here.append(time.thread_time() - began)
            assert made.outcome == "done" and json.loads(made.output) == wanted, (made, wanted)
            there.append(made.seconds)
        ratios = [one / other for one, other in zip(there, here, strict=True)]
        said[kind] = {
            "sandbox_s": round(statistics.median(there), 3),
            "cpython_s": round(statistics.median(here), 3),
            "slowdown": round(statistics.median(ratios), 2),
        }
        print(f"{kind}: {said[kind]}", file=sys.stderr, flush=True)
    return said


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, Any] = {"python": platform.python_version(), "load": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory(prefix="bench-python-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        owner = stack.enter_context(up(folder / "owner", "owner"))
        others = [stack.enter_context(up(folder / one, one)) for one in ("ann", "bob")]
        project = owner.create_project(grid.NewProject(name="bench", audience="everyone"))
        cache = folder / "cache"
        wasm_build.cache = lambda: cache
        item = {"kind": "loop", "size": 1000}
        began = time.monotonic()
        module = grid_python.built(python_app.work)
        timed(found, "build_s", began)
        found["component_bytes"] = module.stat().st_size
        began = time.monotonic()
        app = grid_python.prepare(owner, project.id, python_app.work, item)
        timed(found, "check_sign_and_publish_s", began)
        for other in others:
            other.join_project(grid.JoinProject(link=project.link))
            other.change_lending(grid.LendChange(on=True, preset="everything", cores=1))
        mine = servent.Grid("bench", client=owner)
        began = time.monotonic()
        (first,) = mine.compute(python_app.work, [item])
        assert first.value == python_app.work(item), first
        timed(found, "first_s", began)
        began = time.monotonic()
        items = [{"kind": "loop", "size": 1000 + n} for n in range(1, options.units + 1)]
        for result in mine.compute(python_app.work, items):
            assert result.value == python_app.work(result.item), result
        seconds = time.monotonic() - began
        found["units"], found["hosts"] = options.units, len(owner.volunteers(project.id))
        found["units_per_s"] = round(options.units / seconds, 1)
        assert found["hosts"] == 2 and app.named == "work/1"
        for other in others:
            other.change_lending(grid.LendChange(on=False))
        found["slowdown"] = slowdown(owner, module, folder, options.rounds)
    if options.json:
        print(json.dumps(found))
        return 0
    print(f"built in {found['build_s']} s, {found['component_bytes'] / 1e6:.1f} MB")
    print(f"the first unit, with fetching and compiling at two strangers: {found['first_s']} s")
    print(f"then {found['units_per_s']} units/s, each computed twice, by {found['hosts']} strangers")
    for kind, one in found["slowdown"].items():
        print(f"{kind}: {one['slowdown']} x the time of CPython {found['python']} ({one['cpython_s']} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
