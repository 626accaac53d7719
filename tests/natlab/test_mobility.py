"""The network changes under a running transfer, and the transfer goes on.

The peer here is tests/natlab/pull.py; what it does after two seconds of silence is what a node has to do: close the
silent connection, break the relay's, dial again.
"""

from collections.abc import Iterator

import pytest

from tests.natlab.lab import missing
from tests.natlab.matrix import Matrix
from tests.natlab.mobility import GOALS, measure

WHY_NOT = missing()
pytestmark = [
    pytest.mark.natlab,
    pytest.mark.timeout(60),
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    with Matrix("nmove-") as running:
        yield running


@pytest.mark.parametrize("event", GOALS)
def test_a_transfer_survives(matrix: Matrix, event: str) -> None:
    relayed = event == "relaykill"  # two symmetric routers: everything goes through the relay
    sites = ("edm", "edm") if relayed else ("apdf", "apdf")
    move = measure(matrix, event, "close-cut", *sites, seconds=11.0 if event.startswith("pause") else 7.5)
    assert move.stall is not None, move.detail
    assert move.stall < GOALS[event], move.detail
    assert move.detail["bytes"] > 10_000_000
