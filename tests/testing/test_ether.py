"""Connections of a simulated world: what arrives when, and who notices what."""

from collections.abc import Sequence

import pytest

from servent.identity import PeerId
from servent.overlay.effects import Effect, Hold, Release, Send
from servent.overlay.wire import AskSupernodes, Cancel, Message
from servent.testing.ether import NEVER, Delays, Ether
from servent.testing.hosts import CheapSeal, Host, Nursery


class Stub:
    """A member that notes down what it is told."""

    parts = ()

    def __init__(self) -> None:
        self.told: list[tuple[str, float, PeerId]] = []
        self.due: list[float] = []

    def _note(self, what: str, peer: PeerId, now: float) -> list[Effect]:
        self.told.append((what, now, peer))
        return []

    def receive(self, peer: PeerId, message: Message, now: float) -> list[Effect]:
        return self._note(type(message).__name__, peer, now)

    def up(self, peer: PeerId, now: float) -> list[Effect]:
        return self._note("up", peer, now)

    def down(self, peer: PeerId, now: float) -> list[Effect]:
        return self._note("down", peer, now)

    def failed(self, peer: PeerId, now: float) -> list[Effect]:
        return self._note("failed", peer, now)

    def tick(self, now: float) -> list[Effect]:
        self.due = [at for at in self.due if at > now]
        return self._note("tick", PeerId(bytes(32)), now)

    def next_tick(self) -> float | None:
        return min(self.due, default=None)

    @property
    def words(self) -> list[str]:
        return [what for what, _, _ in self.told]


def net(count: int = 2, seed: int = 1, **nat: str) -> tuple[Ether, Sequence[Host]]:
    """`count` hosts, all of them public unless `nat`, 100 ms from each other."""
    ether, nursery = Ether(seed, Delays(0.1, 0.1)), Nursery(seed, bytes(32))
    for _ in range(count):
        host = nursery.make(nat=nat.get("nat", "public"))  # type: ignore[arg-type]
        host.member, host.alive = Stub(), True  # type: ignore[assignment]
        ether.hosts.append(host)
        ether.by_key[host.key] = host
    return ether, ether.hosts


def told(host: Host) -> list[tuple[str, float]]:
    return [(what, round(at, 6)) for what, at, _ in host.member.told]  # type: ignore[attr-defined]


def test_a_first_message_waits_for_a_handshake_and_the_next_does_not() -> None:
    ether, (ann, bob) = net()
    ether.act(ann, [Send(bob.key, AskSupernodes())])
    ether.run(1.0)
    ether.act(ann, [Send(bob.key, AskSupernodes())])
    ether.run(2.0)
    assert told(bob) == [("up", 0.3), ("AskSupernodes", 0.3), ("AskSupernodes", 1.1)]
    assert told(ann) == [("up", 0.2)]


def test_messages_of_a_pair_keep_their_order() -> None:
    ether, (ann, bob) = net()
    ether.act(ann, [Send(bob.key, AskSupernodes()), Send(bob.key, Cancel(bytes(16)))])
    ether.run(1.0)
    assert bob.member.words == ["up", "AskSupernodes", "Cancel"]  # type: ignore[attr-defined]


def test_a_dial_to_the_dead_fails_after_three_seconds_once_for_all_that_waits() -> None:
    ether, (ann, bob) = net()
    bob.alive = False
    ether.act(ann, [Send(bob.key, AskSupernodes()), Send(bob.key, AskSupernodes())])
    ether.run(10.0)
    assert told(ann) == [("failed", 3.0)]


def test_a_dial_to_nobody_fails() -> None:
    ether, (ann, _) = net()
    ether.act(ann, [Send(PeerId(bytes(32)), AskSupernodes())])
    ether.run(10.0)
    assert told(ann) == [("failed", 3.0)]


@pytest.mark.parametrize(("polite", "least", "most"), [(False, 10.0, 15.0), (True, 0.0, 0.5)])
def test_a_death_is_noticed_late_and_a_goodbye_at_once(polite: bool, least: float, most: float) -> None:
    ether, (ann, bob) = net()
    ether.act(ann, [Send(bob.key, AskSupernodes())])
    ether.run(100.0)
    ether.cut(bob, polite)
    bob.alive = False
    ether.act(ann, [Send(bob.key, AskSupernodes())])  # lost
    ether.run(200.0)
    (what, at) = told(ann)[-1]
    assert what == "down"
    assert 100.0 + least <= at <= 100.0 + most


