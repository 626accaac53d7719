"""A room is what its acts make it, whatever the order in which they came; and nobody without power makes anything of it."""

from __future__ import annotations

import random
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from servent.errors import BadMessage, UsageError
from servent.talk.acts import OF_MEMBER, Acts
from servent.talk.records import Act, Acted, act_id, sign
from servent.talk.state import judge
from servent.testing.hosts import CheapSeal
from servent.trust.networks import Forged
from tests.talk.hall import BEGAN, SECRET, Hall, Person, founded, key

WALL = int(BEGAN * 1000) + 3_600_000
NAMES = ("ann", "bob", "cy", "dan")


def hall(policy: str = "open") -> tuple[Hall, list[Person]]:
    hall = Hall()
    founding = founded("ann", policy)  # type: ignore[arg-type]
    return hall, [Person(hall, name, founding) for name in NAMES]


deeds = st.sampled_from(
    [
        "settings",
        "owner",
        "moderator",
        "member",
        "invite",
        "leave",
        "kick",
        "ban",
        "unban",
        "mute",
        "unmute",
        "close",
    ]
)
steps = st.lists(
    st.tuples(st.sampled_from(NAMES), deeds, st.sampled_from(NAMES), st.integers(1, 40), st.integers(0, 3)),
    min_size=1, max_size=25,
)  # fmt: skip


@given(steps=steps, seed=st.integers(0, 1000), policy=st.sampled_from(["open", "invite"]))
def test_the_same_acts_make_the_same_room_in_any_order(
    steps: list[tuple[str, str, str, int, int]], seed: int, policy: str
) -> None:
    """Anybody signs anything, with numbers of their choice."""
    founding = founded("ann", policy)  # type: ignore[arg-type]
    room = Acts(founding).room
    counts = {name: count(1) for name in NAMES}
    acts = [
        Act(room, bytes(key(who)), next(counts[who]), WALL + number, WALL, deed, bytes(key(whom)), upto=upto)  # type: ignore[arg-type]
        for who, deed, whom, number, upto in steps
    ]
    shuffled = random.Random(seed).sample(acts, len(acts))
    assert judge(founding, acts) == judge(founding, shuffled)
    state = judge(founding, acts)
    assert all(
        act.author == key("ann") or len(state.owners) > 1 or state.offices or act.deed == "leave"
        for _, act in state.valid
    )


@given(seed=st.integers(0, 300), parts=st.integers(1, 6))
def test_members_who_were_told_in_other_orders_see_the_same_room(seed: int, parts: int) -> None:
    """What is told in pieces, twice, and in any order comes to the same once all is there."""
    dice = random.Random(seed)
    here, people = hall("invite")
    ann, bob = people[:2]
    ann.act("invite", people, peer=bob.key)
    ann.act("moderator", people, peer=bob.key)
    for _ in range(8):
        here.wait(1)
        who, deed, whom = (
            dice.choice(people[:2]),
            dice.choice(["invite", "kick", "ban", "unban", "mute"]),
            dice.choice(people[1:]),
        )
        try:
            who.act(deed, people[:2], peer=whom.key)
        except UsageError:
            continue
    acts = ann.acts
    others = Acts(founded("ann", "invite"))
    seal = CheapSeal(key("eve"), SECRET)
    told = [dice.sample(acts, len(acts)) for _ in range(parts)]
    for some in [*told, acts]:
        others.take(some, seal, here_wall(here))
    others.take(acts, seal, here_wall(here))
    assert others.state == ann.room.acts.state == bob.room.acts.state
    assert others.ids == ann.room.acts.ids


def here_wall(hall: Hall) -> int:
    return int(hall.wall() * 1000)


def test_only_the_owner_appoints_and_only_who_is_appointed_moderates() -> None:
    _, (ann, bob, cy, dan) = hall()
    with pytest.raises(UsageError, match="may not"):
        bob.act("ban", peer=cy.key)
    ann.act("moderator", [bob, cy, dan], peer=bob.key)
    bob.act("ban", [ann, cy, dan], peer=cy.key)
    with pytest.raises(UsageError):
        bob.act("moderator", peer=dan.key)
    with pytest.raises(UsageError):
        bob.act("ban", peer=ann.key)
    with pytest.raises(UsageError, match="banned"):
        cy.say("I am still here")
    bob.act("unban", [ann, cy, dan], peer=cy.key)
    cy.say("thank you", [ann])
    assert ann.shown == ["thank you"]


@pytest.mark.parametrize("policy", ["open", "invite"])
def test_of_all_that_was_decided_about_somebody_the_gravest_shows(policy: str) -> None:
    hall_, (ann, *_) = hall(policy)
    cy = key("cy")
    if policy == "invite":
        ann.act("invite", peer=cy)
    soon = here_wall(hall_) + 3_600_000
    for deed in ("kick", "mute"):
        ann.act(deed, peer=cy)
    ann.act("ban", peer=cy, until=soon)
    span = ann.room.acts.state.stopped(cy, here_wall(hall_))
    assert span is not None and (span.deed, span.until) == ("ban", soon)
    assert not ann.room.may_hear(cy), "whoever is banned for a while is told nothing in that while"
    ann.act("ban", peer=cy)
    span = ann.room.acts.state.stopped(cy, here_wall(hall_))
    assert span is not None and (span.deed, span.until) == ("ban", None), "the longest of both"
    ann.act("unban", peer=cy)
    span = ann.room.acts.state.stopped(cy, here_wall(hall_))
    assert span is not None and span.deed == "kick"


