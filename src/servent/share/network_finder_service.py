"""Searching through the networks: what their supernodes find, as finds like those of connected peers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing

from servent.errors import ServentError
from servent.identity import PeerId
from servent.overlay.effects import Finding
from servent.overlay.records import Item
from servent.overlay.views import NetworkShape
from servent.query.language import Query
from servent.share.folding import Found, Standing
from servent.share.network_items import found
from servent.share.networks import Networks
from servent.share.search_service import EVERYBODY, Networked, Only, Sink

log = logging.getLogger(__name__)


class NetworkFinder:
    """Every network at once. See `search_service.Finder`.

    Args:
        blocked, friend, name: of a peer.
        here: whether a peer is connected.
    """

    def __init__(
        self,
        me: PeerId,
        networks: Networks,
        *,
        blocked: Callable[[PeerId], bool],
        friend: Callable[[PeerId], bool],
        name: Callable[[PeerId], str],
        here: Callable[[PeerId], bool],
    ) -> None:
        self._me, self._networks = me, networks
        self._blocked, self._friend, self._name, self._here = blocked, friend, name, here

    async def find(self, wanted: Query, limit: int, sink: Sink, only: Only = EVERYBODY) -> None:
        """Ask all networks; none when one peer is meant, who is asked itself."""
        if only.peer is not None:
            return
        async with asyncio.TaskGroup() as tasks:
            for shape in self._networks.shapes():
                if only.network not in (None, shape.network):
                    continue
                tasks.create_task(self._in(shape, wanted, limit, sink), name=f"search in {shape.name}")

    async def _in(self, shape: NetworkShape, wanted: Query, limit: int, sink: Sink) -> None:
        asked = answered = messages = 0
        try:
            async with aclosing(
                self._networks.search(wanted.text, networks=[shape.network], limit=limit)
            ) as events:
                async for event in events:
                    if isinstance(event, Finding):
                        self._put(shape.name, event, wanted, sink)
                        continue
                    asked, answered, messages = event.supernodes, event.answered, event.messages
                    sink.networked(
                        Networked(
                            shape.name, asked, answered, messages, event.over, event.sampled, event.reason
                        )
                    )
        except ServentError as wrong:
            log.debug("%s was not searched: %s", shape.name, wrong)
            sink.networked(Networked(shape.name, asked, answered, messages, True, reason=str(wrong)))

    def _put(self, network: str, event: Finding, wanted: Query, sink: Sink) -> None:
        for peer, items in by_peer(event.found).items():
            if peer == self._me or self._blocked(peer):
                continue
            good: list[Found] = []
            for one in items:
                score = wanted.relevance(one.name, one.kind, one.size, one.where, one.tags)
                if score is not None and one.size > 0:
                    good.append(found(one, score))
            if good:
                there = True if self._here(peer) or peer in event.reachable else None
                friend = self._friend(peer)
                sink.found(
                    Standing(peer, self._name(peer), friend=friend, network=network, reachable=there), good
                )


def by_peer(pairs: Sequence[tuple[PeerId, Item]]) -> dict[PeerId, list[Item]]:
    """Whose items they are."""
    heaps: dict[PeerId, list[Item]] = {}
    for peer, one in pairs:
        heaps.setdefault(peer, []).append(one)
    return heaps
