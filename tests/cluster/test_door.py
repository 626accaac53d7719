"""At a process's door, over real iroh and real TCP: friends come in, and of strangers not a byte of Dask's is read."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("distributed")

from distributed.comm import connect, listen
from distributed.comm.core import Comm, FatalCommClosedError
from tornado.iostream import IOStream

from servent.cluster import comm, door, lane, passes, wire
from servent.cluster import process as process_module
from servent.cluster.addresses import Place, parse
from servent.cluster.comm import ServentBackend
from servent.cluster.model import ALPN
from servent.cluster.office import Office, versions_here
from servent.cluster.process import Process
from servent.cluster.rosters import Member, Role
from servent.cluster.versions import Versions
from servent.codec import write_frame
from servent.errors import ConnectionLost
from servent.identity import Identity
from servent.net import endpoint as net_endpoint
from servent.net.endpoint import IrohEndpoint
from servent.net.quiet import Quiet
from servent.net.relay.server import RelayServer
from servent.net.relay.settings import RelaySettings
from tests.cluster.desks import BOB, EVE, LAB, TOLD, Lab, LocalDesk, Tells
from tests.net.party import until

pytestmark = pytest.mark.real


@asynccontextmanager
async def scheduler(lab: Lab, *, tcp: bool = True) -> AsyncIterator[tuple[ServentBackend, Place, list[Any]]]:
    """Ann's process listens as the scheduler, and keeps what it hears."""
    heard: list[Any] = []

    async def handle(one: Comm) -> None:
        try:
            while True:
                heard.append(await one.read())
                await one.write("heard")
        except OSError:
            pass

    backend = comm.set_up(LocalDesk(lab), cluster="lab", role="scheduler", tcp=tcp)
    listener = await listen("servent://", handle)
    place = parse(listener.contact_address)
    assert isinstance(place, Place)
    try:
        yield backend, place, heard
    finally:
        listener.stop()
        await backend.office.close()


def office(
    lab: Lab, node: Identity, role: Role, versions: Versions | None = None, *, past: float = 0.0
) -> Office:
    return Office(LocalDesk(lab, node, past=past), cluster="lab", role=role, versions=versions, tcp=False)


async def says(who: Office, place: Place, message: Any) -> Any:
    """What the scheduler answers `who`."""
    one = await comm.ServentConnector(who).connect(str(place).removeprefix("servent://"))
    try:
        await one.write(one.handshake_info())
        await one.read()
        await one.write(message)
        return await one.read()
    finally:
        one.abort()


async def process_of(backend: ServentBackend) -> Process:
    return await backend.office.process(None)


@asynccontextmanager
async def stranger(identity: Identity = EVE) -> AsyncIterator[IrohEndpoint]:
    end = await net_endpoint.bind(identity, bind=["127.0.0.1:0"], alpn=ALPN)
    try:
        yield end
    finally:
        await end.close()


async def dasks_own(message: Any) -> bytes:
    """`message` as Dask puts it on a stream, for the first listener."""
    parts, _ = comm._parts(await comm.to_frames(message, serializers=("pickle",)))  # type: ignore[no-untyped-call]
    return wire_start() + b"".join(bytes(part) for part in parts)


def wire_start() -> bytes:
    return (0).to_bytes(wire.LISTENER_BYTES, "big")


def test_a_members_pickle_is_loaded_so_the_next_tests_can_fail() -> None:
    async def story() -> None:
        lab = Lab(Member(bytes(BOB.peer), work=True, submit=True))
        async with scheduler(lab) as (_, place, heard):
            bob = office(lab, BOB, "client")
            TOLD.clear()
            assert await says(bob, place, Tells()) == "heard"
            await bob.close()
            assert TOLD == ["a pickle was loaded"]
            assert len(heard) == 1

    asyncio.run(story())


