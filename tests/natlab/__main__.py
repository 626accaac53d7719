"""python -m tests.natlab [--json] [--only apdf,edm-pub] [--floor] [--jobs 2] [--prefix nl]: the table, as text or JSON."""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.natlab.cells import CELLS, Cell
from tests.natlab.lab import missing
from tests.natlab.matrix import EndpointPeer, Matrix, Outcome, Program
from tests.natlab.node import WholeNode


def run_cells(prefix: str, cells: list[Cell], show: bool, program: Program) -> list[Outcome]:
    done = []
    with Matrix(prefix, program) as matrix:
        for cell in cells:
            outcome = matrix.run(cell)
            done.append(outcome)
            if show:
                times = f"{outcome.connect_s or 0:8.3f} {outcome.direct_s or 0:8.3f} {outcome.took_s:6.1f}"
                print(
                    f"{cell.name:26} {outcome.path or 'none':8} {times} {'' if outcome.quick else 'late' if outcome.good else 'BAD'}",
                    flush=True,
                )
    return done


def results(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Figures to compare from change to change."""
    direct = [o for o in outcomes if o.cell.direct]
    waits = sorted(
        o.direct_s - o.connect_s for o in direct if o.direct_s is not None and o.connect_s is not None
    )
    connects = sorted(o.connect_s for o in outcomes if o.connect_s is not None)
    rows: list[tuple[str, float, str, str]] = [
        ("natlab cells as promised", sum(o.quick for o in outcomes), "cells", "higher"),
        ("natlab cells failed", sum(not o.quick for o in outcomes), "cells", "lower"),
        ("natlab cells direct", sum(o.path == "direct" for o in outcomes), "cells", "higher"),
        ("natlab seconds a cell", sum(o.took_s for o in outcomes) / max(1, len(outcomes)), "s", "lower"),
    ]
    if connects:
        rows.append(("natlab connect, median", connects[len(connects) // 2], "s", "lower"))
    if waits:
        rows.append(("natlab direct after connect, median", waits[len(waits) // 2], "s", "lower"))
        rows.append(("natlab direct after connect, worst", waits[-1], "s", "lower"))
    return [
        {"name": name, "value": round(value, 4), "unit": unit, "better": better, "ratio_to": {}}
        for name, value, unit, better in rows
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="parts of cell names, separated by commas")
    parser.add_argument("--jobs", type=int, default=1, help="labs side by side")
    parser.add_argument("--prefix", default="nl", help="of the namespaces; a number and '-' follow")
    parser.add_argument(
        "--floor", action="store_true", help="endpoint and reach alone instead of whole nodes"
    )
    options = parser.parse_args()
    program: Program = EndpointPeer() if options.floor else WholeNode()
    why_not = missing()
    if why_not:
        print(json.dumps({"skipped": why_not, "results": [], "cells": []}) if options.json else why_not)
        return 0 if options.json else 1
    parts = [part for part in options.only.split(",") if part]
    cells = [cell for cell in CELLS if not parts or any(part in cell.name for part in parts)]
    shares = [cells[n :: options.jobs] for n in range(options.jobs)]
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = [
            pool.submit(run_cells, f"{options.prefix}{n}-", share, not options.json, program)
            for n, share in enumerate(shares)
            if share
        ]
        outcomes = [outcome for done in runs for outcome in done.result()]
    outcomes.sort(key=lambda outcome: CELLS.index(outcome.cell))
    if options.json:
        print(json.dumps({"results": results(outcomes), "cells": [outcome.json() for outcome in outcomes]}))
    else:
        for row in results(outcomes):
            print(f"{row['name']:40} {row['value']:10} {row['unit']}")
    return 0 if all(outcome.quick for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
