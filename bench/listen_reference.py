"""The search of `listen` with numpy and scipy, as one writes it there: whole arrays at a time, pocketfft, BLAS. Its best of each kind is the kernel's, rounding aside."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.fft

from servent.listen import units
from servent.listen.plan import EDGE, POINTS, Search, whole_rows

Array = np.ndarray[Any, Any]


class Seen(NamedTuple):
    score: float
    power: float
    length: int
    step: int
    bin: int
    spectrum: int


class Reference:
    """`best`: of each kind, so far. `found`: all above their thresholds, each bin and period for itself."""

    def __init__(self, search: Search, samples: bytes) -> None:
        signs = np.frombuffer(units.unpack_signs(samples), np.uint8).astype(np.float32) * 2 - 1
        self.search = search
        self.samples = signs.view(np.complex64)
        self.squared = np.arange(search.samples, dtype=np.float64) ** 2
        shape = np.array([0.0] * POINTS)
        shape[POINTS // 2 - EDGE : POINTS // 2 + EDGE + 1] = [
            search.taps[abs(k)] for k in range(-EDGE, EDGE + 1)
        ]
        self.shape = shape.astype(np.float32)
        shifted = np.array([np.roll(shape, p - POINTS // 2) for p in range(EDGE, POINTS - EDGE)])
        self.fit = (shifted - shape.sum() / POINTS).astype(np.float32)
        self.norm = float(np.sqrt((shape**2).sum() - shape.sum() ** 2 / POINTS))
        self.thresholds = {
            b: (search.triplet(b), search.gaussian(b), search.pulses(b)) for b in search.lengths
        }
        self.best: dict[str, Seen] = {}
        self.found: dict[str, list[Seen]] = {"spike": [], "gaussian": [], "pulse": [], "triplet": []}

    def run(self, first: int, last: int) -> None:
        for step in range(first, last):
            if not (due := self.search.due(step)):
                continue
            turns = (step * self.search.step / (2 * self.search.rate**2) * self.squared) % 1.0
            angle = (turns * (-2 * np.pi)).astype(np.float32)
            chirp = np.empty(len(angle), np.complex64)
            np.cos(angle, out=chirp.real)
            np.sin(angle, out=chirp.imag)
            data = self.samples * chirp
            for b in due:
                self._length(b, step, data)

    def _length(self, b: int, step: int, data: Array) -> None:
        search, n = self.search, 1 << b
        spectra = scipy.fft.fft(data.reshape(-1, n), axis=1)
        power = spectra.real**2 + spectra.imag**2
        power *= 0.5 / n
        power[:, 0] = 0
        where = power.argmax(axis=1)
        peaks = power[np.arange(len(power)), where]
        self._many("spike", peaks / search.spike, peaks, b, step, where, np.arange(len(power)))
        triplet, gaussian, pulses = self.thresholds[b]
        if not triplet:
            return
        mean = power.mean(axis=0)
        mean[0] = 1
        self._triplets(b, step, power, mean, triplet)
        if gaussian:
            self._gaussians(b, step, power, gaussian)
        if pulses:
            self._pulses(b, step, power / mean, pulses)

    def _many(
        self, kind: str, score: Array, power: Array, b: int, step: int, bins: Array, spectra: Array
    ) -> None:
        """Of candidates, one each place of the arrays: the best, and those above 1."""
        top = int(score.argmax())
        for at in {top, *np.flatnonzero(score > 1).tolist()}:
            seen = Seen(float(score[at]), float(power[at]), 1 << b, step, int(bins[at]), int(spectra[at]))
            if at == top and (kind not in self.best or seen.score > self.best[kind].score):
                self.best[kind] = seen
            if seen.score > 1:
                self.found[kind].append(seen)

    def _triplets(self, b: int, step: int, power: Array, mean: Array, threshold: float) -> None:
        above = power > mean * threshold
        for bin_ in np.flatnonzero(above.sum(axis=0) >= 3):
            where, column = np.flatnonzero(above[:, bin_]), power[:, bin_]
            top, begin = 0.0, 0
            for x in range(len(where)):
                for y in range(x + 2, len(where)):
                    span = int(where[y] - where[x])
                    if span % 2 or span < 4 or not above[where[x] + span // 2, bin_]:
                        continue
                    least = float(min(column[where[x]], column[where[x] + span // 2], column[where[y]]))
                    if least > top:
                        top, begin = least, int(where[x])
            if top:
                power_ = np.array([top / mean[bin_]])
                self._many(
                    "triplet", power_ / threshold, power_, b, step, np.array([bin_]), np.array([begin])
                )

    def _gaussians(self, b: int, step: int, power: Array, threshold: float) -> None:
        each = len(power) // POINTS
        points = power.reshape(POINTS, each, -1).mean(axis=1)
        fits = self.fit @ points
        where = fits.argmax(axis=0)
        top = fits[where, np.arange(fits.shape[1])]
        score = top * (np.sqrt(each) / self.norm / threshold)
        score[0] = 0
        low = min(1.0, self.best["gaussian"].score) if "gaussian" in self.best else 0.0
        (bins,) = np.nonzero(score > low)
        if not len(bins):
            return
        height = top[bins] / self.norm**2
        base = points[:, bins].mean(axis=0) - height * self.shape.sum() / POINTS
        middle = where[bins] + EDGE
        model = base + height * np.array([np.roll(self.shape, p - POINTS // 2) for p in middle]).T
        model = np.maximum(model, 0.1)
        chi = (((points[:, bins] - model) / model) ** 2).sum(axis=0) * each / (POINTS - 2)
        good = chi <= self.search.chi
        if good.any():
            self._many("gaussian", score[bins][good], height[good], b, step, bins[good], middle[good])

    def _pulses(self, b: int, step: int, power: Array, thresholds: list[float]) -> None:
        line, bins = power, np.arange(power.shape[1])
        for number, (twos, width, rows) in enumerate(self.search.foldings(b)):
            if width == 8 and twos:
                line = line[0::2] + line[1::2]
            full = whole_rows(rows)
            folded = np.zeros((full, width, line.shape[1]), np.float32)
            folded[:rows] = line[: rows * width].reshape(rows, width, -1)
            half = 1
            while half < full:
                blocks = folded.reshape(full // (2 * half), 2, half, width, -1)
                new = np.empty((len(blocks), 2 * half, width, line.shape[1]), np.float32)
                for s in range(2 * half):
                    shift = (s + 1) // 2 % width
                    a, c = blocks[:, 0, s // 2], blocks[:, 1, s // 2]
                    np.add(a[:, : width - shift], c[:, shift:], out=new[:, s, : width - shift])
                    if shift:
                        np.add(a[:, width - shift :], c[:, :shift], out=new[:, s, width - shift :])
                folded = new.reshape(full, width, -1)
                half *= 2
            flat = folded.reshape(full * width, -1)
            top = flat.max(axis=0)
            top[0] = 0
            need = thresholds[number]
            if (
                not (top > need).any()
                and "pulse" in self.best
                and top.max() / need <= self.best["pulse"].score
            ):
                continue
            where = flat.argmax(axis=0)
            self._many("pulse", top / need, top / (rows << twos), b, step, bins, (where % width) << twos)
