"""A set of pieces as bits, the first piece in the highest bit of the first byte (as in BEP 3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from servent.errors import BadMessage

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Bits:
    """Pieces 0 to `count` - 1, each in or out.

    Python's whole numbers do the work: bit `n` of `value` is piece `n`, and one operation over a million
    pieces takes some ten microseconds.
    """

    __slots__ = ("count", "value")

    def __init__(self, count: int, value: int = 0) -> None:
        self.count = count
        self.value = value

    @classmethod
    def full(cls, count: int) -> Bits:
        """All pieces."""
        return cls(count, (1 << count) - 1)

    @classmethod
    def parse(cls, data: bytes, count: int) -> Bits:
        """From the bytes a peer sent. Raises BadMessage: wrong length, or spare bits that are set."""
        if len(data) != (count + 7) // 8:
            raise BadMessage(f"a bit field of {len(data)} bytes for {count} pieces")
        value = int.from_bytes(data.translate(_REVERSED), "little")
        if value >> count:
            raise BadMessage("a bit field with spare bits set")
        return cls(count, value)

    def to_bytes(self) -> bytes:
        """As `parse` reads it."""
        return self.value.to_bytes((self.count + 7) // 8, "little").translate(_REVERSED)

    def __contains__(self, piece: int) -> bool:
        return piece >= 0 and bool(self.value >> piece & 1)

    def __bool__(self) -> bool:
        return self.value != 0

    def __len__(self) -> int:
        return self.value.bit_count()

    def __iter__(self) -> Iterator[int]:
        for first, count in self.runs():
            yield from range(first, first + count)

    @property
    def complete(self) -> bool:
        return self.value.bit_count() == self.count

    def set_run(self, first: int, count: int = 1) -> None:
        """Put `count` pieces from `first` in."""
        self.value |= ((1 << count) - 1) << first

    def clear_run(self, first: int, count: int = 1) -> None:
        """Take `count` pieces from `first` out."""
        self.value &= ~(((1 << count) - 1) << first)

    def replace(self, other: Bits) -> None:
        self.value = other.value

    def remove(self, other: Bits) -> None:
        self.value &= ~other.value

    def clear(self) -> None:
        self.value = 0

    def runs(self) -> Iterator[tuple[int, int]]:
        """(first, how many) of every unbroken run, in order."""
        data = self.value.to_bytes((self.count + 7) // 8, "little")
        start = -1
        for index, byte in enumerate(data):
            if byte == 0:
                if start >= 0:
                    yield start, index * 8 - start
                    start = -1
            elif byte == 255:
                if start < 0:
                    start = index * 8
            else:
                for bit in range(8):
                    if byte >> bit & 1:
                        if start < 0:
                            start = index * 8 + bit
                    elif start >= 0:
                        yield start, index * 8 + bit - start
                        start = -1
        if start >= 0:
            yield start, self.count - start


def runs_of(pieces: Iterable[int]) -> list[tuple[int, int]]:
    """(first, how many) of every unbroken run among `pieces`, in order."""
    runs: list[tuple[int, int]] = []
    for piece in sorted(pieces):
        if runs and sum(runs[-1]) == piece:
            runs[-1] = runs[-1][0], runs[-1][1] + 1
        else:
            runs.append((piece, 1))
    return runs
