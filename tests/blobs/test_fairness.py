"""What the upload slots promise, in a simulation of hours: see `simulations/fairness.py`."""

from __future__ import annotations

from statistics import median

import pytest

from servent.blobs.credit import HALF_LIFE, Credit, Credits
from servent.identity import PeerId
from simulations.fairness import CASES, crowd, run

TEN_MINUTES = 600.0


@pytest.mark.parametrize("slots", [4, 8, 16])
def test_five_givers_among_fifty_leechers_get_most_and_nobody_starves(slots: int) -> None:
    outcome = run(crowd(), slots=slots)
    assert outcome.share["giver"] >= 0.6
    assert max(outcome.longest_wait.values()) <= TEN_MINUTES
    assert outcome.used > 0.99


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "case",
    [
        "the same, all come and go (10 min there, 30 s away)",
        "leechers reconnect with the same key every 20 s",
    ],
)
def test_the_same_when_they_come_and_go(case: str, seed: int) -> None:
    outcome = run(CASES[case](), seed=seed, minutes=20)
    assert outcome.share["giver"] >= 0.6
    assert max(outcome.longest_wait.values()) <= TEN_MINUTES


def test_new_keys_take_nothing_from_givers_and_nothing_from_who_stays_the_same() -> None:
    outcome = run(CASES["leechers come with a new key every 20 s"](), minutes=20)
    assert outcome.share["giver"] >= 0.6
    sybils = crowd(leechers=100, away=1 / 60, gap=1.0, fresh_key=True)
    for honest in sybils[5:25]:
        honest.kind, honest.away = "newcomer", 0.0
    outcome = run(sybils, minutes=20)
    assert outcome.share["giver"] >= 0.6
    assert outcome.share["newcomer"] >= outcome.share["leecher"] * 20 / 80


def test_friends_come_first_and_givers_and_leechers_still_get_something() -> None:
    few = run(CASES["3 friends, 5 givers, 50 leechers"](), minutes=30)
    many = run(CASES["12 friends, 5 givers, 50 leechers"](), minutes=30)
    assert few.share["friend"] / 3 > few.share["giver"] / 5 > few.share["leecher"] / 50
    assert few.longest_wait["friend"] == 0
    assert many.share["friend"] >= 0.6
    assert max(many.longest_wait.values()) <= TEN_MINUTES >= max(few.longest_wait.values())
    assert many.share["giver"] / 5 > 2 * many.share["leecher"] / 50 > 0


def test_givers_that_are_slow_do_not_leave_the_line_idle() -> None:
    assert run(CASES["givers that can only take 20 kB/s each"]()).used > 0.95
    peers = crowd()
    for peer in peers:
        peer.takes = 20_000.0 if peer.kind == "giver" else 250_000.0
    assert run(peers).used > 0.75, "two slots would send at most 60 % of it"


def test_what_is_said_of_the_wait_is_what_it_takes() -> None:
    told = run(crowd()).words
    ratios = [took / max(10.0, said) for said, took in told]
    assert len(ratios) > 100
    assert 0.8 < median(ratios) < 1.25
    assert sum(0.5 < ratio < 2 for ratio in ratios) > 0.9 * len(ratios)


def test_credit_is_earned_used_up_forgotten_in_time_and_bounded() -> None:
    assert Credit(0, 0).score == Credit(999_999, 0).score == 1.0 == Credit(10**9, 10**12).score
    assert Credit(100_000_000, 0).score == 10.0
    assert Credit(100_000_000, 100_000_000).score == 2.0
    credits = Credits(most=3)
    one, two, three, four = (PeerId(bytes([number]) * 32) for number in range(1, 5))
    credits.gave(one, 50_000_000)
    credits.took(two, 50_000_000)
    credits.took(three, 1)
    credits.took(four, 1)
    assert len(credits) == 3
    assert credits.get(one).giver, "of who only took nothing is lost when it is forgotten"
    assert credits.get(two) == Credit() and two in credits.changed
    credits.age(HALF_LIFE)
    assert credits.get(one).gave_bytes == 25_000_000
