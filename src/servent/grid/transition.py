"""The one place that decides what becomes of a unit. Pure: the same unit, copies and time give the same decision, always.

The rules are BOINC's transitioner and validator put into one function (read in its source, 2026-08), with groups in place of pairwise
comparison and with a unit that one trusted host may answer alone (BOINC's adaptive replication). What happens to a copy from outside (a lease, a result, a
failure) is in `steps`; each of them ends here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from servent.grid.model import Copy, Decision, Unit

COUNTS = frozenset(("leased", "returned", "valid"))  # copies that have a word in what the result is, or will
# A copy of this kind keeps its identity from another one of the same unit. Given back or stopped ones do not; an expired one once.
HAD = frozenset(("leased", "returned", "valid", "invalid", "failed"))
MOST_EXPIRED = 2  # copies of one unit that one identity may let expire; a laptop may sleep once


def transition(unit: Unit, copies: Sequence[Copy], now: float) -> Decision:
    """What is to be done now. Applying the decision and calling again at the same time changes nothing.

    Args:
        copies: all copies of the unit that ever were, in the order of their ids.
        now: wall clock, seconds.
    """
    if unit.state == "open":
        return _open(unit, copies, {}, now)
    if unit.state == "done":
        return _done(unit, copies, now)
    return _closed(unit, copies)


def eligible(unit: Unit, copies: Sequence[Copy], identity: bytes, lineage: Iterable[bytes] = ()) -> bool:
    """Whether a copy of this unit may go to `identity`: never two copies on one, nor on whoever computed a part of another.

    Args:
        lineage: whose checkpoint it would go on from, and so on.
    """
    if unit.state != "open":
        return False
    voices = {identity, *lineage}
    expired = 0
    for copy in copies:
        state = copy.state
        if copy.identity == identity:
            if state in HAD:
                return False
            expired += state == "expired"
        elif state in COUNTS and (copy.identity in voices or not voices.isdisjoint(copy.lineage)):
            return False
    return expired < MOST_EXPIRED


def cancelled(unit: Unit, copies: Sequence[Copy], now: float) -> Decision:
    """The owner wants it no more. What was returned and not found right yet is not credited: nobody knows whether it is."""
    if unit.state != "open":
        return transition(unit, copies, now)
    decision = _closed(
        replace(unit, state="cancelled", canonical=None, verified=False, why="cancelled"), copies
    )
    return replace(decision, final=True, revised=unit.canonical is not None)


def reopened(unit: Unit, copies: Sequence[Copy], now: float) -> Decision:
    """Its only result is of a host that was caught: as many as `quorum` must agree now (two at least), and that host's word counts as one.

    A unit that is still open, and that such a host computes unchecked, needs its quorum from now on, too. Where others stand behind the result, nothing changes.
    """
    if unit.state == "done" and not unit.verified and unit.answer is None:
        return _reopen(replace(unit, quorum=max(2, unit.quorum)), copies, now)
    if unit.state == "open" and unit.need == 1:
        quorum = max(2, unit.quorum)
        checked = {copy.id: replace(copy, unchecked=False) for copy in copies if copy.unchecked}
        return after(replace(unit, quorum=quorum, need=quorum), copies, checked, now)
    return transition(unit, copies, now)


def voices(copies: Sequence[Copy]) -> int:
    """How many of these are independent: of different identities, none of which computed a part of another's."""
    if len(copies) < 2:
        return len(copies)
    if len(copies) == 2 and not copies[0].lineage and not copies[1].lineage:
        return 1 if copies[0].identity == copies[1].identity else 2
    heard: set[bytes | None] = set()
    count = 0
    for copy in copies:
        if copy.identity in heard or not heard.isdisjoint(copy.lineage):
            continue
        heard.add(copy.identity)
        heard.update(copy.lineage)
        count += 1
    return count


