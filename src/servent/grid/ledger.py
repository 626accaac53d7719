"""The ledger of a project: who was credited with what, hash-chained, signed by the project, agreed to by the worker. Pure.

An *entry* credits one worker with up to `ENTRY_UNITS` results, or takes such credit back. It holds the hash of the one before it, and the project's key signs its own hash; so
nothing in the middle can be changed, left out or put in later. The worker signs the same hash with its key (*countersigns*): then neither of
them can deny it. A ledger is a row of *segments*: files of lines, each a frame of `codec`: an entry, or a worker's agreement with an entry of before. Lines are only ever
appended, and a segment that is full never changes again, so whoever has the old ones fetches only what is new. A signed `Head` says how far it goes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.codec import HEADER_BYTES, Decoder, Hash, Key, Signature, canonical
from servent.errors import BadMessage
from servent.grid.manifests import Operations, Signed, Wall
from servent.grid.wire import Membership, Receipt
from servent.identity import Identity, PeerId

ENTRY_UNITS = 1000  # results in one entry
ENTRY_BYTES = 48 * 1024  # as `wire.Receipt` allows
LINE_BYTES = ENTRY_BYTES + 256
SEGMENT_BYTES = (
    1024 * 1024
)  # a segment this long is full: what is fetched again when something new comes is less
SEGMENTS = 4096  # of one ledger: 4 GiB, about a hundred million results
HEAD_BYTES = 1024 * 1024
APPS = 512  # versions of apps in a head
EARLIER = 16  # manifests of before in a head
EARNED = 4096  # receipts that show what the owner of a project earned elsewhere
EARNED_BYTES = 8 * 1024 * 1024

ENTRY_PURPOSE = b"servent grid ledger entry\0"
AGREE_PURPOSE = b"servent grid ledger agreement\0"
HEAD_PURPOSE = b"servent grid ledger head\0"
FIRST_PURPOSE = b"servent grid ledger first\0"

HEAD_NAME = "head"  # the files of a published ledger
EARNED_NAME = "earned"
SEGMENT_NAME = "{:06d}.ledger"

EntryNumber = Annotated[int, Meta(ge=1, le=2**53)]
Credit = Annotated[int, Meta(ge=0, le=2**53)]  # MFLOP
Price = Annotated[
    int, Meta(ge=1, le=100_000)
]  # percent: what the owner's balance is charged for 100 of credit


class Group(Struct, frozen=True, array_like=True):
    """Results of one app that are credited alike.

    `operations`: the estimate of each in MFLOP; `credit`: what each is credited with, more than that only by the quick-return bonus. `price`: percent of the
    credit that the owner pays (see `credit.price`). `units`: their names (`manifests.unit_id`), 32 bytes each, one after another.
    """

    app: Hash
    operations: Operations
    credit: Credit
    price: Price
    units: Annotated[bytes, Meta(min_length=32, max_length=ENTRY_UNITS * 32)]

    @property
    def count(self) -> int:
        return len(self.units) // 32


class Entry(Struct, frozen=True, array_like=True, kw_only=True):
    """One line of credit. `number` counts from 1; `previous`: hash of the entry before, of the first `first(project)`.

    `kind` "withdrawal": these results were found wrong, and the credit they once gave `worker` is taken back. `name`: the worker's, as it said then.
    `team`: that it was in, with both signatures. `network`: whose balance of the project's owner is charged (see `balance`), None for nobody's. `total`: sum of all its
    groups' credit, MFLOP.
    """

    project: Key
    number: EntryNumber
    previous: Hash
    at: Wall
    kind: Literal["credit", "withdrawal"]
    worker: Key
    name: Annotated[str, Meta(max_length=64)]
    team: Membership | None
    network: Key | None
    total: Credit
    groups: Annotated[list[Group], Meta(min_length=1, max_length=ENTRY_UNITS)]

    @property
    def results(self) -> int:
        return sum(group.count for group in self.groups)

    @property
    def paid(self) -> int:
        """MFLOP that the owner's balance is charged, and the worker's gains, for this entry."""
        return sum(group.count * (group.credit * group.price // 100) for group in self.groups)


class EntryLine(Struct, frozen=True, array_like=True, tag=0):
    """`body`: canonical bytes of an `Entry`. `signature`: of the project over ENTRY_PURPOSE and the entry's hash."""

    body: Annotated[bytes, Meta(max_length=ENTRY_BYTES)]
    signature: Signature


