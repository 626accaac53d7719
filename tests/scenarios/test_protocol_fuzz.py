"""The relay's and the API's protocols without sockets: thousands of bent beginnings a second, and nothing is raised.

Runs 2 s each, or as many as SERVENT_FUZZ_SECONDS says.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from uvicorn.server import ServerState

from servent.api.http_server import HttpServer, Patient
from servent.net.relay.core import RelayCore
from servent.net.relay.pkarr_store import PkarrStore
from servent.net.relay.server import _Connection
from servent.net.relay.settings import RelaySettings
from tests.api.test_guard import build

SECONDS = float(os.environ.get("SERVENT_FUZZ_SECONDS", "2"))
HAND = (
    b"GET /%b HTTP/1.1\r\nHost: 127.0.0.1:7700\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%b\r\n"
)
PATHS = (b"relay", b"api/v1/events", b"login", b"x\xff")
MORE = (
    b"Sec-WebSocket-Protocol: iroh-relay-v1\r\n",
    b"Authorization: Bearer " + b"t" * 43 + b"\r\n",
    b"X: \xff\xfe\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
)
PLAIN = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:7700\r\n\r\n",
    b"POST /api/v1/shares HTTP/1.1\r\nHost: 127.0.0.1:7700\r\nContent-Length: 5\r\n\r\nabc",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    b"PUT /pkarr/" + b"y" * 52 + b" HTTP/1.1\r\nContent-Length: 80\r\n\r\n" + bytes(80),
    b"PUT /pkarr/" + b"y" * 52 + b" HTTP/1.1\r\nContent-Length: 1105\r\n\r\n",
    b"GET /pkarr/" + b"o" * 52 + b" HTTP/1.1\r\n\r\n",
)
OPCODES = (0x82, 0x82, 0x02, 0x00, 0x80, 0x81, 0x88, 0x89, 0x8A, 0xFF, 0xC2)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 180)]


class Wire(asyncio.Transport):
    """A transport that takes everything and keeps nothing."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 7700)})
        self.closing = False
        self.protocol: Any = None

    def write(self, data: Any) -> None:
        assert isinstance(data, bytes | bytearray | memoryview)

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


def beginning(dice: random.Random) -> list[bytes]:
    """What somebody sends first, in pieces."""
    parts: list[bytes] = []
    kind = dice.random()
    if kind < 0.6:
        hand = bytearray(HAND % (dice.choice(PATHS), dice.choice(MORE)))
        if dice.random() < 0.3:
            for _ in range(dice.randint(1, 4)):
                hand[dice.randrange(len(hand))] = dice.randrange(256)
        parts.append(bytes(hand))
        for _ in range(dice.randint(0, 20)):
            body = dice.randbytes(dice.choice((0, 1, 33, 40, 120)))
            mask = 0x80 if dice.random() < 0.95 else 0
            parts.append(bytes((dice.choice(OPCODES), mask | len(body))) + bytes(4) + body)
    elif kind < 0.8:
        parts += [dice.choice(PLAIN) * dice.randint(1, 3), dice.randbytes(dice.choice((0, 20, 5000)))]
    else:
        parts.append(dice.randbytes(dice.choice((1, 50, 5000, 100_000))))
    if dice.random() < 0.5:
        return parts
    whole = b"".join(parts)
    cuts = sorted(dice.randrange(len(whole) + 1) for _ in range(dice.randint(0, 8)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


async def torment(make: Callable[[], Any], dice: random.Random) -> int:
    clock = asyncio.get_running_loop().time
    end, visits = clock() + SECONDS, 0
    while clock() < end:
        visits += 1
        wire = Wire()
        wire.protocol = make()
        wire.protocol.connection_made(wire)
        for piece in beginning(dice):
            if wire.closing and dice.random() < 0.9:
                break
            wire.protocol.data_received(piece)
            if dice.random() < 0.2:
                await asyncio.sleep(0)
        if dice.random() < 0.3:
            wire.protocol.eof_received()
        wire.protocol.connection_lost(None)
        if visits % 20 == 0:
            await asyncio.sleep(0)
    return visits


def test_nothing_that_is_sent_to_the_relay_raises() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")

    async def story() -> int:
        limits = RelaySettings(clients=10**9, clients_per_address=10**9)
        core = RelayCore(limits, lambda peer: True, os.urandom)
        records, connections, left = PkarrStore(), {}, asyncio.Event()
        visits = await torment(lambda: _Connection(core, records, connections, left), random.Random(seed))
        assert not connections, "none is left behind"
        return visits

    assert asyncio.run(story()) > 10 * SECONDS


def test_nothing_that_is_sent_to_the_api_raises(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")

    async def story() -> int:
        guard, _ = build(tmp_path)
        server = HttpServer(guard)
        server.config.load()
        state = ServerState()
        visits = await torment(
            lambda: Patient(config=server.config, server_state=state, app_state={}), random.Random(seed)
        )
        for _ in range(200):
            await asyncio.sleep(0)
        assert not state.connections
        for task in list(state.tasks):
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        return visits

    assert asyncio.run(story()) > 10 * SECONDS
