"""How far a host's word is trusted, for each app version; and what follows when it was caught. Pure; dice are arguments.

BOINC's adaptive replication: after ten valid results in a row a host may answer alone, but is checked again at random. Differences, each found
by `python -m simulations cheaters`: only results that something else stands behind count into the row; a host that was caught
has to be right for longer each time; all that it answered alone in that row is computed again, not only that of the last day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from servent.grid.model import Copy
from servent.grid.transition import COUNTS

FIRST = 10  # valid results in a row until a host may answer alone; BOINC's default
LEAST_CHECK = 0.02  # of a trusted host's units are checked by a second host, however long it was right
MOST_STRIKES = 8  # a host that was caught so often needs 2,560 in a row
FORGIVEN = 10  # times the row that it needed: a strike is forgotten
REISSUE_FOR = 7 * 86400.0  # s; what a caught host answered alone so long ago is left alone
SPOT = 0.01  # of the leases of a host are units whose answer is known, where the project has such

ENOUGH = 10  # trusted hosts around: from then on no two strangers vouch for each other

Verdict = Literal["valid", "invalid", "expired", "failed"]


class Trust(Struct, frozen=True):
    """What is thought of a host with one app version.

    `row`: verified valid results in a row. `strikes`: how often it was caught. `since`: wall time at which the row began.
    """

    row: int = 0
    strikes: int = 0
    since: float = 0.0


NOBODY = Trust()


def needed(trust: Trust) -> int:
    """Valid results in a row that it takes to be trusted."""
    return FIRST << min(trust.strikes, MOST_STRIKES)


def trusted(trust: Trust) -> bool:
    return trust.row >= needed(trust)


def check_chance(trust: Trust) -> float:
    """With what probability its next unit is checked by another host: 1 where it is not trusted, else max(1/n, 2 %)."""
    return max(1.0 / trust.row, LEAST_CHECK) if trusted(trust) else 1.0


def alone(trust: Trust, dice: float) -> bool:
    """Whether it may answer its next unit alone. `dice`: in [0, 1), of its own for each lease, and not to be foreseen by the host."""
    return dice >= check_chance(trust)


def fits(trust: Trust, others: Iterable[Trust], *, disputed: bool, around: int) -> bool:
    """Whether this host may add its word to a unit that others have a word in. Where it may not, somebody else soon does.

    Two strangers who agree may be one person with two keys. So, as soon as enough hosts are trusted, one of those that agree is; and what
    was disputed, or is of a host that was caught, goes to trusted ones alone.

    Args:
        others: of the hosts of `words`. around: trusted hosts of this app version that were heard of lately; with few of them anybody may.
    """
    if around < ENOUGH or trusted(trust):
        return True
    return not disputed and any(trusted(other) for other in others)


def words(copies: Sequence[Copy]) -> tuple[list[bytes], bool]:
    """Whose copies of a unit count, and whether they are disputed: they differ, or one was taken for right before. For `fits`; no words: no need to ask it."""
    whose, groups, credited = [], set(), False
    for copy in copies:
        if copy.state in COUNTS and copy.identity is not None:
            whose.append(copy.identity)
            credited = credited or copy.credited
            if copy.group is not None:
                groups.add(copy.group)
        elif copy.ending and copy.identity is not None:
            whose.append(copy.identity)
            groups.add(copy.ending.encode())
    return whose, credited or len(groups) > 1


def spot_check(dice: float) -> bool:
    """Whether the next lease shall be a unit whose answer is known. `dice`: as for `alone`, another throw."""
    return dice < SPOT


def judged(trust: Trust, verdict: Verdict, now: float) -> Trust:
    """After a verdict of `model.Decision`. A host that is slow or fails is no liar: its row stays (its `quota` does not)."""
    if verdict == "invalid":
        return Trust(0, trust.strikes + 1, now)
    if verdict != "valid":
        return trust
    row = trust.row + 1
    if trust.strikes and row >= FORGIVEN * needed(trust):
        return Trust(row, trust.strikes - 1, trust.since)
    return Trust(row, trust.strikes, trust.since)


def reissue_since(trust: Trust, now: float) -> float:
    """A host was caught, and this was thought of it before: its units that are done but not verified, leased at that wall time or later, are to be `reopened`."""
    return max(trust.since, now - REISSUE_FOR)
