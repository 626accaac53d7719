"""Sets of pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.blobs.pieces import Bits
from servent.errors import BadMessage


@given(
    st.integers(1, 200).flatmap(lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1))))
)
def test_a_set_of_pieces_is_a_set(case: tuple[int, set[int]]) -> None:
    count, members = case
    bits = Bits(count)
    for piece in members:
        bits.set_run(piece)
    assert list(bits) == sorted(members) and len(bits) == len(members)
    assert all((piece in bits) == (piece in members) for piece in range(count + 3))
    assert sum(number for _, number in bits.runs()) == len(members)
    starts = [first for first, _ in bits.runs()]
    assert all(first - 1 not in bits and first in bits for first in starts)
    again = Bits.parse(bits.to_bytes(), count)
    assert again.value == bits.value
    assert bits.complete == (len(members) == count)


def test_the_first_piece_is_the_highest_bit() -> None:
    bits = Bits(10)
    bits.set_run(0)
    bits.set_run(9)
    assert bits.to_bytes() == b"\x80\x40"
    assert Bits.full(10).to_bytes() == b"\xff\xc0"
    bits.clear_run(0)
    assert list(bits.runs()) == [(9, 1)]


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x00\x00", b"\x00\x20", b"\xff\xff"])
def test_a_bit_field_of_another_size_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        Bits.parse(data, 10)
