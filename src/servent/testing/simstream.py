"""Streams of the simulated network: two pipes, each with a bounded window."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from servent.errors import ConnectionLost

SEGMENT_BYTES = 64 * 1024  # one simulated packet train; latency and loss apply to each


class Wire(Protocol):
    """What a pipe needs of its connection, seen from the writing end."""

    window_bytes: int

    @property
    def gone(self) -> str | None: ...

    def transmit(self, size_bytes: int, order: Order) -> None:
        """Let `order.arrive()` be called at the far end, after everything sent before with this `order`."""
        ...

    def later(self, act: Callable[[], None]) -> None:
        """Call `act` at the writing end, one delay after the reading end asked; for credit and stops."""
        ...


class Order:
    """A queue of arrivals that keep their order whatever delay each one meets."""

    def __init__(self) -> None:
        self.last_at = 0.0
        self._waiting: deque[Callable[[], None]] = deque()

    def add(self, act: Callable[[], None]) -> None:
        self._waiting.append(act)

    def arrive(self) -> None:
        self._waiting.popleft()()


class Pipe:
    """One direction of a stream. The writer waits while `window` bytes are sent and not yet read."""

    def __init__(self, wire: Wire, opened: Callable[[], None]) -> None:
        self._wire = wire
        self._opened = opened  # called at the far end with the first thing that arrives
        self._order = Order()
        self._credit = wire.window_bytes
        self._arrived: deque[memoryview] = deque()
        self._finished = False  # by the writer, as the writer knows it
        self._ended = False  # as the reader knows it
        self._lost: str | None = None  # the connection's end; what has arrived may still be read
        self.write_error: str | None = None
        self.read_error: str | None = None
        self.writable = asyncio.Event()
        self.readable = asyncio.Event()

    # the writing end

    async def write(self, data: memoryview) -> None:
        at = 0
        while at < len(data):
            self._check_write()
            if self._credit <= 0:
                self.writable.clear()
                await self.writable.wait()
                continue
            part = bytes(data[at : at + min(SEGMENT_BYTES, self._credit)])
            at += len(part)
            self._credit -= len(part)
            self._send(len(part), lambda part=part: self._arrive(part))  # type: ignore[misc]
        self._check_write()

    def finish(self) -> None:
        self._check_write()
        self._finished = True
        self._send(0, self._arrive_end)

    def reset(self, why: str) -> None:
        """The writer gives up: what the reader has not read is lost to it."""
        if self.write_error is None and self._wire.gone is None:
            self._send(0, lambda: self.break_reading(why))
        self.write_error = "the stream was reset here"
        self.writable.set()

    def _check_write(self) -> None:
        if self._wire.gone is not None:
            raise ConnectionLost(self._wire.gone)
        if self.write_error is not None:
            raise ConnectionLost(self.write_error)
        if self._finished:
            raise ConnectionLost("nothing can be written after finish()")

    def _send(self, size_bytes: int, act: Callable[[], None]) -> None:
        self._order.add(act)
        self._wire.transmit(size_bytes, self._order)

    # the reading end

    async def read(self, limit: int) -> bytes:
        while True:
            if self.read_error is not None:
                raise ConnectionLost(self.read_error)
            if self._arrived:
                break
            if self._ended:
                return b""
            if self._lost is not None:
                raise ConnectionLost(self._lost)
            self.readable.clear()
            await self.readable.wait()
        head = self._arrived[0]
        part = bytes(head[:limit])
        if len(part) == len(head):
            self._arrived.popleft()
        else:
            self._arrived[0] = head[limit:]
        size = len(part)
        self._wire.later(lambda: self._add_credit(size))
        return part

    def unread(self, data: bytes) -> None:
        """Put back what a cancelled read had taken."""
        if data:
            self._arrived.appendleft(memoryview(data))

    def stop(self, why: str) -> None:
        """The reader gives up: the writer is told."""
        self.read_error = "the stream was reset here"
        self._arrived.clear()
        self.readable.set()
        self._wire.later(lambda: self.break_writing(why))

    def _arrive(self, part: bytes) -> None:
        self._opened()
        if self.read_error is None:
            self._arrived.append(memoryview(part))
            self.readable.set()

    def _arrive_end(self) -> None:
        self._opened()
        self._ended = True
        self.readable.set()

    def _add_credit(self, size: int) -> None:
        self._credit += size
        self.writable.set()

    # both

    def break_reading(self, why: str) -> None:
        self._opened()
        if self.read_error is None and not (self._ended and not self._arrived):
            self.read_error = why
            self._arrived.clear()
        self.readable.set()

    def break_writing(self, why: str) -> None:
        if self.write_error is None:
            self.write_error = why
        self.writable.set()

    def lose_reading(self, why: str) -> None:
        """The reader's connection is gone; what has arrived may still be read, as in QUIC."""
        self._lost = why
        self.readable.set()

    @property
    def done(self) -> bool:
        return self._ended or self.read_error is not None


class SimStream:
    """links.Stream over two pipes."""

    def __init__(self, outgoing: Pipe, incoming: Pipe) -> None:
        self._out, self._in = outgoing, incoming
        self._turn = asyncio.Lock()  # one write at a time, so that those of several tasks do not mix

    async def read(self, limit: int) -> bytes:
        if limit < 1:
            raise ValueError("a read asks for at least one byte")
        return await self._in.read(limit)

    async def read_exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        missing = size
        try:
            while missing:
                part = await self._in.read(missing)
                if not part:
                    raise ConnectionLost(f"the stream ended {missing} bytes early")
                parts.append(part)
                missing -= len(part)
        except asyncio.CancelledError:
            self._in.unread(b"".join(parts))
            raise
        return b"".join(parts)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        async with self._turn:
            try:
                await self._out.write(memoryview(data).cast("B"))
            except asyncio.CancelledError:
                await self.reset()
                raise

    async def finish(self) -> None:
        self._out.finish()

    async def reset(self, code: int = 0) -> None:
        self._out.reset(f"the peer reset the stream (code {code})")
        self._in.stop(f"the peer reset the stream (code {code})")
