"""The stable surface, what is about Dask among friends: clusters, their machines, who may do what there, and what their scheduler does.

The same rules as in `schema`. A cluster is named by its name here, its id (32 hex digits) or the beginning of that; a node by its key, a petname or the beginning of its key.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

ClusterState = Literal["up", "starting", "down", "away", "refused"]
ClusterRole = Literal["scheduler", "worker", "client"]
PartState = Literal["starting", "running", "frozen", "retiring", "retired", "failed"]
ClusterName = Annotated[str, Meta(min_length=1, max_length=64)]
GroupText = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,31}$")]
HoursText = Annotated[str, Meta(max_length=64)]
GroupList = Annotated[list[GroupText], Meta(max_length=16)]


class MachineHardware(Struct, frozen=True, kw_only=True):
    """What a machine has, as it says. `memory_bytes`: of the machine, not of what it lends."""

    system: str = ""
    processor: str = ""
    cores: int = 0
    memory_bytes: int = 0
    disk_free_bytes: int = 0
    gpus: list[str] = []


class MachineVersions(Struct, frozen=True, kw_only=True):
    """ "" for what is not installed there."""

    python: str = ""
    dask: str = ""
    distributed: str = ""
    servent: str = ""


class WorkerPart(Struct, frozen=True, kw_only=True):
    """A worker process of a machine, as its own node has it. `why`: it does not run. `restarts`: how often it ended by itself."""

    number: int
    state: PartState = "retired"
    threads: int = 1
    memory_bytes: int = 0
    why: str = ""
    restarts: int = 0


class Machine(Struct, frozen=True, kw_only=True):
    """A member of a cluster. `id`: its node's key. `work`, `submit`: what the owner lets it do. `here`: connected with the owner now, or this machine itself. `at`: of its last word.

    `cores`, `memory_bytes`: what it lends to this cluster; `why`: it does not compute now. `unfit`: why its versions do not go together with those here.
    """

    id: str
    name: str = ""
    mine: bool = False
    owner: bool = False
    work: bool = False
    submit: bool = False
    groups: list[str] = []
    here: bool = False
    at: float = 0.0
    why: str = ""
    lends: bool = False
    cores: int = 0
    memory_bytes: int = 0
    hardware: MachineHardware = MachineHardware()
    versions: MachineVersions = MachineVersions()
    unfit: str = ""
    parts: list[WorkerPart] = []


class ClusterWorker(Struct, frozen=True, kw_only=True):
    """A worker as the scheduler sees it. `node`: the key of its machine's node. `cpu`: percent of one core. `running`, `waiting`: tasks; `kept`: results in its memory."""

    name: str
    address: str = ""
    node: str = ""
    status: str = ""
    threads: int = 0
    memory_limit_bytes: int = 0
    memory_bytes: int = 0
    spilled_bytes: int = 0
    cpu: float = 0.0
    running: int = 0
    waiting: int = 0
    kept: int = 0
    groups: list[str] = []


class TaskKind(Struct, frozen=True, kw_only=True):
    """Tasks of one name. `seconds`: one of them takes, on average."""

    name: str
    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    seconds: float = 0.0


class ClusterGroup(Struct, frozen=True, kw_only=True):
    """Machines under one name. `hours`: parts of the week in which they work, on the clock of each; empty for always."""

    name: str
    hours: list[str] = []
    machines: int = 0


class Cluster(Struct, frozen=True, kw_only=True):
    """A Dask cluster. `state`: "up", "starting", "down" (its scheduler does not run), "away" (its owner is not reached), "refused" (this node is not on its list any more); `why` says more.

    `address`: what a script on this machine gives to `dask.distributed.Client`. `link`: what others join with, once they are allowed. `work`: this machine works in it; `submit`: this
    node may connect clients. `waiting`, `running`, `done`, `failed`: tasks, of which `done` and `failed` count since the scheduler began. `dashboard`: Dask's own pages can be opened from
    here. `logs`: names of processes here whose last words can be read.
    """

    id: str
    name: str
    owner: str
    owner_name: str = ""
    mine: bool = False
    state: ClusterState = "down"
    why: str = ""
    address: str = ""
    link: str = ""
    number: int = 0
    up: bool = False
    work: bool = False
    submit: bool = False
    cores: int = 0
    machines: list[Machine] = []
    groups: list[ClusterGroup] = []
    workers: list[ClusterWorker] = []
    kinds: list[TaskKind] = []
    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    kept_bytes: int = 0
    per_minute: float = 0.0
    clients: int = 0
    restarts: int = 0
    dashboard: bool = False
    logs: list[str] = []


class NewCluster(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`work`: this machine works in it, with at most `cores` of those it lends (0: all of them). `lend`: lending is turned on for that where it is off."""

    name: ClusterName
    work: bool = True
    cores: Annotated[int, Meta(ge=0, le=4096)] = 0
    lend: bool = True


class JoinCluster(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`link`: `servent-cluster:…`. `work`: this machine works in it: whoever its owner lets submit then runs any code here, as you."""

    link: Annotated[str, Meta(min_length=1, max_length=8192)]
    work: bool = True
    cores: Annotated[int, Meta(ge=0, le=4096)] = 0
    lend: bool = True


class ClusterChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes. `up`: whether the scheduler of a cluster of one's own runs."""

    up: bool | None = None
    work: bool | None = None
    cores: Annotated[int, Meta(ge=0, le=4096)] | None = None


class MemberChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Puts a node on the list, or changes what it may. What is not given stays; of a new one: it works, and does not submit."""

    work: bool | None = None
    submit: bool | None = None
    groups: GroupList | None = None


class GroupChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`hours`: as "weekdays 22:00-07:00"; empty for always."""

    hours: Annotated[list[HoursText], Meta(max_length=50)] = []


class ClusterLogQuery(Struct, frozen=True, kw_only=True):
    """`process`: "scheduler", "worker-1", …"""

    process: Annotated[str, Meta(min_length=1, max_length=40)] = "scheduler"
    lines: Annotated[int, Meta(ge=1, le=2000)] = 200


class ClusterLog(Struct, frozen=True, kw_only=True):
    """The oldest first."""

    process: str
    lines: list[str]


class DashboardDoor(Struct, frozen=True, kw_only=True):
    """`path`: below the page's own address; good while the scheduler runs, for whoever knows it."""

    path: str


class PapersWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a process with a client asks for; `process`: its public key in hex."""

    cluster: ClusterName
    role: Literal["client"] = "client"
    process: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    name: Annotated[str, Meta(max_length=64)] = ""


class ClusterPapers(Struct, frozen=True, kw_only=True):
    """`papers`: `servent.cluster.model.Papers` as MessagePack, in base64: a pass of this node for the process, the list of members, and where the scheduler is."""

    papers: str