def _open(unit: Unit, copies: Sequence[Copy], changed: dict[int, Copy], now: float) -> Decision:
    """`changed`: what has changed of `copies` before; it is added to. Called for every lease and every result, so it makes no more than it needs."""
    expired: list[int] = []
    invalid: list[int] = []
    groups: dict[bytes, list[Copy]] = {}
    unsent: list[int] = []
    waiting = leased = failed = made = 0
    endings: list[str] = []
    alone = False  # a trusted host's unchecked copy is out, or back
    answer, wake = unit.answer, unit.expires
    for copy in copies:
        state = copy.state
        if state == "leased":
            made += 1
            until = copy.until
            if until <= now:
                changed[copy.id] = replace(copy, state="expired")
                expired.append(copy.id)
                continue
            leased += 1
            if copy.unchecked:
                alone = True
            if wake is None or until < wake:
                wake = until
        elif state == "unsent":
            unsent.append(copy.id)
        elif state == "returned":
            made += 1
            group = copy.group
            if group is None:
                waiting += 1
            elif answer is not None and group != answer:
                changed[copy.id] = replace(copy, state="invalid")
                invalid.append(copy.id)
                continue
            elif group in groups:
                groups[group].append(copy)
            else:
                groups[group] = [copy]
            if copy.unchecked:
                alone = True
        elif state != "aborted" and state != "unneeded":
            made += 1
            if state == "failed":
                failed += 1
                if copy.ending:
                    endings.append(copy.ending)
    quorum, need, heard = unit.quorum, unit.need, 0
    best: list[Copy] = []
    for said in groups.values():
        count = 1 if len(said) == 1 else voices(said)
        if count > heard:
            best, heard = said, count
    if answer is not None:
        need = 1
    elif not (leased or waiting or groups):
        need = 0
    elif need == 0 or (need == 1 and (len(groups) > 1 or not alone)):
        need = quorum
    if heard and (
        heard >= quorum
        or answer is not None
        or (need == 1 and len(groups) == 1 and any(copy.unchecked for copy in best))
    ):
        return _finish(unit, copies, changed, best, heard, expired, invalid)
    ready = len(unsent)
    wanted = (need or 1) - heard - leased - waiting
    if leased:
        wanted += unit.spare
    room = unit.most_copies - made - ready
    create = min(wanted - ready, room) if wanted > ready and room > 0 else 0
    enough = (1 if need == 1 else quorum) - heard  # also where no lease has decided yet
    why = ""
    if unit.expires is not None and unit.expires <= now:
        why = "its time was over"
    elif endings and answer is None and not (groups or waiting) and _alike(endings) >= quorum:
        why = f"it ended without a result, in the same way at {_alike(endings)} of {failed}"
    elif failed > unit.most_failed:
        why = f"{failed} of its copies failed"
    elif leased + waiting + ready < enough and leased + waiting + ready + max(0, room) < enough:
        agreed = enough + heard
        why = (
            f"{made} copies, but no {agreed} results agreed"
            if agreed > 1
            else f"none of {made} copies came to a result"
        )
    if why:
        over = replace(unit, state="error", need=need, canonical=None, verified=False, why=why)
        ended = _closed(over, [changed.get(copy.id, copy) for copy in copies])
        both = {**changed, **{copy.id: copy for copy in ended.copies}}
        return replace(
            ended, copies=tuple(both.values()), expired=tuple(expired), invalid=tuple(invalid), final=True, revised=unit.canonical is not None
        )  # fmt: skip
    return Decision(
        unit=unit if need == unit.need else replace(unit, need=need),
        copies=tuple(changed.values()),
        create=create,
        drop=() if ready <= wanted else tuple(unsent[max(0, wanted) :]),
        invalid=tuple(invalid),
        expired=tuple(expired),
        wake=wake,
    )


def _alike(endings: Sequence[str]) -> int:
    """How many say the same, most of all. Nobody fails a unit twice, nor one that somebody else began: each is a word of its own."""
    return max(endings.count(one) for one in set(endings))


def _finish(
    unit: Unit,
    copies: Sequence[Copy],
    changed: dict[int, Copy],
    best: Sequence[Copy],
    heard: int,
    expired: Sequence[int],
    invalid: list[int],
) -> Decision:
    """The results of `best` are right, as far as one knows. `changed` and `invalid` are added to."""
    group = best[0].group
    verified = unit.answer is not None or heard >= max(2, unit.quorum)
    former = unit.canonical
    kept = former is not None and any(copy.id == former for copy in best)
    drop: list[int] = []
    stop: list[int] = []
    credit: list[int] = []
    withdraw: list[int] = []
    valid: list[int] = []
    for copy in copies:
        if copy.id in changed:
            copy = changed[copy.id]
        state = copy.state
        if state == "unsent":
            drop.append(copy.id)
        elif state == "leased":
            changed[copy.id] = replace(copy, state="unneeded")
            stop.append(copy.id)
        elif state != "returned" or copy.group is None:
            continue
        elif copy.group == group:
            if not copy.credited:
                credit.append(copy.id)
            if verified:
                valid.append(copy.id)
            changed[copy.id] = replace(copy, state="valid", credited=True)
        elif verified:
            if copy.credited:
                withdraw.append(copy.id)
            invalid.append(copy.id)
            changed[copy.id] = replace(copy, state="invalid")
        else:  # one result is enough for this unit, and two came that differ: nobody knows
            changed[copy.id] = replace(copy, state="unneeded")
    return Decision(
        unit=replace(
            unit, state="done", need=0, spare=0, canonical=former if kept else best[0].id, verified=verified
        ),
        copies=tuple(changed.values()),
        drop=tuple(drop),
        stop=tuple(stop),
        credit=tuple(credit),
        withdraw=tuple(withdraw),
        valid=tuple(valid),
        invalid=tuple(invalid),
        expired=tuple(expired),
        final=not kept,
        revised=former is not None and not kept,
    )


