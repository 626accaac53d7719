""" "Peers who have this also have": what to look at next, from samples of what peers show. Pure.

Every peer is asked for the same stretch of contents, in the order of their hashes. So a content in the stretch is in the sample
of each peer that has it, and the overlap of two samples estimates the overlap of two libraries (bottom-k
sketches: Cohen & Kaplan, PODC 2007). Where a sample ends early is taken into account.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from servent.share.folding import Found, Standing

MOST_PEERS = 64  # samples that are looked at
CAUTION = 5.0  # added to the size of a union: few files in common prove little; a guess
WHOLE = 1 << 256


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one peer showed: `files` from `start` on, complete as far as `reach` (a distance)."""

    at: Standing
    files: dict[bytes, Found]
    reach: int = WHOLE


@dataclass(frozen=True, slots=True)
class Pick:
    """A recommendation: a content and all who have it. `because` is a sentence."""

    found: list[tuple[Standing, Found]]
    because: str
    score: float


def distance(start: bytes, content: bytes) -> int:
    """How far behind `start` a content lies, around the ring of all contents."""
    return (int.from_bytes(content, "big") - int.from_bytes(start, "big")) % WHOLE


def reach(start: bytes, contents: Collection[bytes], more: bool) -> int:
    """How far a sample is complete. `more`: it does not go all the way around."""
    return max((distance(start, one) for one in contents), default=0) if more else WHOLE


def alike(start: bytes, mine: Collection[bytes], mine_reach: int, theirs: Stretch) -> float:
    """How much of both libraries together is in both, from 0 to 1, on the cautious side."""
    common = min(mine_reach, theirs.reach)
    ours = {one for one in mine if distance(start, one) <= common}
    other = {one for one in theirs.files if distance(start, one) <= common}
    return len(ours & other) / (len(ours | other) + CAUTION)


def recommend(
    start: bytes, mine: Collection[bytes], mine_reach: int, samples: Sequence[Stretch], limit: int
) -> list[Pick]:
    """The best `limit` contents that we have not, of peers who share something with us."""
    near = [(alike(start, mine, mine_reach, one), one) for one in samples[:MOST_PEERS]]
    holders: dict[bytes, list[tuple[float, Stretch]]] = {}
    for likeness, sample in near:
        if likeness > 0:
            for content in sample.files:
                if content not in mine:
                    holders.setdefault(content, []).append((likeness, sample))
    scores = {content: sum(likeness for likeness, _ in some) for content, some in holders.items()}
    best = sorted(scores, key=lambda content: (-scores[content], content))[:limit]
    return [_pick(content, holders[content], scores[content]) for content in best]


def _pick(content: bytes, holders: list[tuple[float, Stretch]], score: float) -> Pick:
    holders = sorted(holders, key=lambda pair: -pair[0])
    likeness, first = holders[0]
    name = first.at.name or first.at.peer.short
    share = (
        f"about {likeness:.0%} of what you two have is in both libraries"
        if likeness >= 0.01
        else "you have some files in common"
    )
    because = f"{name} has this, and {share}"
    if len(holders) > 1:
        others = "another peer" if len(holders) == 2 else f"{len(holders) - 1} other peers"
        because = f"{name} and {others} who have what you have, have this too; with {name}, {share}"
    return Pick([(sample.at, sample.files[content]) for _, sample in holders], because, round(score, 4))
