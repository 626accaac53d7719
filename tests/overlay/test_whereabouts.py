"""A peer whose address has changed is found again, quickly, by whoever asks."""

from __future__ import annotations

import pytest

from servent.overlay.effects import Learn, Where
from servent.overlay.placement import peer_key
from servent.overlay.whereabouts import BURST, MOST
from servent.overlay.wire import AskPeer, PeerIs
from tests.overlay.things import NETWORK, peer, record
from tests.overlay.town import Town

MODES = {"server": (30, 1), "hybrid": (60, 20), "p2p": (30, 30)}


def look(place: Town, asker: int, wanted: int) -> list[Where]:
    citizen = place.citizens[peer(asker)]
    citizen.events.clear()
    place.net.do(
        citizen.key, citizen.carry_out(citizen.asking.where(peer(wanted), place.net.now), place.net.now)
    )
    place.net.run(place.net.now + 0.9)
    return [event for event in citizen.events if isinstance(event, Where)]


def move(place: Town, number: int) -> None:
    """It has another address, and said so where it should."""
    key = peer(number)
    citizen = place.citizens[key]
    new = record(number, seq=2, address="198.51.100.7:9")
    citizen.context.record = new
    for home in citizen.homes.at:
        place.citizens[home].housing.housed[key] = new
    for near in place.nearest(peer_key(NETWORK, key), 3):
        place.citizens[near].housing.peers[key] = new


@pytest.mark.parametrize("mode", MODES)
def test_the_newest_address_is_found_in_under_a_second(mode: str) -> None:
    place = Town(*MODES[mode], per_peer=0)
    for asker in (22, 25):
        citizen = place.citizens[peer(asker)]
        citizen.context.know(record(28), 0.0)  # what it knew before
    move(place, 28)
    for asker in (22, 25):
        (found,) = look(place, asker, 28)
        assert found.record is not None and found.record.addresses == ["198.51.100.7:9"]
        learnt = [
            effect for _, node, effect in place.net.told if node == peer(asker) and isinstance(effect, Learn)
        ]
        assert learnt and learnt[-1].record == found.record


def test_a_tenth_of_dead_supernodes_does_not_matter() -> None:
    place = Town(*MODES["hybrid"], per_peer=0)
    move(place, 50)
    for number in (3, 13):
        place.kill(number)
    for asker in range(30, 40):
        (found,) = look(place, asker, 50)
        assert found.record is not None and found.record.seq == 2


def test_nobody_knows() -> None:
    place = Town(*MODES["hybrid"], per_peer=0)
    (found,) = look(place, 30, 999)
    assert found.record is None


def test_who_asks_twice_is_answered_twice_and_others_are_asked_once() -> None:
    place = Town(*MODES["hybrid"], per_peer=0)
    citizen = place.citizens[peer(30)]
    first = citizen.asking.where(peer(50), 0.0)
    assert citizen.asking.where(peer(50), 0.0) == []
    place.net.do(citizen.key, citizen.carry_out(first, 0.0))
    place.net.run(0.9)
    assert len([event for event in citizen.events if isinstance(event, Where)]) == 2


def test_a_record_of_another_peer_is_a_fault() -> None:
    place = Town(*MODES["hybrid"], per_peer=0)
    citizen = place.citizens[peer(30)]
    sent = citizen.carry_out(citizen.asking.where(peer(50), 0.0), 0.0)
    question = sent[0].message  # type: ignore[union-attr]
    assert isinstance(question, AskPeer)
    citizen.receive(sent[0].to, PeerIs(question.number, question.peer, record(51)), 0.1)  # type: ignore[union-attr]
    assert citizen.faults


def test_answers_of_strangers_do_not_count() -> None:
    place = Town(*MODES["hybrid"], per_peer=0)
    citizen = place.citizens[peer(30)]
    sent = citizen.carry_out(citizen.asking.where(peer(50), 0.0), 0.0)
    number = sent[0].message.number  # type: ignore[union-attr]
    citizen.receive(peer(77), PeerIs(number, bytes(peer(50)), record(50, seq=9)), 0.1)
    assert citizen.context.peers.get(peer(50), 0.1) is None


def test_a_flood_is_not_answered_with_work() -> None:
    place = Town(*MODES["hybrid"], per_peer=0)
    home = place.citizens[peer(0)]
    asked_on = sum(
        sent.to != peer(30)  # type: ignore[union-attr]
        for number in range(500)
        for sent in home.receive(peer(30), AskPeer(number, bytes(peer(1000 + number))), 0.0)
    )
    assert asked_on <= 3 * (BURST + 1)
    assert len(home.whereabouts._sought) <= MOST
    place.net.run(5.0)
    assert not home.whereabouts._sought and not home.whereabouts._number
