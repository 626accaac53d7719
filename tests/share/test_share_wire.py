"""Messages of `servent.share/1` come through whole, or not at all."""

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.codec import encode
from servent.errors import BadMessage
from servent.share import wire

HASH = bytes(range(32))
HIT = wire.Hit(HASH, 5, "Music/a.mp3", 1, 1.5, {"title": "a", "track": 3, "gain": 0.5})
ROW = wire.Row("a.mp3", False, 5, 1, HASH, 1, 1.5, {"title": "a"})
QUESTIONS = [
    wire.Search("a", 5),
    wire.Browse("a/b", 5, 6, "size", True, "x"),
    wire.Resolve("a"),
    wire.Sample(HASH, 9),
]
ANSWERS = [
    wire.Hits([HIT], False, 3), wire.Done(True), wire.Listing([ROW], True, 9, 8, 7, True),
    wire.Folder(HASH, "a", 5, 6, 7), wire.Refuse("no", 5.0),
]  # fmt: skip


@pytest.mark.parametrize("message", QUESTIONS, ids=lambda one: type(one).__name__)
def test_questions(message: msgspec.Struct) -> None:
    assert wire.read_question.decode(encode(message)) == message
    with pytest.raises(BadMessage):
        wire.read_answer.decode(encode(message))


@pytest.mark.parametrize("message", ANSWERS, ids=lambda one: type(one).__name__)
def test_answers(message: msgspec.Struct) -> None:
    assert wire.read_answer.decode(encode(message)) == message


@pytest.mark.parametrize(
    "bad",
    [
        wire.Search(""), wire.Search("x" * 501), wire.Search("x", 0), wire.Search("x", 1001), wire.Browse("x" * 4097),
        wire.Browse(limit=1001), wire.Browse(offset=-1), wire.Browse(sort="id"), wire.Resolve(""), wire.Sample(b"x"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_questions_beyond_their_limits(bad: msgspec.Struct) -> None:
    with pytest.raises(BadMessage):
        wire.read_question.decode(encode(bad))


@pytest.mark.parametrize(
    "change",
    [
        {"content": b"short"}, {"size": 0}, {"size": 1 << 60}, {"path": ""}, {"path": "x" * 4097}, {"kind": -1}, {"modified": -1.0},
        {"modified": float("nan")}, {"tags": {str(n): "" for n in range(25)}}, {"tags": {"": "x"}}, {"tags": {"a": "x" * 301}},
        {"tags": {"a": ["x"]}}, {"tags": {"a": {}}}, {"tags": {1: "x"}}, {"tags": None},
    ],
)  # fmt: skip
def test_hits_beyond_their_limits(change: dict[str, Any]) -> None:
    with pytest.raises(BadMessage):
        wire.read_answer.decode(encode(wire.Hits([msgspec.structs.replace(HIT, **change)])))


def test_a_frame_has_an_end() -> None:
    with pytest.raises(BadMessage):
        wire.read_answer.decode(encode(wire.Hits([HIT] * 201)))
    with pytest.raises(BadMessage):
        wire.read_answer.decode(encode(wire.Listing([ROW] * 201, True)))


def test_old_peers_pass_over_what_newer_ones_add() -> None:
    body = msgspec.msgpack.encode(
        {"type": "hits", "hits": [[HASH, 5, "a/b", 1, 0.0, {}, "new"]], "free": True, "new": 1}
    )
    (hit,) = wire.read_answer.decode(body).hits  # type: ignore[union-attr]
    assert hit.path == "a/b"


@given(
    st.binary(max_size=200), st.sampled_from([*QUESTIONS, *ANSWERS]), st.integers(0, 100), st.integers(0, 255)
)
def test_any_bytes_decode_or_are_refused(junk: bytes, message: msgspec.Struct, at: int, letter: int) -> None:
    body = bytearray(encode(message))
    body[at % len(body)] = letter
    for reader in (wire.read_question, wire.read_answer):
        for one in (junk, bytes(body), bytes(body) + junk):
            with contextlib.suppress(BadMessage):
                reader.decode(one)  # type: ignore[attr-defined]
