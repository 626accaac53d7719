"""Who has something, and where somebody is: questions to the networks of the real node in the API's words."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from servent.api import schema_network as network
from servent.api.part import Part
from servent.api.role_words import NAME, SENTENCE
from servent.api.who import meant
from servent.blobs.magnet import parse_magnet
from servent.query.words import shown
from servent.share.holders_service import Held, Holder
from servent.share.network_items import linked
from servent.share.search_service import Networked


class HoldersPart(Part):
    """The half of `NetworkFace` that asks others."""

    async def who_has(self, query: network.HolderQuery) -> AsyncGenerator[network.HolderEvent]:
        """Closing the iterator ends the search everywhere."""
        link = parse_magnet(query.link)
        contents = [link.content[0] if link.content else link.infohash, linked(link.infohash)]
        only = self._node.trust.network(query.network).key if query.network else None
        events = self._node.share.holders.who_has(contents, network=only, limit=query.limit, wait=query.wait)
        async with aclosing(events):
            async for event in events:
                yield self._event(event)

    def _event(self, event: Holder | Networked | Held) -> network.HolderEvent:
        match event:
            case Holder():
                return network.HolderEvent(kind="holder", holder=self._holder(event))
            case Networked():
                return network.HolderEvent(
                    kind="network",
                    network=shown(event.network, NAME),
                    asked=event.asked,
                    answered=event.answered,
                    messages=event.messages,
                    more=event.sampled,
                    reason=shown(event.reason, SENTENCE),
                )
            case Held():
                return network.HolderEvent(
                    kind="done",
                    found=event.found,
                    asked=event.asked,
                    answered=event.answered,
                    messages=event.messages,
                    more=event.more,
                    took_ms=round(event.took * 1000, 1),
                    reason=shown(event.reason, SENTENCE),
                )

    def _holder(self, one: Holder) -> network.Holder:
        finding, mine = self._node.share.finding, one.peer == self._node.peer
        return network.Holder(
            peer=str(one.peer),
            name=shown(self._node.name if mine else finding.name(one.peer), NAME),
            network=shown(one.network, NAME),
            file=shown(one.name),
            size_bytes=one.size,
            mine=mine,
            friend=not mine and finding.friend(one.peer),
            connected=mine or self._node.peers.session(one.peer) is not None,
            reachable=one.reachable,
        )

    async def where(self, peer: str) -> network.Whereabouts:
        whom = meant(self._node, peer)
        record = await self._node.share.networks.where(whom)
        about = network.Whereabouts(
            peer=str(whom),
            name=shown(self._node.share.finding.name(whom), NAME),
            connected=self._node.peers.session(whom) is not None,
        )
        if record is None:
            return about
        return network.Whereabouts(
            peer=about.peer,
            name=about.name,
            connected=about.connected,
            known=True,
            addresses=[shown(address, NAME) for address in record.addresses],
            relays=[shown(relay, 256) for relay in record.relays],
            nat=record.nat,
            roles=[shown(role, 16) for role in record.roles],
            updated=record.seq / 1e6,
        )