class AgreementLine(Struct, frozen=True, array_like=True, tag=1):
    """The worker of entry `number` agrees: its signature over AGREE_PURPOSE and the entry's hash."""

    number: EntryNumber
    signature: Signature


Line = EntryLine | AgreementLine


class Segment(Struct, frozen=True, array_like=True):
    """`size` bytes whose SHA-256 is `digest`; `first`: number of the first entry in it, or after it where it holds agreements alone."""

    first: EntryNumber
    size: Annotated[int, Meta(ge=0, le=2 * SEGMENT_BYTES)]
    digest: Hash


class Head(Struct, frozen=True, kw_only=True):
    """How far a ledger goes: signed by the project each time it is published. A later `serial` replaces an earlier one.

    `entries`: how many there are; `newest`: hash of the last. `project`: its manifest, `earlier`: those before it that said something else of bonus, budget, network or owner. `apps`: those whose
    results are credited.
    elsewhere: (manifest of that project, entry, the owner's agreement).
    """

    key: Key
    serial: EntryNumber
    at: Wall
    entries: Annotated[int, Meta(ge=0, le=2**53)]
    newest: Hash
    segments: Annotated[list[Segment], Meta(max_length=SEGMENTS)]
    project: Signed
    earlier: Annotated[list[Signed], Meta(max_length=EARLIER)] = []
    apps: Annotated[list[Signed], Meta(max_length=APPS)] = []


class SignedHead(Struct, frozen=True, array_like=True):
    """`signature`: of the project over HEAD_PURPOSE and body."""

    body: Annotated[bytes, Meta(max_length=HEAD_BYTES)]
    signature: Signature


class Earned(Struct, frozen=True, array_like=True):
    """What the owner of a project earned at another: that one's manifest, its entry, and the owner's agreement."""

    project: Signed
    receipt: Receipt
    agreement: Signature


_entries: Decoder[Entry] = Decoder(Entry, ENTRY_BYTES)
_lines: Decoder[Line] = Decoder(Line, LINE_BYTES)
_heads: Decoder[Head] = Decoder(Head, HEAD_BYTES)
_earned: Decoder[list[Earned]] = Decoder(Annotated[list[Earned], Meta(max_length=EARNED)], EARNED_BYTES)
_signed_heads: Decoder[SignedHead] = Decoder(SignedHead, HEAD_BYTES + 256)


def first(project: bytes) -> bytes:
    """What the first entry of `project` has as `previous`."""
    return hashlib.sha256(FIRST_PURPOSE + project).digest()


def entry_hash(body: bytes) -> bytes:
    """32 bytes, of the canonical bytes of an entry: what the next one chains to, and what both sides sign."""
    return hashlib.sha256(ENTRY_PURPOSE + body).digest()


def sign_entry(entry: Entry, key: Identity) -> Receipt:
    """Raises ValueError where `key` is not the project's."""
    if key.peer != entry.project:
        raise ValueError("only the project's own key signs its ledger")
    body = canonical(entry)
    return Receipt(body, key.sign(ENTRY_PURPOSE + entry_hash(body)))


def open_receipt(receipt: Receipt, project: bytes | None = None) -> Entry:
    """The entry, after its bytes, sums and the project's signature were checked.

    Args:
        project: that is meant; None takes any.

    Raises:
        BadMessage: malformed, sums that do not add up, of another project, or not signed by it.
    """
    entry = read_entry(receipt.body)
    if project is not None and entry.project != project:
        raise BadMessage("an entry of another project's ledger")
    if not PeerId(entry.project).verify(receipt.signature, ENTRY_PURPOSE + entry_hash(receipt.body)):
        raise BadMessage("an entry of a ledger that its project has not signed")
    return entry


