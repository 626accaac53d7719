"""Every message of `servent.overlay/1`. Limits stand in the types.

Between two members two streams in each direction, opened when needed: "now" and "bulk". Each begins with `Lane`; then
frames of `Envelope`. Nothing is answered on the stream itself: an answer is a message of its own.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from servent.codec import Decoder, Hash, Key, Signature
from servent.overlay.records import (
    PEER_LIFETIME,
    Item,
    PeerRecord,
    Receipt,
    Seq,
    Short,
    Slice,
    SupernodeRecord,
)

SERVICE = "servent.overlay/1"
FRAME_BYTES = 64 * 1024
LANE_BYTES = 64
GOSSIP_BYTES = 4096

Topic = Annotated[bytes, Meta(min_length=16, max_length=16)]  # H(network, name)
Id = Annotated[bytes, Meta(min_length=16, max_length=16)]  # of a gossip message or a question
Hops = Annotated[int, Meta(ge=0, le=20)]
Number = Annotated[int, Meta(ge=0, le=2**32 - 1)]
TermKey = Annotated[bytes, Meta(min_length=16, max_length=16)]
Reason = Annotated[str, Meta(max_length=200)]


class Lane(Struct, frozen=True, tag="lane"):
    """Opener, first. Not answered."""

    lane: Literal["now", "bulk"]


class Envelope(Struct, frozen=True, array_like=True):
    """One message for one network that both share. A network the reader does not share with the peer is a fault."""

    network: Key
    body: Raw


class Here(Struct, frozen=True, tag="here"):
    """Who is connected says where it is, so that the other has its record. `ask`: answer with yours, by `Here` again.

    The business of those who drive a member; the member itself never sees it.
    """

    record: PeerRecord
    ask: bool = False


# -- membership (HyParView, Leitao, Pereira, Rodrigues 2007); `topic` is the network's own or a room's


class Join(Struct, frozen=True, tag="join"):
    """To a contact: take me in. Answered by `Accept`; the contact passes `Walk` on to its neighbours."""

    topic: Topic
    record: PeerRecord


class Walk(Struct, frozen=True, tag="walk"):
    """A newcomer is passed along, a hop less each time. At its end the newcomer is asked to be a neighbour."""

    topic: Topic
    record: PeerRecord
    hops: Hops


class Ask(Struct, frozen=True, tag="neighbour"):
    """Be my neighbour. `urgent`: I have none, or may be cut off, so do not refuse. Answered by `Accept` or `Decline`."""

    topic: Topic
    record: PeerRecord
    urgent: bool


class Accept(Struct, frozen=True, tag="accept"):
    """We are neighbours."""

    topic: Topic
    record: PeerRecord


class Decline(Struct, frozen=True, tag="decline"):
    """No room. Not answered."""

    topic: Topic


class Leave(Struct, frozen=True, tag="leave"):
    """We are neighbours no more; keep me in mind, unless I am `gone`. Not answered."""

    topic: Topic
    gone: bool = False


class Shuffle(Struct, frozen=True, tag="shuffle"):
    """Records of peers, passed along `hops`; whoever is last answers `origin` with as many of its own."""

    topic: Topic
    origin: PeerRecord
    records: Annotated[list[PeerRecord], Meta(max_length=8)]
    hops: Hops


class Shuffled(Struct, frozen=True, tag="shuffled"):
    """The answer to `Shuffle`."""

    topic: Topic
    records: Annotated[list[PeerRecord], Meta(max_length=8)]


# -- gossip (Plumtree, Leitao, Pereira, Rodrigues 2007)


class Gossip(Struct, frozen=True, tag="gossip"):
    """News of `author`, signed over topic, seq, lifetime and body. Passed on once. Its id is a hash of author and seq."""

    topic: Topic
    author: Key
    seq: Seq
    lifetime: Annotated[int, Meta(ge=1, le=600)]
    hops: Hops
    body: Annotated[bytes, Meta(max_length=GOSSIP_BYTES)]
    signature: Signature = bytes(64)


class Have(Struct, frozen=True, tag="have"):
    """Lazy push: ids of messages that I have, with the hops they came. Answered by `Graft` for what is missing."""

    topic: Topic
    ids: Annotated[list[tuple[Id, Hops]], Meta(max_length=128)]


class Graft(Struct, frozen=True, tag="graft"):
    """Send me that message, and push to me from now on."""

    topic: Topic
    id: Id | None


class Prune(Struct, frozen=True, tag="prune"):
    """I have your messages from elsewhere: tell me ids only."""

    topic: Topic


# -- the directory of supernodes


class AskSupernodes(Struct, frozen=True, tag="ask-supernodes"):
    """Leaf to anyone. Answered by `Supernodes`: the peer's own record first if it is one, and up to `most` at random."""

    most: Annotated[int, Meta(ge=0, le=64)] = 32


