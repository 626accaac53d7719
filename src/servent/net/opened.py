"""The opener's end of a service stream: the answer to `Open` is read with the first bytes, not waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from servent.errors import ConnectionLost, Refused
from servent.net import wire
from servent.net.links import Stream

ANSWER_WAIT = 5.0  # s to learn why a stream broke under our writing


class OpenedStream:
    """links.Stream whose first read also reads whether the stream was granted.

    Every method may raise Refused instead of ConnectionLost: the peer does not offer the service, has
    not granted it to us, or we are over a limit.
    """

    def __init__(self, stream: Stream, who: str, service: str, ended: Callable[[], None]) -> None:
        self.raw = stream
        self._what = f"{who} denied {service}"
        self._ended: Callable[[], None] | None = ended
        self._granted = False
        self._refused: Refused | None = None
        self._reading = asyncio.Lock()
        self._open_sides = {"in", "out"}

    async def granted(self) -> None:
        """Wait for the answer. Raises Refused."""
        if self._granted:
            return
        async with self._reading:
            await self._read_answer()

    async def _read_answer(self) -> None:
        if self._refused is not None:
            raise self._refused
        if self._granted:  # by whoever held the lock before us
            return
        try:
            answer = await self.raw.read_exactly(1)
            if answer != wire.GRANTED:
                denied = await wire.read_denied.read(self.raw)
                self._refused = Refused(f"{self._what}: {wire.printable(denied.reason)}")
                await self.raw.reset()
                raise self._refused
        except BaseException:
            self._end()
            raise
        self._granted = True

    async def read(self, limit: int) -> bytes:
        if not self._granted:
            await self.granted()
        try:
            data = await self.raw.read(limit)
        except ConnectionLost:
            self._end()
            raise
        if not data and limit:
            self._half("in")
        return data

    async def read_exactly(self, size: int) -> bytes:
        if not self._granted:
            await self.granted()
        try:
            return await self.raw.read_exactly(size)
        except ConnectionLost:
            self._end()
            raise

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self.raw.write(data)
        except ConnectionLost:
            await self._explain()
            raise

    async def finish(self) -> None:
        try:
            await self.raw.finish()
        except ConnectionLost:
            await self._explain()
            raise
        self._half("out")

    async def reset(self, code: int = 0) -> None:
        self._end()
        await self.raw.reset(code)

    async def _explain(self) -> None:
        """Raise Refused when that is why writing failed."""
        try:
            async with asyncio.timeout(ANSWER_WAIT):
                await self.granted()
        except (ConnectionLost, TimeoutError):
            pass
        self._end()

    def _half(self, side: str) -> None:
        self._open_sides.discard(side)
        if not self._open_sides:
            self._end()

    def _end(self) -> None:
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended()

    def __del__(self) -> None:
        self._end()
