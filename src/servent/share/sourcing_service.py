"""More sources for what is being fetched: asks the networks who has it, and gets to know those who do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing

from servent.blobs.views import TransferView
from servent.errors import ServentError
from servent.identity import PeerId
from servent.net.peers import Peers
from servent.overlay.effects import Finding
from servent.share.network_items import linked
from servent.share.networks import Networks

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0  # s between two looks at the transfers
AGAIN = (0.0, 20.0, 60.0, 300.0)  # s between two questions for one transfer
ENOUGH = 8  # sources that send; of more a download gains little
MOST_DIALED = 8  # peers for one transfer at a time
WAITING = ("connecting", "metadata", "active", "queued")


class Sourcing:
    """Looks after transfers that have few sources. `run` it in a task.

    Args:
        transfers: those under way.
        blocked: peers that are not asked.
    """

    def __init__(
        self,
        peers: Peers,
        networks: Networks,
        transfers: Callable[[], Sequence[TransferView]],
        blocked: Callable[[PeerId], bool],
    ) -> None:
        self._peers, self._networks, self._transfers, self._blocked = peers, networks, transfers, blocked
        self._clock = asyncio.get_running_loop().time
        self._asked: dict[str, tuple[int, float]] = {}  # transfer -> times asked, when next
        self._busy: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(LOOK_EVERY)
                if not self._networks.shapes():
                    continue
                for view in self.due():
                    self._busy.add(view.id)
                    tasks.create_task(self._look_for(view), name=f"sources of {view.name}")

    def due(self) -> list[TransferView]:
        """Transfers to ask for now."""
        now = self._clock()
        wanting = {
            view.id: view
            for view in self._transfers()
            if view.direction == "down" and view.state in WAITING and self._sending(view) < ENOUGH
        }
        self._asked = {id: said for id, said in self._asked.items() if id in wanting}
        return [
            view
            for view in wanting.values()
            if view.id not in self._busy and self._asked.get(view.id, (0, 0.0))[1] <= now
        ]

    async def _look_for(self, view: TransferView) -> None:
        times = self._asked.get(view.id, (0, 0.0))[0]
        dialed: set[PeerId] = set()
        try:
            async with asyncio.TaskGroup() as tasks:
                for content in contents_of(view):
                    async with aclosing(self._networks.who_has(content)) as events:
                        async for event in events:
                            if not isinstance(event, Finding):
                                continue
                            for peer, _ in event.found:
                                if peer in dialed or len(dialed) >= MOST_DIALED or not self._wanted(peer):
                                    continue
                                dialed.add(peer)
                                tasks.create_task(self._meet(peer), name=f"meet {peer.short}")
        except ServentError as wrong:
            log.debug("nobody was asked who has %s: %s", view.name, wrong)
        finally:
            self._busy.discard(view.id)
            wait = AGAIN[min(times + 1, len(AGAIN) - 1)]
            self._asked[view.id] = (times + 1, self._clock() + wait)

    def _wanted(self, peer: PeerId) -> bool:
        return peer != self._peers.peer and self._peers.session(peer) is None and not self._blocked(peer)

    async def _meet(self, peer: PeerId) -> None:
        """Be connected with it: then every download asks it."""
        try:
            await self._peers.connect(self._peers.addresses(peer))
        except ServentError as wrong:
            log.debug("%s has something we fetch, and is not reached: %s", peer.short, wrong)

    @staticmethod
    def _sending(view: TransferView) -> int:
        return sum(source.state == "active" for source in view.sources)


def contents_of(view: TransferView) -> list[bytes]:
    """Under which hashes those are found who have it: the link's, and the content's where it is of one file."""
    return [linked(view.infohash), *([bytes.fromhex(view.content)] if view.content else [])]
