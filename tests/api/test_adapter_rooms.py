"""Two whole nodes in virtual time: a room as the API tells of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from servent.api import schema_talk as talk
from servent.api.adapter import NodeFace
from servent.errors import ServentError
from tests.api.test_adapter_talk import play, said, until


def test_a_room_from_its_making_to_its_end(tmp_path: Path) -> None:
    async def story(ann: NodeFace, bob: NodeFace) -> None:
        await ann.create_network("club", open=False, mode="hybrid")
        await bob.join((await ann.invite("club", uses=1, lifetime=None)).invitation)
        made = await ann.create_room(talk.NewRoom(name="workshop", topic="tools"))
        assert (made.standing, made.network, made.joined) == ("owner", "club", True)
        await ann.send_message("#workshop", talk.NewMessage(text="who has the drill?"))
        await until(lambda: [one for one in bob.rooms() if one.name == "workshop"])
        assert (await bob.join_room("workshop")).joined
        async with asyncio.timeout(120):
            while [one.text for one in await said(bob, "#workshop") if one.text] != ["who has the drill?"]:
                await asyncio.sleep(0.5)
        await bob.send_message("workshop", talk.NewMessage(text="I do"))
        async with asyncio.timeout(60):
            while "I do" not in [one.text for one in await said(ann, "workshop")]:
                await asyncio.sleep(0.5)
        await until(lambda: {one.person.shown for one in ann.room_members("workshop")} >= {"Bob"})
        await ann.moderate("workshop", talk.Moderation(action="mute", peer="Bob", seconds=600))
        await until(lambda: bob.rooms()[0].muted_until)
        with pytest.raises(ServentError):
            await bob.send_message("workshop", talk.NewMessage(text="but"))
        changed = await ann.change_room("workshop", talk.RoomChange(topic="nails"))
        assert changed.topic == "nails"
        await until(lambda: bob.rooms()[0].topic == "nails")
        await ann.close_room("workshop")
        await until(lambda: bob.rooms()[0].closed)

    play(tmp_path, story)
