"""The QUIC lane, the fetching side: one stream is one lane; several of them use more of the machine."""

from __future__ import annotations

import asyncio

from servent.blobs import wire
from servent.blobs.lanes_bulk import Fetcher, FetchLane
from servent.blobs.lanes_intake import Intake
from servent.blobs.lanes_pace import Pace
from servent.codec import frame, write_frame
from servent.errors import ConnectionLost, PeerError, ServentError
from servent.identity import PeerId
from servent.net.links import Stream
from servent.net.session import first as first_of


class QuicLane(FetchLane):
    """One stream of `servent.blobs/1` that carries pieces. `run` it in a task group."""

    kind = "quic"

    def __init__(
        self, peer: PeerId, intake: Intake, pace: Pace, fetcher: Fetcher, stream: Stream, key: bytes
    ) -> None:
        super().__init__(peer, intake, pace, fetcher)
        self._stream, self._key = stream, key
        self._loop = asyncio.get_running_loop()
        self._out: asyncio.Queue[bytes | None] = asyncio.Queue(2 * wire.MOST_ASKS)

    def ask(self, number: int, first: int, count: int, now: float) -> None:
        if self.gone:
            raise ConnectionLost("the stream is closed")
        if not self.busy:
            self.heard = now
        self._say(frame(wire.Ask(number, first, count)))
        self.owed[number] = [(first, count)]
        self.owed_bytes += self.intake.size(first, count)

    def forget(self, number: int) -> None:
        if number in self.owed and not self.gone:
            self._say(frame(wire.Forget(number)))

    def close(self) -> None:
        self.gone = True
        if self._out.full():
            self._out.get_nowait()
        self._out.put_nowait(None)

    def _say(self, data: bytes) -> None:
        try:
            self._out.put_nowait(data)
        except asyncio.QueueFull:
            raise ConnectionLost("the peer takes no more asks") from None

    async def run(self) -> None:
        """Until the stream ends; then `closed` was called."""
        error: ServentError = ConnectionLost("the stream is closed")
        try:
            await write_frame(self._stream, wire.Lane(self._key))
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read(), name=f"pieces from {self.peer.short}")
                self.open = True
                self.fetcher.opened(self)
                try:
                    await self._write()
                finally:
                    reading.cancel()
        except* (ConnectionLost, PeerError) as wrong:
            cause = first_of(wrong)
            assert isinstance(cause, ServentError)
            error = cause
        finally:
            self.open = False
            self.gone = True
            await self._stream.reset()
            self.fetcher.closed(self, error)

    async def _write(self) -> None:
        while (data := await self._out.get()) is not None:
            parts = [data]
            while not self._out.empty():
                more = self._out.get_nowait()
                if more is None:
                    return
                parts.append(more)
            await self._stream.write(b"".join(parts))

    async def _read(self) -> None:
        while True:
            message = await wire.read_from_lane.read(self._stream)
            if isinstance(message, wire.Give):
                self.expected(message)
                await self._take(message.first, message.count)
            else:
                self.covers(message)
                self.owed_bytes -= self.intake.size(message.first, message.count)
                self.fetcher.denied(self, message.first, message.count, message.why)

    async def _take(self, first: int, count: int) -> None:
        while count:
            pieces, size = self.intake.unit(first, count)
            buffer = await self.intake.buffers.take_async(size)
            try:
                await self._fill(buffer, size)
            except BaseException:
                self.intake.buffers.give(buffer)
                raise
            self.owed_bytes -= size
            self.received_bytes += size
            done, first, count = first, first + pieces, count - pieces
            self.coming = (first, count) if count else None
            self.fetcher.arrived(self, done, pieces)
            self.intake.submit(self, done, pieces, buffer)

    async def _fill(self, buffer: memoryview, size: int) -> None:
        at = 0
        foreground = self.intake.foreground
        while at < size:
            unlimited = self.pace.unlimited("down", self.peer, foreground=foreground)
            chunk = size if unlimited else self.pace.chunk("down", self.peer, foreground=foreground)
            step = min(chunk, size - at)
            data = await self._stream.read(step)
            if not data:
                raise ConnectionLost("the stream ended in the middle of a piece")
            buffer[at : at + len(data)] = data
            at += len(data)
            self.heard = self._loop.time()
            wait = self.pace.take("down", self.peer, len(data), foreground=foreground)
            if wait > 0:
                self.waits = self.heard + wait
                await asyncio.sleep(wait)
