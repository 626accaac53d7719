"""Dask over servent against Dask over tcp://, in the same run: tasks a second, bytes from worker to worker, and a hundred repeats.

    python -m bench.dask [--json] [--rounds 5] [--tasks 2000] [--mb 64] [--repeats 100] [--only tcp servent streams]

Each transport has a scheduler and two workers with one thread, in processes of their own, each beside a node of its own as far as
passes go, and a client here; all stand ready while one is measured, in turns. "servent" is what a cluster does: comms over TCP with TLS 1.3 whose ends were
proven at the QUIC door. "streams" has no TCP, as between peers behind routers: every byte goes through iroh. Figures are medians; a
ratio is that of its round. The marks: 0.8 x tcp:// in tasks a second, 0.4 x in bytes, no failure in the repeats.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import multiprocessing
import os
import statistics
import sys
import time
import traceback
from typing import Any

import numpy as np
from distributed import Client, Scheduler, Worker, wait

from servent.cluster import comm, passes, rosters
from servent.cluster.model import Papers, Wish
from servent.cluster.rosters import Member, Role, Roster
from servent.identity import Identity

NODES = [
    Identity(bytes([number]) * 32) for number in range(1, 5)
]  # of the scheduler, two workers, the client
LAB = b"bench/dask lab 1"
KINDS = ("tcp", "servent", "streams")
START_TIME = 120.0  # s
PIECES = 5  # each figure of a round is the median of so many, taken in turns: so all have the same neighbours


class Desk:
    """A node's side without a node: it vouches for its own processes, and knows one scheduler."""

    def __init__(self, node: Identity, scheduler: str) -> None:
        self.node, self.scheduler = node, scheduler
        members = tuple(Member(bytes(one.peer), work=True, submit=True) for one in NODES[1:])
        self.roster = rosters.sign(NODES[0], Roster(LAB, bytes(NODES[0].peer), "bench", 1, members))

    async def papers(self, wish: Wish) -> Papers:
        return Papers(
            cluster=LAB,
            owner=bytes(NODES[0].peer),
            shown=passes.issue(self.node, LAB, wish.process, wish.role, time.time()),
            roster=self.roster,
            scheduler=self.scheduler,
            bind=["127.0.0.1:0"],
        )

    async def listening(self, cluster: str, process: bytes, role: Role, address: str) -> None:
        if role == "scheduler":
            self.scheduler = address


def set_up(kind: str, role: Role, node: int, scheduler: str) -> dict[str, Any]:
    """What a Scheduler, Worker or Client of `kind` is to be made with."""
    if kind == "tcp":
        return {"protocol": "tcp", "host": "127.0.0.1"}
    comm.set_up(Desk(NODES[node], scheduler), cluster="bench", role=role, tcp=kind == "servent")
    return {"protocol": "servent"}


def child(kind: str, number: int, scheduler: str, said: Any) -> None:
    """A scheduler (0) or a worker, until it is ended."""
    for name in ("distributed", "servent"):
        logging.getLogger(name).setLevel(logging.ERROR)

    async def run() -> None:
        options = set_up(kind, "worker" if number else "scheduler", number, scheduler)
        made: Any
        if number:
            made = Worker(scheduler, nthreads=1, name=number, dashboard=False, memory_limit=0, **options)
        else:
            made = Scheduler(port=0, dashboard=False, dashboard_address=":0", **options)
        async with made:
            said.put(made.address)
            await asyncio.Event().wait()

    asyncio.run(run())


