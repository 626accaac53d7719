"""A cluster of two real nodes: its processes, who may do what, what lending says, and what scripts see of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import psutil
import pytest

pytest.importorskip("distributed")

from servent.api import schema_cluster as pool
from servent.api import schema_grid as grid
from servent.api.client import Client
from servent.errors import ServentError
from tests.cli.test_real import ROOT, up

pytestmark = [pytest.mark.real]

T = TypeVar("T")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def until(found: Callable[[], T], patience: float = 150.0) -> T:
    """What `found` gives once it is true; fails loudly when it never is."""
    end = time.monotonic() + patience
    while not (now := found()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)
    return now


def beside(data_dir: Path, code: str) -> list[str]:
    """A Python that runs `code`, with the comm backend of the node at `data_dir` put in place by hand."""
    use = f"from servent.api import dask_backend\nfrom pathlib import Path\ndask_backend.use(Path({str(data_dir)!r}))"
    return [sys.executable, "-c", f"{use}\nfrom distributed import Client\n{code}"]


class Pair(NamedTuple):
    """ann keeps the cluster "lab"; bob is a member who works and submits."""

    folder: Path
    ann: Client
    bob: Client

    def workers(self, name: str) -> list[pool.ClusterWorker]:
        """As the scheduler has them."""
        return [one for one in self.ann.one_cluster("lab").workers if one.name.startswith(name)]

    def machine(self, name: str) -> pool.Machine:
        return next(one for one in self.ann.one_cluster("lab").machines if one.name == name)

    def states(self, name: str) -> list[str]:
        return [one.state for one in self.machine(name).parts]

    def script(self, who: str, code: str) -> str:
        """What a Python script beside a node prints."""
        data_dir = self.folder / who
        done = subprocess.run(
            beside(data_dir, code), capture_output=True, text=True, timeout=200, cwd=ROOT, check=False,
            env={**os.environ, "SERVENT_DATA_DIR": str(data_dir)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    @contextmanager
    def running(self, code: str) -> Iterator[subprocess.Popen[str]]:
        """The same beside ann's, while it runs."""
        with subprocess.Popen(
            beside(self.folder / "ann", code),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


BOBS = """
def bobs(dask):
    return [at for at, one in dask.scheduler_info(n_workers=-1)["workers"].items() if one["name"].startswith("bob")]
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("lab")
    with up(folder / "ann", "--name", "ann"), up(folder / "bob", "--name", "bob"):
        both = Pair(folder, Client.from_data_dir(folder / "ann"), Client.from_data_dir(folder / "bob"))
        for one in (both.ann, both.bob):
            one.change_lending(grid.LendChange(on=True, preset="everything"))
        both.ann.create_cluster(pool.NewCluster(name="lab", cores=1))
        link = both.ann.one_cluster("lab").link
        with pytest.raises(ServentError, match="not known here"):  # a stranger, who is on no list
            both.bob.join_cluster(pool.JoinCluster(link=link))
        assert both.bob.clusters() == []
        both.ann.change_member("lab", both.bob.status().id, pool.MemberChange(submit=True))
        both.bob.join_cluster(pool.JoinCluster(link=link, cores=1))
        until(lambda: len(both.ann.one_cluster("lab").workers) == 2)
        yield both


def test_any_script_beside_a_node_has_a_client(pair: Pair) -> None:
    code = """
with Client("servent://lab") as dask:
    print(sum(dask.gather(dask.map(lambda x: x * x, range(200)))))
    print(len(set(dask.run(lambda: __import__("os").getpid()).values())))
"""
    assert pair.script("bob", code).split() == [str(sum(x * x for x in range(200))), "2"]
    until(lambda: pair.bob.one_cluster("lab").done >= 200)  # its owner tells a member
    now = pair.bob.one_cluster("lab")
    assert now.state == "up" and not now.mine
    assert {one.node for one in now.workers} == {pair.ann.status().id, pair.bob.status().id}


def test_the_console_knows_what_machines_have(pair: Pair) -> None:
    until(lambda: all(one.hardware.cores for one in pair.ann.one_cluster("lab").machines))
    for one in pair.ann.one_cluster("lab").machines:
        assert one.here and one.versions.distributed and not one.unfit and one.hardware.memory_bytes > 0
        until(lambda name=one.name: pair.states(name) == ["running"])


def test_grid_map_computes_with_friends_what_python_can(pair: Pair) -> None:
    code = """
import asyncio, servent
def root(x, plus):
    if x == 3:
        raise ValueError("three")
    return x ** 0.5 + plus
async def story():
    grid = servent.Grid()
    async for one in grid.map(root, [1, 4, 3, 16], trust="friends", args=[100], progress=True):
        print(one.number, one.item, one.value, one.error)
asyncio.run(story())
"""
    said = sorted(line.strip() for line in pair.script("ann", code).splitlines())
    assert said == ["0 1 101.0", "1 4 102.0", "2 3 None ValueError: three", "3 16 104.0"]


def test_groups_say_where_a_task_runs_and_when(pair: Pair) -> None:
    pair.ann.change_group("lab", "night", [])
    pair.ann.change_member("lab", "bob", pool.MemberChange(groups=["night"]))
    until(lambda: pair.workers("bob") and pair.workers("bob")[0].groups == ["night"])
    code = """
with Client("servent://lab") as dask:
    name = lambda number: __import__("distributed").get_worker().name[:3]
    print({*dask.gather(dask.map(name, range(8), resources={"group-night": 1}))})
"""
    assert pair.script("ann", code).strip() == "{'bob'}"
    never = f"{DAYS[(time.localtime().tm_wday + 3) % 7]} 00:00-00:01"
    pair.ann.change_group("lab", "night", [never])
    until(lambda: "hours" in pair.machine("bob").why)
    until(lambda: pair.states("bob") == ["frozen"])
    pair.ann.drop_group("lab", "night")
    until(lambda: pair.states("bob") == ["running"])
    with pytest.raises(ServentError, match="no part of a week"):
        pair.ann.change_group("lab", "night", ["whenever"])


def test_a_pause_freezes_what_runs_and_it_goes_on_where_it_was(pair: Pair) -> None:
    """A task that counts in pure Python makes next to no way while its machine is paused, stays in the cluster, and is not begun again."""
    counter = pair.folder / "counter"
    code = f"""{BOBS}
import os
def count(path):
    with open(path, "a") as file:
        print("began", os.getpid(), file=file)
    number = 0
    while not os.path.exists(path + ".stop"):
        number += 1
        if number % 20000 == 0:
            with open(path + ".new", "w") as file:
                print(number, file=file)
            os.replace(path + ".new", path + ".at")
    return number
with Client("servent://lab") as dask:
    print(dask.submit(count, {str(counter)!r}, workers=bobs(dask)).result() > 0)
"""
    stop, at = Path(f"{counter}.stop"), Path(f"{counter}.at")
    with pair.running(code) as process:
        try:
            until(at.exists)
            worker = psutil.Process(int(counter.read_text().split()[1]))
            pair.bob.pause_lending()
            until(lambda: pair.states("bob") == ["frozen"])
            until(lambda: worker.status() == psutil.STATUS_STOPPED)  # it is, but for a breath now and then
            until(lambda: pair.workers("bob")[0].status == "paused")
            begin, spent = time.monotonic(), sum(worker.cpu_times()[:2])
            until(lambda: time.monotonic() - begin > 4.0)
            # Seconds of a core, of four and more; breaths are a tenth of it.
            assert sum(worker.cpu_times()[:2]) - spent < 1.2
            pair.bob.resume_lending()
            before = int(at.read_text())
            until(lambda: int(at.read_text()) > before + 40_000)
            stop.touch()
            assert process.communicate(timeout=90)[0].strip() == "True"
            assert counter.read_text().count("began") == 1  # not once more elsewhere
        finally:
            stop.touch()
            pair.bob.resume_lending()


def test_what_a_retired_worker_held_is_with_the_others(pair: Pair) -> None:
    code = f"""{BOBS}
import sys
with Client("servent://lab") as dask:
    kept = dask.map(lambda i: bytes([i]) * 100_000, range(20), workers=bobs(dask), pure=False)
    dask.gather(dask.map(len, kept))
    print("kept", flush=True)
    sys.stdin.readline()
    print(sum(map(len, dask.gather(kept))), {{one[:3] for one in dask.gather(dask.map(lambda _: 1, kept)) and ["ok."]}})
"""
    with pair.running(code) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "kept"
        pair.bob.change_cluster("lab", pool.ClusterChange(work=False))
        until(lambda: not pair.workers("bob"))
        assert process.communicate("\n", timeout=90)[0].startswith("2000000")
    pair.bob.change_cluster("lab", pool.ClusterChange(work=True))
    until(lambda: pair.workers("bob"))


def test_tasks_go_to_the_machines_that_have_the_blob(pair: Pair) -> None:
    """The example: months shared by ann, some of them fetched by bob; each is computed where it lies, and none is fetched for it."""

    def months(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "examples/cluster/ocean.py", *words, "--data-dir", str(pair.folder / "ann")],
            capture_output=True, text=True, timeout=200, cwd=ROOT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    ocean = pair.folder / "ocean"
    months("make", str(ocean), "--months", "4", "--days", "2")
    links = (ocean / "links.txt").read_text().split()
    pair.bob.join(pair.ann.ticket().ticket)
    for link in links[2:]:
        transfer = pair.bob.download(link, str(pair.folder / "bob-data"))
        until(lambda one=transfer.id: pair.bob.transfer(one).state == "complete")
    code = f"""
from servent.api.cluster_data import holders
with Client("servent://lab") as dask:
    names = {{at: one["name"][:3] for at, one in dask.scheduler_info(n_workers=-1)["workers"].items()}}
    near = holders(dask, {links!r})
    print([sorted(names[at] for at in near[link]) for link in {links!r}])
"""
    assert pair.script("ann", code).strip() == str([["ann"], ["ann"], ["ann", "bob"], ["ann", "bob"]])
    assert months("run", str(ocean / "links.txt")).startswith("4 months, 4 of them computed where they lay")
    assert len([one for one in pair.bob.transfers() if one.direction == "down"]) == 2  # bob fetched no more


def test_who_is_taken_off_the_list_is_out_and_may_not_submit(pair: Pair) -> None:
    pair.ann.change_member("lab", "bob", pool.MemberChange(submit=False))
    until(lambda: not pair.bob.one_cluster("lab").submit)
    with pytest.raises(ServentError, match="may not submit"):
        pair.bob.cluster_papers(pool.PapersWish(cluster="lab", process="00" * 32))
    with pytest.raises(ServentError, match="somebody else"):
        pair.bob.change_member("lab", "bob", pool.MemberChange(submit=True))  # not his to say
    bob = pair.bob.status().id
    pair.ann.drop_member("lab", bob)
    until(lambda: not pair.workers("bob"))
    until(lambda: pair.bob.one_cluster("lab").state == "refused")
    assert pair.bob.one_cluster("lab").machines  # what was known stays to be seen


def test_a_scheduler_that_dies_is_there_again_and_down_ends_everything(pair: Pair) -> None:
    schedulers = [one for one in ours() if "--gentle" not in one.cmdline()]
    assert len(schedulers) == 1
    schedulers[0].kill()
    until(lambda: pair.ann.one_cluster("lab").restarts >= 1)
    until(lambda: pair.ann.one_cluster("lab").state == "up" and pair.workers("ann"))
    assert any("Scheduler at" in line for line in pair.ann.cluster_log("lab", "scheduler", 500).lines)
    pair.ann.change_cluster("lab", pool.ClusterChange(up=False))
    until(lambda: pair.ann.one_cluster("lab").state == "down")
    until(lambda: not ours())


def ours() -> list[psutil.Process]:
    """Processes of clusters that nodes of this test began."""
    found = []
    for one in psutil.Process().children(recursive=True):
        try:
            if "servent.cluster.child" in one.cmdline():
                found.append(one)
        except psutil.Error:
            continue
    return found
