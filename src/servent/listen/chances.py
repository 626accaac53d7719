"""How likely noise alone is to look like a signal: tails of sums of exponential variables, and the thresholds that follow. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


def spike_threshold(chance: float) -> float:
    """The power, over its mean, that a bin of noise exceeds with this chance."""
    return -math.log(chance)


def sum_tail(count: int, total: float) -> float:
    """The chance that the powers of `count` bins of noise, each of mean 1, sum up to more than `total`, which is above `count`.

    Lugannani and Rice (1980); better than 2 % for the chances that matter here, from one bin to a million.
    """
    s = 1.0 - count / total
    return _tail(s, s * total + count * math.log1p(-s), s * total / math.sqrt(count))


def sum_threshold(count: int, chance: float) -> float:
    """The sum that `count` bins of noise exceed with this chance, which is below a third."""
    low, high = count * (1 + 1e-9) + 1e-6, count + 40.0 * math.sqrt(count) + 200.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sum_tail(count, middle) > chance else (low, middle)
    return high


def weighted_threshold(weights: Sequence[float], each: int, chance: float) -> float:
    """What a weighted sum of means of `each` bins of noise exceeds with this chance, in its standard deviations. The weights sum up to nothing."""
    deviation = math.sqrt(sum(weight * weight for weight in weights) / each)
    low, high = 0.0, each / max(weights)
    total = 0.0
    for _ in range(60):  # along the saddle points
        s = (low + high) / 2
        parts = [weight / (1 - weight * s / each) for weight in weights]
        total = sum(parts)
        height = -each * sum(math.log1p(-weight * s / each) for weight in weights)
        bend = sum(part * part for part in parts) / each
        above = _tail(s, s * total - height, s * math.sqrt(bend)) > chance
        low, high = (s, high) if above else (low, s)
    return total / deviation


def _tail(s: float, gap: float, u: float) -> float:
    """From the saddle point: `gap` is s t - K(s), `u` is s times the square root of K''(s)."""
    r = math.sqrt(max(2.0 * gap, 1e-18))
    if s <= 0 or r < 1e-4:
        return 0.5
    normal = math.exp(-r * r / 2) / math.sqrt(2 * math.pi)
    return max(0.0, 0.5 * math.erfc(r / math.sqrt(2)) + normal * (1 / u - 1 / r))
