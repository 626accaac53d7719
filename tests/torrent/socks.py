"""A SOCKS5 proxy (RFC 1928) for tests: it goes out from an address of its own, and notes who was asked for."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

OUT = "127.0.0.9"  # where its connections come from


class Socks:
    """Attributes: `asked`: "host:port" of each CONNECT, host as it was written; `refused`: how many came with a wrong password."""

    def __init__(self, names: dict[str, str], password: tuple[str, str] | None) -> None:
        self._names, self._password = names, password
        self.asked: list[str] = []
        self.refused = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, KeyError, PermissionError):
            pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        method = 2 if self._password else 0
        if method not in methods:
            writer.write(b"\x05\xff")
            return
        writer.write(bytes((5, method)))
        if self._password:
            _, length = await reader.readexactly(2)
            user = (await reader.readexactly(length)).decode()
            (length,) = await reader.readexactly(1)
            word = (await reader.readexactly(length)).decode()
            writer.write(b"\x01" + bytes([(user, word) != self._password]))
            if (user, word) != self._password:
                self.refused += 1
                return
        _, command, _, kind = await reader.readexactly(4)
        if kind == 3:
            (length,) = await reader.readexactly(1)
            host = (await reader.readexactly(length)).decode()
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        if command != 1:
            writer.write(b"\x05\x07\x00\x01" + bytes(6))
            return
        self.asked.append(f"{host}:{port}")
        there, back = await asyncio.open_connection(self._names.get(host, host), port, local_addr=(OUT, 0))
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, back))
                both.create_task(_pump(there, writer))
        finally:
            back.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.write_eof()


@asynccontextmanager
async def socks(
    names: dict[str, str] | None = None, password: tuple[str, str] | None = None
) -> AsyncIterator[Socks]:
    """A running proxy on loopback. `names`: what it resolves."""
    made = Socks(names or {}, password)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