class Cluster:
    """A scheduler, two workers and a client of one transport."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        spawn = multiprocessing.get_context("spawn")
        said = spawn.Queue()
        self.processes = [spawn.Process(target=child, args=(kind, 0, "", said), daemon=True)]
        self.processes[0].start()
        self.scheduler: str = said.get(timeout=START_TIME)
        for number in (1, 2):
            self.processes.append(
                spawn.Process(target=child, args=(kind, number, self.scheduler, said), daemon=True)
            )
            self.processes[-1].start()
            said.get(timeout=START_TIME)
        set_up(kind, "client", 3, self.scheduler)
        self.client = Client(self.scheduler, timeout=START_TIME, set_as_default=False)
        self.client.wait_for_workers(2, timeout=START_TIME)
        self.number = 0

    def tasks(self, count: int) -> float:
        """Tasks a second of one map and its gather."""
        self.number += count
        items = range(self.number, self.number + count)
        began = time.perf_counter()
        found = self.client.gather(self.client.map(increment, items, pure=False))
        took = time.perf_counter() - began
        assert found == [item + 1 for item in items]
        return count / took

    def trip(self) -> float:
        """Seconds from submitting one task to its result."""
        self.number += 1
        began = time.perf_counter()
        assert self.client.submit(increment, self.number, pure=False).result() == self.number + 1
        return time.perf_counter() - began

    def between(self, size: int) -> float:
        """Bytes a second of an array from one worker to the other, with the task that asks for it."""
        self.number += 1
        array = self.client.submit(make, size, self.number, workers=[1], pure=False)
        with self.client.as_current():
            wait(array)
        began = time.perf_counter()
        assert self.client.submit(total, array, workers=[2], pure=False).result() == size
        return size / (time.perf_counter() - began)

    def home(self, size: int) -> float:
        """Bytes a second of an array from a worker to the client."""
        self.number += 1
        array = self.client.submit(make, size, self.number, workers=[1], pure=False)
        with self.client.as_current():
            wait(array)
        began = time.perf_counter()
        assert array.result().nbytes == size
        return size / (time.perf_counter() - began)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.client.close(timeout=10)
        for process in self.processes:
            process.terminate()
            process.join(10)


def increment(number: int) -> int:
    return number + 1


def make(size: int, seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 255, size, dtype=np.uint8)


def total(array: Any) -> int:
    return int(array.nbytes)


def measure(
    kinds: list[str], rounds: int, tasks: int, size: int, repeats: int
) -> tuple[dict[str, dict[str, list[float]]], list[str]]:
    """Each figure of each kind in each round, and what failed in the repeats."""
    clusters = {kind: Cluster(kind) for kind in kinds}
    found: dict[str, dict[str, list[float]]] = {
        kind: {name: [] for name in ("tasks", "trip", "between", "home")} for kind in kinds
    }
    failed: list[str] = []
    try:
        for cluster in clusters.values():  # warm: imports, connections, memory
            cluster.tasks(200)
            cluster.between(size)
            cluster.home(size)
        for turn in range(rounds):
            order = kinds if turn % 2 == 0 else kinds[::-1]
            for name in ("tasks", "trip", "between", "home"):
                taken: dict[str, list[float]] = {kind: [] for kind in kinds}
                for _ in range(PIECES):
                    for kind in order:
                        one = clusters[kind]
                        if name == "tasks":
                            taken[kind].append(1 / one.tasks(tasks // PIECES))
                        elif name == "trip":
                            taken[kind] += [one.trip() for _ in range(5)]
                        else:
                            taken[kind].append(1 / getattr(one, name)(size))
                for kind, seconds in taken.items():
                    middle = statistics.median(seconds)
                    found[kind][name].append(middle if name == "trip" else 1 / middle)
        for kind in [kind for kind in kinds if kind != "tcp"]:
            for number in range(repeats):
                try:
                    clusters[kind].tasks(100)
                except Exception:  # noqa: BLE001 - whatever it is, it is counted and shown
                    failed.append(f"{kind}, repeat {number}: {traceback.format_exc()}")
    finally:
        for cluster in clusters.values():
            cluster.close()
    return found, failed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--mb", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    logging.getLogger("distributed").setLevel(logging.ERROR)
    began = os.getloadavg()[0]
    found, failed = measure(
        options.only, options.rounds, options.tasks, options.mb * 1_000_000, options.repeats
    )
    report: dict[str, Any] = {
        "load": [round(began, 1), round(os.getloadavg()[0], 1)],
        "cores": os.cpu_count(),
        "rounds": options.rounds,
        "repeats": options.repeats,
        "failed": failed,
    }
    for kind, figures in found.items():
        report[kind] = {
            "tasks_per_s": round(statistics.median(figures["tasks"])),
            "submit_to_result_ms": round(1000 * statistics.median(figures["trip"]), 2),
            "worker_to_worker_mb_per_s": round(statistics.median(figures["between"]) / 1e6),
            "worker_to_client_mb_per_s": round(statistics.median(figures["home"]) / 1e6),
        }
        if kind != "tcp" and "tcp" in found:
            for name in ("tasks", "between", "home"):
                ratios = [a / b for a, b in zip(figures[name], found["tcp"][name], strict=True)]
                report[kind][f"{name}_ratio"] = round(statistics.median(ratios), 2)
    marks = "tcp" in report and "servent" in report
    if marks:
        report["marks_met"] = (
            report["servent"]["tasks_ratio"] >= 0.8
            and report["servent"]["between_ratio"] >= 0.4
            and not failed
        )
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        for name, value in report.items():
            print(f"{name}: {value}")
    return 0 if not failed else 1


if __name__ == "__main__":
    sys.exit(main())
