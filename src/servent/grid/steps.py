"""What happens to a unit from outside, each step with the decision that follows. Pure.

A coordinator calls one of these for each thing that came, and `transition` where only time went on. All take the unit, all its
copies in the order of their ids, and give one `Decision`, whose `copies` hold every copy that has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from servent.grid.model import Copy, Decision, Unit
from servent.grid.transition import COUNTS, after, transition
from servent.grid.wire import Taken

LONGEST = 7 * 86400.0  # s; a lease is renewed no longer than that: who never ends keeps nobody waiting
SPARE = 1  # copies beyond those needed, of a unit at the tail of its batch


@dataclass(frozen=True, slots=True)
class Bid:
    """Who takes a copy, and on what terms.

    `until`: end of the lease, wall time. `alone`: this host is trusted to be right alone this time (`replication.alone`). `lineage`:
    identities whose checkpoint it goes on from; an unchecked copy never goes on from another's.
    """

    identity: bytes
    until: float
    alone: bool = False
    lineage: tuple[bytes, ...] = ()


def leased(unit: Unit, copies: Sequence[Copy], copy: Copy, bid: Bid, now: float) -> Decision:
    """An unsent copy goes to somebody who is `eligible`. The first lease of a unit decides how many must agree."""
    lineage = tuple(one for one in bid.lineage if one != bid.identity) if bid.lineage else ()
    alone = bid.alone and not lineage and unit.need < 2 and unit.answer is None
    taken = replace(
        copy,
        state="leased",
        identity=bid.identity,
        since=now,
        until=bid.until,
        unchecked=alone,
        lineage=lineage,
    )
    if unit.need == 0:
        unit = replace(unit, need=1 if alone or unit.answer is not None else unit.quorum)
    return after(unit, copies, {copy.id: taken}, now)


def taken(unit: Unit, copies: Sequence[Copy], copy: Copy | None, identity: bytes, now: float) -> Taken:
    """What to say to a result for this lease from `identity`, before its content is looked at. Only "taken" may go on to `returned` or `failed`."""
    if copy is None or copy.identity != identity:
        return "unknown"
    if copy.state == "aborted":
        return "late"
    if copy.state not in ("leased", "expired", "unneeded"):
        return "unknown"
    if copy.state != "leased" and _replaced(copies, copy):
        return "late"
    if unit.state == "open":
        return "taken"
    # Somebody was quicker. Who is still within their lease worked in good faith.
    in_time = unit.state == "done" and copy.state in ("leased", "unneeded") and now < copy.until
    return "taken" if in_time else "late"


def returned(unit: Unit, copies: Sequence[Copy], copy: Copy, group: bytes | None, now: float) -> Decision:
    """A result came. `group`: the digest of its output, for a bit-identical app; None where it has to be compared first (see `grouped`)."""
    return after(unit, copies, {copy.id: replace(copy, state="returned", group=group)}, now)


def grouped(unit: Unit, copies: Sequence[Copy], groups: Mapping[int, bytes], now: float) -> Decision:
    """Results were compared: the group of each, by copy."""
    found = {
        copy.id: replace(copy, group=groups[copy.id])
        for copy in copies
        if copy.id in groups and copy.state == "returned"
    }
    return after(unit, copies, found, now)


def failed(unit: Unit, copies: Sequence[Copy], copy: Copy, now: float, ending: str = "") -> Decision:
    """An error in place of a result. Of a unit that has ended, it tells nothing. `ending`: as in `Copy`."""
    if unit.state != "open":
        return after(unit, copies, {copy.id: replace(copy, state="unneeded", until=now)}, now)
    decision = after(unit, copies, {copy.id: replace(copy, state="failed", ending=ending)}, now)
    return replace(decision, failed=(copy.id,))


def aborted(unit: Unit, copies: Sequence[Copy], copy: Copy, now: float) -> Decision:
    """Given back, without blame. A copy that is not leased any more stays what it is."""
    if copy.state != "leased":
        return transition(unit, copies, now)
    return after(unit, copies, {copy.id: replace(copy, state="aborted")}, now)


def renewed(
    unit: Unit, copies: Sequence[Copy], copy: Copy, until: float, now: float, longest: float = LONGEST
) -> Decision | None:
    """Its host is still at it. None: it is to stop, for nobody waits for it any more, or it was leased for `longest` seconds and shows no result.

    An expired copy lives again as long as the unit is open and nobody goes on from its checkpoint, nor has its host taken another.
    """
    if unit.state != "open" or copy.since + longest <= now:
        return None
    if copy.state == "leased":
        until = max(until, copy.until)
    elif copy.state != "expired" or _replaced(copies, copy):
        return None
    until = min(until, copy.since + longest)
    return after(unit, copies, {copy.id: replace(copy, state="leased", until=until)}, now)


def hurried(unit: Unit, copies: Sequence[Copy], now: float) -> Decision:
    """It is at the tail of its batch: one copy more than needed, which whoever is fast takes."""
    if unit.state != "open" or unit.spare:
        return transition(unit, copies, now)
    return after(replace(unit, spare=SPARE), copies, {}, now)


def _replaced(copies: Sequence[Copy], copy: Copy) -> bool:
    """Whether its word no longer counts as one: its host has another copy, or somebody goes on from what it computed, or the other way round."""
    own = {copy.identity, *copy.lineage}
    return any(
        one.id != copy.id
        and (
            (one.state in COUNTS and (one.identity in own or not own.isdisjoint(one.lineage)))
            or (one.identity == copy.identity and one.state in ("invalid", "failed"))
        )
        for one in copies
    )
