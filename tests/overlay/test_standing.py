"""Who is asked, and who not any more."""

from __future__ import annotations

from servent.overlay.standing import BARRED, LAPSE, LIE, PROVEN, SILENT, UNSHOWN, Standing
from tests.overlay.things import peer

ANN, BOB, CAT = peer(1), peer(2), peer(3)


def test_a_lie_bars_for_a_day() -> None:
    standing = Standing()
    assert standing.struck(ANN, LIE, 0.0)
    assert standing.barred(ANN, 1.0)
    assert standing.trusted([ANN, BOB], 1.0) == [BOB]
    assert not standing.barred(ANN, BARRED + 1.0)


def test_what_is_not_shown_bars_the_second_time_and_canaries_the_third() -> None:
    standing = Standing()
    assert not standing.struck(ANN, UNSHOWN, 0.0)
    assert standing.struck(ANN, UNSHOWN, 1.0)
    assert not standing.struck(BOB, LAPSE, 0.0)
    assert not standing.struck(BOB, LAPSE, 600.0)
    assert standing.struck(BOB, LAPSE, 1200.0)


def test_bad_luck_is_forgotten() -> None:
    standing = Standing()
    assert not any(standing.struck(ANN, LAPSE, day * 86_400.0) for day in range(50))


def test_a_proof_counts_for_a_while() -> None:
    standing = Standing()
    standing.showed(ANN, 0.0)
    assert standing.proven(ANN, PROVEN - 1.0)
    assert not standing.proven(ANN, PROVEN + 1.0)
    standing.showed(ANN, 0.0)
    standing.struck(ANN, LAPSE, 1.0)
    assert not standing.proven(ANN, 2.0)


def test_who_is_silent_or_lacks_much_is_asked_last() -> None:
    standing = Standing()
    for _ in range(4):
        standing.compared(ANN, 1.0, 0.0)
        standing.compared(BOB, 0.0, 0.0)
    assert standing.trusted([ANN, BOB, CAT], 0.0) == [BOB, CAT, ANN]
    standing.silent(BOB, 0.0)
    assert standing.trusted([ANN, BOB, CAT], 1.0) == [CAT, ANN, BOB]
    assert standing.trusted([BOB, CAT], SILENT + 1.0) == [BOB, CAT]


def test_the_bad_are_remembered_longest() -> None:
    standing = Standing()
    standing.struck(ANN, LIE, 0.0)
    for number in range(10_000):
        standing.showed(peer(100 + number), 1.0)
    assert standing.barred(ANN, 2.0)
    assert len(standing) <= 4096
