"""Units: samples of two bits, one for each sign, behind the search that is wanted in them. Pure.

Sample n stands in bits 2 (n mod 4) and the next of byte n/4: first I, then Q; 1 is above zero.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from msgspec import Struct

from servent.errors import BadMessage, UsageError
from servent.listen.plan import CHIRP, HEAD, LONGEST, MAGIC, SHORTEST, Search


class Head(Struct, frozen=True):
    """What a unit says of itself. `first`, `last`: steps of `step` Hz/s."""

    rate: float
    step: float
    centre: float
    first: int
    last: int
    bits: int


def pack(search: Search, samples: bytes, steps: tuple[int, int] | None = None, centre: float = 0.0) -> bytes:
    """A unit for the kernel: the samples and a part of the search, all of it where `steps` is None.

    Raises UsageError where there are not as many samples as the search wants.
    """
    if len(samples) * 4 != search.samples:
        raise UsageError(f"{len(samples) * 4} samples where {search.samples} are wanted")
    first, last = steps or (search.first, search.last)
    return search.head(first, last, centre) + samples


def read_head(data: bytes) -> tuple[Head, bytes]:
    """The head of a unit, and its samples. Raises BadMessage."""
    if len(data) < HEAD or data[:16] != MAGIC:
        raise BadMessage("no unit of listen")
    rate, step, centre, first, last, bits, size = struct.unpack_from("<dddiiII", data, 16)
    if not 14 <= bits <= 20 or size < HEAD or len(data) != size + (1 << bits - 2):
        raise BadMessage("a unit of another size than it says")
    if not (1 <= rate <= 1e10 and 0 < step <= 1e9 and abs(centre) < 1e15 and first <= last):
        raise BadMessage("a unit that cannot be")
    return Head(rate, step, centre, first, last, bits), data[size:]


def operations(data: bytes) -> int:
    """Of a unit or a part of one, by what its head says is to be done. Raises BadMessage."""
    head, _ = read_head(data)
    tables = [
        struct.unpack_from("<II", data, _TABLES + 16 * number) for number in range(LONGEST - SHORTEST + 1)
    ]
    costs = Search(bits=head.bits).costs
    total = 0
    for step in range(head.first, min(head.last, head.first + _MOST_STEPS)):
        cost = sum(
            costs.get(length, 0)
            for length, (every, most) in enumerate(tables, SHORTEST)
            if every and abs(step) <= most and step % every == 0
        )
        total += cost + CHIRP * (1 << head.bits) if cost else 0
    return total


_TABLES = 128  # bytes before those of the lengths
_MOST_STEPS = 1_000_000


def pack_signs(signs: bytes) -> bytes:
    """From a byte, 0 or 1, for each sign: I, Q, I, Q ... Eight of them become one."""
    if len(signs) % 8:
        raise UsageError("samples come by fours")
    packed = 0
    for bit in range(8):
        packed |= int.from_bytes(signs[bit::8], "little") << bit
    return packed.to_bytes(len(signs) // 8, "little")


def unpack_signs(samples: bytes) -> bytes:
    """A byte for each sign, as `pack_signs` takes them."""
    signs = bytearray(8 * len(samples))
    for bit in range(8):
        signs[bit::8] = samples.translate(_BITS[bit])
    return bytes(signs)


_BITS: Sequence[bytes] = [bytes(value >> bit & 1 for value in range(256)) for bit in range(8)]
