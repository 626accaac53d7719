"""Truth: twenty units of which it is known what is in them. Signals of the stated strength are found where they are; noise gives no more alarms than stated.

The stated strength: what the detector measures is expected to be this many times its threshold, where the signal suits bin and drift rate. Where a tone stands
between two bins 60 % of it are lost, and a drift rate between two steps costs some, too.
"""

from __future__ import annotations

import math
import random

import pytest
from msgspec.structs import replace

from servent.listen import units
from servent.listen.making import Injected, anywhere, make
from servent.listen.plan import Search
from servent.listen.signals import Found, Kind, ranked
from tests.listen.desk import SMALL, Desk

STRENGTH = 4.0
KINDS: list[Kind] = ["spike", "gaussian", "pulse", "triplet"]


def check(search: Search, truth: Injected, found: Found) -> None:
    """Frequency and drift within one bin, a beam's time within one of 64 points, a period within two widths of the pulse over how many there are."""
    bin_, spectrum = search.rate / found.length, found.length / search.rate
    looks_at = spectrum if search.spectra(int(math.log2(found.length))) < 64 else 2 * search.beam
    assert abs(found.at(found.time) - truth.frequency - truth.drift * found.time) <= bin_
    assert abs(found.drift - truth.drift) <= bin_ / looks_at
    if found.kind == "spike":
        assert truth.time - spectrum / 2 <= found.time <= truth.time + truth.width + spectrum / 2
    elif found.kind == "gaussian":
        assert abs(found.time - truth.time) <= search.seconds / 64
    else:
        folds = 1 if found.kind == "triplet" else (search.seconds / truth.period)
        resolution = max(2 * truth.width, truth.period / 8)
        assert abs(found.period - truth.period) <= max(resolution / folds, spectrum / 2 if folds == 1 else 0)
        late = (found.time - truth.time - truth.width / 2) % truth.period
        assert min(late, truth.period - late) <= resolution


def search_it(
    desk: Desk, search: Search, kind: Kind | None, seed: int, steps: tuple[int, int] | None
) -> None:
    dice = random.Random(seed)
    truth = anywhere(search, kind, dice, STRENGTH) if kind else None
    samples = make(search, [truth] if truth else [], dice)
    if steps and truth:  # the part of the unit where the signal is
        near = round(truth.drift / search.step)
        steps = (near + steps[0], near + steps[1])
    result = desk.result(units.pack(search, samples, steps))
    if not truth:
        assert result.found == ()
        return
    mine = [one for one in result.found if one.kind == kind]
    assert mine, (truth, [(one.kind, one.score) for one in result.best])
    check(search, truth, max(mine, key=lambda one: one.score))
    # All else that was found is of the same signal: it lies along its line.
    (_, *others) = ranked([result], search.rate)
    width = 2 / truth.width if truth.width else 0.0
    for group in others:
        for one in group:
            off = abs(one.at(one.time) - truth.frequency - truth.drift * one.time)
            assert (
                off
                <= 4 * search.rate / one.length + 4 * width + abs(one.drift - truth.drift) * 2 * search.beam
            ), (truth, one)


@pytest.mark.parametrize("kind", [*KINDS, None])
@pytest.mark.parametrize("seed", range(4))
def test_in_small_units_the_truth_is_found(desk: Desk, kind: Kind | None, seed: int) -> None:
    search_it(desk, SMALL, kind, seed, None)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, None])
@pytest.mark.parametrize("seed", range(4))
def test_in_whole_units_the_truth_is_found(desk: Desk, kind: Kind | None, seed: int) -> None:
    search_it(desk, Search(), kind, 100 + seed, (-16, 17))


def test_noise_gives_no_more_alarms_than_stated(desk: Desk) -> None:
    search = replace(SMALL, alarms=15.0)
    counts = dict.fromkeys(KINDS, 0)
    for seed in range(4):
        result = desk.result(units.pack(search, make(search, [], random.Random(50 + seed))))
        for place, kind in enumerate(KINDS):
            counts[kind] += sum(one.kind == kind for one in result.found) + result.crowded[place]
    assert all(count <= 60 + 4 * math.sqrt(60) for count in counts.values()), counts
    # Neighbouring drift rates find the same and count once; thresholds that were far too high would find nothing.
    assert counts["spike"] >= 15, counts
    print(counts)


def test_no_drift_is_made_up_for_what_was_there_for_a_moment(desk: Desk) -> None:
    """A spectrum of microseconds tells no drift; what was made up for one put the beginning far out of the band."""
    search = Search(bits=14, rate=2.4e6, beam=0.0007, drift=20.0, fast_drift=50.0)
    short = 0
    for seed in range(8):
        for one in desk.result(units.pack(search, make(search, [], random.Random(70 + seed)))).best:
            assert abs(one.drift) <= 2 * search.fast_drift + 2 * search.step, one
            assert (
                abs(one.frequency)
                <= search.rate / 2 + abs(one.drift) * search.seconds + search.rate / one.length
            )
            short += 64 <= one.length <= 1024 and one.kind == "spike"
    assert short, "else nothing was tried"
