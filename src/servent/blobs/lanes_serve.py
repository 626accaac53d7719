"""Serving pieces over a lane: asks come in, bytes go out; the same over a QUIC stream and over TLS on TCP."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Executor
from typing import NamedTuple, Protocol

from servent.blobs import wire
from servent.blobs.lanes_intake import UNIT
from servent.blobs.lanes_pace import Pace
from servent.blobs.lanes_tls import TlsPipe
from servent.blobs.seed import PieceSource
from servent.codec import HEADER_BYTES, frame
from servent.errors import BadMessage, ConnectionLost, UsageError, WorldError
from servent.identity import PeerId
from servent.net.links import Stream


class Client(Protocol):
    """Whom a lane serves with what. Read by the lane's thread, so everything here is one step."""

    peer: PeerId
    foreground: bool  # a person waits for it

    @property
    def source(self) -> PieceSource: ...
    @property
    def slot(self) -> bool:
        """Whether it may have pieces now."""
        ...

    def sent(self, size: int) -> None:
        """Bytes of pieces that went out. Any thread."""
        ...

    def broken(self, why: str) -> None:
        """What we share cannot be read any more. Any thread."""
        ...


class Part(NamedTuple):
    """`pieces` pieces from `first` of ask `id`: `size` bytes, the first `ready` of them in the buffer."""

    id: int
    first: int
    pieces: int
    size: int
    ready: int


