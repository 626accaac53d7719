"""The messages of "servent.grid/1": a volunteer asks a project's coordinator, on one standing stream. Limits stand in the types.

The volunteer says `Join` first and may then ask anything, also before earlier answers are there; answers come in the order of the questions. `Lease`
is answered by `Leased`, `Describe` by `Described`, `Return` by `Returned`, `Renew` by `Renewed`, `Abort` by `Aborted`, `Countersign` by `Countersigned`, `Look` by `Looked`; each of
them by `Sorry` where it is refused. What a lease is good for belongs to the identity that leased it: the number alone is worth nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.codec import Decoder, Hash, Key, Signature
from servent.grid.manifests import INLINE_BYTES, Content, Operations, Signed, Wall

SERVICE = "servent.grid/1"

BATCH = 64  # leases, results and so on in one message
QUESTION_BYTES = BATCH * (INLINE_BYTES + 2048) + 64 * 1024
ANSWER_BYTES = QUESTION_BYTES
STDERR_CHARACTERS = 1000
ARGUMENTS = 32
MOST_HELD = 4096  # leases that a volunteer names when it comes

LeaseNumber = Annotated[int, Meta(ge=1, le=2**62)]
LeaseList = Annotated[list[LeaseNumber], Meta(min_length=1, max_length=BATCH)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Words = Annotated[str, Meta(max_length=200)]
Inline = Annotated[bytes, Meta(max_length=INLINE_BYTES)]
Argument = Annotated[str, Meta(max_length=256)]
ArgumentList = Annotated[list[Argument], Meta(max_length=ARGUMENTS)]
ContactList = Annotated[list[Key], Meta(max_length=8)]

# How a unit ended on a volunteer's machine; everything but "done" is an error of its kind.
Outcome = Literal[
    "done",
    "exit",  # the module ended itself with a code that is not 0
    "trap",  # unreachable, a division by zero, memory out of bounds, a bad signature of a call
    "stack",  # recursion without end
    "time",
    "memory",
    "output",
    "module",  # it does not compile, asks for what is not offered, or lacks what its ABI wants
    "input",  # could not be fetched, or is not what its hash says
    "checkpoint",  # does not fit the module
    "lost",  # the process that ran it died, not by its own fault
]


class Membership(Struct, frozen=True, array_like=True):
    """A team says that a key is in it, and the key that it wants to be: two signatures over the same words (see `teams`)."""

    team: Key
    member: Key
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    serial: Annotated[int, Meta(ge=1, le=2**53)]
    expires: Wall
    by_team: Signature
    by_member: Signature


class Join(Struct, frozen=True, tag="join"):
    """First on every stream. `serial`: of the project's manifest that the volunteer knows, 0 for none. `invitation`: for a project of the invited.

    `held`: all leases of the project that the volunteer knows of, so that what it does not (our word on it was lost, or its disk) goes to somebody else; None says nothing."""

    project: Key
    serial: Annotated[int, Meta(ge=0, le=2**53)] = 0
    name: Annotated[str, Meta(max_length=64)] = ""
    team: Membership | None = None
    invitation: Annotated[bytes, Meta(max_length=512)] = b""
    cores: Annotated[int, Meta(ge=0, le=4096)] = 0
    memory_bytes: Annotated[int, Meta(ge=0, le=2**50)] = 0
    mflops: Annotated[float, Meta(ge=0, le=1e9)] = (
        0.0  # of one core in the sandbox, as measured; a hint for who is fast
    )
    system: Annotated[str, Meta(max_length=64)] = ""
    held: Annotated[list[LeaseNumber], Meta(max_length=MOST_HELD)] | None = None


class Welcome(Struct, frozen=True, tag="welcome"):
    """`manifest`: None where the volunteer knows the newest. `ledger`: infohash of the newest published one. `left`: results this identity may still lease today."""

    manifest: Signed | None = None
    ledger: Hash | None = None
    left: Annotated[int, Meta(ge=0, le=2**53)] = 0
    units: Annotated[int, Meta(ge=0, le=2**53)] = 0
    done: Annotated[int, Meta(ge=0, le=2**53)] = 0
    eta: Annotated[float, Meta(ge=0, le=1e11)] | None = (
        None  # seconds until all units are done, as it goes now
    )
    credit: Annotated[int, Meta(ge=-(2**62), le=2**62)] = 0  # MFLOP this identity was credited with
    price: Annotated[int, Meta(ge=1, le=100_000)] = (
        100  # percent: the highest bid among open work (see `credit.price`); always 100 where nobody's balance pays
    )


class Sorry(Struct, frozen=True, tag="sorry"):
    """Not now, or not at all. `retry`: seconds after which to ask again, None for never."""

    reason: Words
    retry: Annotated[float, Meta(ge=0, le=86400 * 7)] | None = None


class Lease(Struct, frozen=True, tag="lease"):
    """Up to `most` tasks that keep `cores` busy for `seconds` altogether. `have`: contents at hand (infohashes), to be preferred."""

    most: Annotated[int, Meta(ge=1, le=BATCH)]
    seconds: Annotated[float, Meta(gt=0, le=86400 * 30)] = 600.0
    cores: Annotated[int, Meta(ge=1, le=4096)] = 1
    memory_bytes: Annotated[int, Meta(ge=0, le=2**50)] = 2**50
    have: Annotated[list[Hash], Meta(max_length=BATCH)] = []


class Checkpoint(Struct, frozen=True, array_like=True):
    """The state of a "slice" unit between two slices. `content`: of the snapshot; `slices`: done so far; `digest`: SHA-256 of the state, unpacked."""

    content: Content
    slices: Annotated[int, Meta(ge=0, le=2**40)]
    digest: Hash
    fraction: Fraction = 0.0


class Task(Struct, frozen=True, kw_only=True):
    """One copy of a unit, leased until `until` (wall clock).

    `stdin` or `content` is its input, or neither. `seed`: 32 bytes, all the randomness there is in the sandbox; the same for all copies.
    `resume`: go on from there. `contacts`: peers who have the content.
    """

    lease: LeaseNumber
    unit: Hash
    app: Hash
    seed: Hash
    until: Wall
    operations: Operations
    args: ArgumentList = []
    stdin: Inline = b""
    content: Content | None = None
    resume: Checkpoint | None = None
    contacts: ContactList = []
    price: Annotated[int, Meta(ge=1, le=100_000)] = 100  # percent of the credit that the owner's balance pays


class Leased(Struct, frozen=True, tag="leased"):
    """`tasks` may be fewer than asked, and none: `wait` says in how many seconds to ask again, `why` the reason."""

    tasks: Annotated[list[Task], Meta(max_length=BATCH)] = []
    wait: Annotated[float, Meta(ge=0, le=86400)] = 0.0
    why: Words = ""


class Describe(Struct, frozen=True, tag="describe"):
    """The manifests of app versions, by `app_id`."""

    apps: Annotated[list[Hash], Meta(min_length=1, max_length=16)]


class Described(Struct, frozen=True, tag="described"):
    """In the order asked; None: not of this project. `contacts`: peers who have the module, for each."""

    apps: Annotated[list[Signed | None], Meta(max_length=16)]
    contacts: Annotated[list[ContactList], Meta(max_length=16)] = []


class Result(Struct, frozen=True, kw_only=True):
    """What came of a lease. Of "done", `digest` is the SHA-256 of the output, which is `output` itself or `content`, held by the volunteer.

    `seconds`: of a core; `words`: what went wrong, with what the module said on stderr.
    """

    lease: LeaseNumber
    outcome: Outcome
    digest: Annotated[bytes, Meta(max_length=32)] = b""
    output: Inline = b""
    content: Content | None = None
    seconds: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    words: Annotated[str, Meta(max_length=STDERR_CHARACTERS)] = ""


class Return(Struct, frozen=True, tag="return"):
    results: Annotated[list[Result], Meta(min_length=1, max_length=BATCH)]


# What became of a returned result: taken down durably (also where the very same was taken before, and our word on it got lost); too late, somebody else's counts;
# never leased to this identity, or another result came for it before; not what it says it is.
Taken = Literal["taken", "late", "unknown", "bad"]


class Receipt(Struct, frozen=True, array_like=True):
    """An entry of the ledger for its worker to countersign: canonical bytes of a `ledger.Entry`, and the project's signature."""

    body: Annotated[bytes, Meta(max_length=48 * 1024)]
    signature: Signature


