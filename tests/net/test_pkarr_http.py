"""Signed records over HTTP: our provider, our relay, and what a hostile server may say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage
from servent.identity import Identity
from servent.net import pkarr, pkarr_http
from servent.net.links import PeerAddress
from servent.net.pkarr_http import PkarrHttp, parse_answer
from servent.net.rendezvous import Found
from tests.net.test_relay_server import enter, running

ANN, BOB = (Identity(bytes([n]) * 32) for n in (1, 2))
WALL = 1_700_000_000.0


def provider(*bases: str, wall: Callable[[], float] = lambda: WALL) -> PkarrHttp:
    return PkarrHttp("relays", lambda: bases, wall=wall)


async def found(by: PkarrHttp, who: Identity) -> list[Found]:
    return [one async for one in by.resolve(who.peer)]


def test_what_is_published_at_our_relay_is_found_there() -> None:
    async def main() -> None:
        async with running() as relay:
            base, packet = relay.urls[0], pkarr.pack(PeerAddress(ANN.peer, "https://relay.example/", ()), 7)
            by = provider(base + "/")
            assert await by.publish(ANN, packet) == 1
            assert await found(by, ANN) == [Found(ANN.peer, int(WALL * 1e6), packet)]
            assert await found(by, BOB) == []
            assert await by.publish(ANN, packet, b"salt") == 0
            assert [one async for one in by.resolve(ANN.peer, b"salt")] == []
            await enter(relay, BOB)  # and a client of the relay gets in as before

    asyncio.run(main())


def test_another_http_client_writes_and_reads_the_same() -> None:
    async def main() -> None:
        async with running() as relay, httpx.AsyncClient() as client:
            place = f"{relay.urls[0]}/pkarr/{ANN.peer}"
            packet = pkarr.pack(PeerAddress(ANN.peer, None, ("192.0.2.1:1",)), 7)
            body = pkarr.close_item(ANN, 5, packet)
            assert (await client.get(place)).status_code == 404
            assert (await client.put(place, content=body)).status_code == 204
            got = await client.get(place)
            assert (got.status_code, got.content) == (200, body)
            assert got.headers["content-type"] == "application/pkarr.org/relays#payload"
            assert (await client.put(place, content=pkarr.close_item(ANN, 4, packet))).status_code == 409
            assert (await client.put(place, content=body[:-1] + b"x")).status_code == 400
            assert (await client.put(place, content=bytes(5000))).status_code == 413
            assert (await client.get(f"{relay.urls[0]}/pkarr/{'a' * 51}!")).status_code == 404
            assert (await client.get(f"{relay.urls[0]}/ping")).status_code == 200
            assert relay.view().connections <= 1  # each was one connection, and is over

    asyncio.run(main())


def test_a_clock_that_was_ahead_once_does_not_silence_us() -> None:
    async def main() -> None:
        async with running() as relay:
            base = relay.urls[0]
            assert await provider(base, wall=lambda: WALL + 86400).publish(ANN, b"of tomorrow") == 1
            by = provider(base)
            assert await by.publish(ANN, b"of today") == 1
            assert [one.value for one in await found(by, ANN)] == [b"of today"]

    asyncio.run(main())


def test_the_newest_of_several_relays_counts_and_dead_ones_cost_little() -> None:
    async def main() -> None:
        async with running() as one, running() as other:
            await provider(one.urls[0], wall=lambda: WALL - 10).publish(ANN, b"old")
            await provider(other.urls[0]).publish(ANN, b"new")
            by = provider(one.urls[0], "http://127.0.0.1:9", other.urls[0], "nonsense", "ftp://x", "http://[")
            assert (await found(by, ANN))[-1].value == b"new"
            assert await by.publish(BOB, b"me") == 2

    asyncio.run(main())


async def says(answer: bytes, ask: Callable[[str], object], slowly: bool = False) -> object:
    """What `ask(base)` makes of a server that says `answer` to everything."""

    async def host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n"))
        if slowly:
            for at in range(len(answer)):
                writer.write(answer[at : at + 1])
                await asyncio.sleep(0)
        else:
            writer.write(answer)
        writer.close()

    asked: list[bytes] = []
    server = await asyncio.start_server(host, "127.0.0.1", 0)
    async with server:
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return await ask(base), asked  # type: ignore[misc]


BODY = pkarr.close_item(ANN, 3, b"value")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
        b"HTTP/1.1 200 OK\r\n\r\n" + BODY,
        b"HTTP/1.0 200\r\n\r\n" + BODY,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%b\r\n%x;x=y\r\n%b\r\n0\r\n\r\n"
        % (BODY[:5], len(BODY) - 5, BODY[5:]),
    ],
)
@pytest.mark.parametrize("slowly", [False, True])
def test_answers_of_other_servers_are_understood(answer: bytes, slowly: bool) -> None:
    async def main() -> None:
        got, _ = await says(answer, lambda base: found(provider(base), ANN), slowly)  # type: ignore[misc]
        assert got == [Found(ANN.peer, 3, b"value")]

    asyncio.run(main())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff" * 100,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + BODY,
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + BODY,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + BODY,
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + BODY[:-1] + b"x",  # forged
        b"HTTP/1.1 200 OK\r\n\r\n" + bytes(200_000),
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    ],
)
def test_what_a_hostile_server_says_finds_nothing(answer: bytes) -> None:
    async def main() -> None:
        got, asked = await says(answer, lambda base: found(provider(base), ANN))  # type: ignore[misc]
        assert got == [] and len(asked) == 1

    asyncio.run(main())


def test_a_server_that_never_answers_is_waited_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pkarr_http, "ASK_TIME", 0.2)

    async def main() -> None:
        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(1000):  # until the other side has had enough
                pass
            writer.close()

        async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
            base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            assert await found(provider(base), ANN) == []
            assert await provider(base).publish(ANN, b"x") == 0
            await asyncio.sleep(0.05)

    asyncio.run(main())


def test_a_server_that_knows_nothing_of_it_is_left_alone_for_an_hour() -> None:
    async def main() -> None:
        async def twice(base: str) -> list[int]:
            by = provider(base)
            return [await by.publish(ANN, b"x"), await by.publish(ANN, b"y"), len(await found(by, ANN))]

        got, asked = await says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", twice)  # type: ignore[misc]
        assert got == [0, 0, 0] and len(asked) == 1

    asyncio.run(main())


@given(st.binary(max_size=400), st.booleans())
def test_whatever_comes_is_an_answer_or_refused(data: bytes, ended: bool) -> None:
    for whole in (data, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data):
        try:
            assert 0 <= parse_answer(whole, ended=ended).status < 1000
        except BadMessage:
            continue
