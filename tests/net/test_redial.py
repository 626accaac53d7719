"""When whom is dialed again."""

from __future__ import annotations

import random

from servent.identity import PeerId
from servent.net.redial import Redial, RedialSettings

ANN, BOB, CAT = (PeerId(bytes([n]) * 32) for n in range(3))


def redial(**settings: float) -> Redial:
    return Redial(RedialSettings(**settings), random.Random(1))


def test_waits_double_up_to_the_longest_with_jitter() -> None:
    it, now, waits = redial(longest=60.0), 0.0, []
    it.want(ANN, now)
    for _ in range(10):
        at = it.next_try(ANN)
        assert at is not None
        waits.append(at - now)
        now = at
        assert it.due(now, 5) == [ANN]
        it.failed(ANN, now, "nobody there")
    for wait, base in zip(waits[1:], [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert base * 0.5 + 1.0 <= wait <= base + 1.0  # and never closer than the spacing


def test_nobody_is_dialed_twice_at_once() -> None:
    it = redial()
    it.want(ANN, 0.0)
    assert it.due(0.0, 5) == [ANN]
    assert it.due(100.0, 5) == []
    assert it.next_tick() is None


def test_news_start_the_backoff_afresh_but_never_closer_than_a_second() -> None:
    it, now = redial(), 0.0
    it.want(ANN, now)
    for _ in range(8):
        now = it.next_try(ANN) or now
        it.due(now, 5)
        it.failed(ANN, now, "no")
    assert (it.next_try(ANN) or 0) > now + 60
    it.news(ANN, now)
    assert now + 1.0 <= (it.next_try(ANN) or 0) <= now + 1.2


def test_one_is_tried_sooner_but_whoever_refused_us_not_before_its_time() -> None:
    it = redial()
    for peer, rest in ((ANN, 0.0), (BOB, 60.0)):
        it.want(peer, 0.0)
        for _ in range(9):
            now = it.next_try(peer) or 0.0
            it.due(now, 5)
            it.failed(peer, now, "no", rest)
        assert (it.next_try(peer) or 0) > now + 100
        it.sooner(peer, now, 10.0)
        assert now + (rest or 5.0) <= (it.next_try(peer) or 0) <= now + (rest or 10.0)
        it.failed(peer, now, "no")
        assert (it.next_try(peer) or 0) > now + 100, "how often it failed still counts"


def test_those_who_wait_longest_go_first_and_only_as_many_as_there_is_room_for() -> None:
    it = redial()
    for at, peer in ((3.0, ANN), (1.0, BOB), (2.0, CAT)):
        it.want(peer, at)
    assert it.due(10.0, 2) == [BOB, CAT]
    assert it.due(10.0, 2) == [ANN]


def test_who_refused_us_is_left_alone_for_a_minute() -> None:
    it = redial()
    it.want(ANN, 0.0)
    it.due(0.0, 1)
    it.failed(ANN, 0.0, "refused", at_least=60.0)
    assert (it.next_try(ANN) or 0) >= 60.0
    assert it.why(ANN) == "refused" and it.failures(ANN) == 1


def test_tick_at_the_announced_time_always_makes_progress() -> None:
    it = redial()
    it.want(ANN, 0.3, within=5.0)
    due = it.next_tick()
    assert due is not None and it.due(due, 1) == [ANN]
