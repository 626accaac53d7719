"""Random and mutated bytes against a live node over real iroh: it keeps serving, and its memory stays flat.

Runs 10 s, or as many as SERVENT_FUZZ_SECONDS says.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random

import psutil
import pytest

from servent.codec import frame
from servent.errors import ServentError
from servent.net import endpoint, hello, wire
from servent.net.gate import GateSettings
from servent.net.links import Connection
from servent.net.settings import PeersSettings
from tests.net.party import Node, befriend, identity, read_all

SECONDS = float(os.environ.get("SERVENT_FUZZ_SECONDS", "10"))
ATTACKERS = 4
FLAT_BYTES = 24 * 1024 * 1024  # growth after the first third of the run; iroh's own buffers come and go

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(SECONDS * 2 + 90)]

MESSAGES = (
    wire.Hello(1, "x", b"n" * 32, b"r" * 8, [b"x" * 512] * 16, b"c" * 32, b"l" * 8),
    wire.Enter(wire.Profile("eve", bulk=wire.Bulk(["192.0.2.1:1"], b"c" * 32)), "[2001:db8::1]:1"),
    wire.Observed("192.0.2.1:443"),
    wire.Look(),
    wire.Echo(7),
    wire.EchoReply(2**32),
    wire.Here("https://relay.example", ["192.0.2.1:1"] * 16),
    wire.Members(b"n" * 32, [wire.Member(b"p" * 32, "https://relay.example", ["192.0.2.1:1"])] * 64),
    wire.Channel("echo/1", 3),
    wire.Prove(b"n" * 32, [b"x" * 512] * 16),
    wire.Proven(b"n" * 32, [b"x" * 512]),
    wire.AskRecords(b"n" * 32, 2**61),
    wire.Records(b"n" * 32, [b"record" * 100] * 20, 7, True),
    wire.Fresh(b"n" * 32),
    wire.Open("echo/1"),
    wire.Open("no such service"),
)


def nonsense(dice: random.Random) -> bytes:
    """A whole message, a mutated one, a lying length, or noise."""
    match dice.randrange(6):
        case 0:
            return frame(dice.choice(MESSAGES))
        case 1 | 2:
            data = bytearray(frame(dice.choice(MESSAGES)))
            for _ in range(dice.randint(1, 6)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            return bytes(data)
        case 3:
            return dice.randrange(2**32).to_bytes(4, "big") + dice.randbytes(dice.randint(0, 2000))
        case 4:
            body = dice.randbytes(dice.randint(0, 200))
            return len(body).to_bytes(4, "big") + body
        case _:
            return dice.randbytes(dice.randint(1, 70_000))


async def torment(connection: Connection, dice: random.Random) -> None:
    """One connection's worth of bad manners."""
    first = await connection.open()
    if dice.random() < 0.5:
        await first.write(nonsense(dice))
    else:
        await first.write(frame(wire.Hello(1, "fuzz", dice.randbytes(32), dice.randbytes(8))))
    for _ in range(dice.randint(1, 60)):
        match dice.randrange(5):
            case 0:
                await first.write(nonsense(dice))
            case 1 | 2:
                stream = await connection.open()
                await stream.write(nonsense(dice))
                if dice.random() < 0.5:
                    await stream.finish()
                elif dice.random() < 0.5:
                    await stream.reset(dice.randrange(2**16))
            case 3:
                connection.send_datagram(dice.randbytes(dice.randint(0, 1000)))
            case _:
                await asyncio.sleep(dice.random() * 0.02)


async def torment_inside(node: Node, victim: Node, dice: random.Random) -> None:
    """The same by somebody who was let in: a friend with a broken program."""
    session = await node.peers.connect(victim.address, timeout=5)
    connection = session._connection
    for _ in range(dice.randint(1, 200)):
        match dice.randrange(5):
            case 0:
                await session._control.write(nonsense(dice))
            case 1 | 2:
                stream = await connection.open()
                await stream.write(nonsense(dice))
            case 3:
                connection.send_datagram(bytes([dice.randrange(4)]) + dice.randbytes(dice.randint(0, 1000)))
            case _:
                session.tell(dice.choice(MESSAGES[2:14]))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    await session.close("done")


