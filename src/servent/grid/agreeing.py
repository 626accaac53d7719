"""Whether a volunteer agrees with an entry of a ledger: it must say what our own log says, no more and no less. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from servent.grid import credit
from servent.grid.ledger import Entry, Group, units_of
from servent.grid.lending_rows import Did


def wrong_with(
    entry: Entry,
    me: bytes,
    known: Mapping[bytes, Did],
    agreed: bytes | None,
    digest: bytes,
    bonus: float,
) -> str:
    """Why we do not countersign, in words; "" where we do.

    Args:
        known: what we did of the units it names.
        agreed: hash of the entry with this number that we countersigned before; `digest`: of this one.
        bonus: k of the project's quick-return bonus.
    """
    if entry.worker != me:
        return "it credits somebody else"
    if agreed is not None:
        return "" if agreed == digest else f"there are two entries with the number {entry.number}"
    if entry.kind == "withdrawal":
        return _wrong_withdrawal(entry, known)
    seen: set[bytes] = set()
    for group in entry.groups:
        for unit in units_of(group):
            if unit in seen:
                return "it credits a unit twice"
            seen.add(unit)
            if why := _wrong_unit(group, known.get(unit), bonus):
                return why
    return ""


def _wrong_unit(group: Group, did: Did | None, bonus: float) -> str:
    if did is None:
        return "it credits a unit that we never returned"
    if did.entry:
        return f"it credits a unit that entry {did.entry} credits already"
    if did.app != group.app or did.operations != group.operations:
        return "it says another app or another size of a unit than the lease did"
    if group.credit < group.operations:
        return "it credits less than the unit was said to be worth"
    if group.credit > credit.most_granted(group.operations, bonus):
        return "it credits more than any bonus could give"
    return ""


def _wrong_withdrawal(entry: Entry, known: Mapping[bytes, Did]) -> str:
    """We cannot know that a result of ours was right, only that it was credited: taking back what was given, once, is all it may do."""
    seen: set[bytes] = set()
    for group in entry.groups:
        for unit in units_of(group):
            did = known.get(unit)
            if did is None or not did.entry or unit in seen:
                return "it takes back credit that was not given"
            seen.add(unit)
    return ""
