"""Networks, roles and searches through them in the API's words: the real node's."""

from __future__ import annotations

from servent.api import schema
from servent.api import schema_network as network
from servent.api.part import Part
from servent.api.who import meant
from servent.errors import UsageError
from servent.identity import PeerId
from servent.query.words import shown
from servent.trust.views import NetworkView

NAME = 64  # characters of a name that somebody gave to something


class NetworkPart(Part):
    """`NetworkFace` over a `Node`."""

    # -- my networks

    def networks(self) -> list[network.Network]:
        online: dict[bytes, int] = {}
        for peer in self._node.peers.view():
            if peer.since is not None:
                for key in peer.networks:
                    online[bytes(key)] = online.get(bytes(key), 0) + 1
        return [self._network(view, online.get(view.key, 0)) for view in self._node.trust.networks()]

    def _network(self, view: NetworkView, online: int) -> network.Network:
        return network.Network(
            id=view.id,
            name=view.name,
            open=view.policy == "open",
            admin=view.admin,
            members=view.members,
            online=online,
            created=view.joined,
            mode=view.mode,
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
        made = await self._node.trust.create_network(name, open=open, mode=mode or "p2p")
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

    def _name(self, peer: PeerId) -> str:
        return self._node.name if peer == self._node.peer else self._node.share.finding.name(peer)

    async def revoke_member(self, name: str, peer: str) -> None:
        await self._node.trust.remove_member(name, meant(self._node, peer))

    # -- modes and shape

    async def set_mode(self, name: str, change: network.ModeChange) -> network.Network:
        view = self._node.trust.network(name)
        await self._node.trust.change_settings(view.key, mode=change.mode)
        return self._row(view.id)

    def shape(self, name: str) -> network.NetworkShape:
        return network.NetworkShape(network=self._row(name))

    def roles(self) -> list[schema.Role]:
        return []

    async def set_role(self, change: network.RoleChange) -> None:
        raise UsageError("this node carries no roles yet")
