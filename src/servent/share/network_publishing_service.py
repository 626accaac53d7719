"""Tells the networks what is shared with them: when the library grows, when a folder's audience changes, when a network is joined."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from servent.errors import ServentError
from servent.overlay.records import Item
from servent.overlay.settings import HomeSettings
from servent.overlay.topology import Topology
from servent.share import network_items
from servent.share.networks import Networks
from servent.share.shelves import Shelf
from servent.store import Store

log = logging.getLogger(__name__)

GATHER = 2.0  # s that changes of the library are let gather; a first scan changes it all the time
LONGEST = 30.0  # s, while it goes on changing
AGAIN = 60.0  # s until it is tried again when the library could not be read


class NetworkPublishing:
    """Keeps what the networks know of the own library up to date. `run` it in a task.

    Args:
        store: `library.db`.
        shelves: the shared folders that are for networks.
        links: what is served by link, as items.
        blocked: contents that are told to nobody.
    """

    def __init__(
        self,
        store: Store,
        networks: Networks,
        shelves: Callable[[], Sequence[Shelf]],
        links: Callable[[], Sequence[Item]],
        blocked: Callable[[bytes], bool],
    ) -> None:
        self._store, self._networks, self._shelves, self._links = store, networks, shelves, links
        self._blocked = blocked
        self._changed = asyncio.Event()
        self._told: dict[bytes, int] = {}  # network -> fingerprint of what it was told

    def changed(self) -> None:
        """The library, its folders, the shares or the networks are others."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        clock = asyncio.get_running_loop().time
        self._changed.set()
        while True:
            await self._changed.wait()
            until = clock() + LONGEST
            while self._changed.is_set() and clock() < until:
                self._changed.clear()
                await asyncio.sleep(GATHER)
            try:
                await self._tell()
            except ServentError as wrong:
                log.warning("the networks are not told what is shared: %s", wrong)
                await asyncio.sleep(AGAIN)
                self._changed.set()

    async def _tell(self) -> None:
        shapes = self._networks.shapes()
        self._told = {
            shape.network: self._told[shape.network] for shape in shapes if shape.network in self._told
        }
        shelves, home = self._shelves(), HomeSettings()
        by_limit: dict[int, list[Item]] = {}
        for shape in shapes:
            limit = Topology(shape.mode).most_items(home)
            if limit not in by_limit:
                links = list(self._links())[: limit // 4]
                files = await self._store.read(
                    network_items.newest(shelves, limit - len(links), self._blocked)
                )
                by_limit[limit] = [*links, *files]
            items = by_limit[limit]
            fingerprint = hash(tuple((one.content, one.name, one.where, one.size) for one in items))
            if self._told.get(shape.network) != fingerprint:
                self._networks.publish(shape.network, items)
                self._told[shape.network] = fingerprint
