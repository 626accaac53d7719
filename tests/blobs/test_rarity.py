"""Counting who has what, against counting on fingers."""

from hypothesis import given
from hypothesis import strategies as st

from servent.blobs.rarity import Rarity

PIECES = 40


@given(st.lists(st.integers(0, 2**PIECES - 1), max_size=12), st.data())
def test_the_rarest_pieces_are_those_the_fewest_have(fields: list[int], data: st.DataObject) -> None:
    rarity = Rarity()
    for have in fields:
        rarity.add(have)
    gone = data.draw(st.lists(st.sampled_from(range(len(fields))), unique=True)) if fields else []
    for index in gone:
        rarity.remove(fields[index])
    left = [have for index, have in enumerate(fields) if index not in gone]
    among = data.draw(st.integers(1, 2**PIECES - 1))
    counts = {piece: sum(have >> piece & 1 for have in left) for piece in range(PIECES) if among >> piece & 1}
    least = min(counts.values())
    assert rarity.rarest(among) == sum(1 << piece for piece, count in counts.items() if count == least)
