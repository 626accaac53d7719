"""The real node in the API's words: views become Structs, names become peers, flags become settings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

import servent
from servent import config as configuration
from servent import keyfile
from servent.api import pinging, reach_checks, schema
from servent.api.adapter_cluster import ClusterPart
from servent.api.adapter_files import Files
from servent.api.adapter_grid import GridPart
from servent.api.adapter_holders import HoldersPart
from servent.api.adapter_network import NetworkPart
from servent.api.adapter_share import SharingFace
from servent.api.adapter_talk import TalkPart
from servent.api.adapter_torrent import TorrentPart
from servent.api.daemon_options import Options
from servent.api.face import Face
from servent.api.who import meant
from servent.errors import NotFound, Refused, UsageError
from servent.identity import PeerId
from servent.net.reach import ReachView
from servent.net.views import PeerView
from servent.node import Node
from servent.trust.contacts import TICKET_LIFETIME

RATE_WINDOW = 1.0  # s between two looks at a peer's counters
PING_TIMEOUT = 15.0  # s to connect, if need be


def configure(options: Options) -> configuration.Config:
    """The file's settings with what the command line says in their place, for this run only."""
    config = configuration.load(options.data_dir)
    if options.mode is not None:
        configuration.use_preset(config, options.mode)
    changes: list[tuple[msgspec.Struct, str, object]] = [
        (config.node, "name", options.name),
        (config.node, "download_dir", options.download_dir),
        (config.net, "relays", options.relays),
        (config.net, "bind", options.bind),
        (config.net, "lan", options.lan),
        (config.rendezvous, "dht", {None: None, True: "on", False: "off"}[options.dht]),
        (config.torrent, "enabled", options.torrent),
        (config.roles, "relay", {True: "on", False: "off", None: None}[options.relay_server]),
        (config.relay, "port", options.relay_port),
        (config.relay, "public_url", options.relay_url),
        (config.blobs, "bulk_port", options.bulk_port),
    ]
    for part, name, value in changes:
        if value is not None:
            setattr(part, name, value)
    return configuration.parse(msgspec.to_builtins(config), "the command line")


@asynccontextmanager
async def open_node(options: Options) -> AsyncIterator[Face]:
    """A running node on `options.data_dir`."""
    async with Node(options.data_dir, configure(options)) as node:
        node.serve(pinging.SERVICE, pinging.answer, audience="everyone")
        yield NodeFace(node)


