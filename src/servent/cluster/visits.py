"""What the nodes of a cluster say to each other: a member visits the owner on one standing stream of "servent.cluster/1". Limits stand in the types.

The member says `Enter` and is answered `Here`, or `No` and the end. From then on the owner says `Here` again whenever it is another, and the member `Report`
when something changed on its machine, and at least every `REPORT_EVERY` s. `Look` is answered by `Seen`. `Bye` says that a member leaves for good.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.cluster.model import ADDRESS_LENGTH
from servent.cluster.rosters import ROSTER_BYTES, ClusterId, Signed
from servent.codec import Decoder
from servent.identity import KEY_BYTES

SERVICE = "servent.cluster/1"
REPORT_EVERY = 30.0  # s
SILENCE = 3 * REPORT_EVERY  # after which a machine counts as gone
MOST_WORKERS = 64  # of one machine
MOST_SEEN = 4096  # workers of a cluster
MOST_KINDS = 50  # kinds of tasks that are told of
SAID_BYTES = 64 * 1024
TOLD_BYTES = ROSTER_BYTES + MOST_SEEN * 600

Label = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=200)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Number = Annotated[float, Meta(ge=0, le=1e15)]

WorkerState = Literal["starting", "running", "frozen", "retiring", "retired", "failed"]


class Versions(Struct, frozen=True):
    """What must be alike on all machines: pickles of one version of Python or of Dask need not be read by another."""

    python: Label = ""
    dask: Label = ""
    distributed: Label = ""
    servent: Label = ""


class Hardware(Struct, frozen=True):
    """What a machine has. `gpus`: as their drivers call them. `memory_bytes`: of the machine, not of what it lends."""

    system: Text = ""
    processor: Text = ""
    cores: Count = 0
    memory_bytes: Count = 0
    disk_free_bytes: Count = 0
    gpus: Annotated[list[Text], Meta(max_length=16)] = []


class Part(Struct, frozen=True):
    """A worker process of a machine, as its node has it. `why`: it does not run. `restarts`: how often it ended by itself."""

    number: Annotated[int, Meta(ge=0, le=MOST_WORKERS)]
    state: WorkerState
    threads: Count = 1
    memory_bytes: Count = 0
    why: Text = ""
    restarts: Count = 0


class Report(Struct, frozen=True, tag="report"):
    """A machine, and what it lends. `why`: in a line, why it does not work now, "" where it does."""

    name: Label = ""
    hardware: Hardware = Hardware()
    versions: Versions = Versions()
    parts: Annotated[list[Part], Meta(max_length=MOST_WORKERS)] = []
    lends: bool = False
    cores: Count = 0
    memory_bytes: Count = 0
    why: Text = ""


class Enter(Struct, frozen=True, tag="enter"):
    cluster: ClusterId


class Look(Struct, frozen=True, tag="look"):
    """What does the scheduler do?"""


class Bye(Struct, frozen=True, tag="bye"):
    """I leave; take me off the list."""


class Here(Struct, frozen=True, tag="here"):
    """The list of members, and where the scheduler is now, "" where it does not run."""

    roster: Signed
    scheduler: Annotated[str, Meta(max_length=ADDRESS_LENGTH)] = ""


class No(Struct, frozen=True, tag="no"):
    """You are not on the list, or there is no such cluster."""

    why: Text


class Worker(Struct, frozen=True):
    """A worker as the scheduler sees it. `node`: whose it says it is. `cpu`: percent of a core. `running`, `waiting`: tasks; `kept`: results in its memory."""

    name: Text
    address: Annotated[str, Meta(max_length=ADDRESS_LENGTH)] = ""
    node: Annotated[bytes, Meta(max_length=KEY_BYTES)] = b""
    status: Label = ""
    threads: Count = 0
    memory_limit_bytes: Count = 0
    memory_bytes: Count = 0
    spilled_bytes: Count = 0
    cpu: Number = 0.0
    running: Count = 0
    waiting: Count = 0
    kept: Count = 0
    groups: Annotated[list[Label], Meta(max_length=16)] = []

    def __post_init__(self) -> None:
        if len(self.node) not in (0, KEY_BYTES):
            raise ValueError("a worker of a node whose key is none")


class Kind(Struct, frozen=True):
    """Tasks of one name. `seconds`: one of them takes, on average."""

    name: Text
    waiting: Count = 0
    running: Count = 0
    done: Count = 0
    failed: Count = 0
    seconds: Number = 0.0


class Seen(Struct, frozen=True, tag="seen"):
    """What the scheduler does now. `done`: tasks since it runs; `per_minute`: lately. `clients`: names of nodes that are connected with one."""

    workers: Annotated[list[Worker], Meta(max_length=MOST_SEEN)] = []
    kinds: Annotated[list[Kind], Meta(max_length=MOST_KINDS)] = []
    waiting: Count = 0
    running: Count = 0
    done: Count = 0
    failed: Count = 0
    kept_bytes: Count = 0
    per_minute: Number = 0.0
    clients: Count = 0
    since: Number = 0.0


Said = Enter | Report | Look | Bye
Told = Here | No | Seen

read_said: Decoder[Said] = Decoder(Said, SAID_BYTES)
read_told: Decoder[Told] = Decoder(Told, TOLD_BYTES)
