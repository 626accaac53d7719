"""A unit and its copies, as `transition` sees them. Pure.

A *unit* is a piece of work; a *copy* of it is leased to one identity and comes back as a result. Copies whose results agree are of one
*group*: for a bit-identical app the digest of the output, for others the digest of the first output that the comparer found alike.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

# open: work is to be done, or results are waited for. done: a result was found right. error: too many failed, or its time is over.
UnitState = Literal["open", "done", "error", "cancelled"]
# unsent -> leased -> returned -> valid | invalid; or expired (nobody heard of it any more), failed (an error instead of a
# result), aborted (given back), unneeded (nobody waits for it any more). A returned copy has no group until it was compared.
CopyState = Literal[
    "unsent", "leased", "returned", "valid", "invalid", "expired", "failed", "aborted", "unneeded"
]


class Unit(Struct, frozen=True, kw_only=True, array_like=True):
    """What is to be done, and how sure one wants to be.

    `quorum`: results that must agree where hosts are not trusted; `need`: that must agree now: 0 before the first lease decides, 1 after a trusted host took it unchecked,
    else `quorum`. `spare`: copies beyond those, so that the last of a batch end sooner (see `tail`). `answer`: group of the right result of a spot check, whose answer is known.
    `expires`: wall time at which it is given up, None for never. `most_failed`: with more failures than that it is an error. `most_copies`: leased at most, but
    for those that were given back. `canonical`: the copy whose result is the unit's; while a unit is open again, the one whose result it was.
    `verified`: more than one trusted host's word, or a known answer, stands behind it.
    """

    id: int
    state: UnitState = "open"
    quorum: int = 2
    need: int = 0
    spare: int = 0
    answer: bytes | None = None
    expires: float | None = None
    most_failed: int = 4
    most_copies: int = 12
    canonical: int | None = None
    verified: bool = False
    why: str = ""


class Copy(Struct, frozen=True, kw_only=True, array_like=True):
    """`identity`: who leased it, 32 bytes, None before; `since`, `until`: begin and end of the lease, wall time. `unchecked`: its host was trusted to be right alone.

    `lineage`: other identities whose checkpoints it went on from: of a unit no copy goes to anybody in the lineage of another. `credited`: it was, once and for all.
    `ending`: of a failed copy, how it ended, where the sandbox ends alike on every machine; else "".
    """

    id: int
    state: CopyState = "unsent"
    identity: bytes | None = None
    since: float = 0.0
    until: float = 0.0
    group: bytes | None = None
    unchecked: bool = False
    lineage: tuple[bytes, ...] = ()
    credited: bool = False
    ending: str = ""


class Decision(Struct, frozen=True, kw_only=True):
    """What is to be done about a unit, all in one transaction.

    `unit`: as it is now. `copies`: those that have changed. `create`: new copies to be made, unsent. `drop`: unsent copies that are not needed, to be deleted.
    `stop`: leased copies nobody waits for. `credit`: copies that are credited now, each at most once in its life. `withdraw`: copies credited before that were found wrong.
    `valid`, `invalid`, `expired`, `failed`: verdicts that are new, by copy, for what is thought of their hosts; a result that was taken on one trusted host's word
    is credited, but `valid` only once something else stands behind it. `final`: the unit has just ended, or its result is another than before; `revised`: the latter.
    `wake`: wall time at which to look again though nothing came, None for never.
    """

    unit: Unit
    copies: tuple[Copy, ...] = ()
    create: int = 0
    drop: tuple[int, ...] = ()
    stop: tuple[int, ...] = ()
    credit: tuple[int, ...] = ()
    withdraw: tuple[int, ...] = ()
    valid: tuple[int, ...] = ()
    invalid: tuple[int, ...] = ()
    expired: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    final: bool = False
    revised: bool = False
    wake: float | None = None
