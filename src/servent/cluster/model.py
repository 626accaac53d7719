"""What the processes of a cluster and their nodes say to each other: passes, and what a process asks its own node. Pure.

Scheduler, workers and clients are processes with keys of their own, each beside a node that is on the cluster's list of members
(`rosters`). Each shows a *pass* (see `passes`) in which its node vouches for its key.
"""

from __future__ import annotations

from typing import Annotated, Protocol

from msgspec import Meta, Struct

from servent.cluster import rosters
from servent.cluster.rosters import ClusterId, Role
from servent.codec import Key, Signature

ALPN = b"servent/dask/1"
PASS_BYTES = 1024
ADDRESS_LENGTH = 700  # characters of a process's address; see `addresses`

Wall = Annotated[float, Meta(ge=0, le=1e11)]  # seconds since 1970
Label = Annotated[str, Meta(max_length=64)]


class Pass(Struct, frozen=True, kw_only=True):
    """`node` says: the process with the key `process` is mine, and a `role` of this cluster until `ends`.

    `name`: for people, such as "worker 2". It gives no right by itself: the list of members says whether `node` may have such processes.
    """

    cluster: ClusterId
    node: Key
    process: Key
    role: Role
    name: Label = ""
    begins: Wall
    ends: Wall


class SignedPass(Struct, frozen=True, array_like=True):
    """`body`: canonical bytes of a pass. `signature`: its node's."""

    body: Annotated[bytes, Meta(max_length=PASS_BYTES)]
    signature: Signature


class Wish(Struct, frozen=True, kw_only=True):
    """What a process asks its own node: papers for the cluster called `cluster` (its name here, or its id in hex).

    `process`: its public key; the secret one never leaves the process. It asks again before its pass ends.
    """

    cluster: Annotated[str, Meta(min_length=1, max_length=64)]
    role: Role
    process: Key
    name: Label = ""


class Papers(Struct, frozen=True, kw_only=True):
    """What a node gives a process of its own.

    `shown`: its pass. `owner`: whose signature the `roster` must bear. `scheduler`: where the cluster's scheduler was last known to be
    ("servent://…", see `addresses`), "" while it is not running. `bind`: "ip:port" for the process's own sockets, empty for any.
    `relays`: URLs of relays through which it is reached.
    """

    cluster: ClusterId
    owner: Key
    shown: SignedPass
    roster: rosters.Signed
    scheduler: Annotated[str, Meta(max_length=ADDRESS_LENGTH)] = ""
    bind: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=2)] = []
    relays: Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=8)] = []


class Desk(Protocol):
    """A process's own node, as the process sees it: over the local API (`servent.api`), or beside it in a test.

    Every method raises `errors.ServentError` with what the person should do: no node is running, no such cluster here, this node
    may not have such a process.
    """

    async def papers(self, wish: Wish) -> Papers:
        """Vouch for a process. Asked again while it runs, before its pass ends and every `passes.LOOK_EVERY` s for a newer list of
        members, and when a cluster's name is dialed, for where its scheduler is."""
        ...

    async def listening(self, cluster: str, process: bytes, role: Role, address: str) -> None:
        """The process listens at `address` now; of a scheduler, this is what everybody's `Papers.scheduler` says from now on."""
        ...
