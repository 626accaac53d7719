"""Who vanishes is dropped everywhere, by everybody's own look; who is there is not, whatever others say."""

from __future__ import annotations

import pytest

from servent.overlay.effects import Send
from servent.overlay.topology import Topology
from servent.overlay.wire import Alive, Probe, Suspect
from tests.overlay.electorate import Crowd, One
from tests.overlay.things import peer


def together(count: int, seed: int = 0, loss: float = 0.0) -> Crowd:
    crowd = Crowd(Topology("p2p"), seed, loss=loss)
    for number in range(count):
        crowd.join(number)
        crowd.run(crowd.now + 0.2)
    crowd.run(120.0)
    assert all(len(one.directory.records(crowd.now)) == count for one in crowd.peers.values())
    return crowd


def who_knows(crowd: Crowd, one: One) -> int:
    return sum(
        other.alive and other is not one and other.directory.get(one.key, crowd.now) is not None
        for other in crowd.peers.values()
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_who_vanishes_is_dropped_everywhere_within_a_minute(seed: int) -> None:
    crowd = together(60, seed)
    victim = crowd.peers[peer(7)]
    crowd.kill(victim)
    before = sum(crowd.sent.values())
    died, limit = crowd.now, crowd.now + 60.0
    while who_knows(crowd, victim) and crowd.now < limit:
        crowd.run(crowd.now + 1.0)
    assert who_knows(crowd, victim) == 0, f"after {crowd.now - died:.0f} s"
    assert sum(crowd.sent.values()) - before < 60 * 60, "every survivor spends a few messages on it"
    crowd.run(crowd.now + 600.0)
    assert who_knows(crowd, victim) == 0, "comparing lists does not bring it back"


def test_who_is_cut_off_drops_nobody() -> None:
    crowd = together(20)
    alone = crowd.peers[peer(3)]
    deliver = crowd._arrive
    crowd._arrive = lambda one, sender, message: (  # type: ignore[method-assign]
        None if alone.key in (one.key, sender) else deliver(one, sender, message)
    )
    crowd.run(crowd.now + 600.0)
    assert len(alone.directory.records(crowd.now)) == 20, "it is the sick one"
    assert who_knows(crowd, alone) == 0, "and nobody can reach it"
    asked = sum(1 for one in crowd.peers.values() if one.alive)
    assert asked == 20
    crowd._arrive = deliver  # type: ignore[method-assign]
    crowd.run(crowd.now + 1800.0)
    assert who_knows(crowd, alone) == 19, "heard of again, it is known again"


def test_nobody_is_dropped_on_hearsay() -> None:
    crowd = together(12)
    liar, victim = crowd.peers[peer(2)], crowd.peers[peer(5)]
    for _ in range(30):
        own = victim.directory.own
        assert own is not None
        for other in crowd.peers.values():
            if other not in (liar, victim):
                crowd.do(liar, [Send(other.key, Suspect(bytes(victim.key), own.seq))])
        crowd.run(crowd.now + 10.0)
    assert who_knows(crowd, victim) == 11


def test_a_twentieth_of_all_messages_lost_drops_hardly_anyone_for_long() -> None:
    crowd = Crowd(Topology("p2p"), 5, loss=0.05)
    for number in range(30):
        crowd.join(number)
    crowd.run(1800.0)
    known = [len(one.directory.records(crowd.now)) for one in crowd.peers.values()]
    assert min(known) >= 27 and sum(known) / len(known) > 29


def test_helpers_are_asked_before_anyone_is_given_up_and_a_stranger_helps_nobody() -> None:
    crowd = together(4)
    one = crowd.peers[peer(0)]
    handlers = one.handlers
    assert handlers[Probe](peer(99), Probe(7, bytes(peer(1))), crowd.now) == []
    helped = handlers[Probe](peer(2), Probe(7, bytes(peer(1))), crowd.now)
    assert [type(effect.message) for effect in helped if isinstance(effect, Send)] == [Alive, Probe]
    probe = next(effect.message for effect in helped if isinstance(effect, Send) and effect.to == peer(1))
    assert isinstance(probe, Probe)
    told = handlers[Alive](peer(1), Alive(probe.number), crowd.now)
    assert told == [Send(peer(2), Alive(7, bytes(peer(1))))]
    assert handlers[Alive](peer(1), Alive(probe.number), crowd.now) == []


def test_who_is_suspected_says_that_it_is_here() -> None:
    crowd = together(4)
    one = crowd.peers[peer(0)]
    own = one.directory.own
    assert own is not None
    crowd.do(one, one.handlers[Suspect](peer(1), Suspect(bytes(one.key), own.seq), crowd.now))
    crowd.run(crowd.now + 5.0)
    newer = crowd.peers[peer(3)].directory.get(one.key, crowd.now)
    assert newer is not None and newer.seq > own.seq


def test_a_supernode_says_about_twenty_messages_a_minute_to_sixty_others() -> None:
    crowd = together(60)
    before = sum(crowd.sent.values())
    crowd.run(crowd.now + 1800.0)
    assert (sum(crowd.sent.values()) - before) / 60 / 30 < 22.0
