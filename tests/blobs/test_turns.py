"""Which downloads run: as many as are allowed, in order, and none waits for one that only looks for sources."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from servent.blobs.turns import LEAST_RUN, LOOK, LOOKERS, PLACES, QUIET, Start, Stop, Turns
from servent.blobs.waiting import reason


def started(effects: list[Start | Stop]) -> list[str]:
    return [one.id for one in effects if isinstance(one, Start)]


def stopped(effects: list[Start | Stop]) -> list[str]:
    return [one.id for one in effects if isinstance(one, Stop)]


def queue(count: int, most_active: int = 2) -> Turns:
    turns = Turns(most_active)
    for number in range(count):
        turns.want(f"t{number}", 1, float(number))
    return turns


def test_the_first_ones_run_and_the_others_know_their_place() -> None:
    turns = queue(5)
    assert started(turns.tick(0.0)) == ["t0", "t1"]
    assert [turns.place(f"t{number}") for number in range(5)] == [None, None, 0, 1, 2]
    turns.drop("t0")
    assert started(turns.tick(1.0)) == ["t2"]


def test_priority_comes_before_order_and_takes_the_place_of_a_lower_one_at_once() -> None:
    turns = queue(3)
    turns.tick(0.0)
    turns.want("urgent", 0, 9.0)
    effects = turns.tick(1.0)
    assert (stopped(effects), started(effects)) == (["t1"], ["urgent"])
    assert turns.place("t1") == 0, "it goes on first when there is room"


def test_what_is_dragged_to_the_front_runs_soon_and_what_comes_new_displaces_nobody() -> None:
    turns = queue(4)
    turns.tick(0.0)
    turns.want("t3", 1, turns.order_at("t3", 1, 0))
    assert turns.tick(1.0) == []
    effects = turns.tick(LEAST_RUN)
    assert (stopped(effects), started(effects)) == (["t1"], ["t3"])
    turns.want("new", 1, 99.0)
    assert turns.tick(100 * LEAST_RUN) != [] or turns.place("new") is not None


def test_one_that_gets_nothing_for_a_minute_makes_room_but_goes_on_looking() -> None:
    turns = queue(4)
    turns.tick(0.0)
    turns.moved("t0", 100, QUIET - 1)
    due = turns.next_tick(QUIET - 1)
    assert due == QUIET
    assert turns.tick(QUIET) == [Start("t2")]
    assert turns.running("t1") and turns.active(QUIET) == 2


def test_one_that_works_on_the_disk_counts_as_active() -> None:
    turns = queue(3, 1)
    turns.tick(0.0)
    turns.moved("t0", 0, 1.0, busy=True)
    assert turns.tick(10 * QUIET) == []


def test_not_thousands_look_for_sources_at_once_but_all_get_to_look() -> None:
    turns = queue(200, 5)
    looked: set[str] = set()
    now = 0.0
    while now < 7200.0:
        looked.update(started(turns.tick(now)))
        assert sum(turns.running(f"t{number}") for number in range(200)) <= LOOKERS + 5
        now += 20.0
    assert len(looked) == 200
    assert LOOK < 7200.0


def test_previews_run_at_once_and_take_no_place() -> None:
    turns = queue(3)
    turns.tick(0.0)
    turns.want("preview", 1, 50.0, at_once=True)
    assert turns.tick(1.0) == [Start("preview")]
    assert turns.active(1.0) == 2


def test_while_it_is_held_only_what_a_person_looks_at_runs() -> None:
    turns = queue(3)
    turns.want("film", 1, 50.0, at_once=True)
    turns.tick(0.0)
    turns.held = True
    assert sorted(stopped(turns.tick(1.0))) == ["t0", "t1"]
    assert turns.running("film")
    turns.held = False
    assert started(turns.tick(2.0)) == ["t0", "t1"]


def test_fewer_at_once_stops_the_last_ones() -> None:
    turns = queue(6, 4)
    turns.tick(0.0)
    turns.most_active = 1
    assert sorted(stopped(turns.tick(LEAST_RUN))) == ["t1", "t2", "t3"]


def test_nobody_is_told_to_wait_while_a_place_is_free() -> None:
    turns = queue(3)
    assert [reason(turns.place(f"t{number}"), turns, 0.0, ()) for number in range(2)] == ["starting"] * 2
    assert "it is next" not in (words := reason(turns.place("t2"), turns, 0.0, ())) and "2 before it" in words
    turns = queue(LOOKERS + 1, LOOKERS)
    turns.tick(0.0)
    assert turns.looking(0.0) == 0 and turns.looking(QUIET) == LOOKERS
    assert f"{LOOKERS} downloads are looking for peers" in reason(0, turns, QUIET, ())


def test_moving_to_a_place() -> None:
    turns = queue(5, 1)
    turns.tick(0.0)
    turns.want("t4", 1, turns.order_at("t4", 1, 2))
    assert [one for one in sorted(("t1", "t2", "t3", "t4"), key=lambda id: turns.place(id) or 0)] == [
        "t1",
        "t4",
        "t2",
        "t3",
    ]


def test_ten_thousand_cost_milliseconds() -> None:
    began = time.process_time()
    turns = queue(10_000, 5)
    turns.tick(0.0)
    for number in range(9_000):
        turns.drop(f"t{number}")
    turns.tick(1.0)
    assert turns.place("t9500") == 495 and turns.place("t9999") is None
    assert PLACES < 995
    assert time.process_time() - began < 1.0


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["want", "high", "at once", "drop", "moved", "tick", "hold", "free"]),
            st.integers(0, 8),
            st.sampled_from([0.0, 1.0, 20.0, 70.0]),
        ),
        max_size=80,
    )
)
def test_never_more_than_allowed_and_never_idle(steps: list[tuple[str, int, float]]) -> None:
    turns, now = Turns(3), 0.0
    wanted: set[str] = set()
    running: set[str] = set()
    for what, number, passed in steps:
        now += passed
        id = str(number)
        match what:
            case "want" | "high" | "at once":
                turns.want(id, 0 if what == "high" else 1, float(number), at_once=what == "at once")
                wanted.add(id)
            case "drop":
                turns.drop(id)
                wanted.discard(id)
                running.discard(id)
            case "moved":
                turns.moved(id, int(now) + number, now)
            case "hold" | "free":
                turns.held = what == "hold"
        for effect in turns.tick(now):
            if isinstance(effect, Start):
                assert effect.id not in running and effect.id in wanted
                running.add(effect.id)
            else:
                running.remove(effect.id)
        assert running == {id for id in wanted if turns.running(id)}
        if not turns.held and turns.count_waiting:
            assert turns.active(now) >= 3
