"""Who pays more out of its owner's balance gets more of a volunteer's cores, in proportion."""

from __future__ import annotations

import pytest

from servent.grid.fetching import Fetching, Stock


def shared(price: int) -> float:
    """Part of the work fetched ahead that is asked of A, where A and B have the same share and A bids `price`."""
    fetching = Fetching(lambda: 0.5)
    for project in (b"A", b"B"):
        fetching.join(project, 100.0)
        fetching.ready(project, True)
    fetching.bids(b"A", price)
    fetching.bids(b"C", price)  # left meanwhile
    asks = {ask.project: ask.seconds for ask in fetching.asks({b"A": Stock(), b"B": Stock()}, 4, 600.0, 0.0)}
    return asks[b"A"] / sum(asks.values())


def test_a_bid_weighs_as_much_as_it_pays() -> None:
    assert shared(100) == pytest.approx(0.5)
    assert shared(300) == pytest.approx(0.75)


def test_cores_go_by_it_too() -> None:
    fetching = Fetching(lambda: 0.5)
    for project in (b"A", b"B"):
        fetching.join(project, 100.0)
    fetching.bids(b"A", 300)
    used = {b"A": 0, b"B": 0}
    for _ in range(400):
        first = fetching.order([b"A", b"B"])[0]
        used[first] += 1
        fetching.used(first, 1.0)
    assert used[b"A"] == pytest.approx(300, abs=3)