class NodeFace(Files, SharingFace, NetworkPart, HoldersPart, TalkPart, TorrentPart, GridPart, ClusterPart):
    """`Face` over a `Node`."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._counters: dict[PeerId, tuple[float, int, int, float, float]] = {}

    @property
    def data_dir(self) -> Path:
        return self._node.data_dir

    def status(self) -> schema.Status:
        node = self._node
        peers = [peer for peer in node.peers.view() if peer.since is not None]
        moving = node.blobs.sums()
        return schema.Status(
            id=str(node.peer),
            short_id=node.peer.short,
            name=node.name,
            version=servent.__version__,
            uptime=0.0,
            data_dir=str(node.data_dir),
            download_dir=str(node.download_dir),
            api_url="",
            networks=[network.name for network in node.trust.networks()],
            reach=self.reach(),
            peers=schema.PeerCounts(
                total=len(peers),
                direct=sum(peer.path == "direct" for peer in peers),
                relayed=sum(peer.path == "relayed" for peer in peers),
            ),
            transfers=schema.TransferCounts(active=moving.active, waiting=moving.waiting, done=moving.done),
            up_bytes_per_s=moving.up_bytes_per_s,
            down_bytes_per_s=moving.down_bytes_per_s,
        )

    def id(self) -> schema.NodeId:
        me = self._node.peer
        return schema.NodeId(id=str(me), short_id=me.short, name=self._node.name, uri=f"servent-id:{me}")

    async def backup_id(self, passphrase: str) -> str:
        return (await asyncio.to_thread(keyfile.backup, self._node.identity, passphrase)).decode("ascii")

    def reach(self) -> schema.ReachStatus:
        view = self._node.reach.view()
        return schema.ReachStatus(
            summary=view.summary,
            nat=view.nat,
            ipv4=reach_checks.has_address(view.ipv4),
            ipv6=reach_checks.has_address(view.ipv6),
            addresses=list(view.addresses),
            observed=sorted({seen.address for seen in view.observers if seen.address}),
            relay=view.relay,
            relayed_because=view.cause or None,
            remedies=list(view.remedies),
        )

    async def doctor(self) -> schema.Doctor:
        return await reach_checks.examine(self._node)

    # tickets

    async def ticket(self, *, once: bool, lifetime: float | None) -> schema.Ticket:
        text = await self._node.ticket(once=once, lifetime=lifetime)
        return schema.Ticket(ticket=text, expires=time.time() + (lifetime or TICKET_LIFETIME))

    async def join(self, text: str) -> schema.Joined:
        joined = await self._node.join(text)
        return schema.Joined(
            kind="contact" if joined.network is None else "network",
            peer=str(joined.peer),
            network=joined.network,
            connected=joined.connected,
            reason=joined.reason,
        )

    # peers

    def peers(self) -> list[schema.Peer]:
        names = {network.key: network.name for network in self._node.trust.networks()}
        now, wall = asyncio.get_running_loop().time(), time.time()
        view = self._node.peers.view()
        gone = self._counters.keys() - {peer.id for peer in view}
        for peer in gone:
            del self._counters[peer]
        reach = self._node.reach.view()
        return [self._peer(peer, names, now, wall, reach) for peer in view]

    def _reason(self, view: PeerView, reach: ReachView) -> str:
        """Why it is not direct; empty when it is."""
        if view.path != "relayed" or view.reason.startswith("connected"):
            return "" if view.reason == "direct" else view.reason
        return reach_checks.why(self._node, view, reach).text

    def _peer(
        self, view: PeerView, names: dict[bytes, str], now: float, wall: float, reach: ReachView
    ) -> schema.Peer:
        contact = self._node.trust.contact(view.id)
        up, down = self._rates(view, now)
        return schema.Peer(
            id=str(view.id),
            short_id=view.id.short,
            name=view.name,
            petname=view.petname,
            path=view.path,
            rtt_ms=reach_checks.ms(view.rtt),
            address=view.address,
            networks=sorted(names[key] for key in map(bytes, view.networks) if key in names),
            friend=view.friend if contact is None else contact.friend and not contact.blocked,
            blocked=contact is not None and contact.blocked,
            connected=view.since is not None,
            since=None if view.since is None else round(wall - (now - view.since), 1),
            sent_bytes=view.sent_bytes,
            received_bytes=view.received_bytes,
            up_bytes_per_s=round(up),
            down_bytes_per_s=round(down),
            software=view.software,
            reason=self._reason(view, reach),
        )

    def _rates(self, view: PeerView, now: float) -> tuple[float, float]:
        """Bytes per second to and from a peer since the last look."""
        if view.since is None:
            self._counters.pop(view.id, None)
            return 0.0, 0.0
        then, sent, received, up, down = self._counters.get(
            view.id, (now, view.sent_bytes, view.received_bytes, 0.0, 0.0)
        )
        passed = now - then
        if passed >= RATE_WINDOW:
            up = max(0.0, (view.sent_bytes - sent) / passed)
            down = max(0.0, (view.received_bytes - received) / passed)
            then, sent, received = now, view.sent_bytes, view.received_bytes
        self._counters[view.id] = (then, sent, received, up, down)
        return up, down

    def _resolve(self, text: str, *, by_their_name: bool = False) -> PeerId:
        """Whom `text` means. What peers call themselves counts only where a mix-up does no harm."""
        try:
            return meant(self._node, text)
        except UsageError:
            found = [peer.id for peer in self._node.peers.view() if peer.name == text]
            if by_their_name and len(found) == 1:
                return found[0]
            raise

    async def ping(self, peer: str, count: int) -> schema.PingResult:
        whom = self._resolve(peer, by_their_name=True)
        node = self._node
        samples: list[float | None] = []
        stream = await node.peers.open(whom, pinging.SERVICE, PING_TIMEOUT)
        try:
            samples = await pinging.measure(stream, count)
        except Refused:  # a node that does not serve it: the session's own echoes tell as well
            session = node.peers.session(whom)
            samples = [session.rtt] if session is not None and session.rtt is not None else [None]
        view = next((one for one in node.peers.view() if one.id == whom), None)
        return schema.PingResult(
            id=str(whom),
            name="" if view is None else view.petname or view.name,
            rtts_ms=[round(sample * 1000, 3) for sample in samples if sample is not None],
            lost=sum(sample is None for sample in samples),
            path=None if view is None else view.path,
            address=None if view is None else view.address,
        )

    async def change_peer(self, peer: str, change: schema.PeerChange) -> schema.Peer:
        whom = self._resolve(peer)
        trust = self._node.trust
        if change.petname is not None:
            await trust.set_petname(whom, change.petname or None)
        if change.blocked is not None:
            if change.blocked:
                await trust.block(whom)
            elif trust.contact(whom) is not None:
                await trust.unblock(whom)
        if change.friend is not None:
            await trust.set_friend(whom, change.friend)
        found = next((one for one in self.peers() if one.id == str(whom)), None)
        contact = trust.contact(whom)
        return found or schema.Peer(
            id=str(whom),
            short_id=whom.short,
            petname=contact.petname if contact else None,
            friend=contact is not None and contact.friend,
            blocked=contact is not None and contact.blocked,
            reason="not connected",
        )

    async def forget_peer(self, peer: str) -> None:
        whom = self._resolve(peer)
        node = self._node
        session = node.peers.session(whom)
        if node.trust.contact(whom) is not None:
            await node.trust.remove(whom)
        node.peers.forget(whom)
        if session is not None:
            await session.close("forgotten")

    def grants(self) -> list[schema.Grant]:
        held = {
            grant.service: grant for grant in self._node.trust.grants()
        }  # one for all versions stands once
        return [
            schema.Grant(
                service=grant.service,
                audience=grant.audience,
                peers=sorted(str(peer) for peer in grant.peers),
            )
            for grant in held.values()
        ]

    async def set_grant(self, grant: schema.Grant) -> None:
        known = self._services()
        if grant.service not in known:
            raise NotFound(
                f"this node has no service {grant.service[:64]!r}",
                advice=f"It has {', '.join(sorted(known))}.",
            )
        named = [self._resolve(peer) for peer in grant.peers]
        await self._node.trust.grant(grant.service, grant.audience, named)

    async def unset_grant(self, service: str) -> None:
        await self._node.trust.ungrant(service)

    def _services(self) -> set[str]:
        """Names a grant may have: "myapp/1" for a version, "myapp" for all; what is granted already counts."""
        names = {*self._node.peers.services(), *(grant.service for grant in self._node.trust.grants())}
        return names | {name.partition("/")[0] for name in names}
