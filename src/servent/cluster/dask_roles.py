"""What runs in a process of a cluster: Dask's own Scheduler or Worker, over `servent://`, without a web server at a port. Knows `distributed`.

Others reach them through the door of their `process`, and by TCP with the secret that is told there (`lane`); nothing else listens: the scheduler's dashboard
answers at a Unix socket that only its own user may open, and a worker has none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import dask
from distributed import Scheduler, Worker
from distributed.core import Status
from distributed.http.routing import RoutingApplication
from tornado.httpserver import HTTPServer

from servent.cluster import addresses, comm, orders, telling
from servent.cluster.addresses import Place
from servent.cluster.model import Desk
from servent.cluster.telling import GROUP
from servent.cluster.visits import MOST_KINDS, MOST_SEEN, Kind, Seen
from servent.errors import UsageError

log = logging.getLogger("servent.cluster")

SAY_EVERY = 1.0  # s between two words on what the scheduler does
RATE_OVER = 30.0  # s over which the speed is taken
PLENTY = 1e9
GOODBYE = 5.0  # s for a worker whose results are with others to close
START_WITHIN = (
    120.0  # s until a worker must have found its scheduler; then it ends, and its node begins another
)
# What the dashboard serves: all of Dask's own but `proxy`, which would fetch from other machines for whoever asks.
ROUTES = ["scheduler.prometheus", "scheduler.info", "scheduler.json", "health", "statics"]

Say = Callable[[orders.Word], None]


class Running(Protocol):
    """A scheduler or a worker."""

    async def run(self) -> None:
        """From start to end."""
        ...

    def hold(self, on: bool) -> None: ...
    def retire(self) -> None: ...
    async def close(self) -> None: ...


def make(begin: orders.Begin, desk: Desk, say: Say) -> Running:
    """What `begin` asks for, on the running loop; this whole process is that from now on."""
    comm.set_up(desk, cluster=begin.cluster, role=begin.role, name=begin.name)
    dask.config.set({"distributed.scheduler.http.routes": [f"distributed.http.{one}" for one in ROUTES]})
    dask.config.set({"temporary-directory": begin.folder})
    return SchedulerRunning(begin, say) if begin.role == "scheduler" else WorkerRunning(begin, say)


class _Doored(Scheduler):
    """Dask's, with its pages at a Unix socket, and who comes again takes the place of who went without a word. `door`: its path, "" for nowhere."""

    door = ""

    def start_http_server(self, routes: Any, *_: Any, **__: Any) -> None:
        self.http_application = RoutingApplication(routes)  # type: ignore[no-untyped-call]
        server: Any = HTTPServer(self.http_application)
        self.http_server = server
        server.address, server.port = "", 0
        if self.door:
            from tornado.netutil import bind_unix_socket

            os.makedirs(os.path.dirname(self.door), mode=0o700, exist_ok=True)
            self.http_server.add_socket(bind_unix_socket(self.door, mode=0o600))
        self.services["dashboard"] = self.http_server

    async def add_worker(self, comm: Any, *, address: str, name: Any, **told: Any) -> None:
        """A node has one process of a name at a time: where it shows another, the earlier is gone. QUIC alone would notice that half a minute later,
        and Dask would turn the new one away until then, since its name is taken."""
        before = self.aliases.get(name)
        if before is not None and before != address and _node_of(before) == comm.extra_info.get("node"):
            await self.remove_worker(before, stimulus_id=f"servent-again-{time.time()}")
        await super().add_worker(comm, address=address, name=name, **told)


def _node_of(address: str) -> str:
    """Of whose node's process; "" where that is not said."""
    try:
        place = addresses.parse(address)
    except UsageError:
        return ""
    return str(place.node) if isinstance(place, Place) else ""


class _Portless(Worker):
    """Dask's, without its HTTP server."""

    def start_http_server(self, routes: Any, *_: Any, **__: Any) -> None:
        self.http_application = RoutingApplication(routes)  # type: ignore[no-untyped-call]
        server: Any = HTTPServer(self.http_application)
        self.http_server = server
        server.address, server.port = "", 0


