"""People who were let in and mean harm, people who were let in once, and people who look like others."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from servent.errors import NotFound, ServentError, UsageError
from servent.identity import Identity, PeerId
from servent.net import ticket as tickets
from servent.net import wire
from servent.net.links import Stream
from servent.net.session import Session
from servent.node import Node
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimNet

SERVICE = "echo/1"


async def echo(session: Session, stream: Stream) -> None:
    while data := await stream.read(65536):
        await stream.write(data)


async def until(true, limit: float = 30.0) -> float:  # type: ignore[no-untyped-def]
    clock = asyncio.get_running_loop().time
    began = clock()
    while not true():
        assert clock() - began < limit
        await asyncio.sleep(0.05)
    return clock() - began


async def kept_out(node: Node, text: str) -> bool:
    """Whether joining with this text leads nowhere."""
    try:
        return not (await node.join(text, timeout=3)).connected
    except ServentError:
        return True


async def talks(stream: Stream) -> bool:
    try:
        async with asyncio.timeout(3):
            await stream.write(b"x")
            return await stream.read_exactly(1) == b"x"
    except (ServentError, TimeoutError):
        return False


@pytest.mark.parametrize("how", ["block", "remove", "unfriend"])
def test_a_friend_who_is_shut_out_loses_the_session_and_every_open_stream(tmp_path: Path, how: str) -> None:
    async def story() -> None:
        async with nodes(2, tmp_path, SimNet(seed=1)) as (ann, mal):
            ann.serve(SERVICE, echo)
            ticket = await ann.ticket()
            await mal.join(ticket)
            stream = await mal.open(ann.peer, SERVICE)
            assert await talks(stream)
            if how == "block":
                await ann.trust.block(mal.peer)
            elif how == "remove":
                await ann.trust.remove(mal.peer)
            else:
                await ann.trust.set_friend(mal.peer, False)
            assert await until(lambda: ann.peers.session(mal.peer) is None) < 2.0
            assert not await talks(stream)
            for text in (ticket, ticket):  # the same ticket does not bring them back
                assert await kept_out(mal, text)
                assert ann.peers.session(mal.peer) is None
            with pytest.raises(ServentError):
                await mal.open(ann.peer, SERVICE, 3.0)

    run(story())


def test_an_old_ticket_lets_nobody_in_whatever_their_clock_says(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(3, tmp_path, SimNet(seed=1)) as (ann, early, late):
            short = await ann.ticket(lifetime=60.0)
            ended = await ann.ticket()
            await early.join(short)
            now = time.time()
            ann.trust._wall = lambda: now + 3600.0  # type: ignore[attr-defined,method-assign]
            ann.peers._papers._wall = lambda: now + 3600.0  # type: ignore[attr-defined]
            secret = tickets.decode(ended).secret
            assert secret is not None
            await ann.trust.revoke_ticket_secret(secret)
            for text in (short, ended):
                assert await kept_out(late, text)
                assert not ann.trust.verdict(late.peer).known
            assert ann.trust.verdict(early.peer).known

    run(story())


def test_a_single_use_invitation_passed_on_lets_no_second_person_in(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(3, tmp_path, SimNet(seed=1)) as (ann, bob, mal):
            await ann.trust.create_network("club")
            invitation = await ann.invite("club")
            await bob.join(invitation)
            assert await kept_out(mal, invitation)
            assert ann.peers.session(mal.peer) is None
            members = {one.peer for one in ann.trust.members("club")}
            assert mal.peer not in members and bob.peer in members

    run(story())


def test_an_expelled_member_is_out_with_all_and_its_network_secret_opens_no_door(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(3, tmp_path, SimNet(seed=1)) as (ann, bob, mal):
            for node in (ann, bob):
                node.serve(SERVICE, echo, audience="network")
            await gather_in_network([ann, bob, mal])
            await until(lambda: bob.peers.session(mal.peer) is not None)
            streams = [await mal.open(node.peer, SERVICE) for node in (ann, bob)]
            network = ann.trust.networks()[0].name
            await ann.trust.remove_member(network, mal.peer)
            await until(lambda: not ann.peers.session(mal.peer) and not bob.peers.session(mal.peer))
            for stream in streams:
                assert not await talks(stream)
            for node in (ann, bob):
                with pytest.raises(ServentError):
                    await mal.open(node.peer, SERVICE, 3.0)

    run(story())


def test_a_member_cannot_speak_for_another_network_or_make_up_records(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(3, tmp_path, SimNet(seed=1)) as (ann, bob, mal):
            await gather_in_network([ann, mal], "open house")
            await ann.trust.create_network("inner circle")
            await bob.join(await ann.invite("inner circle"))
            inner = ann.trust.network("inner circle").key
            outer = ann.trust.network("open house").key
            session = mal.peers.session(ann.peer)
            assert session is not None
            before = ann.trust.records_digest(inner), ann.trust.records_digest(outer)
            page = ann.trust.records_since(inner)
            for network in (inner, outer):
                session.tell(wire.Fresh(network))
                await asyncio.sleep(1.5)
                session.tell(wire.Records(network, [*page.records, b"made up" * 10], 2**40))
                await asyncio.sleep(1.5)
            assert (ann.trust.records_digest(inner), ann.trust.records_digest(outer)) == before
            assert {one.peer for one in ann.trust.members("inner circle")} == {ann.peer, bob.peer}
            assert mal.peer not in {one.peer for one in ann.trust.members("inner circle")}

    run(story())


def alike(prefix: str, count: int) -> list[PeerId]:
    """Made-up ids that begin alike."""
    return [PeerId.parse(prefix + f"{'y' * (51 - len(prefix) - 2)}{'ybndrfg8'[n]}yy") for n in range(count)]


def test_a_short_id_that_two_share_names_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(1, tmp_path, SimNet(seed=1)) as (ann,):
            one, other = alike("mwmwmwmw", 2)
            await ann.trust.add_contact(one, friend=True)
            assert ann.trust.resolve("mwmwmwmw") == one
            with pytest.raises(UsageError):
                ann.trust.resolve("mwmwmwmw", [other])  # somebody who is just connected
            await ann.trust.add_contact(other)
            with pytest.raises(UsageError):
                ann.trust.resolve("mwmwmwmw")
            assert ann.trust.resolve(str(one)) == one

    run(story())


def test_what_somebody_calls_themselves_names_nobody(tmp_path: Path) -> None:
    """Only petnames and ids do; and no petname can be another's id."""

    async def story() -> None:
        async with nodes(3, tmp_path, SimNet(seed=1)) as (ann, bob, mal):
            await bob.join(await ann.ticket())
            await ann.trust.set_petname(bob.peer, "bob")
            mal.config.node.name = "bob\u202e\x1b[31m"
            await mal.join(await ann.ticket())
            await until(lambda: ann.peers.session(mal.peer) is not None)
            assert ann.trust.resolve("bob") == bob.peer
            session = ann.peers.session(mal.peer)
            assert session is not None
            assert "\x1b" not in session.profile.name and "\u202e" not in session.profile.name
            with pytest.raises(UsageError):
                await ann.trust.set_petname(mal.peer, "BOB")
            with pytest.raises(UsageError):
                await ann.trust.set_petname(mal.peer, str(bob.peer))
            with pytest.raises(NotFound):
                ann.trust.resolve(mal.config.node.name)

    run(story())


def test_a_petname_that_looks_like_a_short_id_does_not_take_its_place(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(2, tmp_path, SimNet(seed=1)) as (ann, bob):
            await bob.join(await ann.ticket())
            stranger = Identity(b"m" * 32).peer
            with pytest.raises(UsageError):
                await ann.trust.add_contact(stranger, petname=bob.peer.short)

    run(story())


def test_two_nodes_with_one_key_do_not_tear_each_other(tmp_path: Path) -> None:
    """A copied data directory: whoever dials sees one of them, and nothing breaks."""

    async def story() -> None:
        net = SimNet(seed=1)
        async with nodes(2, tmp_path / "a", net) as (ann, bob):
            await bob.join(await ann.ticket())
            twin = net.endpoint(ann.identity)
            for _ in range(5):
                with pytest.raises(ServentError):
                    connection = await twin.connect(bob.endpoint.address(), 3.0)
                    stream = await connection.open()
                    await stream.write(b"\x00\x00\x00\x01x")
                    await stream.read_exactly(10_000)
            await twin.close()
            await asyncio.sleep(70)
            assert isinstance(bob, Node)
            await until(lambda: bob.peers.session(ann.peer) is not None, 120)

    run(story())
