"""A SETI@home day: units leased, returned, validated, credited and written down, by one coordinator.

    python -m bench.grid [--units 70000] [--workers 2] [--no-network] [--no-dask] [--json]

SETI@home handed out 700,000 units a day, each to two volunteers; `--units 70000`, the default, stands for a tenth of such a day. Worker processes on this
machine lease copies over real iroh, in messages of 64, and return a trivial result; quorum is 2 and nobody's word alone is enough, so that each unit is computed
twice; what is acknowledged is on the disk (synchronous=FULL); each result that is found right is credited and goes into the signed ledger. `--no-network` has
the same volunteers in the coordinator's process, without codec and connection. Dask's scheduler gets the same number of trivial tasks a second in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import hashlib
import json
import logging
import os
import pstats
import random
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from bench.grid_worker import compute
from servent import keyfile
from servent.grid import wire
from servent.grid.coordinator_service import Coordinator
from servent.grid.coordinator_views import Final, Piece
from servent.grid.ledger_service import Ledger
from servent.grid.manifests import App, Content, Limits, Project, sign_app, sign_project
from servent.identity import Identity, PeerId
from servent.net import endpoint as endpoints
from servent.net import ticket as tickets
from servent.net.peers import Peers
from servent.net.wire import Profile
from servent.store import Store
from servent.trust.service import TrustService

DAY = 700_000  # units of a SETI@home day
BOINC_DAY = 8_800_000  # tasks that one inexpensive server handed out in a day: Anderson, Korpela, Walton, "High-Performance Task Distribution for Volunteer Computing", 2005
CHUNK = 10_000
KEY = Identity(hashlib.sha256(b"bench project").digest())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=DAY // 10)
    parser.add_argument("--workers", type=int, default=2, help="processes, or volunteers in this one")
    parser.add_argument("--most", type=int, default=64, help="copies in one message")
    parser.add_argument("--no-network", action="store_true")
    parser.add_argument("--no-dask", action="store_true")
    parser.add_argument("--dask-tasks", type=int, default=3000)
    parser.add_argument(
        "--adaptive", action="store_true", help="let hosts earn trust, so that most units are computed once"
    )
    parser.add_argument("--folder", type=Path, help="for the database; its disk counts")
    parser.add_argument("--profile", action="store_true", help="say on stderr where the time goes")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


class Bench:
    """A coordinator with its ledger, and what it took."""

    def __init__(self, folder: Path, me: Identity, options: argparse.Namespace) -> None:
        self.folder, self.me, self.options = folder, me, options
        self.found: dict[str, Any] = {}
        self.ended = 0
        self.more = asyncio.Event()

    @contextlib.asynccontextmanager
    async def open(self, peers: Peers | None, trust: TrustService | None) -> AsyncIterator[Coordinator]:
        self.store = Store(self.folder / "grid.db", durable=True)
        self.ledger = Ledger(self.store, self.folder / "ledgers", None, self.me, wall=time.time)
        self.coordinator = Coordinator(
            self.store,
            self.me.peer,
            peers=peers,
            trust=trust,
            receipts=self.ledger,
            trusting=self.options.adaptive,
        )
        await self.store.open()
        await self.coordinator.open()
        await self.ledger.open()
        self.coordinator.on_due(self.ledger.due)
        self.coordinator.on_final(self._count)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.coordinator.run()), group.create_task(self.ledger.run())]
                await self._add()
                try:
                    yield self.coordinator
                finally:
                    await self.coordinator.close()
                    await self.ledger.close()
                    for task in tasks:
                        task.cancel()
        finally:
            await self.store.close()

    async def _add(self) -> None:
        me = bytes(self.me.peer)
        project = sign_project(
            Project(
                key=bytes(KEY.peer), serial=1, name="bench", coordinators=[me], owner=me, audience="everyone"
            ),
            KEY,
        )
        module = Content(b"m" * 32, 0, b"r" * 32, 1000)
        app = sign_app(
            App(project=bytes(KEY.peer), name="trivial", version=1, module=module, limits=Limits(), quorum=2),
            KEY,
        )
        await self.coordinator.add_project(project)
        app_name = await self.coordinator.add_app(app)
        await self.ledger.add_project(project, KEY, [app])
        began = time.perf_counter()
        for begin in range(0, self.options.units, CHUNK):
            end = min(begin + CHUNK, self.options.units)
            pieces = [
                Piece(seed=bytes(24) + n.to_bytes(8, "big"), stdin=b"%d" % n) for n in range(begin, end)
            ]
            await self.coordinator.add_units(bytes(KEY.peer), app_name, 1, pieces)
        self.found["added_per_s"] = self.options.units / (time.perf_counter() - began)

    def _count(self, finals: Sequence[Final]) -> None:
        """They are on the disk."""
        self.ended += sum(final.state == "done" for final in finals)
        self.more.set()

    async def done(self) -> None:
        """Every unit is done, and all of it is in the ledger."""
        while self.ended < self.options.units:
            self.more.clear()
            async with asyncio.timeout(60):
                await self.more.wait()
        self.found["done_s"] = time.perf_counter() - self.began
        await self.ledger.settle(bytes(KEY.peer))
        self.found["seconds"] = time.perf_counter() - self.began

    def begin(self) -> None:
        self.began, self.cpu = time.perf_counter(), time.process_time()

    async def finish(self) -> None:
        look = self.coordinator.view(bytes(KEY.peer))
        written = (self.folder / "grid.db").stat().st_size + sum(
            path.stat().st_size for path in self.folder.glob("grid.db-wal")
        )
        due = (await self.store.read(lambda c: c.execute("SELECT count(*) FROM grid_due").fetchone()))[0]
        ledger = await self.ledger.look(bytes(KEY.peer))
        units, seconds = self.options.units, self.found["seconds"]
        self.found |= {
            "units": units,
            "units_per_s": units / seconds,
            "copies_per_s": look.redundancy * units / seconds,
            "redundancy": look.redundancy,
            "day_s": DAY / (units / seconds),
            "tasks_a_day": look.redundancy * units / seconds * 86400,
            "times_boinc_2005": look.redundancy * units / seconds * 86400 / BOINC_DAY,
            "coordinator_cpu_s": time.process_time() - self.cpu,
            "units_per_cpu_s": units / (time.process_time() - self.cpu),
            "coordinator_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "database_bytes_per_unit": written / units,
            "credited_mflop": look.spent,
            "ledger_entries": ledger.entries,
            "not_in_the_ledger": due,
            "commits": self.coordinator.commits,
        }
        assert look.spent == round(look.redundancy * units) * 1000 and not due, self.found


async def alone(bench: Bench) -> None:
    """Volunteers in this process."""
    async with bench.open(None, None) as coordinator:
        bench.begin()

        async def volunteer(number: int) -> None:
            visit = coordinator.visit(
                bytes(KEY.peer), PeerId(random.Random(number).randbytes(32)), local=True
            )
            await visit.answer(wire.Join(bytes(KEY.peer), mflops=1000.0))
            while True:
                leased = await visit.answer(wire.Lease(bench.options.most, seconds=1e6))
                assert isinstance(leased, wire.Leased), leased
                if leased.tasks:
                    answer = await visit.answer(wire.Return([compute(task) for task in leased.tasks]))
                    assert isinstance(answer, wire.Returned) and set(answer.taken) == {"taken"}, answer
                elif leased.why == "there is no work now":
                    return
                else:
                    await asyncio.sleep(0.002)

        async with asyncio.TaskGroup() as group:
            for number in range(bench.options.workers * 8):
                group.create_task(volunteer(number))
            await bench.done()
        await bench.finish()


async def network(bench: Bench) -> None:
    """Volunteers in processes of their own, over real iroh on loopback."""
    store = Store(None)
    trust = TrustService(store, bench.me)
    endpoint = await endpoints.bind(bench.me, bind=["127.0.0.1:0"], relays=[])
    peers = Peers(endpoint, trust, lambda: Profile(name="bench", services=peers.services()), store=store)
    await store.open()
    await trust.open()
    try:
        async with bench.open(peers, trust), asyncio.TaskGroup() as group:
            group.create_task(peers.run())
            await peers.ready.wait()
            ticket = tickets.encode(
                tickets.Ticket(
                    endpoint.address(), "bench", await trust.issue_ticket_secret(uses=bench.options.workers)
                )
            )
            environment = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), "src"]),
            }
            workers = [
                await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "bench.grid_worker", str(number),
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment,
                )
                for number in range(bench.options.workers)
            ]  # fmt: skip
            try:
                line = {"ticket": ticket, "project": bytes(KEY.peer).hex(), "most": bench.options.most}
                for worker in workers:
                    await _say(worker, line)
                for worker in workers:
                    await _hear(worker)
                bench.begin()
                for worker in workers:
                    await _say(worker, {"go": True})
                await bench.done()
                returned = 0
                for worker in workers:
                    returned += (await _hear(worker))["returned"]
                bench.found["returned"] = returned
                await bench.finish()
            finally:
                for worker in workers:
                    if worker.returncode is None:
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(5):
                                await worker.wait()
                    if worker.returncode is None:
                        worker.kill()
                        await worker.wait()
            await peers.close()
    finally:
        await endpoint.close()
        await store.close()


async def _say(worker: asyncio.subprocess.Process, line: dict[str, Any]) -> None:
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(line).encode() + b"\n")
    await worker.stdin.drain()


async def _hear(worker: asyncio.subprocess.Process) -> dict[str, Any]:
    assert worker.stdout is not None
    line = await worker.stdout.readline()
    if not line:
        raise RuntimeError(f"a worker ended with {await worker.wait()}")
    found: dict[str, Any] = json.loads(line)
    return found


def dask_tasks(count: int, workers: int) -> dict[str, Any]:
    """Dask's scheduler with as many worker processes, and the same trivial task."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        return {"skip": "distributed is not installed"}
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        client.gather(client.map(_trivial, range(200), pure=False))
        began = time.perf_counter()
        client.gather(client.map(_trivial, range(count), pure=False))
        seconds = time.perf_counter() - began
    return {"tasks": count, "tasks_per_s": count / seconds}