class Returned(Struct, frozen=True, tag="returned"):
    """One word for each result, in order; durable by then. `receipts`: to be countersigned."""

    taken: Annotated[list[Taken], Meta(max_length=BATCH)]
    receipts: Annotated[list[Receipt], Meta(max_length=8)] = []


class Progress(Struct, frozen=True, array_like=True):
    lease: LeaseNumber
    fraction: Fraction = 0.0
    checkpoint: Checkpoint | None = None


class Renew(Struct, frozen=True, tag="renew"):
    """Still at it. Sent for every lease each `RENEW_EVERY` seconds; a lease that nobody renews ends at its `until`."""

    progress: Annotated[list[Progress], Meta(min_length=1, max_length=BATCH)]


class Renewed(Struct, frozen=True, tag="renewed"):
    """`until`: of each lease in order, 0 for one that is to be stopped: nobody waits for it any more. `receipts`: as in `Returned`."""

    until: Annotated[list[Wall], Meta(max_length=BATCH)]
    receipts: Annotated[list[Receipt], Meta(max_length=8)] = []


class Abort(Struct, frozen=True, tag="abort"):
    """Given back undone, without blame: the machine is wanted for something else. `checkpoints` of some of them, for whoever goes on."""

    leases: LeaseList
    checkpoints: Annotated[list[Progress], Meta(max_length=BATCH)] = []


class Aborted(Struct, frozen=True, tag="aborted"):
    pass


class Countersign(Struct, frozen=True, tag="countersign"):
    """The worker agrees with entries of the ledger: (number of the entry, its signature over the entry's hash)."""

    signatures: Annotated[
        list[tuple[Annotated[int, Meta(ge=1, le=2**53)], Signature]], Meta(min_length=1, max_length=BATCH)
    ]


class Countersigned(Struct, frozen=True, tag="countersigned"):
    taken: Annotated[list[bool], Meta(max_length=BATCH)]


class Look(Struct, frozen=True, tag="look"):
    """How is the project doing, and I? Answered by `Welcome`. `receipts`: also send what waits to be countersigned."""


class Looked(Struct, frozen=True, tag="looked"):
    welcome: Welcome
    receipts: Annotated[list[Receipt], Meta(max_length=8)] = []


RENEW_EVERY = 60.0  # s; also how often a checkpoint is taken, as BOINC does by default

Question = Join | Lease | Describe | Return | Renew | Abort | Countersign | Look
Answer = Welcome | Sorry | Leased | Described | Returned | Renewed | Aborted | Countersigned | Looked

read_question: Decoder[Question] = Decoder(Question, QUESTION_BYTES)
read_answer: Decoder[Answer] = Decoder(Answer, ANSWER_BYTES)
