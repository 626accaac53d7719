"""Units from files of samples, as programs for radio receivers record them: 8 or 16 bits for I and for Q in turn."""

from __future__ import annotations

import array
import sys
import wave
from pathlib import Path, PurePath
from typing import BinaryIO, Literal

from servent.errors import UsageError
from servent.listen.units import pack_signs

Form = Literal["u8", "s8", "s16", "wav"]
ENDINGS: dict[str, Form] = {
    ".cu8": "u8",  # rtl_sdr, GQRX for RTL sticks
    ".bin": "u8",
    ".iq": "u8",
    ".cs8": "s8",  # hackrf_transfer
    ".sc8": "s8",
    ".cs16": "s16",
    ".sc16": "s16",
    ".raw": "s16",
    ".wav": "wav",  # SDR#, HDSDR, SDRuno: I left, Q right
}


def form_of(path: PurePath) -> Form:
    """By the end of its name. Raises UsageError."""
    try:
        return ENDINGS[path.suffix.lower()]
    except KeyError:
        known = " ".join(sorted(ENDINGS))
        raise UsageError(f"what {path.name} holds is not clear from its name; known are {known}") from None


def count(path: Path, form: Form) -> int:
    """How many samples a file has. Raises UsageError, OSError."""
    if form != "wav":
        return path.stat().st_size // (4 if form == "s16" else 2)
    try:
        with wave.open(str(path), "rb") as sound:
            return sound.getnframes()
    except (wave.Error, EOFError) as trouble:
        raise UsageError(f"this is no WAV file that can be read: {trouble}") from trouble


def read(file: BinaryIO, form: Form, samples: int, *, skip: int = 0) -> bytes:
    """So many samples after the first `skip`, as two bits each: on which side of the mean of I, and of Q, they are.

    Raises:
        UsageError: the file is not in that form, or too short.
        OSError: it cannot be read.
    """
    data, wide = _wav(file, samples, skip) if form == "wav" else _plain(file, samples, skip, form)
    values = array.array("h" if wide == 2 else "b" if form == "s8" else "B")
    values.frombytes(data[: len(data) // (2 * wide) * 2 * wide])
    if wide == 2 and sys.byteorder == "big":
        values.byteswap()
    if len(values) < 2 * samples:
        raise UsageError(f"there are {len(values) // 2} samples after the first {skip}; a unit has {samples}")
    signs = bytearray(2 * samples)
    for part in (0, 1):
        mine = values[part::2]
        mean = sum(mine) / samples
        signs[part::2] = bytes(map(mean.__lt__, mine))
    return pack_signs(bytes(signs))


def _plain(file: BinaryIO, samples: int, skip: int, form: Form) -> tuple[bytes, int]:
    wide = 2 if form == "s16" else 1
    file.seek(2 * wide * skip)
    return file.read(2 * wide * samples), wide


def _wav(file: BinaryIO, samples: int, skip: int) -> tuple[bytes, int]:
    try:
        with wave.open(file, "rb") as sound:
            if sound.getnchannels() != 2 or sound.getsampwidth() not in (1, 2):
                raise UsageError("this WAV file does not hold I and Q of 8 or 16 bits")
            sound.setpos(min(skip, sound.getnframes()))
            return sound.readframes(samples), sound.getsampwidth()
    except (wave.Error, EOFError) as trouble:
        raise UsageError(f"this is no WAV file that can be read: {trouble}") from trouble
