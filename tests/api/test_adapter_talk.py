"""Two whole nodes in virtual time: friends, messages and rooms as the API tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from servent.api import schema_talk as talk
from servent.api.adapter import NodeFace
from servent.api.context import Context
from servent.api.events import Bus
from servent.api.keys import Keys
from servent.api.looking import look
from servent.api.schema import PeerChange
from servent.errors import NotFound, UsageError
from servent.testing.loop import run
from servent.testing.nodes import nodes
from servent.testing.simnet import SimNet

Story = Callable[[NodeFace, NodeFace], Awaitable[None]]
TALK = frozenset({"friends", "conversations", "rooms", "presence", "talk"})


def play(folder: Path, story: Story, *, friends: bool = True) -> None:
    async def main() -> None:
        async with nodes(2, folder, SimNet(1, latency=0.02)) as started:
            ann, bob = (NodeFace(node) for node in started)
            if friends:
                await befriend(ann, bob)
            await story(ann, bob)

    run(main())


async def until(done: Callable[[], Any], within: float = 60.0) -> Any:
    """What `done` gives once it is true; in virtual seconds."""
    async with asyncio.timeout(within):
        while not (found := done()):
            await asyncio.sleep(0.1)
    return found


async def befriend(ann: NodeFace, bob: NodeFace) -> None:
    """Bob asks with Ann's ticket, and both call each other something."""
    ticket = (await ann.ticket(once=True, lifetime=None)).ticket
    await bob.ask_friend(talk.FriendRequest(peer=ticket, note="it is me", petname="Ann"))
    [row] = await until(ann.friends)
    if row.bond == "asking":
        await ann.answer_friend(row.id, talk.FriendAnswer(answer="yes"))
    await ann.change_peer(row.id, PeerChange(petname="Bob"))
    await until(lambda: all(face.friends()[0].bond == "friend" for face in (ann, bob)))
    await until(lambda: all(face.friends()[0].presence == "available" for face in (ann, bob)))


async def said(face: NodeFace, where: str) -> list[talk.Message]:
    return (await face.messages(where, talk.MessagesQuery())).messages


def test_a_ticket_makes_friends_of_two_who_then_see_each_other(tmp_path: Path) -> None:
    async def story(ann: NodeFace, bob: NodeFace) -> None:
        [row] = bob.friends()
        assert row.id == ann.id().id and (row.person.shown, row.person.chosen) == ("Ann", True)
        assert row.seen is None and row.since is not None
        await ann.set_presence(talk.PresenceChange(presence="away", note="at lunch"))
        await until(lambda: bob.friends()[0].note == "at lunch")
        assert bob.friends()[0].presence == "away"
        await bob.end_friendship("Ann")
        assert bob.friends() == []
        await until(
            lambda: ann.friends() == [], within=5.0
        )  # though they share no network and are cut off by it

    play(tmp_path, story)


def test_a_message_is_heard_of_by_whoever_listens_and_told_as_delivered(tmp_path: Path) -> None:
    async def story(ann: NodeFace, bob: NodeFace) -> None:
        heard: dict[str, list[talk.Message]] = {"ann": [], "bob": []}
        notices: list[talk.Notice] = []
        ann.hear(heard["ann"].append, notices.append)
        bob.hear(heard["bob"].append, lambda notice: None)
        made = await bob.send_message("Ann", talk.NewMessage(text="hello Ann", token="t"))
        again = await bob.send_message("Ann", talk.NewMessage(text="hello Ann", token="t"))
        assert made.id == again.id and made.author.me
        await until(lambda: [one for one in heard["bob"] if one.state == "delivered"])
        assert [one.text for one in heard["ann"]] == ["hello Ann"]
        assert heard["ann"][0].author.shown == "Bob" and heard["ann"][0].state == "received"
        notice = await until(lambda: [one for one in notices if one.kind == "message"])
        assert notice[0].person == heard["ann"][0].author
        assert ann.talk_sums().unread == 1 and ann.conversation("Bob").unread == 1
        await ann.mark_read("Bob", talk.ReadMark())
        assert ann.talk_sums().unread == 0
        [hit] = await ann.search_talk(talk.TalkQuery(text="hello", author="Bob"))
        assert [hit.message.text[first:end] for first, end in hit.ranges] == ["hello"] and hit.title == "Bob"
        assert await ann.search_talk(talk.TalkQuery(text="hello", author="me")) == []
        await bob.take_back("Ann", made.id)
        await until(lambda: heard["ann"][-1].removed)
        assert (await said(ann, "Bob"))[-1].text == ""

    play(tmp_path, story)


def test_a_conversation_is_found_by_name_before_anything_was_said(tmp_path: Path) -> None:
    async def story(ann: NodeFace, bob: NodeFace) -> None:
        row = bob.conversation("Ann")
        assert (row.id, row.title, row.last) == (f"peer:{ann.id().id}", "Ann", None)
        assert row.presence == "available"
        assert (await bob.messages("Ann", talk.MessagesQuery())).messages == []
        for wrong in ("nobody", "room:" + "00" * 16, "peer:x", "#nowhere"):
            with pytest.raises((NotFound, UsageError)):
                bob.conversation(wrong)

    play(tmp_path, story)


def test_rows_are_told_again_only_when_something_has_changed(tmp_path: Path) -> None:
    async def story(ann: NodeFace, bob: NodeFace) -> None:
        await bob.send_message("Ann", talk.NewMessage(text="hello"))
        await until(lambda: ann.conversations())
        [row] = ann.conversations()
        assert ann.conversations()[0] is row
        bus = Bus(0)
        ctx = Context(ann, Keys("t" * 43), bus, "0")
        await look(ctx, TALK)
        await asyncio.sleep(20.0)
        before = bus.seq
        await look(ctx, TALK)
        assert bus.seq == before
        await ann.mark_read("Bob", talk.ReadMark())
        assert ann.conversations()[0].unread == 0 and row.unread == 1
        await look(ctx, TALK)
        assert bus.seq > before

    play(tmp_path, story)
