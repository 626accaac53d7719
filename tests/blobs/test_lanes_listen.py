"""The TCP listener: who gets a lane, how many, and for how long."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from servent.blobs import lanes_listen, wire
from servent.blobs.lanes_intake import Mailbox
from servent.blobs.lanes_listen import (
    LANES_PER_CLIENT,
    STRANGERS_PER_HOST,
    TOKENS_PER_CLIENT,
    Listener,
)
from servent.blobs.lanes_pace import Pace
from servent.blobs.lanes_tls import TlsPipe
from servent.codec import frame
from servent.errors import BadMessage, ConnectionLost
from servent.identity import PeerId

pytestmark = pytest.mark.real


class Somebody:
    """A client that is entitled to nothing but its lane."""

    def __init__(self, number: int) -> None:
        self.peer = PeerId(bytes([number]) * 32)
        self.slot = False

    def sent(self, size: int) -> None:
        raise AssertionError("nothing was to be sent")

    def broken(self, why: str) -> None:
        raise AssertionError(why)


@asynccontextmanager
async def listener() -> AsyncIterator[Listener]:
    loop = asyncio.get_running_loop()
    made = Listener(Pace(loop.time), Mailbox(loop), hosts=("127.0.0.1",))
    running = asyncio.create_task(made.run(), name="listener")
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running])
        await asyncio.to_thread(made.join, 5.0)


def dial(there: Listener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", there.port), timeout=60)


def knock(there: Listener, token: bytes) -> TlsPipe:
    """A lane with this token; whether it was let in shows later."""
    pipe = TlsPipe.dial(dial(there), there.certificate.digest, 60.0)
    pipe.write(frame(wire.Lane(token)))
    return pipe


def is_closed(pipe: TlsPipe) -> bool:
    """Waits until the other side closed it."""
    try:
        pipe.read_exactly(1)
    except ConnectionLost:
        return True
    finally:
        pipe.close()
    return False


async def until(true: Callable[[], bool], limit: float = 60.0) -> None:
    async with asyncio.timeout(limit):
        while not true():
            await asyncio.sleep(0.01)


def test_a_token_opens_one_lane_and_is_of_no_use_again() -> None:
    async def story() -> None:
        async with listener() as there:
            ann = Somebody(1)
            token = there.token(ann)
            lane = await asyncio.to_thread(knock, there, token)
            await until(lambda: there.lanes(ann) == 1)
            replayed = await asyncio.to_thread(knock, there, token)
            invented = await asyncio.to_thread(knock, there, b"?" * 32)
            assert await asyncio.to_thread(is_closed, replayed)
            assert await asyncio.to_thread(is_closed, invented)
            assert there.lanes(ann) == 1
            lane.close()
            await until(lambda: there.lanes(ann) == 0)

    asyncio.run(story())


def test_one_client_cannot_take_the_lanes_or_the_tokens_of_others() -> None:
    async def story() -> None:
        async with listener() as there:
            ann, mal = Somebody(1), Somebody(2)
            for_ann = there.token(ann)
            hoard = [there.token(mal) for _ in range(5000)]
            pipes = [await asyncio.to_thread(knock, there, token) for token in hoard[-TOKENS_PER_CLIENT:]]
            more = [await asyncio.to_thread(knock, there, there.token(mal)) for _ in range(3)]
            await until(lambda: there.lanes(mal) == LANES_PER_CLIENT)
            for pipe in more:
                assert await asyncio.to_thread(is_closed, pipe)
            early = await asyncio.to_thread(knock, there, hoard[0])
            assert await asyncio.to_thread(is_closed, early), "an old token of a hoarder is gone"
            pipes.append(await asyncio.to_thread(knock, there, for_ann))
            await until(lambda: there.lanes(ann) == 1)
            for pipe in pipes:
                pipe.close()

    asyncio.run(story())


def test_what_is_dropped_is_closed_at_once_with_all_its_tokens() -> None:
    async def story() -> None:
        async with listener() as there:
            ann, bob = Somebody(1), Somebody(2)
            lane = await asyncio.to_thread(knock, there, there.token(ann))
            other = await asyncio.to_thread(knock, there, there.token(bob))
            await until(lambda: there.lanes(ann) == 1 and there.lanes(bob) == 1)
            spare = there.token(ann)
            there.drop(lambda client: client is ann)
            async with asyncio.timeout(60):
                assert await asyncio.to_thread(is_closed, lane)
            late = await asyncio.to_thread(knock, there, spare)
            assert await asyncio.to_thread(is_closed, late)
            assert there.lanes(bob) == 1
            other.close()

    asyncio.run(story())


def test_a_lane_that_opens_while_its_client_is_dropped_does_not_slip_through() -> None:
    async def story() -> None:
        async with listener() as there:
            for _ in range(30):
                ann = Somebody(1)
                token = there.token(ann)
                knocking = asyncio.create_task(asyncio.to_thread(knock, there, token))
                await asyncio.sleep(0.002)
                there.drop(lambda client, ann=ann: client is ann)
                pipe = await knocking
                assert await asyncio.to_thread(is_closed, pipe)
                await until(lambda ann=ann: there.lanes(ann) == 0)

    asyncio.run(story())


def test_half_open_lanes_are_few_and_short_and_cost_no_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_listen, "GREET_LIMIT", 2.0)

    def serving() -> int:
        return sum(thread.name.startswith("bulk from") for thread in threading.enumerate())

    async def story() -> None:
        async with listener() as there:
            socks = [await asyncio.to_thread(dial, there) for _ in range(60)]
            await until(lambda: there.refused >= 60 - STRANGERS_PER_HOST)
            assert serving() <= STRANGERS_PER_HOST
            await until(lambda: serving() == 0)
            assert not there._strangers
            for sock in socks:
                sock.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n" * 100,
        b"\x16\x03\x01\xff\xff" + b"\x01" * 70_000,
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        b"\x00" * 100_000,
        b"\x80\x2e\x01\x00\x02",
    ],
)
def test_what_is_no_tls_is_closed_and_logged_by_rate(
    garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "servent")

    async def story() -> None:
        async with listener() as there:
            for _ in range(20):
                sock = await asyncio.to_thread(dial, there)
                try:
                    sock.sendall(garbage)
                    sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # closed on us already
                await until(lambda: not there._strangers)
                sock.close()
            with pytest.raises((ConnectionLost, BadMessage)):  # and somebody else's certificate is noticed
                await asyncio.to_thread(
                    TlsPipe.dial, await asyncio.to_thread(dial, there), b"\x00" * 32, 60.0
                )
            ann = Somebody(1)
            lane = await asyncio.to_thread(knock, there, there.token(ann))
            await until(lambda: there.lanes(ann) == 1)
            lane.close()

    asyncio.run(story())
    assert len(caplog.records) <= 2


def test_wrong_tokens_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "servent")

    async def story() -> None:
        async with listener() as there:
            for _ in range(40):
                assert await asyncio.to_thread(is_closed, await asyncio.to_thread(knock, there, b"?" * 32))

    asyncio.run(story())
    assert len(caplog.records) == 1