def test_of_a_stranger_nothing_is_unpickled_whatever_it_sends_first() -> None:
    async def story() -> None:
        lab = Lab()
        async with scheduler(lab) as (backend, place, heard):
            TOLD.clear()
            process = await process_of(backend)
            evil = await dasks_own({"op": "gather", "x": Tells()})
            for tries in range(1, 4):
                async with stranger() as end:
                    connection = await end.connect(place.where, 30.0)
                    with pytest.raises(ConnectionLost):
                        if tries == 2:  # says a good hello, but as nobody, and goes on at once
                            first = await connection.open()
                            hers = passes.issue(
                                EVE, LAB, EVE.peer, "client", asyncio.get_running_loop().time()
                            )
                            await write_frame(first, wire.Hello(hers, versions_here()))
                        for _ in range(3):  # streams without end, each with Dask's bytes
                            stream = await connection.open()
                            await stream.write(evil)
                        while True:
                            stream = await connection.open()
                            if tries == 3:
                                await stream.write(b"\xff" * 100)
                            await stream.read(1)
                            await connection.wait_closed()
                await until(lambda count=tries: process.turned_away == count)  # type: ignore[misc]
            assert (TOLD, heard) == ([], [])

    asyncio.run(story())


def test_a_stranger_on_tcp_says_no_secret_and_is_not_read() -> None:
    async def story() -> None:
        lab = Lab()
        async with scheduler(lab) as (backend, _, heard):
            TOLD.clear()
            process = await process_of(backend)
            assert process.door.tcp_port
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            reader, writer = await asyncio.open_connection("127.0.0.1", process.door.tcp_port, ssl=context)
            writer.write(bytes(wire.SECRET_BYTES) + await dasks_own({"x": Tells()}))
            assert await reader.read() == b""
            writer.close()
            assert (TOLD, heard) == ([], [])

    asyncio.run(story())


def test_strangers_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        lab = Lab()
        async with scheduler(lab) as (backend, place, _heard):
            process = await process_of(backend)
            process._quiet = Quiet(1e6)
            eve = office(lab, EVE, "client")
            for _ in range(3):
                with pytest.raises(FatalCommClosedError, match=r"let us in|not let in"):
                    await says(eve, place, "let me in")
            await until(lambda: process.turned_away == 3)
            await eve.close()

    asyncio.run(story())
    assert len([one for one in caplog.messages if "is not let in" in one]) == 1


def test_the_silent_on_tcp_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "WAITING_MOST", 3)
    monkeypatch.setattr(lane, "DIAL_TIME", 60.0)

    async def story() -> None:
        lab = Lab(Member(bytes(BOB.peer), work=True, submit=True))
        async with scheduler(lab) as (backend, place, _heard):
            port = (await process_of(backend)).door.tcp_port
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
            bob = office(lab, BOB, "client")
            one = await comm.ServentConnector(bob).connect(str(place).removeprefix("servent://"))
            assert isinstance(one, lane.LaneComm), "TCP was taken by those who say nothing"
            one.abort()
            for _, writer in silent:
                writer.close()
            await bob.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("node", "role", "past", "why"),
    [
        (EVE, "client", 0.0, "did not let us in|not let in"),
        (BOB, "client", 0.0, "may not submit in the cluster lab"),
        (BOB, "worker", 7200.0, "good at another time"),
    ],
)
def test_who_may_not_is_refused_for_good_and_a_member_is_told_why(
    node: Identity, role: Role, past: float, why: str
) -> None:
    async def story() -> None:
        lab = Lab(Member(bytes(BOB.peer), work=True, submit=False))
        async with scheduler(lab) as (_, place, heard):
            who = office(lab, node, role, past=past)
            with pytest.raises(FatalCommClosedError, match=why):
                await says(who, place, "let me in")
            await who.close()
            assert heard == []

    asyncio.run(story())


