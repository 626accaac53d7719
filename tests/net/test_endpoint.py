"""What the real endpoint does beyond the promises of `net.links`."""

import asyncio
import gc
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from servent.errors import ConnectionLost, Refused, Unreachable, UsageError, WorldError
from servent.identity import Identity
from servent.net import endpoint as endpoints
from servent.net import fastffi, quic
from servent.net.addresses import good_addresses, join_address, parse_address
from servent.net.endpoint import IrohEndpoint, bind, normal_relay
from servent.net.links import PeerAddress
from servent.net.relay.server import RelayServer
from servent.net.relay.settings import RelaySettings
from tests.net.party import until

pytestmark = pytest.mark.real

ANN, BOB, EVE = Identity(b"a" * 32), Identity(b"b" * 32), Identity(b"e" * 32)
LOCAL = ["127.0.0.1:0", "[::1]:0"]
WAIT = 30.0  # s; patience for what should take milliseconds


def sockets() -> set[str]:
    """The sockets this process has open, by name: those of tests before go while we count."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


async def never(work: asyncio.Future[object] | object, wait: float = 0.3) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(wait):
            await work  # type: ignore[misc]


# binding


def test_one_address_of_each_family_can_be_bound() -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        ann = await bind(ANN, bind=[f"127.0.0.1:{port}", "[::1]:0"])
        assert ann.local_addresses()[0] == f"127.0.0.1:{port}"
        assert ann.local_addresses()[1].startswith("[::1]:")
        assert set(ann.local_addresses()) <= set(ann.address().addresses)
        await ann.close()

    asyncio.run(main())


@pytest.mark.parametrize("wrong", ["nonsense", "127.0.0.1", "127.0.0.1:99999", "::1:80", "localhost:1"])
def test_what_is_no_address_is_refused_in_words(wrong: str) -> None:
    with pytest.raises(UsageError, match="no address like"):
        asyncio.run(bind(ANN, bind=[wrong]))


def test_two_addresses_of_one_family_are_refused() -> None:
    with pytest.raises(UsageError, match="one IPv4"):
        asyncio.run(bind(ANN, bind=["127.0.0.1:0", "127.0.0.2:0"]))


def test_a_port_that_is_taken_is_named_without_paths_of_the_build_machine() -> None:
    async def main() -> None:
        ann = await bind(ANN, bind=["127.0.0.1:0"])
        with pytest.raises(WorldError) as caught:
            await bind(BOB, bind=[ann.local_addresses()[0]])
        assert str(caught.value).startswith(
            f"cannot listen on {ann.local_addresses()[0]}: Address already in use"
        )
        assert ".rs" not in str(caught.value)
        assert caught.value.advice
        await ann.close()

    asyncio.run(main())


def test_a_relay_url_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="relay"):
        asyncio.run(bind(ANN, relays=["not a url"]))


def test_an_endpoint_is_found_on_a_machine_that_binds_everything() -> None:
    async def main() -> None:
        ann, bob = await bind(ANN), await bind(BOB)
        assert bob.local_addresses()
        dialed = await ann.connect(PeerAddress(BOB.peer, addresses=tuple(bob.local_addresses())), WAIT)
        assert dialed.peer == BOB.peer
        await ann.close()
        await bob.close()

    asyncio.run(main())


# closing


def test_a_closed_endpoint_leaves_no_task_no_socket_and_no_thread_of_ours() -> None:
    async def main() -> None:
        before, threads = sockets(), set(threading.enumerate())
        ann, bob = await bind(ANN, bind=LOCAL), await bind(BOB, bind=LOCAL)
        dialed = await ann.connect(bob.address(), WAIT)
        assert sockets() > before
        near = await dialed.open()
        await near.write(b"x")
        accepted = await bob.accept()
        far = await accepted.accept()
        await never(far.read_exactly(9), 0.01)
        await never(accepted.read_datagram(), 0.01)
        await ann.close()
        await bob.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await until(lambda: sockets() <= before)  # iroh's own threads close them when they get a turn
        await until(lambda: set(threading.enumerate()) <= threads)
        for work in (far.read(1), near.write(b"x"), dialed.open(), accepted.accept()):
            with pytest.raises(ConnectionLost):
                await work
        assert list(dialed.paths()) == []
        assert await dialed.wait_closed()
        assert ann.address() == PeerAddress(ANN.peer)

    gc.collect()
    asyncio.run(main())


def test_a_forgotten_stream_and_connection_leave_no_call_behind() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def calls() -> int:
            return sum(call.loop is loop for call in list(fastffi._calls.values()))

        ann, bob = await bind(ANN, bind=LOCAL), await bind(BOB, bind=LOCAL)
        dialed = await ann.connect(bob.address(), WAIT)
        accepted = await bob.accept()
        await until(lambda: calls() == 2, step=0.01)  # each endpoint waits for arrivals
        stream = await dialed.open()
        await never(stream.read(1), 0.01)
        await never(accepted.read_datagram(), 0.01)
        assert calls() == 4
        del stream, dialed, accepted
        await until(lambda: calls() == 2, step=0.01)
        await ann.close()
        await bob.close()
        assert not calls()

    asyncio.run(main())


def test_closing_does_not_wait_for_peers_that_never_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """iroh itself would for 3 s; that it was ours who had enough is told by the log, whatever the machine does."""
    monkeypatch.setattr(endpoints, "CLOSE_TIME", 0.1)
    caplog.set_level("DEBUG", "servent.net.endpoint")

    async def main() -> None:
        ann = await bind(ANN, bind=LOCAL)
        for _ in range(3):
            with pytest.raises(Unreachable):
                await ann.connect(PeerAddress(EVE.peer, addresses=("127.0.0.1:9",)), 0.1)
        await ann.close()
        assert "did not say goodbye in 0.1 s" in caplog.text

    asyncio.run(main())


def test_a_program_that_never_closes_its_endpoint_still_ends_quietly(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from servent.identity import Identity
from servent.net.endpoint import bind, normal_relay
async def main():
    ann = await bind(Identity(bytes(32)), bind=["127.0.0.1:0"])
    bob = await bind(Identity(b"b" * 32), bind=["127.0.0.1:0"])
    dialed = await ann.connect(bob.address(), 30)
    accepted = await bob.accept()
    for work in (dialed.accept(), accepted.read_datagram(), bob.accept()):
        try:
            async with asyncio.timeout(0.01):
                await work
        except TimeoutError:
            pass
    print("ready", flush=True)
    if sys.argv[1] == "wait":
        await asyncio.sleep(300)
asyncio.run(main())
"""
    path = tmp_path / "program.py"
    path.write_text(program)
    for how in ("end", "wait"):
        with subprocess.Popen(
            [sys.executable, str(path), how], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            if how == "wait":
                process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=2 * WAIT)
        assert "FATAL" not in said
        assert process.returncode == (0 if how == "end" else -signal.SIGINT), said


