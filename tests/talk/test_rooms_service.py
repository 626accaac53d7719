"""Rooms of whole nodes on the simulated network: said, missed, caught up with, moderated, handed over, attacked."""

from __future__ import annotations

import asyncio
import random
import re
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import structs

from servent.codec import encode, frame, write_frame
from servent.errors import ConnectionLost, NotFound, PeerError, UsageError
from servent.identity import PeerId
from servent.overlay.service import Overlay
from servent.talk import keys, rooms_wire
from servent.talk.catchup import Ask, Reply
from servent.talk.records import Act, Acted, Announce, Body, Here, Message, Said, Settings, sign, sign_message
from servent.talk.room_facts import Moderated
from servent.talk.rooms_service import Rooms
from servent.talk.rooms_wire import AskKeys, AskRooms, Sorry
from servent.talk.runs import Page
from servent.talk.shelf import MemoryShelf, Row
from servent.testing.light import LightNode, gather_in, light
from servent.testing.loop import run
from servent.testing.simnet import SimNet
from servent.trust.networks import Forged


class Talker:
    """A light node with rooms, as long as it is up."""

    def __init__(self, node: LightNode, shelf: MemoryShelf | None = None) -> None:
        self.node, self.peer = node, node.peer
        self.shelf = shelf or MemoryShelf()
        self.texts: list[str] = []
        self.removed: list[bytes] = []
        self.delivered: list[bytes] = []
        self.acts: list[Moderated] = []
        clock = asyncio.get_running_loop().time
        self.rooms = Rooms(
            node.peers, node.overlay, node.trust, node.identity, self.shelf, dice=random.Random(bytes(node.peer)),
            wall=lambda: 1_790_000_000.0 + clock(),
            noise=random.Random(bytes(node.peer) + b"n").randbytes,
        )  # fmt: skip
        self.rooms.on_message(self._said)
        self.rooms.on_removed(lambda room, ids: self.removed.extend(ids))
        self.rooms.on_delivered(lambda room, id: self.delivered.append(id))
        self.rooms.on_act(self.acts.append)
        self._task: asyncio.Task[None] | None = None

    def _said(self, room: bytes, row: Row) -> None:
        assert row.id in self.shelf.rows[room]
        if isinstance(row.message.body, Body) and row.message.takes is None:
            self.texts.append(row.message.body.text)

    async def start(self, tasks: asyncio.TaskGroup) -> Talker:
        await self.rooms.open()
        self._task = tasks.create_task(self.rooms.run())
        return self

    async def stop(self) -> None:
        await self.rooms.close()
        assert self._task is not None
        await asyncio.wait([self._task])

    def neighbours(self, room: bytes) -> list[PeerId]:
        joined = self.rooms._k.rooms[room]
        topic = joined.meets()
        return self.node.overlay.room_neighbours(joined.network, topic) if topic in joined.topics else []

    def core(self, room: bytes) -> Any:
        return self.rooms._k.rooms[room].core


@asynccontextmanager
async def talkers(count: int, seed: int = 1) -> AsyncIterator[tuple[bytes, list[Talker], asyncio.TaskGroup]]:
    """Members of one network, all up."""
    async with light(count, SimNet(seed=seed)) as nodes, asyncio.TaskGroup() as tasks:
        network = await gather_in(nodes, "p2p")
        people = [await Talker(node).start(tasks) for node in nodes]
        await asyncio.sleep(20.0)
        try:
            yield network, people, tasks
        finally:
            for one in people:
                await one.stop()


async def until(condition: Callable[[], object], limit: float = 120.0) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not condition():
        assert loop.time() - began < limit, "it did not come to pass"
        await asyncio.sleep(0.1)
    return loop.time() - began


