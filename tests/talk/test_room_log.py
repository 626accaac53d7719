"""What is said in a room comes to all in one order, is caught up with in few bytes, and cannot be faked."""

from __future__ import annotations

import contextlib
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from servent.errors import BadMessage, UsageError
from servent.talk import log as log_module
from servent.talk.catchup import choose, packed
from servent.talk.log import Log
from servent.talk.records import (
    NONE,
    TEXT_BYTES,
    Body,
    Here,
    Message,
    Said,
    body_hash,
    digest_of,
    message_id,
    sign_message,
)
from servent.talk.runs import PLAIN_BYTES, Page
from servent.trust.networks import Forged
from tests.talk.hall import Hall, Person, founded

WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "that",
    "it",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "at",
    "be",
    "this",
    "have",
    "from",
    "or",
    "one",
    "had",
    "by",
    "word",
    "but",
    "not",
    "what",
    "all",
    "were",
    "we",
    "when",
    "your",
    "can",
    "said",
    "there",
    "use",
    "an",
    "each",
    "which",
    "she",
    "do",
    "how",
    "their",
    "if",
    "will",
    "up",
    "other",
    "about",
    "out",
    "many",
    "then",
    "them",
    "these",
    "so",
    "some",
    "her",
    "would",
    "make",
    "like",
    "him",
    "into",
    "time",
    "has",
    "look",
    "two",
    "more",
    "write",
    "go",
    "see",
    "number",
    "no",
    "way",
    "could",
    "people",
    "my",
    "than",
    "first",
    "water",
    "been",
    "call",
    "who",
    "oil",
    "its",
    "now",
    "find",
    "long",
    "down",
    "day",
    "did",
    "get",
    "come",
    "made",
    "may",
    "part",
    "song",
    "record",
    "album",
    "vinyl",
    "tape",
    "mix",
    "band",
    "play",
    "heard",
    "listen",
]


def sentence(dice: random.Random) -> str:
    return " ".join(dice.choice(WORDS) for _ in range(dice.randint(3, 18)))


@given(seed=st.integers(0, 500), share=st.floats(0.0, 1.0))
@settings(max_examples=40)
def test_two_members_who_heard_different_things_have_the_same_after_one_talk(seed: int, share: float) -> None:
    hall, dice = Hall(), random.Random(seed)
    people = hall.people("ann", "bob", "cy", "dan")
    for _ in range(dice.randint(1, 60)):
        hall.wait(dice.expovariate(1 / 20))
        some = [one for one in people if dice.random() < share]
        dice.choice(people).say(sentence(dice), some)
        if dice.random() < 0.1:
            one, other = dice.sample(people, 2)
            one.catch_up(other)
    ann, bob = people[:2]
    ann.catch_up(bob)
    bob.catch_up(ann)
    assert ann.texts() == bob.texts()
    assert ann.room.log.ids == bob.room.log.ids
    cy, dan = people[2:]
    for one in (cy, dan):
        one.catch_up(ann)
        ann.catch_up(one)
    for one in people:
        one.catch_up(ann)
        assert one.texts() == ann.texts()


def test_one_who_was_away_catches_up_with_less_than_two_kilobytes_for_a_hundred_messages() -> None:
    hall, dice = Hall(), random.Random(7)
    names = [f"p{number}" for number in range(30)]
    people = hall.people("ann", "away", *names)
    away = people.pop(1)
    for _ in range(400):
        hall.wait(20)
        people[min(len(people) - 1, int(dice.paretovariate(1.0)) - 1)].say(sentence(dice), people)
    away.catch_up(people[3])
    before = set(away.kept)
    for _ in range(100):
        hall.wait(20)
        people[min(len(people) - 1, int(dice.paretovariate(1.0)) - 1)].say(sentence(dice), people)
    cost = away.catch_up(people[4])
    missed = [one.body for id, one in away.kept.items() if id not in before]
    assert len(missed) == 100 and away.texts() == people[0].texts()
    assert cost - sum(len(body.text.encode()) for body in missed if isinstance(body, Body)) < 2000
    assert away.catch_up(people[5]) < 400  # nothing differs


def test_a_long_absence_comes_in_pages() -> None:
    hall = Hall()
    ann, bob = hall.people("ann", "bob")
    for number in range(2500):
        hall.wait(20)
        ann.say(f"message {number}")
    bob.catch_up(ann)
    assert bob.texts() == ann.texts() and len(bob.texts()) == 2500
    cy = Person(hall, "cy", ann.founding)
    cy.catch_up(bob)  # who has signatures only where runs ended
    assert cy.texts() == ann.texts()


