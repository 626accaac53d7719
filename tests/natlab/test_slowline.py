"""A good neighbour on a slow line with a long queue: whole nodes, real packets. Figures: `python -m bench.neighbour`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.neighbour import servent
from tests.natlab.slowline import SlowLine, unavailable

pytestmark = [
    pytest.mark.natlab,
    pytest.mark.slow,
    pytest.mark.skipif(unavailable() is not None, reason=unavailable() or ""),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("bulk", [True, False], ids=["tcp", "quic"])
def test_a_background_transfer_leaves_everybody_their_ping(tmp_path: Path, bulk: bool) -> None:
    with SlowLine("slt", up=2.5e6, down=12.5e6, queue=0.4) as line:
        found = servent(line, tmp_path, 16 << 20, bulk=bulk, polite=True)
    assert found["ping_median_ms"] < 80, found  # held back by nobody it is 350 over QUIC
    assert found["wire_mbit"] > 10, found
