"""Canaries: who keeps what it should is left alone, who does not is a home no more."""

from __future__ import annotations

import pytest

from servent.overlay.canaries import FIRST, KEYED_AGE
from servent.overlay.placement import content_key
from servent.overlay.wire import Question
from tests.overlay.lies import LIES
from tests.overlay.things import NETWORK, peer
from tests.overlay.town import Citizen, Town


def at_home(place: Town, number: int) -> Citizen:
    citizen = place.citizens[peer(number)]
    for home in citizen.homes.at:
        citizen.canaries.up(home, place.net.now)
    return citizen


def test_an_honest_home_is_asked_less_and_less_often() -> None:
    place = Town(40, 15)
    leaf = at_home(place, 30)
    home = place.citizens[leaf.homes.at[0]]
    place.net.run(300.0)
    soon = leaf.canaries.asked
    assert soon >= 4
    place.net.run(300.0 + 3600.0)
    assert leaf.canaries.asked - soon <= 2 * (3600 / (0.8 * place.settings.search.canary_every) + 1)
    assert leaf.canaries.missed == 0 and not leaf.homes.distrusted
    assert leaf.asking.standing.proven(home.key, place.net.now)


@pytest.mark.parametrize("lie", ["drop", "bias", "invent"])
def test_a_home_that_lies_is_one_no_more_in_minutes(lie: str) -> None:
    place = Town(40, 15)
    leaf = at_home(place, 30)
    liar = leaf.homes.at[0]
    place.citizens[liar].lie = LIES[lie]
    place.net.run(FIRST * 60)
    assert leaf.homes.distrusted == [liar]
    assert leaf.asking.standing.barred(liar, place.net.now)
    assert leaf.events == []  # nobody is told


def test_a_home_that_is_only_dead_has_not_lied() -> None:
    place = Town(40, 15)
    leaf = at_home(place, 30)
    for number in range(15):
        place.kill(number)
    place.net.run(3600.0)
    assert leaf.canaries.missed == 0 and not leaf.homes.distrusted


def test_a_keyed_supernode_that_drops_is_barred_by_those_who_stored_there() -> None:
    place = Town(40, 8, per_peer=1)
    home = place.citizens[peer(0)]
    for number in range(1, 8):
        place.citizens[peer(number)].lie = LIES["drop"]
    place.net.run(KEYED_AGE + 40 * place.settings.search.canary_every)
    assert home.canaries.missed >= 3
    assert any(home.asking.standing.barred(peer(number), place.net.now) for number in range(1, 8))


def test_what_is_not_kept_any_more_is_not_asked_for() -> None:
    place = Town(40, 8, per_peer=1)
    home = place.citizens[peer(0)]
    home.shelf.__init__()  # type: ignore[misc]
    place.net.run(KEYED_AGE + 30 * place.settings.search.canary_every)
    assert home.canaries.asked == 0
    assert home.canaries._sample == []


def test_nothing_published_nothing_asked() -> None:
    place = Town(20, 5, per_peer=0)
    leaf = at_home(place, 10)
    place.net.run(4000.0)
    assert leaf.canaries.asked == 0
    assert not any(Question in citizen.received for citizen in place.citizens.values())


def test_a_canary_looks_like_any_question() -> None:
    place = Town(40, 15)
    leaf = at_home(place, 30)
    questions = [leaf.canaries._question(one) for one in place.items[leaf.key] for _ in range(10)]
    assert any(one.text for one in questions) and any(one.content for one in questions)
    assert not any(one.probe or one.keys for one in questions)
    assert all(content_key(NETWORK, one.content) for one in questions if one.content)
