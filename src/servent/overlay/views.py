"""What a person is shown of a network and of the roles of this node. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from servent.identity import PeerId
from servent.overlay.topology import Wish
from servent.trust.networks import Mode


@dataclass(frozen=True, slots=True)
class RoleView:
    """One role of this node.

    Attributes:
        name: "index", "relay", "observer", "store" or "compute".
        wish: what the person here set.
        active: whether it is carried now.
        why: in words: why, or why not and what would change it.
    """

    name: str
    wish: Wish
    active: bool
    why: str


@dataclass(frozen=True, slots=True)
class PeerInView:
    """A peer of the network as far as it matters for its shape.

    Attributes:
        link: what we have with it: "neighbour", "home", "leaf", "supernode" (known, not connected).
        rtt: seconds; None not known.
        path: "direct", "relayed" or "" (not connected).
        leaves, room: of a supernode.
    """

    peer: PeerId
    name: str
    link: Literal["neighbour", "home", "leaf", "supernode"]
    supernode: bool
    path: str
    rtt: float | None
    leaves: int = 0
    room: int = 0
    retiring: bool = False


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """One network of ours as its overlay is now.

    Attributes:
        servers: keys with the index role in the server mode.
        index: whether we carry the index role here; `why` in words.
        members: estimated, us included.
        peers: neighbours, homes, leaves and supernodes, each peer once by its strongest link.
        supernodes: how many are known.
        published, to_publish: items of ours that our homes have, and all there are to publish.
        stored_items, stored_postings: what we keep for others.
        control_per_minute: control messages sent in the last minute.
        questions: answered for others since the start; `mine`: asked by us.
        searching: a word on how a search goes here now: "asks 2 homes", "this node keeps the index" ...
    """

    network: bytes
    name: str
    mode: Mode
    servers: tuple[PeerId, ...]
    index: bool
    retiring: bool
    why: str
    members: int
    supernodes: int
    peers: tuple[PeerInView, ...] = ()
    published: int = 0
    to_publish: int = 0
    stored_items: int = 0
    stored_postings: int = 0
    control_per_minute: int = 0
    questions: int = 0
    mine: int = 0
    searching: str = ""