def read_entry(body: bytes) -> Entry:
    """Without its signature. Raises BadMessage: malformed, or sums that do not add up."""
    entry = _entries.decode(body)
    if any(len(group.units) % 32 for group in entry.groups):
        raise BadMessage("an entry with a piece of a unit's name")
    if entry.results > ENTRY_UNITS:
        raise BadMessage(f"an entry of more than {ENTRY_UNITS} results")
    if entry.total != sum(group.count * group.credit for group in entry.groups):
        raise BadMessage("an entry whose sum is not that of its parts")
    return entry


def agree(receipt: Receipt, worker: Identity) -> bytes:
    """The worker's signature: it did that work, and takes that credit. 64 bytes."""
    return worker.sign(AGREE_PURPOSE + entry_hash(receipt.body))


def agrees(worker: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether `worker` countersigned the entry with that hash."""
    return PeerId(worker).verify(signature, AGREE_PURPOSE + digest)


def sign_head(head: Head, key: Identity) -> bytes:
    """The bytes of the file `head`. Raises ValueError where `key` is not the project's."""
    if key.peer != head.key:
        raise ValueError("only the project's own key signs its ledger")
    body = canonical(head)
    return canonical(SignedHead(body, key.sign(HEAD_PURPOSE + body)))


def open_head(data: bytes, project: bytes | None = None) -> Head:
    """Raises BadMessage: malformed, of another project, or not signed by it."""
    signed = _signed_heads.decode(data)
    head = _heads.decode(signed.body)
    if project is not None and head.key != project:
        raise BadMessage("the ledger of another project")
    if not PeerId(head.key).verify(signed.signature, HEAD_PURPOSE + signed.body):
        raise BadMessage("a ledger that its project has not signed")
    return head


def read_earned(data: bytes) -> list[Earned]:
    """The file `earned`: canonical bytes of a list. Raises BadMessage."""
    return _earned.decode(data)


def write_line(line: Line) -> bytes:
    """A frame: 4 bytes of length, and MessagePack."""
    body = canonical(line)
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def read_lines(data: bytes | memoryview) -> Iterator[Line]:
    """The lines of a segment, one after another. Raises BadMessage where the data end within a line, or one is malformed."""
    view, at = memoryview(data), 0
    while at < len(view):
        size = int.from_bytes(view[at : at + HEADER_BYTES], "big")
        at += HEADER_BYTES
        if at + size > len(view):
            raise BadMessage("a ledger that ends within a line")
        yield _lines.decode(view[at : at + size])
        at += size


def units_of(group: Group) -> Iterator[bytes]:
    """The names of its units, 32 bytes each."""
    return (group.units[at : at + 32] for at in range(0, len(group.units), 32))


class Credited(Struct, frozen=True, array_like=True):
    """One result that is to be written into an entry. Fields as in `Group`."""

    unit: bytes
    app: bytes
    operations: int
    credit: int
    price: int


def pack(credited: Sequence[Credited]) -> tuple[list[Group], int]:
    """As many of `credited`, from the first on, as one entry holds.

    Returns:
        the groups, and how many of `credited` are in them: at least one.
    """
    groups: dict[tuple[bytes, int, int, int], bytearray] = {}
    room, taken = ENTRY_BYTES - 2048, 0  # 2 KiB for everything else: keys, names, a membership
    for one in credited[:ENTRY_UNITS]:
        alike = (one.app, one.operations, one.credit, one.price)
        cost = 32 if alike in groups else 32 + 32 + 3 * 9 + 8
        if cost > room:
            break
        room -= cost
        groups.setdefault(alike, bytearray()).extend(one.unit)
        taken += 1
    return [Group(*alike, bytes(units)) for alike, units in groups.items()], taken
