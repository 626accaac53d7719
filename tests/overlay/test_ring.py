"""The sorted ring finds what looking at everybody would find."""

from __future__ import annotations

from heapq import nsmallest

from hypothesis import given
from hypothesis import strategies as st

from servent.overlay.ring import WHOLE, Ring

places = st.one_of(st.integers(0, WHOLE - 1), st.integers(0, 40), st.integers(WHOLE - 40, WHOLE - 1))
rings = st.lists(
    st.tuples(places, st.binary(min_size=4, max_size=4)), max_size=200, unique_by=lambda one: one[1]
)


@given(rings, places, st.integers(1, 12))
def test_the_nearest_are_those_that_a_look_at_all_finds(
    standing: list[tuple[int, bytes]], where: int, count: int
) -> None:
    ring = Ring()
    for place, key in standing:
        ring.add(place, key)
    found = nsmallest(count, ((place ^ where, key) for place, key in standing))
    assert ring.nearest(where, count) == [key for _, key in found]


@given(rings, places, st.one_of(places, st.integers(0, 100)))
def test_within_a_distance_are_all_that_are_and_no_others(
    standing: list[tuple[int, bytes]], where: int, distance: int
) -> None:
    ring = Ring()
    for place, key in standing:
        ring.add(place, key)
    found = sorted((place ^ where, key) for place, key in standing if place ^ where <= distance)
    assert ring.within(where, distance) == [key for _, key in found]


@given(rings, st.data())
def test_who_is_removed_is_found_no_more(standing: list[tuple[int, bytes]], data: st.DataObject) -> None:
    ring = Ring()
    for place, key in standing:
        ring.add(place, key)
    gone = data.draw(st.sets(st.sampled_from(standing))) if standing else set()
    for place, key in gone:
        ring.remove(place, key)
    assert set(ring.nearest(0, 1000)) == {key for _, key in standing} - {key for _, key in gone}
    assert len(ring) == len(standing) - len(gone)
