"""How often noise exceeds what: against scipy, and against dice."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special

from servent.listen import chances
from servent.listen.plan import Search


@pytest.mark.parametrize("count", [4, 9, 64, 1000, 131072])
@pytest.mark.parametrize("deviations", [3.0, 6.0, 9.0])
def test_the_tail_of_a_sum_is_that_of_the_gamma_distribution(count: int, deviations: float) -> None:
    total = count + deviations * math.sqrt(count)
    assert chances.sum_tail(count, total) == pytest.approx(scipy.special.gammaincc(count, total), rel=0.02)


@pytest.mark.parametrize("count", [4, 15, 128, 65536])
@pytest.mark.parametrize("chance", [1e-2, 1e-6, 1e-12])
def test_a_threshold_is_exceeded_as_often_as_wanted(count: int, chance: float) -> None:
    total = chances.sum_threshold(count, chance)
    assert scipy.special.gammaincc(count, total) == pytest.approx(chance, rel=0.03)


@pytest.mark.parametrize("each", [1, 4, 64])
def test_the_fit_of_the_beam_is_exceeded_as_often_as_wanted(each: int) -> None:
    weights = Search().weights
    assert sum(weights) == pytest.approx(0.0, abs=1e-9)
    threshold = chances.weighted_threshold(weights, each, 4e-3)
    dice = np.random.default_rng(7)
    noise = dice.gamma(each, 1 / each, (100_000, len(weights)))
    scores = noise @ np.array(weights) / math.sqrt(sum(w * w for w in weights) / each)
    assert np.count_nonzero(scores > threshold) == pytest.approx(400, abs=80)  # four deviations
