"""The client's part that is about networks: one method for each of `face_network`, under the same names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from servent.api import schema
from servent.api.client_http import FIRST_LINE, Http, Later, part

if TYPE_CHECKING:
    from servent.api import schema_network as network
else:
    network = Later("servent.api.schema_network")

ASKING = 60.0  # s for what asks peers before it answers


class NetworkClient(Http):
    """Raises as `Client` does. `name` is a network's name or id."""

    def networks(self) -> list[network.Network]:
        return self._get("/networks", list[network.Network])

    def create_network(
        self, name: str, *, open: bool = False, mode: schema.NetworkMode | None = None
    ) -> network.Network:
        return self._send(
            "POST", "/networks", network.Network, network.NewNetwork(name=name, open=open, mode=mode)
        )

    def leave_network(self, name: str) -> None:
        self._send("DELETE", f"/networks/{part(name)}", schema.Done)

    def set_mode(
        self, name: str, mode: schema.NetworkMode, servers: list[str] | None = None
    ) -> network.Network:
        """`servers`: petnames or ids, for the mode "server"."""
        wish = network.ModeChange(mode=mode, servers=servers or [])
        return self._send("POST", f"/networks/{part(name)}/mode", network.Network, wish)

    def shape(self, name: str) -> network.NetworkShape:
        return self._get(f"/networks/{part(name)}/shape", network.NetworkShape)

    def invite(self, name: str, *, uses: int | None = 1, lifetime: float | None = None) -> network.Invitation:
        wish = network.InvitationRequest(uses=uses, lifetime=lifetime)
        return self._send("POST", f"/networks/{part(name)}/invitations", network.Invitation, wish)

    def invitations(self, name: str) -> list[network.Invitation]:
        return self._get(f"/networks/{part(name)}/invitations", list[network.Invitation])

    def revoke_invitation(self, name: str, invitation: str) -> None:
        self._send("DELETE", f"/networks/{part(name)}/invitations/{part(invitation)}", schema.Done)

    def members(self, name: str) -> list[network.Member]:
        return self._get(f"/networks/{part(name)}/members", list[network.Member])

    def revoke_member(self, name: str, peer: str) -> None:
        self._send("DELETE", f"/networks/{part(name)}/members/{part(peer)}", schema.Done)

    def roles(self) -> list[schema.Role]:
        return self._get("/roles", list[schema.Role])

    def set_role(self, name: schema.RoleName, wish: schema.RoleWish) -> list[schema.Role]:
        return self._send("PUT", "/roles", list[schema.Role], network.RoleChange(name=name, wish=wish))

    def who_has(
        self, link: str, *, network_name: str = "", limit: int = 200, wait: float = 8.0
    ) -> Iterator[network.HolderEvent]:
        """Events as they come, "done" last. Closing the iterator ends the search everywhere."""
        query = urlencode({"link": link, "network": network_name, "limit": limit, "wait": wait})
        yield from self._stream("/who-has?" + query, network.HolderEvent, wait + FIRST_LINE)

    def where(self, peer: str) -> network.Whereabouts:
        return self._get(f"/where/{part(peer)}", network.Whereabouts, timeout=ASKING)
