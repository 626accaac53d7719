"""The simulated network beyond the promises of `net.links`: what one can do to it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from servent.errors import ConnectionLost, Unreachable
from servent.identity import Identity
from servent.net.links import PeerAddress
from servent.testing.loop import run
from servent.testing.simnet import Nat, SimConnection, SimEndpoint, SimNet

ANN, BOB = Identity(b"a" * 32), Identity(b"b" * 32)
RELAY = "https://relay.example/"


def clock() -> float:
    return asyncio.get_running_loop().time()


def play(scenario: Coroutine[Any, Any, Any]) -> Any:
    return run(scenario, limit=3600.0)


async def meet(ann: SimEndpoint, bob: SimEndpoint) -> tuple[SimConnection, SimConnection]:
    near = await ann.connect(bob.address(), 10)
    return near, await bob.accept()


def pair(net: SimNet, ann: Nat = "public", bob: Nat = "public") -> tuple[SimEndpoint, SimEndpoint]:
    return net.endpoint(ANN, nat=ann, relays=[RELAY]), net.endpoint(BOB, nat=bob, relays=[RELAY])


def test_a_message_takes_the_latency_there_and_back() -> None:
    async def scenario() -> None:
        ann, bob = pair(SimNet(latency=0.05))
        near, far = await meet(ann, bob)
        assert clock() == pytest.approx(0.1)
        stream = await near.open()
        await stream.write(b"ping")
        other = await far.accept()
        assert clock() == pytest.approx(0.15)
        await other.write(await other.read(10))
        assert await stream.read(10) == b"ping"
        assert clock() == pytest.approx(0.2)

    play(scenario())


def test_bandwidth_is_shared_by_all_streams_of_a_sender() -> None:
    async def scenario() -> float:
        ann, bob = pair(SimNet(latency=0.01, bandwidth=1_000_000))
        near, far = await meet(ann, bob)
        began = clock()

        async def send() -> None:
            stream = await near.open()
            await stream.write(bytes(5_000_000))

        async def receive() -> None:
            await (await far.accept()).read_exactly(5_000_000)

        async with asyncio.TaskGroup() as group:
            for work in (send, send, receive, receive):
                group.create_task(work())
        return clock() - began

    assert play(scenario()) == pytest.approx(10.0, rel=0.05)


def test_loss_delays_streams_and_swallows_datagrams() -> None:
    async def scenario() -> None:
        ann, bob = pair(SimNet(seed=3, loss=0.2))
        near, far = await meet(ann, bob)
        data = bytes(range(256)) * 20_000
        stream = await near.open()
        async with asyncio.TaskGroup() as group:
            group.create_task(stream.write(data))
            assert await (await far.accept()).read_exactly(len(data)) == data
        for number in range(200):
            near.send_datagram(bytes([number]))
        got = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                while True:
                    got.append(await far.read_datagram())
        assert 130 < len(got) < 190

    play(scenario())


def test_the_same_seed_gives_the_same_history() -> None:
    async def scenario(seed: int) -> tuple[float, list[bytes]]:
        ann, bob = pair(SimNet(seed=seed, loss=0.1, bandwidth=1e6))
        near, far = await meet(ann, bob)
        stream = await near.open()
        await stream.write(bytes(300_000))
        await (await far.accept()).read_exactly(300_000)
        for number in range(50):
            near.send_datagram(bytes([number]))
        got = []
        try:
            async with asyncio.timeout(2):
                while True:
                    got.append(await far.read_datagram())
        except TimeoutError:
            return clock(), got

    assert play(scenario(7)) == play(scenario(7))
    assert play(scenario(7)) != play(scenario(8))


def test_a_short_partition_delays_and_a_long_one_kills() -> None:
    async def scenario() -> None:
        net = SimNet()
        ann, bob = pair(net)
        near, far = await meet(ann, bob)
        stream = await near.open()
        await stream.write(b"1")
        other = await far.accept()
        net.partition([ann], [bob])
        await stream.write(b"23")
        await asyncio.sleep(20)
        net.heal()
        assert await other.read_exactly(3) == b"123"
        await asyncio.sleep(100)
        assert near.gone is None
        net.partition([ann], [bob])
        began = clock()
        with pytest.raises(ConnectionLost, match="timed out"):
            await other.read(1)
        assert clock() - began == pytest.approx(30.0)
        assert await near.wait_closed() == "the connection timed out"
        with pytest.raises(Unreachable):
            await ann.connect(bob.address(), 5)
        assert net.connections == []

    play(scenario())


def test_a_dial_gets_through_when_the_partition_heals_in_time() -> None:
    async def scenario() -> None:
        net = SimNet()
        ann, bob = pair(net)
        net.partition([ann], [bob])
        asyncio.get_running_loop().call_later(3, net.heal)
        await meet(ann, bob)
        assert 3 < clock() < 3.2

    play(scenario())


def test_a_cut_connection_is_lost_on_both_sides_and_can_be_dialed_again() -> None:
    async def scenario() -> None:
        net = SimNet()
        ann, bob = pair(net)
        near, far = await meet(ann, bob)
        net.cut(bob, ann)
        for end in (near, far):
            with pytest.raises(ConnectionLost):
                await end.accept()
        await meet(ann, bob)

    play(scenario())


def test_a_crashed_peer_is_noticed_after_the_idle_limit() -> None:
    async def scenario() -> None:
        net = SimNet()
        ann, bob = pair(net)
        near, far = await meet(ann, bob)
        began = clock()
        net.crash(bob)
        assert far.gone is not None
        assert await near.wait_closed() == "the connection timed out"
        assert clock() - began == pytest.approx(30.0)
        with pytest.raises(ConnectionLost):
            await bob.accept()

    play(scenario())


def test_a_changed_address_is_told_and_stalls_the_connection_for_a_moment() -> None:
    async def scenario() -> None:
        net = SimNet(latency=0.01)
        ann, bob = pair(net)
        near, far = await meet(ann, bob)
        stream = await near.open()
        await stream.write(b"before")
        other = await far.accept()
        await other.read(10)
        old, changed = ann.address(), asyncio.Event()
        ann.on_address_change(changed.set)
        net.change_address(ann)
        await asyncio.sleep(0)
        assert changed.is_set()
        assert ann.address() != old
        began = clock()
        await stream.write(b"after")
        assert await other.read(10) == b"after"
        assert 0.3 < clock() - began < 0.5
        assert far.paths()[0].address in ann.local_addresses()
        with pytest.raises(Unreachable):
            await bob.connect(PeerAddress(ANN.peer, addresses=old.addresses), 1)

    play(scenario())


@pytest.mark.parametrize(
    ("dialer", "other", "first", "later"),
    [
        ("public", "public", "direct", "direct"),
        ("home", "public", "direct", "direct"),
        ("symmetric", "public", "direct", "direct"),
        ("public", "home", "relayed", "direct"),
        ("home", "home", "relayed", "direct"),
        ("public", "symmetric", "relayed", "direct"),
        ("home", "symmetric", "relayed", "relayed"),
        ("symmetric", "symmetric", "relayed", "relayed"),
        ("blocked", "public", "relayed", "relayed"),
        ("home", "blocked", "relayed", "relayed"),
    ],
)
def test_nats_decide_which_paths_there_are(dialer: Nat, other: Nat, first: str, later: str) -> None:
    async def scenario() -> None:
        near, far = await meet(*pair(SimNet(), dialer, other))
        assert [path.kind for path in near.paths()] == [first]
        await asyncio.sleep(1)
        for end in (near, far):
            assert [path.kind for path in end.paths()] == [later]

    play(scenario())


def test_behind_a_router_without_a_relay_nobody_is_reached() -> None:
    async def scenario() -> None:
        net = SimNet()
        ann, bob = net.endpoint(ANN), net.endpoint(BOB, nat="home")
        with pytest.raises(Unreachable) as caught:
            await ann.connect(bob.address(), 5)
        assert caught.value.tried == ["direct"]
        await bob.use_relays([RELAY])
        assert bob.address().relay == RELAY
        await meet(ann, bob)

    play(scenario())


def test_a_dead_relay_ends_relayed_connections_unless_it_comes_back() -> None:
    async def scenario() -> None:
        net = SimNet()
        ann, bob = pair(net, "blocked", "blocked")
        near, _ = await meet(ann, bob)
        net.relay_down(RELAY)
        assert ann.address().relay is None
        await asyncio.sleep(20)
        net.relay_up(RELAY)
        await asyncio.sleep(60)
        assert near.gone is None
        net.relay_down(RELAY)
        assert await near.wait_closed() == "the connection timed out"

    play(scenario())


def test_what_is_in_flight_when_a_connection_closes_is_lost() -> None:
    """Write, finish, close: the real network may lose it, so this one always does."""

    async def scenario() -> None:
        ann, bob = pair(SimNet())
        near, far = await meet(ann, bob)
        stream = await near.open()
        await stream.write(b"hello")
        other = await far.accept()
        await stream.write(b" and goodbye")
        await stream.finish()
        await near.close(0, "in a hurry")
        assert await other.read_exactly(5) == b"hello"
        with pytest.raises(ConnectionLost, match="in a hurry"):
            await other.read(100)

    play(scenario())
