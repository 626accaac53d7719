"""What was found in a unit: the kernel's result, read strictly; ranked; what belongs together. Pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from msgspec import Struct

from servent.errors import BadMessage

Kind = Literal["spike", "gaussian", "pulse", "triplet"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MAGIC = b"listen found 2  "
KEPT = 32  # of a kind; as in listen.c
PLOT = 64  # points that go with a signal
FAR, LONG = 1e12, 1e9  # Hz and Hz/s, s: beyond what any search reaches, and still good to draw
_HEAD = struct.Struct("<16sddddQ2I4I4I")
_SIGNAL = struct.Struct("<IIffdddfffIiIffII64s")


class Found(Struct, frozen=True):
    """A signal, or what comes closest to one where `score` is not above 1.

    `length`: of its spectrum, samples. `power`: times the mean; of a pulse, where it is strongest. `score`: over the threshold. `frequency`: Hz from the
    centre, when the unit began; `drift`: Hz/s; `time`: s from the beginning: the middle of the spectrum, of the beam, of the first pulse. `period`: s between pulses.
    `chi`: of the fit of a Gaussian, 1.0 where it is perfect; `base`: its level without the beam, `beam`: deviation of the fitted shape, in points. `plot`: values in 255ths of `top`: of a
    spike the power of the bins beside it, itself at half of them; of a Gaussian 64 means of power over time, of a triplet as many maxima; of a pulse one period, folded. `bin`, `step`, `spectrum`: the same as whole numbers of its length and of the search.
    """

    kind: Kind
    length: int
    power: float
    score: float
    frequency: float
    drift: float
    time: float
    period: float
    chi: float
    bin: int
    step: int
    spectrum: int
    base: float = 0.0
    beam: float = 0.0
    top: float = 0.0
    plot: bytes = b""

    def at(self, time: float) -> float:
        """Hz from the centre, at that time."""
        return self.frequency + self.drift * time


class Result(Struct, frozen=True):
    """Of a unit or a part of one. `recording`: the same number for all parts of one; `rate`, `centre`: Hz. `best`: of each kind that was looked at at all. `crowded`: signals that were weaker than the 32 kept, by kind."""

    samples: int
    operations: int
    best: tuple[Found, ...]
    found: tuple[Found, ...]
    crowded: tuple[int, ...]
    rate: float = 1.0
    centre: float = 0.0
    recording: int = 0


def read_result(data: bytes) -> Result:
    """Raises BadMessage for all that the kernel would not have written."""
    if len(data) < _HEAD.size + 4 * _SIGNAL.size:
        raise BadMessage("a result that is cut off")
    magic, operations, samples, rate, centre, recording, _, _, *counts = _HEAD.unpack_from(data)
    kept, crowded = counts[:4], counts[4:]
    if magic != MAGIC or not 0 <= operations < 2**53 or operations % 1 or samples not in _SAMPLES:
        raise BadMessage("no result of listen")
    if not (1 <= rate <= 1e10 and abs(centre) <= 1e15):
        raise BadMessage("a result of no recording")
    if max(kept) > KEPT or len(data) != _HEAD.size + (4 + sum(kept)) * _SIGNAL.size:
        raise BadMessage("a result of another size than it says")
    signals = [_signal(data, _HEAD.size + at * _SIGNAL.size) for at in range(4 + sum(kept))]
    wanted = [*KINDS, *(kind for kind, count in zip(KINDS, kept, strict=True) for _ in range(count))]
    if [signal.kind for signal in signals] != wanted:
        raise BadMessage("signals of another kind than their place says")
    if not all(signal.score > 1 for signal in signals[4:]):
        raise BadMessage("a signal that is below its threshold")
    return Result(
        samples=int(samples),
        operations=int(operations),
        best=tuple(signal for signal in signals[:4] if signal.score > 0),
        found=tuple(signals[4:]),
        crowded=tuple(crowded),
        rate=rate,
        centre=centre,
        recording=recording,
    )


_SAMPLES = {float(1 << bits) for bits in range(14, 21)}


def _signal(data: bytes, at: int) -> Found:
    (
        kind,
        bits,
        power,
        score,
        frequency,
        drift,
        time,
        period,
        chi,
        base,
        bin_,
        step,
        spectrum,
        top,
        beside,
        points,
        _,
        plot,
    ) = _SIGNAL.unpack_from(data, at)
    numbers = (power, score, frequency, drift, time, period, chi, base, top, beside)
    if kind >= len(KINDS) or bits > 17 or not all(map(math.isfinite, numbers)) or bin_ >= 1 << bits:
        raise BadMessage("a signal that cannot be")
    if max(abs(frequency), abs(drift)) > FAR or max(abs(time), abs(period)) > LONG:
        raise BadMessage("a signal beyond all that was searched")
    if points > PLOT or not 0 <= beside < 1 or top < 0:
        raise BadMessage("a signal with a plot that cannot be")
    beam = math.sqrt(-0.5 / math.log(beside)) if beside > 1e-9 else 0.0
    return Found(KINDS[kind], 1 << bits, *numbers[:7], bin_, step, spectrum, base, beam, top, plot[:points])


def alike(one: Found, other: Found, rate: float) -> bool:
    """Whether both may be of one tone: on the line of the one, the other lies within two bins and what their drift rates differ by."""
    wide = rate / min(one.length or 1, other.length or 1)
    off = abs(one.at(other.time) - other.at(other.time))
    return off <= 2 * wide + abs((one.drift - other.drift) * (other.time - one.time))


def same_place(one: Found, other: Found, rate: float, seconds: float) -> bool:
    """Whether what two detectors saw is in one place: frequency, at the time of either, and drift within a bin of each. `seconds`: of the whole unit."""
    wide = rate / (one.length or 1) + rate / (other.length or 1)
    if min(abs(one.at(time) - other.at(time)) for time in (one.time, other.time)) > wide:
        return False
    return abs(one.drift - other.drift) <= sum(_drift_bin(each, rate, seconds) for each in (one, other))


def _drift_bin(found: Found, rate: float, seconds: float) -> float:
    """Hz/s that move it by a bin while its detector looks: a spectrum, or two passages of the beam (`Search.beam` is at most a ninth of a unit)."""
    bin_ = rate / (found.length or 1)
    return bin_ / max(1 / bin_, 0.0 if found.kind == "spike" else 2 * seconds / 9)


def ranked(results: Iterable[Result], rate: float) -> list[list[Found]]:
    """The signals of all parts of a unit, strongest first; each with all those that may be the same tone."""
    groups: list[list[Found]] = []
    every: Sequence[Found] = sorted(
        (signal for result in results for signal in result.found),
        key=lambda signal: (-signal.score, signal.step, signal.length, signal.bin, signal.spectrum),
    )
    for signal in every:
        for group in groups:
            if alike(group[0], signal, rate):
                group.append(signal)
                break
        else:
            groups.append([signal])
    return groups
