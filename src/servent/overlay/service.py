"""The overlay of a node: in each of its networks a member, and one face for all of them.

It owns their clock, dice, connections and what they keep, and follows what trust says of networks: one that is joined
gets a member at once, one that is left loses it, and one whose founder changed its mode is shaped anew.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

from servent.errors import NotFound
from servent.identity import Identity, PeerId
from servent.net.links import Endpoint
from servent.net.peers import Peers
from servent.net.reach_service import ReachService
from servent.overlay.effects import Asked, Finding
from servent.overlay.pump import ItemStore
from servent.overlay.records import Item, PeerRecord
from servent.overlay.settings import OverlaySettings
from servent.overlay.topology import Wish
from servent.overlay.views import NetworkShape, RoleView
from servent.store import Store
from servent.trust.networks import Mode
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

Prover = Callable[[PeerId, Item], Awaitable[bool | None]]
News = Callable[[bytes, Sequence[tuple[PeerId, Item]]], None]
HeardCallback = Callable[[bytes, str, PeerId, bytes], None]

ROLES = ("index", "relay", "observer", "store", "compute")
WHERE_WAIT = 6.0  # s for somebody to know where a peer is
TOLD_SPACING = 0.1  # s in which changes are told together
STRANGER = "not in this network"  # in what a core says of a record whose admission may be on its way


class Overlay:
    """Make it on a running loop, after `Peers` and before they run; `open` it when the store is open, then `run` it.

    Networks are named by their keys. Everything but `search`, `who_has`, `where` and the setters answers at once.

    Args:
        reach: knows how we are reached; None in tests.
        open_endpoint: opens a second end of the network, to dial others back.
        wishes: "auto", "on" or "off" for each of `ROLES`.
        carries: roles that other rooms carry now, beside the index.
        items: keeps what is stored for others.
        dice, wall: tests give their own.
    """

    def __init__(
        self,
        peers: Peers,
        trust: TrustService,
        store: Store,
        identity: Identity,
        endpoint: Endpoint,
        items: ItemStore,
        *,
        reach: ReachService | None = None,
        open_endpoint: Callable[..., Awaitable[Endpoint]] | None = None,
        wishes: Mapping[str, Wish] | None = None,
        carries: Callable[[], Sequence[str]] = tuple,
        settings: OverlaySettings | None = None,
        dice: random.Random | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        raise NotImplementedError

    # -- life

    async def open(self) -> None:
        """Load what outlives the process. The store is open, trust as well."""

    async def run(self) -> None:
        """Until cancelled or closed: members of all networks, kept in step with trust."""

    async def close(self) -> None:
        """Say goodbye in every network and keep what the next start begins with. Safe twice."""

    # -- how things are

    def shapes(self) -> list[NetworkShape]:
        """Every network of ours as it is now, by name."""
        return []

    def shape(self, network: bytes) -> NetworkShape:
        """One of them. Raises NotFound."""
        raise NotFound("you are not in this network")

    def roles(self) -> list[RoleView]:
        """What this node does for others, and why, in the order of `ROLES`."""
        return []

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop, a few times a second at most, when `shapes` or `roles` may have changed."""

    # -- what the person here decides

    async def set_role(self, name: str, wish: Wish) -> None:
        """Wish for a role from now on, in this run: config.toml is the business of whoever asks. Raises UsageError."""

    async def set_mode(self, network: bytes, mode: Mode, servers: Sequence[bytes] = ()) -> NetworkShape:
        """As the founder: another mode for all members. `servers`: for the server mode; none names ourselves.

        Raises:
            UsageError: not our network, or too many servers. NotFound.
        """
        raise NotFound("you are not in this network")

    # -- finding

    def search(
        self,
        text: str,
        *,
        networks: Sequence[bytes] | None = None,
        limit: int = 200,
        budget: int | None = None,
    ) -> AsyncGenerator[Finding | Asked]:
        """Ask all networks, or those named, at once. Ends when all are done; closing it early cancels everywhere.

        Args:
            text: in the query language.
            limit: items wanted of one network.
            budget: messages that may be spent in one network; None for the usual.
        """
        raise NotImplementedError

    def who_has(
        self, content: bytes, *, networks: Sequence[bytes] | None = None, limit: int = 50
    ) -> AsyncGenerator[Finding | Asked]:
        """Who offers this content? As `search`."""
        raise NotImplementedError

    async def where(self, peer: PeerId) -> PeerRecord | None:
        """Where `peer` is now, as it said itself to somebody in a network of ours; None: nobody knows."""
        return None

    # -- telling

    def publish(self, network: bytes, items: Sequence[Item]) -> None:
        """What we offer there from now on, all of it. Only changes are sent. Raises NotFound."""

    def watch(self, text: str, callback: News) -> int:
        """Call `callback(network, found)` whenever something new answers `text` in any network, now or later."""
        return 0

    def unwatch(self, watch: int) -> None:
        """No more of that."""

    # -- rooms

    def enter(self, network: bytes, room: str) -> None:
        """Hear what is said in a room, and be able to speak. Raises NotFound."""

    def leave(self, network: bytes, room: str) -> None:
        """No more of that room."""

    def say(self, network: bytes, room: str, body: bytes, lifetime: int = 300) -> None:
        """To everybody in a room that we entered; "" is the network's own.

        Raises:
            UsageError: longer than 4096 bytes, or a room we have not entered. NotFound.
        """

    def on_heard(self, callback: HeardCallback) -> None:
        """Call `callback(network, room, author, body)` for news, once each. "" is the network's own room."""

    # -- proofs

    def use_prover(self, prover: Prover) -> None:
        """How a peer is asked to show that it has an item: True, False, or None when it cannot be asked now."""
