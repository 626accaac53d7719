"""The attacker of test_fuzz, in a process of its own: `python -m tests.scenarios.fuzzer KEY ADDRESS SECONDS SEED`.

Prints how many connections it made. Strangers with random bytes, and one friend whose program is broken.
"""

from __future__ import annotations

import asyncio
import random
import sys

from servent.codec import frame
from servent.errors import ServentError
from servent.identity import PeerId
from servent.net import endpoint, wire
from servent.net.links import Connection, PeerAddress
from tests.net.party import Node, identity

STRANGERS = 4
TRAITOR = identity(3003)

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
    """A stranger's connection."""
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


async def torment_inside(node: Node, address: PeerAddress, dice: random.Random) -> None:
    """The same after a proper hello; the more harmless things go first."""
    session = await node.peers.connect(address, timeout=5)
    connection = session._connection
    for number in range(dice.randint(1, 200)):
        match dice.randrange(6):
            case 0 if number > 20:
                await session._control.write(nonsense(dice))
            case 1:
                stream = await connection.open()
                await stream.write(nonsense(dice))
            case 2:
                connection.send_datagram(bytes([dice.randrange(4)]) + dice.randbytes(dice.randint(0, 1000)))
            case 3:
                stream = await connection.open()
                await stream.write(frame(wire.Open("echo/1")) + dice.randbytes(20_000))
            case _:
                session.tell(dice.choice(MESSAGES[2:14]))  # type: ignore[arg-type]
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    await session.close("done")


async def main(victim: PeerAddress, seconds: float, seed: int) -> int:
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    visits = 0

    async def stranger(number: int) -> None:
        nonlocal visits
        dice = random.Random(seed + number)
        while clock() < end:
            enemy = await endpoint.bind(identity(dice.randrange(2**60)), bind=["127.0.0.1:0"])
            for _ in range(10):
                try:
                    connection = await enemy.connect(victim, 3)
                    visits += 1
                    await torment(connection, dice)
                    await connection.close()
                except ServentError:
                    continue
            await enemy.close()

    async def traitor() -> None:
        nonlocal visits
        dice = random.Random(seed - 1)
        bad = await Node(TRAITOR, await endpoint.bind(TRAITOR, bind=["127.0.0.1:0"])).start()
        await bad.trust.add_contact(victim.peer, friend=True)
        while clock() < end:
            try:
                await torment_inside(bad, victim, dice)
                visits += 1
            except ServentError:
                await asyncio.sleep(0.2)
        await bad.stop()

    async with asyncio.TaskGroup() as tasks:
        for number in range(STRANGERS):
            tasks.create_task(stranger(number))
        tasks.create_task(traitor())
    return visits


if __name__ == "__main__":
    key, address, seconds, seed = sys.argv[1:]
    print(asyncio.run(main(PeerAddress(PeerId.parse(key), None, (address,)), float(seconds), int(seed))))
