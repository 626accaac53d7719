"""A friend whose address changes is found again by the records that a relay keeps, and by nothing else."""

from __future__ import annotations

import pytest

from tests.natlab.lab import PUB4, missing

WHY_NOT = missing()
GOAL = 10.0  # s after the change, on a quiet machine
pytestmark = [
    pytest.mark.natlab,
    pytest.mark.timeout(150),
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]


def test_a_friend_who_moved_is_found_again_by_what_a_relay_keeps() -> None:
    from tests.natlab.records import play

    outcome = play()
    assert outcome.met is not None, f"they never met\n{outcome.logs}"
    assert len(outcome.took) == 2 and None not in outcome.took, outcome.logs
    moved, restarted = outcome.took
    print(
        f"met after {outcome.met:.2f} s, found again after {moved:.2f} s, and {restarted:.2f} s after a restart elsewhere"
    )
    assert max(took for took in outcome.took if took is not None) < 3 * GOAL, outcome.logs
    assert f"{PUB4}.20" in [address.rpartition(":")[0] for address in outcome.stored]