# hostile company


def test_silent_and_senseless_packets_do_not_keep_others_from_connecting() -> None:
    async def main() -> None:
        ann, bob = await bind(ANN, bind=LOCAL), await bind(BOB, bind=LOCAL)
        host, port = parse_address(bob.local_addresses()[0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
            for number in range(2000):
                noise.sendto(os.urandom(1 + number % 1400), (str(host), port))
                noise.sendto(
                    b"\xc3\0\0\0\1" + os.urandom(1195), (str(host), port)
                )  # QUIC Initials that are none
        async with asyncio.timeout(WAIT):
            dialed = await ann.connect(bob.address(), WAIT)
            assert (await bob.accept()).peer == ANN.peer
        assert dialed.peer == BOB.peer
        await ann.close()
        await bob.close()

    asyncio.run(main())


def test_a_handshake_that_hangs_ends_by_itself_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """More handshakes hang than wait in line at once; newcomers get through all the time."""
    hanging = asyncio.Event()

    class Hanging:
        async def accept(self) -> None:
            await hanging.wait()

        async def refuse(self) -> None: ...

    async def main() -> None:
        ann, bob = await bind(ANN, bind=LOCAL), await bind(BOB, bind=LOCAL)
        many = endpoints.HANDSHAKES_CALM + 5

        def shake(group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
            bob._shaking += many
            return [group.create_task(bob._shake(Hanging())) for _ in range(many)]  # type: ignore[arg-type]

        async with asyncio.TaskGroup() as group:
            monkeypatch.setattr(endpoints, "HANDSHAKE_TIME", 3600.0)
            tasks = shake(group)
            dialed = await ann.connect(bob.address(), WAIT)  # through a retry, which proves its address
            assert (await bob.accept()).peer == ANN.peer
            assert bob._shaking == many
            for task in tasks:
                task.cancel()
        async with asyncio.TaskGroup() as group:
            monkeypatch.setattr(endpoints, "HANDSHAKE_TIME", 0.1)
            shake(group)
        assert bob._shaking == 0
        assert bob.refused == many
        assert dialed.peer == BOB.peer
        await ann.close()
        await bob.close()

    asyncio.run(main())


def test_who_comes_while_all_hands_are_full_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        ann, bob = await bind(ANN, bind=LOCAL), await bind(BOB, bind=LOCAL)
        bob._shaking = endpoints.HANDSHAKES_MOST
        with pytest.raises(Refused) as caught:
            await ann.connect(bob.address(), WAIT)
        assert BOB.peer.short in str(caught.value)
        assert ".rs" not in str(caught.value)
        bob._shaking = 0
        await ann.connect(bob.address(), WAIT)
        await ann.close()
        await bob.close()

    asyncio.run(main())


def test_another_protocol_is_refused() -> None:
    async def main() -> None:
        ann, bob = await bind(ANN, bind=LOCAL, alpn=b"other/1"), await bind(BOB, bind=LOCAL)
        with pytest.raises((Refused, Unreachable)):
            await ann.connect(bob.address(), WAIT)
        await never(bob.accept())
        assert bob.refused == 1
        await ann.close()
        await bob.close()

    asyncio.run(main())


def test_hostile_addresses_are_left_out_and_the_good_one_is_used() -> None:
    async def main() -> None:
        ann, bob = await bind(ANN, bind=LOCAL), await bind(BOB, bind=LOCAL)
        good = bob.local_addresses()[0]
        wrong = ("nonsense", "0.0.0.0:1", "224.0.0.1:5", "127.0.0.1:0", "[::]:7", "x" * 5000)
        dialed = await ann.connect(PeerAddress(BOB.peer, addresses=(*wrong, good)), WAIT)
        assert dialed.peer == BOB.peer
        await ann.announce(wrong)
        again = await ann.connect(PeerAddress(BOB.peer, relay="no url", addresses=(good,)), WAIT)
        assert again.peer == BOB.peer
        await ann.close()
        await bob.close()

    asyncio.run(main())


def test_the_loop_stays_awake_while_a_lot_of_data_flows() -> None:
    async def main() -> None:
        ann, bob = await bind(ANN, bind=LOCAL), await bind(BOB, bind=LOCAL)
        near = await (await ann.connect(bob.address(), WAIT)).open()
        await near.write(b"x")
        far = await (await bob.accept()).accept()
        gaps: list[float] = []

        async def watch() -> None:
            while True:
                began = time.perf_counter()
                await asyncio.sleep(0)
                gaps.append(time.perf_counter() - began)

        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch())
            group.create_task(near.write(bytes(40 << 20)))
            await far.read_exactly(40 << 20)
            watching.cancel()
        gaps.sort()
        assert gaps[len(gaps) * 99 // 100] < 0.1  # generous: this machine may be busy
        await ann.close()
        await bob.close()

    asyncio.run(main())


# relays


async def relay_at(group: asyncio.TaskGroup) -> tuple[RelayServer, str]:
    server = RelayServer(RelaySettings(hosts=("127.0.0.1",), port=0))
    group.create_task(server.run())
    await server.ready.wait()
    return server, server.urls[0]


async def home(endpoint: IrohEndpoint, url: str | None) -> None:
    async with asyncio.timeout(WAIT):
        while (found := endpoint.address().relay) != (url and url.rstrip("/") + "/"):
            await asyncio.sleep(0.02)
            assert found is None or found.startswith("http")


def test_a_peer_is_reached_through_a_relay_that_is_taken_on_while_running() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            server, url = await relay_at(group)
            ann, bob = await bind(ANN, bind=LOCAL), await bind(BOB, bind=LOCAL, relays=[url])
            changed = asyncio.Event()
            ann.on_address_change(changed.set)
            await home(bob, url)
            assert ann.address().relay is None
            await ann.use_relays([url])
            await home(ann, url)
            async with asyncio.timeout(WAIT):
                await changed.wait()
            dialed = await ann.connect(PeerAddress(BOB.peer, relay=url), WAIT)
            accepted = await bob.accept()
            relayed = [path for path in dialed.paths() if path.kind == "relayed"]
            assert [path.address.rstrip("/") for path in relayed] == [url.rstrip("/")]
            stream = await dialed.open()
            await stream.write(b"over the relay")
            assert await (await accepted.accept()).read_exactly(14) == b"over the relay"
            await ann.use_relays([])
            await home(ann, None)
            with pytest.raises(UsageError):
                await ann.use_relays(["no url"])
            await ann.close()
            await bob.close()
            await server.close()

    asyncio.run(main())


# words


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (
            "ConnectError::Connect (/home/.cargo/src/endpoint.rs:1073:26)\nCaused by:\n    Endpoint is closed (/x/y.rs:1:2)",
            "Endpoint is closed",
        ),
        ("TooLarge", "TooLarge"),
        ("red \x1b[31m and\x07 loud", "red  [31m and  loud"),
        ("x" * 1000, "x" * 200),
        ("", "RuntimeError"),
    ],
)
def test_errors_lose_their_paths_and_their_colours(said: str, heard: str) -> None:
    assert quic.sentence(RuntimeError(said)) == heard


def test_paths_are_read_as_iroh_writes_them() -> None:
    assert quic.path_address("Ip(192.0.2.1:443)") == "192.0.2.1:443"
    assert quic.path_address("Ip([2001:db8::1]:443)") == "[2001:db8::1]:443"
    assert quic.path_address("Relay(https://relay.example/, ab12)") == "https://relay.example/"
    assert quic.path_address("something new") == "something new"


def test_addresses_survive_the_round_trip() -> None:
    for text in ("192.0.2.1:443", "[2001:db8::1]:1"):
        assert join_address(*parse_address(text)) == text
    assert [join_address(*found) for found in good_addresses(["1.2.3.4:5"] * 40)] == ["1.2.3.4:5"] * 16
    assert re.fullmatch(r"\[::1\]:9", join_address(*parse_address("[0:0::1]:9")))


def test_relays_are_compared_as_iroh_spells_them() -> None:
    assert normal_relay("http://[2001:db8:0::1]:443") == normal_relay("HTTP://[2001:db8::1]:443/")
    assert normal_relay("https://Relay.Example:443") == normal_relay("https://relay.example")
    with pytest.raises(UsageError):
        normal_relay("no relay at all")
