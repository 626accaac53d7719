"""Tasks go where the data lies: which workers of a cluster have which shared content on their disk, and its path there.

    near = holders(dask, links)                       # in the script
    dask.submit(work, link, workers=near[link] or None, allow_other_workers=True)

    def work(link):                                   # on a worker
        return numpy.load(local(link)).mean()         # from the disk; fetched by its node where it is not there yet

Contents are named by links, as `servent send` and `servent library` give them. A worker asks the node of its own machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servent.api.client import Client
from servent.blobs import magnet
from servent.errors import UsageError, WorldError

if TYPE_CHECKING:
    from distributed import Client as DaskClient

LOOK_EVERY = 0.2  # s between two looks at a content that is being fetched


class NotFetched(WorldError):
    """A content that a task needs did not come in time."""

    advice = "`servent transfers` on that machine says why it waits."


def name_of(link: str) -> str:
    """The infohash of a link, in hex: the same for everybody who has that content. Raises UsageError."""
    return magnet.parse_magnet(link).infohash.hex()


def held(links: Iterable[str], client: Client | None = None) -> dict[str, str]:
    """Of these, the contents that are complete on this machine: their paths, by link.

    Args:
        client: of the node; None for the one of this machine, or of this worker.
    """
    node = client or Client.from_data_dir()
    paths = {one.infohash: one.path for one in node.shares() if one.state == "ready"}
    for transfer in node.transfers():
        if transfer.direction == "down" and transfer.state == "complete" and transfer.path:
            paths.setdefault(transfer.infohash, transfer.path)
    found = {}
    for link in links:
        path = paths.get(name_of(link))
        if path and Path(path).exists():
            found[link] = path
    return found


def local(link: str, *, within: float = 3600.0, client: Client | None = None) -> Path:
    """The path of a content on this machine, which its node fetches first where it is not there.

    Raises:
        NotFetched: not in so many seconds, or it failed.
    """
    node = client or Client.from_data_dir()
    if (path := held([link], node).get(link)) is not None:
        return Path(path)
    transfer = node.download(link)
    end = time.monotonic() + within
    while transfer.state != "complete":
        if transfer.state in ("failed", "cancelled") or time.monotonic() > end:
            raise NotFetched(
                f"{transfer.name or link[:60]} is not here: {transfer.error or transfer.reason or transfer.state}"
            )
        time.sleep(LOOK_EVERY)
        transfer = node.transfer(transfer.id)
    path = held([link], node).get(link)
    if path is None:
        raise NotFetched(f"{transfer.name} was fetched, and is gone again")
    return Path(path)


def holders(dask: DaskClient, links: Sequence[str]) -> dict[str, list[str]]:
    """The addresses of the workers whose machines have each content; one worker of each machine is asked.

    Raises:
        UsageError: something is no link.
    """
    for link in links:
        name_of(link)
    workers: Mapping[str, Any] = dask.scheduler_info(n_workers=-1)["workers"]
    machines: dict[str, list[str]] = {}
    for address in workers:
        machines.setdefault(_machine(address), []).append(address)
    answers = dask.run(held, list(links), workers=[some[0] for some in machines.values()], on_error="ignore")
    near: dict[str, list[str]] = {link: [] for link in links}
    for address, found in answers.items():
        for link in found:
            near[link] += machines[_machine(address)]
    return near


def _machine(address: str) -> str:
    """The node that a worker belongs to."""
    from servent.cluster import addresses

    place = addresses.parse(address)
    if isinstance(place, str):
        raise UsageError(f"{address[:80]!r} is no worker of a servent cluster")
    return str(place.node)
