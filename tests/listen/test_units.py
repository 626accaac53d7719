"""Units, recordings and results: packed, read, and refused where they are damaged."""

from __future__ import annotations

import io
import random
import wave
from pathlib import PurePath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage, UsageError
from servent.listen import recordings, signals, units
from servent.listen.making import Injected, make
from servent.listen.plan import Search
from tests.listen.desk import SMALL, TINY


def test_a_whole_unit_has_two_bits_for_each_sample() -> None:
    samples = make(Search(), [], random.Random(1))
    assert len(samples) == 262_144
    unit = units.pack(Search(), samples, (3, 5), centre=1.42e9)
    head, back = units.read_head(unit)
    assert back == samples and (head.first, head.last, head.bits, head.centre) == (3, 5, 20, 1.42e9)
    assert len(unit) < 270_000


@given(st.binary(max_size=64))
def test_signs_are_packed_and_unpacked(samples: bytes) -> None:
    signs = units.unpack_signs(samples)
    assert units.pack_signs(signs) == samples and set(signs) <= {0, 1}


def test_a_sign_stands_where_the_unit_says() -> None:
    assert units.pack_signs(bytes([1, 0, 0, 0, 0, 1, 1, 1])) == bytes([0b11100001])


def test_samples_of_another_number_are_refused() -> None:
    with pytest.raises(UsageError):
        units.pack(TINY, bytes(3))
    with pytest.raises(UsageError):
        units.pack_signs(bytes(3))


def test_the_same_seed_makes_the_same_unit() -> None:
    tone = Injected("spike", 10.0, 0.0, 0.3)
    assert make(TINY, [tone], random.Random(5)) == make(TINY, [tone], random.Random(5))
    assert make(TINY, [tone], random.Random(5)) != make(TINY, [tone], random.Random(6))


def test_a_tone_is_as_strong_as_it_says() -> None:
    """Power amplitude^2 N / pi over the noise; here in one spectrum of all samples, without drift."""
    search, bin_ = SMALL, 1000
    tone = Injected("spike", bin_ * search.rate / search.samples, 0.0, 0.1)
    signs = np.frombuffer(units.unpack_signs(make(search, [tone], random.Random(8))), np.uint8) * 2.0 - 1
    power = np.abs(np.fft.fft(signs[0::2] + 1j * signs[1::2])) ** 2 / (2 * search.samples)
    assert int(power.argmax()) == bin_
    assert power[bin_] == pytest.approx(0.01 * search.samples / np.pi, rel=0.2)
    assert power.mean() == pytest.approx(1.0, rel=1e-6)


def test_recordings_of_all_forms_give_the_same_unit() -> None:
    dice = np.random.default_rng(3)
    waves = np.clip(np.round(dice.normal(0.0, 30.0, 2 * 4096)), -127, 127)
    waves[waves == 0] = 1
    u8 = (waves + 128).astype(np.uint8).tobytes()
    s8 = waves.astype(np.int8).tobytes()
    s16 = (waves * 200).astype("<i2").tobytes()
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(s16)
    found = [
        recordings.read(io.BytesIO(u8), "u8", 2048, skip=100),
        recordings.read(io.BytesIO(s8), "s8", 2048, skip=100),
        recordings.read(io.BytesIO(s16), "s16", 2048, skip=100),
        recordings.read(io.BytesIO(sound.getvalue()), "wav", 2048, skip=100),
    ]
    part = waves[200 : 200 + 4096]
    right = np.empty(4096, np.uint8)
    right[0::2], right[1::2] = part[0::2] > part[0::2].mean(), part[1::2] > part[1::2].mean()
    assert found == [units.pack_signs(right.tobytes())] * 4


def test_what_is_no_recording_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match="5 samples after the first 3"):
        recordings.read(io.BytesIO(bytes(16)), "u8", 2048, skip=3)
    with pytest.raises(UsageError, match="no WAV"):
        recordings.read(io.BytesIO(b"RIFFxxxxWAVE"), "wav", 16)
    with pytest.raises(UsageError, match=r"\.cu8"):
        recordings.form_of(PurePath("picture.png"))
    assert recordings.form_of(PurePath("HDSDR_1.WAV")) == "wav"


@given(st.binary(max_size=500))
def test_a_result_is_read_or_refused(data: bytes) -> None:
    for candidate in (data, signals.MAGIC + data):
        try:
            signals.read_result(candidate)
        except BadMessage:
            continue
        raise AssertionError("noise was taken for a result")


@given(st.binary(max_size=400))
def test_a_unit_is_read_or_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        units.read_head(data)
    with pytest.raises(BadMessage):
        units.read_head(b"servent listen 1" + data)


@pytest.mark.parametrize("search", [TINY, SMALL, Search()], ids=["tiny", "small", "whole"])
def test_a_unit_says_how_many_operations_it_takes(search: Search) -> None:
    steps = (-200, 300)
    unit = units.pack(search, bytes(search.samples // 4), steps)
    assert units.operations(unit) == search.operations(*steps)
