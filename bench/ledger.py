"""What credit costs: entries out of what is due, and the check of them: `python -m bench.ledger [--results 100000] [--json]`."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sqlite3
import tempfile
import time
from pathlib import Path

from servent.grid import coordinator_rows
from servent.grid.ledger_service import Ledger
from servent.grid.manifests import App, Content, Project, app_id, sign_app, sign_project
from servent.identity import Identity
from servent.store import Store

NOW = 1_800_000_000.0
OPERATIONS = 3_100_000  # MFLOP; a unit of SETI@home
KEY, OWNER = Identity(b"p" * 32), Identity(b"o" * 32)


async def measure(folder: Path, results: int, workers: int) -> dict[str, float]:
    """`results` in all, in equal parts of `workers`."""
    store = Store(folder / "grid.db", durable=True)
    store.migrate(coordinator_rows.ROOM, coordinator_rows.STEPS)
    book = Ledger(store, folder / "ledgers", None, OWNER, wall=lambda: NOW)
    await store.open()
    await book.open()
    key = bytes(KEY.peer)
    project = Project(
        key=key, serial=1, name="bench", coordinators=[bytes(OWNER.peer)], owner=bytes(OWNER.peer)
    )
    app = sign_app(
        App(project=key, name="fft", version=1, module=Content(b"i" * 32, 0, b"r" * 32, 1000)), KEY
    )
    await book.add_project(sign_project(project, KEY), KEY, [app])
    name, people = app_id(app), [Identity(n.to_bytes(32, "big")).peer for n in range(1, workers + 1)]

    def owe(connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT INTO grid_due (project, identity, key, app, operations, mflop, price, at) VALUES (?, ?, ?, ?, ?, ?, 100, ?)",
            (
                (
                    key,
                    bytes(people[n % workers]),
                    hashlib.sha256(b"%d" % n).digest(),
                    name,
                    OPERATIONS,
                    OPERATIONS,
                    NOW,
                )
                for n in range(results)
            ),
        )

    await store.write(owe)
    wall, cpu = time.perf_counter(), time.process_time()
    entries = await book.settle(key)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    audited = await book.audit(key)
    if not audited.ok or audited.results != results:
        raise SystemExit(f"the ledger is not right: {audited.checks}")
    size = sum(path.stat().st_size for path in (folder / "ledgers" / key.hex()).iterdir())
    await store.close()
    return {
        "results": results,
        "workers": workers,
        "entries": entries,
        "cpu_us_per_result": round(cpu / results * 1e6, 2),
        "results_per_s": round(results / wall),
        "audit_s": round(audited.seconds, 3),
        "bytes_per_result": round(size / results, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = []
    for workers in (2, 1000):
        with tempfile.TemporaryDirectory() as folder:
            found.append(asyncio.run(measure(Path(folder), given.results, workers)))
    if given.json:
        print(json.dumps(found, indent=1))
        return
    for one in found:
        print(
            f"{one['results']} results of {one['workers']} workers: {one['entries']} entries, {one['cpu_us_per_result']} µs of a core and "
            f"{one['bytes_per_result']} bytes a result, {one['results_per_s']}/s; checked in {one['audit_s']} s"
        )


if __name__ == "__main__":
    main()
