"""Dice in a state: the same everywhere, and fair."""

from __future__ import annotations

from collections import Counter

import pytest

from servent.play import dice


def test_the_numbers_are_those_that_are_published() -> None:
    numbers, state = [], 1234567  # SplitMix64's first numbers for 1234567, as its authors' C gives them
    for _ in range(3):
        high, after = dice.roll(state, 1 << 32)
        numbers.append(high)
        state = after
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert numbers == [number % (1 << 32) for number in published]


def test_each_side_comes_up_as_often() -> None:
    state, seen = dice.new(7), Counter[int]()
    for _ in range(6000):
        number, state = dice.roll(state, 6)
        seen[number] += 1
    assert sorted(seen) == list(range(6))
    assert sum((count - 1000) ** 2 / 1000 for count in seen.values()) < 20.5  # chi², 5 degrees, 0.1 %


def test_each_order_comes_up_as_often() -> None:
    state, seen = dice.new(8), Counter[str]()
    for _ in range(6000):
        order, state = dice.shuffled(state, "abc")
        seen["".join(order)] += 1
    assert len(seen) == 6
    assert sum((count - 1000) ** 2 / 1000 for count in seen.values()) < 20.5


def test_seeds_that_are_close_give_other_dice() -> None:
    assert len({dice.new(seed) for seed in range(-500, 500)}) == 1000


@pytest.mark.parametrize("sides", [0, -1, 2**32 + 1])
def test_there_are_no_dice_with_such_sides(sides: int) -> None:
    with pytest.raises(ValueError, match="no dice"):
        dice.roll(1, sides)
