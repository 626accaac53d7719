"""Found again by the DHT alone: how long after a friend's address has changed.

    python -m bench.rendezvous [--json] [--runs 5]

The lab of `tests/natlab/dht.py`: eight libtorrent nodes on a public network, a whole servent node on a public address, and
another one behind a router, which know of each other no more than the key; no relay, no local network, no third peer. In each
run they meet, then the friend's address changes under it ("moved"), then it is killed and starts anew at yet another address
("restarted"). Seconds from the change until an echo came back, silence and dials that came to nothing included. Needs root.

Beside it, in one process: what storing (`put`) and looking up (`get`, until the first valid answer) cost among eight nodes on
this machine, and the same when a third of them has just died.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from servent.identity import Identity
from tests.natlab.dht import play
from tests.natlab.lab import missing
from tests.torrent.dht_net import private_dht

ROUNDS = 20


async def small() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        async with private_dht(Path(folder), 8) as net:
            writer, reader = await net.join(), await net.join()
            whole = await times(writer, reader)
            for one in net.sessions[2:5]:
                await one.close()
            return {"eight nodes": whole, "three of eight gone": await times(writer, reader)}


async def times(writer: Any, reader: Any) -> dict[str, Any]:
    puts, gets, places = [], [], []
    for number in range(ROUNDS):
        who = Identity(os.urandom(32))
        began = time.perf_counter()
        places.append(await writer.dht_put(who, b"value %d" % number))
        puts.append(time.perf_counter() - began)
        began = time.perf_counter()
        async for _ in reader.dht_get(who.peer):
            gets.append(time.perf_counter() - began)
            break
    return {
        "put_s": summary(puts),
        "get_s": summary(gets),
        "found": f"{len(gets)} of {ROUNDS}",
        "places": min(places),
    }


def summary(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "most": round(max(values), 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    results: dict[str, Any] = asyncio.run(small())
    if (why := missing()) is not None:
        print(f"without the lab: {why}", file=sys.stderr)
    else:
        runs = []
        for number in range(given.runs):
            outcome = play(f"brdv{number % 10}")
            if None in (outcome.met, *outcome.took) or len(outcome.took) != 2:
                print(f"run {number}: not found\n{outcome.logs}", file=sys.stderr)
                return 1
            runs.append([outcome.met, *outcome.took])
            print(f"run {number}: " + ", ".join(f"{took:.1f} s" for took in runs[-1]), file=sys.stderr)
        for column, name in enumerate(("met", "moved", "restarted")):
            results[name] = summary([run[column] for run in runs])
    if given.json:
        print(json.dumps(results, indent=2))
    else:
        for name, values in results.items():
            print(f"{name:22} {values}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
