"""Scores of those who publish."""

from __future__ import annotations

import random

from servent.overlay.publishers import CHECKS, FORGED, MOST, REFUSED, Publishers
from tests.overlay.things import item, peer


def publishers() -> Publishers:
    return Publishers(random.Random(1), spot_check=20)


def test_once_too_often_and_it_is_refused_for_a_day() -> None:
    ours = publishers()
    assert [ours.wrong(peer(1), FORGED, 0.0) for _ in range(4)] == [False, False, False, True]
    assert ours.refused(peer(1), 0.0) and ours.refused(peer(1), REFUSED - 1)
    assert not ours.refused(peer(1), REFUSED + 1)
    assert ours.score(peer(1), REFUSED + 1) == 0.0
    assert not ours.refused(peer(2), 0.0)


def test_what_was_long_ago_counts_less() -> None:
    ours = publishers()
    for hour in range(50):
        assert not ours.wrong(peer(1), FORGED, hour * 3600.0)


def test_one_in_twenty_new_items_is_asked_for() -> None:
    ours = publishers()
    assert len(ours.sample([item(str(n)) for n in range(100)], 0.0)) == 5
    few = sum(len(ours.sample([item("one")], 60.0 * n)) for n in range(2000))
    assert 50 < few < 160


def test_not_more_are_asked_for_than_so_many_a_minute() -> None:
    ours = publishers()
    many = [item(str(n)) for n in range(128)]
    asked = sum(len(ours.sample(many, n / 100)) for n in range(100))
    assert asked <= CHECKS + 1


def test_the_worst_are_remembered_longest() -> None:
    ours = publishers()
    for _ in range(4):
        ours.wrong(peer(0), FORGED, 0.0)
    for n in range(1, 2 * MOST):
        ours.wrong(n.to_bytes(32, "big"), 1.0, 1.0)
    assert ours.refused(peer(0), 2.0)
    assert len(ours._of) <= MOST
