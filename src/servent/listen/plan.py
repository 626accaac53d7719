"""The rules of the search: which drift rates at which lengths, thresholds, operations, and parts of equal work. Pure.

After what Korpela et al. (Computing in Science & Engineering 3, 2001, p. 78) published of SETI@home's search: steps of a third of a bin, lengths from 2^3 to 2^17.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated

from msgspec import Meta, Struct

from servent.errors import UsageError
from servent.listen import chances

SHORTEST, LONGEST = 3, 17
DRIFT_OF_A_BIN = 0.333  # by so much of a bin may a signal drift away within the time that a detector looks at
SLOW_ONES = 2**16  # samples; from here on lengths are searched to `drift` only, shorter ones to `fast_drift`
POINTS, EDGE, TAPS = 64, 8, 16  # of power over time where a beam is fitted; as in listen.c
TRIPLET_SPECTRA, PULSE_SPECTRA, GAUSSIAN_SPECTRA = 16, 128, POINTS
MAGIC = b"servent listen 1"
HEAD = 368  # bytes before the thresholds of pulses
CHIRP = 24  # operations for each sample


class Search(Struct, frozen=True, dict=True):
    """What is searched for in a unit of 2^`bits` samples, `rate` of them a second (Hz).

    `beam`: s that a point of the sky takes to cross the beam, at half of its power. `drift`: Hz/s to both sides, at all lengths; `fast_drift` at lengths up to
    2^15. `alarms`: how many signals of each kind noise alone may make at most in a whole unit, on average. `chi`: of a fit that is believed.
    """

    bits: Annotated[int, Meta(ge=14, le=20)] = 20
    rate: Annotated[float, Meta(ge=1.0, le=1e10)] = 9765.625
    beam: Annotated[float, Meta(gt=0.0)] = 12.0
    drift: Annotated[float, Meta(ge=0.0)] = 20.0
    fast_drift: Annotated[float, Meta(ge=0.0)] = 50.0
    alarms: Annotated[float, Meta(gt=0.0)] = 0.1
    chi: Annotated[float, Meta(gt=0.0)] = 3.0

    @property
    def samples(self) -> int:
        return 1 << self.bits

    @property
    def seconds(self) -> float:
        """How long it listens."""
        return self.samples / self.rate

    @cached_property
    def lengths(self) -> range:
        """Logarithms of the lengths of spectra: at least eight of each."""
        return range(SHORTEST, min(LONGEST, self.bits - 3) + 1)

    @cached_property
    def step(self) -> float:
        """Hz/s between the drift rates of the longest spectra; all others are multiples of it."""
        return self._step(self.lengths[-1])

    def _step(self, length: int) -> float:
        spectrum = (1 << length) / self.rate
        looks_at = min(2 * self.beam, self.seconds) if self.spectra(length) >= GAUSSIAN_SPECTRA else spectrum
        return DRIFT_OF_A_BIN / (looks_at * spectrum)

    def spectra(self, length: int) -> int:
        return 1 << (self.bits - length)

    def every(self, length: int) -> int:
        """How many steps lie between two drift rates of this length."""
        return max(1, int(self._step(length) / self.step))

    def most(self, length: int) -> int:
        """The last step to both sides."""
        widest = self.drift if 1 << length >= SLOW_ONES else max(self.drift, self.fast_drift)
        return int(widest / self.step)

    def rates(self, length: int) -> int:
        """How many drift rates this length is searched at."""
        return 2 * (self.most(length) // self.every(length)) + 1

    @property
    def pairs(self) -> int:
        """Of a drift rate and a length, in a whole unit."""
        return sum(self.rates(length) for length in self.lengths)

    @property
    def first(self) -> int:
        return -max(self.most(length) for length in self.lengths)

    @property
    def last(self) -> int:
        """One behind the last step."""
        return -self.first + 1

    def due(self, step: int) -> list[int]:
        return [b for b in self.lengths if abs(step) <= self.most(b) and step % self.every(b) == 0]

    # -- thresholds

    @cached_property
    def spike(self) -> float:
        return chances.spike_threshold(self.alarms / (self.pairs * self.samples))

    @cached_property
    def taps(self) -> list[float]:
        """The beam's shape at its middle and beside it, one for each of the 64 points of a unit."""
        width = self.beam / self.seconds * POINTS / (2 * math.sqrt(2 * math.log(2)))
        return [math.exp(-0.5 * (k / width) ** 2) if k <= EDGE else 0.0 for k in range(TAPS)]

    @cached_property
    def weights(self) -> list[float]:
        """What the fit multiplies the 64 points with, where the beam stands in the middle of them."""
        shape = [
            self.taps[abs(k - POINTS // 2)] if abs(k - POINTS // 2) <= EDGE else 0.0 for k in range(POINTS)
        ]
        mean = sum(shape) / POINTS
        return [value - mean for value in shape]

    def gaussian(self, length: int) -> float:
        """In standard deviations of noise; 0.0: not searched for at this length."""
        if self.spectra(length) < GAUSSIAN_SPECTRA:
            return 0.0
        lengths = sum(self.spectra(b) >= GAUSSIAN_SPECTRA for b in self.lengths)
        trials = self.rates(length) * (1 << length) * (POINTS - 2 * EDGE)
        chance = self.alarms / lengths / trials
        return chances.weighted_threshold(self.weights, self.spectra(length) // POINTS, min(chance, 0.3))

    def triplet(self, length: int) -> float:
        """Times the mean, for each of the three; 0.0: not searched for."""
        spectra = self.spectra(length)
        if spectra < TRIPLET_SPECTRA:
            return 0.0
        lengths = sum(self.spectra(b) >= TRIPLET_SPECTRA for b in self.lengths)
        trials = self.rates(length) * (1 << length) * spectra**2 / 4
        return max(2.0, chances.spike_threshold((self.alarms / lengths / trials) ** (1 / 3)))

    def pulses(self, length: int) -> list[float]:
        """The sum over all periods, times the mean, for each way of folding; see `foldings`."""
        ways = sum(len(list(self.foldings(b))) for b in self.lengths)
        found = []
        for twos, width, rows in self.foldings(length):
            trials = self.rates(length) * (1 << length) * whole_rows(rows) * width
            found.append(chances.sum_threshold(rows << twos, min(self.alarms / ways / trials, 0.3)))
        return found

    def foldings(self, length: int) -> Iterator[tuple[int, int, int]]:
        """(spectra are added up 2^twos at a time, points of a period, periods)."""
        spectra = points = self.spectra(length)
        twos = 0
        while spectra >= PULSE_SPECTRA and points >= 32:
            for width in range(8, 16):
                if points // width >= 4:
                    yield twos, width, points // width
            twos, points = twos + 1, points // 2

    # -- operations

    @cached_property
    def costs(self) -> dict[int, int]:
        """Additions, multiplications and comparisons for a length at one drift rate, without the chirp; those of the Fourier transform as 5 N log2 N."""
        return {length: self._cost(length) for length in self.lengths}

    def _cost(self, length: int) -> int:
        spectra, bins = self.spectra(length), 1 << length
        over_time = spectra >= TRIPLET_SPECTRA
        cost = (5 * length + 4 + 2 * over_time) * self.samples
        if spectra >= GAUSSIAN_SPECTRA:
            cost += self.samples + bins * (POINTS - 2 * EDGE) * (3 * EDGE + 3)
        done = 0
        for twos, width, rows in self.foldings(length):
            if width == 8 and twos:
                cost += bins * (spectra >> twos)
            full, half = whole_rows(rows), 1
            while half < full:
                blocks = sum(block + half < rows for block in range(0, full, 2 * half))
                done += blocks * 2 * half * width * (2 if 2 * half == full else 1)
                half *= 2
        return cost + bins * done

    def operations(self, first: int, last: int) -> int:
        """Of the steps from `first` to before `last`; exactly what the kernel counts."""
        total = 0
        for step in range(first, last):
            if due := self.due(step):
                total += CHIRP * self.samples + sum(self.costs[b] for b in due)
        return total

    def split(self, parts: int) -> list[tuple[int, int]]:
        """Ranges of steps of about equal work, which together are the whole unit."""
        if parts < 1:
            raise UsageError("a unit has at least one part")
        work = [self.operations(step, step + 1) for step in range(self.first, self.last)]
        whole, done, begin = sum(work), 0, self.first
        ranges: list[tuple[int, int]] = []
        for number, cost in enumerate(work):
            done += cost
            if done * parts >= whole * (len(ranges) + 1) and len(ranges) < parts - 1:
                ranges.append((begin, self.first + number + 1))
                begin = self.first + number + 1
        ranges.append((begin, self.last))
        return [(a, b) for a, b in ranges if a < b]

    def head(self, first: int, last: int, centre: float = 0.0) -> bytes:
        """What stands before the samples of a unit: the whole search, as the kernel wants it. `centre`: Hz on the sky; only told."""
        tables, pulses = self._tables
        numbers = struct.pack(
            "<dddiiIIff",
            self.rate,
            self.step,
            centre,
            first,
            last,
            self.bits,
            HEAD + 4 * len(pulses),
            self.spike,
            self.chi,
        )
        taps = struct.pack("<16f", *self.taps)
        return MAGIC + numbers + taps + tables + struct.pack(f"<{len(pulses)}f", *pulses)

    @cached_property
    def _tables(self) -> tuple[bytes, list[float]]:
        """Of each length its rates and thresholds, and those of its pulses."""
        tables, pulses = [], []
        for length in range(SHORTEST, LONGEST + 1):
            if length not in self.lengths:
                tables.append(struct.pack("<IIff", 0, 0, 0.0, 0.0))
                continue
            every, most = self.every(length), self.most(length)
            tables.append(struct.pack("<IIff", every, most, self.triplet(length), self.gaussian(length)))
            pulses += self.pulses(length)
        return b"".join(tables), pulses


def whole_rows(rows: int) -> int:
    """The power of two that so many rows are filled up to, to be folded."""
    full = 4
    while full < rows:
        full *= 2
    return full
