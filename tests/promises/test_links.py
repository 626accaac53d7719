"""What every implementation of `net.links` promises; run against the simulated and the real network."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from servent.errors import ConnectionLost, Unreachable, UsageError
from servent.identity import Identity
from servent.net.endpoint import bind
from servent.net.links import Connection, Endpoint, PeerAddress, Stream
from servent.testing import loop
from servent.testing.simnet import SimNet
from tests.net.party import until

ANN, BOB, EVE = Identity(b"a" * 32), Identity(b"b" * 32), Identity(b"e" * 32)
Scenario = Callable[["Network"], Coroutine[Any, Any, None]]


class Network:
    """Makes endpoints of one implementation, and closes them."""

    def __init__(self, real: bool) -> None:
        self.real = real
        self.late = (
            30.0 if real else 0.5
        )  # s by which something may come too late: a busy machine is no broken promise
        self._simulated = SimNet(seed=1)
        self._open: list[Endpoint] = []

    async def endpoint(self, identity: Identity) -> Endpoint:
        found: Endpoint
        if self.real:
            found = await bind(identity, bind=["127.0.0.1:0", "[::1]:0"])
        else:
            found = self._simulated.endpoint(identity)
        self._open.append(found)
        return found

    def nobody(self) -> PeerAddress:
        """An address where no one answers."""
        return PeerAddress(EVE.peer, addresses=("127.0.0.1:9", "10.250.0.1:9"))

    @asynccontextmanager
    async def pair(self) -> AsyncIterator[tuple[Connection, Connection]]:
        """Ann's connection to Bob, and Bob's to Ann."""
        ann, bob = await self.endpoint(ANN), await self.endpoint(BOB)
        async with asyncio.TaskGroup() as group:
            accepting = group.create_task(bob.accept())
            dialed = await ann.connect(bob.address(), 60)
        yield dialed, accepting.result()

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[tuple[Stream, Stream]]:
        """Both ends of one stream; Bob has already read Ann's greeting."""
        async with self.pair() as (ann, bob):
            near = await ann.open()
            await near.write(b"hello")
            far = await bob.accept()
            assert await far.read_exactly(5) == b"hello"
            yield near, far

    async def close(self) -> None:
        for endpoint in self._open:
            await endpoint.close()


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.real)])
def play(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    real = request.param == "real"

    def run(scenario: Scenario) -> None:
        async def main() -> None:
            network = Network(real)
            try:
                await scenario(network)
            finally:
                await network.close()

        if real:
            asyncio.run(main())
        else:
            loop.run(main(), limit=3600.0)

    return run


Play = Callable[[Scenario], None]


# connections


def test_each_side_knows_the_others_proven_key_and_who_dialed(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.pair() as (ann, bob):
            assert (ann.peer, ann.dialed) == (BOB.peer, True)
            assert (bob.peer, bob.dialed) == (ANN.peer, False)

    play(scenario)


def test_whoever_answers_with_another_key_is_not_connected_to(play: Play) -> None:
    async def scenario(network: Network) -> None:
        ann, bob = await network.endpoint(ANN), await network.endpoint(BOB)
        with pytest.raises(Unreachable):
            await ann.connect(PeerAddress(EVE.peer, addresses=bob.address().addresses), 1.0)

    play(scenario)


def test_a_peer_that_is_not_there_is_unreachable_in_time(play: Play) -> None:
    async def scenario(network: Network) -> None:
        ann = await network.endpoint(ANN)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unreachable) as caught:
            await ann.connect(network.nobody(), 1.0)
        assert 0.9 <= asyncio.get_running_loop().time() - began < 1.0 + network.late
        assert caught.value.peer == EVE.peer.short
        assert 0.9 <= caught.value.waited < 1.0 + network.late
        assert caught.value.tried == ["direct"]

    play(scenario)


def test_a_node_does_not_connect_to_itself(play: Play) -> None:
    async def scenario(network: Network) -> None:
        ann = await network.endpoint(ANN)
        with pytest.raises(UsageError):
            await ann.connect(ann.address(), 1.0)

    play(scenario)


def test_two_that_dial_each_other_at_once_both_get_through(play: Play) -> None:
    async def scenario(network: Network) -> None:
        ann, bob = await network.endpoint(ANN), await network.endpoint(BOB)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(ann.connect(bob.address(), 10)),
                group.create_task(bob.connect(ann.address(), 10)),
                group.create_task(ann.accept()),
                group.create_task(bob.accept()),
            ]
        assert [task.result().peer for task in tasks] == [BOB.peer, ANN.peer, BOB.peer, ANN.peer]

    play(scenario)


