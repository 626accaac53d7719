"""One request to the node on an event loop, its answer read piece by piece as it comes.

The API's own client reads in a thread; a search that streams and a player that reads ranges would hold one each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from servent.api.client import NoAnswer, NodeDown
from servent.api.schema import API

OPEN_WITHIN = 5.0  # s
SILENCE = 60.0  # s without a single byte; a stream of events says something every 15 s
MAX_PIECE_BYTES = 256 * 1024 * 1024  # a table of 100,000 rows is one chunk
BUFFER_BYTES = 4 * 1024 * 1024
READ_BYTES = 256 * 1024
MAX_HEADERS = 64


class Exchange:
    """An answer under way. `pieces` may be read once, until its end or until the block around it ends."""

    def __init__(self, reader: asyncio.StreamReader, status: int, headers: dict[str, str]) -> None:
        self._reader = reader
        self.status = status
        self.headers = headers

    async def pieces(self, silence: float | None = SILENCE) -> AsyncIterator[bytes]:
        """The body as it comes, without the marks of HTTP's chunks.

        Raises:
            NoAnswer: it broke off, or nothing came for `silence` seconds.
        """
        left = int(self.headers["content-length"]) if "content-length" in self.headers else None
        chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        try:
            while left != 0:
                async with asyncio.timeout(silence):
                    piece = await self._chunk() if chunked else await self._read(left)
                if not piece:
                    if left and not chunked:
                        raise NoAnswer("the node's answer broke off")
                    return
                if left is not None and not chunked:
                    left -= len(piece)
                yield piece
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as wrong:
            raise NoAnswer("the node's answer broke off") from wrong

    async def _read(self, left: int | None) -> bytes:
        return await self._reader.read(READ_BYTES if left is None else min(READ_BYTES, left))

    async def _chunk(self) -> bytes:
        size = int((await self._reader.readline()).split(b";")[0] or b"0", 16)
        if not 0 <= size <= MAX_PIECE_BYTES:
            raise ValueError("a chunk of impossible size")
        return (await self._reader.readexactly(size + 2))[:-2]


@asynccontextmanager
async def exchange(
    url: str,
    token: str,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    answer_within: float | None = SILENCE,
) -> AsyncIterator[Exchange]:
    """Ask for `path` below the API's root. Leaving the block closes the connection, which ends the request there.

    Raises:
        NodeDown: nobody listens.
        NoAnswer: no answer came, or it was none.
    """
    where = urlsplit(url)
    try:
        async with asyncio.timeout(OPEN_WITHIN):
            reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=BUFFER_BYTES)
    except (OSError, TimeoutError) as wrong:
        raise NodeDown(f"no node answers at {url}") from wrong
    try:
        lines = [f"{method} {API}{path} HTTP/1.1", f"Host: {where.netloc}", f"Authorization: Bearer {token}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body or method != "GET":
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        if any("\r" in line or "\n" in line for line in lines):
            raise NoAnswer("a header may not hold a line break")
        try:
            writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)
            async with asyncio.timeout(answer_within):
                status, fields = await _head(reader)
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as wrong:
            raise NoAnswer("the node did not answer") from wrong
        yield Exchange(reader, status, fields)
    finally:
        writer.close()


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, status, *_ = first.split(None, 2)
    if not version.startswith("HTTP/1.") or len(lines) > MAX_HEADERS:
        raise ValueError("not an answer of ours")
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name:
            fields[name.strip().lower()] = value.strip()
    return int(status), fields
