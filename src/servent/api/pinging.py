"""`servent.core/ping`: one stream, eight bytes there and back, as often as asked. Measures what people wait for."""

from __future__ import annotations

import asyncio
import os
from typing import Protocol

from servent.errors import BadMessage, ConnectionLost

SERVICE = "servent.core/ping"
SIZE = 8
MOST = 200  # echoes on one stream
PATIENCE = 5.0  # s for one echo


class Stream(Protocol):
    async def read_exactly(self, size: int) -> bytes: ...
    async def write(self, data: bytes | bytearray | memoryview) -> None: ...
    async def finish(self) -> None: ...


async def answer(_session: object, stream: Stream) -> None:
    """Send back what comes, until they stop or have had enough."""
    for _ in range(MOST):
        try:
            async with asyncio.timeout(6 * PATIENCE):
                await stream.write(await stream.read_exactly(SIZE))
        except (ConnectionLost, TimeoutError):
            return
    await stream.finish()


async def measure(stream: Stream, count: int, pause: float = 0.2) -> list[float | None]:
    """Round trips in seconds, None for one that did not come back in time; nothing is sent after that."""
    clock = asyncio.get_running_loop().time
    found: list[float | None] = []
    for number in range(min(count, MOST)):
        if number:
            await asyncio.sleep(pause)
        sent, body = clock(), os.urandom(SIZE)
        try:
            async with asyncio.timeout(PATIENCE):
                await stream.write(body)
                back = await stream.read_exactly(SIZE)
        except TimeoutError:
            return [*found, None]
        if back != body:
            raise BadMessage("a ping came back changed")
        found.append(clock() - sent)
    await stream.finish()
    return found
