"""Units made by us: noise, and signals of which the truth is known. Pure; dice are given.

A sign of noise plus signal is above zero with the chance that Gauss's error function gives, so no noise has to be drawn: signs are thrown, and those that the signal
would turn are turned.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from servent.listen.plan import GAUSSIAN_SPECTRA, Search
from servent.listen.signals import Kind
from servent.listen.units import pack_signs, unpack_signs

if TYPE_CHECKING:
    from random import Random

FAR = 3.0  # half widths at which nothing is left of a beam


class Injected(Struct, frozen=True):
    """A tone, `frequency` Hz from the centre when the unit begins, `drift` Hz/s, `amplitude` times the deviation of the noise in I and in Q.

    A spike is there for `width` s from `time` on, all the time where that is 0. A Gaussian is strongest at `time` (s), its power half of that `width`/2 s away. Pulses are there for `width` s each `period` s, from `time` on; a
    triplet is three of them. In a spectrum of N samples it has amplitude^2 N / pi times the power of the noise: two bits take away a third.
    """

    kind: Kind
    frequency: float
    drift: float
    amplitude: float
    time: float = 0.0
    width: float = 0.0
    period: float = 0.0

    def spans(self, seconds: float) -> list[tuple[float, float]]:
        """From when to when (s) there is anything of it."""
        if self.kind == "spike":
            return [(self.time, min(seconds, self.time + self.width) if self.width else seconds)]
        if self.kind == "gaussian":
            return [(max(0.0, self.time - FAR * self.width), min(seconds, self.time + FAR * self.width))]
        count = 3 if self.kind == "triplet" else math.ceil((seconds - self.time) / self.period)
        starts = (self.time + k * self.period for k in range(count))
        return [(start, min(seconds, start + self.width)) for start in starts if start < seconds]

    def height(self, time: float) -> float:
        """Its amplitude, within a span."""
        if self.kind != "gaussian":
            return self.amplitude
        return self.amplitude * math.exp(-2 * math.log(2) * ((time - self.time) / self.width) ** 2)


def make(search: Search, signals: Iterable[Injected], dice: Random) -> bytes:
    """The samples of a unit, two bits each. Takes a second or two for a tone through all of 2^20 samples."""
    samples = dice.getrandbits(2 * search.samples).to_bytes(search.samples // 4, "little")
    for signal in signals:
        signs = bytearray(unpack_signs(samples))
        for begin, end in signal.spans(search.seconds):
            span = range(math.ceil(begin * search.rate), min(math.ceil(end * search.rate), search.samples))
            _turn(signs, signal, search.rate, span, dice)
        samples = pack_signs(bytes(signs))
    return samples


def _turn(signs: bytearray, signal: Injected, rate: float, span: range, dice: Random) -> None:
    erf, cos, sin, draw = math.erf, math.cos, math.sin, dice.random
    steady = signal.height(0.0) if signal.kind != "gaussian" else None
    for n in span:
        time = n / rate
        height = (steady if steady is not None else signal.height(time)) * math.sqrt(0.5)
        phase = 2 * math.pi * ((signal.frequency + signal.drift * time / 2) * time % 1.0)
        for place, part in ((2 * n, height * cos(phase)), (2 * n + 1, height * sin(phase))):
            above = part > 0
            if signs[place] != above and draw() < erf(abs(part)):
                signs[place] = above


def anywhere(
    search: Search, kind: Kind, dice: Random, strength: float = 4.0, drift: float | None = None
) -> Injected:
    """A signal anywhere in the band but near its edges, at a drift rate of the search: `drift` (Hz/s), or any.

    `strength`: what the detector measures is expected to be so many times its threshold, where the signal suits bin and drift rate.
    """
    whole = search.seconds / 107.3741824  # 1.0 of a unit of 2^20 samples at 9,765.625 Hz
    frequency = dice.uniform(0.05, 0.4) * search.rate * dice.choice([-1, 1])
    drift = dice.uniform(-0.9, 0.9) * search.drift if drift is None else drift
    if kind == "spike":  # on for four spectra of the longest
        spectrum = 2 ** search.lengths[-1] / search.rate
        amplitude = math.sqrt(strength * search.spike * math.pi / (spectrum * search.rate))
        return Injected(kind, frequency, drift, amplitude, dice.uniform(0, 50) * whole, 4 * spectrum)
    if kind == "gaussian":
        length = max(b for b in search.lengths if search.spectra(b) >= GAUSSIAN_SPECTRA)
        deviations = strength * search.gaussian(length)
        power = deviations * math.sqrt(64 / search.spectra(length) / sum(w * w for w in search.weights))
        amplitude = math.sqrt(power * math.pi / 2**length)
        return Injected(kind, frequency, drift, amplitude, dice.uniform(25, 82) * whole, search.beam)
    length = next(b for b in search.lengths if 2**b / search.rate > 0.35 * whole)  # s
    spectrum = 2**length / search.rate
    if kind == "triplet":
        amplitude = math.sqrt(strength * search.triplet(length) * math.pi / 2**length)
        return Injected(
            kind,
            frequency,
            drift,
            amplitude,
            dice.uniform(5, 20) * whole,
            2 * spectrum,
            dice.uniform(15, 35) * whole,
        )
    period = dice.uniform(9, 14) * spectrum
    need, rows = next(
        (threshold, rows)
        for threshold, (_, width, rows) in zip(search.pulses(length), search.foldings(length), strict=True)
        if width == int(period / spectrum)
    )
    amplitude = math.sqrt(strength * (need / rows - 1) * math.pi / 2**length)
    return Injected(kind, frequency, drift, amplitude, dice.uniform(0, period), 2 * spectrum, period)
