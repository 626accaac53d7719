"""A whole cluster of Dask over our comms: scheduler, two workers and a client, each with an endpoint of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from typing import Any

import pytest

pytest.importorskip("distributed")

import numpy as np
from distributed import Client, Scheduler, Worker
from distributed.comm import registry

from servent.cluster import comm, lane
from servent.cluster.comm import ServentBackend
from servent.cluster.dask_roles import _Doored
from servent.cluster.rosters import Member, Role
from servent.identity import Identity
from tests.cluster.desks import ANN, BOB, Lab, LocalDesk
from tests.net.party import until

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine a TCP connection may take its time; else the comm would be a stream."""
    monkeypatch.setattr(lane, "DIAL_TIME", 60.0)


class Parts(registry.Backend):
    """One interpreter with several processes of a cluster: what is dialed or listens from `be` on is a `role` of `node`."""

    def __init__(self, lab: Lab, *, tcp: bool) -> None:
        self.lab, self.tcp = lab, tcp
        self.all: list[ServentBackend] = []
        self.be(ANN, "scheduler")

    def be(self, node: Identity, role: Role) -> None:
        self.now = comm.set_up(LocalDesk(self.lab, node), cluster="lab", role=role, tcp=self.tcp)
        self.all.append(self.now)
        registry.backends["servent"] = self

    def get_connector(self) -> Any:
        return self.now.get_connector()

    def get_listener(self, *arguments: Any, **named: Any) -> Any:
        return self.now.get_listener(*arguments, **named)

    def get_address_host(self, loc: str) -> str:
        return self.now.get_address_host(loc)

    def resolve_address(self, loc: str) -> str:
        return self.now.resolve_address(loc)

    def get_local_address_for(self, loc: str) -> str:
        return self.now.get_local_address_for(loc)

    async def close(self) -> None:
        for one in self.all:
            await one.office.close()


def a_scheduler() -> Any:
    return Scheduler(protocol="servent", port=0, dashboard=False, dashboard_address=":0")


def our_scheduler() -> Any:
    """As a node runs it."""
    return _Doored(protocol="servent", port=0, dashboard=False)


def a_worker(scheduler: str, name: str) -> Any:
    return Worker(scheduler, protocol="servent", nthreads=1, name=name, dashboard=False)


def a_client(scheduler: str) -> Any:
    return Client(scheduler, asynchronous=True, set_as_default=False, timeout=60)


@pytest.mark.parametrize("tcp", [True, False], ids=["tcp", "streams"])
def test_a_map_a_gather_and_an_array_from_worker_to_worker(tcp: bool) -> None:
    async def story() -> None:
        lab = Lab(Member(bytes(BOB.peer), work=True, submit=False))
        parts = Parts(lab, tcp=tcp)
        async with AsyncExitStack() as stack:
            scheduler = await stack.enter_async_context(a_scheduler())
            parts.be(BOB, "worker")
            await stack.enter_async_context(a_worker(scheduler.address, "one"))
            await stack.enter_async_context(a_worker("servent://lab", "two"))
            parts.be(ANN, "client")
            client = await stack.enter_async_context(a_client("servent://lab"))
            futures = client.map(lambda x: x * x, range(100))
            assert await client.gather(futures) == [x * x for x in range(100)]
            array = client.submit(np.arange, 300_000, workers=["one"])
            total = client.submit(np.sum, array, workers=["two"])
            assert int(await total) == sum(range(300_000))
            hosts = {worker.host for worker in scheduler.workers.values()}
            assert hosts == {str(BOB.peer)}  # a host is a node
        await parts.close()

    asyncio.run(story())


WORKER = """
import asyncio, sys
from distributed import Worker
from servent.cluster import comm, lane
from tests.cluster.desks import BOB, Lab, LocalDesk
from servent.cluster.rosters import Member
lab = Lab(Member(bytes(BOB.peer)))
lab.scheduler = sys.argv[1]
comm.set_up(LocalDesk(lab, BOB), cluster="lab", role="worker")
async def main():
    async with Worker("servent://lab", protocol="servent", nthreads=1, name="mortal", dashboard=False):
        await asyncio.Event().wait()
asyncio.run(main())
"""


def test_a_worker_that_is_killed_is_missed_at_once_and_its_task_goes_to_another() -> None:
    """Over QUIC alone silence would tell it, half a minute later; a TCP connection ends with its process."""

    async def story() -> None:
        lab = Lab(Member(bytes(BOB.peer)))
        parts = Parts(lab, tcp=True)
        async with a_scheduler() as scheduler:
            process = subprocess.Popen([sys.executable, "-c", WORKER, scheduler.address], cwd=os.getcwd())
            try:
                await until(lambda: len(scheduler.workers) == 1, limit=60.0)
                parts.be(ANN, "client")
                async with a_client(scheduler.address) as client:
                    future = client.submit(pow, 2, 10, pure=False)
                    assert await future == 1024
                    process.send_signal(signal.SIGKILL)
                    await until(lambda: not scheduler.workers, limit=60.0)
                    parts.be(ANN, "worker")
                    async with a_worker(scheduler.address, "next"):
                        assert await client.submit(pow, 2, 11, pure=False) == 2048
                        assert await future == 1024  # computed anew: it was lost with its worker
            finally:
                process.kill()
                process.wait()
        await parts.close()

    asyncio.run(story())


def test_who_comes_again_takes_the_place_of_who_went_without_a_word_of_the_same_node_alone() -> None:
    """Nothing of a killed process arrives over QUIC, and its name is taken until that is noticed: the next one was turned away for half a minute."""

    async def story() -> None:
        lab = Lab(Member(bytes(BOB.peer)))
        parts = Parts(lab, tcp=False)
        async with our_scheduler() as scheduler, AsyncExitStack() as stack:
            parts.be(BOB, "worker")
            first = await stack.enter_async_context(a_worker(scheduler.address, "bob-1"))
            parts.be(BOB, "worker")
            second = await stack.enter_async_context(a_worker(scheduler.address, "bob-1"))
            assert list(scheduler.workers) == [second.address] != [first.address]
            parts.be(ANN, "worker")
            with pytest.raises(RuntimeError, match="failed to start"):
                await a_worker(scheduler.address, "bob-1")
            assert list(scheduler.workers) == [second.address]
            parts.be(ANN, "client")
            async with a_client(scheduler.address) as client:
                assert await client.submit(pow, 2, 10) == 1024
        await parts.close()

    asyncio.run(story())