def test_a_dismissed_moderator_cannot_slip_in_what_it_says_it_did_before() -> None:
    hall_, (ann, bob, cy, dan) = hall()
    ann.act("moderator", [bob, cy, dan], peer=bob.key)
    hall_.wait(60)
    ann.act("member", [cy, dan], peer=bob.key)  # bob has not heard of it
    act = bob.act("ban", peer=cy.key)
    early = sign(structs.replace(act, number=ann.room.acts.highest - 30_000), bob.seal)
    for person in (ann, cy, dan):
        person.do(person.room.take_acts([early], hall_.now))
        assert person.room.acts.state.stopped(cy.key, person.room.wall_ms()) is None


def test_an_owner_who_handed_over_has_no_power_whatever_numbers_it_chooses() -> None:
    hall_, (ann, bob, cy, dan) = hall()
    hall_.wait(60)
    ann.act("owner", [bob, cy, dan], peer=bob.key)
    bob.act("member", [ann, cy, dan], peer=ann.key)
    place = ann.room.acts.next_count(ann.key)
    for number in (ann.acts[0].number - 30_000, ann.acts[0].number + 30_000):
        late = sign(
            Act(ann.room.id, bytes(ann.key), place, number, number, "owner", bytes(dan.key)), ann.seal
        )
        cy.do(cy.room.take_acts([late], hall_.now))
        assert cy.room.acts.state.owner == bob.key
    twin = sign(structs.replace(ann.acts[0], peer=bytes(dan.key), number=ann.acts[0].number - 1), ann.seal)
    cy.do(cy.room.take_acts([twin], hall_.now))
    assert cy.room.acts.state.owner == bob.key
    assert cy.room.acts.twins == 2  # and the second of those that came late


def test_what_was_held_back_counts_for_nothing_until_it_is_told_and_holds_back_what_follows() -> None:
    hall_, (ann, bob, cy, _) = hall()
    hidden = ann.act("mute", peer=cy.key)
    hall_.wait(1)
    told = ann.act("moderator", peer=bob.key)
    bob.do(bob.room.take_acts([told], hall_.now))
    assert not bob.room.acts.state.moderates(bob.key)
    bob.do(bob.room.take_acts([hidden], hall_.now))
    assert bob.room.acts.state.moderates(bob.key)


def test_forged_acts_and_those_of_other_rooms_are_refused() -> None:
    hall_, (ann, bob, cy, _) = hall()
    act = ann.act("moderator", peer=bob.key)
    with pytest.raises(Forged):
        cy.room.take_acts([structs.replace(act, peer=bytes(cy.key))], hall_.now)
    with pytest.raises(Forged):
        cy.room.heard(bob.key, Acted([act]), hall_.now)  # told by another than its author
    with pytest.raises(BadMessage):
        other = structs.replace(founded("ann"), nonce=b"another".ljust(16))
        Acts(other).take([act], cy.seal, here_wall(hall_))
    assert not cy.room.acts.by_id


def test_acts_of_those_without_power_take_no_memory() -> None:
    hall_, (ann, bob, cy, _) = hall("invite")
    ann.act("invite", [bob], peer=cy.key)
    room = ann.room.id
    flood = [
        sign(Act(room, bytes(cy.key), n, here_wall(hall_) + n, 0, deed, bytes(bob.key)), cy.seal)  # type: ignore[arg-type]
        for n, deed in enumerate(["ban", "leave"] * 200, 1)
    ]
    bob.do(bob.room.take_acts(flood, hall_.now))
    assert len(bob.room.acts.by_id) <= 1 + OF_MEMBER
    assert act_id(flood[0]) not in bob.room.acts.by_id


def test_a_time_far_ahead_is_refused() -> None:
    hall_, (ann, bob, *_) = hall()
    far = sign(Act(ann.room.id, bytes(ann.key), 1, here_wall(hall_) + 900_000, 0, "close"), ann.seal)
    bob.do(bob.room.take_acts([far], hall_.now))
    assert not bob.room.acts.by_id


def test_old_acts_that_are_told_again_change_nothing() -> None:
    hall_, (ann, bob, cy, dan) = hall()
    everybody = [bob, cy, dan]
    ban = ann.act("ban", everybody, peer=cy.key)
    hall_.wait(5)
    ann.act("unban", everybody, peer=cy.key)
    before = dan.room.acts.state
    assert dan.room.take_acts([ban], hall_.now) == []
    assert dan.room.heard(ann.key, Acted([ban]), hall_.now) == []
    assert dan.room.acts.state is before
    assert before.stopped(cy.key, here_wall(hall_)) is None
