"""What the cores of the overlay ask of whoever drives them: a node's shell, or a simulation. Plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from servent.identity import PeerId
from servent.overlay.records import Item, PeerRecord, Slice
from servent.overlay.wire import Message, Posting

if TYPE_CHECKING:
    from servent.query.language import Query


@dataclass(frozen=True, slots=True)
class Send:
    """Hand `message` to `to`, connecting if need be. If that fails, `Member.failed(to, now)` is called.

    `lane`: "now" for what somebody waits for, "bulk" for what fills tables; a lane keeps its order.
    """

    to: PeerId
    message: Message
    lane: Literal["now", "bulk"] = "now"


@dataclass(frozen=True, slots=True)
class Learn:
    """Where a peer is, by a record that was checked: for the address book."""

    record: PeerRecord


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep a connection with `peer` until `Release`. `up` and `down` of the member tell how it is."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Release:
    """It need not be kept for our sake."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """No neighbour is left and none is known: ask the rendezvous providers, then `Member.join(records)`."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Store these items. `postings`: under which keys, for what is kept as a keyed supernode; empty as a home."""

    slice: Slice
    postings: Sequence[Posting] = ()


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget what is stored of `publisher`; of its batch `slot` alone when given."""

    publisher: PeerId
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class Find:
    """Look into the store; answer by `Member.looked(token, found, more, now)`.

    `query` for what is kept as a home; `keys` (all of them) for what is kept as a keyed supernode.
    """

    token: int
    limit: int
    query: Query | None = None
    keys: Sequence[bytes] = ()
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of the stored items have each of these words? Answer by `Member.counted(token, counts, total, now)`."""

    token: int
    terms: Sequence[str]


@dataclass(frozen=True, slots=True)
class Prove:
    """Ask `publisher` for a block of `item` with its hash path; answer by `Member.proven(token, ok, now)`.

    `ok` None: it could not be asked now.
    """

    token: int
    publisher: PeerId
    item: Item


@dataclass(frozen=True, slots=True)
class DialBack:
    """Dial `peer` at these addresses from a fresh socket, without a relay; answer by `Member.reached(token, address, now)`.

    `address` "" when none of them led to it.
    """

    token: int
    peer: PeerId
    addresses: Sequence[str]


@dataclass(frozen=True, slots=True)
class Tell:
    """An event for the node itself: see the classes below."""

    event: object


# -- events


@dataclass(frozen=True, slots=True)
class Neighbour:
    """`peer` became a neighbour in the view of the network, or ceased to be one."""

    peer: PeerId
    up: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """News under a topic, once each."""

    topic: bytes
    author: PeerId
    body: bytes


@dataclass(frozen=True, slots=True)
class RoleChanged:
    """We took up, or laid down, the index role. `why` in words."""

    index: bool
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found by search number `search`: items, and which publishers have them now.

    `layer`: 1 homes, 2 keyed, 3 probe. `reachable`: where the record of the publisher is known and fresh.
    """

    search: int
    layer: int
    found: Sequence[tuple[PeerId, Item]]
    reachable: Mapping[PeerId, PeerRecord] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """How far search number `search` is. `over`: no more will come. `sampled`: there was more than anyone keeps."""

    search: int
    supernodes: int
    answered: int
    messages: int
    over: bool = False
    sampled: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Wished:
    """Something new that a standing query waits for."""

    watch: int
    found: Sequence[tuple[PeerId, Item]]


@dataclass(frozen=True, slots=True)
class Where:
    """The newest record of a peer that somebody asked for; None: nobody knows."""

    peer: PeerId
    record: PeerRecord | None


Effect = Send | Learn | Hold | Release | Bootstrap | Keep | Discard | Find | Counts | Prove | DialBack | Tell
