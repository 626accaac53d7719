"""Two lists find out what they differ in, with few messages of bounded size."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from servent.codec import encode
from servent.overlay.reconcile import ID_BYTES, compare, opening, wanting
from servent.overlay.wire import FRAME_BYTES, Ranges, messages

ids = st.binary(min_size=ID_BYTES, max_size=ID_BYTES)


def exchange(one: set[bytes], other: set[bytes]) -> tuple[int, int]:
    """Until nobody says anything more: trips one way, and bytes of ranges. Both sets are the same afterwards."""
    sides = [one, other]
    mail = [(1, opening(sorted(one)))]
    trips = size = 0
    while mail:
        trips += 1
        assert trips < 20
        answers: list[tuple[int, Ranges]] = []
        given: list[tuple[int, bytes]] = []
        for to, message in mail:
            body = encode(message)
            assert len(body) <= FRAME_BYTES
            size += len(body)
            read = messages.decode(body)
            assert isinstance(read, Ranges)
            found = compare(sorted(sides[to]), read)
            answers += [(1 - to, answer) for answer in [*found.answers, *wanting(found.theirs)]]
            given += [(1 - to, what) for what in found.ours]
        for to, what in given:
            sides[to].add(what)
        mail = answers
    return trips, size


@settings(max_examples=60, deadline=None)
@given(st.sets(ids, max_size=300), st.sets(ids, max_size=40), st.sets(ids, max_size=40))
@example(set(), set(), set())
@example(set(), {bytes(16), b"\xff" * 16}, set())
def test_any_two_lists_are_one_after_four_round_trips(
    both: set[bytes], mine: set[bytes], theirs: set[bytes]
) -> None:
    one, other = both | mine, both | theirs
    trips, _ = exchange(one, other)
    assert one == other == both | mine | theirs
    assert trips <= 8


@pytest.mark.parametrize(
    ("have", "differ", "most_bytes"),
    [(4000, 0, 90), (4000, 10, 40_000), (4000, 300, 120_000), (100, 5, 4_500)],
)
def test_lists_of_a_whole_directory_cost_what_they_differ_by(have: int, differ: int, most_bytes: int) -> None:
    dice = random.Random(have + differ)
    both = {dice.randbytes(16) for _ in range(have)}
    mine = {dice.randbytes(16) for _ in range(differ)}
    one, other = both | mine, set(both)
    trips, size = exchange(one, other)
    assert one == other and trips <= 8
    assert size <= most_bytes


def test_a_list_against_none_is_sent_without_more_ado() -> None:
    dice = random.Random(1)
    all_of_them = {dice.randbytes(16) for _ in range(3000)}
    one: set[bytes] = set()
    trips, size = exchange(one, set(all_of_them))
    assert one == all_of_them and trips == 1 and size < 90


@given(
    st.lists(st.tuples(ids, ids, st.integers(0, 2**32 - 1), ids), max_size=64),
    st.lists(st.tuples(ids, ids, st.lists(ids, max_size=20)), max_size=20),
    st.lists(ids, max_size=40),
)
def test_whatever_the_other_side_says_the_answer_is_bounded(
    ranges: list[tuple[bytes, bytes, int, bytes]],
    told: list[tuple[bytes, bytes, list[bytes]]],
    want: list[bytes],
) -> None:
    dice = random.Random(3)
    mine = sorted(dice.randbytes(16) for _ in range(2000))
    found = compare(mine, Ranges(ranges=ranges, ids=told, want=want))
    assert len(found.answers) <= 4
    assert all(len(encode(answer)) <= FRAME_BYTES for answer in found.answers)
    assert set(found.ours) <= set(mine)
    assert not set(found.theirs) & set(mine)
