"""Who has something, and where somebody is: questions to the networks of the real node in the API's words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from servent.api import schema_network as network
from servent.api.part import Part
from servent.api.role_words import NAME, SENTENCE
from servent.api.who import meant
from servent.blobs.listing import is_v1
from servent.blobs.magnet import parse_magnet
from servent.errors import UsageError
from servent.query.words import shown
from servent.share.holders_service import Held, Holder
from servent.share.network_items import linked
from servent.share.search_service import Networked


class HoldersPart(Part):
    """The half of `NetworkFace` that asks others."""

    async def who_has(self, query: network.HolderQuery) -> AsyncGenerator[network.HolderEvent]:
        """Closing the iterator ends the search everywhere."""
        link = parse_magnet(query.link)
        if is_v1(link.infohash):
            raise UsageError(
                "networks do not know what BitTorrent's version 1 calls it",
                advice="`servent get` asks there.",
            )
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
        """The networks and all other ways to find a peer by its key are asked at once; the newest word counts."""
        whom = meant(self._node, peer)
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(self._node.share.networks.where(whom), name="where: networks")
            finding = tasks.create_task(self._node.rendezvous.find(whom), name="where: rendezvous")
            record = await asking
            if record is not None:  # it has been seen there within the hour
                finding.cancel()
        sighting = None if finding.cancelled() else finding.result()
        about = network.Whereabouts(
            peer=str(whom),
            name=shown(self._node.share.finding.name(whom), NAME),
            connected=self._node.peers.session(whom) is not None,
        )
        if record is None and sighting is None:
            return about
        if record is None and sighting is not None:
            address = sighting.address
            return msgspec.structs.replace(
                about,
                known=True,
                by="key",
                addresses=[shown(one, NAME) for one in address.addresses],
                relays=[shown(address.relay, 256)] if address.relay else [],
                updated=sighting.number / 1e6 if sighting.timed else None,
            )
        assert record is not None
        return msgspec.structs.replace(
            about,
            known=True,
            by="networks",
            addresses=[shown(address, NAME) for address in record.addresses],
            relays=[shown(relay, 256) for relay in record.relays],
            nat=record.nat,
            roles=[shown(role, 16) for role in record.roles],
            updated=record.seq / 1e6,
        )