def test_many_dial_one_at_once(play: Play) -> None:
    async def scenario(network: Network) -> None:
        bob = await network.endpoint(BOB)
        others = [await network.endpoint(Identity(bytes([n]) * 32)) for n in range(1, 9)]

        async def talk(endpoint: Endpoint) -> bytes:
            stream = await (await endpoint.connect(bob.address(), 10)).open()
            await stream.write(endpoint.peer)
            await stream.finish()
            return await stream.read_exactly(32)

        async def answer(connection: Connection) -> None:
            stream = await connection.accept()
            assert await stream.read_exactly(32) == connection.peer
            await stream.write(connection.peer)
            await stream.finish()

        async with asyncio.TaskGroup() as group:
            talks = [group.create_task(talk(endpoint)) for endpoint in others]
            kept = [await bob.accept() for _ in others]
            for connection in kept:
                group.create_task(answer(connection))
        assert [talk.result() for talk in talks] == [endpoint.peer for endpoint in others]

    play(scenario)


def test_a_connection_on_one_machine_has_one_selected_direct_path(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.pair() as (ann, bob), asyncio.timeout(60):
            for connection in (ann, bob):
                while len(selected := [path for path in connection.paths() if path.selected]) != 1:
                    await asyncio.sleep(0.01)
                path = selected[0]
                assert path.kind == "direct"
                assert path.address.rpartition(":")[0]
            await ann.close()
            assert list(ann.paths()) == []

    play(scenario)


# streams


def test_bytes_arrive_in_order_in_both_directions_at_once(play: Play) -> None:
    there, back = bytes(range(256)) * 12_000, bytes(reversed(range(256))) * 12_000

    async def scenario(network: Network) -> None:
        async with network.streams() as (near, far), asyncio.TaskGroup() as group:
            group.create_task(near.write(there))
            group.create_task(far.write(back))
            first = group.create_task(far.read_exactly(len(there)))
            second = group.create_task(near.read_exactly(len(back)))
            await asyncio.wait([first, second])
            assert first.result() == there
            assert second.result() == back

    play(scenario)


def test_any_buffer_of_bytes_can_be_written(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.streams() as (near, far):
            block = bytes(range(256)) * 8192  # 2 MiB
            for data in (b"", b"x", bytearray(b"yz"), memoryview(block)[3:-1], memoryview(bytearray(block))):
                async with asyncio.TaskGroup() as group:
                    group.create_task(near.write(data))
                    assert await far.read_exactly(len(data)) == bytes(data)

    play(scenario)


def test_a_finished_stream_reads_as_ended_and_the_other_direction_goes_on(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.streams() as (near, far):
            await near.write(b"last words")
            await near.finish()
            assert await far.read_exactly(10) == b"last words"
            assert await far.read(100) == b""
            assert await far.read(100) == b""
            await far.write(b"understood")
            assert await near.read_exactly(10) == b"understood"
            with pytest.raises(ConnectionLost):
                await near.write(b"one more thing")

    play(scenario)


def test_a_stream_that_ends_early_breaks_an_exact_read(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.streams() as (near, far):
            await near.write(b"12345")
            await near.finish()
            with pytest.raises(ConnectionLost):
                await far.read_exactly(6)

    play(scenario)


def test_a_read_gives_what_is_there_and_never_more_than_asked(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.streams() as (near, far):
            await near.write(b"123456789")
            got = b""
            while len(got) < 9:
                part = await far.read(4)
                assert 1 <= len(part) <= 4
                got += part
            assert got == b"123456789"

    play(scenario)


def test_a_reset_stream_is_lost_to_both_and_the_connection_lives_on(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.pair() as (ann, bob):
            near = await ann.open()
            await near.write(b"hello")
            far = await bob.accept()
            await near.reset(7)
            await near.reset(7)
            for broken in (near.read(1), near.write(b"x"), near.finish()):
                with pytest.raises(ConnectionLost):
                    await broken
            with pytest.raises(ConnectionLost, match="7"):
                while await far.read(100):
                    pass
            with pytest.raises(ConnectionLost):
                for _ in range(3000):
                    await far.write(b"x" * 100_000)
                    await asyncio.sleep(0.01)
            again = await ann.open()
            await again.write(b"still here")
            assert await (await bob.accept()).read_exactly(10) == b"still here"

    play(scenario)


def test_a_reset_wakes_our_own_reader_and_writer(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.streams() as (near, _), asyncio.TaskGroup() as group:
            group.create_task(_lost(near.read(10)))
            group.create_task(_lost(near.write(bytes(64 << 20))))
            await asyncio.sleep(0.2)
            await near.reset()

    play(scenario)


def test_a_writer_waits_for_a_slow_reader(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.streams() as (near, far), asyncio.TaskGroup() as group:
            total = 64 << 20
            writing = group.create_task(near.write(bytes(total)))
            await asyncio.sleep(1)
            assert not writing.done()
            read = 0
            while read < total:
                read += len(await far.read(1 << 20))
            await writing

    play(scenario)


def test_hundreds_of_streams_do_not_wait_for_each_other(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.pair() as (ann, bob):

            async def echo(stream: Stream) -> None:
                await stream.write(await stream.read_exactly(4))
                await stream.finish()

            async def ask(number: int) -> int:
                stream = await ann.open()
                await stream.write(number.to_bytes(4, "big"))
                return int.from_bytes(await stream.read_exactly(4), "big")

            silent = await ann.open()
            await silent.write(b"I keep you waiting")
            await bob.accept()
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(ask(number)) for number in range(300)]
                for _ in asked:
                    group.create_task(echo(await bob.accept()))
            assert [task.result() for task in asked] == list(range(300))

    play(scenario)


# cancellation


def test_a_cancelled_read_loses_nothing(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.streams() as (near, far):
            for wait in (0.0, 0.001, 0.05):
                for read in (far.read(100), far.read_exactly(4), far.read_exactly(100)):
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(wait):
                            await read
            sent, got = b"", b""
            for number in range(200):
                sent += number.to_bytes(2, "big") * 50
                await near.write(number.to_bytes(2, "big") * 50)
                try:
                    async with asyncio.timeout(0.0002 * (number % 5)):
                        got += await far.read(70) if number % 2 else await far.read_exactly(130)
                except TimeoutError:
                    pass
            await near.finish()
            while part := await far.read(1000):
                got += part
            assert got == sent

    play(scenario)


def test_a_cancelled_exact_read_does_not_hold_up_a_smaller_one(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.streams() as (near, far):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await far.read_exactly(1 << 20)
            await near.write(b"just this")
            async with asyncio.timeout(5 + network.late):
                assert await far.read_exactly(9) == b"just this"

    play(scenario)


def test_a_cancelled_write_resets_the_stream_so_that_the_reader_sees_no_torso(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.streams() as (near, far):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await near.write(bytes(64 << 20))
            with pytest.raises(ConnectionLost):
                await near.write(b"more")
            with pytest.raises(ConnectionLost):
                while await far.read(1 << 20):
                    pass

    play(scenario)


def test_a_cancelled_accept_loses_no_stream_and_no_connection(play: Play) -> None:
    async def scenario(network: Network) -> None:
        ann, bob = await network.endpoint(ANN), await network.endpoint(BOB)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await bob.accept()
        dialed = await ann.connect(bob.address(), 60)
        accepted = await bob.accept()
        for number in range(30):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await accepted.accept()
            stream = await dialed.open()
            await stream.write(bytes([number]))
            try:
                async with asyncio.timeout(0.0005):
                    found = await accepted.accept()
            except TimeoutError:
                found = await accepted.accept()
            assert await found.read_exactly(1) == bytes([number])

    play(scenario)


# the end


def test_the_reason_of_a_close_reaches_the_peer(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.pair() as (ann, bob), asyncio.TaskGroup() as group:
            waiting = group.create_task(bob.wait_closed())
            await asyncio.sleep(0.1)
            await ann.close(5, "see you later")
            assert "see you later" in await waiting
            assert "see you later" in await ann.wait_closed()
            assert "see you later" in await bob.wait_closed()
            await ann.close(6, "again")
            await bob.close(7, "me too")

    play(scenario)


def test_a_reason_may_be_long_and_strange(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.pair() as (ann, bob):
            await ann.close(0, "ä\x1b[31m" * 200)
            said = await bob.wait_closed()
            assert said.startswith("closed by the peer: ä")
            assert len(said) < 250
            assert "\x1b" not in said

    play(scenario)


def test_after_a_close_everything_says_that_the_connection_is_lost(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.pair() as (ann, bob):
            near, other = await ann.open(), await ann.open()
            await near.write(b"hello")
            far = await bob.accept()
            async with asyncio.TaskGroup() as group:
                waiting = [
                    group.create_task(_lost(wait))
                    for wait in (near.read(10), other.read_exactly(10), ann.accept(), ann.read_datagram())
                ]
                await asyncio.sleep(0.1)
                assert not any(task.done() for task in waiting)
                await bob.close(0, "enough")
                await ann.wait_closed()
            for connection, stream in ((ann, near), (bob, far)):
                await _lost(stream.write(b"x"))
                await _lost(stream.finish())
                await _lost(connection.open())
                await _lost(connection.accept())
                await _lost(connection.read_datagram())
                with pytest.raises(ConnectionLost):
                    connection.send_datagram(b"x")
                await stream.reset()
            await _lost(near.read(1))

    play(scenario)


def test_who_waits_on_a_connection_is_told_at_once_that_it_was_closed_here(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.pair() as (ann, bob):
            near, other = await ann.open(), await ann.open()
            await near.write(b"hello")
            far = await bob.accept()
            async with asyncio.TaskGroup() as group:
                waiting = [
                    group.create_task(_lost(wait))
                    for wait in (near.read(10), other.read_exactly(10), ann.accept(), ann.read_datagram())
                ]
                ended = group.create_task(ann.wait_closed())
                await asyncio.sleep(0.1)
                assert not any(task.done() for task in (*waiting, ended))
                async with asyncio.timeout(0.5 + network.late):
                    await ann.close(0, "enough")
                    await asyncio.wait([*waiting, ended])
            assert "enough" in ended.result()
            del far  # dropped earlier, it would have ended the stream

    play(scenario)


async def _lost(work: Coroutine[Any, Any, object]) -> None:
    with pytest.raises(ConnectionLost) as caught:
        await work
    assert str(caught.value)
    assert "/" not in str(caught.value)


def test_a_closed_endpoint_ends_its_connections_and_takes_no_more(play: Play) -> None:
    async def scenario(network: Network) -> None:
        ann, bob = await network.endpoint(ANN), await network.endpoint(BOB)
        dialed = await ann.connect(bob.address(), 60)
        accepted = await bob.accept()
        async with asyncio.TaskGroup() as group:
            ends = [
                group.create_task(_lost(work)) for work in (bob.accept(), accepted.accept(), dialed.accept())
            ]
            await asyncio.sleep(0.05)
            assert not any(task.done() for task in ends)
            began = asyncio.get_running_loop().time()
            await bob.close()
            await bob.close()
            assert asyncio.get_running_loop().time() - began < 0.5 + network.late
        await accepted.wait_closed()
        await dialed.wait_closed()
        await _lost(bob.accept())
        await _lost(bob.connect(ann.address(), 1.0))
        with pytest.raises(Unreachable):
            await ann.connect(bob.address(), 0.3)

    play(scenario)


# datagrams


def test_datagrams_arrive_whole_up_to_the_announced_size(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.pair() as (ann, bob):
            for size in (0, 1, 1000, ann.max_datagram_bytes):
                ann.send_datagram(bytes([size % 251]) * size)
                assert await bob.read_datagram() == bytes([size % 251]) * size
            assert ann.max_datagram_bytes >= 1100
            with pytest.raises(UsageError, match="60000 bytes"):
                ann.send_datagram(bytes(60_000))
            bob.send_datagram(b"still fine")
            assert await ann.read_datagram() == b"still fine"

    play(scenario)


def test_a_cancelled_wait_for_a_datagram_loses_none(play: Play) -> None:
    async def scenario(network: Network) -> None:
        async with network.pair() as (ann, bob):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await bob.read_datagram()
            ann.send_datagram(b"here")
            assert await bob.read_datagram() == b"here"

    play(scenario)


# addresses


def test_announced_addresses_are_told_and_replaced(play: Play) -> None:
    async def scenario(network: Network) -> None:
        ann = await network.endpoint(ANN)
        changes: list[PeerAddress] = []
        ann.on_address_change(lambda: changes.append(ann.address()))
        await asyncio.sleep(0.1)
        own = set(ann.local_addresses())
        assert own <= set(ann.address().addresses)
        both = {"192.0.2.7:4433", "198.51.100.7:4433"}
        await ann.announce(sorted(both))
        await until(lambda: bool(changes) and both <= set(changes[-1].addresses))
        assert both <= set(ann.address().addresses)
        assert set(ann.local_addresses()) == own
        await ann.announce(["198.51.100.7:4433"])
        await until(lambda: "192.0.2.7:4433" not in changes[-1].addresses)
        assert "192.0.2.7:4433" not in ann.address().addresses
        assert changes[-1].addresses.count("198.51.100.7:4433") == 1
        assert ann.address().peer == ANN.peer

    play(scenario)
