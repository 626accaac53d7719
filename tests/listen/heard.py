"""Results of listen without a kernel: signals with plots as they look, and the bytes they stand in."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Sequence

from servent.listen.signals import KINDS, MAGIC, Found, Kind, Result

RATE, SAMPLES = 9765.625, 1 << 20
LENGTHS: dict[Kind, int] = {"spike": 1 << 17, "gaussian": 1 << 14, "pulse": 1 << 12, "triplet": 1 << 12}


def found(kind: Kind, score: float, frequency: float, drift: float, seed: int = 0) -> Found:
    dice = random.Random(f"{kind} {frequency} {drift} {seed}")
    seconds, length = SAMPLES / RATE, LENGTHS[kind]
    time, period, power, beam, base = dice.uniform(25, 80), 0.0, score * 26.0, 0.0, 0.0
    noise = [-math.log(dice.random() or 0.5) for _ in range(64)]
    if kind == "spike":
        values = [
            power if k == 32 else power * 0.3 * dice.random() if abs(k - 32) == 1 else noise[k]
            for k in range(64)
        ]
    elif kind == "gaussian":
        power, beam, base = score * 0.55, 3.05, 1.0
        at = time / seconds * 64 - 0.5
        values = [
            max(0.05, base + power * math.exp(-0.5 * ((k - at) / beam) ** 2) + dice.gauss(0, 0.22))
            for k in range(64)
        ]
    elif kind == "pulse":
        period, power = dice.uniform(3, 9), 1 + score * 0.4
        time = dice.uniform(0, period)
        peak = int(time / period * 12)
        values = [
            power if k == peak else power * 0.55 if k == (peak + 1) % 12 else dice.gauss(1, 0.06)
            for k in range(12)
        ]
    else:
        period, power, time = dice.uniform(15, 30), score * 12.0, dice.uniform(5, 20)
        values = [max(1.5, 4 + dice.gauss(0, 0.8)) for _ in range(64)]
        for k in range(3):
            values[int((time + k * period) / seconds * 64)] = power * dice.uniform(0.95, 1.2)
    top = max(values)
    return Found(
        kind, length, power, score, frequency, drift, time, period, 1.1 if kind == "gaussian" else 0.0,
        int(frequency / RATE * length) % length, round(drift / 0.00185), 3, base, beam, top,
        bytes(round(max(0.0, value) / top * 255) for value in values),
    )  # fmt: skip


def result(signals: Sequence[Found], recording: int = 7, near: Sequence[Found] = ()) -> Result:
    best = {one.kind: one for one in sorted([*signals, *near], key=lambda one: one.score)}
    return Result(
        samples=SAMPLES,
        operations=59_000_000_000,
        best=tuple(best[kind] for kind in KINDS if kind in best),
        found=tuple(one for kind in KINDS for one in signals if one.kind == kind),
        crowded=(0, 0, 0, 0),
        rate=RATE,
        centre=1.42e9,
        recording=recording,
    )


def said(what: Result) -> bytes:
    """As the kernel writes it."""
    counts = [sum(one.kind == kind for one in what.found) for kind in KINDS]
    head = struct.pack(
        "<16sddddQ2I4I4I",
        MAGIC,
        what.operations,
        what.samples,
        what.rate,
        what.centre,
        what.recording,
        0,
        0,
        *counts,
        *what.crowded,
    )
    best = {one.kind: one for one in what.best}
    empty = [struct.pack("<II136x", number, 0) for number in range(4)]
    return head + b"".join(
        [
            *(_signal(best[kind]) if kind in best else empty[number] for number, kind in enumerate(KINDS)),
            *map(_signal, what.found),
        ]
    )


def _signal(one: Found) -> bytes:
    beside = math.exp(-0.5 / one.beam**2) if one.beam else 0.0
    return struct.pack(
        "<IIffdddfffIiIffII64s", KINDS.index(one.kind), one.length.bit_length() - 1, one.power, one.score, one.frequency, one.drift,
        one.time, one.period, one.chi, one.base, one.bin, one.step, one.spectrum, one.top, beside, len(one.plot), 0, one.plot,
    )  # fmt: skip
