"""What a project may still pay: set aside when a copy is leased, paid when it is credited, so that it never pays more than it may. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from servent.grid.credit import most_granted, paid


@dataclass(slots=True)
class Purse:
    """All in MFLOP as paid: credit times price (see `credit`).

    `limit`: that may be paid in all, None for no end; it may move (see `Ledger.limit`), also below what is paid. `spent`: paid so far, less what was taken back.
    `aside`: the most that leased and returned copies may still cost.
    """

    limit: int | None = None
    spent: int = 0
    aside: int = 0

    @property
    def left(self) -> int | None:
        """What nobody was promised yet."""
        return None if self.limit is None else max(0, self.limit - self.spent - self.aside)

    def set_aside(self, most: int) -> bool:
        """Promise up to `most` (see `most_cost`) for one copy; False, and nothing is promised, where it is not there."""
        left = self.left
        if left is not None and most > left:
            return False
        self.aside += most
        return True

    def give_back(self, most: int) -> None:
        """The copy will not be credited: it failed, expired, was given back or found wrong."""
        self.aside = max(0, self.aside - most)

    def pay(self, most: int, cost: int) -> None:
        """The copy is credited; `most` was set aside for it."""
        self.give_back(most)
        self.spent += cost

    def take_back(self, cost: int) -> None:
        """A credit was withdrawn."""
        self.spent -= cost


def most_cost(operations: int, bonus: float, price: int) -> int:
    """The most that one copy can cost. `bonus`: k of the project's manifest; `price`: percent."""
    return paid(most_granted(operations, bonus), price)
