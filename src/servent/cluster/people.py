"""Who is at the other end of a comm, as Dask asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servent.cluster import addresses
from servent.cluster.addresses import Place
from servent.identity import PeerId

if TYPE_CHECKING:
    from servent.cluster.door import Link


class Known:
    """What both kinds of comms have in common: the process at the other end was let in, and its pass says who it is."""

    _link: Link
    _local_addr: str

    @property
    def _node(self) -> str:
        return str(PeerId(self._link.shown.node))

    @property
    def same_host(self) -> bool:
        """Whether both belong to one node: then nothing is compressed."""
        return host(self._local_addr) == self._node

    @property
    def extra_info(self) -> dict[str, str]:
        """Proven: "node" (z-base-32), "role", and the "name" of the process."""
        shown = self._link.shown
        return {"node": self._node, "role": shown.role, "name": shown.name}


def host(loc: str) -> str:
    """What Dask calls a host: the node, so that all workers of a machine are on one. Of a cluster's name, the name."""
    place = addresses.parse(loc)
    return str(place.node) if isinstance(place, Place) else place