def story(tell: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run(tell(), limit=36_000.0)


async def open_room(network: bytes, people: list[Talker]) -> bytes:
    """Of the first; the others hear of it and enter."""
    room = (await people[0].rooms.create(network, "The Hall")).id
    await until(lambda: all(any(one.id == room for one in other.rooms.rooms()) for other in people), 900)
    for one in people[1:]:
        await one.rooms.join(room)
    await until(lambda: all(one.neighbours(room) for one in people))
    return room


async def closed_room(network: bytes, people: list[Talker]) -> bytes:
    room = (await people[0].rooms.create(network, "Back room", policy="invite")).id
    for one in people[1:]:
        invite = await people[0].rooms.invite(room, one.peer)
        facts = await one.rooms.invited(people[0].peer, invite)
        assert facts is not None and facts.standing == "invited" and facts.inviter == people[0].peer
        await one.rooms.join(room)
    await until(lambda: all(one.neighbours(room) for one in people))
    return room


def test_what_one_says_all_hear_and_the_speaker_learns_that_it_arrived() -> None:
    async def tell() -> None:
        async with talkers(5) as (network, people, _):
            room = await open_room(network, people)
            ann = people[0]
            row = await ann.rooms.say(room, "good evening", links=["magnet:?xt=urn:btmh:1220" + "0" * 64])
            await until(lambda: all(one.texts == ["good evening"] for one in people), 5)
            await until(lambda: row.id in ann.delivered, 15)
            facts = people[3].rooms.room(room)
            assert (facts.name, facts.standing, facts.joined, facts.owner) == (
                "The Hall",
                "member",
                True,
                ann.peer,
            )
            await until(lambda: people[3].rooms.room(room).present == 5, 60)
            assert {one.peer for one in people[3].rooms.members(room) if one.present} == {
                one.peer for one in people
            }
            await people[2].rooms.say(room, "hello Ann", reply_to=row.id)
            await until(lambda: all(one.texts[-1] == "hello Ann" for one in people), 5)
            await ann.rooms.change(room, name="The Great Hall", topic="music", slow=2)
            await until(lambda: people[4].rooms.room(room).topic == "music", 5)
            await people[4].rooms.leave(room)
            with pytest.raises(NotFound):
                await people[4].rooms.say(room, "gone")
            with pytest.raises(UsageError, match="yours"):
                await ann.rooms.leave(room)

    story(tell)


def test_one_who_was_away_catches_up_when_it_is_back_and_with_a_new_process() -> None:
    async def tell() -> None:
        async with talkers(4) as (network, people, tasks):
            room = await open_room(network, people)
            ann, away = people[0], people[3]
            await ann.rooms.say(room, "before")
            await until(lambda: away.texts == ["before"], 5)
            await away.stop()
            for topic in list(away.rooms._k.rooms[room].topics):
                away.node.overlay.leave(network, topic)
            for number in range(30):
                await ann.rooms.say(room, f"missed {number}")
                await asyncio.sleep(2)
            again = people[3] = Talker(away.node, away.shelf)
            await again.start(tasks)
            await until(lambda: len(again.texts) == 30, 60)
            assert again.texts == [f"missed {number}" for number in range(30)]
            await again.rooms.say(room, "I am back")
            await until(lambda: ann.texts[-1] == "I am back", 5)
            chain = {
                one.message.epoch for one in ann.shelf.rows[room].values() if one.message.author == away.peer
            }
            assert len(chain) == 1

    story(tell)


def test_who_is_put_out_of_a_room_by_invitation_reads_nothing_of_what_comes_after() -> None:
    async def tell() -> None:
        async with talkers(5) as (network, people, _):
            room = await closed_room(network, people[:4])
            ann, bob, cy, dan, eve = people
            spoken: list[bytes] = []
            eve.node.overlay.on_heard(lambda network, topic, author, body: spoken.append(body))
            await bob.rooms.say(room, "among us")
            await until(lambda: dan.texts == ["among us"], 60)
            assert not any(one.id == room for one in eve.rooms.rooms())
            await ann.rooms.moderate(room, "kick", cy.peer, reason="told others")
            await until(
                lambda: not cy.rooms.room(room).joined and "told others" in cy.rooms.room(room).why, 30
            )
            others = [ann, bob, dan]
            await until(lambda: len({one.rooms._k.rooms[room].meets() for one in others}) == 1, 60)
            await until(lambda: all(one.neighbours(room) for one in others))
            old = cy.rooms._k.rooms[room]
            cy.node.overlay.enter(network, old.meets())  # it stays where they met, and keeps its key
            heard: list[bytes] = []
            cy.node.overlay.on_heard(lambda network, topic, author, body: heard.append(body))
            await bob.rooms.say(room, "without her")
            await until(lambda: all(one.texts[-1] == "without her" for one in others), 30)
            await asyncio.sleep(60)
            assert "without her" not in cy.texts and not any(b"without her" in body for body in heard)
            for question in (Ask(room, 0, 0), AskKeys(room)):
                assert await asked(eve, ann, question) == Sorry()
            assert await asked(cy, ann, AskKeys(room)) == Sorry()
            answer = await asked(cy, ann, Ask(room, 0, 0))
            assert (
                isinstance(answer, Reply) and answer.page is None
            )  # why she was put out, and nothing after that
            assert answer.given[-1].deed == "kick"
            with pytest.raises(UsageError):
                await cy.rooms.say(room, "let me in")
            await cy.rooms.invited(ann.peer, await ann.rooms.invite(room, cy.peer))
            await until(lambda: cy.rooms.room(room).joined and bool(cy.neighbours(room)), 60)
            await cy.rooms.say(room, "sorry")
            await until(lambda: all(one.texts[-1] == "sorry" for one in others), 60)
            assert not any(b"among us" in body for body in spoken)

    story(tell)


async def asked(one: Talker, other: Talker, question: Any) -> object:
    stream = await one.node.peers.open(other.peer, rooms_wire.SERVICE)
    try:
        await write_frame(stream, question)
        return await rooms_wire.answers.read(stream)
    finally:
        await stream.reset()


def test_the_banned_cannot_come_back_until_they_are_let_and_a_purge_takes_back_what_they_said() -> None:
    async def tell() -> None:
        async with talkers(4) as (network, people, _):
            room = await open_room(network, people)
            ann, bob, cy, dan = people
            await ann.rooms.moderate(room, "moderator", bob.peer)
            await cy.rooms.say(room, "spam")
            await until(lambda: all("spam" in one.texts for one in people), 5)
            await until(lambda: bob.rooms.room(room).standing == "moderator", 30)
            await bob.rooms.moderate(room, "ban", cy.peer, reason="spam", purge=True)
            await until(lambda: all(one.removed for one in people), 60)
            await until(lambda: not cy.rooms.room(room).joined, 10)
            with pytest.raises(UsageError, match="banned"):
                await cy.rooms.join(room)
            joined = cy.rooms._k.rooms[room]
            joined.out = ""  # it does as if it had not been banned
            joined.core.acts.state.spans.clear()
            await asyncio.sleep(30)
            await cy.rooms.say(room, "here again")
            await asyncio.sleep(120)
            assert all("here again" not in one.texts for one in (ann, bob, dan))
            assert {one.peer for one in dan.rooms.members(room) if one.standing == "banned"} == {cy.peer}
            await bob.rooms.moderate(room, "unban", cy.peer)
            await until(lambda: dan.acts[-1].deed == "unban", 10)
            joined.out = "banned"
            await cy.rooms.join(room)
            await until(lambda: bool(cy.neighbours(room)), 60)
            await cy.rooms.say(room, "thank you")
            await until(lambda: all(one.texts[-1] == "thank you" for one in (ann, bob, dan)), 60)
            await ann.rooms.moderate(room, "kick", cy.peer, reason="once more")
            await until(lambda: not cy.rooms.room(room).joined, 30)
            with pytest.raises(UsageError) as refused:
                await cy.rooms.join(room)
            assert re.search(r"come back in \d+ seconds?, or when a moderator", refused.value.advice)
            await asyncio.sleep(61)
            await cy.rooms.join(room)
            assert cy.rooms.room(room).joined

    story(tell)


def test_a_handed_over_room_lives_on_without_its_founder() -> None:
    async def tell() -> None:
        async with talkers(4) as (network, people, _):
            room = await open_room(network, people)
            ann, bob, cy, dan = people
            await ann.rooms.moderate(room, "owner", bob.peer)
            await until(lambda: all(one.rooms.room(room).owner == bob.peer for one in people), 10)
            await ann.rooms.leave(room)
            await ann.node.stop(kindly=False)
            await bob.rooms.moderate(room, "mute", cy.peer, seconds=3600)
            await until(lambda: cy.rooms.room(room).muted_until is not None, 30)
            with pytest.raises(UsageError, match="muted"):
                await cy.rooms.say(room, "hm")
            await dan.rooms.say(room, "still here")
            await until(lambda: bob.texts[-1:] == ["still here"], 30)
            await bob.rooms.shut(room)
            await until(lambda: dan.rooms.room(room).closed, 30)
            with pytest.raises(UsageError, match="closed"):
                await dan.rooms.say(room, "anybody?")

    story(tell)


def test_who_is_let_in_late_finds_the_others_and_a_renamed_room_is_listed_by_its_new_name() -> None:
    async def tell() -> None:
        async with talkers(5) as (network, people, _):
            ann, bob, cy, dan, eve = people
            room = await closed_room(network, people[:3])
            for number in range(3):
                await ann.rooms.change(room, name=f"Room {number}")
                await asyncio.sleep(1)
            await ann.rooms.moderate(room, "ban", cy.peer)
            invite = await ann.rooms.invite(room, dan.peer)
            facts = await dan.rooms.invited(ann.peer, invite)
            assert facts is not None and facts.name == "Room 2"
            await dan.rooms.join(room)
            await until(lambda: dan.rooms.room(room).standing == "member" and dan.neighbours(room), 120)
            await dan.rooms.say(room, "late")
            await until(lambda: ann.texts[-1:] == bob.texts[-1:] == ["late"], 60)
            assert "late" not in cy.texts
            open_ = (await ann.rooms.create(network, "Old name")).id
            await ann.rooms.moderate(open_, "mute", cy.peer)
            await ann.rooms.change(open_, name="New name")
            await until(lambda: any(one.name == "New name" for one in eve.rooms.rooms()), 900)

    story(tell)


def test_liars_in_the_room_are_not_believed_and_the_others_talk_on() -> None:
    async def tell() -> None:
        async with talkers(4) as (network, people, _):
            room = await open_room(network, people)
            ann, bob, cy, eve = people
            said = await ann.rooms.say(room, "true words")
            await until(lambda: all("true words" in one.texts for one in people), 5)
            core, seal = eve.core(room), eve.core(room)._seal
            now = core.wall_ms()
            acts = [
                sign(
                    Act(room, bytes(eve.peer), n, now + n, now, deed, peer, settings=Settings("Eve's")), seal
                )  # type: ignore[arg-type]
                for n, (deed, peer) in enumerate(
                    [
                        ("owner", bytes(eve.peer)),
                        ("settings", None),
                        ("ban", bytes(ann.peer)),
                        ("close", None),
                    ],
                    1,
                )
            ]
            forged = [structs.replace(acts[2], author=bytes(ann.peer), peer=bytes(bob.peer))]
            other = sign_message(
                structs.replace(said.message, author=bytes(eve.peer), body=Body("Eve's")), seal
            )
            fake = structs.replace(said.message, seq=2, before=b"b" * 16, body=Body("I never said that"))
            topic = eve.rooms._k.rooms[room].meets()
            wrong = [
                Acted(acts[:2]),
                Acted(acts[2:]),
                Acted(forged),
                Said(fake),
                Said(structs.replace(other, room=b"r" * 16)),
            ]
            told = [encode(one) for one in wrong]
            told += [
                b"garbage",
                b"\x93",
                encode(Said(said.message)),
                encode(keys.seal(Here(), room, bytes(eve.peer), 0, b"k" * 32, b"n" * 12)),
            ]
            for body in told:
                overlay_say(eve.node.overlay, network, topic, body)
                await asyncio.sleep(1.5)
            for question in (
                b"\xc1" * 40,
                encode(Ask(room, 0, 0, given=acts[:1])),
                encode(Ask(room, 0, given=forged)),
                encode(Ask(room, 0, page=Page(zlib.compress(bytes(64 << 20), 9), b""))),
                encode(Ask(room, 0, page=Page(b"no page", bytes(64)))),
            ):
                stream = await eve.node.peers.open(ann.peer, rooms_wire.SERVICE)
                await stream.write(len(question).to_bytes(4, "big") + question)
                with pytest.raises((ConnectionLost, PeerError)):
                    while True:
                        await stream.read_exactly(1)
                await stream.reset()
            await asyncio.sleep(60)
            for one in (ann, bob, cy):
                facts = one.rooms.room(room)
                assert (facts.owner, facts.name, facts.closed) == (ann.peer, "The Hall", False)
                assert one.texts == ["true words"]
            await bob.rooms.say(room, "we talk on")
            await until(lambda: ann.texts[-1] == cy.texts[-1] == "we talk on", 30)

    story(tell)


def overlay_say(overlay: Overlay, network: bytes, topic: str, body: bytes) -> None:
    overlay.say(network, topic, body)


def test_a_flood_of_messages_is_dropped_and_the_node_serves_on() -> None:
    async def tell() -> None:
        async with talkers(3) as (network, people, _):
            room = await open_room(network, people)
            ann, bob, eve = people
            core = eve.core(room)
            number = core.wall_ms()
            before = bytes(16)
            from servent.talk.records import digest_of

            for seq in range(1, 200):
                message = sign_message(
                    Message(room, bytes(eve.peer), b"floods!!", seq, before, number + seq, number, Body(f"spam {seq}")), core._seal
                )  # fmt: skip
                before = digest_of(message)[:16]
                ann.rooms._hosting._heard(
                    network, ann.rooms._k.rooms[room].meets(), eve.peer, encode(Said(message))
                )
            await asyncio.sleep(30)
            assert len(ann.texts) <= 16
            await bob.rooms.say(room, "finally")
            await until(lambda: ann.texts[-1] == "finally", 10)
            asks = [await asked_once(eve, ann, AskRooms(network)) for _ in range(8)]
            assert asks[-1] == Sorry()

    story(tell)


async def asked_once(one: Talker, other: Talker, question: Any) -> object:
    return await asked(one, other, question)


def test_invitations_and_rooms_told_of_by_liars_are_refused() -> None:
    async def tell() -> None:
        async with talkers(3) as (network, people, _):
            room = await closed_room(network, people[:2])
            ann, bob, eve = people
            invite = await ann.rooms.invite(room, bob.peer)
            with pytest.raises(Forged):
                await eve.rooms.invited(
                    ann.peer,
                    structs.replace(invite, founding=structs.replace(invite.founding, policy="open")),
                )
            with pytest.raises(Forged):
                await eve.rooms.invited(ann.peer, structs.replace(invite, keys=[(0, b"k" * 32)]))
            with pytest.raises(Forged):
                await eve.rooms.invited(PeerId(b"s" * 32), invite)
            assert not eve.rooms.rooms()
            told = Announce(invite.founding)
            eve.node.overlay.say(network, "", encode(told))
            forged = structs.replace(
                sign(structs.replace(invite.founding, policy="open"), ann.core(room)._seal), nonce=b"x" * 16
            )
            eve.node.overlay.say(network, "", encode(Announce(forged)))
            await asyncio.sleep(5)
            assert [one.id for one in ann.rooms.rooms()] == [room]
            # eve has the key now, by bob's fault, and is on no list: nobody tells her anything
            leaked = await ann.rooms.invite(room, bob.peer)
            facts = await eve.rooms.invited(bob.peer, leaked)
            assert facts is not None
            await eve.rooms.join(room)
            await ann.rooms.say(room, "who is here?")
            await asyncio.sleep(60)
            with pytest.raises(UsageError):
                await eve.rooms.say(room, "me")
            assert await asked(eve, ann, Ask(room, 0, 0)) == Sorry()

    story(tell)


def test_rooms_are_there_again_after_a_restart_and_invitations_can_be_declined() -> None:
    async def tell() -> None:
        async with talkers(3) as (network, people, tasks):
            room = await closed_room(network, people[:2])
            ann, bob, cy = people
            await cy.rooms.invited(ann.peer, await ann.rooms.invite(room, cy.peer))
            again = people[2] = Talker(cy.node, cy.shelf)
            await cy.stop()
            await again.start(tasks)
            assert [one.standing for one in again.rooms.rooms()] == ["invited"]
            await again.rooms.leave(room)
            assert not again.rooms.rooms()
            await bob.stop()
            back = people[1] = Talker(bob.node, bob.shelf)
            await back.start(tasks)
            assert [one.id for one in back.rooms.rooms()] == [room]
            await until(lambda: back.neighbours(room))
            await back.rooms.say(room, "still here")
            await until(lambda: ann.texts == ["still here"], 30)
            row = await back.rooms.say(room, "oops")
            await back.rooms.take_back(room, row.id)
            await until(lambda: row.id in ann.removed, 30)
            with pytest.raises(UsageError, match="nothing to say"):
                await back.rooms.say(room, "  ")
            await ann.rooms.moderate(room, "kick", bob.peer, reason="enough")
            await until(lambda: not back.rooms.room(room).joined, 30)
            await back.stop()
            third = people[1] = Talker(bob.node, bob.shelf)
            await third.start(tasks)
            assert not third.rooms.room(room).joined and "enough" in third.rooms.room(room).why

    story(tell)


def test_questions_have_a_length() -> None:
    with pytest.raises(PeerError):
        rooms_wire.questions.decode(bytes(400 * 1024))
    assert len(frame(AskKeys(bytes(16)))) < 64
