"""Upload slots: friends first, everybody in the end, and everybody knows where they stand."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from servent.blobs.credit import Credit
from servent.blobs.slots import (
    GRACE,
    MOST_WAITING,
    SHORTEST_TURN,
    TURN,
    Effect,
    Ended,
    Granted,
    Queued,
    Rejected,
    Slots,
)
from servent.identity import PeerId

MiB = 1024 * 1024


def peer(number: int) -> PeerId:
    return PeerId(number.to_bytes(32, "big"))


ANN, BOB, CAT, DAN = (peer(number) for number in range(1, 5))


def granted(effects: list[Effect]) -> list[PeerId]:
    return [effect.peer for effect in effects if isinstance(effect, Granted)]


def test_who_comes_first_is_served_and_the_next_learns_its_place_and_why() -> None:
    slots = Slots(1)
    assert slots.request(ANN, 0.0) == [Granted(ANN)]
    [answer] = slots.request(BOB, 1.0)
    assert answer == Queued(BOB, 1, 1, "you are next, about 60 s", TURN - 1.0)
    [answer] = slots.request(CAT, 1.0)
    assert isinstance(answer, Queued) and answer.position == 2
    assert answer.reason == "1 before you, about 2 min"


def test_a_free_slot_goes_to_the_next_and_the_others_move_up() -> None:
    slots = Slots(1)
    for number, one in enumerate((ANN, BOB, CAT)):
        slots.request(one, float(number))
    effects = slots.release(ANN, 5.0)
    assert granted(effects) == [BOB]
    assert [(e.peer, e.position) for e in effects if isinstance(e, Queued)] == [(CAT, 1)]


def test_who_gives_up_waiting_leaves_the_queue() -> None:
    slots = Slots(1)
    for one in (ANN, BOB, CAT):
        slots.request(one, 0.0)
    effects = slots.release(BOB, 1.0)
    assert [(e.peer, e.position) for e in effects if isinstance(e, Queued)] == [(CAT, 1)]


def test_a_friend_goes_before_a_stranger_who_came_earlier() -> None:
    slots = Slots(1)
    slots.request(ANN, 0.0)
    slots.request(BOB, 1.0)
    slots.request(CAT, 2.0, friend=True)
    assert granted(slots.release(ANN, 3.0)) == [CAT]


def test_with_a_single_slot_friends_and_strangers_take_turns() -> None:
    slots = Slots(1)
    slots.request(ANN, 0.0)
    slots.request(BOB, 0.0)
    slots.request(CAT, 1.0, friend=True)
    slots.request(DAN, 1.0, friend=True)
    assert granted(slots.release(ANN, 2.0)) == [CAT], "the friends first"
    assert granted(slots.release(CAT, 3.0)) == [BOB], "but not all of them before the first stranger"
    assert granted(slots.release(BOB, 4.0)) == [DAN]


def test_a_friend_does_not_wait_for_the_end_of_a_long_turn_of_a_stranger() -> None:
    slots = Slots(4)
    for number in range(4):
        slots.request(peer(100 + number), 0.0)
    slots.request(ANN, 1.0, friend=True)
    assert slots.next_tick() == SHORTEST_TURN
    assert granted(slots.tick(SHORTEST_TURN)) == [ANN]


def test_who_loses_its_connection_for_a_moment_keeps_its_place() -> None:
    slots = Slots(1)
    for number, one in enumerate((ANN, BOB, CAT)):
        slots.request(one, float(number))
    slots.release(BOB, 10.0)
    [answer] = [one for one in slots.request(BOB, 20.0) if one.peer == BOB]
    assert isinstance(answer, Queued) and answer.position == 1
    slots.release(BOB, 21.0)
    [answer] = [one for one in slots.request(BOB, 21.0 + GRACE + 1) if one.peer == BOB]
    assert isinstance(answer, Queued) and answer.position == 2


def test_a_turn_that_brought_nothing_because_the_connection_broke_does_not_count() -> None:
    slots = Slots(1)
    for number, one in enumerate((ANN, BOB, CAT)):
        slots.request(one, float(number))
    slots.release(ANN, 5.0)
    slots.release(BOB, 6.0)
    assert granted(slots.release(CAT, 7.0)) == []
    slots.request(DAN, 7.5)
    slots.request(CAT, 8.0)
    [answer] = [one for one in slots.request(BOB, 9.0) if one.peer == BOB]
    assert isinstance(answer, Queued) and answer.position == 1


def test_who_gave_more_than_it_took_goes_before_who_only_took() -> None:
    slots = Slots(1)
    slots.gave(CAT, 500 * MiB)
    slots.took(BOB, 500 * MiB)
    slots.request(ANN, 0.0)
    slots.request(BOB, 0.0)
    slots.request(CAT, 5.0)
    assert granted(slots.release(ANN, 6.0)) == [CAT]
    assert slots.credit(CAT) == Credit(500 * MiB, 0)


def test_a_turn_ends_when_others_wait_and_not_otherwise() -> None:
    slots = Slots(1)
    slots.request(ANN, 0.0)
    assert slots.next_tick() is None and slots.tick(1000.0) == []
    slots.request(BOB, 1000.0)
    assert slots.next_tick() == TURN
    effects = slots.tick(1000.0)
    assert effects[:2] == [Ended(ANN), Granted(BOB)]
    assert isinstance(effects[2], Queued) and effects[2].peer == ANN


def test_a_friend_whose_turn_ends_does_not_take_its_own_place_again() -> None:
    slots = Slots(1)
    slots.request(ANN, 0.0, friend=True)
    slots.request(BOB, 59.0)
    assert granted(slots.tick(60.0)) == [BOB]


def test_asking_twice_changes_nothing() -> None:
    slots = Slots(1)
    slots.request(ANN, 0.0)
    first = slots.request(BOB, 1.0)
    assert slots.request(ANN, 2.0) == [Granted(ANN)]
    [again] = slots.request(BOB, 1.0)
    assert [again] == first


def test_a_queue_has_an_end() -> None:
    slots = Slots(1)
    for number in range(MOST_WAITING + 1):
        slots.request(peer(number), 0.0)
    [answer] = slots.request(peer(9999), 1.0)
    assert isinstance(answer, Rejected)


def test_more_slots_are_filled_at_once() -> None:
    slots = Slots(1)
    for one in (ANN, BOB, CAT, DAN):
        slots.request(one, 0.0)
    assert granted(slots.resize(3, 1.0)) == [BOB, CAT]
    assert slots.resize(1, 2.0) == []
    assert len(slots.view(2.0).holders) == 3


def test_nobody_starves_among_greedy_friends() -> None:
    """Two strangers among thirty friends who ask again at once when their turn ends, for two hours."""
    slots = Slots(4)
    now = 0.0
    turns: dict[PeerId, int] = {}
    waiting_since: dict[PeerId, float] = {}
    longest = 0.0
    dice = random.Random(1)

    def note(effects: list[Effect]) -> None:
        nonlocal longest
        for effect in effects:
            if isinstance(effect, Granted):
                turns[effect.peer] = turns.get(effect.peer, 0) + 1
                longest = max(longest, now - waiting_since.pop(effect.peer, now))
            elif isinstance(effect, Queued):
                waiting_since.setdefault(effect.peer, now)

    for number in range(32):
        now += dice.random()
        note(slots.request(peer(number), now, friend=number >= 2))
    while now < 7200.0:
        due = slots.next_tick()
        assert due is not None
        now = max(now, due)
        note(slots.tick(now))
    assert min(turns.values()) >= 10
    assert longest <= (32 / 4 + 1) * TURN + 180.0


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(
            st.sampled_from(["request", "friend", "release", "tick", "resize"]),
            st.integers(0, 9),
            st.sampled_from([0.0, 0.5, 30.0, 90.0]),
        ),
        max_size=60,
    ),
)
def test_no_slot_stays_empty_while_somebody_waits(count: int, steps: list[tuple[str, int, float]]) -> None:
    slots, now = Slots(count), 0.0
    told: dict[PeerId, int] = {}
    for what, number, passed in steps:
        now += passed
        match what:
            case "request" | "friend":
                effects = slots.request(peer(number), now, friend=what == "friend")
            case "release":
                effects = slots.release(peer(number), now)
                told.pop(peer(number), None)
            case "tick":
                effects = slots.tick(now)
                due = slots.next_tick()
                assert due is None or due > now
            case _:
                effects = slots.resize(number, now)
        for effect in effects:
            if isinstance(effect, Queued):
                told[effect.peer] = effect.position
            elif isinstance(effect, Granted):
                told.pop(effect.peer, None)
        view = slots.view(now)
        earned = sum(holder.kind == "earned" for holder in view.holders)
        assert not view.queue or len(view.holders) >= view.count or 0 < earned < view.count - 1
        assert told == {waiter.peer: waiter.position for waiter in view.queue}, "all know their place"
        assert not {holder.peer for holder in view.holders} & {waiter.peer for waiter in view.queue}
