"""One line to a coordinator: questions go in, answers come out in order; over the network, or to the coordinator in this very process."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

from servent.codec import HEADER_BYTES, frame
from servent.errors import BadMessage, ConnectionLost, PeerError, ServentError
from servent.grid import wire
from servent.grid.wire import Answer, Question
from servent.net.links import Stream

ANSWER_WITHIN = 60.0  # s; a coordinator that commits, or fetches a checkpoint's first words, is far below
PENDING = 32  # questions under way on one line


class Visit(Protocol):
    """A coordinator in this process; see `coordinator_service`."""

    async def answer(self, question: Question) -> Answer: ...

    def close(self) -> None: ...


class Line(Protocol):
    """What both kinds of lines do."""

    async def run(self) -> None:
        """Read answers until the line is over; raises why it is."""
        ...

    async def ask(self, question: Question) -> Answer:
        """Raises ConnectionLost: the line is over. BadMessage: and it is their fault."""
        ...

    async def close(self) -> None:
        """Never raises; whoever waits for an answer gets ConnectionLost."""
        ...


class StreamLine:
    """Over a stream of `wire.SERVICE`. `run` reads the answers; it ends, raising, when the stream does.

    Args:
        count: called with the bytes of each question and answer.
    """

    def __init__(self, stream: Stream, count: Callable[[int], None]) -> None:
        self._stream, self._count = stream, count
        self._waiting: deque[asyncio.Future[Answer]] = deque()
        self._writing = asyncio.Lock()
        self._over: ServentError | None = None

    async def run(self) -> None:
        """Raises ConnectionLost, PeerError: why it is over."""
        try:
            while True:
                answer = await wire.read_answer.read(_Counted(self._stream, self._count))
                if not self._waiting:
                    raise BadMessage("a coordinator answers what was not asked")
                waiting = self._waiting.popleft()
                if not waiting.done():
                    waiting.set_result(answer)
        except (ConnectionLost, PeerError) as over:
            self._end(over)
            raise
        finally:
            self._end(ConnectionLost("the line to the coordinator is over"))

    async def ask(self, question: Question) -> Answer:
        """As `Line.ask`. An answer that does not come in time ends the line."""
        if self._over is not None:
            raise self._over
        if len(self._waiting) >= PENDING:
            raise ConnectionLost("too many questions to a coordinator wait for an answer")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        data = frame(question)
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                async with self._writing:
                    self._waiting.append(answer)
                    await self._write(data)
                self._count(len(data))
                return await answer
        except TimeoutError:
            late = ConnectionLost(f"the coordinator did not answer in {ANSWER_WITHIN:.0f} s")
            self._end(late)
            await self._stream.reset(1)
            raise late from None
        except ConnectionLost as lost:
            self._end(lost)
            raise

    async def _write(self, data: bytes) -> None:
        """Whole or, where whoever asks is cancelled within it, the line is over: half a question cannot be taken back."""
        try:
            await self._stream.write(data)
        except asyncio.CancelledError:
            self._end(ConnectionLost("the line to the coordinator broke off within a question"))
            await self._stream.reset(1)
            raise

    async def close(self) -> None:
        self._end(ConnectionLost("the line to the coordinator was closed"))
        with contextlib.suppress(ConnectionLost):
            await self._stream.finish()
        await self._stream.reset(0)

    def _end(self, why: ServentError) -> None:
        if self._over is None:
            self._over = why
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(why)
                waiting.exception()  # whoever asked may be gone: then nobody reads it, and that is no mistake


class LocalLine:
    """To a coordinator in this process."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._closed = False

    async def run(self) -> None:
        """It is never over by itself."""
        await asyncio.Event().wait()

    async def ask(self, question: Question) -> Answer:
        if self._closed:
            raise ConnectionLost("the line to the coordinator was closed")
        return await self._visit.answer(question)

    async def close(self) -> None:
        self._closed = True
        self._visit.close()


class _Counted:
    """A stream that says how much was read."""

    def __init__(self, stream: Stream, count: Callable[[int], None]) -> None:
        self._stream, self._count = stream, count

    async def read_exactly(self, size: int) -> bytes:
        data = await self._stream.read_exactly(size)
        if size != HEADER_BYTES:
            self._count(size + HEADER_BYTES)
        return data
