"""Replays: what was pressed comes back as it was, signatures vouch for it, and no file does harm."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.codec import canonical
from servent.errors import BadMessage, UsageError
from servent.identity import Identity
from servent.play import replays
from servent.play.bundled.go import PASS, RESIGN, Go
from servent.play.bundled.lightcycles import Lightcycles
from servent.play.engine import Engine
from servent.play.model import Advance, Confirmed
from servent.play.playback import Playback, played
from servent.play.replays import Header, Recorder, Replay, Seal
from servent.play.states import checksum, same

GAME = Lightcycles()
WHO = [Identity(bytes((number,)) * 32) for number in range(1, 9)]


def header(seats: int = 2, *, input_bytes: int = 1, seed: int = 5, **choices: int) -> Header:
    return Header(
        game="lightcycles", version=1, code=bytes(32), match=bytes(16), seats=tuple(bytes(one.peer) for one in WHO[:seats]),
        names=tuple(f"player {seat}" for seat in range(seats)), seed=seed, choices=choices, input_bytes=input_bytes,
        fps=60, began=1_700_000_000,
    )  # fmt: skip


def pressing(seats: int, frames: int, seed: int = 1) -> list[Confirmed]:
    """People: each changes what it holds 6.7 times a second, as was measured of players."""
    dice, held, found = random.Random(seed), [0] * seats, []
    for frame in range(frames):
        for seat in range(seats):
            if dice.random() < 6.7 / 60:
                held[seat] = 0 if held[seat] else dice.choice((1, 2, 4, 8, 16))
        found.append(Confirmed(frame, tuple(bytes((one,)) for one in held)))
    return found


def recorded(frames: Sequence[Confirmed], **more: int) -> Recorder:
    recorder = Recorder(header(len(frames[0].inputs), **more))
    for one in frames:
        recorder.add(one)
    return recorder


def sealed(recorder: Recorder, seat: int, sum: int, frames: int | None = None) -> Seal:
    signature = WHO[seat].sign(recorder.promise(sum, frames))
    return Seal(seat, recorder.frames if frames is None else frames, sum, signature)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.lists(
        st.tuples(st.binary(min_size=9, max_size=9), st.integers(0, 7), st.integers(1, 80)), max_size=12
    ),
)
def test_what_was_pressed_comes_back_as_it_was(
    seats: int, size: int, presses: list[tuple[bytes, int, int]]
) -> None:
    recorder = Recorder(header(seats, input_bytes=size))
    frames: list[Confirmed] = []
    for data, gone, often in presses:
        inputs = tuple(data[seat * size : seat * size + size] for seat in range(seats))
        frames += [Confirmed(len(frames) + n, inputs, gone % (1 << seats)) for n in range(often)]
    for one in frames:
        recorder.add(one)
    replay = Replay.read(recorder.write())
    assert list(replay.confirmed()) == frames
    assert replay.header == recorder.header and replay.standing().word == "unsigned"


@pytest.mark.parametrize(("seats", "most"), [(2, 1100), (8, 4200)])
def test_a_minute_takes_about_a_kilobyte(seats: int, most: int) -> None:
    recorder = recorded(pressing(seats, 3600))
    for seat in range(seats):
        assert recorder.seal(sealed(recorder, seat, 1))
    longer = recorded(pressing(seats, 7200))
    assert len(longer.write()) - len(recorded(pressing(seats, 3600)).write()) < most
    assert (
        len(recorder.write()) < most + 500 + seats * 130
    )  # what does not grow: header, keys, a seal for each seat


def test_a_match_of_bots_is_stepped_again_to_the_same_end() -> None:
    recorder = Recorder(header(3, seed=4, wins=1, arena=1))
    engine = Engine(GAME, 3, 4, {"wins": 1, "arena": 1}, confirmed=recorder.add)
    while GAME.result(engine.state) is None:
        gone = 0b100 if engine.frame > 200 else 0
        inputs = tuple(b"\0" if gone >> seat & 1 else GAME.bot(engine.state, seat) for seat in range(3))
        engine.carry_out([Advance(engine.frame, inputs, gone), Confirmed(engine.frame, inputs, gone)])
    sum_ = checksum(engine.state)
    for seat in (0, 1):
        assert recorder.seal(sealed(recorder, seat, sum_))
    assert recorder.seal(Seal(2, 180, 7, WHO[2].sign(recorder.promise(7, 180))))
    replay = Replay.read(recorder.write())
    found = played(replay, GAME)
    assert found.honest and found.standing.word == "left" and same(found.state, engine.state)
    assert found.result == GAME.result(engine.state)


def test_a_playback_goes_back_and_forth() -> None:
    replay = Replay.read(recorded(pressing(2, 1500), arena=1).write())
    playback, straight = Playback(replay, GAME), Engine(GAME, 2, 5, {"arena": 1})
    states = [straight.state]
    for one in replay.confirmed():
        straight.carry_out([Advance(one.frame, one.inputs)])
        states.append(straight.state)
    for frame in (1500, 3, 1499, 700, 699, 0, 1200, 10**9, -5):
        at = max(0, min(frame, 1500))
        assert same(playback.seek(frame), states[at]) and playback.frame == at


def test_a_turn_game_is_a_replay_as_well() -> None:
    game = Go()
    moves = [41, 42, 50, PASS, 33, RESIGN]
    before = header(input_bytes=2)
    recorder = Recorder(
        Header(**{**{name: getattr(before, name) for name in before.__struct_fields__}, "game": "go"})
    )
    for frame, move in enumerate(moves):
        one = move.to_bytes(2, "big")
        recorder.add(Confirmed(frame, (one, bytes(2)) if frame % 2 == 0 else (bytes(2), one)))
    result = played(Replay.read(recorder.write()), game).result
    assert result and result.words == "Black wins: White resigned"


@pytest.mark.parametrize(
    ("signed", "gone", "word"),
    [
        ({}, (), "unsigned"),
        ({0: (300, 9), 1: (300, 9)}, (), "agreed"),
        ({0: (300, 9), 1: (300, 8)}, (), "disputed"),
        ({0: (300, 9)}, (), "disputed"),
        ({0: (240, 9), 1: (240, 9)}, (), "disputed"),
        ({0: (300, 9), 1: (120, 7)}, ((200, 2),), "left"),
        ({0: (300, 9), 1: (120, 7)}, ((280, 2),), "disputed"),
        ({0: (300, 9), 1: (120, 7)}, ((200, 2), (250, 0)), "disputed"),
        ({0: (300, 9)}, ((10, 2),), "disputed"),
    ],
)
def test_what_the_seals_say(
    signed: dict[int, tuple[int, int]], gone: tuple[tuple[int, int], ...], word: str
) -> None:
    away = dict(gone)
    recorder, mask = Recorder(header()), 0
    for one in pressing(2, 300):
        mask = away.get(one.frame, mask)
        recorder.add(Confirmed(one.frame, one.inputs, mask))
    for seat, (frames, sum_) in signed.items():
        assert recorder.seal(sealed(recorder, seat, sum_, frames))
    standing = Replay.read(recorder.write()).standing()
    assert standing.word == word and set(standing.seals) == set(signed)


def test_the_chain_is_what_its_words_say() -> None:
    """Written out once more: who writes another program for these files needs no more than this."""
    recorder = Recorder(header())
    head = sha256(b"servent/play/replay/1" + canonical(header())).digest()
    block = b""
    for one in pressing(2, 130):
        gone = 2 if one.frame >= 65 else 0
        recorder.add(Confirmed(one.frame, one.inputs, gone))
        block += bytes((gone,)) + b"".join(one.inputs)
        if one.frame % 60 == 59:
            head, block = sha256(head + block).digest(), b""
            assert recorder.promise(7, one.frame + 1) == replays.promise(head, one.frame + 1, 7)
    end = sha256(head + block).digest()
    assert recorder.promise(7) == b"servent/play/seal/1" + canonical((end, 130, 7))


def test_a_seal_for_another_match_or_of_another_seat_is_not_taken() -> None:
    recorder = recorded(pressing(2, 120))
    other = recorded(pressing(2, 120, seed=2))
    assert not recorder.seal(sealed(other, 0, 1))
    assert not recorder.seal(Seal(1, 120, 1, WHO[0].sign(recorder.promise(1))))
    assert not recorder.seal(Seal(2, 120, 1, WHO[2].sign(recorder.promise(1))))
    assert not recorder.seal(Seal(0, 180, 1, bytes(64)))
    assert recorder.seal(sealed(recorder, 0, 1)) and recorder.seal(sealed(recorder, 0, 1, 60))
    (kept,) = Replay.read(recorder.write()).seals
    assert kept.frames == 120  # an older one takes nothing away
    with pytest.raises(UsageError, match="no end of a block"):
        recorder.promise(1, 61)


def test_a_changed_press_makes_its_seals_worthless() -> None:
    frames = pressing(2, 300)
    recorder = recorded(frames)
    seals = [sealed(recorder, seat, 9) for seat in (0, 1)]
    forged = Recorder(header())
    for one in frames:
        forged.add(Confirmed(one.frame, (b"\1", one.inputs[1])) if one.frame == 50 else one)
    stored = replays._decoder.decode(forged.write()[len(replays.MAGIC) :])
    fields = {name: getattr(stored, name) for name in stored.__struct_fields__}
    data = replays.MAGIC + canonical(replays._Stored(**{**fields, "seals": tuple(seals)}))
    standing = Replay.read(data).standing()
    assert standing.word == "unsigned" and standing.seals == {}


def test_a_state_that_the_seals_do_not_vouch_for_is_not_honest() -> None:
    recorder = recorded(pressing(2, 120))
    for seat in (0, 1):
        recorder.seal(sealed(recorder, seat, 12345))
    found = played(Replay.read(recorder.write()), GAME)
    assert found.standing.word == "agreed" and not found.honest


@pytest.mark.parametrize(
    ("frame", "inputs", "words"),
    [
        (1, (b"\0", b"\0"), "frame 1 where 0"),
        (0, (b"\0",), "not 2 times 1"),
        (0, (b"\0", b"\0\0"), "not 2 times 1"),
    ],
)
def test_a_recorder_takes_frames_one_after_the_other(
    frame: int, inputs: tuple[bytes, ...], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        Recorder(header()).add(Confirmed(frame, inputs))


def test_another_game_does_not_play_it() -> None:
    replay = Replay.read(recorded(pressing(2, 60)).write())
    with pytest.raises(UsageError, match="replay of lightcycles, version 1, not of go"):
        Playback(replay, Go())
    with pytest.raises(UsageError, match="has no choice gravity"):
        Playback(Replay.read(recorded(pressing(2, 60), gravity=1).write()), GAME)


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def columns(*parts: bytes) -> bytes:
    return deflated(b"".join(len(part).to_bytes(4, "big") + part for part in parts))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (b"no deflate", "do not unfold"),
        (deflated(b"")[:-1], "too early, too late or never"),
        (deflated(b"") + b"x", "too early, too late or never"),
        (deflated(bytes(33 * 1024 * 1024)), "too early, too late or never"),
        (deflated(b"\xff\xff\xff\xff"), "promise more"),
        (deflated(b""), "promise more"),
        (columns(b"", b"", b"", b"", b"x"), "bytes behind"),
        (columns(b"\x05", b"", b"", b""), "not in order"),
        (columns(b"\x05", b"\x01\x01", b"", b""), "not in order"),
        (columns(b"\x05", b"\x00", b"", b""), "not in order"),
        (columns(b"\x05\x00", b"\x01\x01", b"", b""), "not in order"),
        (columns(b"\x64", b"\x01", b"", b""), "not in order"),
        (columns(b"\x80", b"", b"", b""), "not in order"),
        (columns(b"\xff\xff\xff\xff\x01", b"\x01", b"", b""), "too big a step"),
    ],
)
def test_inputs_that_lie_are_refused(inputs: bytes, words: str) -> None:
    data = replays.MAGIC + canonical(replays._Stored(header(), 100, inputs, (), ()))
    with pytest.raises(BadMessage, match=words):
        Replay.read(data)


@pytest.mark.parametrize(
    ("gone", "seals", "words"),
    [
        (((5, 1), (5, 2)), (), "out of order"),
        (((100, 1),), (), "out of order"),
        (((5, 4),), (), "out of order"),
        ((), (Seal(0, 101, 0, bytes(64)),), "more frames than there are"),
        ((), (Seal(2, 1, 0, bytes(64)),), "one for each seat"),
        ((), (Seal(0, 1, 0, bytes(64)), Seal(0, 1, 0, bytes(64))), "one for each seat"),
    ],
)
def test_leaving_and_seals_that_lie_are_refused(
    gone: tuple[tuple[int, int], ...], seals: tuple[Seal, ...], words: str
) -> None:
    stored = replays._Stored(header(), 100, columns(b"", b"", b"", b""), gone, seals)
    with pytest.raises(BadMessage, match=words):
        Replay.read(replays.MAGIC + canonical(stored))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_or_read_and_never_more(data: st.DataObject) -> None:
    recorder = recorded(pressing(2, 90))
    recorder.seal(sealed(recorder, 0, 3))
    whole = bytearray(recorder.write())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        replay = Replay.read(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except BadMessage:
        return
    assert len(list(replay.confirmed())) == replay.frames <= replays.MOST_FRAMES
    assert replay.standing().word in ("agreed", "disputed", "unsigned", "left")
