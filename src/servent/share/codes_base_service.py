"""What both sides of a hand-over have in common: the node around them, passes, contacts, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from servent.blobs.service import Blobs
from servent.blobs.wire import SERVICE as BLOBS
from servent.errors import ServentError
from servent.identity import PeerId
from servent.net.addresses import good_addresses, join_address
from servent.net.links import PeerAddress
from servent.net.peers import Peers
from servent.net.session import first
from servent.net.wire import printable
from servent.share import codes_wire as wire
from servent.share.handover import HandOver, State
from servent.share.rendezvous_service import Meeting, Rendezvous
from servent.store import Store
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5  # s between two looks at how far the transfer is
LAST_WORDS = 1.5  # s for them to get out
PASS_LIFETIME = 24 * 3600.0  # s for the transfer, from the moment the two have met


@dataclass(frozen=True, slots=True)
class Around:
    """The node, for hand-overs. `told` is called when something about one changed."""

    peers: Peers
    trust: TrustService
    blobs: Blobs
    store: Store
    meeting: Meeting
    rendezvous: Rendezvous
    wall: Callable[[], float]
    told: Callable[[], None]

    def dismiss(self, name: str, peer: PeerId | None) -> None:
        """Take a pass back; who was known by it alone is not dialed again."""
        self.trust.dismiss(name)
        if peer is not None and not self.trust.verdict(peer).known:
            self.peers.forget(peer)


class Ended(Exception):
    """Ends the TaskGroup of a hand-over."""


class Side:
    """One side of one hand-over. `run` it in a task; `cancel` ends it in good order."""

    view: HandOver

    def __init__(self, around: Around, view: HandOver) -> None:
        self.around, self.view = around, view
        self._over = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._clock = asyncio.get_running_loop().time

    @property
    def pass_name(self) -> str:
        return f"code {self.view.id}"

    # -- life

    async def run(self) -> None:
        """To its end, whatever that is."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                await self._begin(tasks)
                await self._over.wait()
                self.last_words()
                await asyncio.sleep(LAST_WORDS)
                raise Ended
        except* Ended:
            log.debug("%s", self.view.reason)
        except* ServentError as wrong:
            cause = first(wrong)
            self._set("failed", f"{cause}. {getattr(cause, 'advice', '')}".rstrip(". ") + ".")
        finally:
            self._tasks = None
            if not self.view.ended:
                self._set("cancelled", "the node stopped")
            self.let_go()
            self.around.dismiss(self.pass_name, self.view.peer)

    async def _begin(self, tasks: asyncio.TaskGroup) -> None:
        raise NotImplementedError

    def last_words(self) -> None:
        """Say goodbye on every talk."""
        raise NotImplementedError

    def let_go(self) -> None:
        """What was held for this hand-over is given back."""

    def end(self, state: State, reason: str) -> None:
        """It is over; what it ended as stays."""
        self._set(state, reason)
        self._over.set()

    def _set(self, state: State, reason: str) -> None:
        before = self.view.state, self.view.reason
        self.view.set(state, reason)
        if (self.view.state, self.view.reason) != before:
            self.around.told()

    # -- the other one

    def me(self) -> wire.Me:
        """Who we are, for the other side."""
        mine = self.around.meeting.address()
        name = self.around.meeting.name()[:64]
        return wire.Me(bytes(mine.peer), name, mine.relay, list(mine.addresses)[:16])

    def meet(self, me: wire.Me, services: Sequence[str]) -> PeerAddress | None:
        """Let the other one in for these services; where it can be found. None: it is us, or blocked here."""
        peer = PeerId(me.peer)
        contact = self.around.trust.contact(peer)
        if peer == self.around.peers.peer or (contact is not None and contact.blocked):
            return None
        self.view.peer = peer
        named = contact.petname if contact is not None else None
        self.view.peer_name = named or printable(me.name).strip() or peer.short
        self.around.trust.admit(self.pass_name, peer, services)
        addresses = tuple(join_address(*one) for one in good_addresses(me.addresses))
        return PeerAddress(peer, me.relay, addresses)

    async def befriend(self) -> None:
        """Keep the other one as a contact and friend."""
        if self.view.peer is not None and not self.around.trust.verdict(self.view.peer).friend:
            await self.around.trust.add_contact(self.view.peer, friend=True)


SERVED = (BLOBS,)  # what a receiver may use, and of it only what is offered to it alone
