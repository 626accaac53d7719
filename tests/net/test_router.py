"""Streams and services: who gets in, how many, and whose mistake ends what."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from servent.codec import frame
from servent.errors import BadMessage, ConnectionLost, DiskTrouble, Refused, UsageError
from servent.net import wire
from servent.net.gate import GateSettings
from servent.net.links import Stream
from servent.net.router import RouterSettings
from servent.net.session import Session
from servent.net.settings import PeersSettings
from servent.testing import loop
from tests.net.party import Node, befriend, party, read_all, until


async def friends(nodes: list[Node]) -> tuple[Node, Node, Session]:
    ann, bob = nodes
    await befriend(ann, bob)
    session = await bob.peers.connect(ann.address)
    await until(lambda: ann.peers.session(bob.peer) is not None)
    return ann, bob, session


def test_what_does_not_exist_and_what_is_not_granted_sound_the_same() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ann, bob, _ = await friends(nodes)
            ann.peers.serve("private/1", never, audience="nobody")
            words = []
            for service in ("private/1", "no such thing"):
                stream = await bob.peers.open(ann.peer, service)
                with pytest.raises(Refused) as refused:
                    await stream.read(1)
                words.append(str(refused.value).replace(service, "it"))
            assert words[0] == words[1]
            assert "not offered to you" in words[0]

    loop.run(story())


async def never(session: Session, stream: Stream) -> None:
    raise AssertionError("not to be reached")


def test_writing_into_a_denied_stream_says_refused_too() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ann, bob, _ = await friends(nodes)
            stream = await bob.peers.open(ann.peer, "nothing/1")
            with pytest.raises(Refused):
                while True:
                    await stream.write(bytes(65536))

    loop.run(story())


def test_a_block_closes_the_connection_and_a_grant_taken_back_the_next_stream() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ann, bob, session = await friends(nodes)
            await ann.trust.grant("echo/1", "nobody")
            with pytest.raises(Refused):
                await bob.asks(ann)
            assert session.connected
            await ann.trust.grant("echo/1", "friends")
            assert await bob.asks(ann) == b"hello"
            await ann.trust.block(bob.peer)
            await until(lambda: not session.connected, 2)
            assert ann.peers.session(bob.peer) is None
            with pytest.raises(Refused):
                await bob.peers.connect(ann.address)

    loop.run(story())


def test_a_name_is_served_once() -> None:
    async def story() -> None:
        async with party(1) as (ann,):
            with pytest.raises(UsageError):
                ann.peers.serve("echo/1", never)
            with pytest.raises(UsageError):
                ann.peers.serve("x" * 65, never)
            with pytest.raises(UsageError):
                ann.peers.serve("other/1", never, audience="anybody at all")
            ann.peers.withdraw("echo/1")
            ann.peers.serve("echo/1", never)

    loop.run(story())


@pytest.mark.parametrize("error", [BadMessage("nonsense"), ConnectionLost("gone"), DiskTrouble("full")])
def test_a_mistake_of_a_handler_ends_its_stream_alone(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ann, bob, session = await friends(nodes)

            async def fail(session: Session, stream: Stream) -> None:
                await stream.read(1)
                raise error

            ann.peers.serve("fail/1", fail)
            stream = await session.open("fail/1")
            await stream.write(b"x")
            if not isinstance(error, ConnectionLost):
                with pytest.raises(ConnectionLost):
                    await read_all(stream)
            assert await bob.asks(ann) == b"hello"
            assert session.connected

    loop.run(story())
    assert not [record for record in caplog.records if record.exc_info]


def test_a_bug_in_a_handler_is_loud_and_ends_its_stream_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ann, bob, session = await friends(nodes)

            async def bug(session: Session, stream: Stream) -> None:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(explode())

            async def explode() -> None:
                raise KeyError("our own bug")

            ann.peers.serve("bug/1", bug)
            stream = await session.open("bug/1")
            with pytest.raises(ConnectionLost):
                await read_all(stream)
            assert await bob.asks(ann) == b"hello"
            assert session.connected

    loop.run(story())
    assert "our own bug" in caplog.text and "Traceback" in caplog.text


def test_one_service_cannot_take_all_streams_of_a_peer() -> None:
    settings = PeersSettings(router=RouterSettings(streams=10, share=6))

    async def story() -> None:
        async with party(2, settings=settings) as nodes:
            ann, bob, session = await friends(nodes)
            entered = 0

            async def hold(session: Session, stream: Stream) -> None:
                nonlocal entered
                entered += 1
                await stream.read(1)

            ann.peers.serve("hold/1", hold)
            streams = [await session.open("hold/1") for _ in range(6)]
            await until(lambda: entered == 6)
            with pytest.raises(Refused, match="too many at once"):
                await (await session.open("hold/1")).read(1)
            assert await bob.asks(ann) == b"hello"  # there is room for others
            more = [await session.open("echo/1") for _ in range(4)]
            for stream in more:
                await stream.write(b"x")
                assert await stream.read(1) == b"x"
            with pytest.raises(ConnectionLost):
                await (await session.open("echo/1")).read(1)  # the eleventh of all
            for stream in (*streams, *more):
                await stream.finish()
            for stream in (*streams, *more):
                assert await stream.read(1) == b""
            assert await bob.asks(ann) == b"hello"
            assert session.connected

    loop.run(story())


def test_a_flood_of_streams_ends_the_connection_and_keeps_the_peer_out_for_a_while() -> None:
    async def story() -> None:
        async with party(3) as nodes:
            ann, bob, session = await friends(nodes[:2])
            await befriend(ann, nodes[2])
            await nodes[2].peers.connect(ann.address)
            streams = []
            with pytest.raises(ConnectionLost):
                for _ in range(5000):
                    streams.append(await session.open("echo/1"))
                    await asyncio.sleep(0)
                await asyncio.sleep(1)
                await session.open("echo/1")
            assert ann.peers.session(bob.peer) is None
            with pytest.raises(ConnectionLost):
                await bob.peers.connect(ann.address)
            assert await nodes[2].asks(ann) == b"hello"  # nobody else felt it
            await asyncio.sleep(GateSettings().ban + 1)
            await bob.peers.connect(ann.address)
            assert await bob.asks(ann) == b"hello"

    loop.run(story())


def test_a_stream_that_never_says_what_it_is_for_is_reset_after_five_seconds() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            _, _, session = await friends(nodes)
            raw = await session._connection.open()
            await raw.write(b"\x00\x00")
            began = asyncio.get_running_loop().time()
            with pytest.raises(ConnectionLost):
                await raw.read(1)
            assert 4.9 < asyncio.get_running_loop().time() - began < 5.2

    loop.run(story())


@pytest.mark.parametrize("seed", range(8))
def test_garbage_on_streams_datagrams_and_control_harms_only_who_sends_it(seed: int) -> None:
    async def story() -> None:
        dice = random.Random(seed)
        async with party(3) as nodes:
            ann, eve, good = nodes[0], nodes[1], nodes[2]
            await befriend(ann, eve)
            await befriend(ann, good)
            await good.peers.connect(ann.address)
            for _ in range(12):
                try:
                    session = await eve.peers.connect(ann.address, timeout=100)
                    for _ in range(dice.randint(1, 12)):
                        await mischief(session, dice)
                    await asyncio.sleep(dice.random())
                except (ConnectionLost, Refused):
                    await asyncio.sleep(20)
            assert await good.asks(ann) == b"hello"
            assert ann.peers.session(good.peer).since < 1.0  # type: ignore[union-attr]

    loop.run(story())


async def mischief(session: Session, dice: random.Random) -> None:
    connection = session._connection
    match dice.randrange(6):
        case 0:
            connection.send_datagram(dice.randbytes(dice.randint(0, 1000)))
        case 1:
            stream = await connection.open()
            await stream.write(dice.randbytes(dice.randint(1, 300)))
        case 2:
            stream = await connection.open()
            await stream.write((1 << 31).to_bytes(4, "big"))
        case 3:
            await session._control.write(dice.randbytes(dice.randint(1, 100)))
        case 4:
            session.tell(
                wire.Members(dice.randbytes(32), [wire.Member(dice.randbytes(32), None, ["1.2.3.4:5"])])
            )
        case _:
            await session._control.write(frame(wire.Records(b"n" * 32, [b"r"], 1)) * dice.randint(1, 40))


def test_refusals_are_logged_by_rate_and_not_per_stream(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "servent.net")

    async def story() -> None:
        async with party(2) as nodes:
            _, _, session = await friends(nodes)
            for _ in range(60):
                stream = await session.open("nothing/1")
                with pytest.raises(Refused):
                    await stream.read(1)

    loop.run(story())
    assert 1 <= sum("asked for what it is not offered" in line for line in caplog.messages) <= 3


# -- datagrams


def test_datagrams_reach_the_channel_of_their_service() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ann, bob, session = await friends(nodes)
            ann.peers.serve("game/1", never, audience="friends")
            theirs = ann.peers.session(bob.peer)
            assert theirs is not None
            ours, there = session.channel("game/1"), theirs.channel("game/1")
            bob.peers.serve("game/1", never, audience="friends")
            ours.send(b"first")
            ours.send(b"second")
            assert sorted([await there.receive(), await there.receive()]) == [b"first", b"second"]
            there.send(b"back")
            assert await ours.receive() == b"back"
            assert ours.max_bytes > 1000
            with pytest.raises(UsageError):
                ours.send(bytes(ours.max_bytes + 1))

    loop.run(story())


def test_datagrams_of_a_service_that_is_not_granted_are_dropped() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ann, bob, session = await friends(nodes)
            ann.peers.serve("game/1", never, audience="nobody")
            theirs = ann.peers.session(bob.peer)
            assert theirs is not None
            session.channel("game/1").send(b"let me in")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5):
                    await theirs.channel("game/1").receive()

    loop.run(story())


def test_a_full_channel_drops_the_oldest() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ann, bob, session = await friends(nodes)
            ann.peers.serve("game/1", never)
            theirs = ann.peers.session(bob.peer)
            assert theirs is not None
            there = theirs.channel("game/1")
            for number in range(1000):
                session.channel("game/1").send(number.to_bytes(2, "big"))
                await asyncio.sleep(0.001)
            await asyncio.sleep(1)
            assert there.dropped > 700
            left = [int.from_bytes(await there.receive(), "big") for _ in range(256)]
            assert min(left) > 600

    loop.run(story())


def test_a_channel_ends_with_its_session() -> None:
    async def story() -> None:
        async with party(2) as nodes:
            ann, _, session = await friends(nodes)
            channel = session.channel("game/1")
            await ann.peers.close()
            assert [data async for data in channel] == []
            with pytest.raises(ConnectionLost):
                channel.send(b"too late")

    loop.run(story())
