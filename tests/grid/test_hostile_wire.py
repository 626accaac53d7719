"""A coordinator on a network of strangers: what does not even parse, who is not asked for, who says nothing."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.codec import encode, frame, write_frame
from servent.errors import BadMessage, ConnectionLost, PeerError
from servent.grid.coordinator_door_service import FIRST
from servent.grid.coordinator_service import Coordinator
from servent.grid.coordinator_views import Piece
from servent.grid.manifests import App, Audience, Project, sign_app, sign_project
from servent.grid.wire import (
    QUESTION_BYTES,
    SERVICE,
    Join,
    Lease,
    Leased,
    Return,
    Returned,
    Sorry,
    Welcome,
    read_answer,
    read_question,
)
from servent.net.links import Stream
from servent.store import Store
from servent.testing import loop
from tests.grid.counter import LIMITS, MODULE, done
from tests.grid.test_hostile_volunteers import _anything
from tests.net.party import Node, befriend, identity, party

KEY = identity(900)


@asynccontextmanager
async def project(node: Node, audience: Audience) -> AsyncIterator[Coordinator]:
    """A coordinator on `node`, with a project of three units."""
    store = Store(None)
    made = Coordinator(
        store, node.peer, peers=node.peers, trust=node.trust, wall=node.now, dice=random.Random(1)
    )
    async with store:
        await made.open()
        running = asyncio.create_task(made.run())
        try:
            said = Project(
                key=KEY.peer, serial=1, name="p", coordinators=[node.peer], owner=node.peer, audience=audience
            )
            await made.add_project(sign_project(said, KEY))
            app = App(project=KEY.peer, name="a", version=1, module=MODULE, limits=LIMITS)
            number = await made.add_app(sign_app(app, KEY))
            await made.add_units(KEY.peer, number, 1, [Piece(seed=bytes([one]) * 32) for one in range(3)])
            yield made
        finally:
            await made.close()
            await running


async def visit(node: Node, other: Node) -> Stream:
    """A stream to the coordinator on `other`, which lets strangers in for that."""
    other.trust.admit("grid", None, (SERVICE,))
    node.trust.admit("grid", other.peer, ())
    await node.peers.connect(other.address)
    return await node.peers.open(other.peer, SERVICE)


async def works(node: Node, other: Node) -> None:
    """`node` gets a unit, and returns it."""
    stream = await visit(node, other)
    await write_frame(stream, Join(project=KEY.peer))
    assert isinstance(await read_answer.read(stream), Welcome)
    await write_frame(stream, Lease(most=1))
    leased = await read_answer.read(stream)
    assert isinstance(leased, Leased) and leased.tasks
    await write_frame(stream, Return([done(leased.tasks[0], b"42")]))
    assert await read_answer.read(stream) == Returned(["taken"])
    await stream.finish()


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x00" * 4,
        (QUESTION_BYTES + 1).to_bytes(4, "big") + b"x" * 100,
        b"\xff" * 200,
        frame(Lease(most=1)),
        frame(Leased()),
        frame(Join(project=KEY.peer)) + b"\x00\x00\x00\x02\xc1\xc1",
        frame(Join(project=KEY.peer)) + frame(Welcome()),
        frame(Join(project=KEY.peer))[:-3],
    ],
)
def test_rubbish_ends_that_visit_and_nothing_else(rubbish: bytes) -> None:
    async def story() -> None:
        async with party(3) as (owner, eve, ann), project(owner, "everyone") as coordinator:
            stream = await visit(eve, owner)
            with contextlib.suppress(ConnectionLost):
                await stream.write(rubbish)
                await stream.finish()
            with contextlib.suppress(PeerError, ConnectionLost, TimeoutError):
                async with asyncio.timeout(10.0):
                    while isinstance(await read_answer.read(stream), Welcome | Sorry):
                        pass
            await works(ann, owner)
            assert coordinator.view(KEY.peer).by_state["checking"] == 1
            assert coordinator.view(KEY.peer).hosts_now <= 2

    loop.run(story())


def test_who_says_nothing_is_sent_away() -> None:
    async def story() -> None:
        async with party(3) as (owner, eve, ann), project(owner, "everyone"):
            silent = await visit(eve, owner)
            await silent.write(b"\x00")
            began = asyncio.get_running_loop().time()
            with pytest.raises((PeerError, ConnectionLost)):
                while await silent.read(1):
                    pass
                raise ConnectionLost("ended")
            assert asyncio.get_running_loop().time() - began < FIRST + 5.0
            await works(ann, owner)

    loop.run(story())


def test_strangers_are_not_let_in_where_friends_are_meant() -> None:
    async def story() -> None:
        async with party(3) as (owner, eve, ann), project(owner, "friends") as coordinator:
            await befriend(owner, ann)
            await works(ann, owner)
            stream = await visit(eve, owner)
            await write_frame(stream, Join(project=KEY.peer))
            answer = await read_answer.read(stream)
            assert isinstance(answer, Sorry) and "friends" in answer.reason
            with contextlib.suppress(ConnectionLost):
                await write_frame(stream, Lease(most=1))
            with pytest.raises((PeerError, ConnectionLost)):
                await read_answer.read(stream)
            assert [look.identity for look in coordinator.hosts(KEY.peer)] == [bytes(ann.peer)]

    loop.run(story())


def test_a_project_that_is_not_here_is_not_here() -> None:
    async def story() -> None:
        async with party(2) as (owner, eve), project(owner, "everyone"):
            stream = await visit(eve, owner)
            await write_frame(stream, Join(project=identity(5).peer))
            answer = await read_answer.read(stream)
            assert isinstance(answer, Sorry) and answer.retry is None

    loop.run(story())


def test_questions_sent_ahead_are_answered_in_their_order_however_many() -> None:
    async def story() -> None:
        async with party(2) as (owner, eve), project(owner, "everyone"):
            stream = await visit(eve, owner)
            dice = random.Random(3)
            many = [Join(project=KEY.peer), *[_anything(dice, []) for _ in range(200)]]

            async def send() -> None:
                for one in many:
                    await write_frame(stream, one)

            sending = asyncio.create_task(send())
            answers = [await read_answer.read(stream) for _ in many]
            await sending
            assert isinstance(answers[0], Welcome)
            for question, answer in zip(many[1:], answers[1:], strict=True):
                assert isinstance(answer, Sorry) or type(answer).__name__.startswith(
                    type(question).__name__[:5]
                )

    loop.run(story())


@given(st.binary(max_size=300))
def test_bytes_at_random_are_a_question_or_a_bad_message(data: bytes) -> None:
    for decoder in (read_question, read_answer):
        with contextlib.suppress(BadMessage):
            decoder.decode(data)


@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_questions_with_bytes_turned_are_questions_or_bad_messages(
    seed: int, turned: list[tuple[int, int]]
) -> None:
    data = bytearray(encode(_anything(random.Random(seed), [])))
    for place, value in turned:
        data[place % len(data)] = value
    with contextlib.suppress(BadMessage):
        read_question.decode(bytes(data))
