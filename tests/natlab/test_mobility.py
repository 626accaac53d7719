"""The network changes under a running download between whole nodes, and the download goes on."""

from collections.abc import Iterator

import pytest

from tests.natlab.lab import missing
from tests.natlab.matrix import Matrix
from tests.natlab.mobility import GOALS, measure
from tests.natlab.node import WholeNode

WHY_NOT = missing()
pytestmark = [
    pytest.mark.natlab,
    pytest.mark.timeout(60),
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    with Matrix("nmove-", WholeNode()) as running:
        yield running


@pytest.mark.parametrize("event", [event for event in GOALS if event != "relaykill"])
def test_a_download_survives(matrix: Matrix, event: str) -> None:
    move = measure(matrix, event, "node", seconds=12.0 if event.startswith("pause") else 9.0)
    assert move.stall is not None, move.detail
    assert move.stall < GOALS[event], move.detail
    assert move.detail["bytes"] > 10_000_000


def test_a_relayed_transfer_survives_the_death_of_its_relay() -> None:
    with Matrix("nkill-") as floor:  # two symmetric routers, and the endpoint floor alone
        move = measure(floor, "relaykill", "close-cut", "edm", "edm", seconds=8.0)
    assert move.stall is not None and move.stall < GOALS["relaykill"], move.detail
