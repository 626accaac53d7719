"""What two supernodes' directories differ in, found with few bytes: range-based set reconciliation (Meyer 2023). Pure.

The id of a record is 16 bytes: the first 8 of its key, then its number. Two sides compare digests of ranges of ids; a range
that differs is cut into sixteen, or, when it holds few, its ids are named. Equal lists cost one message of 90 bytes.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from servent.overlay.wire import Ranges

ID_BYTES = 16
FIRST, LAST = bytes(ID_BYTES), b"\xff" * ID_BYTES
PARTS = 16  # into which a range that differs is cut
NAMED = 128  # ids of a range that are named rather than cut further: 2 kB
MOST_RANGES = 64  # of one message, as its type says
MOST_IDS = 2048  # named in one message: 32 kB
LOOKED_AT = (
    2  # times as many ids as there are: ranges do not overlap, and neither do those whose ids are named
)
MOST_MESSAGES = 4  # that answer one; what is left is found the next time


def id_of(key: bytes, seq: int) -> bytes:
    """The id of a record."""
    return key[:8] + seq.to_bytes(8, "big")


def digest(ids: Sequence[bytes]) -> bytes:
    """Of sorted ids."""
    return hashlib.sha256(b"".join(ids)).digest()[:16]


def opening(ids: Sequence[bytes]) -> Ranges:
    """The first message: of all that there is."""
    return Ranges(ranges=[(FIRST, LAST, len(ids), digest(ids))])


@dataclass(slots=True)
class Difference:
    """What one message told.

    Attributes:
        answers: to be sent back.
        theirs: ids that only they have.
        ours: ids that only we have, which they shall be sent, or that they asked for.
    """

    answers: list[Ranges] = field(default_factory=list)
    theirs: list[bytes] = field(default_factory=list)
    ours: list[bytes] = field(default_factory=list)


def compare(ids: Sequence[bytes], message: Ranges) -> Difference:
    """Take in a message of the other side; `ids` are ours, sorted.

    Nobody who keeps to the rules sends ranges that overlap. With those of somebody else it ends early: each would cost us a look
    at all that we have.
    """
    left = LOOKED_AT * len(ids)
    found = Difference()
    ranges: list[tuple[bytes, bytes, int, bytes]] = []
    named: list[tuple[bytes, bytes, list[bytes]]] = []
    for first, last, count, theirs in message.ranges:
        mine = _within(ids, first, last)
        if (left := left - len(mine)) < 0:
            break
        if len(mine) == count and digest(mine) == theirs:
            continue
        if count == 0:
            found.ours += mine
        elif len(mine) <= NAMED:
            named.append((first, last, list(mine)))
        else:
            ranges += _cut(mine, first, last)
    for first, last, told in message.ids:
        mine = _within(ids, first, last)
        if (left := left - len(mine)) < 0:
            break
        have, their = set(mine), {one for one in told if first <= one <= last}
        found.theirs += sorted(their - have)
        found.ours += sorted(have - their)
    if message.want:
        have = set(ids)
        found.ours += [one for one in message.want if one in have]
    found.answers = _messages(ranges, named)
    return found


def wanting(ids: Iterable[bytes]) -> list[Ranges]:
    """Messages that ask for these."""
    wanted = list(ids)
    return [Ranges(want=wanted[i : i + 512]) for i in range(0, len(wanted), 512)][:MOST_MESSAGES]


def _within(ids: Sequence[bytes], first: bytes, last: bytes) -> Sequence[bytes]:
    return ids[bisect_left(ids, first) : bisect_right(ids, last)]


def _cut(mine: Sequence[bytes], first: bytes, last: bytes) -> list[tuple[bytes, bytes, int, bytes]]:
    """The range in parts that hold equally many of ours, without gaps between them."""
    size = -(-len(mine) // PARTS)
    starts = [first, *[mine[at] for at in range(size, len(mine), size)]]
    ends = [*[_before(start) for start in starts[1:]], last]
    parts = []
    for start, end in zip(starts, ends, strict=True):
        held = _within(mine, start, end)
        parts.append((start, end, len(held), digest(held)))
    return parts


def _before(one: bytes) -> bytes:
    return (int.from_bytes(one, "big") - 1).to_bytes(ID_BYTES, "big")


def _messages(
    ranges: list[tuple[bytes, bytes, int, bytes]], named: list[tuple[bytes, bytes, list[bytes]]]
) -> list[Ranges]:
    """As few messages as hold all of it, each within the limits of its type."""
    messages: list[Ranges] = []
    while (ranges or named) and len(messages) < MOST_MESSAGES:
        part, ranges = ranges[:MOST_RANGES], ranges[MOST_RANGES:]
        told: list[tuple[bytes, bytes, list[bytes]]] = []
        room = MOST_IDS
        while named and len(told) < MOST_RANGES and len(named[0][2]) <= room:
            room -= len(named[0][2])
            told.append(named.pop(0))
        messages.append(Ranges(ranges=part, ids=told))
    return messages
