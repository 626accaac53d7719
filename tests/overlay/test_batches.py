"""What a peer publishes, as batches."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from servent.codec import encode
from servent.overlay.batches import SLOTS, Batches, digest_of
from servent.overlay.records import BATCH_BYTES, Item, Slice, check_slice
from servent.overlay.wire import FRAME_BYTES, Envelope, Publish
from tests.overlay.things import NETWORK, CheapSeal, item, peer


class Clock:
    def __init__(self) -> None:
        self.wall = 1_790_000_000.0

    def __call__(self) -> float:
        return self.wall


class CountingSeal(CheapSeal):
    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.signed = 0

    def sign(self, text: bytes) -> bytes:
        self.signed += 1
        return super().sign(text)


def batches(seal: CheapSeal | None = None, clock: Clock | None = None) -> Batches:
    return Batches(NETWORK, peer(1), seal or CheapSeal(peer(1)), clock or Clock())


def slices(all_of: Batches) -> list[Slice]:
    found = [all_of.slice(slot) for slot, _ in all_of.listed()]
    assert all(one is not None for one in found)
    return [one for one in found if one is not None]


def names(all_of: Batches) -> list[str]:
    return sorted(one.name for part in slices(all_of) for one in part.items.values())


def test_a_thousand_items_are_eight_signatures() -> None:
    seal = CountingSeal(peer(1))
    ours = batches(seal)
    ours.take([item(f"item {n}") for n in range(1000)], 2000, 0.0)
    assert seal.signed == 0  # nobody asked yet
    assert len(slices(ours)) == 8
    slices(ours)
    assert seal.signed == 8


def test_one_item_more_and_one_less_touch_a_batch_each() -> None:
    ours = batches()
    all_of_them = [item(f"item {n}") for n in range(1000)]
    ours.take(all_of_them, 2000, 0.0)
    before = dict(ours.listed())
    touched = ours.take([*all_of_them[:500], *all_of_them[501:], item("new")], 2000, 1.0)
    assert len(touched) == 1  # the new one fills the place of the one that went
    after = dict(ours.listed())
    assert {slot for slot in after if after[slot] != before.get(slot)} == touched
    assert ours.take([*all_of_them[:500], *all_of_them[501:], item("new")], 2000, 2.0) == set()


def test_no_more_than_may_be_published() -> None:
    ours = batches()
    ours.take([item(f"item {n}") for n in range(300)], 200, 0.0)
    assert len(ours) == 200
    assert len(names(ours)) == 200


def test_a_batch_fits_a_frame_whatever_is_in_it() -> None:
    ours = batches()
    big = [
        Item(n.to_bytes(32, "big"), 2**53, 255, "\U0001f3b5" * 200, "\U0001f3b5" * 200,
             {f"tag{i:013}": "\U0001f3b5" * 120 for i in range(8)}, 1 << 40)
        for n in range(100)
    ]  # fmt: skip
    ours.take(big, 2000, 0.0)
    for one in slices(ours):
        body = encode(Envelope(NETWORK, Raw(encode(Publish(one)))))
        assert len(body) <= FRAME_BYTES
    assert len(ours) == 100


def test_when_all_goes_the_batches_are_withdrawn_and_later_forgotten() -> None:
    clock = Clock()
    ours = batches(clock=clock)
    ours.take([item("one"), item("two")], 2000, 0.0)
    ((slot, seq),) = ours.listed()
    assert ours.take([], 2000, 1.0) == {slot}
    ((_, later),) = ours.listed()
    assert later > seq
    withdrawn = ours.slice(slot)
    assert withdrawn is not None and withdrawn.batch.hashes == []
    due = ours.renewal()
    assert due == 86_401.0
    ours.renew(due)
    assert ours.listed() == [] and ours.renewal() is None


def test_batches_are_renewed_half_way_with_the_same_items() -> None:
    ours = batches()
    ours.take([item("one")], 2000, 100.0)
    (before,) = slices(ours)
    due = ours.renewal()
    assert due == 100.0 + 43_200.0
    assert ours.renew(due - 1) == set()
    assert ours.renew(due) == {before.batch.slot}
    (after,) = slices(ours)
    assert after.batch.seq > before.batch.seq and after.items == before.items
    assert ours.renewal() == due + 43_200.0


def test_a_change_does_not_put_off_the_renewal() -> None:
    ours = batches()
    ours.take([item("one")], 2000, 0.0)
    ours.take([item("one"), item("two")], 2000, 40_000.0)
    assert ours.renewal() == 43_200.0


def test_a_clock_that_goes_back_does_not_make_numbers_go_back() -> None:
    clock = Clock()
    ours = batches(clock=clock)
    ours.take([item("one")], 2000, 0.0)
    ((_, before),) = ours.listed()
    clock.wall -= 1_000_000.0
    ours.take([item("two")], 2000, 1.0)
    ((_, after),) = ours.listed()
    assert after > before


def test_the_difference_since_it_was_told() -> None:
    ours = batches()
    ours.take([item("one"), item("two")], 2000, 0.0)
    assert ours.difference(0) == (None, [])
    assert ours.difference(0) == (set(), [])
    ours.take([item("two"), item("three")], 2000, 0.0)
    new, gone = ours.difference(0)
    assert new is not None and len(new) == 1 and gone == [item("one")]
    ours.retell()
    assert ours.difference(0) == (None, [])


def test_the_digest_follows_the_list() -> None:
    ours = batches()
    empty = ours.digest()
    assert empty == digest_of([])
    ours.take([item("one")], 2000, 0.0)
    assert ours.digest() == digest_of(ours.listed()) != empty


SOME = st.lists(st.integers(0, 600), max_size=400)


@settings(max_examples=60, deadline=None)
@given(st.lists(SOME, max_size=8), st.integers(1, 500))
def test_whatever_is_published_the_batches_hold_exactly_that(steps: list[list[int]], most: int) -> None:
    ours = batches()
    seal = CheapSeal(b"")
    for now, numbers in enumerate(steps):
        before = {one.batch.slot: one for one in slices(ours)}
        wanted = list(dict.fromkeys(numbers))
        touched = ours.take([item(f"item {n}") for n in wanted], most, float(now))
        parts = slices(ours)
        assert sorted(names(ours)) == sorted(f"item {n}" for n in wanted[:most])
        for one in parts:
            check_slice(NETWORK, one, seal)
            assert len(encode(one)) < BATCH_BYTES
            if one.batch.slot not in touched:
                assert before[one.batch.slot] == one
        assert len([one for one in parts if one.items]) <= 2 * (math.ceil(len(ours) / 128) + 1)
        assert all(slot < SLOTS for slot, _ in ours.listed())
