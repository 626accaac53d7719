"""What peers are called, how they are reached now, and reaching whom a link names."""

from __future__ import annotations

from servent.errors import Refused, UsageError
from servent.identity import PeerId
from servent.net import ticket as tickets
from servent.net.peers import Peers
from servent.trust.service import TrustService

INTRODUCE_LIMIT = 15.0  # s to reach who a link names


class Who:
    """Answers from `trust` and `peers`; owns nothing."""

    def __init__(self, trust: TrustService, peers: Peers) -> None:
        self._trust, self._peers = trust, peers

    def name(self, peer: PeerId) -> str:
        """What we call a peer, else what it calls itself, else its short id."""
        contact = self._trust.contact(peer)
        session = self._peers.session(peer)
        named = contact.petname if contact is not None else None
        return named or (session.profile.name if session is not None else "") or peer.short

    def path(self, peer: PeerId) -> str | None:
        """ "direct" or "relayed"; None while it is not connected."""
        session = self._peers.session(peer)
        paths = session.paths() if session is not None else ()
        return next((path.kind for path in paths if path.selected), None)

    async def introduce(self, contact: str) -> PeerId:
        """Reach whom a link names. A link makes nobody a contact: whoever wrote it may be anybody.

        Raises:
            Refused: they do not belong to our contacts and networks, or do not let us in.
            Unreachable, UsageError: see `Peers.connect` and `ticket.decode`.
        """
        ticket = tickets.decode(contact)
        peer = ticket.address.peer
        if peer == self._peers.peer:
            raise UsageError("the link names this node itself")
        self._peers.remember(ticket.address)
        try:
            await self._peers.connect(ticket.address, secret=ticket.secret, timeout=INTRODUCE_LIMIT)
        except Refused as refused:
            raise Refused(
                f"{refused}: you and whom the link names have to join first (a ticket)"
            ) from refused
        return peer
