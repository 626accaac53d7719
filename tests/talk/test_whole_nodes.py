"""People on whole nodes: rooms, invitations by direct message, names, search, and a node that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from servent.errors import NotFound, UsageError
from servent.net.endpoint import bind
from servent.node import Node
from servent.talk.views import Message
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes, quiet_config
from servent.testing.simnet import SimNet
from tests.talk.circle import until


def friends_of(node: Node) -> dict[str, str]:
    return {friend.person.shown: friend.bond for friend in node.talk.friends()}


async def befriend(one: Node, other: Node) -> None:
    await one.talk.ask(other.peer)
    await until(lambda: any(friend.bond == "asking" for friend in other.talk.friends()))
    await other.talk.answer(one.peer, True)
    await until(lambda: one.talk.friends()[0].bond == other.talk.friends()[0].bond == "friend")


def test_a_room_is_talked_in_searched_and_moderated(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(3, tmp_path, SimNet(seed=3)) as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            room = await ann.talk.create_room("lobby", topic="all of us")
            conversation = f"room:{room.id}"
            await until(lambda: any(one.name == "lobby" for one in bob.talk.room_list()))
            assert bob.talk.conversation_of("#lobby") == conversation == bob.talk.conversation_of("lobby")
            assert (await bob.talk.join_room(bob.talk.room_of("lobby"))).joined
            await until(lambda: any(one.person.id == bob.peer for one in ann.talk.room_members(room.id)))

            heard: list[Message] = []
            bob.talk.on_message(heard.append)
            said = await ann.talk.send(conversation, "welcome to the lobby", token="one")
            assert said.state == "waiting" and said.author.me
            again = await ann.talk.send(conversation, "welcome to the lobby", token="one")
            assert again.id == said.id, "the same token is the same message"
            await until(lambda: [one.text for one in heard] == ["welcome to the lobby"])
            assert heard[0].author.id == ann.peer and heard[0].id == said.id
            await until(lambda: _state(ann, conversation, said.id, "delivered"))
            assert bob.talk.sums().unread == 1 and bob.talk.sums().mentions == 0
            (listed,) = [one for one in bob.talk.room_list() if one.joined]
            assert listed.unread == 1 and listed.network == "lab" and listed.owner is not None
            await ann.talk.send(conversation, f"@{bob.name} look at this")
            await until(lambda: bob.talk.sums().mentions == 1)
            assert {one.kind for one in bob.talk.notices()} >= {"message", "mention"}
            (hit,) = await bob.talk.search("welcome -nobody", author=ann.peer)
            assert hit.title == "lobby" and [hit.message.text[a:b] for a, b in hit.ranges] == ["welcome"]
            await bob.talk.mark_read(conversation)
            assert bob.talk.sums().unread == 0

            await ann.talk.take_back(conversation, said.id)
            await until(lambda: _removed(bob, conversation, said.id))
            assert await bob.talk.search("welcome") == []
            await ann.talk.moderate(room.id, "mute", bob.peer, seconds=600, reason="too loud")
            await until(lambda: any(one.kind == "moderated" for one in bob.talk.notices()))
            with pytest.raises(UsageError, match="mute"):
                await bob.talk.send(conversation, "but")
            page = await ann.talk.history(conversation)
            assert [one.event for one in page.messages if one.event] == ["muted"]
            assert "too loud" in page.messages[-1].text

    run(story())


async def _state(node: Node, conversation: str, id: str, state: str) -> bool:
    page = await node.talk.history(conversation)
    return any(one.id == id and one.state == state for one in page.messages)


async def _removed(node: Node, conversation: str, id: str) -> bool:
    page = await node.talk.history(conversation)
    return any(one.id == id and one.removed and not one.text for one in page.messages)


def test_an_invitation_waits_for_who_is_away_and_is_answered(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(2, tmp_path, SimNet(seed=4)) as (ann, bob):
            await gather_in_network([ann, bob])
            room = await ann.talk.create_room("board", policy="invite")
            with pytest.raises(NotFound):
                bob.talk.room_of("board")
            await ann.talk.invite_to_room(room.id, bob.peer)
            await until(lambda: bob.talk.sums().invitations == 1)
            assert [one.kind for one in bob.talk.notices()] == ["invited"]
            assert bob.talk.conversations() == [], "an invitation is no message"
            joined = await bob.talk.join_room(bob.talk.room_of("board"))
            assert joined.joined and bob.talk.sums().invitations == 0
            await until(
                lambda: any(
                    one.person.id == bob.peer and one.present for one in ann.talk.room_members(room.id)
                )
            )
            await bob.talk.send(f"room:{room.id}", "here I am")
            await until(lambda: ann.talk.sums().unread == 1)
            with pytest.raises(UsageError, match="founded"):
                await ann.talk.change_room(room.id, policy="open")

    run(story())


def test_a_name_that_looks_like_a_friends_is_marked_and_means_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(3, tmp_path, SimNet(seed=5)) as (ann, bob, eve):
            bob.config.node.name, eve.config.node.name = "bob", "bоb"  # with a Cyrillic o
            await gather_in_network([ann, bob, eve])
            await befriend(ann, bob)
            await until(lambda: ann.peers.session(eve.peer) is not None)
            assert ann.talk.person(bob.peer).warning == ""
            assert "looks like that of your friend bob" in ann.talk.person(eve.peer).warning
            with pytest.raises(UsageError, match="could be"):
                ann.talk.whom("bob")
            with pytest.raises(UsageError, match="looks like"):
                await ann.trust.set_petname(bob.peer, "bob")
                await ann.trust.set_petname(eve.peer, "ЬоЬ")
            assert ann.talk.whom("bob") == bob.peer, "a petname is the person's own word"

    run(story())


@pytest.mark.real
def test_over_real_connections_a_message_waits_for_a_friend_and_comes_by_itself(
    tmp_path: Path,
) -> None:
    """The scenario, with nodes as people run them but for the network: killed connections, files, real time."""

    async def story() -> None:
        def node(name: str) -> Node:
            return Node(tmp_path / name, quiet_config(name, tmp_path / name), open_endpoint=bind)

        async with node("ann") as ann:
            async with node("bob") as bob:
                await ann.join(await bob.ticket())
                await _soon(
                    lambda: friends_of(ann) == {"bob": "friend"} and friends_of(bob) == {"ann": "friend"}
                )
                conversation = ann.talk.conversation_of("bob")
                await _soon(
                    lambda: bool(bob.peers.addresses(ann.peer).addresses)
                )  # said a moment after the hello
            await _soon(lambda: not ann.peers.sessions())
            for number in range(20):
                await ann.talk.send(conversation, f"message {number}")
            await asyncio.sleep(1.0)
            async with node("bob") as bob:
                await _soon(lambda: bob.talk.sums().unread == 20)
                page = await bob.talk.history(f"peer:{ann.peer}")
                assert [one.text for one in page.messages] == [f"message {number}" for number in range(20)]
                await _soon(lambda: ann.talk.conversations()[0].last.state == "delivered")

    asyncio.run(story())


async def _soon(true: Callable[[], bool], limit: float = 60.0) -> None:
    async with asyncio.timeout(limit):
        while not true():
            await asyncio.sleep(0.02)