def test_a_live_node_shrugs_off_random_bytes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "servent")
    seed = random.randrange(2**32)
    print(f"seed {seed}")

    async def story() -> tuple[int, int, list[int]]:
        settings = PeersSettings(
            hello=1.0, gate=GateSettings(source_rate=200.0, source_burst=400.0, ban=0.5, strikes=10.0)
        )
        who, friend_id = identity(3001), identity(3002)
        node = await Node(who, await endpoint.bind(who, bind=["127.0.0.1:0"]), settings).start()
        friend = await Node(friend_id, await endpoint.bind(friend_id, bind=["127.0.0.1:0"])).start()
        await befriend(node, friend)
        await friend.peers.connect(node.address)
        visits = served = 0
        memory: list[int] = []
        process = psutil.Process()
        clock = asyncio.get_running_loop().time
        end = clock() + SECONDS

        async def stranger(number: int) -> None:
            nonlocal visits
            dice = random.Random(seed + number)
            while clock() < end:
                enemy = await endpoint.bind(identity(dice.randrange(2**60)), bind=["127.0.0.1:0"])
                for _ in range(10):
                    try:
                        connection = await enemy.connect(node.address, 3)
                        visits += 1
                        await torment(connection, dice)
                        await connection.close()
                    except ServentError:
                        continue
                await enemy.close()

        async def traitor() -> None:
            nonlocal visits
            dice = random.Random(seed - 1)
            who = identity(3003)
            bad = await Node(who, await endpoint.bind(who, bind=["127.0.0.1:0"])).start()
            await befriend(node, bad)
            while clock() < end:
                try:
                    visits += 1
                    await torment_inside(bad, node, dice)
                except ServentError:
                    await asyncio.sleep(0.2)
            await bad.stop()

        async def good_friend() -> None:
            nonlocal served
            while clock() < end:
                assert await friend.asks(node, os.urandom(5000)) is not None
                served += 1
                await asyncio.sleep(0.02)

        async def weigh() -> None:
            while clock() < end:
                await asyncio.sleep(SECONDS / 12)
                gc.collect()
                memory.append(process.memory_info().rss)

        async with asyncio.TaskGroup() as tasks:
            for number in range(ATTACKERS):
                tasks.create_task(stranger(number))
            tasks.create_task(traitor())
            tasks.create_task(good_friend())
            tasks.create_task(weigh())
        session = friend.peers.session(node.peer)
        assert session is not None and clock() - session.since > SECONDS * 0.9, "the friend was cut off"

        # a stranger still hears exactly the one polite refusal
        enemy = await endpoint.bind(identity(3009), bind=["127.0.0.1:0"])
        connection = await enemy.connect(node.address, 5)
        stream = await connection.open()
        await stream.write(frame(wire.Hello(1, "x", b"n" * 32, b"r" * 8)))
        assert await read_all(stream) == frame(hello.REFUSAL)
        await enemy.close()
        await friend.stop()
        await node.stop()
        return visits, served, memory

    visits, served, memory = asyncio.run(story())
    third = len(memory) // 3
    growth = max(memory[-third:]) - max(memory[: third + 1])
    print([size >> 20 for size in memory], len(caplog.records))
    print(f"{visits} visits, {served} requests served beside them, memory grew {growth / 2**20:.1f} MiB")
    assert visits > 10 * SECONDS and served > 5 * SECONDS
    assert growth < FLAT_BYTES, [size >> 20 for size in memory]
    bugs = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert not bugs, bugs[0].getMessage()
    lines = [record for record in caplog.records if record.name.startswith("servent.net")]
    assert len(lines) < 60 * SECONDS, "refusals are logged by rate, not one by one"