def test_who_was_added_a_moment_ago_comes_in_and_who_is_taken_off_is_sent_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passes, "LOOK_EVERY", 0.05)

    async def story(tcp: bool) -> None:
        lab = Lab()
        async with scheduler(lab, tcp=tcp) as (_, place, _heard):
            lab.change(Member(bytes(BOB.peer), work=True, submit=True))
            bob = office(lab, BOB, "client")
            one = await comm.ServentConnector(bob).connect(str(place).removeprefix("servent://"))
            await one.write(one.handshake_info())
            await one.read()
            await one.write("before")
            assert await one.read() == "heard"
            lab.change()
            with pytest.raises(OSError):
                await one.read()
            await bob.close()

    asyncio.run(story(True))
    asyncio.run(story(False))


def test_who_is_sent_away_while_tcp_is_dialed_is_not_spoken_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "DIAL_TIME", 60.0)

    async def story() -> None:
        lab = Lab(Member(bytes(BOB.peer), work=True))
        async with scheduler(lab) as (backend, _, _heard):
            ann = await process_of(backend)
            bob = Office(LocalDesk(lab, BOB), cluster="lab", role="worker")
            bobs = await bob.process(None)
            assert await lane.Lanes.open(bobs) is not None
            back = await bobs.listen(_echo_once)

            async def dial(*given: Any) -> IOStream | None:
                found = await lane.dial(*given)
                assert found is not None
                lab.change()
                await ann.standing.look()
                await ann._send_away()
                return found

            monkeypatch.setattr(comm, "dial", dial)
            with pytest.raises(FatalCommClosedError, match=r"no member|let us in|not let in"):
                await backend.get_connector().connect(str(back).removeprefix("servent://"))
            await bob.close()

    asyncio.run(story())


