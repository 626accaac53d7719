"""Datagrams of a match: what goes in comes out, and nothing else is let in."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage
from servent.play.model import Settings
from servent.play.wire import MAX_PACKET, MAX_RUN, Packet, Probe, Row, Run, Wire, pack_run, unpack_run

TAG = b"game"
SIZES = st.sampled_from([1, 2, 3, 8, 9, 32])


def wire(players: int = 3, size: int = 1, tag: bytes = TAG) -> Wire:
    return Wire(Settings(players=players, input_bytes=size), tag)


@st.composite
def runs(draw: st.DrawFn, player: int, size: int, most: int = 12) -> Run:
    values = draw(st.lists(st.binary(min_size=size, max_size=size), max_size=most))
    start = draw(st.integers(0, 1 << 30))
    offsets = draw(st.sets(st.integers(0, len(values) - 1), max_size=2)) if values else set()
    return Run(
        player, start, values, tuple((start + at, draw(st.integers(0, player))) for at in sorted(offsets))
    )


@st.composite
def packets(draw: st.DrawFn) -> tuple[int, int, int, Packet]:
    players, size = draw(st.integers(1, 8)), draw(SIZES)
    sender = draw(st.integers(0, players - 1))
    others = [player for player in range(players) if player != sender]
    frame = draw(st.integers(0, 1 << 30))
    near = st.integers(max(-1, frame - 100), frame + 100) if draw(st.booleans()) else st.integers(-1, 1 << 30)
    masks = st.integers(1, (1 << players) - 1)
    owners = draw(st.sets(st.integers(0, players - 1), max_size=3))
    rows = []
    for owner in sorted(owners):
        dropped = draw(masks)
        last = tuple(draw(st.integers(-1, 1 << 30)) for _ in range(dropped.bit_count()))
        rows.append(Row(owner, dropped, last))
    passed = draw(st.lists(st.sampled_from(others), unique=True, max_size=2)) if others else []
    packet = Packet(
        draw(st.integers(0, 65535)),
        frame,
        draw(st.integers(-32768, 32767)) / 256,
        [draw(near) for _ in others],
        [draw(runs(sender, size)), *(draw(runs(player, size, 4)) for player in passed)],
        draw(st.none() | st.tuples(*[st.integers(0, 65535)] * 3)),
        draw(st.none() | st.tuples(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1))),
        draw(st.just(0) | masks),
        tuple(rows),
    )
    return players, size, sender, packet


@given(packets())
def test_a_packet_comes_out_as_it_went_in(case: tuple[int, int, int, Packet]) -> None:
    players, size, sender, packet = case
    there = wire(players, size)
    data = there.encode(packet)
    assert len(data) <= MAX_PACKET
    assert there.decode(sender, data) == packet


@given(packets(), st.data())
def test_a_packet_that_was_changed_is_refused_or_read_as_another(
    case: tuple[int, int, int, Packet], data: st.DataObject
) -> None:
    players, size, sender, packet = case
    there = wire(players, size)
    whole = bytearray(there.encode(packet))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        found = there.decode(sender, cut)
    except BadMessage:
        return
    if isinstance(found, Packet):
        assert len(found.have) == players - 1
        assert all(run.start >= 0 and len(run.values) <= MAX_RUN for run in found.runs)
        assert all(len(value) == size for run in found.runs for value in run.values)
        assert there.decode(sender, there.encode(found)) == found


@given(st.binary(max_size=200), st.integers(0, 255))
def test_noise_behind_the_right_tag_is_refused_or_read(noise: bytes, flags: int) -> None:
    with suppress(BadMessage):
        wire().decode(1, TAG + bytes((flags,)) + noise)


@given(SIZES.flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), max_size=MAX_RUN)))
def test_runs_have_one_form(values: list[bytes]) -> None:
    size = len(values[0]) if values else 1
    data = pack_run(values, size)
    assert unpack_run(b"x" + data + b"y", 1, len(values), size) == (values, len(data) + 1)


def test_a_run_that_says_nothing_new_is_refused() -> None:
    assert pack_run([b"a", b"a", b"b"], 1) == b"\x05ab"
    with pytest.raises(BadMessage):
        unpack_run(b"\x07aab", 0, 3, 1)
    with pytest.raises(BadMessage):
        unpack_run(b"\x0dab", 0, 3, 1)  # a bit for a fourth
    with pytest.raises(BadMessage):
        unpack_run(b"\x05a", 0, 3, 1)


def test_held_keys_cost_a_bit_for_each_frame() -> None:
    assert len(pack_run([b"\x01"] * 64, 1)) == 9


@pytest.mark.parametrize("size", [1, 4, 32])
def test_all_that_may_be_missing_goes_into_one_datagram_as_far_as_there_is_room(size: int) -> None:
    there = wire(8, size)
    own = [bytes((index % 250 + 1,)) * size for index in range(there.most_own)]
    passed = [Run(player, 5, [bytes((1, 2) * size)[:size], bytes(size)] * 8) for player in range(1, 8)]
    rows = [Row(owner, 255, (1,) * 8) for owner in range(8)]
    packet = Packet(1, 1000, 0.0, [-1] * 7, [Run(0, 900, own), *passed], (1, 2, 3), (60, 1), 255, rows)
    data = there.encode(packet)
    assert len(data) <= MAX_PACKET
    found = there.decode(0, data)
    assert isinstance(found, Packet)
    assert found.runs == packet.runs[: len(found.runs)] and found.runs[0].values == own
    assert there.most_own == (MAX_RUN if size < 7 else there.most_own)


def test_packets_of_another_match_are_refused() -> None:
    data = wire(tag=b"here").encode(Packet(0, 0, 0.0, [-1, -1], [Run(0, 0, [])]))
    with pytest.raises(BadMessage, match="another match"):
        wire(tag=b"away").decode(0, data)


def test_huge_datagrams_are_refused_unread() -> None:
    with pytest.raises(BadMessage, match="5000 bytes"):
        wire().decode(0, TAG + bytes(4996))


@given(st.integers(-(1 << 62), 1 << 62), st.integers(-(1 << 62), 1 << 62), st.integers(0, (1 << 32) - 1))
def test_probes_come_out_as_they_went_in(clock: int, echo: int, held: int) -> None:
    probe = Probe(clock, echo, held)
    assert wire().decode(2, wire().probe(probe)) == probe
