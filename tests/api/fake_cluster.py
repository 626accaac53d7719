"""Dask among friends, from memory: a cluster that is up, its machines, what its scheduler does."""

from __future__ import annotations

import base64

import msgspec

from servent.api import schema_cluster as pool
from servent.errors import NotFound, Refused, UsageError

ANN, BOB, EVE = ("y" * 51 + letter for letter in "abe")
HARDWARE = pool.MachineHardware(
    system="Debian GNU/Linux 12 (bookworm), x86_64",
    processor="AMD Ryzen 9 7950X 16-Core Processor",
    cores=32,
    memory_bytes=64_000_000_000,
    disk_free_bytes=900_000_000_000,
    gpus=["NVIDIA GeForce RTX 4090"],
)
VERSIONS = pool.MachineVersions(python="3.11.7", dask="2026.8.0", distributed="2026.8.0", servent="0.1.0")


def machine(id: str, name: str, threads: int, **named: object) -> pool.Machine:
    parts = [
        pool.WorkerPart(number=number + 1, state="running", threads=1, memory_bytes=4_000_000_000)
        for number in range(threads)
    ]
    made = pool.Machine(
        id=id, name=name, work=True, here=True, lends=True, cores=threads, memory_bytes=threads * 4_000_000_000,
        hardware=HARDWARE, versions=VERSIONS, parts=parts,
    )  # fmt: skip
    return msgspec.structs.replace(made, **named)


def workers(id: str, name: str, threads: int, *, busy: bool = True) -> list[pool.ClusterWorker]:
    return [
        pool.ClusterWorker(
            name=f"{name}-{number + 1}", node=id, status="running", threads=1, memory_limit_bytes=4_000_000_000,
            memory_bytes=700_000_000 + 450_000_000 * number, cpu=98.0 - number * 7 if busy else 2.0,
            running=int(busy), waiting=2 if busy else 0, kept=120 + 31 * number,
        )
        for number in range(threads)
    ]  # fmt: skip


def lab() -> pool.Cluster:
    """A cluster of this node's own, at work."""
    return pool.Cluster(
        id="1ab0" * 8, name="lab", owner=ANN, owner_name="ann", mine=True, state="up", up=True, work=True, submit=True,
        address="servent://lab", link="servent-cluster:yryyyyyy", number=7, dashboard=True, logs=["scheduler", "worker-1"],
        machines=[
            machine(ANN, "ann", 4, mine=True, owner=True, submit=True, groups=["desk"]),
            machine(BOB, "bob", 4, groups=["night"], submit=True),
            machine(
                EVE, "eve", 2, groups=["night"], why="somebody is at this machine; begins after 3 min without keyboard and mouse",
                parts=[pool.WorkerPart(number=one, state="frozen", memory_bytes=4_000_000_000) for one in (1, 2)],
                unfit="distributed 2026.7.1, here 2026.8.0",
            ),
        ],
        groups=[
            pool.ClusterGroup(name="desk", machines=1),
            pool.ClusterGroup(name="night", hours=["daily 22:00-07:00"], machines=2),
        ],
        workers=[*workers(ANN, "ann", 4), *workers(BOB, "bob", 4), *workers(EVE, "eve", 2, busy=False)],
        kinds=[
            pool.TaskKind(name="read_parquet", waiting=40, running=6, done=218, seconds=2.4),
            pool.TaskKind(name="simulate", waiting=12, running=2, done=96, failed=1, seconds=11.8),
            pool.TaskKind(name="sum-aggregate", waiting=4, done=31, seconds=0.02),
        ],
        waiting=56, running=8, done=345, failed=1, kept_bytes=8_400_000_000, per_minute=212.0, clients=2,
    )  # fmt: skip


