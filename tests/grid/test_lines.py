"""The line to a coordinator, over a stream in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.codec import frame
from servent.errors import BadMessage, ConnectionLost, PeerError
from servent.grid import wire
from servent.grid.line_service import ANSWER_WITHIN, PENDING, StreamLine
from tests.grid.lender import OWNER, virtually

ANSWERS = [
    frame(answer)
    for answer in (
        wire.Aborted(),
        wire.Sorry("no"),
        wire.Looked(wire.Welcome()),
        wire.Leased(),
        wire.Returned([]),
    )
]


class Wire:
    """One end of a stream; what the other end does is a coroutine."""

    def __init__(self) -> None:
        self.out: asyncio.Queue[bytes] = asyncio.Queue()
        self._in, self._more = bytearray(), asyncio.Event()
        self.over = self.finished = False
        self.jam = False

    def feed(self, data: bytes) -> None:
        self._in += data
        self._more.set()

    def end(self) -> None:
        self.over = True
        self._more.set()

    async def read_exactly(self, size: int) -> bytes:
        while len(self._in) < size:
            if self.over:
                raise ConnectionLost("gone")
            self._more.clear()
            await self._more.wait()
        data, self._in = bytes(self._in[:size]), self._in[size:]
        return data

    async def read(self, limit: int) -> bytes:
        raise NotImplementedError

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.over:
            raise ConnectionLost("gone")
        if self.jam:
            await asyncio.Event().wait()
        await self.out.put(bytes(data))

    async def finish(self) -> None:
        self.finished = True

    async def reset(self, code: int = 0) -> None:
        self.end()


def told(story: Callable[[Wire, StreamLine, asyncio.Task[None]], Awaitable[None]]) -> None:
    async def main() -> None:
        stream, counted = Wire(), []
        line = StreamLine(stream, counted.append)
        reading = asyncio.create_task(line.run())
        try:
            await story(stream, line, reading)
        finally:
            reading.cancel()
            await asyncio.wait([reading])

    virtually(main())


def test_answers_come_to_whoever_asked_in_order() -> None:
    async def story(stream, line, reading) -> None:
        asks = [asyncio.create_task(line.ask(wire.Look())) for _ in range(3)]
        for _ in range(3):
            await stream.out.get()
        for number in range(3):
            stream.feed(frame(wire.Looked(wire.Welcome(units=number))))
        assert [answer.welcome.units for answer in await asyncio.gather(*asks)] == [0, 1, 2]

    told(story)


def test_whoever_stops_waiting_does_not_shift_the_answers_of_others() -> None:
    async def story(stream, line, reading) -> None:
        first, second = (asyncio.create_task(line.ask(wire.Look())) for _ in range(2))
        await asyncio.sleep(0.1)
        first.cancel()
        stream.feed(frame(wire.Looked(wire.Welcome(units=1))) + frame(wire.Looked(wire.Welcome(units=2))))
        assert (await second).welcome.units == 2

    told(story)


@pytest.mark.parametrize(
    "data",
    [
        frame(wire.Aborted()),  # nobody asked
        (wire.ANSWER_BYTES + 1).to_bytes(4, "big"),
        b"\0\0\0\5abcde",
        frame(wire.Lease(1)),  # a question
    ],
)
def test_what_is_no_answer_ends_the_line(data) -> None:
    async def story(stream, line, reading) -> None:
        stream.feed(data)
        with pytest.raises(BadMessage):
            await reading
        with pytest.raises(PeerError):
            await line.ask(wire.Look())

    told(story)


def test_everybody_who_waits_hears_that_the_line_is_lost() -> None:
    async def story(stream, line, reading) -> None:
        asks = [asyncio.create_task(line.ask(wire.Look())) for _ in range(3)]
        await asyncio.sleep(0.1)
        stream.end()
        for ask in asks:
            with pytest.raises(ConnectionLost):
                await ask
        with pytest.raises(ConnectionLost):
            await reading

    told(story)


def test_an_answer_that_does_not_come_ends_the_line_in_time() -> None:
    async def story(stream, line, reading) -> None:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ConnectionLost, match="did not answer"):
            await line.ask(wire.Look())
        assert asyncio.get_running_loop().time() - began == ANSWER_WITHIN
        assert stream.over

    told(story)


def test_half_a_question_ends_the_line() -> None:
    async def story(stream, line, reading) -> None:
        stream.jam = True
        ask = asyncio.create_task(line.ask(wire.Look()))
        await asyncio.sleep(0.1)
        ask.cancel()
        await asyncio.wait([ask])
        with pytest.raises(ConnectionLost):
            await line.ask(wire.Look())

    told(story)


def test_questions_without_answers_are_bounded() -> None:
    async def story(stream, line, reading) -> None:
        asks = [asyncio.create_task(line.ask(wire.Look())) for _ in range(PENDING)]
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionLost, match="too many"):
            await line.ask(wire.Join(bytes(OWNER.peer)))
        await line.close()
        assert stream.finished
        for ask in asks:
            with pytest.raises(ConnectionLost):
                await ask

    told(story)


@given(st.lists(st.binary(max_size=200) | st.sampled_from(ANSWERS), max_size=6), st.integers(0, 5))
@settings(max_examples=60)
def test_whatever_comes_is_an_answer_or_the_end_of_the_line(pieces, questions) -> None:
    async def story(stream, line, reading) -> None:
        asks = [asyncio.create_task(line.ask(wire.Look())) for _ in range(questions)]
        await asyncio.sleep(0.01)
        for piece in pieces:
            stream.feed(piece)
        await asyncio.sleep(0.01)
        stream.end()
        for said in await asyncio.gather(*asks, return_exceptions=True):
            assert isinstance(said, wire.Answer | ConnectionLost | PeerError)
        with pytest.raises((ConnectionLost, PeerError)):
            await reading

    told(story)
