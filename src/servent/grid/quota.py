"""How many units an identity may lease in a day, for each app version: few at first, more the more it got right. Pure.

New keys cost nothing, so what a new one may take is small. Each result that is credited adds two to the allowance, so whoever is right
trebles it whenever it is used up; failures and expired leases halve it. A day is one of UTC.
"""

from __future__ import annotations

from msgspec import Struct

FIRST = 100  # units on the first day; a guess: a core does so many of a quarter of an hour
MOST = 10_000_000
GROWS = 2  # for each credited result
FREE = 500  # units given back in a day that cost nothing, besides as many as the allowance; a guess
BREATH = 60.0  # s; what goes wrong within it is one misfortune: a laptop that closes lets many leases expire at once
DAY = 86400.0


class Quota(Struct, frozen=True):
    """`daily`: the allowance. `day`: number of the UTC day on which `used` and `back` (given back undone) were counted. `blamed`: wall time of the last halving."""

    daily: int = FIRST
    used: int = 0
    day: int = 0
    blamed: float = 0.0
    back: int = 0


def left(quota: Quota, now: float) -> int:
    """Units that may be leased today yet."""
    used = quota.used if quota.day == int(now // DAY) else 0
    return max(0, quota.daily - used)


def leased(quota: Quota, units: int, now: float) -> Quota:
    day = int(now // DAY)
    if quota.day != day:
        return Quota(quota.daily, units, day, quota.blamed)
    return Quota(quota.daily, quota.used + units, day, quota.blamed, quota.back)


def given_back(quota: Quota, units: int, now: float) -> Quota:
    """Aborted without blame, or stopped because nobody waited for it any more: it was not taken, if that was today. As many as the allowance and `FREE` in a day:
    who only takes and gives back keeps the coordinator busy for nothing."""
    if quota.day != int(now // DAY):
        return quota
    units = min(units, max(0, quota.daily + FREE - quota.back))
    return Quota(quota.daily, max(0, quota.used - units), quota.day, quota.blamed, quota.back + units)


def credited(quota: Quota, results: int) -> Quota:
    daily = min(MOST, quota.daily + GROWS * results)
    return Quota(daily, quota.used, quota.day, quota.blamed, quota.back)


def blamed(quota: Quota, now: float) -> Quota:
    """A failure, an expired lease or a wrong result. One a day is always left, so that anybody can begin anew."""
    if now < quota.blamed + BREATH:
        return quota
    return Quota(max(1, quota.daily // 2), quota.used, quota.day, now, quota.back)


def wait(now: float) -> float:
    """Seconds until the next day begins."""
    return DAY - now % DAY
