"""Which supernodes are new among the nearest to a key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from servent.overlay.moves import MOST, Moves
from servent.overlay.placement import nearest, point

PLACES = st.dictionaries(
    st.binary(min_size=1, max_size=1), st.integers(0, 2**256 - 1), min_size=4, max_size=20
)


@given(PLACES, PLACES, st.binary(min_size=16, max_size=16))
def test_exactly_those_that_were_not_among_the_nearest_before(
    before: dict[bytes, int], after: dict[bytes, int], key: bytes
) -> None:
    moves = Moves()
    assert moves.take(before.get) is None  # whoever asks first has to look at everything
    for one in before.keys() | after.keys():
        if before.get(one) != after.get(one):
            moves.note(one, before.get(one))
    change = moves.take(after.get)
    assert change is not None
    was = nearest(point(key), ((place, one) for one, place in before.items()), 3)
    now = nearest(point(key), ((place, one) for one, place in after.items()), 3)
    moved = {one for one in now if one in before and before[one] != after[one]}
    new = set(change.new(key, now, after[now[-1]]))
    assert set(now) - set(was) <= new
    assert new <= set(now) and moved <= new


def test_who_comes_back_to_where_it_stood_has_not_moved() -> None:
    moves = Moves()
    moves.take({}.get)
    moves.note(b"a", 5)
    moves.note(b"a", None)
    change = moves.take({b"a": 5}.get)
    assert change is not None and not change.joined and not change.left


def test_after_too_many_moves_all_may_be_another() -> None:
    moves = Moves()
    moves.take({}.get)
    for number in range(MOST + 1):
        moves.note(number.to_bytes(4, "big"), None)
    assert moves.take({}.get) is None
    assert moves.take({}.get) is not None