def _done(unit: Unit, copies: Sequence[Copy], now: float) -> Decision:
    """What comes after the result is known: copies that were still at it, when they were stopped."""
    group = unit.answer
    late = False
    for copy in copies:
        if copy.id == unit.canonical and group is None:
            group = copy.group
        late = late or copy.state in ("returned", "leased", "unsent")
    if not late:
        return Decision(unit=unit)
    agreeing = [copy for copy in copies if copy.group == group and copy.state in ("valid", "returned")]
    verified = unit.verified or voices(agreeing) >= max(2, unit.quorum)
    if (
        not verified
        and unit.quorum > 1
        and any(
            copy.state == "returned" and copy.group is not None and copy.group != group for copy in copies
        )
    ):
        return _reopen(unit, copies, now)  # a trusted host and somebody else differ
    changed: dict[int, Copy] = {}
    drop: list[int] = []
    stop: list[int] = []
    credit: list[int] = []
    withdraw: list[int] = []
    valid = [copy.id for copy in agreeing if copy.state == "valid"] if verified and not unit.verified else []
    invalid: list[int] = []
    for copy in copies:
        if copy.state == "unsent":
            drop.append(copy.id)
        elif copy.state == "leased":
            changed[copy.id] = replace(copy, state="unneeded")
            stop.append(copy.id)
        elif copy.state != "returned" or copy.group is None:
            continue
        elif copy.group == group:
            if not copy.credited:
                credit.append(copy.id)
            if verified:
                valid.append(copy.id)
            changed[copy.id] = replace(copy, state="valid", credited=True)
        elif verified:
            if copy.credited:
                withdraw.append(copy.id)
            invalid.append(copy.id)
            changed[copy.id] = replace(copy, state="invalid")
        else:
            changed[copy.id] = replace(copy, state="unneeded")
    return Decision(
        unit=unit if verified == unit.verified else replace(unit, verified=verified),
        copies=tuple(changed.values()),
        drop=tuple(drop),
        stop=tuple(stop),
        credit=tuple(credit),
        withdraw=tuple(withdraw),
        valid=tuple(valid),
        invalid=tuple(invalid),
    )


def _reopen(unit: Unit, copies: Sequence[Copy], now: float) -> Decision:
    """What was found right is one word among others again. Its old result stands as long as nothing else is known."""
    again = {
        copy.id: replace(copy, state="returned", unchecked=False) for copy in copies if copy.state == "valid"
    }
    expires = None if unit.expires is not None and unit.expires <= now else unit.expires
    return after(replace(unit, state="open", need=unit.quorum, expires=expires), copies, again, now)


def _closed(unit: Unit, copies: Sequence[Copy]) -> Decision:
    """An error, or cancelled: nobody waits for anything, and no more is credited."""
    over = ("leased", "returned")
    return Decision(
        unit=unit,
        copies=tuple(replace(copy, state="unneeded") for copy in copies if copy.state in over),
        drop=tuple(copy.id for copy in copies if copy.state == "unsent"),
        stop=tuple(copy.id for copy in copies if copy.state == "leased"),
    )


def after(unit: Unit, copies: Sequence[Copy], changed: dict[int, Copy], now: float) -> Decision:
    """The decision after these copies have changed; they are among its `copies`. `changed` is used up."""
    copies = [changed.get(copy.id, copy) for copy in copies]
    if unit.state == "open":
        return _open(unit, copies, changed, now)
    decision = transition(unit, copies, now)
    if not changed:
        return decision
    both = {**changed, **{copy.id: copy for copy in decision.copies}}
    return replace(decision, copies=tuple(both.values()))