class Asked:
    """What one lane still has to send, in the order it was asked."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asks: dict[int, tuple[int, int]] = {}
        self.replies: list[bytes] = []  # frames to send before anything else

    def __bool__(self) -> bool:
        return bool(self._asks or self.replies)

    def take(self, message: wire.ToLane) -> None:
        """One message from the other side. Raises BadMessage: more asks than a lane may owe, or a known id."""
        if isinstance(message, wire.Forget):
            rest = self._asks.pop(message.id, None)
            if rest is not None:
                self.replies.append(frame(wire.Deny(message.id, *rest, "forgotten")))
            return
        if message.id in self._asks or len(self._asks) >= wire.MOST_ASKS:
            raise BadMessage("too many asks at once on one lane")
        if message.first + message.count > self._client.source.collection.pieces:
            raise BadMessage("an ask for pieces that do not exist")
        self._asks[message.id] = message.first, message.count

    def next(self, buffer: memoryview) -> Part | None:
        """Read what to send next into `buffer`; None: there is nothing, or only `replies`. Blocks on the disk."""
        while self._asks:
            number, (first, count) = next(iter(self._asks.items()))
            if not self._client.slot:
                self._deny(number, first, count, count, "queued")
                continue
            part = self._read(number, first, count, buffer)
            if part is None:
                self._deny(number, first, count, 1, "gone")
                continue
            self._strike(number, first, count, part.pieces)
            return part
        return None

    def _deny(self, number: int, first: int, count: int, these: int, why: str) -> None:
        self.replies.append(frame(wire.Deny(number, first, these, why)))  # type: ignore[arg-type]
        self._strike(number, first, count, these)

    def _strike(self, number: int, first: int, count: int, done: int) -> None:
        if done == count:
            del self._asks[number]
        else:
            self._asks[number] = first + done, count - done

    def _read(self, number: int, first: int, count: int, buffer: memoryview) -> Part | None:
        source = self._client.source
        size = taken = 0
        try:
            while taken < count and source.has(first + taken):
                piece = source.collection.span(first + taken).size
                if taken and size + piece > len(buffer):
                    break
                room = min(piece, len(buffer) - size)
                source.read_into(first + taken, buffer[size : size + room])
                size, taken = size + piece, taken + 1
                if size >= len(buffer):
                    break
        except (WorldError, UsageError, LookupError) as wrong:
            if not isinstance(wrong, LookupError):
                self._client.broken(str(wrong))
        if not taken:
            return None
        whole = sum(source.collection.span(piece).size for piece in range(first, first + taken))
        return Part(number, first, taken, whole, min(whole, len(buffer)))

    def more(self, part: Part, at: int, buffer: memoryview) -> int:
        """The next bytes, from `at` on, of a piece larger than the buffer. Raises ConnectionLost: unreadable now."""
        size = min(len(buffer), part.size - at)
        try:
            self._client.source.read_into(part.first, buffer[:size], at)
        except (WorldError, UsageError, LookupError) as wrong:
            self._client.broken(str(wrong))
            raise ConnectionLost("a shared file cannot be read any more") from wrong
        return size


def serve_tls(pipe: TlsPipe, client: Client, pace: Pace, stop: threading.Event) -> None:
    """Serve one bulk lane in this thread until it ends. Raises ConnectionLost, BadMessage."""
    asked = Asked(client)
    buffer = memoryview(bytearray(UNIT))

    def send(data: memoryview, header: bytes = b"") -> None:
        at = 0
        while at < len(data):
            foreground = client.foreground
            step = min(pace.chunk("up", client.peer, foreground=foreground), len(data) - at)
            if header:
                pipe.write(header, data[:step])
                header = b""
            else:
                pipe.write(data[at : at + step])
            at += step
            client.sent(step)
            if (wait := pace.take("up", client.peer, step, foreground=foreground)) > 0 and stop.wait(wait):
                raise ConnectionLost("the lane was closed here")

    while not stop.is_set():
        while not asked or pipe.readable():
            size = int.from_bytes(pipe.read_exactly(HEADER_BYTES), "big")
            if size > wire.LANE_BYTES:
                raise BadMessage(f"a lane frame of {size} bytes")
            asked.take(wire.read_to_lane.decode(pipe.read_exactly(size)))
        part = asked.next(buffer)
        if asked.replies:
            pipe.write(b"".join(asked.replies))
            asked.replies.clear()
        if part is not None:
            send(buffer[: part.ready], frame(wire.Give(part.id, part.first, part.pieces, part.size)))
            at = part.ready
            while at < part.size:
                size = asked.more(part, at, buffer)
                send(buffer[:size])
                at += size


async def serve_quic(stream: Stream, client: Client, pace: Pace, pool: Executor) -> None:
    """Serve one QUIC lane until its stream ends. Raises ConnectionLost, BadMessage."""
    loop = asyncio.get_running_loop()
    asked = Asked(client)
    news = asyncio.Event()

    async def listen() -> None:
        while True:
            message = await wire.read_to_lane.read(stream)
            asked.take(message)
            news.set()

    async def send(data: memoryview) -> None:
        at = 0
        foreground = client.foreground
        while at < len(data):
            whole = pace.unlimited("up", client.peer, foreground=foreground)
            chunk = len(data) if whole else pace.chunk("up", client.peer, foreground=foreground)
            step = min(chunk, len(data) - at)
            await stream.write(data[at : at + step])
            at += step
            client.sent(step)
            if (wait := pace.take("up", client.peer, step, foreground=foreground)) > 0:
                await asyncio.sleep(wait)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listen(), name=f"asks of {client.peer.short}")
        now, other = memoryview(bytearray(UNIT)), memoryview(bytearray(UNIT))
        coming = None
        while True:
            if coming is None:
                while not asked:
                    news.clear()
                    await news.wait()
                coming = loop.run_in_executor(pool, asked.next, now)
            part = await coming
            coming = None
            if asked.replies:
                replies, asked.replies = asked.replies, []
                await stream.write(b"".join(replies))
            if part is None:
                continue
            if part.ready == part.size and asked:
                coming = loop.run_in_executor(pool, asked.next, other)  # read on while this goes out
            await stream.write(frame(wire.Give(part.id, part.first, part.pieces, part.size)))
            await send(now[: part.ready])
            at = part.ready
            while at < part.size:
                size = await loop.run_in_executor(pool, asked.more, part, at, now)
                await send(now[:size])
                at += size
            now, other = other, now


def open_bulk(pipe: TlsPipe, limit: float) -> bytes:
    """Read the opening of a bulk lane: the token. Raises ConnectionLost, BadMessage."""
    end = time.monotonic() + limit
    size = int.from_bytes(pipe.read_exactly(HEADER_BYTES, end), "big")
    if size > wire.LANE_BYTES:
        raise BadMessage(f"a lane frame of {size} bytes")
    return wire.read_lane.decode(pipe.read_exactly(size, end)).token
