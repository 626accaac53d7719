"""Plain data: one form in bytes, read back with its types, and the first place where two states differ."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage
from servent.play.states import NotPlain, checksum, difference, pack, same, unpack

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**511), 2**511 - 1)
    | st.text(max_size=8)
    | st.binary(max_size=8)
)
plain = st.recursive(
    leaves,
    lambda below: (
        st.lists(below, max_size=4)
        | st.lists(below, max_size=4).map(tuple)
        | st.dictionaries(st.integers(-(2**70), 2**70) | st.text(max_size=4), below, max_size=4)
    ),
    max_leaves=12,
)


def exactly(value: Any) -> Any:
    """Python's `==` says that True is 1; this does not."""
    if isinstance(value, dict):
        return {(type(key), key): exactly(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return (type(value), [exactly(item) for item in value])
    return (type(value), value)


@given(plain)
def test_what_is_packed_comes_back_with_its_types(state: Any) -> None:
    again = unpack(pack(state))
    assert exactly(again) == exactly(state)
    assert same(again, state)


@given(plain, plain)
def test_bytes_are_equal_exactly_when_states_are(one: Any, other: Any) -> None:
    assert (pack(one) == pack(other)) == (exactly(one) == exactly(other)) == (difference(one, other) is None)


@given(st.binary(max_size=64))
def test_any_bytes_are_refused_or_the_canonical_ones_of_what_they_say(data: bytes) -> None:
    try:
        state = unpack(data)
    except BadMessage:
        return
    assert pack(state) == data


@given(plain, st.data())
def test_a_changed_byte_is_never_read_as_something_written_otherwise(state: Any, data: st.DataObject) -> None:
    packed = bytearray(pack(state))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] = data.draw(st.integers(0, 255))
    try:
        again = unpack(bytes(packed))
    except BadMessage:
        return
    assert pack(again) == bytes(packed)


def test_the_order_in_which_a_dict_was_filled_does_not_show() -> None:
    assert pack({"b": 1, "a": 2, 3: 4, -1: 0}) == pack({-1: 0, 3: 4, "a": 2, "b": 1})
    assert list(unpack(pack({"b": 1, 3: 4, "a": 2, -1: 0}))) == [-1, 3, "a", "b"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"speed": 0.5}, "speed is the float 0.5"),
        ({"ships": [{"at": {1, 2}}]}, "ships[0].at is a set"),
        ([bytearray(b"x")], "[0] is a bytearray"),
        ({True: 1}, "the state has a bool as a key"),
        ({"a": {(1, 2): 3}}, "a has a tuple as a key"),
        (object(), "the state is an object"),
        ({"n": 2**600}, "n is a whole number of 601 bits"),
        (["\ud800"], "[0] is a text with half a character in it"),
    ],
)
def test_what_is_not_plain_is_named_with_its_place(state: Any, words: str) -> None:
    with pytest.raises(NotPlain) as wrong:
        pack(state)
    assert str(wrong.value) == words and wrong.value.advice


def test_floats_are_for_those_who_ask_and_finite() -> None:
    assert unpack(pack([0.5, -0.0], floats=True), floats=True) == [0.5, 0.0]
    assert pack(0.0, floats=True) != pack(-0.0, floats=True) and not same({"x": 0.0}, {"x": -0.0})
    with pytest.raises(NotPlain):
        pack(float("nan"), floats=True)
    with pytest.raises(BadMessage):
        unpack(pack([0.5], floats=True))


def test_a_state_too_deep_or_too_long_is_refused_on_both_sides() -> None:
    deep: Any = 0
    for _ in range(33):
        deep = [deep]
    with pytest.raises(NotPlain, match="deeper than 32"):
        pack(deep)
    with pytest.raises(BadMessage, match="deeper than 32"):
        unpack(b"l\x01" * 33 + b"i\x00")
    with pytest.raises(NotPlain, match="over the limit"):
        pack(bytes(5_000_000))
    with pytest.raises(BadMessage, match="over the limit"):
        unpack(bytes(5_000_000))
    with pytest.raises(BadMessage, match="promises more"):
        unpack(b"l\xff\xff\xff\x7f")


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        ({"ships": [{"vx": 1}, {"vx": 411}]}, {"ships": [{"vx": 1}, {"vx": 412}]}, "ships[1].vx 411 ≠ 412"),
        ({"a": 1}, {"a": True}, "a 1 (int) ≠ True (bool)"),
        ({"a": 1}, {"a": 1, 5: 2}, "[5] nothing ≠ 2"),
        ({"grid": b"\0\1"}, {"grid": b"\0\2"}, "grid[1] 1 ≠ 2"),
        ({"grid": b"\0"}, {"grid": b""}, "grid 1 bytes ≠ 0 bytes"),
        ((1, 2), (1, 2, 3), "the state 2 items ≠ 3 items"),
        ([[1]], [(1,)], "[0] [1] (list) ≠ (1,) (tuple)"),
    ],
)
def test_the_first_difference_is_named(left: Any, right: Any, words: str) -> None:
    assert str(difference(left, right)) == words


def test_a_checksum_is_the_same_in_a_process_that_hashes_otherwise() -> None:
    code = "from servent.play.states import checksum; print(checksum({w: i for i, w in enumerate({'a', 'b', 'c'})} and {'x': [1, (2, b'3')]}))"
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {f"{checksum({'x': [1, (2, b'3')]})}\n"}
