"""What the node tells a sandbox process, and what it hears. Pure. Both ends are ours, but what a module writes comes through here, so all is limited."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Hash
from servent.grid.manifests import Abi, Limits
from servent.grid.pictures import PICTURE_BYTES
from servent.grid.wire import Fraction, Outcome

TOLD_BYTES = 512 * 1024  # of a message to the process; longer inputs come as files
HEARD_BYTES = 512 * 1024
PYTHON_COMPILING = 4.0  # times what other modules may take: CPython takes 5 to 17 s of a core
JobNumber = Annotated[int, Meta(ge=1, le=2**53)]


class Job(Struct, frozen=True, tag="job", kw_only=True):
    """Run a module once. `module`: path of its bytes, `digest`: their SHA-256. `stdin`: the input, or `stdin_path` a file that holds it.

    `budget`: seconds of a core of this machine. `resume`: path of a snapshot to go on from, taken after `resume_slices`, of the state `resume_digest` (empty: any). `checkpoint_every`: seconds, 0 for never; snapshots go into `folder`,
    and so does an output of more than `inline_bytes`.
    """

    number: JobNumber
    module: str
    digest: Hash
    abi: Abi
    seed: Hash
    limits: Limits
    folder: str
    args: list[str] = []
    stdin: bytes = b""
    stdin_path: str = ""
    budget: float = 3600.0
    resume: str = ""
    resume_slices: int = 0
    resume_digest: Annotated[bytes, Meta(max_length=32)] = b""
    checkpoint_every: float = 0.0
    most_slices: int = 2**31
    canonical_nans: bool = False
    inline_bytes: int = 16 * 1024


class Suspend(Struct, frozen=True, tag="suspend"):
    """End the job as soon as its slice is over, with a snapshot where it can have one; it is to go on later, here or elsewhere."""

    number: JobNumber


class Moving(Struct, frozen=True, tag="moving"):
    """How far it is. `fraction` None where the module does not say. `pictures`: it has some to show (see `Watch`)."""

    number: JobNumber
    slices: int
    seconds: float
    fraction: Fraction | None = None
    memory_bytes: int = 0
    pictures: bool = False


class Saved(Struct, frozen=True, tag="saved"):
    """A snapshot is whole on the disk at `path`. `digest`: SHA-256 of the state it holds, unpacked."""

    number: JobNumber
    path: str
    slices: int
    digest: Hash
    size: int
    fraction: Fraction | None = None
    suspended: bool = False


class Ended(Struct, frozen=True, tag="ended"):
    """`output` or, where it is longer, `output_path`. `digest`: SHA-256 of the output. `words`: what went wrong, for people, with the end of what the module said on stderr.

    `seconds` of a core. `suspended`: it was told to, and is to go on from its last `Saved`, if there is one; `outcome` says "lost" then and means nothing.
    """

    number: JobNumber
    outcome: Outcome
    digest: Annotated[bytes, Meta(max_length=32)] = b""
    output: bytes = b""
    output_path: str = ""
    size: int = 0
    seconds: float = 0.0
    slices: int = 0
    memory_bytes: int = 0
    words: Annotated[str, Meta(max_length=1000)] = ""
    suspended: bool = False


class Stop(Struct, frozen=True, tag="stop"):
    """End the job now; nobody wants it any more. Answered by its `Ended`, suspended."""

    number: JobNumber


class Pace(Struct, frozen=True, tag="pace"):
    """Take so much of the core's time; 0: hold still until told otherwise, and keep everything."""

    percent: Annotated[int, Meta(ge=0, le=100)]


class Watch(Struct, frozen=True, tag="watch"):
    """Somebody looks at the job, or nobody does any more. Answered by a `Pictured` after its slices, no more than five a second."""

    number: JobNumber
    on: bool


class Pictured(Struct, frozen=True, tag="pictured"):
    """What the module says is its picture, unread; nothing where it names no memory of its own, or too much of it."""

    number: JobNumber
    slices: int
    picture: Annotated[bytes, Meta(max_length=PICTURE_BYTES)]


class Check(Struct, frozen=True, tag="check", kw_only=True):
    """Compile a module and say whether it may run. Answered by `Ended`: "done", or "module" with the reason in words."""

    number: JobNumber
    module: str
    digest: Hash
    abi: Abi
    limits: Limits
    canonical_nans: bool = False


class Ready(Struct, frozen=True, tag="ready"):
    """First of all. `belts`: what holds this process beside the sandbox itself, in words: "no network", "idle priority"."""

    belts: Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=16)] = []


Told = Job | Check | Suspend | Stop | Pace | Watch
Heard = Ready | Moving | Saved | Pictured | Ended