class Supernodes(Struct, frozen=True, tag="supernodes"):
    """Records of supernodes: as an answer, and unasked when some are new. `total`: how many the sender knows."""

    records: Annotated[list[SupernodeRecord], Meta(max_length=64)]
    total: Number = 0


class Ranges(Struct, frozen=True, tag="ranges"):
    """Range-based set reconciliation (Meyer 2023) of the directory: digests of what lies in ranges of the id space.

    `ranges`: (first, last, count, digest); `ids`: all ids of small ranges; `want`: ids whose records are asked for.
    """

    ranges: Annotated[list[tuple[Short, Short, Number, Short]], Meta(max_length=64)] = []
    ids: Annotated[
        list[tuple[Short, Short, Annotated[list[Short], Meta(max_length=512)]]], Meta(max_length=64)
    ] = []
    want: Annotated[list[Short], Meta(max_length=512)] = []


class Goodbye(Struct, frozen=True, tag="goodbye"):
    """A supernode lays its role down, or leaves. Signed as `records.text_of` of this struct; only a newer record undoes it."""

    key: Key
    seq: Seq
    signature: Signature = bytes(64)


class Probe(Struct, frozen=True, tag="probe"):
    """Are you there? (SWIM, Das, Gupta, Motivala 2002) Answered by `Alive`. `about`: ask that one for me, then tell me."""

    number: Number
    about: Key | None = None


class Alive(Struct, frozen=True, tag="alive"):
    """The answer to `Probe`. `about`: who answered."""

    number: Number
    about: Key | None = None


class Suspect(Struct, frozen=True, tag="suspect"):
    """Between supernodes: that one answers neither me nor those I asked to try. Whoever reads it looks for itself."""

    key: Key
    seq: Seq


class Stand(Struct, frozen=True, tag="stand"):
    """Candidate to a supernode, before it takes the role: is one more needed? Answered by `Stood`."""

    number: Number


class Stood(Struct, frozen=True, tag="stood"):
    """The answer. A supernode says yes to few at a time, so that not everybody stands up at once."""

    number: Number
    needed: bool


class AskDialBack(Struct, frozen=True, tag="ask-dial-back"):
    """Candidate to a supernode or neighbour: can you reach me at these addresses from a fresh socket? Answered by `DialledBack`."""

    number: Number
    addresses: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=4)]


class DialledBack(Struct, frozen=True, tag="dialled-back"):
    """The answer: a receipt, or None with the reason."""

    number: Number
    receipt: Receipt | None = None
    reason: Reason = ""


# -- homes


class Attach(Struct, frozen=True, tag="attach"):
    """Leaf to supernode: be a home of mine. Answered by `Attached`. Again when my record changes.

    `digest`: of the list of my batches, so that a home that has them all asks for none.
    """

    record: PeerRecord
    digest: Short
    batches: Number = 0


class Attached(Struct, frozen=True, tag="attached"):
    """The answer. `want`: send me the list of your batches. Refused: `room` is 0, and `others` may have some."""

    accepted: bool
    want: bool = False
    room: Number = 0
    others: Annotated[list[SupernodeRecord], Meta(max_length=8)] = []
    lifetime: Annotated[int, Meta(ge=30, le=PEER_LIFETIME)] = 1800
    reason: Reason = ""


class Detach(Struct, frozen=True, tag="detach"):
    """Either side: it is over. A home that retires says `others`, and goes on answering for a minute."""

    others: Annotated[list[SupernodeRecord], Meta(max_length=8)] = []
    retiring: bool = False


class Batches(Struct, frozen=True, tag="batches"):
    """Leaf to home: what I publish, as (slot, seq) of every batch. Answered by `WantBatches`. What is missing is withdrawn."""

    batches: Annotated[list[tuple[Annotated[int, Meta(ge=0, le=1023)], Seq]], Meta(max_length=1024)]


class WantBatches(Struct, frozen=True, tag="want-batches"):
    """The slots that I do not have so; none when I have them all. Answered by one `Publish` for each."""

    slots: Annotated[list[Annotated[int, Meta(ge=0, le=1023)]], Meta(max_length=1024)]


class Publish(Struct, frozen=True, tag="publish"):
    """A batch with its items, to a home; without those that it has of the batch that was in this slot before.

    Not answered, unless items are missing: then `WantBatches` once more. Refusals cost the publisher.
    """

    slice: Slice


class Posting(Struct, frozen=True, array_like=True):
    """That the item at `place` of a batch is to be found under `key`."""

    key: TermKey
    place: Annotated[int, Meta(ge=0, lt=128)]


class Stored(Struct, frozen=True, array_like=True):
    """Items of one batch, and the keys they are found under. No items and no keys: what is kept of the batch before stays

    as far as the batch still has it.
    """

    slice: Slice
    postings: Annotated[list[Posting], Meta(max_length=1152)]


