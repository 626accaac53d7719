"""Dask's comms over streams and over TCP: what its own backends promise, both kinds of ours keep."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest

pytest.importorskip("distributed")

from distributed.comm import connect, listen
from distributed.comm.core import Comm, CommClosedError
from distributed.protocol import to_serialize

from servent.cluster import comm, lane
from servent.cluster.comm import ServentBackend, ServentComm
from servent.cluster.lane import LaneComm
from tests.cluster.desks import Lab, LocalDesk
from tests.net.party import until

pytestmark = [pytest.mark.real, pytest.mark.parametrize("tcp", [True, False], ids=["tcp", "streams"])]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine a TCP connection may take its time; else the comm would be a stream."""
    monkeypatch.setattr(lane, "DIAL_TIME", 60.0)


@asynccontextmanager
async def listening(
    tcp: bool, handle: Callable[[Comm], Awaitable[None]]
) -> AsyncIterator[tuple[ServentBackend, str]]:
    backend = comm.set_up(LocalDesk(Lab()), cluster="lab", role="scheduler", tcp=tcp)
    listener = await listen("servent://", handle)
    try:
        yield backend, listener.contact_address
    finally:
        listener.stop()
        await backend.office.close()
        gc.collect()


async def echo(one: Comm) -> None:
    with suppress(OSError):
        while True:
            await one.write(await one.read())


def test_messages_go_there_and_back_and_arrays_can_be_written_to(tcp: bool) -> None:
    async def story() -> None:
        async with listening(tcp, echo) as (_, address):
            one = await connect(address)
            assert isinstance(one, LaneComm if tcp else ServentComm)
            for size in (0, 1, 1000, 70_000, 3_000_000):
                small, big = np.arange(7), np.arange(size)
                assert (
                    await one.write({"op": "x", "small": to_serialize(small), "big": to_serialize(big)}) > 0
                )
                back = await one.read()
                assert back["op"] == "x"
                for sent, got in ((small, back["small"].data), (big, back["big"].data)):
                    got = getattr(got, "data", got)
                    assert np.array_equal(sent, got)
            await one.close()
            assert one.closed()

    asyncio.run(story())


def test_what_was_written_before_the_end_arrives_however_a_comm_ends(tcp: bool) -> None:
    """Dask's servers abort a comm right after their last answer: resetting the stream there would lose it now and then."""

    async def last_word(one: Comm) -> None:
        asked = await one.read()
        await one.write("x" * asked["size"])
        if asked["end"] == "close":
            await one.close()
        else:
            one.abort()

    async def story() -> None:
        async with listening(tcp, last_word) as (_, address):
            for size in (1, 100_000, 700_000) * 4:
                for end in ("close", "abort"):
                    one = await connect(address)
                    await one.write({"size": size, "end": end})
                    if not (
                        tcp and end == "abort" and size > 100_000
                    ):  # TCP's abort drops what the socket did not take
                        assert len(await one.read()) == size
                        with pytest.raises(CommClosedError):
                            await one.read()
                    await one.close()

    asyncio.run(story())


def test_two_ends_that_both_send_much_before_they_read_do_not_wait_for_each_other(tcp: bool) -> None:
    much = b"x" * 20_000_000  # more than any window on the way

    async def story() -> None:
        async def send_first(one: Comm) -> None:
            await one.write(much)
            assert await one.read() == much
            await one.close()

        async with listening(tcp, send_first) as (_, address):
            one = await connect(address)
            await one.write(much)
            assert await one.read() == much
            with pytest.raises(CommClosedError):
                await one.read()
            await one.close()

    asyncio.run(story())


def test_a_cancelled_read_ends_the_comm_for_both(tcp: bool) -> None:
    async def story() -> None:
        ended: list[str] = []

        async def wait_for_the_end(one: Comm) -> None:
            try:
                while True:
                    await one.read()
            except CommClosedError as error:
                ended.append(str(error))

        async with listening(tcp, wait_for_the_end) as (_, address):
            one = await connect(address)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await one.read()
            assert one.closed()
            with pytest.raises(CommClosedError):
                await one.write("too late")
            await until(lambda: len(ended) == 1)

    asyncio.run(story())


def test_closing_here_wakes_whoever_reads_here(tcp: bool) -> None:
    async def story() -> None:
        async with listening(tcp, echo) as (_, address):
            one = await connect(address)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(_outcome(one.read()))
                await asyncio.sleep(0.01)
                await one.close()
            assert reading.result() == "CommClosedError"

    asyncio.run(story())


async def _outcome(work: Awaitable[Any]) -> str:
    try:
        await work
    except OSError as error:
        return type(error).__name__
    return "it went well"


def test_many_at_once_through_one_connection_and_each_gets_its_own(tcp: bool) -> None:
    async def story() -> None:
        async with listening(tcp, echo) as (backend, address):

            async def one_of_many(number: int) -> None:
                one = await connect(address)
                for turn in range(5):
                    await one.write({"number": number, "turn": turn, "pad": "x" * (number * 1000)})
                    assert (await one.read())["number"] == number
                await one.close()

            async with asyncio.TaskGroup() as group:
                for number in range(40):
                    group.create_task(one_of_many(number))
            process = await backend.office.process(None)
            assert sum(len(links) for links in process._links.values()) == 1

    asyncio.run(story())


def test_listeners_of_one_process_are_told_apart_and_a_stopped_one_takes_no_more(tcp: bool) -> None:
    async def story() -> None:
        async def say_two(one: Comm) -> None:
            await one.write("two")

        async with listening(tcp, echo) as (_, first):
            second = await listen("servent://", say_two)
            assert second.contact_address != first
            one = await connect(second.contact_address)
            assert await one.read() == "two"
            await one.close()
            second.stop()
            with pytest.raises(OSError):
                await connect(second.contact_address, timeout=0.5)
            one = await connect(first)
            await one.write("one")
            assert await one.read() == "one"
            await one.close()

    asyncio.run(story())


def test_a_handler_that_fails_ends_its_comm_and_nothing_else(
    tcp: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async def fail(one: Comm) -> None:
            if await one.read() == "fail":
                raise ZeroDivisionError("a bug of whoever listens")
            await one.write("well")

        async with listening(tcp, fail) as (_, address):
            one = await connect(address)
            await one.write("fail")
            with pytest.raises(CommClosedError):
                await one.read()
            one = await connect(address)
            await one.write("go on")
            assert await one.read() == "well"
            await one.close()

    asyncio.run(story())
    assert "a bug of whoever listens" in caplog.text
    caplog.clear()


def test_bytes_that_are_no_message_end_the_comm(tcp: bool) -> None:
    async def story() -> None:
        async with listening(tcp, echo) as (_, address):
            one = await connect(address)
            await _raw(one, (2**62).to_bytes(8, "little") + b"x" * 100)
            with pytest.raises(OSError):
                await one.read()
            one.abort()
            two = await connect(address)
            await two.write("still here")
            assert await two.read() == "still here"
            await two.close()

    asyncio.run(story())


async def _raw(one: Comm, data: bytes) -> None:
    if isinstance(one, LaneComm):
        assert one.stream is not None
        await one.stream.write(data)
    else:
        assert isinstance(one, ServentComm)
        assert one._stream is not None
        await one._stream.write(data)