def _trivial(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def main() -> int:
    options = arguments()
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="servent-bench-", dir=options.folder) as name:
        folder = Path(name)
        bench = Bench(folder, keyfile.load_or_create(folder / "identity.key"), options)
        profile = cProfile.Profile()
        if options.profile:
            profile.enable()
        asyncio.run(alone(bench) if options.no_network else network(bench))
        if options.profile:
            profile.disable()
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(45)
    found = {
        "network": not options.no_network,
        "represents": f"{options.units / DAY:.0%} of a SETI@home day",
        **bench.found,
    }
    if not options.no_dask:
        found["dask"] = dask_tasks(options.dask_tasks, options.workers)
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    print(
        f"{found['units']} units, {found['redundancy']:.2f} copies each, in {found['seconds']:.1f} s: {found['units_per_s']:.0f} units/s"
    )
    print(
        f"a SETI@home day of {DAY} units: {found['day_s'] / 60:.1f} min; {found['times_boinc_2005']:.0f} times BOINC's 8.8 million tasks a day"
    )
    print(
        f"{found['database_bytes_per_unit']:.0f} bytes of database for a unit, {found['coordinator_peak_mb']:.0f} MB of memory"
    )
    if "dask" in found and "tasks_per_s" in found["dask"]:
        print(f"Dask's scheduler, the same task: {found['dask']['tasks_per_s']:.0f} tasks/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
