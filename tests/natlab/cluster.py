"""A Dask cluster across two routers: scheduler and client behind one, the worker behind the other, as at two people's homes.

    python -m tests.natlab.cluster owner FOLDER     a whole node that makes the cluster, and computes on it; prints one JSON line
    python -m tests.natlab.cluster worker FOLDER    a whole node that works in it; when FOLDER/kill.json is there its worker is
        killed, which says goodbye to nobody

No TCP connection gets from one side to the other: all comms are QUIC streams. Beside them runs `servent relay` on the public network.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from servent.api import schema_cluster as pool
from servent.api.client import Client
from servent.api.schema_grid import LendChange
from tests.natlab.lab import PUB4, Lab
from tests.natlab.matrix import RELAY4, ROOT
from tests.natlab.node import get, put, up

ITEMS = 50
PATIENCE = 120.0  # s for what should take a moment


@dataclass(frozen=True)
class Outcome:
    """What came of it; None where it did not come to that.

    `total`: of the squares that were mapped and gathered. `comm`: the class of the worker's comm with its scheduler; `path`: "direct" or "relayed".
    `missed`: s until the scheduler had struck off the killed worker. `again`: s until the task that it died over was done by the next.
    """

    total: int | None = None
    comm: str = ""
    path: str = ""
    missed: float | None = None
    again: float | None = None
    logs: str = ""


def until(found: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not found():
        if time.monotonic() > end:
            raise TimeoutError("it did not come to that")
        time.sleep(0.05)


def whole(folder: Path, name: str) -> Client:
    client = up(folder, name, "--relay", RELAY4)
    until(lambda: client.status().reach.relay)
    return client


def owner(folder: Path) -> None:
    ann = whole(folder, "ann")
    ann.create_cluster(pool.NewCluster(name="lab", work=False))
    put(folder, "owner", {"ticket": ann.ticket(lifetime=3600.0).ticket})
    ann.change_member("lab", get(folder, "worker", PATIENCE)["id"], pool.MemberChange())
    put(folder, "link", {"link": ann.one_cluster("lab").link})
    until(lambda: ann.one_cluster("lab").workers)
    print(json.dumps(compute(ann, folder)), flush=True)


def compute(ann: Client, folder: Path) -> dict[str, Any]:
    from distributed import Client as Dask

    from servent.api import dask_backend

    dask_backend.use(next(folder.glob("ann-*")))  # as `node.up` calls data directories

    def workers() -> list[str]:
        return [one.address for one in ann.one_cluster("lab").workers]

    with Dask("servent://lab", timeout=60) as dask:
        said: dict[str, Any] = {
            "total": sum(dask.gather(dask.map(lambda number: number * number, range(ITEMS))))
        }
        (first,) = workers()
        said["comm"], said["path"] = dask.run(_comm, workers=[first])[first]
        mark = folder / "first"
        task = dask.submit(_die_over, str(mark), pure=False)
        until(mark.exists)
        began = time.monotonic()
        put(folder, "kill", {})
        until(lambda: first not in workers())
        said["missed"] = round(time.monotonic() - began, 2)
        assert task.result(timeout=PATIENCE) == "done"
        said["again"] = round(time.monotonic() - began, 2)
    return said


def _comm(dask_worker: Any) -> tuple[str, str]:
    comm = dask_worker.batched_stream.comm
    paths = comm._link.connection.paths()
    return type(comm).__name__, next((one.kind for one in paths if one.selected), "")


def _die_over(mark: str) -> str:
    """Who does this first does not come to an end."""
    try:
        with open(mark, "x"):
            time.sleep(10 * PATIENCE)
    except FileExistsError:
        pass
    return "done"


def worker(folder: Path) -> None:
    bob = whole(folder, "bob")
    bob.join(get(folder, "owner", PATIENCE)["ticket"])
    bob.change_lending(LendChange(on=True, preset="everything", cores=1))
    put(folder, "worker", {"id": bob.id().id})
    bob.join_cluster(pool.JoinCluster(link=get(folder, "link", PATIENCE)["link"], cores=1))
    get(folder, "kill", 600.0)
    for one in psutil.Process().children(recursive=True):
        if "servent.cluster.child" in one.cmdline():
            one.kill()
    while True:
        time.sleep(60.0)


def play(prefix: str = "nclu", a: str = "apdf", b: str = "edm") -> Outcome:
    """One run, the owner behind `a`, the worker behind `b`."""
    python = [sys.executable, "-m", "tests.natlab.cluster"]
    with Lab(prefix) as lab:
        folder = str(lab.folder)
        relay = [sys.executable, "-m", "servent", "relay", "--host", f"{PUB4}.1", "--port", "443"]
        lab.spawn("pub", *relay, cwd=str(ROOT))
        lab.build(a, b)
        lab.spawn("hB", *python, "worker", folder, cwd=str(ROOT))
        owning = lab.spawn("hA", *python, "owner", folder, cwd=str(ROOT), stdout=subprocess.PIPE)
        printed, _ = owning.communicate(timeout=4 * PATIENCE)
        lines = printed.strip().splitlines()
        return Outcome(**(json.loads(lines[-1]) if lines else {}), logs=lab.logs())


if __name__ == "__main__":
    role, where = sys.argv[1:3]
    {"owner": owner, "worker": worker}[role](Path(where))
