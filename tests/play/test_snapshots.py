"""A state in pieces comes whole or not at all, and frames are read strictly."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.codec import canonical
from servent.errors import BadMessage
from servent.play import feeds, snapshots
from servent.play.model import Confirmed, Settings
from servent.play.recent import MOST_STATES, Recent
from servent.play.snapshots import PIECE, Gathering, Offer, Piece, Snapshot

STATE = {"ships": [(n, -n * 1000) for n in range(3000)], "name": "Köln", 7: bytes(range(256)) * 150}


def test_a_state_comes_whole_in_any_order_and_with_its_types() -> None:
    messages = [snapshots.read(data) for data in Snapshot(STATE, 600).written()]
    offer, pieces = messages[0], messages[1:]
    assert isinstance(offer, Offer) and offer.frame == 600 and len(pieces) == offer.pieces > 2
    gathering = Gathering(offer)
    random.Random(1).shuffle(pieces)
    for piece in pieces:
        assert isinstance(piece, Piece) and not gathering.whole
        gathering.add(piece)
        gathering.add(piece)
    assert gathering.whole and gathering.state() == STATE


def test_what_is_not_what_was_offered_is_refused() -> None:
    snapshot = Snapshot(STATE, 1)
    offer, first, *rest = list(snapshot.messages())
    assert isinstance(offer, Offer) and isinstance(first, Piece)
    with pytest.raises(BadMessage, match="over the limit of 1000"):
        Gathering(offer, most=1000)
    gathering = Gathering(offer)
    with pytest.raises(BadMessage, match="missing"):
        gathering.state()
    for wrong in (Piece(99, b"x"), Piece(0, first.data[1:]), Piece(offer.pieces - 1, bytes(PIECE))):
        with pytest.raises(BadMessage):
            gathering.add(wrong)
    gathering.add(Piece(0, b"?" + first.data[1:]))
    for piece in rest:
        assert isinstance(piece, Piece)
        gathering.add(piece)
    with pytest.raises(BadMessage, match="not what was offered"):
        gathering.state()


@given(data=st.binary(max_size=200), at=st.integers(0, 60), byte=st.integers(0, 255))
@settings(max_examples=60, derandomize=True)
def test_bytes_from_anywhere_are_read_or_refused(data: bytes, at: int, byte: int) -> None:
    frames = [Confirmed(n, (bytes((n & 3,)), b"\1"), 2 if n > 4 else 0) for n in range(10)]
    whole = bytearray(feeds.write(feeds.batch(frames, 10, 1)))
    whole[at % len(whole)] = byte
    for one in (data, bytes(whole)):
        for read in (snapshots.read, lambda given: feeds.read(given, Settings(players=2))):
            try:
                read(one)
            except BadMessage:
                continue


@given(st.lists(st.tuples(st.binary(min_size=3, max_size=3), st.sampled_from([0, 0, 1])), min_size=1))
@settings(max_examples=40, derandomize=True)
def test_frames_come_back_as_they_were(pressed: list[tuple[bytes, int]]) -> None:
    frames = [Confirmed(70 + n, (value, b"abc"), gone) for n, (value, gone) in enumerate(pressed)]
    sent = feeds.write(feeds.batch(frames, 9000, 3))
    assert feeds.read(sent, Settings(players=2, input_bytes=3)) == frames
    with pytest.raises(BadMessage):
        feeds.read(sent, Settings(players=3, input_bytes=3))
    with pytest.raises(BadMessage):
        feeds.read(canonical(feeds.batch(frames, 70, 3)), Settings(players=2, input_bytes=3))


def test_ten_seconds_are_remembered_and_no_more() -> None:
    recent = Recent(Settings(players=1))
    for frame in range(2000):
        if frame % 60 == 0:
            recent.keep(frame, (frame,))
        recent.add(Confirmed(frame, (b"\0",)))
    assert recent.newest == 1980 and recent.state(1980) == (1980,)
    assert [one.frame for one in recent.since(1980) or []] == list(range(1980, 2000))
    assert recent.since(2000) == [] and recent.since(1399) is None and recent.since(2001) is None
    assert len(recent.last()) == 600
    assert sum(recent.state(frame) is not None for frame in range(2000)) == MOST_STATES
    recent.add(Confirmed(3000, (b"\0",)))
    assert recent.next == 3001 and recent.newest is None and len(recent.last()) == 1