def test_who_breaks_off_at_the_door_keeps_no_tcp_connection_with_its_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else it would stay when it is taken off the list: what is not let in nobody sends away."""

    async def story() -> None:
        lab = Lab(Member(bytes(BOB.peer), submit=True))
        came = asyncio.Event()

        async def told(stream: Any, said: Any) -> None:
            await write_frame(stream, said)
            if isinstance(said, wire.Welcome):
                await came.wait()
                raise ConnectionLost("it goes while it is told")

        monkeypatch.setattr(door, "write_frame", told)
        async with scheduler(lab) as (_, place, heard), stranger(BOB) as end:
            connection = await end.connect(place.where, 30.0)
            first = await connection.open()
            his = passes.issue(BOB, LAB, BOB.peer, "client", time.time())
            await write_frame(first, wire.Hello(his, versions_here()))
            welcome = await wire.ANSWERS.read(first)
            assert isinstance(welcome, wire.Welcome) and welcome.lane is not None
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            reader, writer = await asyncio.open_connection("127.0.0.1", welcome.lane.port, ssl=context)
            writer.write(welcome.lane.secret + wire_start())
            assert await reader.read(1)  # Dask says its first word: it was taken
            came.set()
            async with asyncio.timeout(60):
                await reader.read()  # to the end
            writer.close()
            assert heard == []

    asyncio.run(story())


def test_other_versions_are_refused_with_what_to_install() -> None:
    async def story() -> None:
        lab = Lab(Member(bytes(BOB.peer), submit=True))
        here = versions_here()
        old = Versions(here.python, here.packages | {"distributed": "2020.1.0"})
        async with scheduler(lab) as (_, place, heard):
            bob = office(lab, BOB, "client", old)
            with pytest.raises(FatalCommClosedError) as caught:
                await says(bob, place, "hello")
            wanted = f"pip install 'distributed=={here.packages['distributed']}'"
            assert "the scheduler has distributed" in str(caught.value)
            assert wanted in str(caught.value)
            await bob.close()
            assert heard == []

    asyncio.run(story())


def test_whoever_answers_must_be_of_the_node_that_the_address_names() -> None:
    async def story() -> None:
        lab = Lab(Member(bytes(BOB.peer), submit=True))
        async with scheduler(lab) as (_, place, heard):
            bob = office(lab, BOB, "client")
            other = Place(place.process, BOB.peer, LAB, 0, place.hints)
            with pytest.raises(FatalCommClosedError, match="another node"):
                await says(bob, other, "hello")
            await bob.close()
            assert heard == []

    asyncio.run(story())


def test_a_clusters_name_leads_to_its_scheduler_and_says_so_when_it_does_not_run() -> None:
    async def story() -> None:
        lab = Lab()
        async with scheduler(lab):
            one = await connect("servent://lab")
            await one.write("by name")
            assert await one.read() == "heard"
            assert one.peer_address == "servent://lab"
            await one.close()
            lab.scheduler = ""
            with pytest.raises(OSError) as caught:
                await connect("servent://lab", timeout=0.3)
            assert "does not run" in str(caught.value.__cause__)
            with pytest.raises(FatalCommClosedError, match="no cluster nowhere here"):
                await connect("servent://nowhere")

    asyncio.run(story())


def test_where_tcp_leads_to_nobody_or_to_somebody_else_a_comm_is_a_stream() -> None:
    async def story() -> None:
        lab = Lab(Member(bytes(BOB.peer), submit=True))
        async with scheduler(lab) as (backend, place, heard):
            process = await process_of(backend)
            port = process.door.tcp_port
            bob = office(lab, BOB, "client")
            for where, digest in ((port, b"another certificate"), (1, b"nobody listens there")):
                process.door.offer(where, digest.ljust(32))
                bob = office(lab, BOB, "client")
                one = await comm.ServentConnector(bob).connect(str(place).removeprefix("servent://"))
                assert isinstance(one, comm.ServentComm)  # over QUIC then
                one.abort()
                await bob.close()
            assert heard == []

    asyncio.run(story())


def test_silent_strangers_at_the_door_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "STRANGERS_MOST", 4)

    async def story() -> None:
        lab = Lab(Member(bytes(BOB.peer), submit=True))
        async with scheduler(lab) as (backend, place, _), stranger() as end:
            process = await process_of(backend)
            silent = [await end.connect(place.where, 30.0) for _ in range(9)]
            await until(lambda: process.turned_away >= 5)
            assert len(process._at_door) <= 4
            bob = office(lab, BOB, "client")
            assert await says(bob, place, "let me in") == "heard"
            await bob.close()
            for connection in silent:
                await connection.close()

    asyncio.run(story())


def test_whose_address_nobody_has_is_reached_through_its_relay_or_over_what_it_dialed_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_module, "RELAY_TIME", 60.0)

    async def story(url: str) -> None:
        lab = Lab(Member(bytes(BOB.peer), work=True, submit=True))
        backend = comm.set_up(LocalDesk(lab, relays=[url]), cluster="lab", role="scheduler", tcp=False)
        heard: list[Any] = []

        async def handle(one: Comm) -> None:
            heard.append(await one.read())
            await one.write("heard")

        listener = await listen("servent://", handle)
        place = parse(listener.contact_address)
        assert isinstance(place, Place)
        assert place.relay is not None
        hidden = Place(place.process, place.node, place.cluster, 0, (), place.relay)
        bob = Office(LocalDesk(lab, BOB, relays=[url]), cluster="lab", role="worker", tcp=False)
        bobs = await bob.process(None)
        back = await bobs.listen(_echo_once)
        assert await says(bob, hidden, "through the relay") == "heard"
        unknown = Place(back.process, back.node, back.cluster)  # nobody knows where he is: he dialed
        one = await backend.get_connector().connect(str(unknown).removeprefix("servent://"))
        assert isinstance(one, comm.ServentComm)
        await one._stream.write(b"echo")  # type: ignore[union-attr]
        assert await one._stream.read_exactly(4) == b"echo"  # type: ignore[union-attr]
        one.abort()
        listener.stop()
        await bob.close()
        await backend.office.close()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            server = RelayServer(RelaySettings(hosts=("127.0.0.1",), port=0))
            group.create_task(server.run())
            await server.ready.wait()
            try:
                await story(server.urls[0])
            finally:
                await server.close()

    asyncio.run(main())


async def _echo_once(stream: Any, link: Any) -> None:
    await stream.write(await stream.read_exactly(4))
