"""A sky of results: what was found in all parts of all recordings, strongest first, each once, with what its plot needs. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from servent.listen.signals import Found, Kind, Result, alike, same_place

MOST = 2_000  # signals that are kept; of more the strongest


class SeenAs(Struct, frozen=True):
    """What another detector made of the same sender, at its strongest. The fields as those of a candidate."""

    kind: Kind
    score: float
    power: float
    time: float
    period: float
    chi: float
    plot: list[float]
    model: list[float]
    marks: list[float]
    left: float
    right: float
    along: str


class Candidate(Struct, frozen=True):
    """What may be one sender, as the detector sees it that sees it best; `also`: others that do. `unit`: the part that it is strongest in; `seen`: signals that may be the same, in `parts` parts. `near`: no part of its recording has one above its threshold, and this comes closest.

    `frequency`: Hz on the sky where the recording says its centre, else from its centre. `plot`: values of a curve, the first at `left`, the last at `right`, with the unit `along`; `model`: what was fitted to it, as long as
    `plot`, or nothing; `marks`: places on it that matter, in the same unit.
    """

    kind: Kind
    score: float
    power: float
    frequency: float
    drift: float
    time: float
    period: float
    chi: float
    length: int
    bandwidth: float
    unit: int
    seen: int
    parts: int
    near: bool
    recording: str
    plot: list[float]
    model: list[float]
    marks: list[float]
    left: float
    right: float
    along: str
    also: list[SeenAs]


class Heard(Struct, frozen=True):
    """A signal, and where it comes from."""

    found: Found
    unit: int
    rate: float
    centre: float
    recording: int
    samples: int


class Sky:
    """Takes results as they come, in any order; a part that is computed again takes the place of what it said before."""

    def __init__(self) -> None:
        self.parts = 0
        self.operations = 0
        self.seconds: dict[int, float] = {}  # of listening, by recording
        self._of: dict[int, list[Heard]] = {}
        self._best: dict[tuple[int, Kind], Heard] = {}
        self._done: dict[int, int] = {}
        self._heard: dict[int, int] = {}  # how many signals, kept or not
        self._full: set[int] = set()

    def take(self, unit: int, result: Result) -> None:
        self.forget(unit)
        self.parts += 1
        self._done[unit] = result.operations
        self.operations += result.operations
        self.seconds[result.recording] = result.samples / result.rate

        def heard(found: Found) -> Heard:
            return Heard(found, unit, result.rate, result.centre, result.recording, result.samples)

        if result.found:
            self._heard[unit] = len(result.found)
            self._of[unit] = [heard(found) for found in result.found]
        for found in result.best:
            key = result.recording, found.kind
            if key not in self._best or self._best[key].found.score < found.score:
                self._best[key] = heard(found)
        if any(result.crowded):
            self._full.add(unit)
        self._prune()

    def forget(self, unit: int) -> None:
        """Its result is not the right one any more."""
        if unit in self._done:
            self.parts -= 1
            self.operations -= self._done.pop(unit)
            self._of.pop(unit, None)
            self._heard.pop(unit, None)
            self._full.discard(unit)
            self._best = {key: one for key, one in self._best.items() if one.unit != unit}

    def _prune(self) -> None:
        if sum(map(len, self._of.values())) <= 2 * MOST and len(self._best) <= 2 * MOST:
            return
        every = sorted((one for some in self._of.values() for one in some), key=_order)[:MOST]
        self._of = {}
        for one in every:
            self._of.setdefault(one.unit, []).append(one)
        self._best = dict(sorted(self._best.items(), key=lambda item: _order(item[1]))[:MOST])

    def ranked(self, most: int = 100) -> list[Candidate]:
        """Strongest first, each sender once. Where a recording has no signal of a kind, what comes closest stands at the end."""
        groups: list[_Group] = []  # only those that are shown: to compare thousands takes seconds
        of: dict[int, list[_Group]] = {}
        every = sorted((one for some in self._of.values() for one in some), key=_order)
        for one in every:
            mine = of.setdefault(one.recording, [])
            for group in mine:
                if group.has(one):
                    group.add(one)
                    break
            else:
                if len(groups) < most:  # later ones are weaker
                    mine.append(_Group(one))
                    groups.append(mine[-1])
        known = {(one.recording, one.found.kind) for one in every}
        near = sorted(
            (one for key, one in self._best.items() if key not in known and one.found.score <= 1), key=_order
        )
        found = [_candidate(group) for group in groups]
        return found + [_candidate(_Group(one), near=True) for one in near[: max(0, most - len(found))]]

    @property
    def signals(self) -> int:
        """All that parts said, those with them that were too weak to be kept."""
        return sum(self._heard.values())

    @property
    def full(self) -> int:
        """Parts that heard more of a kind than a result has room for (`signals.KEPT`): the weaker ones are missing."""
        return len(self._full)


class _Group:
    """Signals of one sender, the strongest first."""

    def __init__(self, first: Heard) -> None:
        self.all = [first]
        self.best = {first.found.kind: first}  # of each kind

    def has(self, one: Heard) -> bool:
        mine, first = self.best.get(one.found.kind), self.all[0]
        if mine is not None:
            return alike(mine.found, one.found, one.rate)
        return same_place(first.found, one.found, one.rate, one.samples / one.rate)

    def add(self, one: Heard) -> None:
        self.all.append(one)
        self.best.setdefault(one.found.kind, one)


def ranked(results: Iterable[tuple[int, Result]], most: int = 100) -> list[Candidate]:
    """Of parts that are there already, by their numbers."""
    sky = Sky()
    for unit, result in results:
        sky.take(unit, result)
    return sky.ranked(most)


def _order(one: Heard) -> tuple[float, int, int, int, int, int]:
    found = one.found
    return (-found.score, one.recording, found.step, found.length, found.bin, found.spectrum)


def _seen_as(one: Heard) -> SeenAs:
    found, seconds = one.found, one.samples / one.rate
    plot = [value / 255 * found.top for value in found.plot]
    bin_ = one.rate / found.length
    left, right, along, model, marks = 0.0, seconds, "s", list[float](), list[float]()
    if found.kind == "spike":
        half = len(plot) // 2
        left, right, along, marks = -half * bin_, (len(plot) - 1 - half) * bin_, "Hz", [0.0]
    elif found.kind == "gaussian" and found.beam and plot:
        point = seconds / len(plot)
        left, right, marks = point / 2, seconds - point / 2, [found.time]
        at = found.time / point - 0.5
        model = [
            found.base + found.power * math.exp(-0.5 * ((k - at) / found.beam) ** 2) for k in range(len(plot))
        ]
    elif found.kind == "pulse":
        each = found.period / max(1, len(plot))
        left, right = each / 2, found.period - each / 2
        marks = [found.time % found.period] if found.period else []
    elif plot:
        cell = seconds / len(plot)
        left, right = cell / 2, seconds - cell / 2
        marks = [found.time + k * found.period for k in range(3)]
    return SeenAs(
        kind=found.kind,
        score=found.score,
        power=found.power,
        time=found.time,
        period=found.period,
        chi=found.chi,
        plot=plot,
        model=model,
        marks=marks,
        left=left,
        right=right,
        along=along,
    )


def _candidate(group: _Group, near: bool = False) -> Candidate:
    first, found = group.all[0], group.all[0].found
    return Candidate(
        **msgspec.structs.asdict(_seen_as(first)),
        frequency=first.centre + found.frequency,
        drift=found.drift,
        length=found.length,
        bandwidth=first.rate / found.length,
        unit=first.unit,
        seen=len(group.all),
        parts=len({one.unit for one in group.all}),
        near=near,
        recording=f"{first.recording:016x}"[:8],
        also=[_seen_as(one) for one in group.best.values() if one is not first],
    )
