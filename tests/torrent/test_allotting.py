"""One limit for both worlds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.torrent.allotting import allotted
from servent.torrent.views import Status
from servent.torrent.words import happens


def settled(limit: float, ours: float, theirs: float) -> tuple[float, float]:
    """What both move in the end. `ours`, `theirs`: what each would move without a limit."""
    mine = other = 0.0
    for _ in range(60):
        most = allotted(limit, mine)
        assert most is not None
        other = min(theirs, most)
        mine = min(ours, limit - other, max(mine * 1.25, 0.05 * limit))
    return mine, other


def test_without_a_limit_there_is_none() -> None:
    assert allotted(None, 5.0) is None


def test_both_hungry_get_about_half_each() -> None:
    ours, theirs = settled(1000.0, 5000.0, 5000.0)
    assert ours == pytest.approx(500, rel=0.15) and theirs == pytest.approx(500, rel=0.15)


def test_who_is_alone_gets_nearly_all() -> None:
    assert settled(1000.0, 0.0, 5000.0)[1] == pytest.approx(950)
    assert settled(1000.0, 5000.0, 0.0)[0] == pytest.approx(1000)


@given(st.floats(1, 1e9), st.floats(0, 1e9))
def test_never_less_than_half_and_never_more_than_the_limit(limit: float, ours: float) -> None:
    most = allotted(limit, ours)
    assert most is not None and limit / 2 <= most <= limit


def status(peers: int = 0, seeds: int = 0, down: int = 0, known: int = 0, tried: int = 0) -> Status:
    return Status("downloading", False, "x", True, 0, 1, 1, down, 0, 0, 0, 0, peers, seeds, known, tried)


@pytest.mark.parametrize(
    ("now", "known", "says"),
    [
        (status(), True, (None, "asks BitTorrent's DHT and the link's trackers for peers")),
        (status(known=3, tried=2), True, (None, "tries 2 BitTorrent peers")),
        (
            status(known=1),
            True,
            (
                None,
                "no answer from 1 BitTorrent peer, asks BitTorrent's DHT and the link's trackers for peers",
            ),
        ),
        (status(peers=3), True, (None, "3 BitTorrent peers, none complete")),
        (status(peers=1), False, ("metadata", "getting the list of files from 1 BitTorrent peer")),
        (status(peers=1, seeds=1), True, (None, "waits for 1 BitTorrent peer to send")),
        (status(peers=1, seeds=1, down=5), True, ("active", "")),
    ],
)
def test_the_row_says_what_is_waited_for(now: Status, known: bool, says: tuple[str | None, str]) -> None:
    assert happens(now, known=known, dht=True, trackers=True) == says
    if not now.peers and not now.known:
        assert happens(now, known=known, dht=False, trackers=False)[1] == "no BitTorrent peer is known"