def test_the_past_survives_a_restart_and_the_chain_goes_on() -> None:
    hall = Hall()
    ann, bob = hall.people("ann", "bob")
    for number in range(5):
        hall.wait(5)
        ann.say(f"before {number}", [bob])
    ann.room = ann.opened()
    hall.wait(5)
    message = ann.say("after", [bob])
    assert message.seq == 6 and bob.texts()[-1] == "after"
    assert bob.catch_up(ann) < 400


def test_a_gap_is_seen_and_asked_for() -> None:
    hall = Hall()
    ann, bob = hall.people("ann", "bob")
    bob.room.pacing.done(False, 0.0)
    bob.room.pacing.done(False, 0.0)
    ann.say("lost")
    hall.wait(5)
    ann.say("heard", [bob])
    assert bob.room.pacing.due < hall.now + 3
    bob.catch_up(ann)
    assert bob.texts() == ["lost", "heard"]


def test_of_two_messages_in_one_place_the_first_is_kept() -> None:
    hall = Hall()
    ann, bob = hall.people("ann", "bob")
    first = ann.say("yes", [bob])
    twin = sign_message(structs.replace(first, body=Body("no"), number=first.number + 1), ann.seal)
    bob.do(bob.room.heard(ann.key, Said(twin), hall.now))
    assert bob.texts() == ["yes"] and bob.room.log.twins == 1
    assert not bob.room.log.wants(message_id(twin))


@pytest.mark.parametrize(
    "change",
    [
        {"body": Body("something else")},
        {"seq": 7},
        {"time": 5},
        {"epoch": b"another!"},
        {"takes": b"t" * 16},
        {"signature": bytes(64)},
    ],
)
def test_what_its_author_did_not_sign_is_refused(change: dict[str, object]) -> None:
    hall = Hall()
    ann, bob = hall.people("ann", "bob")
    message = ann.say("genuine")
    with pytest.raises(Forged):
        bob.room.heard(ann.key, Said(structs.replace(message, **change)), hall.now)
    with pytest.raises(Forged):
        ann.room.heard(bob.key, Said(message), hall.now)  # told by somebody else
    assert not bob.texts()


def test_times_and_numbers_far_ahead_are_refused_and_old_ones_are_no_news() -> None:
    hall = Hall()
    ann, bob = hall.people("ann", "bob")
    wall = bob.room.wall_ms()
    for seq, (number, time) in enumerate(
        [(wall + 400_000, wall), (wall, wall + 400_000), (1 << 48, wall), (wall - 700_000, wall)], 1
    ):
        message = Message(bob.room.id, bytes(ann.key), b"e" * 8, seq, NONE, number, time, Body("x"))
        bob.do(bob.room.heard(ann.key, Said(sign_message(message, ann.seal)), hall.now))
    assert not bob.texts() and bob.room.dropped.total() == 4
    assert bob.room.number() < wall + 1000  # nobody moved our clock


def test_a_flood_is_dropped_by_everybody_and_does_not_come_by_catching_up_either() -> None:
    hall = Hall()
    ann, bob, cy = hall.people("ann", "bob", "cy")
    wall, before = bob.room.wall_ms(), NONE
    flood = []
    for seq in range(1, 301):
        message = Message(
            bob.room.id, bytes(ann.key), b"e" * 8, seq, before, wall + seq, wall + seq, Body("spam")
        )
        before = digest_of(message)[:16]
        flood.append(sign_message(message, ann.seal))
        bob.do(bob.room.heard(ann.key, Said(flood[-1]), hall.now))
    assert len(bob.texts()) == 15 and bob.room.dropped["too fast"] == 285
    for message in flood:  # the flooder itself takes no care
        ann.room.log._minutes.clear()
        ann.do(ann.room._effects(ann.room.log.take(message, digest_of(message), ann.room.acts.state, wall)))
    cy.catch_up(ann)
    assert len(cy.texts()) <= 2 * log_module.PER_MINUTE


def test_we_do_not_flood_ourselves_and_long_messages_are_refused_in_words() -> None:
    hall = Hall()
    (ann,) = hall.people("ann")
    for _ in range(10):
        ann.say("quick")
    with pytest.raises(UsageError, match="too fast"):
        ann.say("quick")
    with pytest.raises(UsageError, match=f"{TEXT_BYTES} bytes"):
        ann.say("ä" * 1600)
    with pytest.raises(UsageError, match="4000 characters"):
        ann.say("a" * 4001)