def test_a_connection_that_is_held_is_dialled_again_when_it_goes_down() -> None:
    ether, (ann, bob) = net()
    ether.act(ann, [Hold(bob.key)])
    ether.run(100.0)
    ether.cut(bob, polite=False)
    bob.alive = False
    ether.run(200.0)
    assert ann.member.words[:3] == ["up", "down", "failed"]  # type: ignore[attr-defined]
    tried = len(ann.member.words)  # type: ignore[attr-defined]
    ether.act(ann, [Release(bob.key)])
    ether.run(300.0)
    assert len(ann.member.words) <= tried + 1  # type: ignore[attr-defined]
    ether.act(ann, [Release(bob.key)])
    assert ether.wrongs == {"released what was not held": 1}


def test_idle_connections_close_and_held_ones_stay() -> None:
    ether, (ann, bob, eve) = net(3)
    ether.act(ann, [Hold(bob.key), Send(eve.key, AskSupernodes())])
    ether.run(500.0)
    ether.sweep()
    assert set(ann.links) == {bob}
    assert eve.member.words[-1] == "down"  # type: ignore[attr-defined]
    ether.act(ann, [Release(bob.key)])
    ether.sweep()
    assert not ann.links


def test_a_partition_is_noticed_like_a_death_and_heals() -> None:
    ether, (ann, bob) = net()
    ether.act(ann, [Send(bob.key, AskSupernodes())])
    ether.run(1.0)
    ether.partition([ann], [bob])
    ether.run(30.0)
    assert ann.member.words == ["up", "down"]  # type: ignore[attr-defined]
    ether.act(ann, [Send(bob.key, AskSupernodes())])
    ether.run(40.0)
    assert ann.member.words == ["up", "down", "failed"]  # type: ignore[attr-defined]
    ether.heal()
    ether.act(ann, [Send(bob.key, AskSupernodes())])
    ether.run(50.0)
    assert bob.member.words[-1] == "AskSupernodes"  # type: ignore[attr-defined]


def test_a_peer_behind_a_nat_without_a_relay_is_not_dialled_but_answers_who_it_dialled() -> None:
    ether, (ann, bob) = net(nat="easy")
    bob.relayed = False
    ether.act(ann, [Send(bob.key, AskSupernodes())])
    ether.run(10.0)
    assert ann.member.words == ["failed"]  # type: ignore[attr-defined]
    ether.act(bob, [Send(ann.key, AskSupernodes())])
    ether.run(20.0)
    ether.act(ann, [Send(bob.key, Cancel(bytes(16)))])
    ether.run(30.0)
    assert bob.member.words == ["up", "Cancel"]  # type: ignore[attr-defined]


def test_ticks_come_when_they_are_due_and_a_core_that_never_moves_on_is_named() -> None:
    ether, (ann, _) = net()
    ann.member.due = [5.0, 2.0]  # type: ignore[attr-defined]
    ether.act(ann, [])
    ether.run(10.0)
    assert told(ann) == [("tick", 2.0), ("tick", 5.0)]
    assert ann.tick_at == NEVER
    ann.member.next_tick = lambda: 3.0  # type: ignore[method-assign]
    ether.act(ann, [])
    with pytest.raises(RuntimeError, match="does not move on"):
        ether.run(20.0)


def test_what_a_member_sends_to_itself_is_a_wrong() -> None:
    ether, (ann, _) = net()
    ether.act(ann, [Send(ann.key, AskSupernodes())])
    assert ether.wrongs == {"AskSupernodes to itself": 1}


def test_loss_loses_its_share() -> None:
    ether, (ann, bob) = net()
    ether.delays.loss = 0.5
    ether.act(ann, [Send(bob.key, AskSupernodes()) for _ in range(1000)])
    ether.run(10.0)
    assert 400 < len(bob.member.words) < 600  # type: ignore[attr-defined]


def test_delays_differ_by_pair_and_stay() -> None:
    ether, hosts = net(40)
    ether.delays = Delays(0.02, 0.12)
    ways = [ether.delay(one, other) for one in hosts for other in hosts if one is not other]
    assert all(0.02 <= way <= 0.12 for way in ways)
    assert 0.06 < sum(ways) / len(ways) < 0.08
    assert ether.delay(hosts[3], hosts[7]) == ether.delay(hosts[7], hosts[3])


def test_cheap_signatures_hold_for_their_key_and_text_only() -> None:
    ann, bob = CheapSeal(b"a" * 32, b"secret"), CheapSeal(b"b" * 32, b"secret")
    signature = ann.sign(b"text")
    assert bob.holds(b"a" * 32, signature, b"text")
    assert not bob.holds(b"b" * 32, signature, b"text")
    assert not bob.holds(b"a" * 32, signature, b"texts")
    assert not bob.holds(b"a" * 32, bytes(64), b"text")