class Store(Struct, frozen=True, tag="store"):
    """Home to keyed supernode, on the bulk lane: what it should keep. Answered, if at all, by `WantStore`."""

    parts: Annotated[list[Stored], Meta(max_length=64)]


class WantStore(Struct, frozen=True, tag="want-store"):
    """I have nothing of these batches (publisher, slot), of which a part without items came. Answered by `Store`."""

    batches: Annotated[list[tuple[Key, Annotated[int, Meta(ge=0, le=1023)]]], Meta(max_length=64)]


class StorePeer(Struct, frozen=True, tag="store-peer"):
    """Home to keyed supernode: where a leaf of mine is. Not answered."""

    record: PeerRecord


# -- questions


class Question(Struct, frozen=True, tag="question"):
    """Leaf to home, `text` in the query language: find it for me (homes, keyed, probe). Or home to supernode in a probe.

    Answered by `Found`, one or more, the last with `over`. `budget`: messages that may be spent on it; a home spends, a
    probe (`probe` true) looks only at home. `keys`: terms' keys, in place of text, when asked as a keyed supernode.
    """

    id: Id
    text: Annotated[str, Meta(max_length=500)] = ""
    keys: Annotated[list[TermKey], Meta(max_length=8)] = []
    content: Hash | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    budget: Annotated[int, Meta(ge=0, le=200)] = 0
    probe: bool = False


class FoundItem(Struct, frozen=True, array_like=True):
    """One find: whose, and enough to check that they said so. Items that were checked on the way have no proof again:

    `slice` is asked for by whoever doubts (`AskProof`).
    """

    publisher: Key
    item: Item


class Found(Struct, frozen=True, tag="found"):
    """The answer to `Question`; as many as there are, best first. `records`: where publishers are, as known here."""

    id: Id
    items: Annotated[list[FoundItem], Meta(max_length=200)] = []
    records: Annotated[list[PeerRecord], Meta(max_length=64)] = []
    layer: Annotated[int, Meta(ge=1, le=3)] = 1
    asked: Number = 0
    answered: Number = 0
    messages: Number = 0
    sampled: bool = False
    over: bool = False
    reason: Reason = ""


class Cancel(Struct, frozen=True, tag="cancel"):
    """Nobody waits for that answer any more."""

    id: Id


class AskProof(Struct, frozen=True, tag="ask-proof"):
    """To who answered: show me that `publisher` offers `content`. Answered by `Proof`."""

    number: Number
    publisher: Key
    content: Hash


class Proof(Struct, frozen=True, tag="proof"):
    """The answer: a slice with that one item, None when it is not kept here any more."""

    number: Number
    slice: Slice | None = None


class AskPeer(Struct, frozen=True, tag="ask-peer"):
    """Where is that peer? To a home, or to a supernode nearest to `peer_key` (`final` true: look only at home). Answered by `PeerIs`."""

    number: Number
    peer: Key
    final: bool = False


class PeerIs(Struct, frozen=True, tag="peer-is"):
    """The answer: its newest record known here, or None."""

    number: Number
    peer: Key
    record: PeerRecord | None = None


# -- standing queries


class Watch(Struct, frozen=True, tag="watch"):
    """To a home (`text`) or keyed supernode (`keys`): tell me what is new that answers this. Said again before `lifetime` ends."""

    number: Number
    text: Annotated[str, Meta(max_length=500)] = ""
    keys: Annotated[list[TermKey], Meta(max_length=8)] = []
    lifetime: Annotated[int, Meta(ge=60, le=PEER_LIFETIME)] = 1800


class Unwatch(Struct, frozen=True, tag="unwatch"):
    """No more of that."""

    number: Number


class Fresh(Struct, frozen=True, tag="fresh"):
    """Something new for a `Watch`."""

    number: Number
    items: Annotated[list[FoundItem], Meta(max_length=50)]
    records: Annotated[list[PeerRecord], Meta(max_length=16)] = []


Membership = Join | Walk | Ask | Accept | Decline | Leave | Shuffle | Shuffled
News = Gossip | Have | Graft | Prune
Directing = (
    AskSupernodes
    | Supernodes
    | Ranges
    | Goodbye
    | Probe
    | Alive
    | Suspect
    | Stand
    | Stood
    | AskDialBack
    | DialledBack
)
Homing = Attach | Attached | Detach | Batches | WantBatches | Publish | Store | WantStore | StorePeer
Searching = Question | Found | Cancel | AskProof | Proof | AskPeer | PeerIs | Watch | Unwatch | Fresh
Message = Here | Membership | News | Directing | Homing | Searching

read_lane: Decoder[Lane] = Decoder(Lane, LANE_BYTES)
read_envelope: Decoder[Envelope] = Decoder(Envelope, FRAME_BYTES)
messages: Decoder[Message] = Decoder(Message, FRAME_BYTES)