class SchedulerRunning:
    """A scheduler, and what it does once a second."""

    def __init__(self, begin: orders.Begin, say: Say) -> None:
        self._begin, self._say = begin, say
        self._scheduler: Scheduler | None = None
        self._over = asyncio.Event()
        self._finished: deque[tuple[float, int]] = deque()

    async def run(self) -> None:
        _Doored.door = self._begin.door
        scheduler = self._scheduler = _Doored(
            protocol="servent",
            port=0,
            dashboard=bool(self._begin.door),
            http_prefix=self._begin.prefix or "/",
        )
        await scheduler
        self._say(orders.Up())
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(self._tell(scheduler), name="tell what the scheduler does")
            ending = tasks.create_task(self._over.wait(), name="asked to end")
            living = tasks.create_task(
                scheduler.finished(),  # type: ignore[no-untyped-call]
                name="the scheduler",
            )
            await asyncio.wait((ending, living), return_when=asyncio.FIRST_COMPLETED)
            if not living.done():
                await scheduler.close(reason="the cluster was taken down")
            telling.cancel()
            ending.cancel()

    def hold(self, on: bool) -> None:
        """A scheduler computes nothing."""

    def retire(self) -> None:
        self._over.set()

    async def close(self) -> None:
        if self._scheduler is not None:
            await self._scheduler.close(reason="its node ends")

    async def _tell(self, scheduler: Scheduler) -> None:
        last: Seen | None = None
        while True:
            now = self._seen(scheduler)
            if now != last:
                self._say(now)
                last = now
            await asyncio.sleep(SAY_EVERY)

    def _seen(self, scheduler: Scheduler) -> Seen:
        kinds = [telling.kind(one) for one in scheduler.task_prefixes.values()]
        done = sum(one.done for one in kinds)
        shown = sorted(
            (one for one in kinds if one.waiting or one.running or one.done or one.failed), key=_weight
        )
        return Seen(
            workers=[telling.worker(one) for one in list(scheduler.workers.values())[:MOST_SEEN]],
            kinds=shown[:MOST_KINDS],
            waiting=sum(one.waiting for one in kinds),
            running=sum(len(one.executing) for one in scheduler.workers.values()),
            done=done,
            failed=sum(one.failed for one in kinds),
            kept_bytes=telling.count(sum(one.nbytes for one in scheduler.workers.values())),
            per_minute=self._rate(done),
            clients=max(0, len(scheduler.clients) - 1),  # one is the scheduler's own
            since=scheduler.time_started,
        )

    def _rate(self, done: int) -> float:
        now = time.monotonic()
        self._finished.append((now, done))
        while len(self._finished) > 2 and now - self._finished[0][0] > RATE_OVER:
            self._finished.popleft()
        then, before = self._finished[0]
        return 0.0 if now - then < SAY_EVERY / 2 else round(max(0, done - before) * 60 / (now - then), 1)


def _weight(one: Kind) -> tuple[int, int]:
    return -(one.running + one.waiting), -one.done


class WorkerRunning:
    """A worker that begins, holds and hands over as its node says."""

    def __init__(self, begin: orders.Begin, say: Say) -> None:
        self._begin, self._say = begin, say
        self._held = False
        self._pause_at: Any = None
        self._worker: Worker | None = None
        self._retire = asyncio.Event()

    async def run(self) -> None:
        begin = self._begin
        spill = Path(begin.folder, "spill")
        await asyncio.to_thread(spill.mkdir, parents=True, exist_ok=True, mode=0o700)
        worker = self._worker = _Portless(
            f"servent://{begin.cluster}",
            protocol="servent",
            name=begin.name,
            nthreads=begin.threads,
            memory_limit=begin.memory_bytes or 0,
            local_directory=str(spill),
            resources={GROUP + one: PLENTY for one in begin.resources},
            death_timeout=START_WITHIN,
            dashboard=False,
        )
        await worker
        self._say(orders.Up())
        self._apply()
        async with asyncio.TaskGroup() as tasks:
            living = tasks.create_task(
                worker.finished(),  # type: ignore[no-untyped-call]
                name="the worker",
            )
            asked = tasks.create_task(self._retire.wait(), name="asked to hand over")
            await asyncio.wait((living, asked), return_when=asyncio.FIRST_COMPLETED)
            if not living.done():
                await self._hand_over(worker)
            asked.cancel()

    async def _hand_over(self, worker: Worker) -> None:
        """As Dask's `close_gracefully`, but once everything is with others, goodbyes have only so long."""
        await worker.scheduler.retire_workers(
            workers=[worker.address],
            close_workers=False,
            remove=True,
            stimulus_id=f"servent-retires-{time.time()}",
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await worker.close(executor_wait=False, reason="this machine is needed by its owner")

    def hold(self, on: bool) -> None:
        self._held = on
        if self._worker is not None:
            self._apply()

    def _apply(self) -> None:
        """Dask's "paused": nothing more is begun, what is there can be had. Its memory manager must not end that by itself."""
        worker = self._worker
        assert worker is not None
        manager = worker.memory_manager
        if self._held and worker.status == Status.running:
            if self._pause_at is None:
                self._pause_at = manager.memory_pause_fraction
            manager.memory_pause_fraction = False
            worker.status = Status.paused
        elif not self._held and self._pause_at is not None:
            manager.memory_pause_fraction, self._pause_at = self._pause_at, None
            if worker.status == Status.paused:
                worker.status = Status.running

    def retire(self) -> None:
        self._retire.set()

    async def close(self) -> None:
        if self._worker is not None:
            await self._worker.close(timeout=1.0, executor_wait=False, reason="its node ends")
