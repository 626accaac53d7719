"""Signed records of a network: of peers, of supernodes, of the items they share. Pure.

A *supernode* is a peer that carries the index role (FastTrack's word; Gnutella's ultrapeer, the super-peer of Yang and
Garcia-Molina 2003). A *leaf* is any other peer; the supernodes that keep its items are its *homes*.

Each record is deterministic MessagePack under one Ed25519 signature whose text names the kind of record and the network, so
that none can stand for another. The highest `seq` of a key counts. No clock is believed: a record lives for
`lifetime` seconds from when we first saw it (`Fresh`), and `seq` only orders what one key has said.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal, Protocol

from msgspec import Meta, Struct, structs

from servent.codec import Address, Decoder, Hash, Key, Signature, Url, canonical
from servent.identity import PeerId
from servent.trust.networks import Forged

PEER_LIFETIME = 3600  # s, the longest; of items a day
ITEM_LIFETIME = 86_400
PEER_BYTES = 512  # the longest encoded record of a peer
SUPERNODE_BYTES = 1024
ITEMS_IN_BATCH = 128
BATCH_BYTES = 60 * 1024  # a batch with all its items fits one frame
HASH_BYTES = 16  # of an item in its batch: 2^128 work to put another in its place

NatKind = Literal["public", "mapped", "easy", "symmetric", "udp-blocked", "none", ""]
RoleName = Literal["index", "relay", "observer", "store", "compute"]
Seq = Annotated[int, Meta(ge=0, le=1 << 62)]  # microseconds of the signer's clock, or one more than before
Lifetime = Annotated[int, Meta(ge=30, le=ITEM_LIFETIME)]  # seconds
Short = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
TagName = Annotated[str, Meta(min_length=1, max_length=16)]
TagValue = Annotated[str, Meta(max_length=120)] | Annotated[int, Meta(ge=-(2**53), le=2**53)]


class Seal(Protocol):
    """Makes and checks signatures. `Identity` and `PeerId` in a node; something cheap in a simulation.

    One that also has `checked`, a dict from `id` to a record, is not asked about the same object twice: where no record is
    ever copied, as in a simulation.
    """

    def sign(self, text: bytes) -> bytes:
        """64 bytes under our own key."""
        ...

    def holds(self, key: bytes, signature: bytes, text: bytes) -> bool:
        """Whether `key` signed `text`."""
        ...


class PeerRecord(Struct, frozen=True, array_like=True):
    """Where a peer is now and what it does for others. Signed by `key`.

    Attributes:
        relays: home relays, best first.
        addresses: public and observed ones, best first. Of the local network only while it has no other.
        nat: what lies between it and the world (`net.reach`); "" not known yet.
        roles: it carries now (`RoleName`; unknown ones are ignored).
    """

    key: Key
    seq: Seq
    lifetime: Annotated[int, Meta(ge=30, le=PEER_LIFETIME)]
    relays: Annotated[list[Url], Meta(max_length=2)] = []
    addresses: Annotated[list[Address], Meta(max_length=4)] = []
    nat: NatKind = ""
    roles: Annotated[list[Annotated[str, Meta(max_length=16)]], Meta(max_length=8)] = []
    signature: Signature = bytes(64)


class Receipt(Struct, frozen=True, array_like=True):
    """A dial-back: `by` reached `subject` at an address in `block` that the subject had named, from outside. Signed by `by`."""

    by: Key
    subject: Key
    block: Annotated[str, Meta(max_length=48)]
    at: Seq  # microseconds of the witness's clock
    signature: Signature = bytes(64)


class SupernodeRecord(Struct, frozen=True, array_like=True):
    """A peer that carries the index role. Signed by `peer.key`, over the peer record and all that follows.

    Attributes:
        seq: of this record; the one inside `peer` orders addresses only.
        leaves, room: leaves it has now, and the most it takes.
        uptime: hours its sessions lasted on average.
        up: measured uplink in kbit/s.
        block, slot: from which its ring position follows (`placement.position`); slot < 4.
        receipts: dial-backs of others that show it can be reached.
        retiring: it is about to lay the role down: ask it still, store nothing new.
    """

    peer: PeerRecord
    seq: Seq
    lifetime: Annotated[int, Meta(ge=30, le=PEER_LIFETIME)]
    leaves: Annotated[int, Meta(ge=0, le=100_000)] = 0
    room: Annotated[int, Meta(ge=0, le=100_000)] = 0
    uptime: Annotated[int, Meta(ge=0, le=100_000)] = 0
    up: Annotated[int, Meta(ge=0, le=1 << 40)] = 0
    block: Annotated[str, Meta(max_length=48)] = ""
    slot: Annotated[int, Meta(ge=0, le=3)] = 0
    receipts: Annotated[list[Receipt], Meta(max_length=2)] = []
    retiring: bool = False
    signature: Signature = bytes(64)

    @property
    def key(self) -> PeerId:
        return PeerId(self.peer.key)


class Item(Struct, frozen=True, array_like=True):
    """One thing that a peer offers to a network.

    Attributes:
        content: the root hash of a file, or the info-hash of a collection.
        kind: number in `query.kinds.KINDS`.
        where: the directory it lies in, "/"-separated, for words only.
    """

    content: Hash
    size: Annotated[int, Meta(ge=0, le=2**53)]
    kind: Annotated[int, Meta(ge=0, le=255)]
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    where: Annotated[str, Meta(max_length=200)] = ""
    tags: Annotated[dict[TagName, TagValue], Meta(max_length=8)] = {}
    modified: Annotated[int, Meta(ge=0, le=1 << 40)] = 0


class Batch(Struct, frozen=True, array_like=True):
    """Up to 128 items of one publisher under one signature: over their hashes, so that a part can be passed on.

    Attributes:
        slot: the publisher's number for this batch; a higher `seq` in the same slot replaces it.
        hashes: `item_hash` of every item, in order. None at all: the batch is withdrawn.
    """

    publisher: Key
    slot: Annotated[int, Meta(ge=0, le=1023)]
    seq: Seq
    lifetime: Lifetime
    hashes: Annotated[list[Short], Meta(max_length=ITEMS_IN_BATCH)]
    signature: Signature = bytes(64)

    @property
    def name(self) -> tuple[bytes, int]:
        return self.publisher, self.slot


class Slice(Struct, frozen=True, array_like=True):
    """Some items of a batch, each with its place in `batch.hashes`: what is stored and passed on."""

    batch: Batch
    items: Annotated[
        dict[Annotated[int, Meta(ge=0, lt=ITEMS_IN_BATCH)], Item], Meta(max_length=ITEMS_IN_BATCH)
    ]


peer_records: Decoder[PeerRecord] = Decoder(PeerRecord, PEER_BYTES)
supernode_records: Decoder[SupernodeRecord] = Decoder(SupernodeRecord, SUPERNODE_BYTES)


def item_hash(item: Item) -> bytes:
    """What stands for an item in its batch: the first 16 bytes of its SHA-256."""
    return hash_of(canonical(item))


def hash_of(body: bytes) -> bytes:
    """The same, of an item that is in its canonical form already."""
    return hashlib.sha256(b"servent/item/1\0" + body).digest()[:HASH_BYTES]


def text_of(network: bytes, record: Any) -> bytes:
    """What is signed: the kind of record, the network, and every field but the signature."""
    fields = [getattr(record, name) for name in record.__struct_fields__ if name != "signature"]
    kind = type(record).__name__.encode()
    return b"servent/overlay " + kind + b"/1\0" + canonical([bytes(network), fields])


def signed(network: bytes, record: Any, seal: Seal) -> Any:
    """The same record with its signature."""
    return structs.replace(record, signature=seal.sign(text_of(network, record)))


def check(network: bytes, record: PeerRecord | SupernodeRecord | Receipt | Batch, seal: Seal) -> None:
    """Raises Forged unless its key signed it for this network."""
    checked: dict[int, object] | None = getattr(seal, "checked", None)
    if checked is not None and id(record) in checked:
        return
    match record:
        case SupernodeRecord():
            key = record.peer.key
        case Receipt():
            key = record.by
        case Batch():
            key = record.publisher
        case _:
            key = record.key
    if not seal.holds(key, record.signature, text_of(network, record)):
        raise Forged(f"a forged {type(record).__name__}")
    if checked is not None:
        checked[id(record)] = record


def check_slice(network: bytes, one: Slice, seal: Seal) -> None:
    """Raises Forged unless the batch is signed and each item is the one in its place."""
    for place, item in one.items.items():
        if place >= len(one.batch.hashes) or one.batch.hashes[place] != item_hash(item):
            raise Forged("an item that is not in its batch")
    check(network, one.batch, seal)


def next_seq(before: int, wall: float) -> int:
    """A number above `before`, and the clock's microseconds where that clock goes forward."""
    return max(before + 1, int(wall * 1e6))
