"""What is waited for right now, and how a run of pieces is cut out of what a source can give. A core."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from servent.blobs.asks import Ask

MOST_PIECES = 1024  # of one request
STRETCH = 4 * 1024 * 1024  # requests do not cross its borders, so that what is left stays in long runs
HEAD = 2  # pieces of each reader that come before all others' read-ahead

_DIGITS = bytes.maketrans(b"\0\1", b"01")


def lowest(bits: int) -> int:
    """The first piece of a set that is not empty."""
    return (bits & -bits).bit_length() - 1


def bits_of(flags: bytearray) -> int:
    """A set of pieces from one byte, 0 or 1, for each."""
    return int(flags[::-1].translate(_DIGITS), 2) if flags else 0


def run_around(begins: array[int], able: int, rarest: int, at: int, room: int) -> Ask:
    """The unbroken run of `able` around `at` inside its stretch: back over the pieces of `rarest` to its beginning,
    and on as far as `room` bytes go.

    Args:
        begins: where each piece begins, and where the last ends.
    """
    pieces = len(begins) - 1
    border = begins[at] - begins[at] % STRETCH
    low = bisect_left(begins, border, max(0, at - MOST_PIECES), at)
    high = bisect_left(begins, border + STRETCH, at + 1, min(pieces, at + MOST_PIECES))
    before = rarest >> low & ((1 << at - low) - 1)
    first = low + (~before & ((1 << at - low) - 1)).bit_length()
    after = able >> at & ((1 << high - at) - 1)
    count = at - first + (~after & (after + 1)).bit_length() - 1
    most = bisect_right(begins, begins[first] + room, first + 1, first + min(count, MOST_PIECES) + 1) - 1
    return Ask(first, max(1, most - first))


class Front:
    """Ranges of pieces in the order in which they are waited for.

    Args:
        begins: as in `run_around`.
    """

    __slots__ = ("_begins", "_order", "_readers")

    def __init__(self, begins: array[int]) -> None:
        self._begins = begins
        self._order: list[range] = []
        self._readers = 0

    def set(self, readers: Sequence[range]) -> None:
        """One range for each reader, from what it needs now to the end of its read-ahead."""
        pieces = len(self._begins) - 1
        cut = [range(max(0, one.start), min(one.stop, pieces)) for one in readers]
        heads = [one[:HEAD] for one in cut if one]
        self._order = heads + [one[HEAD:] for one in cut if one[HEAD:]]
        self._readers = len(heads)

    def __bool__(self) -> bool:
        return bool(self._order)

    def __contains__(self, piece: int) -> bool:
        return any(piece in one for one in self._order)

    def heads(self) -> list[int]:
        """What each reader needs now."""
        return [one.start for one in self._order[: self._readers]]

    def soonest(self) -> Iterator[int]:
        """All of it, most urgent first."""
        for one in self._order:
            yield from one

    def first(self, able: int, skip: int = 0) -> range | None:
        """From the most urgent piece of `able` to where what is as urgent ends.

        Args:
            skip: bytes that others will have brought by then.
        """
        begins = self._begins
        for one in self._order:
            start = one.start
            if skip:
                size = begins[one.stop] - begins[start]
                if skip >= size:
                    skip -= size
                    continue
                start = bisect_left(begins, begins[start] + skip, start, one.stop)
                skip = 0
            found = able >> start & ((1 << one.stop - start) - 1)
            if found:
                return range(start + lowest(found), one.stop)
        return None
