"""One node: builds every room, owns the top TaskGroup, starts and stops them in order.

    async with Node(Path("~/.local/share/servent")) as node:
        node.serve("myapp/1", handler)
        stream = await node.open(peer, "myapp/1")

Rooms start from the ground up and stop from the top down, so that a service never meets a network that is
gone already. Leaving the block closes everything; nothing of the node outlives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from servent import keyfile
from servent.blobs.queueing import Queue
from servent.blobs.service import Blobs
from servent.cluster.service import Clusters
from servent.config import PUBLIC_RELAYS, Config, default_download_dir, load
from servent.errors import ServentError, UsageError
from servent.grid.service import FILE as GRID_FILE
from servent.grid.service import Grid
from servent.identity import PeerId
from servent.net import endpoint as iroh_endpoint
from servent.net import ticket as tickets
from servent.net.channel import Channel
from servent.net.lan import Lan
from servent.net.links import Endpoint, PeerAddress, Stream
from servent.net.peers import Peers
from servent.net.pkarr_http import use_http
from servent.net.public_relays import PublicRelays
from servent.net.reach_service import ReachService
from servent.net.relay.role_service import RelayRole, everyone
from servent.net.rendezvous_service import Rendezvous
from servent.net.router import Handler
from servent.net.settings import PeersSettings
from servent.net.wire import Profile
from servent.overlay.items_service import FILE as ITEMS_FILE
from servent.overlay.items_service import Items
from servent.overlay.meeting_service import MeetingPoints
from servent.overlay.service import Overlay
from servent.overlay.topology import Wish
from servent.share.rendezvous_service import Meeting
from servent.share.service import LIBRARY_FILE, Share
from servent.share.wire import SERVICE as SHARES
from servent.store import Store
from servent.talk.rooms_service import Rooms
from servent.talk.service import FILE as TALK_FILE
from servent.talk.service import Talk
from servent.tasks import Running
from servent.torrent import session as torrent_session
from servent.torrent.dht_provider import DhtProvider
from servent.torrent.files_service import TorrentFiles
from servent.torrent.seeding_rows import Enough
from servent.torrent.seeding_service import Seeding
from servent.torrent.service import Torrents
from servent.torrent.settings import settings_of
from servent.trust.service import TrustService

if TYPE_CHECKING:
    from servent.net.relay.server import RelayServer

log = logging.getLogger("servent.node")

KEY_FILE = "identity.key"
STORE_FILE = "node.db"
STOP_LIMIT = 3.0  # s for everything to end by itself; then it is cancelled

OpenEndpoint = Callable[..., Awaitable[Endpoint]]


@dataclass(frozen=True, slots=True)
class Joined:
    """What came of a ticket. `reason` says why they were not reached yet; the node goes on trying."""

    peer: PeerId
    network: str | None
    connected: bool
    reason: str = ""


class Node:
    """A full peer on `data_dir`. Use it as an async context manager, on one event loop.

    Args:
        data_dir: everything it keeps; made with mode 0700 when missing. One node per directory.
        config: None reads `data_dir`/config.toml.
        open_endpoint: how our end of the network is opened; tests give a simulated one.
        peers: times and limits of connections.
        wall: the wall clock, for what outlives the process.
    """

    def __init__(
        self,
        data_dir: Path,
        config: Config | None = None,
        *,
        open_endpoint: OpenEndpoint = iroh_endpoint.bind,
        peers: PeersSettings | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.data_dir = data_dir.expanduser().absolute()
        self._given = config
        self._open_endpoint = open_endpoint
        self._peers_settings = peers
        self._wall = wall
        self._end = contextlib.AsyncExitStack()
        self._role: RelayRole | None = None
        self._relays: list[str] = []
        self.lan: Lan | None = None

    # -- life

    async def __aenter__(self) -> Self:
        async with self._end as end:  # whatever opened is closed again when something later fails
            await self._start(end)
            self._end = end.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._end.__aexit__(kind, error, trace)

    async def _start(self, end: contextlib.AsyncExitStack) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.config = config = self._given or load(self.data_dir)
        self.identity = await asyncio.to_thread(keyfile.load_or_create, self.data_dir / KEY_FILE)
        self.store = Store(self.data_dir / STORE_FILE)
        self.trust = TrustService(self.store, self.identity, wall=self._wall)
        self._relays = relays = [url for url in config.net.relays if url != PUBLIC_RELAYS]
        self.endpoint = await self._open_endpoint(self.identity, bind=config.net.bind, relays=relays)
        end.push_async_callback(self.endpoint.close)
        self.peers = Peers(
            self.endpoint,
            self.trust,
            self._profile,
            store=self.store,
            settings=self._peers_settings,
            wall=self._wall,
        )
        self.reach = ReachService(self.endpoint, self.peers)
        self.rendezvous = Rendezvous(
            self.identity, self.endpoint, self.peers, self.trust, show=config.rendezvous.show, wall=self._wall
        )
        self.torrent_session = torrent_session.Session(
            self.data_dir,
            settings_of(config.torrent, bind=config.net.bind, lan=config.net.lan, dht=self._wants_dht()),
            reached=lambda: self.reach.view().nat == "public",
        )
        self.items = Items(self.data_dir / ITEMS_FILE, wall=self._wall)
        self.overlay = Overlay(
            self.peers,
            self.trust,
            self.store,
            self.identity,
            self.endpoint,
            self.items,
            reach=self.reach,
            open_endpoint=self._open_endpoint,
            wishes=msgspec.structs.asdict(config.roles),
            carries=lambda: ["relay"] if self.relay is not None else [],
            up=lambda: self.blobs.speeds()[0],
            up_limit=lambda: self.blobs.limits().up_bytes_per_s or 0.0,
            wall=self._wall,
        )
        self.meetings = MeetingPoints(self.overlay, self.trust, self.rendezvous, self.peers, wall=self._wall)
        use_http(
            self.rendezvous,
            self.peers,
            self._relays if config.rendezvous.relays else None,
            config.rendezvous.servers,
            iroh_endpoint.public_relays(),
        )
        self.blobs = Blobs(
            self.peers,
            self.trust,
            self.store,
            config.blobs,
            self.download_dir,
            queue=Queue.of(config.queue),
            wall=self._wall,
        )
        self.torrents = Torrents(self.torrent_session, self.blobs, self.data_dir, on=config.torrent.enabled)
        self.seeding = Seeding(
            self._bittorrent,
            self.blobs,
            self.store,
            self.data_dir / "torrents",
            enough=Enough(config.torrent.seed_ratio, config.torrent.seed_hours * 3600),
            wall=self._wall,
        )
        self.torrent_files = TorrentFiles(self.data_dir, self.blobs)
        self.torrents.kept = self.torrent_files.kept
        self.torrents.keep_seeding, self.torrents.others = self.seeding.take, self.seeding.views
        self.torrents.active_seeds, self.torrents.limit_seeds = self.seeding.active, self.seeding.limit
        self.share = Share(
            self.peers,
            self.trust,
            self.blobs,
            self.store,
            Store(self.data_dir / LIBRARY_FILE),
            self.data_dir,
            self.identity,
            Meeting(
                self._open_endpoint,
                lambda: [
                    *relays,
                    *(iroh_endpoint.public_relays() if PUBLIC_RELAYS in config.net.relays else ()),
                ],
                config.net.lan,
                lambda: self.name,
                self.endpoint.address,
            ),
            networks=self.overlay,
            wall=self._wall,
            preview_bytes=config.blobs.preview_cache_bytes,
        )
        self.talk = Talk(
            self.peers,
            self.trust,
            Store(self.data_dir / TALK_FILE),
            my_name=lambda: self.name,
            make_rooms=lambda shelf: Rooms(
                self.peers, self.overlay, self.trust, self.identity, shelf, wall=self._wall
            ),
            settings=config.talk,
            shares=lambda session: SHARES in session.profile.services,
            wall=self._wall,
        )
        self.grid = Grid(
            self.peers,
            self.trust,
            self.blobs,
            Store(self.data_dir / GRID_FILE, durable=True),
            self.data_dir,
            self.identity,
            settings=lambda: self.config.grid,
            my_name=lambda: self.name,
            address=self.endpoint.address,
            engaged=lambda: "a match is on" if self.talk.my_presence().doing else "",
            wall=self._wall,
        )
        self.clusters = Clusters(
            self.peers,
            self.trust,
            self.store,
            self.identity,
            self.data_dir / "clusters",
            my_name=lambda: self.name,
            address=self.endpoint.address,
            allowed=lambda: self.grid.lending.verdict(),
            lent=lambda: self.grid.lending.policy().cores,
            lends=lambda: self.config.grid.lend,
            reached=self._reached,
            settings=lambda: self.config.cluster,
            wall=self._wall,
        )
        await end.enter_async_context(self.store)
        await self.trust.open()
        await self.items.open()
        end.push_async_callback(self.items.close)
        await self.overlay.open()
        await self.blobs.open()
        await self.torrents.open()
        await self.seeding.open()
        self.blobs.on_change(self._seed_as_it_holds)
        self.share.finding.compare = config.share.compare
        await self.share.open()
        await self.talk.open()
        await self.grid.open()
        await self.clusters.open()
        self.grid.on_change(lambda topic: self.clusters.lending_changed() if topic == "lending" else None)
        tasks = await end.enter_async_context(Running())
        end.push_async_callback(self.torrent_session.close)
        end.push_async_callback(self.peers.close)
        end.push_async_callback(self.blobs.close)
        end.push_async_callback(self.torrents.close)
        end.push_async_callback(self.seeding.close)
        end.push_async_callback(self.overlay.close)
        end.push_async_callback(self.share.close)
        end.push_async_callback(self.talk.close)
        end.push_async_callback(self.grid.close)
        end.push_async_callback(self.clusters.close)
        tasks.start(self.peers.run(), "peers")
        await self.peers.ready.wait()
        tasks.start(self.reach.run(), "reach")
        tasks.start(self.blobs.run(), "blobs")
        tasks.start(self.share.run(), "share")
        tasks.start(self.items.run(), "items of others")
        tasks.start(self.overlay.run(), "overlay")
        tasks.start(self.talk.run(), "talk")
        tasks.start(self.grid.run(), "grid")
        tasks.start(self.clusters.run(), "clusters")
        tasks.start(self.torrent_session.run(), "libtorrent")
        tasks.start(self.torrents.run(), "BitTorrent")
        tasks.start(self.seeding.run(), "seeding to BitTorrent")
        if self.torrent_session.settings.uses_dht:
            self.rendezvous.add_provider(DhtProvider(self.torrent_session))
        tasks.start(self.rendezvous.run(), "rendezvous")
        tasks.start(self.meetings.run(), "meeting points")
        self._role = self._relay_role(tasks)
        end.push_async_callback(self._role.close)
        await self._wished("relay", config.roles.relay)
        self.overlay.on_wish(self._wished)
        if PUBLIC_RELAYS in config.net.relays:
            tasks.start(PublicRelays(self.endpoint, relays).run(), "public relays")
        if config.net.lan:
            self.lan = Lan(self.peer, self.endpoint.local_addresses, self.peers.nearby)
            tasks.start(self.lan.run(), "local network")
        self.started = asyncio.get_running_loop().time()
        log.info("node %s is up", self.peer.short)

    def _bittorrent(self) -> torrent_session.Session:
        """Where torrents go. Raises UsageError: the door is closed."""
        if not self.config.torrent.enabled:
            raise UsageError("the door to BitTorrent is closed", advice="Set torrent.enabled to open it.")
        return self.torrent_session

    def _seed_as_it_holds(self) -> None:
        """When nothing may move, nothing is seeded; and a share may have gone."""
        self.seeding.hold(self.blobs.in_force()[1])
        self.seeding.shares_changed()

    def _reached(self) -> tuple[list[str], list[str]]:
        """Where processes of clusters listen, on the addresses of this node and ports of their own, and their relays."""
        sockets = [f"{bound.rpartition(':')[0]}:0" for bound in self.config.net.bind]
        public = iroh_endpoint.public_relays() if PUBLIC_RELAYS in self.config.net.relays else []
        return sockets[:2], [*self._relays, *public][:8]

    def _wants_dht(self) -> bool:
        """As set; "auto" is: where other public places may know of us, too."""
        wish = self.config.rendezvous.dht
        if wish == "off" or (wish == "auto" and PUBLIC_RELAYS not in self.config.net.relays):
            return False
        if not torrent_session.installed():
            if wish == "on":
                log.warning("no DHT: %s. %s", torrent_session.NOT_INSTALLED, torrent_session.HOW_TO_INSTALL)
            return False
        return True

    def _relay_role(self, tasks: Running) -> RelayRole:
        wanted, known = self.config.relay, self.config.relay.open_to == "known"
        return RelayRole(
            self.endpoint,
            self._relays,
            hosts=wanted.hosts,
            port=wanted.port,
            public_url=wanted.public_url,
            allow=self._is_known if known else everyone,
            keeps=self._keeps_for if known else everyone,
            start=tasks.start,
        )

    async def _wished(self, name: str, wish: Wish) -> None:
        """The person here wishes for a role that the overlay does not carry itself."""
        if name == "relay" and self._role is not None:
            await self._role.wish(wish == "on")

    @property
    def relay(self) -> RelayServer | None:
        """Our own relay server, while we carry that role."""
        return None if self._role is None else self._role.server

    def _is_known(self, peer: PeerId) -> bool:
        contact = self.trust.contact(peer)
        if contact is not None:
            return not contact.blocked
        return self.peers.session(peer) is not None

    def _keeps_for(self, key: PeerId) -> bool:
        """Whose signed records our relay keeps, when it is for those we know: theirs, ours, and our networks'."""
        return key == self.peer or self._is_known(key) or self.meetings.ours(key)

    # -- who we are

    @property
    def peer(self) -> PeerId:
        return self.identity.peer

    @property
    def name(self) -> str:
        """What others see: the setting, else the login name."""
        if self.config.node.name:
            return self.config.node.name
        try:
            return getpass.getuser()[:64]
        except (KeyError, OSError):
            return "servent"

    @property
    def download_dir(self) -> Path:
        named = self.config.node.download_dir
        return Path(named).expanduser().absolute() if named else default_download_dir()

    def _profile(self) -> Profile:
        return Profile(
            name=self.name,
            software="",
            roles=self.overlay.carried(),
            services=self.peers.services()[:32],
            bulk=self.blobs.bulk(),
        )

    # -- for apps

    def serve(self, service: str, handler: Handler, *, audience: str = "friends") -> None:
        """Let `handler(session, stream)` answer every peer that opens `service`. See `Peers.serve`."""
        self.peers.serve(service, handler, audience=audience)

    async def open(self, peer: PeerId, service: str, timeout: float = 15.0) -> Stream:
        """A stream to `service` of `peer`, connecting first if need be. See `Peers.open`."""
        return await self.peers.open(peer, service, timeout)

    def channel(self, peer: PeerId, service: str) -> Channel:
        """Datagrams to and from `service` of a peer we are connected to.

        Raises:
            UsageError: we are not; `open` a stream first.
        """
        session = self.peers.session(peer)
        if session is None:
            raise UsageError(f"not connected to {peer.short}", advice="Open a stream to them first.")
        return session.channel(service)

    # -- letting people in

    async def ticket(self, *, once: bool = False, lifetime: float | None = None) -> str:
        """A `servent:` line: whoever joins with it becomes a contact and friend.

        Args:
            once: good for one person.
            lifetime: seconds; None for a week.
        """
        secret = await self.trust.issue_ticket_secret(1 if once else None, **_given(lifetime=lifetime))
        return tickets.encode(tickets.Ticket(await self.address(), self.name, secret))

    async def invite(self, network: str, *, uses: int | None = 1, lifetime: float | None = None) -> str:
        """A `servent:` line that lets `uses` people into `network`, with our address to begin at."""
        invitation = await self.trust.invite(network, uses=uses, **_given(lifetime=lifetime))
        return tickets.encode(tickets.Ticket(await self.address(), self.name, None, invitation))

    async def join(self, text: str, timeout: float | None = None) -> Joined:
        """Accept a ticket or an invitation and connect to whoever gave it.

        What it lets us into stays, even when they are not there now: the node goes on trying.

        Raises:
            UsageError: damaged, forged, expired, or our own.
        """
        ticket = tickets.decode(text)
        if ticket.address.peer == self.peer:
            raise UsageError("this ticket is your own", advice="Send it to somebody else.")
        network = None
        if ticket.invitation is not None:
            network = (await self.trust.accept_invitation(ticket.invitation)).name
        if ticket.secret is not None:
            await self.trust.add_contact(ticket.address.peer, friend=True)
        self.peers.remember(ticket.address)
        try:
            await self.peers.connect(
                ticket.address, secret=ticket.secret, timeout=timeout or self.config.net.connect_timeout
            )
        except UsageError:
            raise
        except ServentError as error:
            return Joined(ticket.address.peer, network, False, str(error))
        return Joined(ticket.address.peer, network, True)

    async def address(self, settle: float = 2.0) -> PeerAddress:
        """Where we can be reached; waits up to `settle` s for a relay when we have one but no home yet."""
        deadline = asyncio.get_running_loop().time() + settle
        while self.config.net.relays != [] and self.endpoint.address().relay is None:
            if asyncio.get_running_loop().time() >= deadline or not self._expects_relay():
                break
            await asyncio.sleep(0.05)
        return self.endpoint.address()

    def _expects_relay(self) -> bool:
        return self.relay is not None or any(url != PUBLIC_RELAYS for url in self.config.net.relays)


def _given(**values: Any) -> dict[str, Any]:
    """Only what is not None, so that the callee's own defaults hold."""
    return {name: value for name, value in values.items() if value is not None}
