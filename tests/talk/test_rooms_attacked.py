"""A room goes on whatever a member of it, or of its network, sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from msgspec import structs

from servent.codec import encode
from servent.errors import BadMessage, UsageError
from servent.identity import PeerId
from servent.overlay.reconcile import LAST, compare
from servent.overlay.wire import Ranges
from servent.talk import exchange, listing, rooms_sync_service, rooms_wire
from servent.talk.acts import Acts
from servent.talk.catchup import Ask, Compare, Reply
from servent.talk.listing import Listing, announce
from servent.talk.records import (
    CLOCK_AHEAD,
    NONE,
    Act,
    Announce,
    Body,
    Message,
    Said,
    Settings,
    digest_of,
    sign,
    sign_message,
)
from servent.talk.room_facts import MemberFacts, Moderated, RoomFacts
from servent.talk.rooms_service import MOST_OF_ONE
from servent.talk.rooms_view import alike
from servent.talk.rooms_wire import Sorry
from servent.talk.runs import Page, pack
from servent.testing.hosts import CheapSeal
from servent.trust.networks import Forged
from tests.talk.hall import BEGAN, NETWORK, SECRET, Hall, Person, founded, key
from tests.talk.test_rooms_service import open_room, story, talkers, until

HOUR = 3_600_000  # ms


def chain_of(person: Person, numbers: Iterator[tuple[int, int]] | list[tuple[int, int]]) -> list[Message]:
    """Messages of one chain with these numbers and times, as somebody signs who keeps to no rule."""
    before, made = NONE, []
    for seq, (number, told) in enumerate(numbers, 1):
        message = Message(
            person.room.id, bytes(person.key), b"attacker", seq, before, number, told, Body("spam")
        )
        made.append(sign_message(message, person.seal))
        before = digest_of(message)[:16]
    return made


def give(whom: Person, page: Page | None = None, acts: tuple[Act, ...] = ()) -> None:
    """What somebody sends along with a question."""
    ask = Ask(whom.room.id, whom.room.log.floor, None, page=page, given=list(acts))
    whom.do(exchange.heard(whom.room, ask, whom.hall.now)[0])


@pytest.mark.parametrize("beside", ["a forged act", "a broken page"])
def test_an_act_that_came_with_something_bad_takes_effect_when_it_comes_alone(beside: str) -> None:
    """Else who is banned could hand the ban to others in a way that they know it and do not heed it."""
    hall = Hall()
    ann, bob, eve = hall.people("ann", "bob", "eve")
    eve.say("spam", [ann, bob])
    ban = ann.act("ban", peer=eve.key, purge=True)
    forged = structs.replace(ban, author=bytes(bob.key), number=ban.number + 1)
    with pytest.raises((Forged, BadMessage)):
        if beside == "a forged act":
            give(bob, None, (ban, forged))
        else:
            give(bob, Page(b"garbage", b""), (ban,))
    give(bob, None, (ban,))
    assert bob.acts == [ban] and not bob.texts()
    assert bob.room.acts.state.stopped(eve.key, bob.room.wall_ms()) is not None


def test_what_is_hidden_does_not_fill_a_room_so_that_nobody_can_speak() -> None:
    """One message that counts, and in its chain a thousand more which do not."""
    hall = Hall()
    ann, eve = (Person(hall, name, founded(), kept=200) for name in ("ann", "eve"))
    wall = ann.room.wall_ms()
    for hour in range(1, 6):
        start = wall - hour * HOUR
        give(ann, pack([chain_of(eve, [(start + at, start + at) for at in range(900)])], lambda *_: False))
    assert not ann.room.log.full
    hall.wait(20)
    ann.do(ann.room.tick(hall.now))
    ann.say("still here")
    assert "still here" in ann.texts()


def test_a_flood_of_this_very_hour_does_not_silence_those_who_say_little() -> None:
    hall = Hall()
    founding = founded()
    ann = Person(hall, "ann", founding, kept=100)
    flooders = [Person(hall, f"eve{number}", founding) for number in range(4)]
    wall = ann.room.wall_ms()
    hall.now += (HOUR - wall % HOUR) / 1000 + 1800  # in the middle of an hour
    wall = ann.room.wall_ms()
    for flooder in flooders:
        numbers = [(wall - 1_500_000 + 1000 * at, wall - 1_500_000 + 1000 * at) for at in range(300)]
        give(ann, pack([chain_of(flooder, numbers)], lambda *_: False))
        hall.wait(15)
        ann.do(ann.room.tick(hall.now))
    message = ann.say("help")
    assert ann.texts()[-1] == "help" and message.number >= ann.room.log.floor
    assert len(ann.room.log.entries) < 200


def test_a_time_of_ones_choice_ends_no_mute_and_keeps_to_no_slow_mode() -> None:
    hall = Hall()
    ann, eve = hall.people("ann", "eve")
    ann.act("settings", [eve], settings=Settings("hall", "", 60))
    hall.wait(1)
    wall = ann.room.wall_ms()
    # one after the other at once, each claiming to be a minute later than the last, and all long ago
    messages = chain_of(eve, [(wall + at, 1000 + at * 60_000) for at in range(8)])
    give(ann, pack([messages], lambda *_: False))
    assert not ann.texts()
    assert ann.room.dropped["a time that does not fit its number"]
    other = structs.replace(
        messages[0], epoch=b"another.", number=wall, time=wall + 200_000, signature=bytes(64)
    )
    ann.do(ann.room.heard(eve.key, Said(sign_message(other, eve.seal)), hall.now))
    assert not ann.texts()


def test_numbers_far_ahead_do_not_drag_along_those_of_others() -> None:
    hall = Hall()
    ann, eve = hall.people("ann", "eve")
    wall = ann.room.wall_ms()
    ahead = chain_of(eve, [(wall + CLOCK_AHEAD, wall + CLOCK_AHEAD)])
    ann.do(ann.room.heard(eve.key, Said(ahead[0]), hall.now))
    said = ann.say("hello")
    assert (
        said.number <= wall + CLOCK_AHEAD // 2
    )  # a member whose clock is two minutes behind takes it at once
    assert ann.say("again").number > said.number
    hall.wait(1)
    _, effects = ann.room.say(Body(), hall.now, takes=ann.room.log.ids[-1])
    ann.do(effects)
    assert ann.room.log.entries[ann.room.log.ids[-1]].takes is not None


def test_many_ranges_over_the_same_ids_cost_little() -> None:
    ids = sorted(number.to_bytes(16, "big") for number in range(10_000))
    message = Ranges(ranges=[(bytes(16), LAST, 1, bytes(16))] * 64, ids=[(bytes(16), LAST, [])] * 64, want=[])
    began = time.process_time()
    found = compare(ids, message)
    assert len(found.ours) <= 3 * len(ids)
    assert time.process_time() - began < 0.2


def test_what_is_told_of_a_listed_room_takes_bounded_memory() -> None:
    founding = founded()
    seal = CheapSeal(key("ann"), SECRET)
    room = Acts(founding).room
    listed = Listing(NETWORK, seal)
    wall = int(BEGAN * 1000) + 1000
    for number in range(1, 61):
        act = Act(
            room, bytes(key("ann")), number, wall + number, wall, "settings", settings=Settings(f"n{number}")
        )
        told = Announce(founding, [sign(act, seal)], 3)
        listed.take(told, float(number), wall + number)
    kept = listed.rooms[room]
    assert kept.acts.state.now.name == "n60"
    assert len(kept.acts.by_id) <= listing.MOST_PROOF
    # Whoever tells less than was known does not make us tell less.
    listed.take(Announce(founding, [], 3), 70.0, wall + 100)
    assert listed.tell()[0].acts and listed.rooms[room].acts.state.now.name == "n60"
    assert announce(kept.acts, 1).acts


def test_a_purge_cannot_reach_further_back_than_a_day_and_a_kick_not_for_years() -> None:
    hall = Hall()
    ann, bob, cy = hall.people("ann", "bob", "cy")
    ann.act("moderator", [bob, cy], peer=bob.key)
    wall = cy.room.wall_ms()
    for told in (1, wall - 3 * HOUR, wall + 4 * HOUR):
        act = Act(cy.room.id, bytes(bob.key), 1, wall + 1, told, "kick", bytes(ann.key), purge=True)
        give(cy, None, (sign(act, bob.seal),))
    assert not cy.room.acts.next_count(bob.key) - 1


def test_names_topics_and_reasons_of_others_are_harmless_where_they_are_shown() -> None:
    bad = "a\x1b[2J\u202etxt.exe\u200b\n\r\x07b"
    room = RoomFacts(
        bytes(16), bytes(32), bad, bad, "open", key("ann"), "none", False, why=f"you were banned: {bad}"
    )
    member = MemberFacts(key("bob"), "banned", reason=bad)
    act = Moderated(bytes(16), key("ann"), "ban", key("bob"), 1.0, 1, bad)
    for shown in (room.name, room.topic, room.why, member.reason, act.reason):
        assert "a" in shown and not set("\x1b\n\r\x07") & set(shown)
        assert shown.count("\u202e") == shown.count("\u202c") and "\u200b" not in shown
    assert (
        RoomFacts(b"\1" * 16, bytes(32), "\u200b", "", "open", key("ann"), "none", False).name == "01010101"
    )


def test_a_room_whose_name_looks_like_that_of_another_has_a_warning() -> None:
    def facts(number: int, name: str, joined: bool = False) -> RoomFacts:
        return RoomFacts(bytes([number]) * 16, bytes(32), name, "", "open", key("ann"), "none", joined)

    found = alike(
        [facts(1, "general", True), facts(2, "gener\u0430l"), facts(3, "GENERAL"), facts(4, "music"),
         facts(5, "games"), facts(6, "g\u0430mes")]
    )  # fmt: skip
    assert set(found) == {bytes([number]) * 16 for number in (2, 3, 5, 6)}
    assert "you are in" in found[b"\2" * 16] and "you are in" not in found[b"\5" * 16]


def test_invitations_of_one_do_not_drive_out_those_of_others() -> None:
    async def tell() -> None:
        async with talkers(3) as (network, (ann, eve, bob), _):
            room = (await ann.rooms.create(network, "Ours", policy="invite")).id
            await bob.rooms.invited(ann.peer, await ann.rooms.invite(room, bob.peer))
            for number in range(MOST_OF_ONE):
                spam = (await eve.rooms.create(network, f"Spam {number}", policy="invite")).id
                await bob.rooms.invited(eve.peer, await eve.rooms.invite(spam, bob.peer))
            again = await eve.rooms.invite(spam, bob.peer)
            assert await bob.rooms.invited(eve.peer, again) is None  # the same is the same
            more = (await eve.rooms.create(network, "One more", policy="invite")).id
            with pytest.raises(UsageError, match="wait for an answer"):
                await bob.rooms.invited(eve.peer, await eve.rooms.invite(more, bob.peer))
            assert bob.rooms.room(room).inviter == ann.peer
            await bob.rooms.leave(spam)
            assert await bob.rooms.invited(eve.peer, await eve.rooms.invite(more, bob.peer)) is not None

    story(tell)


def test_nobody_has_us_check_signatures_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms_sync_service, "RUNS", (1.0, 20.0))
    opened: list[Page] = []

    async def tell() -> None:
        async with talkers(2) as (network, (ann, eve), _):
            room = await open_room(network, [ann, eve])
            core = ann.core(room)
            honest = core.opened
            monkeypatch.setattr(core, "opened", lambda page: (opened.append(page), honest(page))[1])
            seal = eve.core(room)._seal
            runs = []
            for number in range(10):
                wall = core.wall_ms() + number
                message = Message(
                    room, bytes(eve.peer), bytes([number]) * 8, 1, NONE, wall, wall, Body("spam")
                )
                runs.append([sign_message(message, seal)])
            question = encode(Ask(room, 0, page=pack(runs, lambda *_: False)))
            stream = await eve.node.peers.open(ann.peer, rooms_wire.SERVICE)
            answers = []
            for _ in range(6):
                await stream.write(len(question).to_bytes(4, "big") + question)
                answers.append(await rooms_wire.answers.read(stream))
                if isinstance(answers[-1], Sorry):
                    break
            assert len(opened) == 2 and answers[-1] == Sorry(True)
            await stream.reset()
            await ann.rooms.say(room, "we talk on")
            await until(lambda: eve.texts[-1:] == ["we talk on"], 60)

    story(tell)


def test_moderators_who_fill_the_room_with_acts_can_still_be_dismissed() -> None:
    hall = Hall()
    ann, bob, cy, dan = hall.people("ann", "bob", "cy", "dan")
    for peer in (bob, cy):
        ann.act("moderator", [bob, cy, dan], peer=peer.key)
    hall.wait(10)
    wall = dan.room.wall_ms()
    for bad in (bob, cy):
        acts = [
            Act(dan.room.id, bytes(bad.key), number, wall + number, wall, "mute", bytes(ann.key))
            for number in range(1, 1100)
        ]
        signed = [sign(act, bad.seal) for act in acts]
        for one in (ann, dan):
            one.do(one.room.take_acts(signed, hall.now))
    hall.wait(10)
    for bad in (bob, cy):
        ann.act("member", [dan], peer=bad.key)
        ann.act("ban", [dan], peer=bad.key)
    for one in (ann, dan):
        assert not any(one.room.acts.state.moderates(bad.key) for bad in (bob, cy))
        assert len(one.room.acts.by_id) <= 2000


def test_who_has_a_key_and_is_no_member_is_handed_nothing_by_those_who_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def tell() -> None:
        async with talkers(3, seed=4) as (network, (ann, bob, eve), _):
            room = (await ann.rooms.create(network, "Ours", policy="invite")).id
            invite = await ann.rooms.invite(room, bob.peer)
            await bob.rooms.invited(ann.peer, invite)
            await bob.rooms.join(room)
            await until(lambda: ann.neighbours(room) and bob.neighbours(room), 120)
            await ann.rooms.say(room, "secret")
            await eve.rooms.invited(bob.peer, invite)  # by bob's fault she is where they meet
            await eve.rooms.join(room)
            asked: list[Ask] = []

            async def greedy(peer: PeerId, question: Ask) -> Reply:
                """She has nothing, and wants everything."""
                asked.append(question)
                nothing = [Compare(ids=[(bytes(16), LAST, [])])]
                return Reply(0, nothing, nothing)

            monkeypatch.setattr(eve.rooms._sync, "_answer", greedy)
            await ann.rooms._sync.look(ann.rooms._k.rooms[room], eve.peer)
            assert len(asked) > 1 and not any(question.page or question.given for question in asked)
            asked.clear()
            await asyncio.sleep(60)
            await ann.rooms.invite(room, eve.peer)
            await ann.rooms._sync.look(ann.rooms._k.rooms[room], eve.peer)
            assert any(question.page for question in asked) and any(question.given for question in asked)

    story(tell)
