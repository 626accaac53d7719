"""What the cores of the overlay ask of whoever drives them: a node's shell, or a simulation. Plain values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from servent.identity import PeerId
from servent.overlay.records import Item, PeerRecord, Slice
from servent.overlay.wire import Message, Posting

if TYPE_CHECKING:
    from servent.query.language import Query


News = Callable[[bytes, Sequence[tuple[PeerId, Item]]], None]  # (network, found): answers to a standing query
Prover = Callable[[PeerId, Item], Awaitable[bool | None]]  # as in `Prove`


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
    """Keep a connection with `peer` until `Release`. `up` and `down` of the member tell how it is.

    Counted: held twice, by two parts of a member or by two networks, it is kept until it was released twice.
    """

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Release:
    """It need not be kept for our sake."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """No neighbour is left and none is known, or very few: ask the rendezvous providers, then `Member.join(records)`.

    Said again, less and less often, while it stays so.
    """


@dataclass(frozen=True, slots=True)
class Keep:
    """Store these items: with `postings`, under those keys, as a keyed supernode; without, for words, as a home.

    The two are apart: what is kept as one is not found as the other. The batch replaces the one kept before of the same
    publisher and slot on that side; of its items those stay, with their postings, whose hash is among the new
    batch's hashes, and the slice's items are added. So a slice of no items renews a batch (`keyed` says on which side
    where there are no postings). A key that has `HomeSettings.per_key` postings takes no more, nor more than
    `per_publisher_key` of one publisher.
    """

    slice: Slice
    postings: Sequence[Posting] = ()
    keyed: bool = False  # always so where there are postings


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget what is stored of `publisher`; of its batch `slot` alone when given.

    `keyed`: only what is kept as a keyed supernode, or (False) only as a home; None both.
    """

    publisher: PeerId
    slot: int | None = None
    keyed: bool | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """Read back a batch that is kept; answered by `(slice, postings)`, `(None, ())` when it is not.

    Of the home's side unless `keyed`; its places follow `batch.hashes`, items that are not kept are left out. With
    `content` and no `slot`: a slice with that one item, of either side.
    """

    token: int
    publisher: PeerId
    slot: int | None = None
    content: bytes | None = None
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class Find:
    """Look into the store; answer by `Member.answered(token, found, more, now=now)`.

    `query` for what is kept as a home, best first; `keys` (postings under all of them) for what is kept as a keyed
    supernode; `content` alone on both sides. The answer is `((publisher, item), ...), more`; `more`: there is more than
    was said or, under these keys, than is kept.
    """

    token: int
    limit: int
    query: Query | None = None
    keys: Sequence[bytes] = ()
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of the items kept as a home have each of these words (`terms.words_of`)? Answered by `(counts, total)`.

    `counts` in the order of `terms`.
    """

    token: int
    terms: Sequence[str]


@dataclass(frozen=True, slots=True)
class Prove:
    """Ask `publisher` for a block of `item` with its hash path; answer by `Member.answered(token, ok, now=now)`.

    `ok` None: it could not be asked now.
    """

    token: int
    publisher: PeerId
    item: Item


@dataclass(frozen=True, slots=True)
class DialBack:
    """Dial `peer` at these addresses from a fresh socket, without a relay.

    Answer by `Member.answered(token, address, now=now)`; `address` is "" when none of them led to it, None
    when it was not tried.
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
    network: bytes = b""  # whose it is, where several are searched at once: filled in by the driver


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
    network: bytes = b""  # as in `Finding`


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


Effect = (
    Send
    | Learn
    | Hold
    | Release
    | Bootstrap
    | Keep
    | Discard
    | Load
    | Find
    | Counts
    | Prove
    | DialBack
    | Tell
)
