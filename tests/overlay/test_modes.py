"""The mode of a network is switched while it runs: afterwards all agree on who is a supernode, and nobody is left out."""

from __future__ import annotations

import random

from servent.overlay.topology import Topology
from tests.overlay.electorate import Crowd, weak
from tests.overlay.things import peer

P2P, HYBRID = Topology("p2p"), Topology("hybrid")
SERVER = Topology("server", frozenset({bytes(peer(40))}))


def agreed(crowd: Crowd, stale: int = 0) -> None:
    """All supernodes know each other and nobody else; each leaf has a home, and hardly any knows somebody who is none."""
    serving = {one.key for one in crowd.serving()}
    assert serving
    wrong = 0
    for one in crowd.peers.values():
        known = {record.key for record in one.directory.records(crowd.now)}
        if not one.alive:
            continue
        assert not one.election.retiring
        if one.election.index:
            assert known == serving
        else:
            assert known & serving and one.homes <= serving
            assert one.homes
            wrong += not known <= serving
    assert wrong <= stale
    assert not crowd.faults


def switched(crowd: Crowd, topology: Topology, after: float) -> None:
    crowd.shape(topology)
    crowd.run(crowd.now + after)


def test_from_all_to_some_to_one_and_back() -> None:
    dice = random.Random(4)
    crowd = Crowd(P2P, 4)
    for number in range(80):
        crowd.join(number, weak(dice), reachable=dice.random() < 0.5)
        crowd.run(crowd.now + 0.1)
    crowd.run(120.0)
    agreed(crowd)
    assert len(crowd.serving()) == 80
    switched(crowd, HYBRID, 300.0)
    agreed(crowd, stale=8)
    assert len(crowd.serving()) == 3 and all(one.reachable for one in crowd.serving())
    switched(crowd, SERVER, 1500.0)
    agreed(crowd)
    assert [one.key for one in crowd.serving()] == [peer(40)]
    switched(crowd, HYBRID, 300.0)
    agreed(crowd, stale=80)
    assert len(crowd.serving()) == 3
    switched(crowd, P2P, 120.0)
    agreed(crowd)
    assert len(crowd.serving()) == 80


def test_while_it_is_switched_somebody_always_keeps_the_index() -> None:
    crowd = Crowd(HYBRID, 6)
    for number in range(60):
        crowd.join(number)
    crowd.run(200.0)
    for topology in (SERVER, HYBRID, P2P, HYBRID, SERVER):
        crowd.shape(topology)
        for _ in range(40):
            crowd.run(crowd.now + 5.0)
            answering = [one for one in crowd.peers.values() if one.election.index]
            assert answering and all(one.directory.own is not None for one in answering)


def test_the_server_is_killed_and_the_network_goes_on_without_it() -> None:
    crowd = Crowd(SERVER, 7)
    for number in range(60):
        crowd.join(number)
    crowd.run(100.0)
    agreed(crowd)
    crowd.kill(crowd.peers[peer(40)])
    crowd.run(crowd.now + 20.0)
    crowd.shape(HYBRID)
    start = crowd.now
    while any(one.alive and not one.election.index and not one.homes for one in crowd.peers.values()):
        crowd.run(crowd.now + 1.0)
        assert crowd.now < start + 60.0, "all have a home again within a minute"
    crowd.run(start + 300.0)
    assert 1 <= len(crowd.serving()) <= 5


def test_supernodes_stay_until_the_server_has_come() -> None:
    crowd = Crowd(HYBRID, 8)
    for number in range(30):
        crowd.join(number)
    crowd.run(100.0)
    before = {one.key for one in crowd.serving()}
    switched(crowd, SERVER, 120.0)
    assert {one.key for one in crowd.serving()} == before, "number 40 is not here yet"
    crowd.join(40)
    crowd.run(crowd.now + 200.0)
    assert [one.key for one in crowd.serving()] == [peer(40)]
