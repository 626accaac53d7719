"""The relay with real sockets on loopback, and with real iroh."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from servent.errors import WorldError
from servent.identity import Identity
from servent.net.relay import frames
from servent.net.relay.frames import Kind
from servent.net.relay.server import RelayServer
from servent.net.relay.settings import RelaySettings
from tests.net.party import until

ANN, BOB, CAT = (Identity(bytes(31) + bytes([n])) for n in (1, 2, 3))

clients: list[ClientConnection] = []  # of the running test; closed with its relay


@contextlib.asynccontextmanager
async def running(**limits: object) -> AsyncIterator[RelayServer]:
    known = {"hosts": ("127.0.0.1",), "port": 0} | limits
    relay = RelayServer(RelaySettings(**known))  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        await relay.ready.wait()
        try:
            yield relay
        finally:
            await relay.close()
            for client in clients:
                client.transport.abort()
            clients.clear()
            await asyncio.sleep(0.02)


def url(relay: RelayServer) -> str:
    return relay.urls[0].replace("http", "ws") + "/relay"


async def enter(relay: RelayServer, who: Identity, protocol: str = frames.V2) -> ClientConnection:
    client = await connect(url(relay), subprotocols=[protocol], compression=None, max_queue=None)  # type: ignore[list-item]
    clients.append(client)
    challenge = await client.recv()
    assert isinstance(challenge, bytes)
    await client.send(frames.auth(who.peer, who.sign(frames.to_sign(challenge[1:]))))
    assert await client.recv() == bytes([Kind.CONFIRMS])
    return client


def datagram(to: Identity, payload: bytes) -> bytes:
    return bytes([Kind.DATAGRAM_IN]) + to.peer + b"\x00" + payload


def payload(message: object) -> bytes:
    assert isinstance(message, bytes) and message[0] == Kind.DATAGRAM_OUT
    return message[34:]


@pytest.mark.parametrize("protocol", frames.PROTOCOLS)
def test_two_clients_exchange_datagrams_of_every_size(protocol: str) -> None:
    async def main() -> None:
        async with running() as relay:
            ann, bob = await enter(relay, ANN, protocol), await enter(relay, BOB, protocol)
            for size in (1, 90, 91, 92, 1200, 65_000, frames.MAX_PACKET_BYTES - 40):
                await ann.send(datagram(BOB, bytes(size)))
                assert payload(await bob.recv()) == bytes(size)
            await ann.send(bytes([Kind.PING]) + b"12345678")
            assert await ann.recv() == bytes([Kind.PONG]) + b"12345678"
            assert relay.view().datagrams == 7

    asyncio.run(main())


def test_probes_over_plain_http_are_answered() -> None:
    async def main() -> None:
        async with running() as relay, httpx.AsyncClient(base_url=relay.urls[0]) as web:
            assert (await web.get("/ping")).status_code == 200
            probe = await web.get("/generate_204", headers={"X-Iroh-Challenge": "ts_relay.example"})
            assert (probe.status_code, probe.headers["X-Iroh-Response"]) == (204, "response ts_relay.example")
            assert (
                "X-Iroh-Response"
                not in (await web.get("/generate_204", headers={"X-Iroh-Challenge": "a b"})).headers
            )
            assert (await web.get("/relay")).status_code == 426
            assert (await web.get("/nothing")).status_code == 404
            await until(lambda: relay.view().connections == 0)

    asyncio.run(main())


def test_it_serves_ipv4_and_ipv6() -> None:
    async def main() -> None:
        async with running(hosts=("127.0.0.1", "::1")) as relay:
            assert len(relay.urls) == 2 and "[::1]" in relay.urls[1]
            async with httpx.AsyncClient() as web:
                for base in relay.urls:
                    assert (await web.get(base + "/ping")).status_code == 200

    asyncio.run(main())


def test_a_wrong_signature_is_answered_with_a_refusal_and_the_door() -> None:
    async def main() -> None:
        async with running() as relay:
            client = await connect(url(relay), subprotocols=[frames.V2], compression=None)  # type: ignore[list-item]
            clients.append(client)
            await client.recv()
            await client.send(frames.auth(BOB.peer, ANN.sign(b"something else")))
            denial = await client.recv()
            assert isinstance(denial, bytes) and denial[0] == Kind.DENIES
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert relay.view().refused == {"bad signature": 1}

    asyncio.run(main())


@pytest.mark.parametrize(
    "junk",
    [b"\x04short", b"\x0d\x01", bytes([Kind.DATAGRAM_IN]) + bytes(frames.MAX_FRAME_BYTES + 1), "text", b""],
)  # fmt: skip
def test_a_bad_frame_ends_its_sender_and_nobody_else(junk: bytes | str) -> None:
    async def main() -> None:
        async with running() as relay:
            ann, bob, cat = await enter(relay, ANN), await enter(relay, BOB), await enter(relay, CAT)
            await cat.send(junk)
            with pytest.raises(ConnectionClosed):
                await cat.recv()
            await ann.send(datagram(BOB, b"still here"))
            assert payload(await bob.recv()) == b"still here"
            await until(lambda: relay.view().connections == 2)

    asyncio.run(main())


@pytest.mark.parametrize(
    "junk", [b"\xff\xff\xff", b"\x81\x01a", b"GET / HTTP/1.1\r\n\r\n", b"\x88\x00" * 9, bytes(500)]
)
def test_junk_right_behind_the_handshake_is_no_traceback(
    junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    hand = (
        b"GET /relay HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: iroh-relay-v1\r\n\r\n"
    )

    async def story() -> None:
        async with running() as relay:
            for head in (hand, hand.replace(b"/relay", b"/ping"), hand.replace(b"iroh-relay-v1", b"chat")):
                reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
                writer.write(head + junk)
                writer.write_eof()
                async with asyncio.timeout(60):
                    with contextlib.suppress(ConnectionError):
                        await reader.read()
                writer.close()
            await enter(relay, ANN)
            assert relay.view().clients == 1

    asyncio.run(story())
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_the_newest_connection_of_a_key_receives() -> None:
    async def main() -> None:
        async with running() as relay:
            ann, old = await enter(relay, ANN), await enter(relay, BOB)
            new = await enter(relay, BOB)
            assert await old.recv() == b"\x0d\x01"
            await ann.send(datagram(BOB, b"to the new one"))
            assert payload(await new.recv()) == b"to the new one"
            await new.close()
            assert await old.recv() == b"\x0d\x00"

    asyncio.run(main())


async def deaf(relay: RelayServer, ann: ClientConnection) -> ClientConnection:
    """Cat, who reads nothing, and is sent more than is kept for anybody."""
    client = await enter(relay, CAT)
    client.transport.pause_reading()
    for _ in range(400):
        await ann.send(datagram(CAT, bytes(60_000)))
    return client


def test_a_client_that_reads_nothing_never_stalls_others() -> None:
    async def main() -> None:
        async with running(write_time=3600.0, rate_bytes_per_s=None) as relay:
            ann, bob = await enter(relay, ANN), await enter(relay, BOB)
            dead = await deaf(relay, ann)
            await ann.send(datagram(BOB, b"quick"))
            assert payload(await bob.recv()) == b"quick"
            assert relay.view().clients == 3
            assert relay.view().dropped_full > 0
            assert relay.view().queued_bytes <= relay.settings.queue_bytes
            dead.transport.abort()

    asyncio.run(main())


def test_a_client_that_reads_nothing_is_dropped() -> None:
    async def main() -> None:
        async with running(write_time=0.5, rate_bytes_per_s=None) as relay:
            ann = await enter(relay, ANN)
            dead = await deaf(relay, ann)
            await until(lambda: relay.view().refused == {"takes nothing": 1})
            await until(lambda: relay.view().clients == 1)
            dead.transport.abort()

    asyncio.run(main())


def test_a_client_over_its_rate_is_slowed_not_cut() -> None:
    async def main() -> None:
        async with running(rate_bytes_per_s=400_000, burst_bytes=50_000) as relay:
            ann, bob = await enter(relay, ANN), await enter(relay, BOB)
            before = asyncio.get_running_loop().time()
            for _ in range(5):
                await ann.send(datagram(BOB, bytes(50_000)))
            for _ in range(5):
                payload(await bob.recv())
            await ann.send(datagram(BOB, b"later"))
            assert payload(await bob.recv()) == b"later"
            assert asyncio.get_running_loop().time() - before > 0.3

    asyncio.run(main())


def test_who_connects_and_says_nothing_is_sent_away() -> None:
    async def main() -> None:
        async with running(handshake_time=0.2) as relay:
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writer.write(b"GET /relay HT")
            assert await reader.read() == b""
            writer.close()
            assert relay.view().refused == {"no key proven in time": 1}

    asyncio.run(main())


def test_a_flood_of_connections_leaves_the_clients_alone() -> None:
    async def main() -> None:
        async with running(clients_per_address=8) as relay:
            ann, bob = await enter(relay, ANN), await enter(relay, BOB)
            sockets = []
            for number in range(300):
                await asyncio.sleep(0)
                sock = socket.create_connection(("127.0.0.1", relay.port), timeout=30)
                with contextlib.suppress(OSError):
                    sock.sendall(
                        b"\x16\x03\x01 this is no HTTP \x00\xff\r\n\r\n" if number % 2 else b"GET /re"
                    )
                sockets.append(sock)
            await ann.send(datagram(BOB, b"calm"))
            assert payload(await bob.recv()) == b"calm"
            for sock in sockets:
                sock.close()
            await until(lambda: relay.view().connections == 2)
            view = relay.view()
            assert view.refused["too many from one address"] > 200

    asyncio.run(main())


def test_closing_waits_for_nobody_and_leaves_no_socket() -> None:
    async def main() -> None:
        async with running(write_time=3600.0) as relay:
            ann = await enter(relay, ANN)
            stubborn = await enter(relay, BOB)
            stubborn.transport.pause_reading()
            await relay.close()
            goodbye = await ann.recv()
            assert isinstance(goodbye, bytes) and goodbye[0] == Kind.RESTARTING
            await until(lambda: relay.view().connections == 0)
            stubborn.transport.abort()
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", relay.port), timeout=30)

    asyncio.run(main())


def test_a_taken_port_is_a_world_error_with_advice() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            relay = RelayServer(RelaySettings(hosts=("127.0.0.1",), port=taken.getsockname()[1]))
            with pytest.raises(WorldError) as caught:
                await relay.run()
            assert "port" in caught.value.advice

    asyncio.run(main())


@pytest.mark.real
def test_two_iroh_endpoints_find_each_other_knowing_only_the_relay() -> None:
    """(That all their bytes can go through it is shown where UDP is blocked: tests/natlab, noudp-noudp.)"""
    iroh = pytest.importorskip("iroh")

    async def endpoint(relay_url: str, host: str) -> object:
        relays = iroh.RelayMap.empty()
        relays.insert(iroh.RelayConfig(url=relay_url, quic_port=None))
        made = await iroh.Endpoint.bind(
            iroh.EndpointOptions(
                preset=iroh.preset_minimal(),
                alpns=[b"relay-test/1"],
                relay_mode=iroh.RelayMode.custom(relays),
                bind_addr=f"{host}:0",
            )
        )
        async with asyncio.timeout(60):
            await made.online()
        return made

    async def echo(end: object) -> None:
        incoming = await end.accept_next()  # type: ignore[attr-defined]
        connection = await (await incoming.accept()).connect()
        stream = await connection.accept_bi()
        while data := await stream.recv().read(1 << 16):
            await stream.send().write_all(data)
        await stream.send().finish()
        await connection.closed()

    async def main() -> None:
        async with running(hosts=("127.0.0.1", "::1")) as relay:
            ann = await endpoint(relay.urls[0], "127.0.0.1")
            bob = await endpoint(relay.urls[1], "[::1]")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(echo(bob))
                where = iroh.EndpointAddr(bob.id(), relay.urls[0], [])  # type: ignore[attr-defined]
                connection = await ann.connect(where, b"relay-test/1")  # type: ignore[attr-defined]
                stream = await connection.open_bi()
                await stream.send().write_all(bytes(200_000))
                await stream.send().finish()
                back = 0
                while data := await stream.recv().read(1 << 16):
                    back += len(data)
                assert back == 200_000
                assert any(path.is_relay for path in connection.paths())
                connection.close(0, b"done")
            assert relay.view().bytes_relayed > 2000
            assert relay.view().clients == 2
            await ann.close()  # type: ignore[attr-defined]
            await bob.close()  # type: ignore[attr-defined]

    asyncio.run(main())
