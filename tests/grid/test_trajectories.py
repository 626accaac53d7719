"""States of molecules with frames of a trajectory, read strictly: nothing a stranger writes is shown unless all of it fits together."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage
from servent.grid import formats
from servent.grid.trajectories import HEAD_BYTES, MAGIC, read_energies, read_head, thinned
from tests.grid import films


def test_a_generation_says_which_steps_its_frames_show() -> None:
    for number in range(4):
        data = films.generation(number, atoms=5, steps=25, every=10)
        head = read_head(data[:HEAD_BYTES], len(data))
        steps = [head.first + frame * head.every for frame in range(head.frames)]
        assert steps == [step for step in range(25 * number + 1, 25 * number + 26) if step % 10 == 0]
        assert head.at(head.frames) == len(data)
        for frame, step in enumerate(steps):
            said = read_energies(data[head.at(frame) :])
            assert said == films.energies(5, step // 10)


@pytest.mark.parametrize(
    ("at", "what"),
    [
        (0, b"X"), (20, bytes(4)), (20, b"\xff" * 4), (24, bytes(8)), (24, b"\xff" * 8), (32, bytes(4)), (36, bytes(4)), (36, b"\x0b"),
        (40, struct.pack("<d", float("nan"))), (40, struct.pack("<d", 0.0)), (56, struct.pack("<d", -0.1)), (64, b"\x09"), (68, b"\x01"), (72, struct.pack("<d", float("inf"))),
    ],
)  # fmt: skip
def test_a_head_that_does_not_fit_itself_is_refused(at: int, what: bytes) -> None:
    data = bytearray(films.generation(0))
    data[at : at + len(what)] = what
    with pytest.raises(BadMessage):
        read_head(bytes(data), len(data))


def test_a_result_that_is_longer_or_shorter_than_it_says_is_refused() -> None:
    data = films.generation(2)
    for size in (len(data) - 1, len(data) + 1, HEAD_BYTES):
        with pytest.raises(BadMessage):
            read_head(data, size)
    with pytest.raises(BadMessage):
        read_head(data[: HEAD_BYTES - 1], len(data))


@given(st.binary(max_size=200), st.integers(0, 2**40))
def test_any_bytes_are_a_head_or_refused(data: bytes, size: int) -> None:
    for said in (data, MAGIC + data):
        try:
            head = read_head(said, size)
        except BadMessage:
            continue
        assert head.at(head.frames) == size and head.frames * head.every <= head.steps + head.every


@given(st.binary(max_size=20))
def test_energies_are_numbers_or_refused(data: bytes) -> None:
    try:
        potential, kinetic = read_energies(data)
    except BadMessage:
        return
    assert abs(potential) < float("inf") and abs(kinetic) < float("inf")


@given(st.integers(0, 5000), st.integers(1, 300))
def test_a_long_film_is_thinned_evenly_to_its_end(count: int, most: int) -> None:
    places = list(thinned(count, most))
    assert len(places) <= most and (not count or places[-1] == count - 1)
    assert len({b - a for a, b in pairwise(places)}) <= 1


def test_kinds_of_results_are_known_by_how_they_begin() -> None:
    assert formats.shows(films.generation(0)[: formats.HEAD_BYTES]) == "trajectory"
    assert formats.shows(b"servent") == formats.shows(b"") == formats.shows(b"words: 3\n") == ""
