"""The made-up world of a Python app, called as the engine calls it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.grid.sandbox import components
from servent.grid.sandbox.wasi import LOOK, MOST_RANDOM, STARTS_AT, Exit
from servent.grid.sandbox.wasi2 import FUNCTIONS, MOST_POLLABLES, RESOURCES, NotThere, World

SEED = bytes(range(32))


def ask(world: World, interface: str, name: str, *given: object) -> object:
    return FUNCTIONS[f"wasi:{interface}"][name](world, *given)


def test_what_is_there_is_of_interfaces_that_are_offered() -> None:
    assert set(FUNCTIONS) <= components.INTERFACES and set(RESOURCES) <= set(FUNCTIONS)


def test_each_look_at_the_clock_moves_it_on() -> None:
    world = World(SEED)
    assert [ask(world, "clocks/monotonic-clock", "now") for _ in range(3)] == [LOOK, 2 * LOOK, 3 * LOOK]
    now = ask(world, "clocks/wall-clock", "now")
    assert now == {"seconds": STARTS_AT // 10**9, "nanoseconds": 4 * LOOK}


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=8))
def test_whoever_waits_waits_for_the_earliest_and_no_time_passes(spans: list[int]) -> None:
    world = World(SEED)
    due = [world.wait_for(span).number for span in spans]
    ready = world.poll(due)
    assert ready and min(range(len(spans)), key=spans.__getitem__) in ready
    assert world.clock <= 2**63 and all(world.ready(due[at]) for at in ready)
    assert world.poll([999]) == [0]  # what is unknown, streams among it, is always ready
    for number in due:
        world.dropped(1, number)
    assert not world._due


def test_no_more_can_be_waited_for_than_there_is_room() -> None:
    world = World(SEED)
    for _ in range(MOST_POLLABLES):
        world.wait_for(1)
    with pytest.raises(NotThere):
        world.wait_for(1)
    with pytest.raises(NotThere):
        world.poll([])


def test_dice_are_of_the_seed_and_of_how_often_they_were_rolled() -> None:
    one, same, other = World(SEED), World(SEED), World(SEED[::-1])
    rolled = [ask(one, "random/random", "get-random-bytes", 16) for _ in range(2)]
    assert rolled == [same.random(16), same.random(16)] and rolled[0] != rolled[1]
    assert other.random(16) != rolled[0] and 0 <= same.random_number() < 2**64
    with pytest.raises(NotThere):
        one.random(MOST_RANDOM + 1)


def test_what_is_printed_is_kept_and_only_its_end() -> None:
    world = World(SEED)
    for _ in range(100):
        ask(world, "io/streams", "[method]output-stream.blocking-write-and-flush", 1, b"x" * 4095 + b"\n")
    assert len(world.printed) == 4096 and world.printed.endswith(b"x\n")
    assert ask(world, "io/streams", "[method]input-stream.blocking-read", 0, 10) is None


def test_it_may_end_itself() -> None:
    world = World(SEED)
    with pytest.raises(Exit) as ended:
        ask(world, "cli/exit", "exit", "err")
    assert ended.value.code == 1
    with pytest.raises(Exit) as ended:
        ask(world, "cli/exit", "exit-with-code", 7)
    assert ended.value.code == 7
