"""The HTTP server in front of the API: who is slow, huge or many gets no hold of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from servent.api import http_server
from servent.api import logs as logs_module
from servent.api.events import Bus
from servent.api.http_server import HttpServer
from servent.api.logs import LOG_FILE, Logs
from tests.net.party import until

pytestmark = pytest.mark.real

GOOD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(1.5)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def served(what: Any = None) -> AsyncIterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    server = HttpServer(what or app)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await running
        listening.close()


async def ask(port: int, request: bytes = GOOD) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.readuntil(b"ok")
    finally:
        writer.close()


async def ends(reader: asyncio.StreamReader, limit: float = 30.0) -> bool:
    try:
        async with asyncio.timeout(limit):
            while await reader.read(65536):
                pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_a_long_body_is_no_long_head_however_it_arrives(cut: int) -> None:
    """A body that comes in one piece with its head, or with the end of it."""
    body = b"x" * (3 * http_server.HEAD_BYTES)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)

    async def story() -> None:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if cut:
                writer.write(head[:-cut])
                await asyncio.sleep(0.05)
            writer.write(head[len(head) - cut :] + body if cut else head + body)
            async with asyncio.timeout(30):
                assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
            writer.close()

    asyncio.run(story())


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
def test_who_does_not_finish_a_request_is_let_go(beginning: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_WITHIN", 0.3)

    async def story() -> None:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(beginning)
            assert await ends(reader)
            writer.close()

    asyncio.run(story())


def test_who_trickles_is_let_go_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_WITHIN", 0.3)

    async def story() -> None:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)

            async def trickle() -> None:
                for letter in itertools.chain(b"GET / HTTP/1.1\r\nX: ", itertools.repeat(b"y"[0])):
                    writer.write(bytes((letter,)))
                    await asyncio.sleep(0.02)

            task = asyncio.create_task(trickle())
            assert await ends(reader)
            task.cancel()
            await asyncio.wait([task])
            writer.close()

    asyncio.run(story())


def test_headers_without_an_end_cost_no_memory() -> None:
    async def story() -> None:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n")
            sent = 0
            try:
                for number in range(100_000):
                    writer.write(b"X-%d: %b\r\n" % (number, b"y" * 1000))
                    sent += 1000
                    await writer.drain()
            except ConnectionError:
                pass
            assert await ends(reader)
            assert sent < 20_000_000  # what the sockets' buffers hold
            writer.close()
            assert await ask(port)

    asyncio.run(story())


def test_a_slow_answer_a_websocket_and_a_second_request_are_not_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "HEAD_WITHIN", 1.0)

    async def story() -> None:
        async with served() as port:
            assert await ask(port, GOOD.replace(b"/ ", b"/slow "))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(3):
                writer.write(GOOD)
                assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
                await asyncio.sleep(0.6)
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            assert not await ends(reader, 1.5)
            writer.close()

    asyncio.run(story())


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "CONNECTIONS_MOST", 8)

    async def story() -> None:
        async with served() as port:
            crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]

            def over() -> int:
                return sum(reader.at_eof() or reader.exception() is not None for reader, _ in crowd)

            await until(lambda: over() >= 30 - 8)
            assert over() == 30 - 8
            for _, writer in crowd:
                writer.close()
            async with asyncio.timeout(30):
                while True:  # until it has seen that they are gone
                    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                        assert await ask(port)
                        break

    asyncio.run(story())


def test_bad_requests_are_logged_by_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs_module, "monotonic", lambda: 100.0)  # however long it takes
    before = [logging.getLogger(name).level for name in ("uvicorn", "websockets")]

    async def story() -> None:
        logs = Logs(tmp_path, Bus(0), asyncio.get_running_loop())
        try:
            async with served() as port:
                for _ in range(50):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(b"\x00nonsense\r\n\r\n")
                    assert await ends(reader)
                    writer.close()
        finally:
            logs.close()

    asyncio.run(story())
    lines = (tmp_path / LOG_FILE).read_text().splitlines()
    assert len(lines) == 1 and "Invalid HTTP request" in lines[0]
    assert not logging.getLogger("uvicorn.error").filters
    assert [logging.getLogger(name).level for name in ("uvicorn", "websockets")] == before


def test_who_hangs_up_amid_an_answer_is_not_logged_for_each_piece(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def pieces(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await gone.wait()
        for left in reversed(range(40)):
            await send({"type": "http.response.body", "body": b"more", "more_body": left > 0})

    async def story() -> None:
        logs = Logs(tmp_path, Bus(0), asyncio.get_running_loop())
        try:
            async with served(pieces) as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(GOOD)
                await reader.readuntil(b"first")
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
                writer.transport.abort()
                gone.set()
            logging.getLogger("asyncio").warning("something else")
        finally:
            logs.close()

    asyncio.run(story())
    assert [line.rpartition(": ")[2] for line in (tmp_path / LOG_FILE).read_text().splitlines()] == [
        "something else"
    ]
    assert not logging.getLogger("asyncio").filters


HAND = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.parametrize(
    "frames", [b"\x81\x82\x00\x00\x00\x00\xf8\xf8", b"\xff\xff\xff", b"\x81\x01a", b"\x88\x00" * 9]
)
def test_frames_before_the_handshake_are_no_traceback(
    frames: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with served() as port:
            for _ in range(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(HAND + frames)
                writer.write_eof()
                assert await ends(reader)
                writer.close()
            assert await ask(port)

    asyncio.run(story())
    assert not [record for record in caplog.records if record.name == "asyncio"]
