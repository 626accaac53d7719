"""The coordinator's small cores: what is ready for whom, and when to look again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from servent.grid.coordinator_live import QUEUED, STEP, Live, Wakes
from servent.grid.coordinator_ready import Ready
from servent.grid.coordinator_rooms import Room
from servent.grid.coordinator_rows import Batch, Doc, Host, ProjectState, encode, read_doc, read_host
from servent.grid.coordinator_taking import plain
from servent.grid.manifests import open_project
from servent.grid.model import Copy, Unit
from servent.grid.transition import eligible
from tests.grid.coordinating import project

PEOPLE = [bytes([number]) * 32 for number in range(1, 6)]
BATCH = Batch(1, 1, 1)


def live(unit: int, *hands: int, answer: bytes | None = None) -> Live:
    """A unit of which some have a copy, and one more is to be handed out."""
    one = Live(Unit(id=unit, answer=answer, need=2 if hands else 0), 1, BATCH, bytes(32), 10, QUEUED)
    for number in hands:
        one.copies.append(Copy(id=one.next_lease(), state="leased", identity=PEOPLE[number]))
    if hands:
        one.copies.append(Copy(id=one.next_lease()))
    return one


def anything(_: object) -> bool:
    return True


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.lists(st.integers(0, 4), max_size=3, unique=True)), max_size=60
    ),
    st.integers(0, 4),
    st.integers(1, 20),
)
def test_one_gets_what_it_may_have_and_what_is_urgent_first(
    units: list[tuple[int, list[int]]], asker: int, most: int
) -> None:
    ready, ranks = Ready(), dict[int, int]()
    lives = {}
    for number, (rank, hands) in enumerate(units, 1):
        lives[number] = live(number, *hands)
        ranks[number] = rank
        ready.put(lives[number], rank)
    picked = ready.pick(PEOPLE[asker], most, anything, anything)
    may = [number for number, one in lives.items() if eligible(one.unit, one.copies, PEOPLE[asker])]
    assert len(picked) == min(most, len(may))
    numbers = [one.unit.id for one in picked]
    assert len(set(numbers)) == len(numbers) and set(numbers) <= set(may)
    got = [ranks[number] for number in numbers]
    assert got == sorted(ranks[number] for number in may)[: len(got)]
    # begun before fresh, within a rank
    for rank in set(got):
        begun = [bool(lives[number].copies) for number in numbers if ranks[number] == rank]
        assert begun == sorted(begun, reverse=True)
    for one in lives.values():
        ready.take(one)
    assert ready.pick(PEOPLE[asker], most, anything, anything) == [] and ready.fresh == 0


def test_known_answers_are_mixed_in_and_do_not_stay_behind() -> None:
    ready = Ready()
    for number in range(1, 11):
        ready.put(live(number), 0)
    ready.put(live(50, answer=b"a" * 32), 0)
    throws = iter([False, True] + [False] * 20)
    picked = ready.pick(PEOPLE[0], 5, anything, anything, spots=lambda: next(throws))
    assert [one.unit.id for one in picked] == [1, 50, 2, 3, 4]
    for one in [*picked, *ready.pick(PEOPLE[0], 20, anything, anything)]:
        ready.take(one)
    ready.put(live(51, answer=b"a" * 32), 0)
    assert [one.unit.id for one in ready.pick(PEOPLE[0], 5, anything, anything)] == [51]


@given(st.lists(st.tuples(st.integers(1, 8), st.one_of(st.none(), st.floats(0, 100))), max_size=60))
def test_a_unit_is_looked_at_when_its_last_word_says(moves: list[tuple[int, float | None]]) -> None:
    wakes, lives = Wakes(), {number: live(number) for number in range(1, 9)}
    wanted: dict[int, float] = {}
    for number, at in moves:
        wakes.set(lives[number], at)
        wanted.pop(number, None)
        if at is not None:
            wanted[number] = at
    seen: dict[int, float] = {}
    now = 0.0
    while (at := wakes.next()) is not None:
        assert at >= now
        now = at
        for number in wakes.due(now):
            seen[number] = now
            lives[number].wake = None
    assert seen.keys() == wanted.keys()
    assert all(0 <= seen[number] - wanted[number] <= STEP for number in wanted)


@given(st.text())
def test_words_of_strangers_are_one_plain_line(words: str) -> None:
    said = plain(words)
    assert len(said) <= 200 and said.isprintable() and "  " not in said


def test_rows_say_what_they_were_told() -> None:
    one = live(3, 1, 2)
    assert read_doc.decode(encode(one.doc())) == one.doc() and isinstance(one.doc(), Doc)
    host = Host(name="ann", credit=5)
    assert read_host.decode(encode(host)) == host
    assert ProjectState().units == 0


def test_work_that_has_just_begun_is_not_slow() -> None:
    signed = project()
    room = Room(1, open_project(signed), signed, ProjectState())
    room.state.units = 300
    assert room.throughput(6000.0) == 0.0 and room.eta(6000.0) is None
    room.minutes[100] = [60, 0]  # all of them in the first minute of its life
    assert room.throughput(6059.0) == 60 / (59 / 60)
    assert 290 < (room.eta(6060.0 - 1e-6) or 0.0) < 310
    assert room.throughput(6005.0) == 180.0, "twenty seconds at least"
    room.minutes[101] = [60, 0]
    assert room.throughput(6119.9) < 61
    assert room.throughput(6060.0 + 240.0) < 40, "it stands still"
    assert room.throughput(6060.0 + 300.0 + 60.0) == 0.0
