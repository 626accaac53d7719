"""What the node tells a sandbox process, and what it hears. Pure. Both ends are ours, but what a module writes comes through here, so all is limited."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Hash
from servent.grid.manifests import Abi, Limits
from servent.grid.wire import Fraction, Outcome

JobNumber = Annotated[int, Meta(ge=1, le=2**53)]


class Job(Struct, frozen=True, tag="job", kw_only=True):
    """Run a module once. `module`: path of its bytes, `digest`: their SHA-256. `stdin`: the input, or `stdin_path` a file that holds it.

    `budget`: seconds of this machine. `resume`: path of a snapshot to go on from. `checkpoint_every`: seconds, 0 for never; snapshots go into `folder`,
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
    checkpoint_every: float = 0.0
    most_slices: int = 2**31
    canonical_nans: bool = False
    inline_bytes: int = 16 * 1024


class Suspend(Struct, frozen=True, tag="suspend"):
    """End the job as soon as its slice is over, with a snapshot where it can have one; it is to go on later, here or elsewhere."""

    number: JobNumber


class Moving(Struct, frozen=True, tag="moving"):
    """How far it is. `fraction` None where the module does not say."""

    number: JobNumber
    slices: int
    seconds: float
    fraction: Fraction | None = None
    memory_bytes: int = 0


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
    """`output` or, where it is longer, `output_path`. `digest`: SHA-256 of the output. `words`: what went wrong, for people, with the end of what the module said on stderr."""

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


Told = Job | Suspend
Heard = Moving | Saved | Ended
