"""What a lane owes, whichever kind it is."""

from __future__ import annotations

from typing import cast

import pytest

from servent.blobs import wire
from servent.blobs.lanes_bulk import BulkLane, Fetcher, FetchLane
from servent.blobs.lanes_intake import Intake, Mailbox
from servent.blobs.lanes_pace import Buffers, Pace
from servent.blobs.lanes_tls import TlsPipe
from servent.errors import BadMessage, ConnectionLost
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


class Breaks:
    """A pipe with so many bytes and then nobody at the other end."""

    def __init__(self, left: int) -> None:
        self.left = left

    def read_into(self, view: memoryview) -> None:
        if len(view) > self.left:
            raise ConnectionLost("the TCP lane was closed by the other side")
        self.left -= len(view)


class Taken(Sizes):
    """An intake that notes what it is given; one unit is all that was announced."""

    foreground = True

    def __init__(self) -> None:
        self.buffers = Buffers(1 << 20)
        self.submitted: list[tuple[int, int]] = []

    def unit(self, first: int, count: int) -> tuple[int, int]:
        return count, self.size(first, count)

    def submit(self, lane: object, first: int, count: int, buffer: memoryview) -> None:
        self.submitted.append((first, count))
        self.buffers.give(buffer)


@pytest.mark.parametrize(
    ("came", "kept", "owed"), [(0, [], (2, 3)), (99, [], (2, 3)), (250, [(2, 2)], (4, 1))]
)
def test_whole_pieces_of_a_lane_that_breaks_are_kept(
    came: int, kept: list[tuple[int, int]], owed: tuple[int, int]
) -> None:
    intake, mail = Taken(), []
    pace = Pace(lambda: 0.0)
    pace.chunk = lambda *_, **__: 50  # type: ignore[method-assign]
    post = type("Mail", (), {"post": lambda _, *what: mail.append(what)})()
    lane = BulkLane(
        identity(1).peer,
        cast(Intake, intake),
        pace,
        cast(Fetcher, None),
        cast(Mailbox, post),
        [],
        bytes(32),
        b"",
    )
    lane.owed[7] = [(2, 3)]
    lane.expected(wire.Give(7, 2, 3, 300))
    with pytest.raises(ConnectionLost):
        lane._take(cast(TlsPipe, Breaks(came)), 2, 3)
    assert intake.submitted == kept and [what[1:3] for what in mail] == kept
    assert lane.unfinished() == [owed] and intake.buffers.used_bytes == 0
