"""What one player did, frame by frame, as far as it is known; and what is assumed of the frames after that. Pure."""

from __future__ import annotations

from collections.abc import Sequence

KEPT = 256  # frames; a power of two, above all that may still be asked for (`MAX_AHEAD` and twice the window)
MAX_AHEAD = 128  # frames ahead of ours that are taken; what a player can have done at most is `wire.MAX_RUN`


class Inputs:
    """One player's inputs.

    Args:
        size: bytes of one input.
        held: bits that are expected to stay; the others are expected to be 0. Empty: all stay.

    Attributes:
        first: frames before it are not known to us.
        last: the newest frame that is known, -1 for none.
        guess: what is assumed of each frame after `last`.
    """

    __slots__ = ("_held", "_ring", "_size", "first", "guess", "last", "nothing")

    def __init__(self, size: int, held: bytes = b"") -> None:
        self.first, self.last = 0, -1
        self.nothing = self.guess = bytes(size)
        self._size = size
        self._held = int.from_bytes(held, "little") if held else None
        self._ring = [self.nothing] * KEPT

    def __getitem__(self, frame: int) -> bytes:
        """The input of a frame from the last 256 that are known."""
        return self._ring[frame & (KEPT - 1)]

    def add(self, value: bytes) -> None:
        """The input of the frame after `last`."""
        self.last += 1
        self._ring[self.last & (KEPT - 1)] = value
        self.guess = value if self._held is None else self.staying(value)

    def rest(self, last: int) -> None:
        """Begin after the frame `last`."""
        self.first, self.last, self.guess = last + 1, last, self.nothing
        self._ring = [self.nothing] * KEPT

    def change(self, frame: int, value: bytes) -> None:
        """`frame`, which is known, was otherwise."""
        self._ring[frame & (KEPT - 1)] = value
        if frame == self.last:
            self.guess = self.staying(value)

    def staying(self, value: bytes) -> bytes:
        """What is left of `value` one frame later if its player does nothing."""
        if self._held is None:
            return value
        return (int.from_bytes(value, "little") & self._held).to_bytes(self._size, "little")

    def joined(self, early: bytes, value: bytes) -> bytes:
        """`value` with the events of `early`, for which there is no frame any more."""
        if self._held is None:
            return value
        events = int.from_bytes(early, "little") & ~self._held
        return (int.from_bytes(value, "little") | events).to_bytes(self._size, "little")

    def between(self, first: int, last: int) -> Sequence[bytes]:
        """The inputs of the frames from `first` to `last`, which are known and among the last 256."""
        low, high = first & (KEPT - 1), (last + 1) & (KEPT - 1)
        if last < first:
            return []
        if low < high:
            return self._ring[low:high]
        return self._ring[low:] + self._ring[:high]
