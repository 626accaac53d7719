"""`servent://` in scripts: what Dask finds by the entry point `distributed.comm.backends` when a Client names such an address.

    from dask.distributed import Client
    client = Client("servent://lab")

The script needs no key and no setting: its pass comes from the node that runs on this machine (`SERVENT_DATA_DIR` says which, where there are several).
"""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path

from servent.api.client import Client
from servent.api.schema_cluster import PapersWish
from servent.cluster.comm import ServentBackend
from servent.cluster.model import Papers, Wish
from servent.cluster.office import Office
from servent.cluster.rosters import ROSTER_BYTES, Role
from servent.codec import Decoder
from servent.errors import BadMessage, UsageError

_papers: Decoder[Papers] = Decoder(Papers, ROSTER_BYTES + 64 * 1024)


class ApiDesk:
    """`servent.cluster.model.Desk` over the API of the node on this machine.

    Args:
        data_dir: of the node; None for the usual place. client: another way to it.
    """

    def __init__(self, data_dir: Path | None = None, client: Client | None = None) -> None:
        self._data_dir = data_dir
        self._client = client

    async def papers(self, wish: Wish) -> Papers:
        if wish.role != "client":
            raise UsageError(
                "schedulers and workers are started by the node",
                advice="`servent grid cluster up` starts a scheduler, `servent grid cluster join` the workers of a machine.",
            )
        asked = PapersWish(cluster=wish.cluster, process=wish.process.hex(), name=wish.name)
        answer = await asyncio.to_thread(self._ask, asked)
        try:
            return _papers.decode(base64.b64decode(answer, validate=True))
        except ValueError as wrong:
            raise BadMessage(f"the node's papers make no sense: {wrong}") from wrong

    def _ask(self, wish: PapersWish) -> str:
        if self._client is None:
            self._client = Client.from_data_dir(self._data_dir)
        return self._client.cluster_papers(wish).papers

    async def listening(self, cluster: str, process: bytes, role: Role, address: str) -> None:
        """A client that listens tells nobody."""


class ScriptBackend(ServentBackend):
    """What the entry point names: made without arguments, once a process."""

    def __init__(self, data_dir: Path | None = None, client: Client | None = None) -> None:
        name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
        super().__init__(Office(ApiDesk(data_dir, client), role="client", name=name[:64]))


def use(data_dir: Path) -> None:
    """Have this process speak with the node of `data_dir`, in place of the usual one."""
    from distributed.comm.registry import backends

    backends["servent"] = ScriptBackend(data_dir)
