"""Those who attack a whole node in `fuzz`: `python -m tests.scenarios.attackers ROLE PLAN`, PLAN in JSON.

Roles: "strangers" (unknown keys), "members" (of a network, and friends by ticket, all with a broken or evil
program), "tcp" (whoever reaches the bulk lane's, the relay's and the API's ports). Each prints what it did, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import ssl
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from servent.blobs import wire as blobs
from servent.codec import Decoder, frame
from servent.errors import ServentError
from servent.identity import Identity, PeerId
from servent.net import endpoint, ticket, wire
from servent.net.links import PeerAddress, Stream
from servent.net.session import Session
from servent.overlay import wire as overlay
from tests.net.party import Node, identity
from tests.scenarios import overlay_attacks, sharing_attacks
from tests.scenarios.fuzzer import MESSAGES, nonsense, torment

STRANGERS, MEMBERS, TCP = 4, 4, 12  # tasks of each role

BLOB_MESSAGES = (
    blobs.GetInfo(),
    blobs.GetLayers([b"r" * 32] * 256),
    blobs.GetHave(),
    blobs.Interested(True),
    blobs.Interested(False),
    blobs.GetToken(),
    blobs.Bye("x" * 200),
    blobs.Want(b"i" * 32),
    blobs.Lane(b"t" * 32),
    blobs.Ask(1, 0, 4096),
    blobs.Ask(2**32 - 1, 1 << 24, 1),
    blobs.Forget(1),
    blobs.Give(1, 0, 1, 1 << 32),
    blobs.Has([(0, 1 << 24)] * 512),
    blobs.Body("info", 1 << 26),
)


@dataclass(frozen=True)
class Plan:
    """What the attackers are told.

    Attributes:
        key, address: of the victim.
        invitation, ticket: that let members and friends in.
        shares: infohashes, hex.
        ports: "bulk", "relay", "api".
    """

    key: str
    address: str
    invitation: str
    ticket: str
    shares: list[str]
    ports: dict[str, int]
    seconds: float
    seed: int

    @property
    def victim(self) -> PeerAddress:
        return PeerAddress(PeerId.parse(self.key), None, (self.address,))


def bent(dice: random.Random, message: object) -> bytes:
    """A message, or one with a few wrong bytes."""
    data = bytearray(frame(message))  # type: ignore[arg-type]
    if dice.random() < 0.4:
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data)


class Attack:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.clock = asyncio.get_running_loop().time
        self.end = self.clock() + plan.seconds
        self.done: Counter[str] = Counter()
        self.tokens: list[bytes] = []  # of the bulk lane, for whoever wants to misuse them

    async def repeat(self, number: int, what: Callable[[random.Random], Awaitable[None]]) -> None:
        dice = random.Random(self.plan.seed * 1000 + number)
        while self.clock() < self.end:
            try:
                async with asyncio.timeout_at(self.end + 1.0):
                    await what(dice)
            except (ServentError, OSError, TimeoutError, asyncio.IncompleteReadError):
                self.done["turned away"] += 1
                await asyncio.sleep(0.02)

    # strangers

    async def stranger(self, dice: random.Random) -> None:
        enemy = await endpoint.bind(identity(dice.randrange(2**60)), bind=["127.0.0.1:0"])
        try:
            for _ in range(10):
                if self.clock() >= self.end:
                    return
                connection = await enemy.connect(self.plan.victim, 3)
                self.done["connections"] += 1
                await torment(connection, dice)
                await connection.close()
        finally:
            await enemy.close()

    # members

    async def member(self, dice: random.Random) -> None:
        """One evil member or friend: let in with good papers, then anything."""
        who = identity(dice.randrange(2**100))
        node = Node(who, await endpoint.bind(who, bind=["127.0.0.1:0"]))
        node.wall = time.time()
        sharing_attacks.answer_badly(node, dice, self.done)
        node.peers.serve(overlay.SERVICE, overlay_attacks.listen, audience="everyone")
        await node.start()
        try:
            friend = dice.random() < 0.3
            given = ticket.decode(self.plan.ticket if friend else self.plan.invitation)
            if given.invitation is not None:
                await node.trust.accept_invitation(given.invitation)
            else:
                await node.trust.add_contact(self.plan.victim.peer, friend=True)
            session = await node.peers.connect(self.plan.victim, secret=given.secret, timeout=5)
            self.done["friends let in" if friend else "members let in"] += 1
            for _ in range(dice.randint(1, 12)):
                await self.evil(session, dice, who)
        finally:
            await node.stop()

    async def evil(self, session: Session, dice: random.Random, who: Identity) -> None:
        self.done["acts of members"] += 1
        connection = session._connection
        match dice.randrange(16):
            case 0:
                for _ in range(dice.randint(1, 20)):
                    session.tell(dice.choice(MESSAGES[2:14]))  # type: ignore[arg-type]
            case 1 if dice.random() < 0.3:
                await session._control.write(nonsense(dice))
            case 2:
                for _ in range(dice.randint(1, 100)):
                    connection.send_datagram(
                        bytes([dice.randrange(4)]) + dice.randbytes(dice.randint(0, 900))
                    )
            case 3:
                stream = await connection.open()
                await stream.write(frame(wire.Open(blobs.SERVICE)) + bent(dice, dice.choice(BLOB_MESSAGES)))
                if dice.random() < 0.5:
                    await stream.write(nonsense(dice))
                if dice.random() < 0.5:
                    await stream.reset(dice.randrange(2**16))
            case 4 | 5 | 6:
                await self.fetch_badly(session, dice)
            case 7 | 8 | 9 | 10:
                await sharing_attacks.ask(session, dice, bent, self.done)
            case 11 | 12 | 13:
                await overlay_attacks.speak(session, dice, who, self.done)
            case 14:
                await overlay_attacks.ask_for_blocks(session, dice, self.done)
            case _:
                stream = await connection.open()
                await stream.write(nonsense(dice))
        await asyncio.sleep(dice.random() * 0.05)

    async def fetch_badly(self, session: Session, dice: random.Random) -> None:
        """Begins like a good fetcher, and goes on like none."""
        stream = await session.open(blobs.SERVICE)
        await stream.write(frame(blobs.Want(bytes.fromhex(dice.choice(self.plan.shares)))))
        await stream.write(frame(blobs.GetInfo()) + frame(blobs.Interested(True)) + frame(blobs.GetToken()))
        lanes: list[Stream] = []
        reader: Decoder[blobs.FromServer] = blobs.read_from_server
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5 + dice.random()):
                while len(lanes) < 12:
                    match await reader.read(stream):
                        case blobs.Body(_, size):
                            await stream.read_exactly(size)
                        case blobs.BulkToken(token):
                            self.tokens.append(token)
                        case blobs.Slot(key):
                            for _ in range(dice.randint(1, 12)):
                                lane = await session.open(blobs.SERVICE)
                                await lane.write(frame(blobs.Lane(key)))
                                lanes.append(lane)
        for lane in lanes:
            self.done["lanes"] += 1
            with contextlib.suppress(ServentError):
                for number in range(dice.randint(1, 40)):
                    ask = blobs.Ask(number, dice.randrange(20), dice.randint(1, 30))
                    await lane.write(bent(dice, ask) if dice.random() < 0.2 else frame(ask))
        for token in self.tokens[-3:]:
            await self.bulk_lane(dice, token)
        for _ in range(dice.randint(0, 20)):
            await stream.write(bent(dice, dice.choice(BLOB_MESSAGES)))
        if dice.random() < 0.5:
            await stream.reset()

    # whoever reaches a TCP port

    async def bulk_lane(self, dice: random.Random, token: bytes = b"") -> None:
        self.done["bulk connections"] += 1
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        raw = dice.random() < 0.4 and not token
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.plan.ports["bulk"], ssl=None if raw else context
            )
            try:
                if raw:
                    writer.write(dice.choice((b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.0\r\n\r\n")))
                    writer.write(dice.randbytes(dice.choice((0, 10, 40_000))))
                else:
                    writer.write(frame(blobs.Lane(token or dice.randbytes(32))))
                    for _ in range(dice.randint(0, 60)):
                        writer.write(bent(dice, blobs.Ask(dice.randrange(9), dice.randrange(20), 30)))
                await asyncio.sleep(dice.random() * 0.3)
                await reader.read(dice.choice((0, 1, 100_000)))
            finally:
                writer.transport.abort()

    async def relay(self, dice: random.Random) -> None:
        self.done["relay connections"] += 1
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.plan.ports["relay"])
            try:
                if dice.random() < 0.7:
                    writer.write(
                        b"GET /relay HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                        b"Sec-WebSocket-Protocol: iroh-relay-v1\r\n\r\n"
                    )
                    await reader.readuntil(b"\r\n\r\n")
                    for _ in range(dice.randint(1, 30)):
                        body = dice.randbytes(dice.randint(0, 120))
                        opcode = dice.choice((0x82, 0x82, 0x82, 0x02, 0x00, 0x81, 0x89, 0xFF))
                        writer.write(bytes((opcode, 0x80 | len(body))) + bytes(4) + body)
                else:
                    writer.write(dice.choice((b"GET /", b"POST /relay HTTP/1.1\r\n", b"\x00")))
                    writer.write(dice.randbytes(dice.choice((0, 100, 100_000))))
                await asyncio.sleep(dice.random() * 0.1)
                await reader.read(dice.choice((0, 1000)))
            finally:
                writer.transport.abort()

    async def api(self, dice: random.Random) -> None:
        self.done["API requests"] += 1
        port = self.plan.ports["api"]
        method = dice.choice(("GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "FUZZ", "GET"))
        path = dice.choice(
            ("/api/v1/status", "/api/v1/events", "//api/v1/status", "/api/v1/%2e%2e/status", "/login?code=")
        ) + dice.choice(("", "x" * 3000, "%00", "/../../../etc/passwd", "?a=%ff&" * 50))
        host = dice.choice((f"127.0.0.1:{port}", f"127.0.0.1:{port}", "evil.example", f"localhost:{port}"))
        head = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        if dice.random() < 0.5:
            head.append(f"Authorization: Bearer {dice.randbytes(32).hex()}")
        if dice.random() < 0.3:
            head += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
            head.append("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        if dice.random() < 0.2:
            head += [f"X-{number}: {'y' * 200}" for number in range(dice.choice((10, 2000)))]
        if dice.random() < 0.3:
            head.append(f"Content-Length: {dice.choice(('5', '-1', '99999999999', 'x'))}")
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                data = "\r\n".join(head).encode() + b"\r\n\r\n" + dice.randbytes(dice.randint(0, 50))
                if dice.random() < 0.2:
                    data = dice.randbytes(dice.choice((5, 500, 200_000)))
                writer.write(data[: dice.randrange(len(data) + 1)] if dice.random() < 0.2 else data)
                await asyncio.sleep(dice.random() * 0.1)
                await reader.read(dice.choice((0, 1000)))
            finally:
                writer.transport.abort()


async def attack(role: str, plan: Plan) -> dict[str, int]:
    it = Attack(plan)
    crowd: list[Callable[[random.Random], Awaitable[None]]]
    match role:
        case "strangers":
            crowd = [it.stranger] * STRANGERS
        case "members":
            crowd = [it.member] * MEMBERS
        case _:
            crowd = [it.bulk_lane, it.relay, it.api] * (TCP // 3)
    async with asyncio.TaskGroup() as tasks:
        for number, what in enumerate(crowd):
            tasks.create_task(it.repeat(number, what))
    return dict(it.done)


if __name__ == "__main__":
    done = asyncio.run(attack(sys.argv[1], Plan(**json.loads(sys.argv[2]))))
    print(json.dumps(done), flush=True)
    os._exit(0)  # what an attacker leaves behind is nobody's business
