"""Dice whose whole memory is one int, so that they lie in a game's state and are rolled back with it. Pure.

SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the same numbers on every machine and in every version of Python, which the module
`random` promises only for some of its methods, and never for its shared instance. Nothing here is secret: whoever knows the
state knows all that will be rolled. What nobody may foresee comes from `fair`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15


def new(seed: int) -> int:
    """Dice for the lowest 64 bits of `seed`: their first state."""
    return _mix(seed & _MASK)


def roll(dice: int, sides: int) -> tuple[int, int]:
    """A number from 0 to `sides` - 1, each as likely, and the dice after it: `n, dice = roll(dice, 6)`.

    Raises:
        ValueError: `sides` is below 1 or above 2^32.
    """
    if not 1 <= sides <= 1 << 32:
        raise ValueError(f"there are no dice with {sides} sides")
    limit = (1 << 64) - (1 << 64) % sides
    while True:
        dice = (dice + _STEP) & _MASK
        number = _mix(dice)
        if number < limit:
            return number % sides, dice


def shuffled(dice: int, items: Sequence[T]) -> tuple[list[T], int]:
    """`items` in a new order, each order as likely (Fisher and Yates), and the dice after it."""
    deck = list(items)
    for last in range(len(deck) - 1, 0, -1):
        other, dice = roll(dice, last + 1)
        deck[last], deck[other] = deck[other], deck[last]
    return deck, dice


def _mix(number: int) -> int:
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31
