"""Messages from person to person on the simulated network: once, in order, soon, whatever dies when."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from servent.codec import HEADER_BYTES, encode, write_frame
from servent.errors import BadMessage, ConnectionLost, UsageError
from servent.identity import PeerId
from servent.net.links import Stream
from servent.talk import direct_service, mail_service, wire
from servent.talk.settings import Defaults
from servent.testing.loop import run
from servent.testing.simnet import SimNet
from tests.talk.circle import Person, befriend, circle, until

LINK = "magnet:?xt=urn:btmh:1220" + "ab" * 32 + "&dn=song.flac&xl=1234"


async def friends_apart(ann: Person, bob: Person) -> None:
    await befriend(ann, bob)
    await bob.stop()
    await until(lambda: ann.peers.session(bob.peer) is None)


def test_a_message_to_a_friend_who_is_offline_arrives_once_in_order_and_soon(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await friends_apart(ann, bob)
            for number in range(100):
                await ann.talk.send(ann.conversation(bob), f"message {number}")
            assert set(await ann.states(bob)) == {"waiting"}
            await asyncio.sleep(3600)
            began = asyncio.get_running_loop().time()
            await bob.start()  # it knows where ann was, and ann is still there
            await until(lambda: bob.talk.sums().unread == 100, limit=5)
            assert asyncio.get_running_loop().time() - began < 5
            assert await bob.texts(ann) == [f"message {number}" for number in range(100)]
            await until(lambda: _all(ann, bob, "delivered"), limit=5)
            assert [one.text for one in bob.said] == await bob.texts(ann), "told as they came"
            (conversation,) = bob.talk.conversations()
            assert conversation.unread == conversation.mentions == 100 and conversation.title == "ann"
            await bob.talk.mark_read(conversation.id)
            assert bob.talk.sums().unread == 0 and bob.notices("message") == []

    run(story())


async def _all(who: Person, other: Person, state: str) -> bool:
    return set(await who.states(other)) == {state}


@pytest.mark.parametrize("seed", range(8))
def test_whoever_is_killed_at_whatever_moment_each_message_arrives_once_and_in_order(
    tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)

    async def story() -> None:
        async with circle(tmp_path, "ann", "bob", net=SimNet(seed=seed)) as (ann, bob):
            await friends_apart(ann, bob)
            sent = []
            for number in range(10):
                sent.append(f"before {number}")
                await ann.talk.send(ann.conversation(bob), sent[-1])
            await bob.start()
            for round_ in range(4):
                await asyncio.sleep(dice.uniform(0.0, 0.4))
                for number in range(3):
                    sent.append(f"round {round_}.{number}")
                    await ann.talk.send(ann.conversation(bob), sent[-1])
                    await asyncio.sleep(dice.uniform(0.0, 0.02))
                match dice.choice(["kill ann", "kill bob", "cut", "both"]):
                    case "kill ann":
                        await ann.kill()
                        await ann.start()
                    case "kill bob":
                        await bob.kill()
                        await bob.start()
                    case "both":
                        await bob.kill()
                        await ann.kill()
                        await ann.start()
                        await bob.start()
                    case "cut":
                        ann.net.cut(ann.endpoint, bob.endpoint)
                ann.peers.remember(bob.endpoint.address())
                bob.peers.remember(ann.endpoint.address())
            await until(lambda: _all(ann, bob, "delivered"), limit=90)
            assert await bob.texts(ann) == sent
            await asyncio.sleep(10)
            assert await bob.texts(ann) == sent and bob.talk.sums().unread == len(sent)

    run(story())


@pytest.mark.parametrize("after", range(0, 40, 5))
def test_a_connection_that_dies_at_any_byte_of_the_exchange_loses_and_doubles_nothing(
    tmp_path: Path, after: int
) -> None:
    """The receiver's answers break off after so many bytes, again and again."""

    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await befriend(ann, bob)
            await until(lambda: not ann.talk._mail._lanes)
            left = [after, after + 30, after + 80]
            real = mail_service.Mail._serve

            class Breaking:
                def __init__(self, stream: Stream, bytes_left: int) -> None:
                    self._stream, self._left = stream, bytes_left

                def __getattr__(self, name: str):
                    return getattr(self._stream, name)

                async def write(self, data: bytes) -> None:
                    await self._stream.write(data[: self._left])
                    self._left -= len(data)
                    if self._left <= 0:
                        raise BadMessage("broken for the test")

            async def serve(self, session, stream) -> None:
                await real(self, session, Breaking(stream, left.pop(0)) if left else stream)

            mail = bob.talk._mail
            bob.peers.withdraw(wire.SERVICE)
            bob.peers.serve(
                wire.SERVICE, lambda session, stream: serve(mail, session, stream), audience="network"
            )
            texts = [f"message {number}" for number in range(20)]
            for text in texts:
                await ann.talk.send(ann.conversation(bob), text)
            await until(lambda: _all(ann, bob, "delivered"), limit=60)
            assert await bob.texts(ann) == texts and not left

    run(story())