def page_of(person: Person) -> Page:
    load = choose(person.room.log, person.room.log.ids, frozenset())
    page = packed(load, person.kept, person.room.log)
    assert page is not None
    return page


def test_pages_that_are_no_pages_are_refused() -> None:
    hall = Hall()
    ann, bob = hall.people("ann", "bob")
    for number in range(3):
        ann.say(f"number {number}")
    page = page_of(ann)
    bomb = zlib.compress(bytes(64 << 20), 9)
    plain = zlib.decompress(page.packed)
    wrong = [
        Page(bomb, page.signatures),
        Page(b"garbage", page.signatures),
        Page(page.packed[:-4], page.signatures),
        Page(page.packed + b"more", page.signatures),
        Page(zlib.compress(b"\x93" + bytes(100)), page.signatures),
        Page(zlib.compress(plain[:-3]), page.signatures),
        Page(page.packed, b""),
        Page(page.packed, bytes(64)),
        Page(zlib.compress(plain.replace(b"number 1", b"numbers!")), page.signatures),
    ]
    assert len(bomb) < PLAIN_BYTES
    for one in wrong:
        with pytest.raises(BadMessage):
            bob.room.opened(one)
    assert not bob.room.log.entries
    bob.do(bob.room.take_page(bob.room.opened(page))[0])
    assert bob.texts() == ann.texts()


@given(st.binary(max_size=400))
def test_no_bytes_break_a_page(noise: bytes) -> None:
    hall = Hall()
    (ann,) = hall.people("ann")
    for body in (noise, zlib.compress(noise)):
        with pytest.raises(BadMessage):
            ann.room.opened(Page(body, b""))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60)
def test_a_page_that_was_bent_gives_nothing_that_was_not_said(seed: int) -> None:
    hall, dice = Hall(), random.Random(seed)
    ann, bob, cy = hall.people("ann", "bob", "cy")
    for number in range(12):
        hall.wait(3)
        dice.choice([ann, bob]).say(f"number {number}", [ann, bob])
    page = page_of(ann)
    plain = bytearray(zlib.decompress(page.packed))
    plain[dice.randrange(len(plain))] ^= 1 << dice.randrange(8)
    with contextlib.suppress(BadMessage):
        cy.do(cy.room.take_page(cy.room.opened(Page(zlib.compress(bytes(plain)), page.signatures)))[0])
    assert set(cy.texts()) <= set(ann.texts())


def test_what_is_taken_back_is_gone_for_all_also_for_those_who_come_later() -> None:
    hall = Hall()
    ann, bob, cy = hall.people("ann", "bob", "cy")
    first = bob.say("regret", [ann])
    hall.wait(5)
    bob.say("this stays", [ann])
    hall.wait(5)
    bob.say("", [ann], takes=message_id(first))
    assert "regret" not in ann.texts() + bob.texts()
    cy.catch_up(ann)
    assert cy.texts() == ann.texts() == ["this stays", ""]
    assert cy.room.log.ids == ann.room.log.ids
    hall.wait(5)
    mine = ann.say("hers", [bob, cy])
    cy.say("", [ann, bob], takes=message_id(mine))  # cy has no power over it
    assert "hers" in ann.texts() and "hers" in bob.texts()
    hall.wait(5)
    ann.act("moderator", [bob, cy], peer=cy.key)
    hall.wait(5)
    cy.say("", [ann, bob], takes=message_id(mine))
    assert "hers" not in ann.texts() + bob.texts() + cy.texts()


def test_a_neighbour_cannot_make_others_believe_that_something_was_taken_back() -> None:
    hall = Hall()
    ann, bob, cy = hall.people("ann", "bob", "cy")
    said = ann.say("still here", [bob])
    id = message_id(said)
    bob.kept[id] = structs.replace(said, body=body_hash(said.body))  # bob cheats
    cy.catch_up(bob)
    assert id not in cy.room.log.ids and cy.room.log.wants(id)
    cy.catch_up(ann)
    assert cy.texts() == ["still here"]


