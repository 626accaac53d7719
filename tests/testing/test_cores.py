from collections.abc import Sequence

import pytest

from servent.testing.cores import CoreNet, Send


class Rumour:
    """Passes on what it hears for the first time; repeats it twice, 1 s apart."""

    def __init__(self, friends: list[str]) -> None:
        self.friends = friends
        self.heard: dict[str, list[float]] = {}

    def receive(self, peer: str, message: str, now: float) -> Sequence[object]:
        if message in self.heard:
            return []
        self.heard[message] = [now + 1.0, now + 2.0]
        return [("heard", message), *self._pass_on(message)]

    def tick(self, now: float) -> Sequence[object]:
        out: list[object] = []
        for message, times in self.heard.items():
            while times and times[0] <= now:
                times.pop(0)
                out += self._pass_on(message)
        return out

    def next_tick(self) -> float | None:
        return min((times[0] for times in self.heard.values() if times), default=None)

    def _pass_on(self, message: str) -> list[object]:
        return [Send(friend, message) for friend in self.friends]


def ring(size: int) -> dict[str, Rumour]:
    names = [f"n{number}" for number in range(size)]
    return {
        name: Rumour([names[at - 1], names[(at + 1) % size], names[(at + size // 2) % size]])
        for at, name in enumerate(names)
    }


def spread(seed: int, loss: float) -> CoreNet[str, str]:
    net: CoreNet[str, str] = CoreNet(ring(40), seed=seed, loss=loss)
    net.do("n0", net.cores["n0"].receive("me", "hello", 0.0))
    net.run(until=60.0)
    return net


def test_a_rumour_reaches_everyone_despite_a_fifth_of_messages_lost() -> None:
    for seed in range(50):
        net = spread(seed, loss=0.2)
        assert len(net.told) == 40, f"seed {seed}"
        assert 0.1 < net.lost / net.sent < 0.3


def test_the_same_seed_gives_the_same_history() -> None:
    assert spread(7, 0.2).told == spread(7, 0.2).told
    assert spread(7, 0.2).told != spread(8, 0.2).told


def test_time_ends_where_it_was_told_to() -> None:
    assert spread(1, 0.0).now == 60.0


def test_a_partition_keeps_news_on_its_side_until_it_heals() -> None:
    net: CoreNet[str, str] = CoreNet(ring(10), seed=1)
    left, right = [f"n{number}" for number in range(5)], [f"n{number}" for number in range(5, 10)]
    net.partition(left, right)
    net.do("n0", net.cores["n0"].receive("me", "hello", 0.0))
    net.run(until=0.9)
    assert {node for _, node, _ in net.told} == set(left)
    net.heal()
    net.run(until=60.0)
    assert len(net.told) == 10


def test_a_core_with_effects_of_its_own_says_how_to_read_them() -> None:
    def reads(effect: object) -> Send[str, str] | None:
        return Send(effect.to, effect.message.upper()) if isinstance(effect, Send) else None

    net: CoreNet[str, str] = CoreNet(ring(3), seed=1, sending=reads)
    net.do("n0", [Send("n1", "hello")])
    net.run(until=1.0)
    assert ("heard", "HELLO") in [effect for _, _, effect in net.told]


def test_messages_to_nodes_that_are_gone_are_lost() -> None:
    net: CoreNet[str, str] = CoreNet(ring(3), seed=1)
    net.do("n0", [Send("n1", "hello")])
    del net.cores["n1"]
    net.run(until=1.0)
    assert (net.sent, net.lost, net.told) == (1, 1, [])


def test_a_broken_invariant_stops_the_run() -> None:
    def check(core: object) -> None:
        assert isinstance(core, Rumour)
        assert len(core.heard) <= 1, "heard too much"

    net: CoreNet[str, str] = CoreNet(ring(3), seed=1, check=check)
    net.do("n0", [Send("n1", "one"), Send("n1", "two")])
    with pytest.raises(AssertionError, match="heard too much"):
        net.run(until=1.0)
