"""What is remembered in a simulation is what the function returns."""

from servent.overlay import placement, records, storing, terms
from simulations.corpus import Corpus
from simulations.memo import remember

NETWORK = b"n" * 32


def said_of(one: records.Item) -> tuple[object, ...]:
    keys = terms.all_keys(NETWORK, one), terms.keys_of(NETWORK, one)
    return terms.words_of(one), keys, records.item_hash(one)


def test_what_is_remembered_is_what_is_returned_and_it_is_remembered_everywhere() -> None:
    items = [item for peer in range(20) for item in Corpus(3, 20).items_of(peer)]
    before = [said_of(one) for one in items]
    remember()
    remember()
    for _ in range(2):
        assert [said_of(one) for one in items] == before
    assert storing.all_keys is terms.all_keys
    assert terms.key_of is placement.key_of
    assert terms.all_keys(b"m" * 32, items[0]) != terms.all_keys(NETWORK, items[0])  # of another network
