"""The share room: builds its parts, starts and stops them in order. Each part is its own module and owner."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from servent.blobs.service import Blobs
from servent.blobs.views import TransferView
from servent.blobs.wire import GRANT
from servent.identity import Identity, PeerId
from servent.net import ticket as tickets
from servent.net.peers import Peers
from servent.overlay.records import Item
from servent.share import index, network_items, rows, shelves, wire
from servent.share.codes_service import Codes
from servent.share.content_service import ContentService
from servent.share.feeds_service import Feeds
from servent.share.finding_service import Finding
from servent.share.getting_service import Getting
from servent.share.holders_service import Holders
from servent.share.library_service import Library, moving
from servent.share.meet_service import MeetService
from servent.share.network_finder_service import NetworkFinder
from servent.share.network_publishing_service import NetworkPublishing
from servent.share.networks import Networks
from servent.share.possession_service import Possession
from servent.share.rendezvous_service import Meeting
from servent.share.safety_service import SafetyService
from servent.share.shelves import Shelf
from servent.share.sourcing_service import Sourcing
from servent.share.wishes_kept_service import KeptWishes
from servent.share.wishes_service import Wishes
from servent.store import Store
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

LIBRARY_FILE = "library.db"


class Share:
    """Owns everything about sharing. `open` it before the network runs, `run` it in a task, `close` it first.

    Args:
        store: the node's database, not open yet: what cannot be made again (folders' settings, wishes, feeds, blocks).
        library: a database of its own for the files (`library.db`), not open yet; closed by `close`.
        identity: signs our feeds.
        meeting: what hand-overs by code need of the node.
        networks: the node's overlay.
    """

    def __init__(
        self,
        peers: Peers,
        trust: TrustService,
        blobs: Blobs,
        store: Store,
        library: Store,
        data_dir: Path,
        identity: Identity,
        meeting: Meeting,
        *,
        networks: Networks,
        wall: Callable[[], float] = time.time,
        preview_bytes: int = 2_000_000_000,
    ) -> None:
        self.peers, self.trust, self.blobs, self.store, self.data_dir, self.wall = (
            peers, trust, blobs, store, data_dir, wall,
        )  # fmt: skip
        self.library_store = library
        self._main: asyncio.Task[None] | None = None
        self._closed = False
        library.migrate(rows.ROOM, rows.STEPS)
        library.migrate(index.ROOM, index.STEPS)
        library.migrate(shelves.ROOM, shelves.STEPS)
        self.safety = SafetyService(peers, trust, store, wall=wall)
        self.meet = MeetService(peers)
        self.feeds = Feeds(
            peers,
            blobs,
            store,
            identity,
            lambda: tickets.encode(tickets.Ticket(meeting.address(), meeting.name())),
            wall=wall,
        )
        self.codes = Codes(peers, trust, blobs, store, meeting, self.meet, wall=wall)
        self.library = Library(store, library, trust, data_dir, wall=wall, busy=partial(moving, blobs))
        self.folders_for: Callable[[PeerId], frozenset[int]] = self.library.folders_for
        self.content = ContentService(
            peers, blobs, library, lambda peer: self.folders_for(peer), self.safety.blocks_content
        )
        self.finding = Finding(
            peers,
            trust,
            self.library,
            library,
            self.safety,
            self.content.offer_folder,
            blobs.upload_room,
            blobs.places,
        )
        self.search, self.browse = self.finding.search, self.finding.browse
        self.getting = Getting(peers, blobs, self.content, self.browse, data_dir, preview_bytes)
        self.networks = networks
        self.network_finder = NetworkFinder(
            peers.peer,
            networks,
            blocked=self._blocked,
            friend=self.finding.friend,
            name=self.finding.name,
            here=lambda peer: peers.session(peer) is not None,
        )
        self.search.add_finder(self.network_finder)
        self.holders = Holders(
            peers.peer,
            networks,
            known=self._have,
            here=lambda peer: peers.session(peer) is not None,
            blocked=self._blocked,
        )
        self.publishing = NetworkPublishing(
            library, networks, self._for_networks, self._links, self.safety.blocks_content
        )
        self.sourcing = Sourcing(peers, networks, blobs.transfers, self._blocked)
        self.possession = Possession(
            peers, library, lambda peer: self.folders_for(peer), self.safety.blocks_content
        )
        self.kept_wishes = KeptWishes(peers, library, self.finding.shown, self.safety.blocks_content)
        self.wishes = Wishes(
            peers,
            store,
            self.search,
            self.getting.content,
            self.browse.known,
            friend=self.finding.friend,
            name=self.finding.name,
            hides=self.safety.hides,
            wall=wall,
            networks=networks,
            blocked=self._blocked,
        )

    async def open(self) -> None:
        """Load what is remembered. The node's store is open already."""
        if (trouble := await self.library_store.open_or_begin_anew()) is not None:
            log.warning("%s", trouble)
        await self.library.open()
        await self.safety.open()
        self.meet.open()
        await self.codes.open()
        await self.feeds.open()
        await self.wishes.open()
        self.kept_wishes.open()
        for grew in (self.wishes.grew, self.kept_wishes.grew):
            self.library.on_change(grew)
            self.search.on_new(grew)
        self.trust.on_change(self.kept_wishes.grew)
        self.content.open()
        self.possession.open()
        self.networks.use_prover(self._proves)
        for changes in (
            self.library.on_change, self.networks.on_change, self.blobs.on_change, self.safety.on_change,
        ):  # fmt: skip
            changes(self.publishing.changed)
        self.trust.on_change(self.publishing.changed)
        self.content.stale = self.library.look_at
        self.content.copied_from = self._seen_by_all
        self.library.on_change(self.content.changed)
        self.blobs.refuse_with(lambda one: self.safety.blocks_any(file.root for file in one.files))
        self.blobs.leave_out(self.safety.blocks_content)
        self.safety.on_change(self.blobs.check_rights)

    async def run(self) -> None:
        """Until cancelled or closed."""
        if self._closed:  # before it began
            return
        async with asyncio.TaskGroup() as tasks:
            self._main = tasks.create_task(self._run(), name="share")

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.library.run(), name="library")
            tasks.create_task(self.finding.run(), name="finding")
            tasks.create_task(self.holders.run(), name="who has what")
            tasks.create_task(self.codes.run(), name="codes")
            tasks.create_task(self.feeds.run(), name="feeds")
            tasks.create_task(self.wishes.run(), name="wishes")
            tasks.create_task(self.kept_wishes.run(), name="wishes of others")
            tasks.create_task(self.getting.run(), name="previews")
            tasks.create_task(self.content.run(), name="content")
            tasks.create_task(self.publishing.run(), name="what networks know of us")
            tasks.create_task(self.sourcing.run(), name="sources in the networks")

    def _blocked(self, peer: PeerId) -> bool:
        contact = self.trust.contact(peer)
        return contact is not None and contact.blocked

    def _for_networks(self) -> list[Shelf]:
        """The folders that every member of a network of ours may see."""
        if not self._is_for_networks(wire.SERVICE):
            return []
        seen = self._seen_by_all()
        return [shelf for shelf in self.finding.shown(None) if shelf.id in seen]

    def _is_for_networks(self, service: str) -> bool:
        """Whether members of our networks may use it at all."""
        name = service.partition("/")[0]
        return all(
            grant.audience in ("network", "everyone")
            for grant in self.trust.grants()
            if grant.service.partition("/")[0] == name
        )

    def _links(self) -> list[Item]:
        """What others get of us by its link: what was sent, and what is here whole."""
        return [network_items.of_link(one) for one in self._served()] if self._is_for_networks(GRANT) else []

    def _served(self) -> list[bytes]:
        """The links that this node serves, by their infohashes."""
        sent = [one.infohash for one in self.blobs.shares() if one.state == "ready"]
        fetched = [one.infohash for one in self.blobs.transfers() if _whole(one)]
        return [one for one in dict.fromkeys([*sent, *fetched]) if one is not None]

    async def _have(self, contents: Sequence[bytes]) -> set[bytes]:
        """Which of these contents and links (`network_items.linked`) are here."""
        links = {network_items.linked(one) for one in self._served()}
        return await self.browse.known(contents) | links & set(contents)

    async def _proves(self, peer: PeerId, one: Item) -> bool | None:
        """Whether `peer` has what it offers; None for a link, which only those can try who have it."""
        if network_items.LINKED in one.tags:
            return None
        return await self.possession.prove(peer, one.content, one.size)

    def _seen_by_all(self) -> frozenset[int]:
        """The folders that everybody sees who may fetch from us at all."""
        return frozenset(one.id for one in self.library.folders() if one.settings.audience == "network")

    async def close(self) -> None:
        """Stop every part; the files of others stay with `blobs`."""
        self._closed = True
        self.finding.close()
        await self.feeds.close()
        await self.codes.close()
        self.kept_wishes.close()
        await self.wishes.close()
        self.meet.close()
        self.content.close()
        self.possession.close()
        self.safety.close()
        await self.library.close()
        if self._main is not None:  # nobody asks a database that is closed
            self._main.cancel()
            await asyncio.wait([self._main])
        await self.library_store.close()


def _whole(one: TransferView) -> bool:
    return one.direction == "down" and one.state == "complete" and not one.preview
