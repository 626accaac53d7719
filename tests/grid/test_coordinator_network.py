"""The coordinator behind the network: streams of volunteers, on the simulated net; one over real iroh is `bench.grid`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from servent.codec import write_frame
from servent.errors import ConnectionLost, NotFound, Refused
from servent.grid import wire
from servent.grid.coordinator_service import Coordinator
from servent.grid.manifests import Audience
from servent.grid.newest_service import look_at
from servent.net.links import Stream
from servent.store import Store
from tests.grid.coordinating import KEY, app, pieces, project, right, story
from tests.net.party import Node, befriend, party, until

PROJECT = bytes(KEY.peer)


@asynccontextmanager
async def coordinating(
    node: Node, folder: Path, audience: Audience = "friends"
) -> AsyncIterator[Coordinator]:
    store = Store(folder / "grid.db", durable=True)
    coordinator = Coordinator(store, node.peer, peers=node.peers, trust=node.trust, dice=random.Random(1))
    await store.open()
    await coordinator.open()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(coordinator.run())
            await coordinator.add_project(project(audience=audience))
            name = await coordinator.add_app(app(quorum=1))
            await coordinator.add_units(PROJECT, name, 1, pieces(50))
            yield coordinator
            await coordinator.close()
    finally:
        await store.close()


async def ask(stream: Stream, *questions: wire.Question) -> list[wire.Answer]:
    """All of them before the first answer."""
    for question in questions:
        await write_frame(stream, question)
    return [await wire.read_answer.read(stream) for _ in questions]


@story
async def test_a_friend_leases_and_returns_over_a_stream_and_answers_keep_their_order(tmp_path: Path) -> None:
    async with party(2) as (host, ann):
        await befriend(host, ann)
        async with coordinating(host, tmp_path) as coordinator:
            await ann.peers.connect(host.address)
            stream = await ann.peers.open(host.peer, wire.SERVICE, standing=True)
            welcome, leased, looked, described = await ask(
                stream,
                wire.Join(PROJECT, name="ann"),
                wire.Lease(20),
                wire.Look(),
                wire.Describe([b"?" * 32]),
            )
            assert isinstance(welcome, wire.Welcome) and welcome.units == 50
            assert isinstance(leased, wire.Leased) and len(leased.tasks) == 20
            assert isinstance(looked, wire.Looked) and isinstance(described, wire.Described)
            first, again, rest = await ask(
                stream,
                wire.Return([right(task) for task in leased.tasks[:10]]),
                wire.Lease(64),
                wire.Return([right(task) for task in leased.tasks[10:]]),
            )
            assert isinstance(first, wire.Returned) and first.taken == ["taken"] * 10
            assert isinstance(again, wire.Leased) and len(again.tasks) == 30
            assert isinstance(rest, wire.Returned) and rest.taken == ["taken"] * 10
            look = coordinator.view(PROJECT)
            assert (look.by_state["done"], look.by_state["running"], look.hosts_now) == (20, 30, 1)
            await stream.reset()
            await until(lambda: coordinator.view(PROJECT).hosts_now == 0)
            # the leases are still hers
            stream = await ann.peers.open(host.peer, wire.SERVICE)
            _, taken = await ask(
                stream, wire.Join(PROJECT), wire.Return([right(task) for task in again.tasks])
            )
            assert isinstance(taken, wire.Returned) and taken.taken == ["taken"] * 30
            await stream.reset()


@story
async def test_strangers_to_a_project_of_friends_are_told_so(tmp_path: Path) -> None:
    async with party(3) as (host, ann, bob):
        await befriend(host, ann)
        network = await host.trust.create_network("club", open=True)
        invitation = await host.trust.invite(network.key)
        await bob.trust.accept_invitation(invitation)
        async with coordinating(host, tmp_path):
            await bob.peers.connect(host.address)
            with pytest.raises(Refused):
                stream = await bob.peers.open(host.peer, wire.SERVICE)
                await ask(stream, wire.Join(PROJECT))
            await ann.peers.connect(host.address)
            stream = await ann.peers.open(host.peer, wire.SERVICE)
            (other,) = await ask(stream, wire.Join(bytes(bob.peer)))
            assert other == wire.Sorry("no such project here", None)


@story
async def test_whoever_has_a_projects_link_sees_before_joining_what_it_pays_for_being_quick(
    tmp_path: Path,
) -> None:
    async with party(2) as (host, ann):
        await befriend(host, ann)
        async with coordinating(host, tmp_path) as coordinator:
            await ann.peers.connect(host.address)
            await coordinator.add_project(project(serial=2, bonus=0.75))
            nobody = b"\x07" * 32
            shown, welcome = await look_at(ann.peers.open, PROJECT, [nobody, bytes(host.peer)])
            assert (shown.bonus, shown.name) == (0.75, "test")
            assert (welcome.units, welcome.done) == (50, 0)
            await coordinator.add_project(project(serial=3, audience="invited"))
            with pytest.raises(Refused, match="those who are invited"):
                await look_at(ann.peers.open, PROJECT, [bytes(host.peer)])
            with pytest.raises(NotFound, match="nobody"):
                await look_at(ann.peers.open, PROJECT, [])


@story
async def test_who_breaks_the_rules_loses_the_stream_and_nobody_else_does(tmp_path: Path) -> None:
    async with party(3) as (host, ann, eve):
        await befriend(host, ann)
        await befriend(host, eve)
        async with coordinating(host, tmp_path):
            await ann.peers.connect(host.address)
            await eve.peers.connect(host.address)
            fine = await ann.peers.open(host.peer, wire.SERVICE)
            await ask(fine, wire.Join(PROJECT))
            garbage: list[bytes] = [
                b"\xff\xff\xff\xff" + bytes(100),  # four gigabytes, it says
                (10).to_bytes(4, "big") + b"\xc1" * 10,  # no MessagePack
                b"",
            ]
            for sent in garbage:
                stream = await eve.peers.open(host.peer, wire.SERVICE)
                if sent:
                    await stream.write(sent)
                else:
                    await write_frame(stream, wire.Lease(1))  # before any Join
                with pytest.raises(ConnectionLost):
                    await wire.read_answer.read(stream)
                joined = await eve.peers.open(host.peer, wire.SERVICE)
                await ask(joined, wire.Join(PROJECT))
                await joined.write(sent or (3).to_bytes(4, "big") + b"abc")
                with pytest.raises(ConnectionLost):
                    await wire.read_answer.read(joined)
            (leased,) = await ask(fine, wire.Lease(3))
            assert isinstance(leased, wire.Leased) and len(leased.tasks) == 3
