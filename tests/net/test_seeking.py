"""When our own word goes out, and when whom is looked up."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from servent.identity import PeerId
from servent.net import seeking
from servent.net.seeking import Publishing, Seeking

ANN, BOB = PeerId(bytes([1]) * 32), PeerId(bytes([2]) * 32)


def dice() -> random.Random:
    return random.Random(5)


def test_a_change_is_told_when_it_has_settled() -> None:
    it = Publishing(dice())
    assert not it.due(0.0)
    for now in (0.0, 0.5, 1.0):
        it.changed(now)
    assert not it.due(1.9) and it.due(2.0) and not it.due(2.0)


def test_who_changes_all_the_time_is_told_now_and_then_all_the_same() -> None:
    it, told = Publishing(dice()), 0
    for tenth in range(200):
        it.changed(tenth / 10)
        if it.due(tenth / 10):
            it.done(tenth / 10, 1)
            told += 1
    assert 3 <= told <= 4  # in 20 s


def test_the_same_is_told_again_within_the_hour() -> None:
    it = Publishing(dice())
    it.changed(0.0)
    assert it.due(1.0)
    it.done(1.0, 3)
    again = it.next_tick()
    assert again is not None and 2700 <= again - 1.0 <= 3600
    assert it.due(again)


def test_who_took_nothing_is_asked_ever_more_rarely_and_at_once_when_there_is_a_way_again() -> None:
    it, now, waits = Publishing(dice()), 0.0, []
    it.changed(now)
    for _ in range(9):
        due = it.next_tick()
        assert due is not None
        waits.append(due - now)
        now = due
        assert it.due(now)
        it.done(now, 0)
    assert 20 < waits[1] < 40 and 600 < waits[-1] < 1200
    it.hurry(now)
    assert it.due(now + 1.0)


def test_a_change_while_it_goes_out_goes_out_next() -> None:
    it = Publishing(dice())
    it.changed(0.0)
    assert it.due(1.0)
    it.changed(1.5)
    it.done(2.0, 1)
    assert it.next_tick() == 2.5


def test_one_who_stays_away_is_looked_for_ever_more_rarely() -> None:
    it, now, times = Seeking(dice()), 0.0, []
    it.want(ANN, now)
    while now < 86400.0:
        assert it.due(now) == [ANN] and it.due(now) == []
        times.append(now)
        it.ended(ANN, now + 1.0)
        due = it.next_tick()
        assert due is not None and due > now
        now = due
    assert 90 < len(times) < 130  # a day: some ten in the first hour, then one in a quarter of an hour
    assert times[1] < 7.0
    it.drop(ANN)
    assert it.next_tick() is None and it.due(now + 1e6) == []


def test_another_network_around_us_begins_the_search_anew() -> None:
    it, now = Seeking(dice()), 0.0
    it.want(ANN, now)
    for _ in range(10):
        now = it.next_tick() or now
        it.due(now)
        it.ended(ANN, now)
    assert (it.next_tick() or 0.0) > now + 500
    it.hurry(now)
    due = it.next_tick()
    assert due is not None and now < due <= now + seeking.SPACING + seeking.HURRIED


def test_whoever_asks_for_one_peer_shares_its_look_ups() -> None:
    it = Seeking(dice())
    assert it.may(ANN, 0.0) and not it.may(ANN, 0.0) and it.may(BOB, 0.0)
    it.want(ANN, 0.5)
    assert it.due(10.0) == []  # it is under way
    it.ended(ANN, 10.0)
    assert it.may(ANN, 10.1) and not it.may(ANN, 10.2)


def test_a_look_up_just_over_is_not_repeated_for_who_begins_to_want_it() -> None:
    it = Seeking(dice())
    assert it.may(ANN, 0.0)
    it.ended(ANN, 0.1)
    it.want(ANN, 0.2)
    assert it.due(0.3) == [] and it.due(seeking.SPACING) == [ANN]


@given(st.lists(st.tuples(st.sampled_from("wdemth"), st.integers(0, 40), st.floats(0, 500)), max_size=120))
def test_it_never_does_too_much_at_once_and_never_sleeps_for_good(
    steps: list[tuple[str, int, float]],
) -> None:
    it, now, running = Seeking(dice()), 0.0, set()
    for what, number, wait in steps:
        peer = PeerId(number.to_bytes(32, "big"))
        now += wait
        match what:
            case "w":
                it.want(peer, now)
            case "d":
                it.drop(peer)
            case "e" if running:
                gone = sorted(running)[number % len(running)]
                running.discard(gone)
                it.ended(gone, now)
            case "m" if it.may(peer, now):
                assert peer not in running
                running.add(peer)
            case "t":
                begun = it.due(now)
                assert not running & set(begun)
                running |= set(begun)
            case "h":
                it.hurry(now)
        assert len(running) <= 4 * seeking.AT_ONCE
        waiting = set(it.wanted()) - running
        if waiting and len(running) < seeking.AT_ONCE:
            assert it.next_tick() is not None


def test_one_who_may_answer_by_itself_is_looked_up_a_moment_later_or_when_a_dial_failed() -> None:
    it = Seeking(dice())
    it.want(ANN, 0.0, after=1.0)
    assert it.due(0.9) == []
    it.want(BOB, 0.0, after=1.0)
    it.want(BOB, 0.5)
    assert it.due(0.5) == [BOB] and it.due(1.0) == [ANN]
    it.ended(ANN, 2.0)
    before = it.next_tick()
    it.want(ANN, 2.1)  # that it is missed is no news
    assert it.next_tick() == before


def test_dials_that_go_on_asking_for_one_who_is_nowhere_get_ever_fewer_look_ups() -> None:
    it, begun = Seeking(dice()), []
    for tenth in range(1200):  # two minutes, ten times a second
        now = tenth / 10
        if it.may(ANN, now):
            begun.append(now)
            it.ended(ANN, now + 0.05)
    assert begun[:4] == [0.0, 2.0, 6.0, 14.0] and len(begun) <= 12
    it.drop(ANN)  # it was here
    assert it.may(ANN, 120.0)
    it.ended(ANN, 120.1)
    for now in (121.0, 122.0, 126.0):
        it.may(ANN, now)
        it.ended(ANN, now)
    it.hurry(127.0)
    assert it.may(ANN, 129.0)
