"""Friends by mutual consent, and what they see of each other, on the simulated network in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from servent.codec import write_frame
from servent.errors import ConnectionLost, NotFound, UsageError
from servent.talk import bonds, wire
from servent.testing.loop import run
from tests.talk.circle import befriend, circle, until


def test_asked_and_accepted_both_are_friends_and_see_each_other(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await ann.talk.ask(bob.peer, "it is me, from the club", petname="Bobby")
            assert ann.bond(bob) == "asked"
            assert ann.trust.contact(bob.peer).friend, "who asks says yes"
            await until(lambda: bob.bond(ann) == "asking")
            (asking,) = bob.talk.friends()
            assert asking.note_asked == "it is me, from the club" and asking.asked is not None
            assert [one.kind for one in bob.notices()] == ["friend-asks"]
            assert bob.trust.contact(ann.peer) is None, "being asked gives nothing"
            assert bob.talk.sums().asking == 1
            await asyncio.sleep(5)
            assert ann.sees(bob) == bob.sees(ann) == "offline", "nobody sees anybody who has not said yes"

            await bob.talk.answer(ann.peer, True)
            await until(lambda: ann.bond(bob) == bob.bond(ann) == "friend")
            await until(lambda: ann.sees(bob) == bob.sees(ann) == "available", limit=5)
            assert [one.kind for one in ann.notices("friend-accepted")] == ["friend-accepted"]
            (friend,) = ann.talk.friends()
            assert friend.person.shown == "Bobby" and friend.person.chosen and friend.since is not None
            assert bob.talk.sums().asking == 0
            await bob.talk.answer(ann.peer, True)  # said twice, it is no error
            assert bob.bond(ann) == "friend"

    run(story())


def test_who_asks_somebody_who_asked_has_said_yes(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await ann.talk.ask(bob.peer)
            await until(lambda: bob.bond(ann) == "asking")
            assert (await bob.talk.ask(ann.peer)).bond == "friend"
            await until(lambda: ann.bond(bob) == "friend")

    run(story())


def test_both_ask_at_the_same_moment(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await ann.talk.ask(bob.peer)
            await bob.talk.ask(ann.peer)
            await until(lambda: ann.bond(bob) == bob.bond(ann) == "friend", limit=5)

    run(story())


def test_a_question_waits_for_who_is_offline(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await bob.stop()
            await ann.talk.ask(bob.peer, "later")
            await asyncio.sleep(60)
            await ann.stop()
            await bob.start()
            await ann.start()
            await bob.meets(ann)
            await until(lambda: bob.bond(ann) == "asking", limit=5)
            assert bob.talk.friends()[0].note_asked == "later"
            await ann.stop()
            await bob.talk.answer(ann.peer, True)  # the answer waits as well
            await asyncio.sleep(5)
            await ann.start()
            await ann.meets(bob)
            await until(lambda: ann.bond(bob) == "friend", limit=5)

    run(story())


def test_a_no_tells_nothing_and_the_same_question_is_not_put_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await ann.talk.ask(bob.peer)
            await until(lambda: bob.bond(ann) == "asking")
            await bob.talk.answer(ann.peer, False)
            assert bob.bond(ann) == "none"
            await ann.stop()
            await ann.start()
            await ann.meets(bob)
            await asyncio.sleep(10)
            assert ann.bond(bob) == "asked", "as if nobody had answered"
            assert bob.bond(ann) == "none" and len(bob.notices("friend-asks")) == 1
            await ann.talk.end_friendship(bob.peer)  # ask anew: too soon
            await ann.talk.ask(bob.peer, "please")
            await asyncio.sleep(10)
            assert bob.bond(ann) == "none" and len(bob.notices("friend-asks")) == 1
            await bob.talk.ask(ann.peer)  # and yet bob may think again
            await until(lambda: ann.bond(bob) == bob.bond(ann) == "friend", limit=5)

    run(story())


def test_a_question_taken_back_is_gone(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await ann.talk.ask(bob.peer)
            await until(lambda: bob.bond(ann) == "asking")
            await ann.talk.end_friendship(bob.peer)
            assert ann.bond(bob) == "none" and not ann.trust.contact(bob.peer).friend
            await until(lambda: bob.bond(ann) == "none", limit=5)
            with pytest.raises(NotFound):
                await bob.talk.answer(ann.peer, True)

    run(story())


def test_an_end_is_an_end_on_both_sides_also_for_who_was_away(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await befriend(ann, bob)
            await bob.stop()
            await ann.talk.end_friendship(bob.peer)
            await bob.start()
            await bob.meets(ann)
            await until(lambda: bob.bond(ann) == "none" and not bob.trust.contact(ann.peer).friend, limit=5)
            assert ann.bond(bob) == "none" and bob.sees(ann) == "offline"
            await befriend(ann, bob)  # and can begin anew

    run(story())


def test_friendship_by_hand_counts_as_our_yes(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await ann.trust.add_contact(bob.peer, friend=True)
            await until(lambda: bob.bond(ann) == "asking", limit=5)
            await bob.trust.add_contact(ann.peer, friend=True)
            await until(lambda: ann.bond(bob) == bob.bond(ann) == "friend", limit=5)
            await ann.trust.set_friend(bob.peer, False)
            await until(lambda: bob.bond(ann) == ann.bond(bob) == "none", limit=5)

    run(story())


def test_a_ticket_makes_friends_of_both_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob", network=False) as (ann, bob):
            secret = await ann.trust.issue_ticket_secret()
            await bob.trust.add_contact(ann.peer, friend=True)
            await bob.peers.connect(ann.endpoint.address(), secret=secret)
            await until(lambda: ann.bond(bob) == bob.bond(ann) == "friend", limit=5)
            await until(lambda: ann.sees(bob) == bob.sees(ann) == "available", limit=5)
            assert not ann.notices("friend-asks") and not bob.notices("friend-asks")

    run(story())


def test_who_is_blocked_cannot_ask_and_sees_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await ann.talk.ask(bob.peer)
            await until(lambda: bob.bond(ann) == "asking")
            await bob.talk.answer(ann.peer, False, block=True)
            assert bob.trust.contact(ann.peer).blocked
            await asyncio.sleep(30)
            assert bob.bond(ann) == "none" and bob.peers.session(ann.peer) is None
            with pytest.raises(UsageError, match="blocked"):
                await bob.talk.ask(ann.peer)
            with pytest.raises(UsageError, match="blocked"):
                await bob.talk.send(bob.conversation(ann), "hello")

    run(story())


# -- presence


def test_presence_follows_what_the_person_does_and_flickers_not(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await befriend(ann, bob)
            await until(lambda: bob.sees(ann) == "available")
            await ann.talk.set_presence(presence="away", note="lunch")
            await until(lambda: bob.sees(ann) == "away", limit=3)
            assert bob.talk.friends()[0].note == "lunch"
            ann.talk.set_doing("Pong against cat")
            await until(lambda: bob.sees(ann) == "match", limit=3)
            assert bob.talk.friends()[0].doing == "Pong against cat"
            ann.talk.set_doing("")
            await ann.talk.set_presence(presence="available", idle_away=60.0)
            await until(lambda: bob.sees(ann) == "available", limit=3)
            await until(lambda: bob.sees(ann) == "away", limit=70)
            assert ann.talk.my_presence().shown == "away"
            ann.talk.touch()
            await until(lambda: bob.sees(ann) == "available", limit=3)

            seen: set[str] = set()
            bob.talk.on_change(lambda topic: seen.add(bob.sees(ann)))
            for _ in range(5):
                bob.net.cut(ann.endpoint, bob.endpoint)  # redialed at once
                await asyncio.sleep(4)
            assert seen == {"available"} and bob.peers.session(ann.peer) is not None
            await ann.stop()
            await until(lambda: bob.sees(ann) == "offline", limit=15)
            (friend,) = bob.talk.friends()
            assert friend.seen is not None and friend.seen > 1_700_000_000.0

    run(story())


def test_who_wants_to_be_unseen_is_and_a_restart_remembers(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await befriend(ann, bob)
            await until(lambda: bob.sees(ann) == "available")
            await ann.talk.set_presence(presence="offline", note="hidden")
            await until(lambda: bob.sees(ann) == "offline", limit=3)
            assert bob.talk.friends()[0].note == ""
            await ann.stop()
            await ann.start()
            await ann.meets(bob)
            await asyncio.sleep(20)
            assert bob.sees(ann) == "offline" and ann.sees(bob) == "available"
            assert ann.talk.my_presence().note == "hidden"

    run(story())


def test_the_hot_list_tells_when_a_friend_comes_unless_it_is_silent(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob") as (ann, bob):
            await befriend(ann, bob)
            await asyncio.sleep(20)
            before = len(bob.notices("friend-online"))
            await ann.stop()
            await asyncio.sleep(30)
            await ann.start()
            await ann.meets(bob)
            await until(lambda: len(bob.notices("friend-online")) == before + 1, limit=5)
            await bob.talk.change_friend(ann.peer, silent=True)
            await ann.stop()
            await asyncio.sleep(30)
            await ann.start()
            await ann.meets(bob)
            await until(lambda: bob.sees(ann) == "available", limit=5)
            assert len(bob.notices("friend-online")) == before + 1

    run(story())


def test_presence_is_taken_of_friends_alone_and_of_their_own_session(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob", "eve") as (ann, bob, eve):
            await befriend(ann, bob)
            await until(lambda: bob.sees(ann) == "available")
            before = [(one.id, one.presence, one.note) for one in bob.talk.friends()]
            stream = await eve.peers.open(bob.peer, wire.SERVICE)
            await write_frame(stream, wire.Stand(False))
            assert isinstance(await wire.read_answer.read(stream), wire.Stood)
            await write_frame(stream, wire.Here("away", "I am ann, believe me"))
            await write_frame(stream, wire.Stand(False))  # answered after what came before it
            await wire.read_answer.read(stream)
            assert [(one.id, one.presence, one.note) for one in bob.talk.friends()] == before
            assert bob.sees(eve) == "offline"

            stream = await eve.peers.open(bob.peer, wire.SERVICE)  # nothing before where one stands
            await write_frame(stream, wire.Here("away"))
            with pytest.raises(ConnectionLost):
                await wire.read_answer.read(stream)
            assert await eve.peers.open(bob.peer, wire.SERVICE), "and the node goes on serving"

    run(story())


def test_a_flood_of_questions_and_changes_of_mind_costs_nobody_else_anything(tmp_path: Path) -> None:
    async def story() -> None:
        async with circle(tmp_path, "ann", "bob", "eve") as (ann, bob, eve):
            await befriend(ann, bob)
            stream = await eve.peers.open(bob.peer, wire.SERVICE)
            began = asyncio.get_running_loop().time()
            for number in range(200):
                await write_frame(stream, wire.Stand(number % 2 == 0, asked=float(number), note="ask " * 50))
                await wire.read_answer.read(stream)
                if asyncio.get_running_loop().time() > began + 100:
                    break
            assert number < 100, "who says too much waits"
            assert len(bob.notices("friend-asks")) <= 25
            await ann.talk.send(ann.conversation(bob), "still here?")
            await until(lambda: bob.talk.sums().unread == 1, limit=5)

    run(story())


def test_of_many_strangers_only_so_many_questions_are_kept() -> None:
    from tests.net.party import identity

    kept = bonds.Bonds()
    for number in range(1, 200):
        room = len(kept.asking(())) < bonds.MOST_ASKING
        kept.heard(identity(number).peer, wire.Stand(True, float(number)), False, 0.0, room)
    assert len(kept.asking(())) == bonds.MOST_ASKING and len(kept.all()) == bonds.MOST_ASKING
