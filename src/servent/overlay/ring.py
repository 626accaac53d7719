"""Positions on the ring, sorted, so that the XOR-nearest are found without looking at all of them. Pure.

Whoever shares a longer prefix with a place is nearer to it by XOR than whoever does not. In a sorted list those who
share a prefix stand side by side: two bisections find them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from servent.overlay.placement import Position

BITS = 256
WHOLE = 1 << BITS


class Ring:
    """Keys by their positions. Two keys may stand at one position: then the lower key is the nearer."""

    __slots__ = ("_keys", "_places")

    def __init__(self) -> None:
        self._places: list[Position] = []
        self._keys: list[bytes] = []

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, place: Position, key: bytes) -> None:
        at = bisect_left(self._places, place)
        self._places.insert(at, place)
        self._keys.insert(at, key)

    def remove(self, place: Position, key: bytes) -> None:
        """Raises ValueError when it does not stand there."""
        at = self._keys.index(key, bisect_left(self._places, place), bisect_right(self._places, place))
        del self._places[at]
        del self._keys[at]

    def nearest(self, where: Position, count: int) -> list[bytes]:
        """The `count` keys that are XOR-nearest to `where`, nearest first; all when there are no more."""
        have = len(self._keys)
        if have <= count:
            return self._sorted(where, 0, have)
        shift = BITS - (have // max(1, count)).bit_length() + 1
        first, last = self._sharing(where, shift)
        while last - first < count:
            shift += 1
            first, last = self._sharing(where, shift)
        while last - first > 4 * count and shift > 0:
            nearer = self._sharing(where, shift - 1)
            if nearer[1] - nearer[0] < count:
                break
            shift -= 1
            first, last = nearer
        return self._sorted(where, first, last)[:count]

    def within(self, where: Position, distance: int) -> list[bytes]:
        """All keys not farther than `distance` from `where`, nearest first."""
        first, last = self._sharing(where, distance.bit_length())
        places, keys = self._places, self._keys
        near = [(off, keys[i]) for i in range(first, last) if (off := places[i] ^ where) <= distance]
        return [key for _, key in sorted(near)]

    def _sharing(self, where: Position, shift: int) -> tuple[int, int]:
        """Between which indices the positions lie that differ from `where` in the last `shift` bits at most."""
        low = where >> shift << shift
        first = bisect_left(self._places, low)
        return first, bisect_left(self._places, low + (1 << shift), first)

    def _sorted(self, where: Position, first: int, last: int) -> list[bytes]:
        places, keys = self._places, self._keys
        return [key for _, key in sorted((places[i] ^ where, keys[i]) for i in range(first, last))]
