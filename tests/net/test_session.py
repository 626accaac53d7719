"""One session: its control stream, and a peer that misuses it."""

from __future__ import annotations

import asyncio

import pytest

from servent.codec import frame
from servent.errors import ConnectionLost
from servent.net import wire
from servent.net.links import Path, Stream
from servent.net.session import Session
from servent.net.views import Attempts, why_not, why_path
from servent.testing import loop
from servent.testing.simnet import SimNet
from tests.net.party import Node, befriend, identity, party, until


async def friends(nodes: list[Node]) -> tuple[Session, Session]:
    ann, bob = nodes[:2]
    await befriend(ann, bob)
    ours = await bob.peers.connect(ann.address)
    await until(lambda: ann.peers.session(bob.peer) is not None)
    theirs = ann.peers.session(bob.peer)
    assert theirs is not None
    return ours, theirs


def test_the_round_trip_is_known_soon_after_the_hello() -> None:
    async def story() -> None:
        async with party(2, SimNet(latency=0.04)) as nodes:
            ours, _ = await friends(nodes)
            await until(lambda: ours.rtt is not None, 1)
            assert ours.rtt == pytest.approx(0.08, abs=0.01)

    loop.run(story())


@pytest.mark.parametrize(
    "message",
    [
        wire.Echo(1),
        wire.Look(),
        wire.Observed("192.0.2.1:1"),
        wire.Here(None, ["192.0.2.1:1"]),
        wire.Fresh(b"network"),
        wire.Proven(b"n" * 32),
        wire.Prove(b"n" * 32, [b"x" * 512] * 16),
        wire.Channel("game/1", 1),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_flood_of_control_messages_ends_the_connection(message: wire.Control) -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ours, theirs = await friends(nodes)
            began = asyncio.get_running_loop().time()
            with pytest.raises(ConnectionLost):
                while asyncio.get_running_loop().time() - began < 20:
                    await ours._control.write(frame(message) * 10)
                    await asyncio.sleep(0.01)
            assert not theirs.connected
            assert asyncio.get_running_loop().time() - began < 5

    loop.run(story())


def test_a_peer_that_reads_nothing_is_closed_before_much_piles_up() -> None:
    async def story() -> None:
        net = SimNet(seed=3, window_bytes=16 * 1024)
        async with party(1, net) as (ann,):
            who = identity(2)
            await ann.trust.add_contact(who.peer, friend=True)
            deaf = await net.endpoint(who).connect(ann.address, 5)
            stream = await deaf.open()
            await stream.write(
                frame(wire.Hello(1, "deaf", b"n" * 32, b"r" * 8)) + frame(wire.Enter(wire.Profile("deaf")))
            )
            await until(lambda: ann.peers.session(who.peer) is not None)
            session = ann.peers.session(who.peer)
            assert session is not None
            for _ in range(100):
                session.tell(wire.Records(b"network", [b"x" * 4000] * 8, 1))
            assert not session.connected
            assert session._queued_bytes < 600_000
            await until(lambda: ann.peers.sessions() == [] and not net.connections, 5)

    loop.run(story())


def test_members_of_a_network_we_do_not_share_are_not_believed() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ours, _ = await friends(nodes)
            victim = identity(70).peer
            ours.tell(wire.Members(b"some network", [wire.Member(bytes(victim), None, ["10.0.0.9:1"])]))
            await asyncio.sleep(5)
            assert nodes[0].peers.addresses(victim).addresses == ()

    loop.run(story())


def test_a_liar_among_members_makes_us_dial_a_handful_of_times_and_no_more() -> None:
    """Addresses of machines that have nothing to do with us must not be pestered."""

    async def story() -> None:
        net = SimNet(seed=5)
        async with party(2, net) as (ann, eve):
            network = await ann.trust.create_network("club")
            await eve.trust.accept_invitation(await ann.trust.invite(network.key))
            session = await eve.peers.connect(ann.address)
            dialed: list[str] = []
            connect = ann.endpoint.connect

            async def counting(address, timeout):  # type: ignore[no-untyped-def]
                dialed.extend(address.addresses)
                return await connect(address, timeout)

            ann.endpoint.connect = counting  # type: ignore[method-assign]
            for number in range(100, 140):
                session.tell(
                    wire.Members(
                        network.key,
                        [
                            wire.Member(bytes(identity(number * 64 + n).peer), None, ["10.9.9.9:9"])
                            for n in range(64)
                        ],
                    )
                )
                await asyncio.sleep(1)
            await asyncio.sleep(3600)
            assert 0 < len(dialed) < 128 * 6 + 64
            assert ann.peers.session(eve.peer) is not None

    loop.run(story())


def test_records_nobody_asked_for_are_not_even_looked_at() -> None:
    async def story() -> None:
        async with party(2) as (ann, eve):
            network = await ann.trust.create_network("club")
            await eve.trust.accept_invitation(await ann.trust.invite(network.key))
            session = await eve.peers.connect(ann.address)
            await asyncio.sleep(10)
            merged = 0

            async def merge(*_: object) -> None:
                nonlocal merged
                merged += 1

            ann.trust.merge_records = merge  # type: ignore[assignment,method-assign]
            for _ in range(20):
                session.tell(wire.Records(network.key, [b"x" * 100] * 8, 99, True))
            await asyncio.sleep(10)
            assert merged == 0 and session.connected
            theirs = ann.peers.session(eve.peer)
            assert theirs is not None
            ann.peers._talk._lines[theirs].asked[network.key] = True  # now ann did ask, once
            for _ in range(20):
                session.tell(wire.Records(network.key, [b"x" * 100] * 8, 99, True))
            await asyncio.sleep(0.5)
            assert merged == 1, "one answer to one question"

    loop.run(story())


# -- in words


def test_who_was_told_goodbye_repeats_the_words_and_takes_no_blame() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ours, theirs = await friends(nodes)
            connection = ours._connection
            await theirs._control.write(frame(wire.Bye("this node is closing")))
            await until(lambda: ours.over is not None)
            assert ours.over == await connection.wait_closed() == "they said: this node is closing"
            with pytest.raises(ConnectionLost) as lost:
                await connection.open()
            assert "closed here" not in str(lost.value) and "this node is closing" in str(lost.value)

    loop.run(story())


def test_why_a_connection_is_relayed_is_said_in_words() -> None:
    relayed = Path("relayed", "https://relay.example", 0.05, True)
    assert "looking for a direct path" in why_path(relayed, 2.0, 0)
    assert "no direct path opened in 60 s" in why_path(relayed, 60.0, 0)
    assert why_path(Path("direct", "192.0.2.1:1", 0.05, True), 60.0, 0) == "direct"
    assert "2 of our last echoes" in why_path(relayed, 60.0, 2)
    assert "no path is in use" in why_path(None, 1.0, 0)


def test_why_somebody_is_not_connected_is_said_in_words() -> None:
    assert why_not(Attempts(1, False, "no path", 12.2, False)) == "not connected: no path; next try in 12 s"
    assert why_not(Attempts(1, False, "", 0.2, False)) == "not connected; next try now"
    assert "when it is needed" in why_not(Attempts(0, True, "", None, False))
    assert "no address is known" in why_not(Attempts(0, False, "", None, False))
    assert why_not(Attempts(1, True, "no path", None, True)) == "connecting now; before: no path"


# -- streams that stand


STAND, WORK = "stand/1", "work/1"


async def held(nodes: list[Node]) -> tuple[Session, Session]:
    """A session between two, each of which holds what is opened to `STAND` and `WORK`, past its first echoes."""

    async def hold(session: Session, stream: Stream) -> None:
        while await stream.read(1024):
            pass

    for one in nodes:
        one.peers.serve(STAND, hold, standing=True)
        one.peers.serve(WORK, hold)
    ours, theirs = await friends(nodes)
    await asyncio.sleep(20)
    return ours, theirs


def echoes(*sessions: Session) -> int:
    """How many they have sent."""
    return sum(session._pulse._number for session in sessions)


def test_a_stream_that_stands_costs_no_echoes_on_either_side() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ours, theirs = await held(nodes)
            counts = {}
            for name in ("none", STAND, WORK):
                before = echoes(ours, theirs)
                stream = None if name == "none" else await ours.open(name, standing=name == STAND)
                await asyncio.sleep(60)
                assert ours.busy == theirs.busy == (name == WORK)
                assert (ours.using, theirs.serving) == (0, 0) if stream is None else (1, 1)
                counts[name] = echoes(ours, theirs) - before
                if stream is not None:
                    await stream.reset()
                await asyncio.sleep(5)
                assert not (ours.using or theirs.serving or ours.busy or theirs.busy)
            assert counts[STAND] <= counts["none"] + 1 <= 14
            assert counts[WORK] >= 100, "each side asks once a second"

    loop.run(story())


def test_who_opens_and_who_serves_need_not_agree_on_what_stands() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ours, theirs = await held(nodes)
            stream = await ours.open(WORK, standing=True)
            await asyncio.sleep(5)
            assert not ours.busy and theirs.busy
            await stream.reset()
            await asyncio.sleep(5)
            stream = await ours.open(STAND)
            await asyncio.sleep(5)
            assert ours.busy and not theirs.busy
            await stream.reset()

    loop.run(story())


def test_a_session_is_idle_and_drained_only_without_any_stream_also_one_that_stands() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ours, theirs = await held(nodes)
            assert ours.idle_since is not None and theirs.idle_since is not None
            stream = await ours.open(STAND, standing=True)
            await asyncio.sleep(1)
            assert ours.idle_since is None and theirs.idle_since is None
            ours.retire()
            await asyncio.sleep(60)
            assert ours.connected, "its stream loses nothing"
            await stream.reset()
            await until(lambda: not ours.connected, 5)

    loop.run(story())


@pytest.mark.parametrize("asked", [False, True])
def test_a_silent_peer_is_noticed_soon_while_an_answer_is_expected(asked: bool) -> None:
    async def story() -> None:
        net = SimNet(seed=9)
        async with party(2, net) as nodes:
            ours, _ = await held(nodes)
            await ours.open(STAND, standing=True)
            while ours._pulse.next_tick() - asyncio.get_running_loop().time() < 4.9:  # it has just answered
                await asyncio.sleep(0.05)
            net.partition([nodes[0].endpoint], [nodes[1].endpoint])
            began = asyncio.get_running_loop().time()
            if asked:
                ours.expects()
            await until(lambda: not ours.connected, 10)
            took = asyncio.get_running_loop().time() - began
            assert took < 3.6 if asked else 6.0 < took < 9.0

    loop.run(story())


def test_the_paths_are_looked_at_by_the_clock_and_not_for_every_stream() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ours, _ = await held(nodes)
            looks, paths = 0, ours._connection.paths

            def counting():  # type: ignore[no-untyped-def]
                nonlocal looks
                looks += 1
                return paths()

            ours._connection.paths = counting  # type: ignore[method-assign]
            await asyncio.sleep(60)
            assert 10 <= looks <= 26, "once in observe_every, and with echoes"
            looks = 0
            for _ in range(600):
                stream = await ours.open(WORK)
                await stream.reset()
                await asyncio.sleep(0.1)
            assert 50 <= looks <= 150, "once in observe_busy, and with echoes"

    loop.run(story())
