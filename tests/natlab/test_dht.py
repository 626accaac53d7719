"""A friend whose address changes is found again by the DHT alone: the key is all that the other one knows."""

from __future__ import annotations

import pytest

from tests.natlab.lab import PUB4, missing

WHY_NOT = missing()
GOAL = 15.0  # s after the change, on a quiet machine
pytestmark = [
    pytest.mark.natlab,
    pytest.mark.timeout(150),
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]


def test_a_friend_who_moved_is_found_again_by_the_dht_alone() -> None:
    pytest.importorskip("libtorrent")
    from tests.natlab.dht import play

    outcome = play()
    assert outcome.met is not None, f"they never met\n{outcome.logs}"
    assert len(outcome.took) == 2 and None not in outcome.took, outcome.logs
    moved, restarted = outcome.took
    print(
        f"met after {outcome.met:.2f} s, found again after {moved:.2f} s, and {restarted:.2f} s after a restart elsewhere"
    )
    assert max(took for took in outcome.took if took is not None) < 2 * GOAL, outcome.logs
    where = [address.rpartition(":")[0] for address in outcome.stored]
    assert f"{PUB4}.20" in where, "other programs would not dial the friend where it is"