def test_the_banned_are_heard_by_nobody_whatever_they_claim_and_what_was_said_before_stays() -> None:
    hall = Hall()
    ann, bob, cy, dan = hall.people("ann", "bob", "cy", "dan")
    bob.say("before", [ann, cy, dan])
    hall.wait(30)
    ann.act("ban", [cy, dan], peer=bob.key, reason="spam")
    hall.wait(30)
    bob.say("he does not know yet", [ann, cy])
    early = sign_message(
        Message(bob.room.id, bytes(bob.key), b"newchain", 1, NONE, ann.acts[0].number - 9_000, 0, Body("backdated")),
        bob.seal,
    )  # fmt: skip
    for one in (ann, cy):
        one.do(one.room.heard(bob.key, Said(early), hall.now))
    dan.catch_up(bob)  # who knows of no ban, and gives what it has
    for one in (ann, cy, dan):
        assert one.texts() == ["before"]
    hall.wait(30)
    ann.act("unban", [bob, cy, dan], peer=bob.key)
    bob.catch_up(ann)
    hall.wait(30)
    bob.say("back", [ann, cy, dan])
    for one in (ann, cy, dan):
        one.catch_up(bob)
        assert one.texts() == ["before", "back"]


def test_a_mute_ends_by_itself_and_a_purge_takes_back_a_day() -> None:
    hall = Hall()
    ann, bob, cy = hall.people("ann", "bob", "cy")
    bob.say("noise", [ann, cy])
    hall.wait(10)
    until = ann.room.wall_ms() + 60_000
    ann.act("mute", [bob, cy], peer=bob.key, until=until, purge=True)
    with pytest.raises(UsageError, match="muted"):
        bob.say("more noise")
    assert bob.texts() == ann.texts() == cy.texts() == []
    hall.wait(120)
    bob.say("sorry", [ann, cy])
    assert ann.texts() == cy.texts() == ["sorry"]


def test_slow_mode_holds_for_members_and_for_those_who_ignore_it() -> None:
    hall = Hall()
    ann, bob, cy = hall.people("ann", "bob", "cy")
    ann.act("settings", [bob], settings=structs.replace(ann.founding.settings, slow=60))
    bob.say("one", [ann])
    hall.wait(20)
    with pytest.raises(UsageError, match="slow mode"):
        bob.say("two")
    bob.room._slow_until = 0
    bob.room.acts.state.settings.clear()
    bob.room.acts.state.settings.append((0, ann.founding.settings))
    bob.say("two", [ann])
    assert ann.texts() == ["one"]
    cy.catch_up(ann)
    assert cy.texts() == ["one"]


def test_old_messages_go_and_are_not_asked_for_again() -> None:
    hall = Hall()
    ann, bob = hall.people("ann", "bob", kept=200)
    for number in range(300):
        hall.wait(30)
        (ann if number % 2 else bob).say(f"message {number}", [ann, bob])
    for one in (ann, bob):
        one.do(one.room.tick(hall.now + 700))
    assert len(ann.texts()) <= 200 and ann.texts()[-1] == "message 299"
    cy = Person(hall, "cy", ann.founding)
    cy.catch_up(ann)
    assert cy.texts() == ann.texts()
    ann.catch_up(bob)
    bob.catch_up(ann)
    ann.room.log.floor = ann.room.log.floor + 600_000  # ann keeps less
    gone = ann.room.log.prune(ann.room.wall_ms())
    assert gone
    assert ann.catch_up(bob) < 800
    assert bob.catch_up(ann) < 800
    assert not set(gone) & set(ann.room.log.ids)


def test_a_stranger_to_the_network_is_nobody_here() -> None:
    hall = Hall()
    ann, eve = hall.people("ann", "eve")
    bob = Person(hall, "bob", founded("ann"), belongs=lambda key: key != eve.key)
    eve.say("let me in")
    ann.say("hello", [eve])
    bob.catch_up(eve)
    assert bob.texts() == ["hello"]


def test_presence_costs_little_where_many_are() -> None:
    hall = Hall()
    (ann,) = hall.people("ann")
    for number in range(1000):
        ann.room.heard(Person(hall, f"p{number}", ann.founding).key, Here(), hall.now)
    assert ann.room.present.count(hall.now) == 1000
    said = sum(bool(ann.room.present.tick(hall.now + 600 * n)) for n in range(1))
    weights = [ann.room.present.tick(hall.now) for _ in range(300)]
    assert 5 <= sum(map(bool, weights)) + said <= 80
    assert set(weights) <= {0, 10}


def test_a_log_is_the_same_when_it_is_loaded_again() -> None:
    hall = Hall()
    ann, bob, cy = hall.people("ann", "bob", "cy")
    for number in range(20):
        hall.wait(5)
        (ann, bob)[number % 2].say(f"number {number}", [ann, bob])
    cy.catch_up(bob)
    again = Log(cy.room.id)
    again.load(cy.kept.values(), cy.room.acts.state)
    assert again.ids == cy.room.log.ids and again.ends == cy.room.log.ends
