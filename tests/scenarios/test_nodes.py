"""Whole nodes on real iroh: what a person would call "it works"."""

import asyncio
import warnings
from pathlib import Path

import pytest

from servent.errors import ConnectionLost, Refused
from servent.net.links import Stream
from servent.net.session import Session
from servent.node import Node
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimNet
from tests.net.handles import handles
from tests.net.party import until

SERVICE = "echo/1"


async def echo(session: Session, stream: Stream) -> None:
    while data := await stream.read(65536):
        await stream.write(data)


def everyone_met(members: list[Node]) -> bool:
    return all(len(node.peers.sessions()) == len(members) - 1 for node in members)


@pytest.mark.real
@pytest.mark.slow
def test_twenty_nodes_reach_each_other_and_leave_nothing_behind(tmp_path: Path) -> None:
    handles_before = handles()

    async def main() -> None:
        async with nodes(20, tmp_path) as members:
            for node in members:
                node.serve(SERVICE, echo, audience="network")
            await gather_in_network(members)
            await until(lambda: everyone_met(members), 90)
            for here in members:
                for there in members:
                    if here is not there:
                        stream = await here.open(there.peer, SERVICE)
                        await stream.write(b"hello")
                        assert await stream.read_exactly(5) == b"hello"
                        await stream.finish()
            assert handles() > handles_before
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await until(lambda: handles() <= handles_before)

    asyncio.run(main())


@pytest.mark.real
def test_a_ticket_makes_two_strangers_friends(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path) as (ann, bob):
            ann.serve(SERVICE, echo)
            joined = await bob.join(await ann.ticket())
            assert joined.connected and joined.peer == ann.peer
            stream = await bob.open(ann.peer, SERVICE)
            await stream.write(b"x" * 100_000)
            await stream.finish()
            assert await stream.read_exactly(100_000) == b"x" * 100_000

    asyncio.run(main())


@pytest.mark.real
def test_datagrams_pass_between_friends(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path) as (ann, bob):
            ann.serve(SERVICE, echo)
            bob.serve(SERVICE, echo)
            await bob.join(await ann.ticket())
            await until(lambda: ann.peers.session(bob.peer) is not None)
            here, there = bob.channel(ann.peer, SERVICE), ann.channel(bob.peer, SERVICE)

            async def keep_sending() -> None:
                while True:
                    here.send(b"tick")
                    await asyncio.sleep(0.02)

            async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(keep_sending())
                assert await there.receive() == b"tick"
                sending.cancel()

    asyncio.run(main())


@pytest.mark.real
def test_a_node_keeps_its_key_and_its_friends_over_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path) as (ann, bob):
            await bob.join(await ann.ticket())
            keys = ann.peer, bob.peer
        async with nodes(2, tmp_path) as (ann, bob):
            assert (ann.peer, bob.peer) == keys
            # Only bob's address book knows where ann was; her port has changed. Hers knows nothing of his.
            bob.peers.remember(await ann.address())
            await until(lambda: bob.peers.session(ann.peer) is not None)

    asyncio.run(main())


def test_a_service_for_friends_is_closed_to_a_mere_member(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path, SimNet(seed=1)) as (ann, bob):
            ann.serve(SERVICE, echo, audience="friends")
            await gather_in_network([ann, bob])
            stream = await bob.open(ann.peer, SERVICE)
            with pytest.raises((Refused, ConnectionLost)):
                await stream.write(b"hello")
                await stream.read_exactly(5)
            await ann.trust.add_contact(bob.peer, friend=True)
            stream = await bob.open(ann.peer, SERVICE)
            await stream.write(b"hello")
            assert await stream.read_exactly(5) == b"hello"

    run(main())


@pytest.mark.parametrize("seed", range(3))
def test_nodes_find_each_other_again_after_the_net_was_cut(tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        net = SimNet(seed=seed)
        async with nodes(4, tmp_path, net) as members:
            await gather_in_network(members)
            await until(lambda: everyone_met(members), 60)
            left, right = net.endpoints[:2], net.endpoints[2:]
            net.partition(left, right)
            await asyncio.sleep(120)
            assert not everyone_met(members)
            net.heal()
            await until(lambda: everyone_met(members), 300)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(main())


@pytest.mark.real
def test_where_a_friend_is_outlives_a_kill_soon_after_meeting(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path) as (ann, bob):
            await bob.join(await ann.ticket())
            await asyncio.sleep(0.5)  # far less than the usual time between two saves
            rows = await bob.store.read(lambda db: db.execute("select count(*) from net_peers").fetchone()[0])
            assert rows == 1

    asyncio.run(main())