def test_the_same_token_is_the_same_message(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await befriend(ann, bob)
            first = await ann.talk.send(ann.conversation(bob), "once", token="t1")
            again = await ann.talk.send(ann.conversation(bob), "once", token="t1")
            assert again.id == first.id
            await ann.talk.send(ann.conversation(bob), "two", token="t2")
            await until(lambda: bob.talk.sums().unread == 2, limit=5)
            await ann.kill()
            await ann.start()
            assert (await ann.talk.send(ann.conversation(bob), "once", token="t1")).id == first.id
            await ann.meets(bob)
            await asyncio.sleep(5)
            assert await bob.texts(ann) == ["once", "two"]

    run(story())


def test_what_is_taken_back_is_gone_on_both_sides_and_only_by_its_author(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await befriend(ann, bob)
            secret = await ann.talk.send(ann.conversation(bob), "my secret", attachments=(LINK,))
            await until(lambda: bob.talk.sums().unread == 1, limit=5)
            (got,) = (await bob.talk.history(bob.conversation(ann))).messages
            assert got.id == secret.id and got.attachments[0].name == "song.flac"
            assert got.attachments[0].size_bytes == 1234
            with pytest.raises(UsageError, match="somebody else"):
                await bob.talk.take_back(bob.conversation(ann), got.id)
            await ann.talk.take_back(ann.conversation(bob), secret.id)
            await until(lambda: bob.said[-1].removed, limit=5)
            (gone,) = (await bob.talk.history(bob.conversation(ann))).messages
            assert gone.removed and gone.text == "" and gone.attachments == ()
            assert await bob.talk.search("secret") == [] and bob.talk.sums().unread == 0
            raw = b"".join(path.read_bytes() for path in bob.folder.glob("talk.db"))
            assert raw, "the file is there"

    run(story())


def test_a_peer_cannot_take_back_what_the_other_wrote(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await befriend(ann, bob)
            mine = await bob.talk.send(bob.conversation(ann), "I said so")
            await until(lambda: ann.talk.sums().unread == 1, limit=5)
            lane = await Lane.to(ann, bob)
            assert isinstance(await lane.say(wire.TakeBack(bytes.fromhex(mine.id))), wire.Stored)
            (row,) = (await bob.talk.history(bob.conversation(ann))).messages
            assert not row.removed and row.text == "I said so"

    run(story())


class Lane:
    """A stream on which a peer says what it likes."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.seq, self.chain = stream, 0, b"c" * 16

    @classmethod
    async def to(cls, who: Person, whom: Person, friend: bool = True) -> Lane:
        lane = cls(await who.peers.open(whom.peer, wire.SERVICE))
        await write_frame(lane.stream, wire.Stand(friend))
        assert isinstance(await wire.read_answer.read(lane.stream), wire.Stood)
        return lane

    async def say(self, body: wire.Body, seq: int | None = None, sent: float = 0.0):
        self.seq = self.seq + 1 if seq is None else seq
        await write_frame(self.stream, wire.Say(self.chain, self.seq, sent, body))
        return await wire.read_answer.read(self.stream)


def test_who_is_no_friend_is_refused_with_a_reason_unless_networks_may_write(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await ann.talk.send(ann.conversation(bob), "hello stranger")
            await until(lambda: _all(ann, bob, "failed"), limit=5)
            (failed,) = (await ann.talk.history(ann.conversation(bob))).messages
            assert failed.why == "they take messages from friends alone"
            assert bob.talk.conversations() == []
            bob.settings.messages_from = "network"
            await ann.talk.send(ann.conversation(bob), "again")
            await until(lambda: bob.talk.sums().unread == 1, limit=5)
            assert await bob.texts(ann) == ["again"], "a refused message stays refused"

    run(story())


def test_a_stranger_can_write_only_so_much_until_it_is_answered(tmp_path: Path) -> None:
    async def story() -> None:
        open_ = Defaults(messages_from="network")
        async with circle(tmp_path, "ann", "bob", settings=open_) as (ann, bob):
            lane = await Lane.to(ann, bob, False)
            began = asyncio.get_running_loop().time()
            answers = [await lane.say(wire.Text(f"buy {number}")) for number in range(30)]
            taken = [one for one in answers if isinstance(one, wire.Stored)]
            assert len(taken) == direct_service.MOST_OF_STRANGER
            assert asyncio.get_running_loop().time() - began > 20, "and slowly"
            assert {one.reason for one in answers if isinstance(one, wire.Declined)} == {
                "they have not answered you yet"
            }
            await bob.talk.send(bob.conversation(ann), "who are you?")
            assert isinstance(await lane.say(wire.Text("ann!")), wire.Stored)

    run(story())


def test_a_number_counts_once_whatever_is_sent_under_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await befriend(ann, bob)
            lane = await Lane.to(ann, bob)
            await lane.say(wire.Text("one"), 1)
            await lane.say(wire.Text("another one"), 1)
            await lane.say(wire.Text("five"), 5)
            await lane.say(wire.Text("late"), 3)
            assert await bob.texts(ann) == ["one", "five"]
            (first, *_) = (await bob.talk.history(bob.conversation(ann))).messages
            assert first.sent <= bob.now(), "a time in the far future is not believed"

    run(story())


def test_what_is_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob", "eve") as (ann, bob, eve):
            await befriend(ann, bob)
            await befriend(eve, bob)
            with pytest.raises(UsageError, match="4000 characters"):
                await ann.talk.send(ann.conversation(bob), "x" * 4001)
            with pytest.raises(UsageError, match="no link"):
                await ann.talk.send(ann.conversation(bob), "see", attachments=("javascript:alert(1)",))
            with pytest.raises(UsageError, match="nothing"):
                await ann.talk.send(ann.conversation(bob), " \u200b\x00 ")
            parcel = encode(wire.Say(b"c" * 16, 1, 0.0, wire.Parcel("x", b"y" * 40_000)))
            for huge in (
                b"\xff\xff\xff\xff" + b"x" * 1000,
                (60_000).to_bytes(HEADER_BYTES, "big") + b"\xc1" * 60_000,
                len(parcel).to_bytes(HEADER_BYTES, "big") + parcel,
            ):
                lane = await Lane.to(eve, bob)
                await lane.stream.write(huge)
                with pytest.raises(ConnectionLost):
                    await wire.read_answer.read(lane.stream)
            await ann.talk.send(ann.conversation(bob), "€" * 4000)
            await until(lambda: bob.talk.sums().unread == 1, limit=10)
            assert await bob.texts(ann) == ["€" * 4000]

    run(story())


def test_an_outbox_has_an_end_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_service, "MOST_BODIES", 20)

    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await friends_apart(ann, bob)
            for number in range(20):
                await ann.talk.send(ann.conversation(bob), f"message {number}")
            with pytest.raises(UsageError, match="20 messages wait"):
                await ann.talk.send(ann.conversation(bob), "one too many")
            assert len(await ann.texts(bob)) == 20, "what is not sent is not shown as sent"
            await bob.start()
            await until(lambda: bob.talk.sums().unread == 20, limit=5)

    run(story())


def test_a_friend_who_floods_waits_and_nobody_else_does(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob", "eve") as (ann, bob, eve):
            await befriend(ann, bob)
            await befriend(eve, bob)
            lane = await Lane.to(eve, bob)

            async def flood() -> None:
                for number in range(1000):
                    await lane.say(wire.Text(f"spam {number}"))

            began = asyncio.get_running_loop().time()
            task = asyncio.create_task(flood())
            await asyncio.sleep(2)
            sent = asyncio.get_running_loop().time()
            await ann.talk.send(ann.conversation(bob), "hello")
            await until(lambda: bob.texts(ann), limit=5)
            assert asyncio.get_running_loop().time() - sent < 1
            await task
            assert asyncio.get_running_loop().time() - began > 35  # (1000 - 200) / 20 per second
            assert len(bob.talk.notices()) <= 200

    run(story())


def test_who_lost_its_disk_is_understood_and_understands(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await befriend(ann, bob)
            await ann.talk.send(ann.conversation(bob), "before")
            await until(lambda: bob.talk.sums().unread == 1, limit=5)
            for who, other in ((ann, bob), (bob, ann)):
                await who.stop()
                for path in who.folder.glob("talk.db*"):
                    path.unlink()
                await who.start()
                await who.meets(other)
                await until(lambda: ann.bond(bob) == bob.bond(ann) == "friend", limit=10)
            await ann.talk.send(ann.conversation(bob), "after")
            await bob.talk.send(bob.conversation(ann), "me too")
            await until(lambda: bob.talk.sums().unread == 1 and ann.talk.sums().unread == 1, limit=5)
            assert await bob.texts(ann) == ["after", "me too"] or await bob.texts(ann) == ["me too", "after"]

    run(story())


def test_a_parcel_goes_to_who_knows_its_kind(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            came: list[tuple[PeerId, bytes]] = []

            async def take(peer: PeerId, data: bytes) -> None:
                if data == b"bad":
                    raise UsageError("no")
                came.append((peer, data))

            bob.talk._direct.on_parcel("test", take)
            await ann.talk._direct.parcel(bob.peer, "test", b"bad")
            await ann.talk._direct.parcel(bob.peer, "unknown", b"data")
            await ann.talk._direct.parcel(bob.peer, "test", b"good")
            await until(lambda: came == [(ann.peer, b"good")], limit=5)
            await until(lambda: ann.talk._mail.waiting(bob.peer).bodies == 0, limit=5)
            assert bob.talk.conversations() == []

    run(story())


def test_to_whom_is_blocked_nothing_is_delivered(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await friends_apart(ann, bob)
            await ann.talk.send(ann.conversation(bob), "never mind")
            await ann.trust.block(bob.peer)
            await until(lambda: _all(ann, bob, "failed"), limit=5)
            (message,) = (await ann.talk.history(ann.conversation(bob))).messages
            assert message.why == "you blocked them" and ann.said[-1].state == "failed"
            await ann.trust.unblock(bob.peer)
            await bob.start()
            await bob.meets(ann)
            await asyncio.sleep(10)
            assert await bob.texts(ann) == []

    run(story())


def test_who_is_waited_for_is_tried_every_few_seconds_and_after_an_hour_every_minute(tmp_path: Path) -> None:
    """Who comes back may be unable to reach us, so that it is ours to find it."""

    async def story() -> None:
        async with circle(tmp_path, "ann", "bob", "cat") as (ann, bob, cat):
            await friends_apart(ann, bob)

            async def dials(time: float) -> int:
                began: set[float] = set()
                for _ in range(int(time)):
                    await asyncio.sleep(1)
                    began.add(ann.peers._redial._tries[bob.peer].started)
                return len(began)

            await asyncio.sleep(3000)
            assert ann.peers.session(cat.peer) is not None, (
                "ann is not alone, which would make her look around"
            )
            assert await dials(600) < 6
            await ann.talk.send(ann.conversation(bob), "are you there?")
            assert await dials(600) > 60
            await asyncio.sleep(3600)
            assert 8 < await dials(600) < 20

    run(story())
