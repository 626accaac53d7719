"""What a lane owes, whichever kind it is."""

from __future__ import annotations

from typing import cast

import pytest

from servent.blobs import wire
from servent.blobs.lanes_bulk import Fetcher, FetchLane
from servent.blobs.lanes_intake import Intake
from servent.blobs.lanes_pace import Pace
from servent.errors import BadMessage
from tests.net.party import identity


class Sizes:
    """Pieces of 100 bytes."""

    def size(self, first: int, count: int) -> int:
        return 100 * count


def lane_that_owes(*runs: tuple[int, int]) -> FetchLane:
    lane = FetchLane(identity(1).peer, cast(Intake, Sizes()), cast(Pace, None), cast(Fetcher, None))
    lane.owed[7] = list(runs)
    return lane


def test_a_lane_that_breaks_in_the_middle_of_pieces_still_owes_these() -> None:
    lane = lane_that_owes((0, 8))
    lane.expected(wire.Give(7, 2, 3, 300))
    assert sorted(lane.unfinished()) == [(0, 2), (2, 3), (5, 3)]


def test_bytes_are_due_until_the_last_announced_piece_is_here() -> None:
    lane = lane_that_owes((0, 3))
    lane.expected(wire.Give(7, 0, 3, 300))
    assert not lane.owed and lane.busy, "silence now is a stall, not rest"
    lane.coming = None
    assert not lane.busy and lane.unfinished() == []


@pytest.mark.parametrize("give", [wire.Give(7, 2, 3, 299), wire.Give(8, 2, 3, 300), wire.Give(7, 7, 3, 300)])
def test_what_was_not_asked_for_is_not_owed(give: wire.Give) -> None:
    lane = lane_that_owes((0, 8))
    with pytest.raises(BadMessage):
        lane.expected(give)
    assert lane.coming is None
