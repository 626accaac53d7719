"""The overlay, measured part by part.

    python -m bench.network [--json] [--index] [--records 1000000] [--publishers 500] [--rate 2000] [--dir /tmp] [--kept]
                            [--nodes] [--count 200] [--items 500] [--mode server|hybrid|p2p] [--questions 400] [--profile]

**--index** (`bench.network_index`): the index role alone, on two cores. A supernode's store is filled through its service
with items of many publishers, and then asked: as fast as it answers, and at a given rate, with and without the
answers it remembers, and while publishers go on changing what they have.

**--nodes** (`bench.network_nodes`): hundreds of real endpoints in one process, in each mode: how long it takes until they
stand, what they cost at rest, and how fast and how completely rare items are found.

Without a part all are measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench import network_index, network_nodes

Figures = dict[str, Any]
PARTS: dict[
    str, tuple[Callable[[argparse.Namespace, Path], Awaitable[Figures]], Callable[[Figures], None]]
] = {
    "index": (network_index.measure, network_index.show),
    "nodes": (network_nodes.measure, network_nodes.show),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dir", type=Path, help="where the files lie meanwhile")
    parser.add_argument(
        "--kept", action="store_true", help="leave the files in --dir, and use those that lie there"
    )
    for part in PARTS:
        parser.add_argument(f"--{part}", action="store_true")
    for module in (network_index, network_nodes):
        module.arguments(parser)
    chosen = parser.parse_args()
    if chosen.kept and chosen.dir is None:
        parser.error("--kept needs --dir")
    parts = [part for part in PARTS if getattr(chosen, part)] or list(PARTS)
    figures: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(dir=chosen.dir) as base:
        for part in parts:
            figures[part] = asyncio.run(_run(part, chosen, chosen.dir if chosen.kept else Path(base)))
    if chosen.json:
        print(json.dumps(figures, indent=1))
    else:
        for part, found in figures.items():
            PARTS[part][1](found)
    return 0


async def _run(part: str, chosen: argparse.Namespace, base: Path) -> Figures:
    return await PARTS[part][0](chosen, base)


if __name__ == "__main__":
    sys.exit(main())
