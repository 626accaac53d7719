"""A world of whole members: same seed, same history; churn, crashes, partitions and liars leave it whole."""

from servent.overlay.effects import DialBack, Prove
from servent.overlay.records import Item
from servent.overlay.topology import Topology
from servent.testing.hosts import OPEN
from servent.testing.measures import quantile
from servent.testing.world import World


def grown(seed: int, peers: int = 60, **more: bool) -> World:
    """Peers that came within a minute, and ten more."""
    world = World(seed, Topology("hybrid"), **more)  # type: ignore[arg-type]
    for _ in range(peers):
        world.add(uptime=36_000.0)
        world.run(world.now + 60.0 / peers)
    world.run(660.0)
    return world


def history(world: World) -> tuple[object, ...]:
    return (
        world.events,
        {kind.__name__: count for kind, count in world.sent.items()},
        [(at, host.number, index) for at, host, index in world.roles],
        [host.sent for host in world.hosts],
    )


def test_the_same_seed_has_the_same_history() -> None:
    def lived(seed: int) -> tuple[object, ...]:
        world = grown(seed, 30)
        for host in world.hosts[:10]:
            world.crash(host)
        world.run(800.0)
        return history(world)

    assert lived(3) == lived(3)
    assert lived(3) != lived(4)


def test_who_crashes_and_who_leaves_is_gone() -> None:
    world = grown(1, 20)
    world.crash(world.hosts[0])
    world.leave(world.hosts[1])
    world.crash(world.hosts[0])
    world.run(world.now + 60.0)
    assert len(world.living()) == 18


def test_a_dial_back_arrives_only_where_a_stranger_may() -> None:
    world = World(1, Topology("hybrid"))
    answers: list[object] = []
    witness = world.add(nat="public")
    for nat in ("public", "mapped", "easy", "symmetric"):
        host = world.add(nat=nat)  # type: ignore[arg-type]
        for address in (host.address, "198.51.100.1:1"):
            token = witness.member.context.wait(lambda answer, now: answers.append(answer) or [])  # type: ignore[func-returns-value]
            world.act(witness, [DialBack(token, host.key, [address])])
            world.run(world.now + 5.0)
            assert answers.pop() == (host.address if nat in OPEN and address == host.address else "")


def test_a_proof_is_what_the_world_says_and_none_of_the_dead() -> None:
    world = World(1, Topology("hybrid"))
    one, other = world.add(), world.add()
    world.proves = lambda host, item: item.size == 1
    answers: list[object] = []

    def prove(size: int) -> object:
        token = one.member.context.wait(lambda answer, now: answers.append(answer) or [])  # type: ignore[func-returns-value]
        world.act(one, [Prove(token, other.key, Item(bytes(32), size, 1, "a.mp3"))])
        world.run(world.now + 5.0)
        return answers.pop()

    assert prove(1) is True
    assert prove(2) is False
    world.crash(other)
    assert prove(1) is None


def test_quantiles() -> None:
    assert quantile([], 0.5) == 0.0
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0, 2.0], 1.0) == 2.0