class FakeClusters:
    """`ClusterFace` from memory."""

    def __init__(self, *, fresh: bool = False) -> None:
        self.kept: dict[str, pool.Cluster] = {} if fresh else {"lab": lab()}

    def clusters(self) -> list[pool.Cluster]:
        return list(self.kept.values())

    def one_cluster(self, name: str) -> pool.Cluster:
        for one in self.kept.values():
            if name in (one.name, one.id):
                return one
        raise NotFound(f"no cluster here is called {name!r}")

    async def create_cluster(self, new: pool.NewCluster) -> pool.Cluster:
        if new.name in self.kept:
            raise UsageError(f"there is a cluster {new.name!r} here")
        made = pool.Cluster(
            id=new.name.encode().hex().ljust(32, "0")[:32], name=new.name, owner=ANN, mine=True, state="starting", up=True,
            work=new.work, submit=True, address=f"servent://{new.name}", link="servent-cluster:yryyyyyy", number=1,
            machines=[machine(ANN, "ann", 0, mine=True, owner=True, submit=True)],
        )  # fmt: skip
        self.kept[new.name] = made
        return made

    async def join_cluster(self, request: pool.JoinCluster) -> pool.Cluster:
        if not request.link.startswith("servent-cluster:"):
            raise UsageError(
                "this is no cluster's link", advice="It is one line that starts with servent-cluster:"
            )
        raise Refused(
            "the owner says: you are not on the list of this cluster", advice="Ask them to add this node."
        )

    async def change_cluster(self, name: str, change: pool.ClusterChange) -> pool.Cluster:
        given = {key: value for key, value in msgspec.to_builtins(change).items() if value is not None}
        if "up" in given:
            given["state"] = "up" if given["up"] else "down"
        return self._put_cluster(name, **given)

    def _put_cluster(self, name: str, **given: object) -> pool.Cluster:
        made = msgspec.structs.replace(self.one_cluster(name), **given)
        self.kept[made.name] = made
        return made

    async def remove_cluster(self, name: str) -> None:
        del self.kept[self.one_cluster(name).name]

    async def change_member(self, name: str, node: str, change: pool.MemberChange) -> pool.Cluster:
        now = self.one_cluster(name)
        given = {key: value for key, value in msgspec.to_builtins(change).items() if value is not None}
        known = [one for one in now.machines if node in (one.id, one.name)]
        made = known[0] if known else pool.Machine(id=node, name=node, work=True)
        made = msgspec.structs.replace(made, **given)
        return self._put_cluster(name, machines=[*(one for one in now.machines if one.id != made.id), made])

    async def drop_member(self, name: str, node: str) -> pool.Cluster:
        now = self.one_cluster(name)
        left = [one for one in now.machines if node not in (one.id, one.name)]
        if len(left) == len(now.machines):
            raise NotFound("they are not on the list of this cluster")
        return self._put_cluster(name, machines=left)

    async def change_group(self, name: str, group: str, change: pool.GroupChange) -> pool.Cluster:
        others = [one for one in self.one_cluster(name).groups if one.name != group]
        return self._put_cluster(name, groups=[*others, pool.ClusterGroup(name=group, hours=change.hours)])

    async def drop_group(self, name: str, group: str) -> pool.Cluster:
        return self._put_cluster(
            name, groups=[one for one in self.one_cluster(name).groups if one.name != group]
        )

    async def cluster_log(self, name: str, query: pool.ClusterLogQuery) -> pool.ClusterLog:
        if query.process not in self.one_cluster(name).logs:
            raise NotFound(f"no process of {name} here is called {query.process!r}")
        return pool.ClusterLog(
            process=query.process, lines=["distributed.scheduler: State start"][: query.lines]
        )

    def cluster_door(self, name: str) -> tuple[str, str]:
        if not self.one_cluster(name).dashboard:
            raise NotFound(f"{name} has no dashboard here now")
        return "/nowhere", "/dask/1234567890abcdefghijklmnopqrstuv/"

    def cluster_doors(self) -> dict[str, str]:
        return {}

    async def cluster_papers(self, wish: pool.PapersWish) -> pool.ClusterPapers:
        self.one_cluster(wish.cluster)
        return pool.ClusterPapers(papers=base64.b64encode(b"papers").decode())
