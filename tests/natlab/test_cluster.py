"""Two homes compute together: a Dask cluster whose processes no TCP connection reaches from the other side."""

from __future__ import annotations

import pytest

pytest.importorskip("distributed")

from tests.natlab import cluster
from tests.natlab.lab import missing

WHY_NOT = missing()
pytestmark = [
    pytest.mark.natlab,
    pytest.mark.timeout(600),
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]


def test_a_cluster_across_two_routers_computes_and_gets_over_a_killed_worker() -> None:
    outcome = cluster.play()
    assert outcome.total == sum(number * number for number in range(cluster.ITEMS)), outcome.logs
    assert outcome.comm == "ServentComm", "a TCP connection through two routers?"
    assert outcome.again is not None, outcome.logs
    print(f"{outcome.path}; missed after {outcome.missed} s, its task done again after {outcome.again} s")
