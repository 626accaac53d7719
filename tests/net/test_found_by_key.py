"""Whole nodes on real iroh: two friends come back at other addresses, and a relay's records alone tell where."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from servent.config import Config
from servent.errors import ServentError
from servent.identity import Identity
from servent.net import pkarr
from servent.net.endpoint import bind
from servent.net.links import PeerAddress
from servent.node import Node
from servent.testing.nodes import quiet_config
from tests.net.party import until
from tests.net.test_relay_server import running


def settings(folder: Path, name: str, host: str, server: str | None) -> Config:
    """No relay carries a packet of theirs: the server is a place for records, and nothing else."""
    config = quiet_config(name, folder)
    config.net.bind = [f"{host}:0"]
    config.blobs.bulk = False
    config.rendezvous.relays = False
    config.rendezvous.servers = [f"{server}/pkarr"] if server else []
    return config


@pytest.mark.parametrize("known", [True, False])
def test_two_friends_who_both_moved_are_found_by_what_a_relay_keeps(tmp_path: Path, known: bool) -> None:
    async def story() -> None:
        async with running() as relay, AsyncExitStack() as end:
            server = relay.urls[0] if known else None
            ann, bob = [
                await end.enter_async_context(Node(tmp_path / name, settings(tmp_path, name, host, None)))
                for name, host in (("ann", "127.0.0.2"), ("bob", "127.0.0.3"))
            ]
            assert (await bob.join(await ann.ticket())).connected
            await until(lambda: bob.peer in [one.peer for one in ann.trust.contacts()], limit=60.0)
            await end.aclose()
            ann, bob = [
                await end.enter_async_context(Node(tmp_path / name, settings(tmp_path, name, host, server)))
                for name, host in (("ann", "127.0.0.4"), ("bob", "127.0.0.5"))
            ]
            if not known:  # and without it, they do not meet: nothing else knows
                with pytest.raises(ServentError):
                    await ann.open(bob.peer, "servent.core/ping", 2.0)
                return
            took = await until(lambda: ann.peers.session(bob.peer) is not None, limit=60.0)
            assert relay.view().clients == 0 and len(relay.records) == 2
            print(f"found in {took:.1f} s")

    asyncio.run(story())


def test_a_relay_for_those_we_know_keeps_records_for_them_alone(tmp_path: Path) -> None:
    async def story() -> None:
        config = settings(tmp_path, "ann", "127.0.0.2", None)
        config.roles.relay, config.relay.open_to = "on", "known"
        config.relay.hosts, config.relay.port = ["127.0.0.1"], 0
        friend, stranger = Identity(b"\1" * 32), Identity(b"\2" * 32)
        async with Node(tmp_path / "ann", config) as ann, httpx.AsyncClient() as client:
            assert ann.relay is not None
            await ann.trust.add_contact(friend.peer)
            club = (await ann.trust.create_network("club")).key
            await until(lambda: club in ann.overlay.members.pumps)
            place = ann.trust.meeting_point(club).identity
            kept = []
            for who in (friend, stranger, place, ann.identity):
                body = pkarr.close_item(who, 1, b"here")
                answer = await client.put(f"{ann.relay.urls[0]}/pkarr/{who.peer}", content=body)
                kept.append(answer.status_code)
            assert kept == [204, 403, 204, 204]

    asyncio.run(story())


def test_another_iroh_program_is_found_and_dialed_by_its_key(tmp_path: Path) -> None:
    async def story() -> None:
        async with running() as relay, httpx.AsyncClient() as client:
            other = await bind(Identity(b"\3" * 32), bind=["127.0.0.6:0"], alpn=b"servent/1")
            here = PeerAddress(other.peer, None, tuple(other.local_addresses()))
            packet = pkarr.pack(here, 1).replace(b"user-data=servent:1", b"user-data=some-word")
            body = pkarr.close_item(Identity(b"\3" * 32), 1_700_000_000_000_000, packet)
            assert (await client.put(f"{relay.urls[0]}/pkarr/{other.peer}", content=body)).status_code == 204
            async with Node(tmp_path, settings(tmp_path, "ann", "127.0.0.7", relay.urls[0])) as ann:
                seen = await ann.rendezvous.find(other.peer)
                assert seen is not None and seen.timed and seen.number == 1_700_000_000_000_000
                async with asyncio.TaskGroup() as tasks:
                    arriving = tasks.create_task(other.accept())
                    connection = await ann.endpoint.connect(ann.peers.addresses(other.peer), 30.0)
                assert connection.peer == other.peer and arriving.result().peer == ann.peer
                await connection.close()
                await other.close()

    asyncio.run(story())


def test_two_friends_whose_relay_is_gone_meet_by_the_records_of_the_next_one(tmp_path: Path) -> None:
    """As people have it: no setting of rendezvous is touched. The old relay and all old addresses lead nowhere."""

    async def story() -> None:
        async with AsyncExitStack() as end:

            async def up(name: str, host: str, relay: str) -> Node:
                config = quiet_config(name, tmp_path / name)
                config.net.bind, config.net.relays, config.blobs.bulk = [f"{host}:0"], [relay], False
                return await end.enter_async_context(Node(tmp_path / name, config))

            async with running() as old:
                ann, bob = (
                    await up("ann", "127.0.0.2", old.urls[0]),
                    await up("bob", "127.0.0.3", old.urls[0]),
                )
                assert (await bob.join(await ann.ticket())).connected
                await until(lambda: ann.trust.contact(bob.peer) is not None, limit=60.0)
                await until(lambda: len(old.records) == 2, limit=60.0)
                await end.aclose()
            async with running() as new:
                ann, bob = (
                    await up("ann", "127.0.0.4", new.urls[0]),
                    await up("bob", "127.0.0.5", new.urls[0]),
                )
                took = await until(lambda: ann.peers.session(bob.peer) is not None, limit=60.0)
                print(f"found in {took:.1f} s")
                await end.aclose()

    asyncio.run(story())
