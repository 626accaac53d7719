"""Networks, their members and shape, and roles in the API's words: the real node's."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib

import msgspec

from servent.api import reach_checks, schema, settings
from servent.api import schema_network as network
from servent.api.part import Part
from servent.api.role_words import NAME, SENTENCE, roles_of
from servent.api.who import meant
from servent.errors import DiskTrouble, NotFound, UsageError
from servent.identity import PeerId
from servent.overlay.views import NetworkShape, PeerInView
from servent.query.words import shown
from servent.trust.views import NetworkView

MOST_PEERS = 400  # of one network's shape; supernodes that are only known are left out first
REMOVED = "you were removed from this network by its founder; a new invitation lets you in again"
LINKS = ("home", "neighbour", "leaf", "supernode")


class NetworkPart(Part):
    """`NetworkFace` over a `Node`."""

    # -- my networks

    def networks(self) -> list[network.Network]:
        online: dict[bytes, int] = {}
        for peer in self._node.peers.view():
            if peer.since is not None:
                for key in peer.networks:
                    online[bytes(key)] = online.get(bytes(key), 0) + 1
        shapes = {shape.network: shape for shape in self._node.overlay.shapes()}
        return [
            self._network(view, online.get(view.key, 0), shapes.get(view.key))
            for view in self._node.trust.networks()
        ]

    def _network(self, view: NetworkView, online: int, shape: NetworkShape | None) -> network.Network:
        """`shape` is there a moment after the network is."""
        row = network.Network(
            id=view.id,
            name=view.name,
            open=view.policy == "open",
            admin=view.admin,
            members=view.members,
            online=online,
            created=view.joined,
            mode=view.mode,
            servers=[str(one) for one in view.servers] if view.mode == "server" else [],
            size=view.members,
            removed=view.removed,
            why=REMOVED if view.removed else "",
        )
        if shape is None or view.removed:
            return row
        return msgspec.structs.replace(
            row,
            index=shape.index,
            retiring=shape.retiring,
            why=shown(shape.why, SENTENCE),
            supernodes=shape.supernodes,
            size=max(view.members, shape.members),
        )

    def _row(self, name: str) -> network.Network:
        key = self._node.trust.network(name).id
        return next(row for row in self.networks() if row.id == key)

    async def create_network(
        self, name: str, *, open: bool, mode: schema.NetworkMode | None = None
    ) -> network.Network:
        if any(known.name == name for known in self._node.trust.networks()):
            raise UsageError(
                f"you are in a network called {name!r} already",
                advice="Take another name, or `servent invite` somebody into that one.",
            )
        made = await self._node.trust.create_network(name, open=open, mode=mode or "hybrid")
        return self._row(made.id)

    async def leave_network(self, name: str) -> None:
        await self._node.trust.leave(name)

    # -- invitations and members

    async def invite(self, name: str, *, uses: int | None, lifetime: float | None) -> network.Invitation:
        trust = self._node.trust
        view = trust.network(name)
        before = {issued.id for issued in trust.invitations(view.key)}
        text = await self._node.invite(view.name, uses=uses, lifetime=lifetime)
        made = next((issued for issued in trust.invitations(view.key) if issued.id not in before), None)
        if made is None:  # an open network has one invitation, which every member may pass on, without end
            return network.Invitation(id="open", network=view.name, invitation=text)
        return network.Invitation(
            id=made.id,
            network=view.name,
            invitation=text,
            uses=made.uses,
            expires=None if made.expires is None else float(made.expires),
        )

    async def invitations(self, name: str) -> list[network.Invitation]:
        view = self._node.trust.network(name)
        return [
            network.Invitation(
                id=issued.id,
                network=view.name,
                uses=issued.uses,
                used=issued.used,
                expires=None if issued.expires is None else float(issued.expires),
                revoked=issued.revoked,
            )
            for issued in self._node.trust.invitations(view.key)
        ]

    async def revoke_invitation(self, name: str, invitation: str) -> None:
        await self._node.trust.revoke(name, invitation)

    async def members(self, name: str) -> list[network.Member]:
        node = self._node
        view = node.trust.network(name)
        peers = {peer.id: peer for peer in node.peers.view()}
        supernodes = self._supernodes(view.key)
        found = []
        for member in node.trust.members(view.key):
            peer = peers.get(member.peer)
            called = node.name if member.me else member.petname or (peer.name if peer else "")
            # in a network by invitation its founder alone came by none
            founder = view.admin if member.me else view.policy == "invitation" and member.invitation is None
            found.append(
                network.Member(
                    id=str(member.peer),
                    short_id=member.peer.short,
                    name=shown(called, NAME),
                    admin=founder,
                    connected=member.me or (peer is not None and peer.since is not None),
                    since=member.seen,
                    me=member.me,
                    supernode=member.peer in supernodes,
                    invitation=member.invitation or "",
                )
            )
        here = {member.id for member in found}
        gone = [peer for peer in node.trust.removed(view.key) if str(peer) not in here]
        return found + [
            network.Member(
                id=str(peer), short_id=peer.short, name=shown(self._name(peer), NAME), revoked=True
            )
            for peer in gone
        ]

    def _supernodes(self, key: bytes) -> set[PeerId]:
        for shape in self._node.overlay.shapes():
            if shape.network == key:
                known = {peer.peer for peer in shape.peers if peer.supernode}
                return known | {self._node.peer} if shape.index else known
        return set()

    def _name(self, peer: PeerId) -> str:
        return self._node.name if peer == self._node.peer else self._node.share.finding.name(peer)

    async def revoke_member(self, name: str, peer: str) -> None:
        await self._node.trust.remove_member(name, meant(self._node, peer))

    # -- modes, shape and roles

    async def set_mode(self, name: str, change: network.ModeChange) -> network.Network:
        view = self._node.trust.network(name)
        if change.servers and change.mode != "server":
            raise UsageError(
                f"the mode {change.mode} has no servers", advice="Name servers with the mode server."
            )
        servers = list(dict.fromkeys(self._server(peer) for peer in change.servers))
        with contextlib.suppress(NotFound):  # joined this very moment: its member follows what trust says
            await self._node.overlay.set_mode(view.key, change.mode, [bytes(one) for one in servers])
        return self._row(view.id)

    def _server(self, text: str) -> PeerId:
        return self._node.peer if text.casefold() == "me" else meant(self._node, text)

    def shape(self, name: str) -> network.NetworkShape:
        view = self._node.trust.network(name)
        row = self._row(view.id)
        try:
            shape = self._node.overlay.shape(view.key)
        except NotFound:  # joined this very moment
            return network.NetworkShape(network=row)
        order = sorted(shape.peers, key=lambda peer: LINKS.index(peer.link))
        return network.NetworkShape(
            network=row,
            peers=[self._in_shape(peer) for peer in order[:MOST_PEERS]],
            more_peers=max(0, len(order) - MOST_PEERS),
            published=shape.published,
            to_publish=shape.to_publish,
            stored_items=shape.stored_items,
            stored_postings=shape.stored_postings,
            control_per_minute=shape.control_per_minute,
            questions=shape.questions,
            mine=shape.mine,
            searching=shown(shape.searching, SENTENCE),
        )

    def shaping(self) -> network.Shaping:
        ids = {view.key: view.id for view in self._node.trust.networks()}
        shapes = [shape for shape in self._node.overlay.shapes() if shape.network in ids]
        return network.Shaping(networks={ids[one.network]: _mark(one) for one in shapes}, roles=self.roles())

    def _in_shape(self, peer: PeerInView) -> network.NetworkPeer:
        path: schema.PathKind | None = (
            "direct" if peer.path == "direct" else "relayed" if peer.path == "relayed" else None
        )
        return network.NetworkPeer(
            id=str(peer.peer),
            short_id=peer.peer.short,
            name=shown(self._name(peer.peer) or peer.name, NAME),
            link=peer.link,
            supernode=peer.supernode,
            path=path,
            rtt_ms=reach_checks.ms(peer.rtt),
            leaves=peer.leaves,
            room=peer.room,
            retiring=peer.retiring,
        )

    def roles(self) -> list[schema.Role]:
        return roles_of(self._node)

    async def set_role(self, change: network.RoleChange) -> None:
        """In config.toml first: a wish that is forgotten at the next start is none.

        Raises DiskTrouble: config.toml cannot be written.
        """
        try:
            await asyncio.to_thread(
                settings.change, self._node.data_dir, {f"roles.{change.name}": change.wish}
            )
        except OSError as wrong:
            raise DiskTrouble(f"config.toml cannot be written: {wrong.strerror}") from wrong
        await self._node.overlay.set_role(change.name, change.wish)


def _mark(shape: NetworkShape) -> str:
    """The same as long as nothing that is drawn of a network changes but numbers."""
    lines = sorted(
        f"{peer.peer} {peer.name} {peer.link} {peer.path} {peer.supernode} {peer.retiring}"
        for peer in shape.peers
    )
    here = f"{shape.mode} {shape.index} {shape.retiring} {shape.servers}"
    return hashlib.blake2b("\n".join((here, *lines)).encode(), digest_size=8).hexdigest()
